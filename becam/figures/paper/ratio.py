"""Figure 10: BeFA's ratio lambda against quality, from a store of runs."""

from __future__ import annotations

from pathlib import Path

from becam.experiments.store import Store
from becam.experiments.sweep import LambdaSweep, SweepPoint, stored_sweeps
from becam.figures.page import Page, PaperFigure
from becam.figures.sweep import lambda_figure

_METRIC = "recall@20"


def ratio_figure(
    store: Store | str | Path, *, model: str | None = None, page: Page | None = None
) -> PaperFigure:
    """A row for each sweep in a store (the paper's Figure 10); nothing is trained.

    Args:
        store: that ``becam sweep lambda`` filled.
        model: registered name of the one recommender to draw; by default all.
        page: size and letters.

    Raises:
        BecamError: no store, or no sweep in it.
    """
    opened = store if isinstance(store, Store) else Store(store)
    sweeps = stored_sweeps(opened, model=model)
    page = page or Page()
    return PaperFigure(
        lambda_figure(*sweeps, page=page),
        _caption(sweeps),
        page,
        {"figure": 10, "sweeps": [_numbers(sweep) for sweep in sweeps]},
    )


def _caption(sweeps: list[LambdaSweep]) -> str:
    made = (
        "BeFA's ratio λ, the width of its hidden layers over that of the features, against Recall "
        "and NDCG on the test set: means over seeds with standard deviations, single seeds beside "
        "them, and the recommender without an adapter dashed. Circled: the ratio that validation "
        "favours, by which one is to be chosen; the best on the test set is the best of "
        "several tries."
    )
    return "\n\n".join([made, " ".join(_verdict(sweep) for sweep in sweeps)])


def _verdict(sweep: LambdaSweep) -> str:
    chosen, plain = sweep.chosen.test(_METRIC), sweep.plain.test(_METRIC)
    means = [point.test(_METRIC).mean for point in sweep.points]
    range_ = max(means) - min(means)
    noise = max(point.test(_METRIC).std for point in (sweep.plain, *sweep.points))
    words = (
        f"{sweep.title}: test Recall@20 {chosen} with the chosen ratio {sweep.chosen.ratio}, "
        f"{plain} without an adapter"
    )
    if len(sweep.plain.runs) < 2:
        return f"{words}; with one seed each, nothing is known of chance."
    how = "no more than" if range_ <= noise else "more than"
    return (
        f"{words}; the ratios differ by {range_:.4f}, {how} seeds do (standard deviation up to "
        f"{noise:.4f})."
    )


def _numbers(sweep: LambdaSweep) -> dict[str, object]:
    return {
        "title": sweep.title,
        "chosen": str(sweep.chosen.ratio),
        "points": [_point(point) for point in (sweep.plain, *sweep.points)],
    }


def _point(point: SweepPoint) -> dict[str, object]:
    return {
        "ratio": None if point.ratio is None else str(point.ratio),
        "seeds": [run.seed for run in point.runs],
        "validation": point.validation.values.tolist(),
        **{
            f"test_{metric}": point.test(metric).values.tolist()
            for metric in ("recall@20", "ndcg@20")
        },
    }
