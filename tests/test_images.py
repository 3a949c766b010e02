"""Pictures as users have them: rotated, transparent, deep, animated, broken, enormous."""

from __future__ import annotations

import io
import os
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from zoo import huge_png

from becam.errors import BecamError
from becam.images import FORMATS, check_image, read_image

CASES = Path(__file__).resolve().parents[2] / "shared" / "cases"


@pytest.fixture
def halves():
    """Left half red, right half blue, 60 x 40."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30, 0] = 255
    pixels[:, 30:, 2] = 255
    return Image.fromarray(pixels)


def near(pixel, colour, tolerance=12):
    return all(abs(int(a) - b) <= tolerance for a, b in zip(pixel, colour, strict=True))


def test_exif_rotation_is_applied(halves, tmp_path):
    # What the camera stored sideways: orientation 6 means "turn 90 degrees clockwise to view".
    exif = Image.Exif()
    exif[0x0112] = 6
    halves.save(tmp_path / "a.jpg", exif=exif, quality=95)
    image = read_image(tmp_path / "a.jpg")
    assert image.size == (40, 60)
    assert near(image.getpixel((20, 5)), (255, 0, 0), 40)
    assert near(image.getpixel((20, 55)), (0, 0, 255), 40)


def test_transparency_is_laid_on_white(tmp_path):
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png").getpixel((3, 3)) == (255, 255, 255)
    Image.new("RGBA", (8, 8), (0, 0, 0, 128)).save(tmp_path / "half.png")
    assert near(read_image(tmp_path / "half.png").getpixel((3, 3)), (127, 127, 127), 2)
    palette = Image.new("P", (8, 8), 0)
    palette.putpalette([10, 20, 30] + [0] * 765)
    palette.save(tmp_path / "palette.png", transparency=0)
    assert read_image(tmp_path / "palette.png").getpixel((3, 3)) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "LAB", "YCbCr", "LA", "HSV"])
def test_every_mode_becomes_rgb(mode, tmp_path):
    path = tmp_path / ("a.tif" if mode in ("CMYK", "LAB", "YCbCr") else "a.png")
    source = Image.new("RGB", (9, 7), (200, 200, 200))
    source = source.convert("L").convert("LA") if mode == "LA" else source
    if mode == "LAB":
        source = Image.new("LAB", (9, 7), (200, 128, 128))
    elif mode == "HSV":
        source = source.convert("HSV").convert("RGB")
    else:
        source = source.convert(mode)
    source.save(path)
    image = read_image(path)
    assert image.mode == "RGB"
    assert image.size == (9, 7)
    if mode != "1":
        assert near(image.getpixel((4, 3)), (200, 200, 200), 12)


def test_cmyk_jpeg(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=95)
    assert near(read_image(tmp_path / "a.jpg").getpixel((8, 8)), (255, 0, 0), 20)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(4, 0)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    found = np.asarray(read_image(tmp_path / "a.png"))[0, :, 0]
    assert np.abs(found.astype(int) - np.arange(256)).max() <= 1


def test_the_first_frame_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (10, 10), c) for c in ((255, 0, 0), (0, 255, 0))]
    for name in ("a.gif", "a.webp", "a.png"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=50)
        assert near(read_image(tmp_path / name).getpixel((5, 5)), (255, 0, 0), 20), name


@pytest.mark.parametrize("side", [10_001, 30_000])
def test_a_huge_picture_is_refused_before_it_is_decoded(side, tmp_path):
    huge_png(tmp_path / "a.png", side, side)
    started = time.process_time()
    with pytest.raises(BecamError, match=r"pixels, more than the limit of 100,000,000"):
        read_image(tmp_path / "a.png")
    assert time.process_time() - started < 1


def test_broken_files_are_one_sentence(halves, tmp_path):
    halves.resize((600, 400)).save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    for name, said in [
        ("cut.jpg", "truncated"),
        ("text.jpg", "not a picture"),
        ("empty.png", "not a picture"),
        ("none.png", "There is no picture"),
    ]:
        with pytest.raises(BecamError, match=said) as caught:
            read_image(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(BecamError, match="is a folder"):
        read_image(tmp_path)


def test_a_stream_reads_like_its_file_and_goes_by_its_name(halves, tmp_path):
    halves.save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    assert read_image(io.BytesIO(data)).tobytes() == read_image(tmp_path / "a.png").tobytes()
    with pytest.raises(BecamError, match=r"^The upload is not a picture"):
        read_image(io.BytesIO(b"hello"), name="The upload")
    huge_png(tmp_path / "b.png", 30_000, 30_000)
    with pytest.raises(BecamError, match=r"^The picture has .* pixels, more than"):
        read_image(io.BytesIO((tmp_path / "b.png").read_bytes()))


def exif(orientation=6, *more):
    """A little-endian block with an orientation and further entries, given as 12 bytes each."""
    entries = [struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0), *more]
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + b"\0\0\0\0"


SIDEWAYS = {
    # A resolution of -1/0, a text that begins beyond the end, a pointer to nowhere.
    "rational": exif(6, struct.pack("<HHII", 0x011A, 10, 1, 38)) + struct.pack("<ii", -1, 0),
    "beyond": exif(6, struct.pack("<HHII", 0x010F, 2, 900, 10**8)),
    "pointer": exif(6, struct.pack("<HHII", 0x8769, 4, 1, 10**9)),
    "kind": exif(6, struct.pack("<HHII", 0x9999, 77, 4, 4)),
}
UPRIGHT = {
    "no TIFF header": b"\0\x08\0\x02\x01\x12\0\x03\0\0\0\x01",
    "text": b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHI", 0x0112, 2, 2) + b"6\0\0\0" + bytes(4),
    "cut": b"II*\0\x08\0",
    "empty": b"",
    "zeros": bytes(40),
    "of no kind": exif(99),
}


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
@pytest.mark.parametrize("damage", [*SIDEWAYS, *UPRIGHT])
def test_sound_pixels_beside_a_damaged_exif(halves, tmp_path, kind, damage):
    block = (SIDEWAYS | UPRIGHT)[damage]
    path = tmp_path / f"a.{kind}"
    halves.save(path, exif=b"Exif\0\0" + block if kind == "jpg" else block)
    check_image(path)
    assert read_image(path).size == ((40, 60) if damage in SIDEWAYS else (60, 40))


def test_a_tiff_is_turned_once(halves, tmp_path):
    for compression in (None, "tiff_lzw"):
        halves.save(tmp_path / "a.tif", tiffinfo={0x0112: 6}, compression=compression)
        assert read_image(tmp_path / "a.tif").size == (40, 60)
        assert read_image(tmp_path / "a.tif").getpixel((5, 5)) == (255, 0, 0)


def test_an_orientation_of_xmp_counts_too(halves, tmp_path):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>'
    halves.save(tmp_path / "a.jpg", xmp=xmp)
    assert read_image(tmp_path / "a.jpg").size == (40, 60)


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def with_chunks(image, *chunks):
    """A PNG file with further chunks after its header."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    data = stream.getvalue()
    return data[:33] + b"".join(chunks) + data[33:]


