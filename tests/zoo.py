"""What several tests build on: small encoders of every family, with weights that tests save."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"

VIT_CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 64, "layers": 3, "width": 48, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
RESNET_CONFIG = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 96, "layers": [1, 1, 1, 1], "width": 8, "patch_size": None},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}
TIMM_SPEC = "timm:mobilenetv2_050,size=96,mean=0.5,std=0.5"

ENCODERS = ("open_clip-vit", "open_clip-resnet", "timm-cnn", "becam-vit", "becam-resnet")


def save_open_clip(folder: Path, stem: str, config: dict) -> tuple[str, Path]:
    """Write a model config and random weights; the spec and the weights file."""
    import open_clip
    from safetensors.torch import save_file

    path = folder / f"{stem}.json"
    path.write_text(json.dumps(config))
    torch.manual_seed(0)
    model = open_clip.CLIP(**config)
    for module in model.modules():  # running statistics as after some training
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            # open_clip starts the last norm of each block at zero, which would mute the block.
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    weights = folder / f"{stem}.safetensors"
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, weights)
    return f"open_clip:{path}", weights


def save_timm(folder: Path) -> tuple[str, Path]:
    """Random weights of a small MobileNet, classifier included as in public files."""
    import timm

    torch.manual_seed(0)
    weights = folder / "mobilenet.pt"
    torch.save(timm.create_model("mobilenetv2_050").state_dict(), weights)
    return TIMM_SPEC, weights


def make_checkpoint(
    encoder, n_items: int = 30, adapter: str = "none", dim: int = 16, seed: int = 0, trained=None
):
    """A checkpoint over ``encoder`` with random weights, as training would write it."""
    from becam.adapters import create_adapter
    from becam.checkpoint import Checkpoint, Modality

    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        built = create_adapter(adapter, dim)
    state = {} if trained is None else {"features.image.rows": trained}
    return Checkpoint(
        item_ids=[f"0{i:03d}" for i in range(n_items)],
        user_ids=[f"u{i}" for i in range(10)],
        item_embeddings=draw(n_items, dim),
        user_embeddings=draw(10, dim),
        modalities={
            "image": Modality(
                projection_weight=draw(dim, encoder.dim) / encoder.dim**0.5,
                projection_bias=draw(dim) * 0.01,
                adapter={"name": adapter, "config": built.config(), "state": built.state_dict()},
                encoder=encoder.record.to_dict(),
            )
        },
        recommender={"name": "bm3", "config": {}},
        state=state,
        metrics={"epoch": 1, "validation": {}, "test": {}},
        dataset={"name": "zoo", "fingerprint": "0"},
        training={},
    )


def huge_png(path: Path, width: int, height: int) -> None:
    """A valid PNG header of a huge picture; no decoder should ever get to its missing pixels."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )
