"""Files damaged at random: a picture, or one sentence; in bounded time and memory."""

from __future__ import annotations

import io
import resource
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from becam.encoders.preprocessing import Preprocessing
from becam.errors import BecamError
from becam.images import check_image, read_image

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's, of damaged EXIF

CROP = Preprocessing((32, 32), (0.5,) * 3, (0.5,) * 3)
SECONDS = 5.0
KIBIBYTES = 1_000_000
EXIF = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"


def picture(mode="RGB", size=(20, 13)):
    values = np.random.default_rng(0).integers(0, 256, (*size[::-1], 4), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def saved(kind, mode="RGB", **options):
    stream = io.BytesIO()
    picture(mode).save(stream, kind, **options)
    return stream.getvalue()


FILES = {
    "jpeg": saved("JPEG", exif=EXIF),
    "jpeg-progressive": saved("JPEG", progressive=True),
    "jpeg-cmyk": saved("JPEG", "CMYK"),
    "jpeg-grey": saved("JPEG", "L"),
    "mpo": saved("MPO", save_all=True, append_images=[picture()]),
    "png": saved("PNG", exif=EXIF[6:], icc_profile=bytes(200)),
    "png-palette": saved("PNG", "P", transparency=3),
    "png-clear": saved("PNG", "RGBA"),
    "png-one-bit": saved("PNG", "1"),
    "apng": saved("PNG", save_all=True, append_images=[picture()]),
    "gif": saved("GIF", "P", save_all=True, append_images=[picture("P")]),
    "bmp": saved("BMP"),
    "tiff": saved("TIFF", tiffinfo={0x0112: 6}),
    "tiff-lzw": saved("TIFF", compression="tiff_lzw"),
    "tiff-jpeg": saved("TIFF", compression="jpeg"),
    "tiff-fax": saved("TIFF", "1", compression="group4"),
    "tiff-pages": saved("TIFF", save_all=True, append_images=[picture()]),
    "webp": saved("WEBP", exif=EXIF),
    "webp-moving": saved("WEBP", save_all=True, append_images=[picture()]),
    "avif": saved("AVIF"),
    "jpeg2000": saved("JPEG2000"),
    "ppm": saved("PPM"),
}

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "byte", "cut", "drop", "insert", "number"]),
        st.floats(0, 1, exclude_max=True),
        st.integers(0, 2**32 - 1),
    ),
    min_size=1,
    max_size=6,
)


def damaged(data: bytes, edits) -> bytes:
    """Bits flipped, bytes set, the end cut off, pieces lost and put in, lengths changed."""
    found = bytearray(data)
    for what, where, value in edits:
        # Half of the damage falls on the first bytes, where the headers are.
        place = int(where * 2 * min(64, len(found))) if where < 0.5 else int(where * len(found))
        place = min(place, max(0, len(found) - 1))
        if not found:
            break
        if what == "flip":
            found[place] ^= 1 << value % 8
        elif what == "byte":
            found[place] = value % 256
        elif what == "cut":
            del found[place:]
        elif what == "drop":
            del found[place : place + value % 16]
        elif what == "insert":
            found[place:place] = value.to_bytes(4, "big") * (1 + value % 4)
        else:
            found[place : place + 4] = value.to_bytes(4, "little" if value % 2 else "big")
    return bytes(found)


def outcome(read, data) -> str | None:
    """What reading says of a file; None where it reads."""
    try:
        read(io.BytesIO(data))
    except BecamError as error:
        return str(error)
    return None


def look(data: bytes) -> bool:
    """Read a file in every way; whether it can be."""
    started, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    said = outcome(read_image, data)
    assert (said is None) == (outcome(check_image, data) is None), said
    if said is None:
        image = read_image(io.BytesIO(data))
        assert image.mode == "RGB"
        pixels, geometry = CROP(image)
        assert pixels.isfinite().all()
        assert (geometry.width, geometry.height) == image.size
    else:
        assert said.isprintable()
        assert said.endswith(".")
        assert len(said) < 300
    assert time.process_time() - started < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < KIBIBYTES
    return said is None


@pytest.mark.parametrize("name", FILES)
def test_the_whole_file_reads(name):
    assert look(FILES[name])


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(edits=EDITS)
def test_damage_is_read_or_told(name, edits):
    look(damaged(FILES[name], edits))


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@settings(max_examples=2000, deadline=None, database=None)
@given(edits=EDITS)
def test_much_damage_is_read_or_told(name, edits):
    look(damaged(FILES[name], edits))
