"""Means, intervals and tests of an audit against scipy and hand-worked cases."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from becam.errors import BecamError
from becam.evaluation.boxes import max_box_accuracy
from becam.evaluation.measures import higher_is_better, known_groups
from becam.evaluation.report import report
from becam.evaluation.summary import (
    ROW,
    between_checkpoints,
    bootstrap_interval,
    cells,
    comparisons,
    signed_rank_test,
    with_box_accuracy,
)


def rows(values, group="localisation"):
    """Rows from values by checkpoint, method and measure."""
    return pl.DataFrame(
        [
            {
                "picture": f"p{number}",
                "target": "item",
                "checkpoint": checkpoint,
                "method": method,
                "group": group,
                "measure": measure,
                "value": value,
                "curve": None,
            }
            for (checkpoint, method, measure), found in values.items()
            for number, value in enumerate(found)
        ],
        schema=ROW,
    )


@pytest.mark.parametrize("n", [2, 12, 400])
def test_interval_against_scipy(n):
    values = np.random.default_rng(n).normal(3, 2, n)
    low, high = bootstrap_interval(values, resamples=5_000)
    want = stats.bootstrap(
        (values,), np.mean, n_resamples=5_000, method="percentile", rng=np.random.default_rng(9)
    ).confidence_interval
    spread = values.std() / math.sqrt(n)
    assert low == pytest.approx(want.low, abs=0.15 * spread)
    assert high == pytest.approx(want.high, abs=0.15 * spread)
    assert bootstrap_interval(values) == bootstrap_interval(values, seed=0)
    assert n < 3 or bootstrap_interval(values) != bootstrap_interval(values, seed=1)


def test_interval_of_too_few():
    assert bootstrap_interval(np.array([1.0])) is None
    assert bootstrap_interval(np.array([])) is None


def test_signed_ranks_by_hand():
    # Five differences of one sign: only all plus or all minus is as extreme, 2 of 2^5.
    assert signed_rank_test([2, 3, 4, 5, 6], [1, 1, 1, 1, 1]) == pytest.approx(2 / 32)
    # Differences 1, 2, -3, of ranks 1, 2, 3: W- is 3, as W+ is. Every sum from 0 to 6 has a tail;
    # P(W <= 3) = 5 / 8, so p is 1.
    assert signed_rank_test([1, 2, 0], [0, 0, 3]) == pytest.approx(1.0)
    # Pairs without a difference are left out.
    assert signed_rank_test([2, 3, 4, 5, 6, 9], [1, 1, 1, 1, 1, 9]) == pytest.approx(2 / 32)
    assert signed_rank_test([2, 3, 4, 5, 6, 9], [1, 1, 1, 1, 1, 9 + 1e-7]) == pytest.approx(2 / 32)
    assert signed_rank_test([1, 2], [1, 2]) is None
    assert signed_rank_test(np.arange(1.0, 9), np.arange(1.0, 9) + 1e-8) is None
    assert signed_rank_test([], []) is None


def test_signed_ranks_against_every_choice_of_signs():
    rng = np.random.default_rng(4)
    first, second = rng.normal(0.4, 1, 9), rng.normal(0, 1, 9)
    ranks = stats.rankdata(np.abs(first - second))
    observed = ranks[first > second].sum()
    sums = [
        sum(rank for place, rank in enumerate(ranks) if choice >> place & 1)
        for choice in range(2**9)
    ]
    middle = ranks.sum() / 2
    extreme = np.mean([abs(s - middle) >= abs(observed - middle) - 1e-9 for s in sums])
    assert signed_rank_test(first, second) == pytest.approx(extreme)


def test_means_leave_out_what_is_not_defined():
    found = cells(
        rows(
            {
                ("a", "becam", "energy"): [0.2, None, 0.6],
                ("a", "random", "energy"): [None, None, None],
                ("a", "becam", "drift"): [0.1, 0.1, 0.1],
            }
        )
    )
    assert [(c.method, c.measure, c.n) for c in found] == [
        ("becam", "energy", 2),
        ("random", "energy", 0),
        ("becam", "drift", 3),
    ]
    assert found[0].mean == pytest.approx(0.4)
    assert found[0].low <= 0.4 <= found[0].high
    assert math.isnan(found[1].mean)
    assert (found[2].low, found[2].high) == pytest.approx((0.1, 0.1))


def test_tests_pair_pictures_and_correct_within_a_group():
    rng = np.random.default_rng(0)
    own, other, third = (rng.normal(shift, 1, 30) for shift in (0.8, 0, 0.1))
    other[3] = np.nan
    values = {
        ("a", "becam", "energy"): own,
        ("a", "random", "energy"): other,
        ("a", "gaussian", "energy"): third,
        ("b", "random", "energy"): other,
    }
    everything = rows(values)
    faithful = everything.filter(pl.col("method") != "gaussian", pl.col("checkpoint") == "a")
    faithful = faithful.with_columns(group=pl.lit("faithfulness"), measure=pl.lit("road_rank"))
    frame = pl.concat([everything, faithful]).with_columns(pl.col("value").fill_nan(None))
    found = comparisons(frame, ["random", "gaussian"])
    assert [(t.checkpoint, t.method, t.against, t.measure, t.n) for t in found] == [
        ("a", "becam", "random", "energy", 29),
        ("a", "becam", "gaussian", "energy", 30),
        ("a", "becam", "random", "road_rank", 29),
    ]
    known = ~np.isnan(other)
    want = [
        stats.wilcoxon(own[known], other[known]).pvalue,
        stats.wilcoxon(own, third).pvalue,
    ]
    assert [t.p for t in found] == pytest.approx([*want, want[0]])
    assert found[0].difference == pytest.approx((own - other)[known].mean())
    low, high = sorted(want)
    corrected = {low: min(1, 2 * low), high: max(2 * low, high)}
    assert [t.p_holm for t in found[:2]] == pytest.approx([corrected[p] for p in want])
    assert found[2].p_holm == pytest.approx(want[0])  # the other group's only test


def test_checkpoints_are_held_against_the_first():
    rng = np.random.default_rng(0)
    first, second, third = (rng.normal(shift, 1, 30) for shift in (0.0, 0.8, 0.1))
    found = between_checkpoints(
        rows(
            {
                ("none", "becam", "energy"): first,
                ("none", "random", "energy"): first,
                ("befa", "becam", "energy"): second,
                ("befa", "random", "energy"): second,
                ("lora", "becam", "energy"): third,
                ("lora", "rise", "energy"): third,
            }
        ),
        ["random"],
    )
    assert [(t.checkpoint, t.method, t.against, t.n) for t in found] == [
        ("befa", "becam", "none", 30),
        ("lora", "becam", "none", 30),
    ]
    assert [t.difference for t in found] == pytest.approx(
        [(second - first).mean(), (third - first).mean()]
    )
    want = [stats.wilcoxon(other, first).pvalue for other in (second, third)]
    assert [t.p for t in found] == pytest.approx(want)
    assert min(t.p_holm for t in found) == pytest.approx(min(1, 2 * min(want)))
    frame = rows({("none", "becam", "energy"): first, ("befa", "becam", "energy"): second})
    text = report(frame, ["random"]).to_markdown()
    assert text.count("# Between the checkpoints") == 1
    after = text.partition("# Between the checkpoints")[2]
    (line,) = (line for line in after.splitlines() if line.startswith("| becam "))
    assert f"{(second - first).mean():+.2g} ({want[0]:.2g})" in line


def test_box_accuracy_is_chosen_over_all_pictures():
    curves = np.random.default_rng(1).random((6, 4))
    frame = rows({("a", "becam", "max_box_acc"): [None] * 7, ("a", "becam", "energy"): [0.5] * 7})
    frame = frame.with_columns(
        curve=pl.Series([*curves.tolist(), None, *[None] * 7], dtype=pl.List(pl.Float64))
    )
    found = with_box_accuracy(frame)
    assert len(found) == len(frame)
    boxes = found.filter(pl.col("measure") == "max_box_acc").sort("picture")
    assert boxes["value"].to_list()[:6] == pytest.approx(max_box_accuracy(curves).tolist())
    assert boxes["value"].to_list()[6] is None
    assert found.filter(pl.col("measure") == "energy")["value"].to_list() == [0.5] * 7


def test_marks_and_markdown():
    """Better than every floor, worse than one, and neither, at what 20 pictures can show."""
    rng = np.random.default_rng(2)
    noise = rng.random(20) * 0.1
    frame = rows(
        {
            ("a|b", "good", "energy"): 0.8 + noise,
            ("a|b", "bad", "energy"): 0.2 + noise,
            ("a|b", "same", "energy"): 0.5 + noise,
            ("a|b", "random", "energy"): 0.5 + noise,
            ("a|b", "gaussian", "energy"): 0.55 + noise[::-1],
            ("a|b", "good", "drift"): 0.1 + noise,
            ("a|b", "bad", "drift"): 0.9 + noise,
            ("a|b", "same", "drift"): 0.5 + noise,
            ("a|b", "random", "drift"): 0.5 + noise,
            ("a|b", "gaussian", "drift"): 0.5 + noise[::-1],
        }
    )
    found = report(frame, ["random", "gaussian"])
    (table,) = found.tables()
    assert table.title == "a|b: localisation (n = 20)"
    assert table.header == ["method", "energy ↑", "drift ↓"]
    assert [line[0] for line in table.lines] == ["good", "bad", "same", "random", "gaussian"]
    _, energy, drift = zip(*table.lines, strict=True)
    for line in ((None, *energy), (None, *drift)):
        assert "*" in line[1]
        assert "†" in line[2]
        assert not {"*", "†"} & set("".join(line[4:]))
    assert "†" in energy[2]  # worse than one of the floors
    assert not {"*", "†"} & set(drift[2])
    mean = (0.8 + noise).mean()
    assert energy[0].startswith(f"{mean:.3f}* [")
    text = found.to_markdown()
    assert "## a\\|b: localisation (n = 20)" in text
    table_lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len({line.replace("\\|", "").count("|") for line in table_lines[:4]}) == 1
    assert "+0.3" in text
    assert "# Against the floors" in text


def test_which_way_is_better():
    for measure in ("insertion_rank", "gain_similarity", "road_rank", "road_lerf_rank", "energy"):
        assert higher_is_better(measure)
    for measure in ("deletion_rank", "road_morf_similarity", "drift", "omission", "ssim_others"):
        assert not higher_is_better(measure)


def test_tables_go_by_score_and_by_likeness():
    values = [0.1, 0.2, 0.3]
    names = ("deletion_similarity", "road_lerf_similarity", "deletion_rank", "road_lerf_rank")
    faithful = rows({("a", "becam", name): values for name in names})
    sane = rows({("a", "becam", name): values for name in ("spearman_blank", "ssim_blank")})
    frame = pl.concat(
        [
            sane.with_columns(group=pl.lit("sanity")),
            faithful.with_columns(group=pl.lit("faithfulness")),
        ]
    )
    found = [(table.title, table.header) for table in report(frame, []).tables()]
    assert found == [
        ("a: faithfulness by similarity (n = 3)", ["method", "deletion ↓", "road lerf ↑"]),
        ("a: faithfulness by rank (n = 3)", ["method", "deletion ↓", "road lerf ↑"]),
        ("a: sanity by spearman (n = 3)", ["method", "blank ↓"]),
        ("a: sanity by ssim (n = 3)", ["method", "blank ↓"]),
    ]


def test_groups():
    assert known_groups(["sanity", "faithfulness"]) == ("faithfulness", "sanity")
    with pytest.raises(BecamError, match="choose from faithfulness, localisation, sanity"):
        known_groups(["speed"])
    with pytest.raises(BecamError, match="--measures"):
        known_groups([])
