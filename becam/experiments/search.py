"""Hyper-parameter search on validation, with an equal budget for every row."""

from __future__ import annotations

import itertools
import math
import random
import shlex
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from becam.errors import BecamError
from becam.experiments.grid import TRAINING_OPTIONS, Row, SearchSettings, Space
from becam.experiments.store import Store
from becam.experiments.workers import OnEpoch, Trainer, WorkerDiedError, train_here
from becam.options import Value
from becam.training import Epoch
from becam.training.loop import SELECTION_METRIC

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial
    from optuna.trial import Trial as Running

DATABASE = "search.sqlite"

# Random trials before the sampler and the pruner trust what they have seen: few, for budgets of
# recommenders are a dozen trials rather than a hundred.
_STARTUP_TRIALS = 4
_BUSY_SECONDS = 60.0
_ERROR = "error"

Values = dict[str, Value]


@dataclass(frozen=True)
class Trial:
    """One point that was tried.

    Attributes:
        values: By ``lr``, ``model.OPTION`` and ``adapter.OPTION``.
        state: ``complete``, ``pruned`` (worse than the median early on) or ``failed``.
        score: Best validation Recall@20 that it reached; None where it failed at once.
        epochs: How many it trained.
        error: Why it failed, or "".
    """

    values: Values
    state: Literal["complete", "pruned", "failed"]
    score: float | None
    epochs: int
    error: str = ""

    @property
    def words(self) -> str:
        """The trial in a line."""
        values = ", ".join(f"{name}={value}" for name, value in self.values.items())
        score = "" if self.score is None else f", validation {SELECTION_METRIC} {self.score:.4f}"
        return f"{values}: {self.error or self.state + score}"


@dataclass(frozen=True)
class Tuning:
    """A finished search: its row at the best values, all trials, best first, and their seed."""

    row: Row
    trials: tuple[Trial, ...]
    seed: int

    def command(self, output: str = "RUN") -> str:
        """The ``becam train`` command line that trains the best values."""
        row, options = self.row, self.row.options
        words = ["becam", "train", str(row.source.dataset.path), "--features", row.source.features]
        for part in ("model", "adapter"):
            words += [f"--{part}", options[part]]
            for name, value in options[f"{part}_options"].items():
                words += [f"--{part}-option", f"{name}={value}"]
        words += ["--lr", str(options["lr"]), "--warmup", str(options["warmup"])]
        if options["modalities"] != list(row.source.modalities):
            for modality in options["modalities"]:
                words += ["--modality", modality]
        for name, option in TRAINING_OPTIONS.items():
            if name not in ("lr", "warmup") and (value := options[name]) != option.default:
                flag = f"--{name.replace('_', '-')}"
                words += [flag] if option.kind is bool else [flag, str(value)]
        return shlex.join([*words, "--seed", str(self.seed), "-o", output])


