"""Figure 9: points on the circle, their densities, and the measures under their panels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from deviating import ITEMS, checkpoint_of
from matplotlib.text import Text
from planted import planted_dataset
from scipy import integrate, stats
from sklearn.manifold import TSNE

from becam.errors import BecamError
from becam.evaluation.spread import Measures, sampled_items, spread_of
from becam.figures.page import Page
from becam.figures.paper import distribution_figure
from becam.figures.paper.circle import angle_density, on_circle, plane_density
from becam.figures.paper.density import Panel, density_figure


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return planted_dataset(tmp_path_factory.mktemp("spread") / "d", n_items=ITEMS)


def drawn(n=80, d=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def circle(angles):
    return np.column_stack([np.cos(angles), np.sin(angles)])


def measures(**changes):
    names = (
        *("uniformity", "uniformity_ids", "uniformity_permuted"),
        *("alignment", "alignment_permuted"),
    )
    return Measures(**(dict.fromkeys(names, 0.5) | changes))


def panel(points=None, adapted=False, column="BM3", **changes):
    points = circle(np.linspace(-3, 3, 50)) if points is None else points
    row = "with BeFA" if adapted else "without BeFA"
    return Panel(column, row, adapted, "BM3 (run)", points, measures(**changes))


def words(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def test_points_are_those_of_scikit_learn_divided_by_their_norms():
    features = drawn()
    plane = TSNE(2, perplexity=79 / 3, init="pca", random_state=4).fit_transform(features)
    plane = plane - plane.mean(axis=0)
    want = [point / math.hypot(*point) for point in plane.astype(float)]
    found = on_circle(features, seed=4)
    np.testing.assert_allclose(found, want, atol=1e-4)  # the mean is taken in float32
    assert np.array_equal(found, on_circle(features, seed=4))


def test_groups_of_features_are_groups_on_the_circle():
    features = np.concatenate([drawn(60) + 40, drawn(60, seed=1) - 40])
    points = on_circle(features)
    one, other = points[:60].mean(axis=0), points[60:].mean(axis=0)
    assert one @ other < 0
    assert (points[:60] @ one > points[:60] @ other).all()
    assert (points[60:] @ other > points[60:] @ one).all()


def test_too_little_to_draw_is_told():
    with pytest.raises(BecamError, match="5 items or more, not 4"):
        on_circle(drawn(4))
    with pytest.raises(BecamError, match="are alike"):
        on_circle(np.ones((20, 3)))


def test_the_plane_against_a_sum_of_gaussians():
    points, grid = circle(np.random.default_rng(0).vonmises(1.0, 1.5, 60)), drawn(15, 2)
    # Scott's rule: the sample covariance times n^(-1/3) in two dimensions.
    covariance = np.cov(points.T) * 60 ** (-2 / 6)
    kernels = [stats.multivariate_normal(point, covariance).pdf(grid) for point in points]
    np.testing.assert_allclose(plane_density(points, grid), np.mean(kernels, axis=0))


def test_angles_against_a_sum_of_gaussians_around_the_circle():
    own = np.random.default_rng(0).uniform(-np.pi, np.pi, 40)
    width = own.std(ddof=1) * 40 ** (-1 / 5)

    def naive(angle):
        return sum(
            math.exp(-(((angle - one + 2 * math.pi * turn) / width) ** 2) / 2)
            for one in own
            for turn in (-1, 0, 1)
        ) / (40 * width * math.sqrt(2 * math.pi))

    at = np.linspace(-3, 3, 7)
    np.testing.assert_allclose(angle_density(circle(own), at), [naive(angle) for angle in at])


def test_the_density_of_angles_goes_around():
    points = circle(np.random.default_rng(0).normal(np.pi, 0.2, 300))  # all about the seam
    line = np.linspace(-np.pi, np.pi, 2001)
    density = angle_density(points, line)
    assert density[0] == pytest.approx(density[-1], rel=1e-3)
    assert integrate.trapezoid(density, line) == pytest.approx(1, abs=0.02)
    assert density[0] > 3 * density[1000]


@pytest.mark.parametrize("adapter", ["none", "befa", "lora"])
@pytest.mark.parametrize("adapted", [False, True])
def test_measures_against_loops(dataset, adapter, adapted):
    checkpoint = checkpoint_of(dataset, adapter)
    ids = [dataset.item_ids[k] for k in (3, 17, 8, 30, 21)]
    found = spread_of(checkpoint, dataset, "image", ids, adapted=adapted)
    head = checkpoint.head("image")
    contents = dataset.feature_set("plain").load("image")
    rows, behaviour = [], []
    for name in ids:
        row = dataset.item_ids.index(name)
        e = checkpoint.item_embeddings[row][None]
        z = head.project(e.new_tensor(contents[row])[None])
        rows.append((head.adapt(z, e) if adapted else z)[0].numpy())
        behaviour.append(e[0].numpy())
    np.testing.assert_allclose(found.features, rows, atol=1e-5)

    def cosine(a, b):
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    def even(vectors):
        pairs = [(a, b) for k, a in enumerate(vectors) for b in vectors[:k]]
        return math.log(np.mean([math.exp(-4 + 4 * cosine(a, b)) for a, b in pairs]))

    assert found.measures.uniformity == pytest.approx(even(rows), abs=1e-4)
    assert found.measures.uniformity_ids == pytest.approx(even(behaviour), abs=1e-4)
    near = np.mean([2 - 2 * cosine(a, e) for a, e in zip(rows, behaviour, strict=True)])
    assert found.measures.alignment == pytest.approx(near, abs=1e-4)


def test_the_control_has_the_content_of_others(dataset):
    checkpoint = checkpoint_of(dataset)
    found = spread_of(checkpoint, dataset, "image", dataset.item_ids, adapted=False)
    # Without an adapter the same features in another order: as even, but not as near.
    assert found.measures.uniformity_permuted == pytest.approx(found.measures.uniformity)
    assert found.measures.alignment_permuted != pytest.approx(found.measures.alignment)


def test_items_are_those_that_all_know_and_that_have_content(dataset):
    first, second = checkpoint_of(dataset), checkpoint_of(dataset, ids=dataset.item_ids[5:])
    found = sampled_items([first, second], dataset, "image", 1000)
    assert sorted(found) == dataset.item_ids[5:]
    some = sampled_items([first, second], dataset, "image", 7, seed=3)
    assert some == sampled_items([first, second], dataset, "image", 9, seed=3)[:7]
    assert some != sampled_items([first, second], dataset, "image", 7, seed=4)
    trained = np.ones((ITEMS, 12), np.float32)
    trained[4] = 0
    empty = checkpoint_of(dataset, trained=first.item_embeddings.new_tensor(trained))
    assert dataset.item_ids[4] not in sampled_items([empty], dataset, "image", 1000)


def test_numbers_stand_under_their_panels():
    columns = [
        [panel(column="BM3", uniformity=-1.25), panel(adapted=True, uniformity=-2.5)],
        [panel(column="MGCN", alignment=1.75), panel(adapted=True, alignment_permuted=0.125)],
    ]
    figure = density_figure(columns, Page())
    planes = [axes for axes in figure.axes if axes.images and axes.get_xlim() != (0, 1)][:4]
    assert len(planes) == 4
    found = {
        text.get_text(): text.get_position() for text in figure.texts if "." in text.get_text()
    }
    for line, axes in (
        ("uniformity −1.25 (ID 0.50)", planes[0]),
        ("uniformity −2.50 (ID 0.50)", planes[1]),
        ("alignment 1.75 (other 0.50)", planes[2]),
        ("alignment 0.50 (other 0.12)", planes[3]),
    ):
        box = axes.get_position()
        x, y = found[line]
        assert x == pytest.approx((box.x0 + box.x1) / 2)
        assert y < box.y0
        below = [other.get_position().y1 for other in planes if other.get_position().y1 < box.y0]
        assert all(y > top for top in below)
    assert planes[0].get_position().y0 > planes[1].get_position().y1  # before over after
    assert planes[0].get_position().x1 < planes[2].get_position().x0
    assert {"BM3", "MGCN", "without BeFA", "with BeFA"} < set(words(figure))


def test_one_scale_for_all_panels():
    narrow = circle(np.random.default_rng(0).normal(np.pi / 2, 0.2, 200))
    wide = circle(np.random.default_rng(0).uniform(-np.pi, np.pi, 200))
    figure = density_figure([[panel(narrow), panel(wide, adapted=True)]], Page())
    images = [axes.images[0] for axes in figure.axes if axes.images][:2]
    assert len({image.get_clim() for image in images}) == 1
    assert images[0].get_clim()[1] == pytest.approx(images[0].get_array().max())
    assert images[1].get_array().max() < 0.5 * images[0].get_array().max()
    # The densest point of the narrow ones is at the top, at (0, 1).
    row, column = np.unravel_index(images[0].get_array().argmax(), images[0].get_array().shape)
    assert abs(row - 125) < 6
    assert abs(column - 75) < 4
    assert images[0].origin == "lower"
    limits = {axes.get_ylim() for axes in figure.axes if axes.lines}
    assert len(limits) == 1


def test_narrow_pages_take_more_lines_or_say_no():
    columns = [[panel(), panel(adapted=True)]] * 3
    found = words(density_figure(columns, Page(width=3.35)))
    assert found.count("uniformity 0.50") == 6
    with pytest.raises(BecamError, match="--width"):
        density_figure(columns, Page(width=2.0))


def test_the_figure_of_checkpoints(dataset, tmp_path):
    plain, befa = checkpoint_of(dataset), checkpoint_of(dataset, "befa")
    made = distribution_figure([befa, plain], dataset, count=25, seed=2)
    assert made.numbers["items"] == sampled_items([plain, befa], dataset, "image", 25, seed=2)
    rows = [(p["recommender"], p["adapter"]) for p in made.numbers["panels"]]
    assert rows == [("BM3", "without BeFA"), ("BM3", "with BeFA")]
    before, after = (
        spread_of(c, dataset, "image", made.numbers["items"], adapted=adapted, seed=2).measures
        for c, adapted in ((plain, False), (befa, True))
    )
    for found, want in zip(made.numbers["panels"], (before, after), strict=True):
        assert found["uniformity"] == want.uniformity
        assert found["alignment_permuted"] == want.alignment_permuted
        line = f"uniformity {want.uniformity:.2f}".replace("-", "−")
        assert any(text.startswith(line) for text in words(made.figure))
    for said in ("25 items", "seed 2", "not of the points", "16 dimensions", "another seed"):
        assert said in made.caption
    made.save(tmp_path / "f.pdf")
    assert (tmp_path / "f.txt").read_text().strip() == made.caption


def test_evenness_that_is_the_ids_own_is_said(dataset):
    plain, befa = checkpoint_of(dataset), checkpoint_of(dataset, "befa")
    # A gate that is open, whatever the content: the output is the ID embedding.
    state = befa.modalities["image"].adapter["state"]
    last = [name for name in state if name.endswith("bias")][-1]
    weight = last.replace("bias", "weight")
    state[last] = state[last] * 0 + 50
    state[weight] = state[weight] * 0
    made = distribution_figure([plain, befa], dataset, count=20)
    assert "whatever the content, so this evenness is behaviour's" in made.caption
    assert "Alignment says nothing of the content" in made.caption
    lora = distribution_figure([plain, checkpoint_of(dataset, "lora")], dataset, count=20)
    assert "whatever the content" not in lora.caption


def test_no_adapter_takes_one_checkpoint(dataset):
    befa = checkpoint_of(dataset, "befa")
    made = distribution_figure([befa], dataset, count=10, no_adapter=True, modality="text")
    before, after = made.numbers["panels"]
    ids = made.numbers["items"]
    want = spread_of(befa, dataset, "text", ids, adapted=False).measures.uniformity
    assert before["uniformity"] == want
    assert after["uniformity"] != want
    with pytest.raises(BecamError, match="no checkpoint without an adapter"):
        distribution_figure([befa], dataset)
