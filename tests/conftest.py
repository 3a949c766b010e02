"""Fixtures that several tests share."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image
from zoo import RESNET_CONFIG, VIT_CONFIG, save_open_clip, save_timm

from becam.encoders import load_encoder
from becam.encoders.base import Encoder

# The models of these tests are so small that a second thread only waits for the first.
torch.set_num_threads(1)
# Shells start background jobs with Ctrl-C ignored, and several tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A busy machine is no defect.
settings.register_profile("becam", settings(), deadline=None)
settings.load_profile("becam")


@pytest.fixture(scope="session")
def encoder_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, Path | None]]:
    """Spec and weights file by name of the encoder."""
    folder = tmp_path_factory.mktemp("encoders")
    return {
        "open_clip-vit": save_open_clip(folder, "tiny_vit", VIT_CONFIG),
        "open_clip-resnet": save_open_clip(folder, "tiny_resnet", RESNET_CONFIG),
        "timm-cnn": save_timm(folder),
        "becam-vit": ("becam:vit", None),
        "becam-resnet": ("becam:resnet", None),
    }


@pytest.fixture(scope="session")
def load(encoder_files):
    """Load an encoder by its name in ``ENCODERS``, once a session."""
    loaded: dict[str, Encoder] = {}

    def get(name: str) -> Encoder:
        if name not in loaded:
            spec, weights = encoder_files[name]
            loaded[name] = load_encoder(spec, weights=weights)
        return loaded[name]

    return get


@pytest.fixture(scope="session")
def picture() -> Image.Image:
    """A portrait picture with structure at several scales."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:150, 0:100]
    base = np.stack([np.sin(x / 9), np.cos(y / 13), np.sin((x + y) / 21)], -1) * 90 + 128
    base[40:90, 30:70] = (220, 40, 60)
    return Image.fromarray(np.clip(base + rng.normal(0, 8, base.shape), 0, 255).astype(np.uint8))


@pytest.fixture
def run_cli(monkeypatch, capfd):
    """Run ``becam ARGS`` in this process: exit status, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        from becam.cli import main

        monkeypatch.setattr("sys.argv", ["becam", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        output, errors = capfd.readouterr()
        code = left.value.code
        return (code if isinstance(code, int) else 0 if code is None else 1), output, errors

    return run
