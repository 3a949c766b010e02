"""BeCAM against a loop written from Eq. 1 and 2: one channel at a time, nothing shared."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from zoo import ENCODERS

from becam.attribution.masking import mask_coefficients, upsample
from becam.attribution.view import Engine, Settings
from becam.attribution.weighting import channel_weights, cosine, weighted_sum


def naive_activation(encoder, pixels):
    """The activation by other means than hooks, where the library offers one."""
    name = type(encoder).__name__
    with torch.no_grad():
        if name == "TimmEncoder":
            features = encoder.vision.forward_features(pixels[None])
            return features[0]
        if hasattr(encoder.vision, "transformer"):
            count = len(encoder.vision.transformer.resblocks)
            out = encoder.vision.forward_intermediates(
                pixels[None], indices=[count - 2], intermediates_only=True
            )
            return out["image_intermediates"][0][0]
        out = encoder.vision.forward_intermediates(pixels[None], indices=1, intermediates_only=True)
        return out["image_intermediates"][-1][0]


def naive_upsample(channel, height, width):
    """Bilinear, half-pixel centres (align_corners=False), written out in numpy."""
    rows, columns = channel.shape

    def axis(size, cells):
        at = np.clip((np.arange(size) + 0.5) * cells / size - 0.5, 0, cells - 1)
        low = np.floor(at).astype(int)
        high = np.minimum(low + 1, cells - 1)
        return low, high, at - low

    y0, y1, fy = axis(height, rows)
    x0, x1, fx = axis(width, columns)
    top = channel[y0][:, x0] * (1 - fx) + channel[y0][:, x1] * fx
    bottom = channel[y1][:, x0] * (1 - fx) + channel[y1][:, x1] * fx
    return top * (1 - fy)[:, None] + bottom * fy[:, None]


def naive_becam(encoder, pixels, project, item):
    activation = naive_activation(encoder, pixels).double().numpy()
    height, width = pixels.shape[-2:]
    total = np.zeros(activation.shape[1:])
    weights = []
    for channel in activation:
        up = naive_upsample(channel, height, width)
        span = up.max() - up.min()
        if span <= 1e-6 * np.abs(up).max():
            weights.append(0.0)
            continue
        mask = torch.from_numpy((up - up.min()) / span).float()
        with torch.no_grad():
            feature = encoder.encode_image((pixels * mask)[None])[0]
        z = (project @ feature).double()
        e = item.double()
        weight = float(z @ e) / (math.sqrt(float(z @ z)) * math.sqrt(float(e @ e)))
        weights.append(weight)
        total += weight * channel
    return total, np.array(weights)


@pytest.mark.parametrize("name", ENCODERS)
def test_map_equals_the_naive_loop(name, load, picture):
    encoder = load(name)
    pixels, _ = encoder.preprocessing(picture)
    generator = torch.Generator().manual_seed(1)
    project = torch.randn(16, encoder.dim, generator=generator)
    item = torch.randn(16, generator=generator)
    expected, expected_weights = naive_becam(encoder, pixels, project, item)

    maps = {}
    for batch_size in (1, 7, 256):
        settings = Settings(batch_size=batch_size)
        found = Engine(encoder, encoder.target_layer(), settings).view(picture)
        cosines = cosine(found.masked_features @ project.T, item[None])
        weights = channel_weights(cosines, found.live, "cosine", torch.tensor(0.0))
        np.testing.assert_allclose(weights.numpy(), expected_weights, atol=2e-5)
        maps[batch_size] = weighted_sum(found.activation, weights).numpy()
        error = np.linalg.norm(maps[batch_size] - expected) / np.linalg.norm(expected)
        assert error < 1e-5, batch_size
    assert np.abs(maps[1] - maps[256]).max() <= 1e-5 * np.abs(maps[1]).max()
    assert np.abs(maps[7] - maps[256]).max() <= 1e-5 * np.abs(maps[7]).max()


def test_flat_channels_have_no_mask_and_no_nan():
    activation = torch.zeros(4, 3, 3)
    activation[1] = 7.5
    activation[2] = torch.arange(9.0).reshape(3, 3)
    activation[3] = 1e8
    activation[3, 0, 0] += 8.0  # one step of float32 at this size: rounding, not a range
    coefficients, live = mask_coefficients(activation, (12, 12))
    assert live.tolist() == [False, False, True, False]
    assert coefficients.isfinite().all()
    assert coefficients[[0, 1, 3]].abs().sum() == 0
    mask = upsample(coefficients, (12, 12))[2]
    assert mask.min() == pytest.approx(0, abs=1e-7)
    assert mask.max() == pytest.approx(1, abs=1e-7)


def test_dead_channels_weigh_nothing(load, picture):
    """A ResNet whose last block's norm is muted has channels that are zero everywhere."""
    import copy

    encoder = copy.deepcopy(load("open_clip-resnet"))
    layer = encoder.vision.layer4[-1]
    with torch.no_grad():
        for norm in (layer.bn3, layer.downsample[-1]):
            norm.weight[:10] = 0
            norm.bias[:10] = -1
    found = Engine(encoder, encoder.target_layer()).view(picture)
    assert not found.live[:10].any()
    weights = channel_weights(torch.ones(len(found.live)), found.live, "cosine", torch.tensor(0.0))
    assert weights[:10].tolist() == [0.0] * 10
    assert weighted_sum(found.activation, weights).isfinite().all()


def test_weightings_by_hand():
    cosines = torch.tensor([0.5, 0.1, -0.3, 0.9])
    live = torch.tensor([True, True, True, False])
    blank = torch.tensor(0.2)
    by = {w: channel_weights(cosines, live, w, blank) for w in ("cosine", "centered", "increase")}
    assert torch.allclose(by["cosine"], torch.tensor([0.5, 0.1, -0.3, 0.0]))
    assert torch.allclose(by["centered"], torch.tensor([0.4, 0.0, -0.4, 0.0]), atol=1e-7)
    assert torch.allclose(by["increase"], torch.tensor([0.3, -0.1, -0.5, 0.0]))
    soft = channel_weights(cosines, live, "softmax", blank)
    parts = [math.exp(v) for v in (0.5, 0.1, -0.3)]
    expected = torch.tensor([*(p / sum(parts) for p in parts), 0.0])
    assert torch.allclose(soft, expected)


@pytest.mark.parametrize("masking", ["mean", "black", "blur"])
def test_maskings_fade_to_what_they_say(masking, load, picture):
    from becam.attribution.masking import background, mask_picture

    preprocessing = load("open_clip-vit").preprocessing
    pixels, _ = preprocessing(picture)
    faded = background(pixels, preprocessing, masking)
    gone = mask_picture(pixels, torch.zeros(1, *pixels.shape[-2:]), faded)[0]
    kept = mask_picture(pixels, torch.ones(1, *pixels.shape[-2:]), faded)[0]
    assert torch.allclose(kept, pixels, atol=1e-6)
    mean = torch.tensor(preprocessing.mean)[:, None, None]
    std = torch.tensor(preprocessing.std)[:, None, None]
    shown = gone * std + mean
    if masking == "mean":
        assert torch.allclose(shown, mean.expand_as(shown), atol=1e-6)
    elif masking == "black":
        assert shown.abs().max() < 1e-6
    else:
        sigma = min(pixels.shape[-2:]) / 8
        for ours, channel in zip(gone, pixels, strict=True):
            theirs = gaussian_filter(channel.numpy(), sigma, mode="mirror", truncate=2)
            assert np.allclose(ours.numpy(), theirs, atol=1e-4)
