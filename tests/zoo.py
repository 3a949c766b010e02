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

_TEXT = VIT_CONFIG["text_cfg"]
_OPEN_CLIP_FAMILIES = {
    "open_clip-vit-avg": {
        **VIT_CONFIG,
        "vision_cfg": {
            **VIT_CONFIG["vision_cfg"],
            "pool_type": "avg",
            "no_ln_pre": True,
            "final_ln_after_pool": True,
        },
    },
    "open_clip-vit-custom": {
        **VIT_CONFIG,
        "vision_cfg": {**VIT_CONFIG["vision_cfg"], "qk_norm": True, "scale_fc": True},
    },
    # Tower and output are equally wide, so that the pooling's attention looks like any other.
    "open_clip-coca": {
        "embed_dim": 48,
        "vision_cfg": {
            **VIT_CONFIG["vision_cfg"],
            "attentional_pool": True,
            "attn_pooler_queries": 7,
            "attn_pooler_heads": 4,
            "output_tokens": True,
        },
        "text_cfg": {**_TEXT, "embed_cls": True, "output_tokens": True},
        "multimodal_cfg": {"context_length": 12, "width": 16, "heads": 2, "layers": 1},
        "custom_text": True,
    },
    "open_clip-eva": {
        "embed_dim": 24,
        "vision_cfg": {
            "image_size": 56,
            "timm_model_name": "zoo_eva",
            "timm_pool": "token",
            "timm_proj": None,
        },
        "text_cfg": _TEXT,
        "custom_text": True,
    },
    # SigLIP's; a name with siglip in it would make open_clip ask the hub for a tokenizer.
    "open_clip-map": {
        "embed_dim": 48,
        "init_logit_bias": -10,
        "vision_cfg": {
            "image_size": 64,
            "timm_model_name": "zoo_map",
            "timm_pool": "map",
            "timm_proj": "none",
        },
        "text_cfg": {**_TEXT, "no_causal_mask": True, "proj_bias": True, "pool_type": "last"},
        "custom_text": True,
    },
    "open_clip-convnext": {
        "embed_dim": 24,
        "vision_cfg": {
            "image_size": 96,
            "timm_model_name": "test_convnext",
            "timm_pool": "",
            "timm_proj": "linear",
        },
        "text_cfg": _TEXT,
    },
}
_SMALL = "embed_dim=48,depth=3,num_heads=3"
_TIMM_FAMILIES = {
    "timm-vit": f"timm:vit_tiny_patch16_224,{_SMALL},img_size=64",
    "timm-vit-avg": f"timm:vit_tiny_patch16_224,{_SMALL},img_size=64,global_pool=avg",
    "timm-dinov2": f"timm:vit_small_patch14_reg4_dinov2,{_SMALL},img_size=56",
    "timm-map": f"timm:vit_base_patch16_siglip_224,{_SMALL},img_size=64",
    "timm-eva": f"timm:eva02_tiny_patch14_224,{_SMALL},img_size=56",
    "timm-convnext": "timm:test_convnext,size=96",
    "timm-efficientnet": "timm:test_efficientnet,size=96",
    "timm-mobilenetv3": "timm:mobilenetv3_small_050,size=96",
    "timm-resnet": "timm:test_resnet,size=96",
    "timm-mambaout": "timm:test_mambaout,size=96",
}

FAMILIES = (*_OPEN_CLIP_FAMILIES, *_TIMM_FAMILIES, "imagebind")
"""Beside ``ENCODERS``: the architectures that the contract covers."""

IMAGEBIND_HEADS = 16


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


def save_family(folder: Path, name: str) -> tuple[str, Path]:
    """Write random weights of one of ``FAMILIES``; the spec and the weights file."""
    torch.manual_seed(0)
    weights = folder / f"{name}.pt"
    if name == "imagebind":
        torch.save(imagebind_state(), weights)
        return "imagebind:huge", weights
    if name in _TIMM_FAMILIES:
        spec = _TIMM_FAMILIES[name]
        torch.save(lively(timm_model(spec)).state_dict(), weights)
        return spec, weights
    config = _OPEN_CLIP_FAMILIES[name]
    torch.save(lively(open_clip_model(config)).state_dict(), weights)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(config))
    return f"open_clip:{path}", weights


def timm_model(spec: str) -> torch.nn.Module:
    """timm's own model for a spec."""
    import timm

    from becam.encoders.spec import EncoderSpec

    parsed = EncoderSpec.parse(spec)
    options = {k: v for k, v in parsed.options.items() if k != "size"}
    return timm.create_model(
        parsed.name, **{k: int(v) if v.isdigit() else v for k, v in options.items()}
    )


