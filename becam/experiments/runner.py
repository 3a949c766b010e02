"""Experiments run: what is missing in the store is trained, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from becam.checkpoint import CHECKPOINT_NAME
from becam.errors import BecamError
from becam.experiments.board import Board
from becam.experiments.grid import Experiment, Row
from becam.experiments.search import Searches, Trial, Tuning, require_optuna
from becam.experiments.store import Run, Store
from becam.experiments.workers import Trained, Trainer, for_each
from becam.limits import JOBS
from becam.training.folder import TIMES, read_times
from becam.training.loop import SELECTION_METRIC
from becam.training.report import clock
from becam.training.scoring import baselines


@dataclass(frozen=True)
class RowStatus:
    """How far a row is: runs and search trials, done and in all."""

    row: Row
    runs_done: int
    runs: int
    trials_done: int
    trials: int


@dataclass
class Outcome:
    """What came of an experiment: trainings that were there, new ones, and why others failed."""

    present: int = 0
    trained: int = 0
    failures: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Job:
    row: Row
    seed: int
    key: str

    @property
    def title(self) -> str:
        return f"{self.row.title}, seed {self.seed}"


def check_experiment(experiment: Experiment) -> None:
    """Refuse what cannot be run, before anything is: what is told without a run is told of one.

    Raises:
        BecamError: features that are damaged or missing, or a search without Optuna.
    """
    if experiment.search is not None:
        require_optuna()
    checked = set()
    for row in experiment.rows:
        for modality in row.options["modalities"]:
            wanted = row.source.dataset.path, row.source.features, modality
            if wanted not in checked:
                row.source.dataset.feature_set(row.source.features).load(modality)
                checked.add(wanted)


def status(experiment: Experiment, store: Store | None) -> list[RowStatus]:
    """How far each row of the experiment is in the store, if there is one; nothing is trained."""
    searches = None if store is None else _searches(experiment, store)
    found = []
    for row in experiment.rows:
        tuning = _tuned(row, searches) if searches else None
        done = 0
        if store is not None and (tuning or experiment.search is None):
            final = tuning.row if tuning else row
            done = sum(job.key in store for job in _jobs([final], experiment.seeds))
        found.append(
            RowStatus(
                row,
                done,
                len(experiment.seeds),
                searches.done(row) if searches else 0,
                experiment.search.budget(row) if experiment.search else 0,
            )
        )
    return found


def _tuned(row: Row, searches: Searches) -> Tuning | None:
    try:
        return searches.tuned(row)
    except BecamError:  # every trial failed; told when it is run
        return None


def run_experiment(
    experiment: Experiment,
    store: Store,
    *,
    jobs: int = 1,
    keep_checkpoints: bool = True,
    quiet: bool = False,
) -> Outcome:
    """Tune rows if the experiment asks for it, and train every run that the store lacks.

    A run that was cut off goes on where it was. One that fails is told in the outcome, and the
    others go on. Ctrl-C ends everything at once, and the next call goes on from there.

    Args:
        experiment: Rows and seeds.
        store: What has been run, and where the rest goes.
        jobs: Trainings at a time, each in its own process; 1 trains in this one.
        keep_checkpoints: Keep each run's ``befa.pt``; its metrics are kept anyway.
        quiet: Nothing on the terminal.

    Raises:
        BecamError: Another process fills the store, or what :func:`check_experiment` refuses.
    """
    JOBS.check(jobs, "--jobs")
    check_experiment(experiment)
    outcome = Outcome()
    with store.filling():
        progress = status(experiment, store)
        total = sum(row.runs + row.trials for row in progress)
        done = sum(row.runs_done + row.trials_done for row in progress)
        with Board(total, done, quiet=quiet) as board:
            rows: Iterable[Row] = experiment.rows
            if (searches := _searches(experiment, store)) is not None:
                rows = _tune(experiment, searches, jobs, board, outcome)
            todo = _jobs(rows, experiment.seeds)
            missing = [job for job in todo if job.key not in store]
            outcome.present = len(todo) - len(missing)
            _train(missing, store, jobs, keep_checkpoints, board, outcome)
    return outcome


def _searches(experiment: Experiment, store: Store) -> Searches | None:
    return None if experiment.search is None else Searches(store, experiment.search)


def _jobs(rows: Iterable[Row], seeds: Iterable[int]) -> list[_Job]:
    return [_Job(row, seed, row.key(seed=seed)) for row in rows for seed in seeds]


def _tune(
    experiment: Experiment, searches: Searches, jobs: int, board: Board, outcome: Outcome
) -> list[Row]:
    """Rows at their best values, in the experiment's order; those whose search failed leave."""

    def work(row: Row, trainer: Trainer) -> Tuning:
        with board.line(f"tune {row.title}") as show:

            def tell(trial: Trial) -> None:
                board.ended(f"tried {row.title}, {trial.words}")

            return searches.run(row, trainer=trainer, on_epoch=show, on_trial=tell)

    tuned: dict[tuple[str, ...], Row] = {}
    with closing(for_each(experiment.rows, work, jobs=jobs)) as results:
        for row, result in results:
            if isinstance(result, Exception):
                _failed(outcome, board, row.title, result, len(experiment.seeds))
            else:
                tuned[row.cell] = result.row
    return [tuned[row.cell] for row in experiment.rows if row.cell in tuned]


