"""Attention methods against a transformer written out head by head, from the papers' equations."""

from __future__ import annotations

import numpy as np
import pytest
import timm
import torch
from zoo import VIT_CONFIG, make_checkpoint, save_open_clip

from becam.attribution.methods import create_method
from becam.attribution.target import item_target
from becam.attribution.view import Engine
from becam.encoders import load_encoder

TIMM = {"img_size": 64, "depth": 3, "embed_dim": 48, "num_heads": 3}
REGISTERS = {**TIMM, "reg_tokens": 2, "qk_norm": True, "init_values": 0.5, "scale_attn_norm": True}
ENCODERS = ("open_clip", "open_clip, layer scale", "timm", "timm, registers")
ITEM = 7


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """Vision transformers of several builds, by name."""
    folder = tmp_path_factory.mktemp("transformers")
    made = {}
    scaled = {**VIT_CONFIG, "vision_cfg": {**VIT_CONFIG["vision_cfg"], "ls_init_value": 0.5}}
    for name, config in (("open_clip", VIT_CONFIG), ("open_clip, layer scale", scaled)):
        spec, weights = save_open_clip(folder, name.replace(", ", "_").replace(" ", "_"), config)
        made[name] = load_encoder(spec, weights=weights)
    for name, options in (("timm", TIMM), ("timm, registers", REGISTERS)):
        torch.manual_seed(0)
        model = timm.create_model("vit_tiny_patch16_224", num_classes=0, **options)
        for parameter in model.parameters():  # timm's own draw hardly lets patches be told apart
            torch.nn.init.normal_(parameter, std=0.2)
        weights = folder / f"{name}.pt"
        torch.save(model.state_dict(), weights)
        listed = ",".join(f"{k}={str(v).lower()}" for k, v in options.items())
        made[name] = load_encoder(f"timm:vit_tiny_patch16_224,{listed},size=64", weights=weights)
    return made


def block_parts(name, encoder):
    """Of each block: norms, attention weights and what comes after, under common names."""
    if name.startswith("open_clip"):
        for block in encoder.vision.transformer.resblocks:
            attention = block.attn
            yield {
                "norms": (block.ln_1, block.ln_2),
                "weight": attention.in_proj_weight.double(),
                "bias": attention.in_proj_bias.double(),
                "out": attention.out_proj,
                "mlp": block.mlp,
                "scales": (block.ls_1, block.ls_2),
                "heads": attention.num_heads,
            }
    else:
        for block in encoder.vision.blocks:
            attention = block.attn
            yield {
                "norms": (block.norm1, block.norm2),
                "weight": attention.qkv.weight.double(),
                "bias": attention.qkv.bias.double(),
                "out": attention.proj,
                "mlp": block.mlp,
                "scales": (block.ls1, block.ls2),
                "heads": attention.num_heads,
                "q_norm": attention.q_norm,
                "k_norm": attention.k_norm,
                "norm": attention.norm,
            }


def entry(name, vision, pixels):
    """Tokens as the first block gets them."""
    if name.startswith("open_clip"):
        patches = vision.conv1(pixels[None]).flatten(2).transpose(1, 2)[0]
        tokens = torch.cat([vision.class_embedding[None], patches]) + vision.positional_embedding
        return vision.ln_pre(tokens)
    patches = vision.patch_embed.proj(pixels[None]).flatten(2).transpose(1, 2)[0]
    registers = [] if vision.reg_token is None else [vision.reg_token[0]]
    tokens = torch.cat([vision.cls_token[0], *registers, patches]) + vision.pos_embed[0]
    return vision.norm_pre(tokens)


def attend(parts, tokens, seen):
    """Multi-head self-attention, one head at a time."""
    width = tokens.shape[1]
    projected = tokens @ parts["weight"].T + parts["bias"]
    q, k, v = projected[:, :width], projected[:, width : 2 * width], projected[:, 2 * width :]
    size = width // parts["heads"]
    outputs, queries, keys, probabilities = [], [], [], []
    for head in range(parts["heads"]):
        span = slice(head * size, (head + 1) * size)
        query = parts["q_norm"](q[:, span]) if "q_norm" in parts else q[:, span]
        key = parts["k_norm"](k[:, span]) if "k_norm" in parts else k[:, span]
        scores = query @ key.T / size**0.5
        exponentials = (scores - scores.max(1, keepdim=True).values).exp()
        share = exponentials / exponentials.sum(1, keepdim=True)
        share.requires_grad_() if not share.requires_grad else None
        share.retain_grad()
        probabilities.append(share)
        outputs.append(share @ v[:, span])
        queries.append(query)
        keys.append(key)
    mixed = torch.cat(outputs, 1)
    mixed.retain_grad()
    seen.append(
        {
            "probabilities": probabilities,
            "mixed": mixed,
            "q": torch.cat(queries, 1),
            "k": torch.cat(keys, 1),
            "v": v,
        }
    )
    return parts["out"](parts["norm"](mixed) if "norm" in parts else mixed)