def open_clip_model(config: dict) -> torch.nn.Module:
    """open_clip's own model for a config."""
    import open_clip
    from open_clip.model import CustomTextCLIP

    _register_small_trunks()
    config = dict(config)
    custom = CustomTextCLIP if config.pop("custom_text", False) else open_clip.CLIP
    return (open_clip.CoCa if "multimodal_cfg" in config else custom)(**config)


def _register_small_trunks() -> None:
    """open_clip takes timm's models by name alone, so small ones need a name."""
    import timm
    from timm.models.eva import eva02_base_patch16_clip_224
    from timm.models.vision_transformer import vit_base_patch16_siglip_224

    small = {"embed_dim": 48, "depth": 3, "num_heads": 3}

    def zoo_eva(pretrained: bool = False, **options) -> torch.nn.Module:
        return eva02_base_patch16_clip_224(
            pretrained, **{**small, "img_size": 56, "patch_size": 14, **options}
        )

    def zoo_map(pretrained: bool = False, **options) -> torch.nn.Module:
        return vit_base_patch16_siglip_224(pretrained, **{**small, "img_size": 64, **options})

    for entry in (zoo_eva, zoo_map):
        if not timm.is_model(entry.__name__):
            timm.models.register_model(entry)


@torch.no_grad()
def lively(model: torch.nn.Module) -> torch.nn.Module:
    """Scales, shifts and statistics as after some training, where initialisation mutes blocks."""
    if hasattr(model, "text_decoder"):  # open_clip leaves in it what the memory holds
        torch.nn.init.normal_(model.text_decoder.text_projection)
    for name, parameter in model.named_parameters():
        if parameter.numel() > 1 and parameter.min() == parameter.max():
            scale = parameter.ndim == 1 and name.endswith(("weight", "gamma"))
            parameter.uniform_(*((0.5, 1.5) if scale else (-0.1, 0.1)))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return model


def imagebind_state(
    width: int = 48, text_width: int = 32, blocks: int = 3, patch: int = 14, grid: int = 4
) -> dict[str, torch.Tensor]:
    """Random weights of a small ImageBind under its own names, another modality included."""
    out, length, vocabulary = 20, 12, 49408
    state: dict[str, torch.Tensor] = {}

    def norm(name: str, size: int) -> None:
        state[f"{name}.weight"] = torch.rand(size) + 0.5
        state[f"{name}.bias"] = torch.randn(size) * 0.1

    def linear(name: str, rows: int, columns: int, bias: bool = True) -> None:
        state[f"{name}.weight"] = torch.randn(rows, columns) / columns**0.5
        if bias:
            state[f"{name}.bias"] = torch.randn(rows) * 0.1

    for tower, size in (("vision", width), ("text", text_width)):
        for block in range(blocks):
            path = f"modality_trunks.{tower}.blocks.{block}"
            state[f"{path}.attn.in_proj_weight"] = torch.randn(3 * size, size) / size**0.5
            state[f"{path}.attn.in_proj_bias"] = torch.randn(3 * size) * 0.1
            linear(f"{path}.attn.out_proj", size, size)
            norm(f"{path}.norm_1", size)
            linear(f"{path}.mlp.fc1", 4 * size, size)
            linear(f"{path}.mlp.fc2", size, 4 * size)
            norm(f"{path}.norm_2", size)
    vision = "modality_preprocessors.vision"
    state[f"{vision}.cls_token"] = torch.randn(1, 1, width)
    state[f"{vision}.pos_embedding_helper.pos_embed"] = torch.randn(1, grid**2 + 1, width)
    state[f"{vision}.rgbt_stem.proj.1.weight"] = torch.randn(width, 3, 2, patch, patch) / 30
    norm("modality_trunks.vision.pre_transformer_layer.0", width)
    norm("modality_heads.vision.0", width)
    linear("modality_heads.vision.2", out, width, bias=False)
    text = "modality_preprocessors.text"
    state[f"{text}.token_embedding.weight"] = torch.randn(vocabulary, text_width)
    state[f"{text}.pos_embed"] = torch.randn(1, length, text_width)
    state[f"{text}.mask"] = torch.full((length, length), -torch.inf).triu(1)
    norm("modality_heads.text.proj.0", text_width)
    linear("modality_heads.text.proj.1", out, text_width, bias=False)
    state["modality_postprocessors.text.1.log_logit_scale"] = torch.tensor(3.0)
    state["modality_preprocessors.audio.cls_token"] = torch.randn(1, 1, 8)
    state["modality_postprocessors.audio.1.log_logit_scale"] = torch.tensor(3.0)
    return state


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
