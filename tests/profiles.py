"""Colour profiles (ICC, version 2), written by hand after the specification."""

from __future__ import annotations

import itertools
import struct

WHITE = (0.9642, 1.0, 0.8249)  # D50
SRGB = {"r": (0.4361, 0.2225, 0.0139), "g": (0.3851, 0.7169, 0.0971), "b": (0.1431, 0.0606, 0.7141)}


def fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def element(kind: bytes, body: bytes) -> bytes:
    return kind + bytes(4) + body


def xyz(*values: float) -> bytes:
    return element(b"XYZ ", fixed(*values))


def gamma(value: float) -> bytes:
    return element(b"curv", struct.pack(">IH", 1, round(value * 256)))


def profile(space: bytes, tags: dict[bytes, bytes], pcs: bytes = b"XYZ ") -> bytes:
    name = element(b"desc", struct.pack(">I", 5) + b"test\0" + bytes(78))
    tags = {b"desc": name, b"cprt": element(b"text", b"none\0"), b"wtpt": xyz(*WHITE), **tags}
    table, data = b"", b""
    for kind, body in tags.items():
        place = 128 + 4 + 12 * len(tags) + len(data)
        table += kind + struct.pack(">II", place, len(body))
        data += body + bytes(-len(body) % 4)
    device = b"prtr" if space == b"CMYK" else b"mntr"
    head = struct.pack(">4sI4s4s4s", b"test", 0x02400000, device, space, pcs) + bytes(12) + b"acsp"
    size = 128 + 4 + len(table) + len(data)
    head = struct.pack(">I", size) + head + bytes(28) + fixed(*WHITE)
    return head + bytes(128 - len(head)) + struct.pack(">I", len(tags)) + table + data


def grey(exponent: float) -> bytes:
    """Grey of a tone curve."""
    return profile(b"GRAY", {b"kTRC": gamma(exponent)})


def swapped() -> bytes:
    """RGB with the primaries of sRGB, red and green exchanged."""
    tags = {f"{name}TRC".encode(): gamma(2.2) for name in "rgb"}
    of = {"r": "g", "g": "r", "b": "b"}
    return profile(b"RGB ", {f"{name}XYZ".encode(): xyz(*SRGB[of[name]]) for name in "rgb"} | tags)


def colourless_inks() -> bytes:
    """CMYK of which C, M and Y each take a third of the lightness, and K all of it."""
    ramp = bytes(range(256))
    grid = b"".join(
        bytes([round(255 * (1 - k) * (1 - (c + m + y) / 3)), 128, 128])
        for c, m, y, k in itertools.product((0, 1), repeat=4)
    )
    lut = bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + ramp * 4 + grid + ramp * 3
    return profile(b"CMYK", {b"A2B0": element(b"mft1", lut)}, pcs=b"Lab ")