@pytest.mark.parametrize(
    "more",
    {
        "a text that inflates": chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(5_000_000))),
        "a text with a wrong checksum": chunk(b"tEXt", b"a\0b")[:-4] + b"1234",
        "a profile that inflates": chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(5_000_000))),
        "a time with a wrong checksum": chunk(b"tIME", bytes(7))[:-4] + b"1234",
        "an animation without frames": chunk(b"acTL", b"\xff"),
    }.items(),
    ids=lambda case: case[0],
)
def test_sound_pixels_beside_damaged_chunks(halves, tmp_path, more):
    (tmp_path / "a.png").write_bytes(with_chunks(halves, more[1]))
    check_image(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tobytes() == halves.tobytes()


def test_damaged_pixels_are_not_taken_for_sound_ones(halves, tmp_path):
    data = bytearray(with_chunks(halves))
    data[data.index(b"IDAT") + 20] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(BecamError, match="corrupt or truncated"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.eps", "a.jpg"])
def test_nothing_that_another_program_would_draw_is_opened(tmp_path, monkeypatch, name):
    from PIL import EpsImagePlugin

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("it was started"))
    Image.new("RGB", (9, 9)).save(tmp_path / name, "EPS")
    for read in (read_image, check_image):
        with pytest.raises(BecamError, match="not a picture that can be read"):
            read(tmp_path / name)
    assert not {"EPS", "WMF", "FITS", "GRIB"} & set(FORMATS)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "loop", "socket-like name", "zeros"])
def test_what_is_no_file_is_neither_waited_for_nor_read(tmp_path, kind):
    path = tmp_path / "a.jpg"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "zeros":
        with path.open("wb") as stream:
            stream.truncate(2 << 30)
    else:
        path = tmp_path / "a\0b.jpg"
    started = time.process_time()
    for read in (read_image, check_image):
        with pytest.raises(BecamError) as caught:
            read(path)
        assert "\n" not in str(caught.value)
    assert time.process_time() - started < 1


def test_large_pictures_are_converted_in_bands_as_whole_ones(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    clear = Image.fromarray(rng.integers(0, 256, (50, 40, 4), dtype=np.uint8))
    deep = Image.fromarray(rng.integers(0, 65536, (50, 40), dtype=np.uint16))
    real = Image.fromarray(rng.uniform(-1, 300, (50, 40)).astype(np.float32))
    for image, name in (
        (clear, "a.png"),
        (clear.quantize(), "b.png"),
        (deep, "c.png"),
        (real, "d.tif"),
    ):
        image.save(tmp_path / name)
        whole = read_image(tmp_path / name).tobytes()
        with monkeypatch.context() as changed:
            changed.setattr("becam.images._BAND_PIXELS", 40 * 7)
            assert read_image(tmp_path / name).tobytes() == whole, name


def test_float_grey_that_is_not_finite(tmp_path):
    values = np.array([[0, 0.5, 1, np.nan, np.inf, -np.inf]], np.float32)
    Image.fromarray(values).save(tmp_path / "a.tif")
    row = np.asarray(read_image(tmp_path / "a.tif"))[0, :, 0].tolist()
    assert row[3:] == [0, 255, 0]


@pytest.mark.skipif(not CASES.is_dir(), reason="no cases beside the repository")
def test_the_cases_of_damaged_exif():
    folder = CASES / "01-broken-exif"
    upright = read_image(folder / "exif-no-tiff.png")
    turned = read_image(folder / "rational.jpg")
    assert turned.size == upright.size[::-1]
    back = turned.transpose(Image.Transpose.ROTATE_90)
    assert np.abs(np.asarray(back, int) - np.asarray(upright, int)).mean() < 3
