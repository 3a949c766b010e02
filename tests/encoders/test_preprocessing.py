"""Our transform, which keeps its geometry, against the libraries' own."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from open_clip.transform import image_transform
from PIL import Image
from timm.data.transforms_factory import transforms_imagenet_eval

from becam.encoders.preprocessing import Preprocessing

SIZES = [(300, 200), (200, 300), (64, 64), (1000, 90), (97, 341), (50, 40)]
MEAN, STD = (0.48, 0.45, 0.40), (0.26, 0.26, 0.27)


def noise(size):
    rng = np.random.default_rng(sum(size))
    low = rng.integers(0, 256, (12, 12, 3), np.uint8)
    return Image.fromarray(low).resize(size, Image.Resampling.BICUBIC)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
def test_open_clip(size, mode):
    image = noise(size)
    theirs = image_transform(
        64, is_train=False, mean=MEAN, std=STD, resize_mode=mode, interpolation="bicubic"
    )(image)
    ours, _ = Preprocessing((64, 64), MEAN, STD, mode)(image)
    assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crop_pct", [0.875, 0.9, 1.0])
def test_timm(size, crop_pct):
    image = noise(size)
    theirs = transforms_imagenet_eval(
        96, crop_pct=crop_pct, interpolation="bicubic", mean=MEAN, std=STD
    )(image)
    ours, _ = Preprocessing((96, 96), MEAN, STD, crop_pct=crop_pct)(image)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_visible_never_leaves_the_picture():
    for size in SIZES:
        for mode in ("shortest", "longest", "squash"):
            _, geometry = Preprocessing((64, 64), MEAN, STD, mode)(noise(size))
            left, top, right, bottom = geometry.visible
            assert 0 <= left < right <= size[0]
            assert 0 <= top < bottom <= size[1]
            if mode != "shortest":
                assert geometry.visible == (0, 0, *size)


@pytest.mark.parametrize("mode", ["shortest", "longest", "squash"])
@pytest.mark.parametrize("size", [(3, 200), (200, 3), (1, 60), (2000, 40), (90, 4000)])
def test_a_thin_picture_is_cropped_first_and_comes_out_the_same(size, mode):
    image = noise(size)
    theirs = image_transform(
        64, is_train=False, mean=MEAN, std=STD, resize_mode=mode, interpolation="bilinear"
    )(image)
    ours, _ = Preprocessing((64, 64), MEAN, STD, mode, interpolation="bilinear")(image)
    assert (ours - theirs).abs().max() * min(STD) * 255 <= 2  # levels of 255, by rounding


def test_memory_does_not_grow_with_the_aspect_ratio():
    code = (
        "import resource; from PIL import Image; from becam.encoders.preprocessing import *\n"
        "crop = Preprocessing((224, 224), (0.5,) * 3, (0.5,) * 3).crop\n"
        "crop(Image.new('RGB', (300, 300)))\n"
        "start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(crop(Image.new('RGB', (1, 90_000)))[1].visible)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    visible, grown = done.stdout.splitlines()
    assert visible == "(0, 44999, 1, 45000)"
    assert int(grown) < 20_000  # KiB; the whole would be 18 GB


@pytest.mark.parametrize("size", [(1, 1), (2000, 1), (1, 2000), (1, 90_000)])
def test_the_thinnest_pictures(size):
    for mode in ("shortest", "longest", "squash"):
        pixels, geometry = Preprocessing((64, 64), MEAN, STD, mode)(Image.new("RGB", size, "red"))
        assert torch.isfinite(pixels).all()
        left, top, right, bottom = geometry.box
        assert right > left
        assert bottom > top
