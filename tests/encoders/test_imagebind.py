"""ImageBind's arithmetic, written out, against its weights in open_clip's modules."""

from __future__ import annotations

import open_clip
import pytest
import torch
from torch.nn import functional
from torchvision import transforms
from zoo import IMAGEBIND_HEADS, VIT_CONFIG, imagebind_state, save_open_clip

from becam.attribution.capture import capture
from becam.encoders import EncoderRecord, load_encoder, load_recorded
from becam.errors import BecamError

EPS = 1e-6
TEXTS = ["a red dress", "a mug", "", "a " * 100]


class Naive:
    """ImageBind in double precision, head by head, from its state dict alone."""

    def __init__(self, state):
        self.state = {name: tensor.double() for name, tensor in state.items()}

    def linear(self, x, name):
        out = x @ self.state[f"{name}.weight"].T
        return out + self.state[f"{name}.bias"] if f"{name}.bias" in self.state else out

    def norm(self, x, name):
        mean = x.mean(-1, keepdim=True)
        variance = (x - mean).square().mean(-1, keepdim=True)
        normalised = (x - mean) / (variance + EPS).sqrt()
        return normalised * self.state[f"{name}.weight"] + self.state[f"{name}.bias"]

    def attention(self, x, name, causal):
        width = x.shape[-1]
        joint = x @ self.state[f"{name}.in_proj_weight"].T + self.state[f"{name}.in_proj_bias"]
        q, k, v = joint.split(width, dim=-1)
        size = width // IMAGEBIND_HEADS
        heads = []
        for head in range(IMAGEBIND_HEADS):
            part = slice(head * size, (head + 1) * size)
            scores = q[..., part] @ k[..., part].mT / size**0.5
            if causal:
                later = torch.ones(scores.shape[-2:]).triu(1).bool()
                scores = scores.masked_fill(later, -torch.inf)
            heads.append(scores.softmax(-1) @ v[..., part])
        return self.linear(torch.cat(heads, -1), f"{name}.out_proj")

    def blocks(self, x, tower, causal):
        after = []
        while f"modality_trunks.{tower}.blocks.{len(after)}.norm_1.weight" in self.state:
            name = f"modality_trunks.{tower}.blocks.{len(after)}"
            x = x + self.attention(self.norm(x, f"{name}.norm_1"), f"{name}.attn", causal)
            hidden = self.linear(self.norm(x, f"{name}.norm_2"), f"{name}.mlp.fc1")
            hidden = hidden * 0.5 * (1 + torch.erf(hidden / 2**0.5))
            x = x + self.linear(hidden, f"{name}.mlp.fc2")
            after.append(x)
        return after

    def vision_blocks(self, pixels):
        stem = "modality_preprocessors.vision"
        kernel = self.state[f"{stem}.rgbt_stem.proj.1.weight"]
        clip = pixels.double()[:, :, None].repeat(1, 1, 2, 1, 1)
        patches = functional.conv3d(clip, kernel, stride=kernel.shape[2:])
        tokens = patches.flatten(2).transpose(1, 2)
        first = self.state[f"{stem}.cls_token"].expand(len(tokens), -1, -1)
        tokens = torch.cat([first, tokens], 1)
        tokens = tokens + self.state[f"{stem}.pos_embedding_helper.pos_embed"]
        tokens = self.norm(tokens, "modality_trunks.vision.pre_transformer_layer.0")
        return self.blocks(tokens, "vision", causal=False)

    def vision(self, pixels):
        last = self.norm(self.vision_blocks(pixels)[-1], "modality_heads.vision.0")
        feature = self.linear(last[:, 0], "modality_heads.vision.2")
        return feature / feature.norm(dim=-1, keepdim=True)

    def text(self, ids):
        stem = "modality_preprocessors.text"
        tokens = self.state[f"{stem}.token_embedding.weight"][ids] + self.state[f"{stem}.pos_embed"]
        last = self.blocks(tokens, "text", causal=True)[-1]
        end = last[torch.arange(len(ids)), ids.argmax(-1)]
        feature = self.linear(
            self.norm(end, "modality_heads.text.proj.0"), "modality_heads.text.proj.1"
        )
        scale = self.state["modality_postprocessors.text.1.log_logit_scale"].exp().clamp(max=100)
        return scale * feature / feature.norm(dim=-1, keepdim=True)


def state_with(change=None, **sizes):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        state = imagebind_state(**sizes)
    if change:
        change(state)
    return state


def load(folder, state):
    path = folder / "imagebind_huge.pth"
    torch.save(state, path)
    return load_encoder("imagebind:huge", weights=path)


def shrink_tokens(state):
    """So small that the eps of the first norm counts."""
    for name in ("cls_token", "pos_embedding_helper.pos_embed", "rgbt_stem.proj.1.weight"):
        state[f"modality_preprocessors.vision.{name}"] *= 1e-3
    state["modality_preprocessors.text.pos_embed"] *= 1e-3
    state["modality_preprocessors.text.token_embedding.weight"] *= 1e-3


