"""Pictures as users have them: rotated, transparent, deep, animated, broken, enormous."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from PIL import Image
from zoo import huge_png

from becam.errors import BecamError
from becam.images import read_image


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