@pytest.fixture(params=ENCODERS)
def case(request, encoders, picture):
    """A view, a target, and what a forward and a backward pass written out in float64 saw."""
    name, encoder = request.param, encoders[request.param]
    checkpoint = make_checkpoint(encoder)
    view = Engine(encoder, encoder.target_layer()).view(picture)
    vision, seen = encoder.vision, []
    encoder.double()
    try:
        tokens = entry(name, vision, view.pixels.double()).detach()
        for parts in block_parts(name, encoder):
            attended = attend(parts, parts["norms"][0](tokens), seen)
            tokens = tokens + parts["scales"][0](attended)
            tokens = tokens + parts["scales"][1](parts["mlp"](parts["norms"][1](tokens)))
        if name.startswith("open_clip"):
            feature = vision.ln_post(tokens[0]) @ vision.proj
        else:
            feature = vision.norm(tokens[0])
        modality = checkpoint.modalities["image"]
        z = modality.projection_weight.double() @ feature + modality.projection_bias.double()
        item = checkpoint.item_embeddings[ITEM].double()
        (z @ item / (z.norm() * item.norm())).backward()
    finally:
        encoder.float()
    expected = encoder.encode_image(view.pixels[None])[0]
    assert torch.allclose(
        feature.detach().float(), expected, rtol=1e-3, atol=1e-3
    )  # the same model
    prefix = 3 if "registers" in name else 1
    return view, item_target(checkpoint, f"0{ITEM:03d}", space="adapted"), seen, prefix


def saliency(name, case):
    view, target, *_ = case
    return create_method(name).saliency(view, target).map.numpy()


def test_rollout(case):
    _, _, seen, prefix = case
    flow = None
    for block in seen:
        mean = sum(share.detach().numpy() for share in block["probabilities"])
        mean = mean / len(block["probabilities"])
        mixed = 0.5 * mean + 0.5 * np.eye(len(mean))
        flow = mixed if flow is None else mixed @ flow
    np.testing.assert_allclose(flow.sum(1), 1)
    expected = flow[0, prefix:].reshape(4, 4)
    found = saliency("attention-rollout", case)
    np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert found.std() > 1e-3 * found.mean()


def test_attention_and_gradient(case):
    _, _, seen, prefix = case
    relevance = np.eye(len(seen[0]["mixed"]))
    for block in seen:
        agreeing = np.zeros_like(relevance)
        for share in block["probabilities"]:
            agreeing += np.maximum(share.grad.numpy() * share.detach().numpy(), 0)
        relevance = relevance + agreeing / len(block["probabilities"]) @ relevance
    expected = relevance[0, prefix:].reshape(4, 4)
    found = saliency("attention-gradient", case)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-4 * expected.max())
    assert (found >= 0).all()
    assert found.std() > 1e-2 * found.mean()


def test_grad_eclip(case):
    _, _, seen, prefix = case
    last = seen[-1]
    channel_weights = last["mixed"].grad[0].numpy()
    q, k, v = (last[part].detach().numpy() for part in "qkv")
    alike, values = [], []
    for patch in range(prefix, len(k)):
        alike.append(q[0] @ k[patch] / (np.linalg.norm(q[0]) * np.linalg.norm(k[patch])))
        values.append(sum(w * c for w, c in zip(channel_weights, v[patch], strict=True)))
    alike = np.array(alike)
    loosened = (alike - alike.min()) / (alike.max() - alike.min())
    expected = (loosened * np.array(values)).reshape(4, 4)
    found = saliency("grad-eclip", case)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-4 * np.abs(expected).max())
    assert found.std() > 0


def test_the_class_tokens_own_similarity_is_explained_exactly(case):
    """The gradient at the attention's output predicts what a small step there does."""
    view, target, seen, prefix = case
    from becam.attribution.methods.recorded import recording

    record = recording(view)
    for ours, naive in zip(record.blocks, seen, strict=True):
        shares = torch.stack(naive["probabilities"]).detach().float()
        assert torch.allclose(ours.probabilities[0].detach(), shares, atol=1e-4)
        assert torch.allclose(ours.probabilities.sum(-1), torch.ones(()), atol=1e-5)
    (gradient,) = record.mixed().gradients(target)
    expected = seen[-1]["mixed"].grad
    scale = float(expected.abs().max())
    assert torch.allclose(gradient[0].double(), expected, atol=1e-3 * scale)
    # Of the last block only the class token reaches the feature.
    assert gradient[0, 1:].abs().max() <= 1e-6 * scale
    assert prefix in (1, 3)


@pytest.mark.parametrize("name", ["attention-rollout", "attention-gradient", "grad-eclip"])
def test_the_encoder_is_shared_and_not_altered(name, encoders, picture):
    encoder = encoders["timm, registers"]
    modules = list(encoder.modules())
    view = Engine(encoder, encoder.target_layer()).view(picture)
    target = item_target(make_checkpoint(encoder), "0007", space="adapted")
    create_method(name).saliency(view, target)
    assert list(encoder.modules()) == modules
    assert all(not parameter.requires_grad for parameter in encoder.parameters())
    assert all(parameter.grad is None for parameter in encoder.parameters())