class Searches:
    """The searches of a store, kept in ``search.sqlite`` beside its runs.

    A trial counts once it ended. What was cut off by a kill is tried again, and the same command
    goes on with what is missing: trials follow from the seed and from those before them alone, so
    an interrupted search ends as one that never was. No trial scores the test split.

    Args:
        store: Where they are kept.
        settings: Budget, seed and space.

    Raises:
        BecamError: Optuna is not installed.
    """

    def __init__(self, store: Store, settings: SearchSettings) -> None:
        self.settings = settings
        self._path = store.path / DATABASE
        self._storage = _storage(self._path)
        # Rows are searched in threads, and threads that wait for each other's SQLite transactions
        # wait for a long time.
        self._lock = threading.RLock()

    def done(self, row: Row) -> int:
        """How many of the row's trials have ended."""
        with _stored(self._path):
            study = self._study(row)
            return min(self.settings.budget(row), len(_ended(study))) if study else 0

    def tuned(self, row: Row) -> Tuning | None:
        """The search's result, if it has ended.

        Raises:
            BecamError: Every trial failed.
        """
        budget = self.settings.budget(row)
        if budget == 0:
            return Tuning(row, (), self.settings.seed)
        with _stored(self._path):
            study = self._study(row)
            if study is None or len(_ended(study)) < budget:
                return None
            return self._tuning(row, _trials(study)[:budget])

    def run(
        self,
        row: Row,
        *,
        trainer: Trainer = train_here,
        on_epoch: OnEpoch = lambda epoch: None,
        on_trial: Callable[[Trial], None] = lambda trial: None,
    ) -> Tuning:
        """Try what is missing of the row's budget.

        Args:
            row: What to tune; options that it fixes stay.
            trainer: What trains.
            on_epoch: Called after every epoch of every trial.
            on_trial: Called after every trial.

        Raises:
            BecamError: Every trial failed.
        """
        space, budget = self.settings.space_of(row), self.settings.budget(row)
        with _stored(self._path):
            with self._lock:
                if (known := self.tuned(row)) is not None:
                    return known
                study = self._study(row, create=True)
                assert study is not None
                _give_up_cut_off(study)
                trials = _trials(study)
            while len(trials) < budget:
                with self._lock:
                    running = self._ask(study, row, space, len(trials))
                self._try(study, running, row, trainer, on_epoch)
                with self._lock:
                    trials = _trials(study)
                on_trial(trials[-1])
            return self._tuning(row, trials)

    def _ask(self, study: Study, row: Row, space: Space, done: int) -> Running:
        """The next point: the defaults, then the sampler's choice or, in a small space, in order.

        No point is tried twice: the same seed would give the same score.
        """
        tried = [trial.params for trial in _ended(study)]
        # Own randomness for every trial, so that it does not matter in which process it is drawn.
        seed = int(np.random.SeedSequence([self.settings.seed, done]).generate_state(1)[0])
        defaults = {
            name: row.value(name) if row.value(name) in values else values[0]
            for name, values in space.items()
        }
        if done == 0:
            return _ask_point(study, space, defaults)
        points = math.prod(map(len, space.values()))
        if points <= self.settings.trials:
            return _ask_point(study, space, next(p for p in _points(space) if p not in tried))
        from optuna.samplers import TPESampler

        study.sampler = TPESampler(seed=seed, n_startup_trials=_STARTUP_TRIALS)
        running = study.ask(_distributions(space))
        if running.params not in tried:
            return running
        _fail(study, running)
        generator = random.Random(seed)
        while (point := {n: generator.choice(v) for n, v in space.items()}) in tried:
            pass
        return _ask_point(study, space, point)

    def _try(
        self, study: Study, running: Running, row: Row, trainer: Trainer, on_epoch: OnEpoch
    ) -> None:
        from optuna import TrialPruned
        from optuna.trial import TrialState

        def hear(epoch: Epoch) -> None:
            on_epoch(epoch)
            with self._lock:
                running.report(epoch.best, epoch.number)
                if running.should_prune():
                    raise TrialPruned

        options = row.with_values(running.params).options | {
            "epochs": self.settings.epochs,
            "seed": self.settings.seed,
            "score_test": False,
        }
        try:
            trained = trainer(row.source.dataset.path, hear, options)
        except TrialPruned:
            with self._lock:
                study.tell(running, state=TrialState.PRUNED)
        except WorkerDiedError:
            with self._lock:
                _fail(study, running)  # without an error to tell, so that it does not count
            raise
        except Exception as error:  # one bad point must not end the search
            with self._lock:
                running.set_user_attr(_ERROR, str(error))
                _fail(study, running)
        else:
            with self._lock:
                study.tell(running, trained.metrics["validation"][SELECTION_METRIC])

    def _tuning(self, row: Row, trials: list[Trial]) -> Tuning:
        order = {"complete": 0, "pruned": 1, "failed": 2}
        ranked = sorted(trials, key=lambda t: (order[t.state], -(t.score or 0.0)))
        if ranked[0].state != "complete":
            raise BecamError(
                f"Every trial of {row.title} failed, the first so: {trials[0].error or 'pruned'}"
            )
        return Tuning(row.with_values(ranked[0].values), tuple(ranked), self.settings.seed)

    def _study(self, row: Row, *, create: bool = False) -> Study | None:
        import optuna

        space = self.settings.space_of(row)
        # The values of what is searched are no part of the name's hash: the space is.
        key = row.with_values(dict.fromkeys(space, "searched")).key(
            search={"epochs": self.settings.epochs, "seed": self.settings.seed},
            space={name: list(values) for name, values in space.items()},
            defaults={name: row.value(name) for name in space},
        )
        how: dict[str, Any] = {
            "storage": self._storage,
            "study_name": f"{row.title} {key}",
            "pruner": optuna.pruners.MedianPruner(
                n_startup_trials=_STARTUP_TRIALS, n_warmup_steps=row.options["warmup"] + 1
            ),
        }
        if create:
            return optuna.create_study(**how, direction="maximize", load_if_exists=True)
        try:
            return optuna.load_study(**how)
        except KeyError:
            return None