def raise_scale(state):
    state["modality_postprocessors.text.1.log_logit_scale"] = torch.tensor(6.0)


@pytest.mark.parametrize(
    ("change", "sizes"),
    [
        (None, {}),
        (shrink_tokens, {}),
        (raise_scale, {}),
        (None, {"width": 32, "text_width": 16, "blocks": 2, "patch": 8, "grid": 3}),
    ],
)
def test_features_are_those_of_the_arithmetic(change, sizes, tmp_path):
    state = state_with(change, **sizes)
    encoder = load(tmp_path, state)
    side = sizes.get("patch", 14) * sizes.get("grid", 4)
    assert encoder.preprocessing.size == (side, side)
    pixels = torch.randn(3, 3, side, side, generator=torch.Generator().manual_seed(1))
    naive = Naive(state)
    with torch.no_grad():
        assert torch.allclose(
            encoder.encode_image(pixels).double(), naive.vision(pixels), atol=1e-5
        )
        ids = open_clip.SimpleTokenizer(context_length=12)(TEXTS)
        expected = naive.text(ids)
        texts = encoder.encode_text(TEXTS).double()
    assert torch.allclose(texts, expected, atol=1e-5 * float(expected.norm(dim=-1).max()))
    _, ours = capture(encoder, encoder.target_layer(), pixels)
    theirs = naive.vision_blocks(pixels)[-2][:, 1:].mT.unflatten(2, encoder.target_layer().grid)
    assert torch.allclose(ours.double(), theirs, atol=1e-4)
    assert encoder.dim == 20


def test_the_scale_of_texts_is_capped(tmp_path):
    encoder = load(tmp_path, state_with(raise_scale))
    assert encoder.encode_text(["a mug"]).norm().item() == pytest.approx(100, rel=1e-5)
    pixels = torch.zeros(1, 3, 56, 56)
    assert encoder.encode_image(pixels).norm().item() == pytest.approx(1, rel=1e-5)


def test_pictures_are_prepared_as_by_torchvision(tmp_path, picture):
    encoder = load(tmp_path, state_with())
    theirs = transforms.Compose(
        [
            transforms.Resize(56, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(56),
            transforms.ToTensor(),
            transforms.Normalize(
                (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
            ),
        ]
    )(picture)
    assert torch.allclose(encoder.preprocessing(picture)[0], theirs, atol=1e-5)


def test_a_record_is_enough_to_rebuild(tmp_path):
    encoder = load(tmp_path, state_with())
    again = load_recorded(EncoderRecord.from_dict(encoder.record.to_dict()))
    pixels = torch.randn(1, 3, 56, 56)
    assert torch.equal(again.encode_image(pixels), encoder.encode_image(pixels))


def drop(name):
    return lambda state: state.pop(name)


def put(name, tensor):
    return lambda state: state.update({name: tensor})


@pytest.mark.parametrize(
    "change",
    [
        drop("modality_heads.vision.2.weight"),
        drop("modality_preprocessors.vision.rgbt_stem.proj.1.weight"),
        drop("modality_trunks.vision.blocks.1.attn.in_proj_bias"),
        drop("modality_trunks.text.blocks.0.mlp.fc1.weight"),
        drop("modality_postprocessors.text.1.log_logit_scale"),
        put("modality_trunks.vision.blocks.0.attn.lora.weight", torch.zeros(2, 2)),
        put("modality_trunks.vision.blocks.1.norm_1.weight", torch.zeros(3)),
        put("modality_preprocessors.vision.cls_token", torch.zeros(48)),
        put("modality_preprocessors.vision.rgbt_stem.proj.1.weight", torch.zeros(48, 3, 14, 14)),
        put("modality_preprocessors.vision.pos_embedding_helper.pos_embed", torch.zeros(1, 0, 48)),
        lambda state: state.clear(),
    ],
)
def test_weights_that_are_not_whole_are_told(change, tmp_path):
    with pytest.raises(BecamError, match="does not hold ImageBind's towers") as caught:
        load(tmp_path, state_with(change))
    assert "\n" not in str(caught.value)


def test_other_files_are_told(tmp_path):
    _, foreign = save_open_clip(tmp_path, "vit", VIT_CONFIG)
    with pytest.raises(BecamError, match="does not hold ImageBind's towers"):
        load_encoder("imagebind:huge", weights=foreign)
    load(tmp_path, state_with())
    cut = tmp_path / "cut.pth"
    cut.write_bytes((tmp_path / "imagebind_huge.pth").read_bytes()[:100_000])
    with pytest.raises(BecamError, match="cannot be read as weights") as caught:
        load_encoder("imagebind:huge", weights=cut)
    assert "\n" not in str(caught.value)
    with pytest.raises(BecamError, match="There is no weights file"):
        load_encoder("imagebind:huge", weights=tmp_path / "none.pth")