def _train(
    missing: list[_Job],
    store: Store,
    jobs: int,
    keep_checkpoints: bool,
    board: Board,
    outcome: Outcome,
) -> None:
    floors = _Floors()

    def work(job: _Job, trainer: Trainer) -> Trained:
        with board.line(job.title) as show:
            output = {"seed": job.seed, "output": store.folder(job.key), "resume": True}
            return trainer(job.row.source.dataset.path, show, job.row.options | output)

    # Results come back to this thread, so that one alone writes to the store.
    with closing(for_each(missing, work, jobs=jobs)) as results:
        for job, result in results:
            try:
                if isinstance(result, Exception):
                    raise result
                times = _times(result, store.folder(job.key))
                run = _run(job, result, floors.of(job.row), times)
                store.enter(run)
            except Exception as error:  # told, and the others go on
                _failed(outcome, board, job.title, error)
                continue
            if not keep_checkpoints:
                (store.folder(job.key) / CHECKPOINT_NAME).unlink(missing_ok=True)
            outcome.trained += 1
            reached = run.metrics["validation"][SELECTION_METRIC]
            board.ended(
                f"{job.title}: validation {SELECTION_METRIC} {reached:.4f} in epoch "
                f"{run.metrics['epoch']}, {clock(run.seconds)}"
            )


class _Floors:
    """Baselines, computed once for a dataset."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bool], dict[str, Any]] = {}

    def of(self, row: Row) -> dict[str, Any]:
        """``popularity`` and ``random`` on the test split that the row's runs are scored on."""
        dataset, masked = row.source.dataset, row.options["mask_validation"]
        key = dataset.fingerprint, masked
        if key not in self._known:
            self._known[key] = baselines(dataset, mask_validation=masked)
        return self._known[key]


def _times(trained: Trained, folder: Path) -> dict[str, float]:
    """How long it took; checkpoints of earlier versions told it themselves."""
    if all(name in trained.training for name in TIMES):
        return {name: float(trained.training[name]) for name in TIMES}
    return read_times(folder)


def _run(job: _Job, trained: Trained, floors: dict[str, Any], times: dict[str, float]) -> Run:
    dataset, features, model, adapter, label = job.row.cell
    return Run(
        key=job.key,
        dataset=dataset,
        features=features,
        model=model,
        adapter=adapter,
        seed=job.seed,
        fingerprint=job.row.source.dataset.fingerprint,
        label=label,
        options=trained.training["options"],
        metrics=trained.metrics,
        baselines=floors,
        parameters=trained.training["parameters"],
        **times,
        epochs=trained.training["epochs"],
    )


def _failed(
    outcome: Outcome, board: Board, title: str, error: Exception, trainings: int = 1
) -> None:
    sentence = str(error)
    if not isinstance(error, BecamError):
        sentence = f"an error in becam itself ({type(error).__name__}: {error}); please report it."
    outcome.failures[title] = sentence
    board.ended(f"{title} failed: {sentence}", trainings)
