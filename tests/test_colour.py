"""Colours by embedded profiles, against the formulas of sRGB and of L*."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import profiles
import pytest
from PIL import Image, ImageCms

from becam.images import check_image, read_image

CASES = Path(__file__).resolve().parents[2] / "shared" / "cases"


def encoded(linear):
    """Linear light in [0, 1] to 8-bit sRGB."""
    linear = np.asarray(linear, float)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def read(path, **options):
    check_image(path)
    return np.asarray(read_image(path, **options), int)


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_by_its_tone_curve(tmp_path, mode):
    ramp = np.arange(256, dtype=np.uint8)[None].repeat(2, 0)
    images = {"L": Image.fromarray(ramp), "I;16": Image.fromarray(ramp.astype(np.uint16) * 257)}
    image = images.get(mode) or images["L"].convert(mode)
    image.save(tmp_path / "a.png", icc_profile=profiles.grey(1.8))
    found = read(tmp_path / "a.png")
    wanted = encoded((np.arange(256) / 255) ** 1.8)
    assert np.abs(found - wanted[None, :, None]).max() <= 2
    assert np.abs(read(tmp_path / "a.png", icc="ignore") - np.arange(256)[None, :, None]).max() <= 1


@pytest.mark.parametrize("kind", ["png", "jpg", "webp", "tif"])
def test_rgb_by_its_primaries(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    for mode, stored in (("RGB", (255, 0, 0)), ("RGBA", (255, 0, 0, 255)), ("P", (255, 0, 0))):
        image = Image.new("RGB" if mode == "P" else mode, (16, 16), stored)
        if mode == "P":
            image = image.quantize()
        if kind == "jpg" and mode != "RGB":
            continue
        image.save(path, icc_profile=profiles.swapped())
        assert np.abs(read(path) - [0, 255, 0]).max() <= 6, mode
        assert np.abs(read(path, icc="ignore") - [255, 0, 0]).max() <= 6, mode


def test_transparent_stays_white_whatever_the_profile(tmp_path):
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(
        tmp_path / "a.png", icc_profile=profiles.swapped()
    )
    assert read(tmp_path / "a.png").min() == 255


def test_inks_by_their_profile(tmp_path):
    inks = {(0, 0, 0, 0): 1, (255, 0, 0, 0): 2 / 3, (255, 255, 0, 0): 1 / 3, (0, 0, 0, 255): 0}
    for ink, lightness in inks.items():
        y = ((100 * lightness + 16) / 116) ** 3 if lightness > 0.08 else 0
        Image.new("CMYK", (16, 16), ink).save(
            tmp_path / "a.jpg", quality=100, icc_profile=profiles.colourless_inks()
        )
        assert np.abs(read(tmp_path / "a.jpg") - encoded(y)).max() <= 3, ink
    assert np.ptp(read(tmp_path / "a.jpg", icc="ignore")) == 0


def test_lab_as_ever(tmp_path):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    Image.new("LAB", (4, 4), (136, 128, 128)).save(tmp_path / "a.tif", icc_profile=lab)
    grey = encoded(((100 * 136 / 255 + 16) / 116) ** 3)
    assert np.abs(read(tmp_path / "a.tif") - grey).max() <= 3


@pytest.mark.parametrize(
    "profile",
    {
        "none": b"",
        "no profile": b"hello",
        "cut": profiles.swapped()[:200],
        "zeros": bytes(3000),
        "of inks": profiles.colourless_inks(),
        "of grey": profiles.grey(1.0),
        "large": profiles.swapped() + bytes(5_000_000),
    }.items(),
    ids=lambda case: case[0],
)
def test_profiles_that_are_no_help_are_passed_over(tmp_path, profile):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8))
    image.save(tmp_path / "a.tif", icc_profile=profile[1])
    assert read_image(tmp_path / "a.tif").tobytes() == image.tobytes()


def test_srgb_itself_moves_no_value(tmp_path):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    for shown in (image, image.convert("L")):
        shown.save(tmp_path / "a.png", icc_profile=srgb)
        assert read_image(tmp_path / "a.png").tobytes() == shown.convert("RGB").tobytes()


def test_nothing_of_the_file_goes_on_with_its_pixels(tmp_path):
    image = Image.new("RGB", (8, 8))
    image.save(
        tmp_path / "a.jpg", icc_profile=profiles.swapped(), exif=b"Exif\0\0secret", comment=b"x"
    )
    assert read_image(tmp_path / "a.jpg").info == {}


@pytest.mark.skipif(not CASES.is_dir(), reason="no cases beside the repository")
def test_the_case_of_profiles():
    wanted = read(CASES / "04-icc" / "srgb.png")
    converted = read(CASES / "04-icc" / "adobe-rgb.jpg")
    ignored = read(CASES / "04-icc" / "adobe-rgb.jpg", icc="ignore")
    assert np.abs(converted - wanted).mean() < 1
    assert np.abs(ignored - wanted).mean() > 1.3
