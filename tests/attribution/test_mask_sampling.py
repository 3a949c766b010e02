"""Fast mode: which masks are encoded, what is inferred, and how far that may be off."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import pearsonr
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from zoo import make_checkpoint

from becam.attribution import Explainer, controls
from becam.attribution.methods import BeCAM
from becam.attribution.sampling import Inferred, MaskSample, expected_correlation
from becam.attribution.target import item_target
from becam.attribution.view import Engine
from becam.attribution.weighting import WEIGHTINGS, channel_weights, weight_effects, weighted_sum

NUGGET = 5e-2
ITEM = "0007"


def picture():
    rng = np.random.default_rng(3)
    noise = gaussian_filter(rng.normal(size=(90, 90, 3)), (6, 6, 0))
    scaled = 255 * (noise - noise.min()) / np.ptp(noise)
    return Image.fromarray(scaled.astype(np.uint8))


@pytest.fixture(scope="module")
def view(load):
    encoder = load("open_clip-vit")
    return Engine(encoder, encoder.target_layer()).view(picture())


@pytest.fixture(scope="module")
def target(view):
    return item_target(make_checkpoint(view.engine.encoder), ITEM, space="adapted")


def positions(view):
    """Where masks lie for the process: blurred, in units of their spread; blank and whole last."""
    masks = view.coefficients[view.live].double().numpy()
    ends = np.stack([np.zeros(view.grid), np.ones(view.grid)])
    blurred = [gaussian_filter(m, 0.5, mode="nearest", radius=2).ravel() for m in (*masks, *ends)]
    points = np.array(blurred)
    spread = np.sqrt(2 * np.mean((points[:-2] - points[:-2].mean(0)) ** 2))
    return points / spread


def process(points):
    length = np.sqrt(points.shape[1])
    return GaussianProcessRegressor(RBF(length), alpha=NUGGET, optimizer=None)


def test_inference_is_that_of_a_gaussian_process(view, target):
    sample = MaskSample(view)
    sample.grow(12)
    with torch.no_grad():
        values = target.similarity(sample.features).double().numpy()
        inferred = sample.infer(torch.from_numpy(values))
        exact = target.similarity(view.masked_features).double().numpy()
    points = positions(view)
    n = len(points) - 2
    order = [n, n + 1, *np.flatnonzero(np.diag(inferred.covariance.numpy()) == 0)]
    known = {round(float(v), 10): i for i, v in zip(order[2:], exact[order[2:]], strict=True)}
    rows = [n, n + 1] + [
        min(known.items(), key=lambda pair: abs(pair[0] - v))[1] for v in values[2:]
    ]
    ones = process(points).fit(points[rows], np.ones(len(rows)))
    gram = ones.kernel_(points[rows]) + NUGGET * np.eye(len(rows))
    weights = np.linalg.solve(gram, np.ones(len(rows)))
    mean = weights @ values / weights.sum()
    fitted = process(points).fit(points[rows], values - mean)
    rest = [i for i in range(n) if i not in rows]
    expected, covariance = fitted.predict(points[rest], return_cov=True)
    variance = (values - mean) @ np.linalg.solve(gram, values - mean) / (len(rows) - 1)
    found = inferred.similarities.numpy()
    np.testing.assert_allclose(found[rest], expected + mean, atol=1e-6)
    np.testing.assert_allclose(found[rows[2:]], exact[rows[2:]], atol=1e-6)
    covariance = variance * (covariance + NUGGET * np.eye(len(rest)))
    np.testing.assert_allclose(
        inferred.covariance.numpy()[np.ix_(rest, rest)], covariance, atol=1e-8
    )


def test_each_mask_chosen_leaves_the_least_error_in_the_map(view):
    """Against the posterior of scikit-learn's process, every choice tried in turn."""
    points = positions(view)
    n = len(points) - 2
    effects = view.activation[view.live].flatten(1).double().numpy()
    effects = effects - effects.mean(1, keepdims=True)
    effects = effects - effects.mean(0)

    def error_left(known):
        """Expected squared error of the map, over its cells, once these masks are known."""
        unknown = [i for i in range(n) if i not in known]
        fitted = process(points).fit(points[known], np.zeros(len(known)))
        _, covariance = fitted.predict(points[unknown], return_cov=True)
        covariance += NUGGET * np.eye(len(unknown))
        return np.trace(effects[unknown].T @ covariance @ effects[unknown])

    sample = MaskSample(view)
    seen = [n, n + 1]
    for _ in range(4):
        rest = [i for i in range(n) if i not in seen]
        seen.append(min(rest, key=lambda i: error_left([*seen, i])))
        sample.grow(sample.size + 1)
    assert sample._chosen == seen


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_a_full_budget_is_the_exact_map(weighting, view, target):
    exact = BeCAM(weighting).saliency(view, target)
    full = BeCAM(weighting, budget=48).saliency(view, target)
    assert full.encoded == 48
    assert full.expected_correlation == pytest.approx(1)
    assert torch.allclose(full.map, exact.map, atol=1e-5 * float(exact.map.abs().max()))


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_effects_are_the_derivative_of_the_map(weighting):
    generator = torch.Generator().manual_seed(0)
    activation = torch.randn(5, 2, 3, generator=generator).double()
    live = torch.tensor([True, True, False, True, True])
    blank = torch.tensor(0.1).double()

    def weighted(cosines):
        weights = channel_weights(cosines, live, weighting, blank)
        return torch.einsum("n,nhw->hw", weights, activation)

    cosines = torch.rand(5, generator=generator).double()
    expected = torch.autograd.functional.jacobian(weighted, cosines).permute(2, 0, 1)
    found = weight_effects(activation, cosines, live, weighting)
    assert torch.allclose(found, expected, atol=1e-12)
    assert weighted_sum(activation, cosines.float()).shape == (2, 3)