@contextmanager
def _stored(path: Path) -> Iterator[None]:
    """What Optuna's database complains of, in words."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (SQLAlchemyError, StorageInternalError) as error:
        reason = getattr(error.__cause__ or error, "orig", None) or error
        raise BecamError(
            f"SQLite could not use {path} ({str(reason).splitlines()[0]}); make room or rights "
            "there, or choose another store."
        ) from error


def require_optuna() -> None:
    """Refuse to search where nothing can.

    Raises:
        BecamError: Optuna is not installed.
    """
    try:
        import optuna  # noqa: F401
    except ImportError as error:
        raise BecamError(
            "A search needs Optuna, which is not installed; pip install 'becam[experiments]'."
        ) from error


def _storage(path: Path) -> Any:
    require_optuna()
    import optuna
    from sqlalchemy import URL

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _stored(path):
        return optuna.storages.RDBStorage(
            URL.create("sqlite", database=str(path)).render_as_string(),
            engine_kwargs={"connect_args": {"timeout": _BUSY_SECONDS}},
        )


def _distributions(space: Space) -> dict[str, Any]:
    from optuna.distributions import CategoricalDistribution

    return {name: CategoricalDistribution(values) for name, values in space.items()}


def _points(space: Space) -> list[Values]:
    return [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]


def _ask_point(study: Study, space: Space, point: Values) -> Running:
    from optuna.samplers import PartialFixedSampler, RandomSampler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PartialFixedSampler is called experimental
        study.sampler = PartialFixedSampler(point, RandomSampler())
    return study.ask(_distributions(space))


def _ended(study: Study) -> list[FrozenTrial]:
    """Trials that count, in order: not those that a kill cut off."""
    from optuna.trial import TrialState

    counted = (TrialState.COMPLETE, TrialState.PRUNED)
    trials = study.get_trials(deepcopy=False)
    return [t for t in trials if t.state in counted or _ERROR in t.user_attrs]


def _give_up_cut_off(study: Study) -> None:
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)


def _fail(study: Study, running: Running) -> None:
    from optuna.trial import TrialState

    study.tell(running, state=TrialState.FAIL)


def _trials(study: Study) -> list[Trial]:
    from optuna.trial import TrialState

    states: dict[TrialState, Literal["complete", "pruned"]] = {
        TrialState.COMPLETE: "complete",
        TrialState.PRUNED: "pruned",
    }
    return [
        Trial(
            values=dict(trial.params),
            state=states.get(trial.state, "failed"),
            score=max((*trial.intermediate_values.values(), *(trial.values or ())), default=None),
            epochs=max(trial.intermediate_values, default=0),
            error=trial.user_attrs.get(_ERROR, ""),
        )
        for trial in _ended(study)
    ]