def test_the_sample_is_shared_and_only_grows(load, picture, monkeypatch):
    encoder = load("open_clip-vit")
    explainer = Explainer(make_checkpoint(encoder), randomise=False, method_options={"budget": 10})
    (engine,) = explainer.engines.values()
    calls = []
    original = engine.fast.encode_patches
    monkeypatch.setattr(
        engine.fast, "encode_patches", lambda x: calls.append(len(x)) or original(x)
    )
    views = explainer.encode(picture)
    explainer.score(views, ITEM)
    explainer.score(views, "0001", user_id="u3")
    assert sum(calls) == 10
    (heatmap,) = explainer.score(views, ITEM, method=BeCAM(budget=25))
    assert sum(calls) == 25
    assert heatmap.controls.encoded == 25
    assert "25 masks encoded, the others inferred" in heatmap.controls.words()[-1]


def test_tolerance_encodes_as_many_as_it_needs(view, target):
    loose = BeCAM(tolerance=0.3).saliency(view, target)
    strict = BeCAM(tolerance=1e-6).saliency(view, target)
    assert loose.encoded <= strict.encoded == 48
    assert loose.expected_correlation >= 0.7
    assert strict.expected_correlation >= 1 - 1e-6


def test_expected_correlation_is_what_comes_out_on_average():
    """Exact similarities drawn from the process's own posterior, many times."""
    rng = np.random.default_rng(1)
    channels = torch.from_numpy(rng.normal(size=(20, 4, 4)))
    mean = torch.from_numpy(rng.normal(size=20))
    root = rng.normal(size=(20, 20)) * 0.15
    covariance = torch.from_numpy(root @ root.T)
    inferred = Inferred(mean, covariance)
    shown = torch.einsum("n,nhw->hw", mean, channels).numpy().ravel()
    found = []
    for _ in range(4000):
        exact = mean + torch.from_numpy(root @ rng.normal(size=20))
        found.append(pearsonr(shown, torch.einsum("n,nhw->hw", exact, channels).ravel())[0])
    assert expected_correlation(channels, inferred) == pytest.approx(np.mean(found), abs=0.02)


def test_a_rough_map_is_called_rough(load, picture):
    heatmap = Explainer(
        make_checkpoint(load("becam-vit")), randomise=False, method_options={"budget": 1}
    ).explain(picture, ITEM)[0]
    assert heatmap.controls.correlation_expected < 0.9
    assert any("rough map" in warning for warning in heatmap.controls.warnings())


@pytest.mark.parametrize("options", [{"budget": 8}, {"tolerance": 0.1}], ids=str)
def test_a_picture_without_a_live_channel_has_a_flat_map(view, target, options):
    dead = Engine(view.engine.encoder, view.engine.layer).view(Image.new("RGB", (80, 80)))
    flat = torch.full_like(view.activation, 0.3)
    dead.__dict__["_captured"] = (view.whole, flat)  # as of a layer that says the same everywhere
    found = BeCAM(**options).saliency(dead, target)
    assert found.encoded == 0
    assert torch.equal(found.map, torch.zeros_like(found.map))


def test_controls_are_no_dearer_than_the_map(view, target):
    """Where a tolerance is content with some masks, other items' maps make do with the same."""
    fresh = Engine(view.engine.encoder, view.engine.layer).view(picture())
    method = BeCAM(tolerance=0.9)
    found = method.saliency(fresh, target)
    measured = controls.measure(method, fresh, target, found, randomise=True)
    assert found.encoded < int(fresh.live.sum())
    for one in (fresh, fresh.twin):
        assert one.kept("sample", lambda: None).size == found.encoded
    assert not measured.randomised_flat


def test_a_shuffled_encoder_without_a_map_is_said(view, target):
    fresh = Engine(view.engine.encoder, view.engine.layer).view(picture())
    fresh.twin.__dict__["_captured"] = (view.whole, torch.full_like(view.activation, 0.3))
    for method in (BeCAM(), BeCAM(budget=8)):
        found = method.saliency(fresh, target)
        measured = controls.measure(method, fresh, target, found, randomise=True)
        assert measured.randomised_flat
        assert measured.correlation_randomised is None
        assert any("that control is missing" in sentence for sentence in measured.words())
        assert not measured.warnings() or "missing" not in " ".join(measured.warnings())
