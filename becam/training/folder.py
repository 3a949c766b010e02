"""The folder of one training run: what is in it, and whether it may be used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from becam.checkpoint import CHECKPOINT_NAME, Checkpoint, is_checkpoint
from becam.errors import BecamError, MissingFileError
from becam.files import (
    DiskFullError,
    check_output_folder,
    disk_errors,
    filling,
    read_arrays,
    save_arrays,
    sweep,
    write_json,
)
from becam.records import read_record
from becam.training.ranking import UserMetrics
from becam.training.report import METRICS_LOG, TENSORBOARD_FOLDER
from becam.training.state import STATE_NAME, StateFile

CONFIG_NAME = "config.json"
METRICS_NAME = "metrics.json"
USERS_NAME = "users.npz"
TIMES = ("seconds", "epoch_seconds")

_AGAIN = "train again with --overwrite"
_ANEW = "start the run anew with --overwrite"

# Where a run goes on may differ from where it began; then it is the same run, not the same bits.
_ELSEWHERE = ("device", "threads")


class _Config(msgspec.Struct):
    dataset: str
    options: dict[str, Any]


class _Times(msgspec.Struct):
    """Of ``metrics.json``, by the names in ``TIMES``."""

    seconds: float
    epoch_seconds: float


class RunFolder:
    """A run's folder: finished once it has a checkpoint and no state to go on from.

    Args:
        path: Of the folder.
        save_every: Seconds between saves of the state.
    """

    def __init__(self, path: Path, save_every: float) -> None:
        self.path = path
        self.state_file = StateFile(path / STATE_NAME, save_every)

    @classmethod
    @contextmanager
    def opened(
        cls, path: Path, save_every: float, *, overwrite: bool, resume: bool
    ) -> Iterator[RunFolder]:
        """The folder, for this process alone; whether it may be used is known before the work.

        Raises:
            BecamError: An earlier run is there that may be neither replaced nor resumed, or what
                becam did not write; another process trains there; or the disk refuses.
        """
        check_output_folder(path)
        try:
            with disk_errors(path), filling(path) as alone:
                sweep(path, alone=alone)
                folder = cls(path, save_every)
                folder._check(overwrite=overwrite, resume=resume)
                yield folder
        except DiskFullError as error:
            raise DiskFullError(
                f"The disk is full, so the training in {path} stopped; what it had reached is "
                "kept: free some space and go on with --resume."
            ) from error

    def finished(self, identity: dict[str, Any]) -> bool:
        """Whether the run of this ``identity`` (dataset and options) is over.

        Raises:
            BecamError: the folder holds a run of other data or options.
        """
        self._compare(identity)
        if not (self.path / CHECKPOINT_NAME).is_file() or self.state_file.path.is_file():
            return False
        checkpoint = Checkpoint.load(self.path)
        trained = {
            "dataset": checkpoint.dataset["fingerprint"],
            "options": checkpoint.training.get("options", {}),
        }
        if differing := _differing(trained, identity):
            raise BecamError(
                f"{self.path / CHECKPOINT_NAME} is of another run than {CONFIG_NAME} beside it "
                f"(another {', '.join(differing)}); start the run anew with --overwrite."
            )
        # Interrupted before its state was first saved: it begins again.
        return checkpoint.training.get("stopped") != "interrupted"

    def begin(self, identity: dict[str, Any], *, resume: bool) -> None:
        """Make the folder ready for a run, cleared of an earlier one's files alone.

        Raises:
            BecamError: The disk refused.
        """
        self.state_file.identify(identity, elsewhere=_ELSEWHERE)
        if not (resume and self.state_file.path.is_file()):
            # What tells that a run is becam's goes last, so that a kill in between leaves it so.
            for name in (STATE_NAME, CHECKPOINT_NAME, METRICS_NAME, METRICS_LOG, USERS_NAME):
                (self.path / name).unlink(missing_ok=True)
            _remove_events(self.path / TENSORBOARD_FOLDER)
        write_json(self.path / CONFIG_NAME, identity)

    def close(
        self,
        checkpoint: Checkpoint,
        tested: UserMetrics | None,
        baselines: dict[str, dict[str, float]],
        times: dict[str, float],
    ) -> None:
        """Write what a finished run leaves, the checkpoint last.

        Times go beside the checkpoint: the same run gives the same bytes of it. A run that was
        interrupted keeps its state, so that it can still go on.
        """
        write_json(self.path / METRICS_NAME, checkpoint.metrics | {"baselines": baselines} | times)
        if tested is not None:
            save_arrays(self.path / USERS_NAME, {"users": tested.users, **tested.values})
        checkpoint.save(self.path / CHECKPOINT_NAME)
        if checkpoint.training["stopped"] != "interrupted":
            self.state_file.remove()

    def _check(self, *, overwrite: bool, resume: bool) -> None:
        names = (CHECKPOINT_NAME, METRICS_NAME, METRICS_LOG, USERS_NAME, STATE_NAME, CONFIG_NAME)
        present = [name for name in (*names, TENSORBOARD_FOLDER) if (self.path / name).exists()]
        if not present:
            return
        signed = (CHECKPOINT_NAME, STATE_NAME)
        if not (
            _is_config(self.path / CONFIG_NAME)
            or any(is_checkpoint(self.path / name) for name in signed)
        ):
            raise BecamError(
                f"{self.path} holds {present[0]}, which is of no run of becam's, so it is left as "
                "it is; choose another -o."
            )
        if not (overwrite or resume):
            raise BecamError(
                f"{self.path} already holds a run; go on with it by --resume, replace it by "
                "--overwrite, or choose another -o."
            )

    def _compare(self, identity: dict[str, Any]) -> None:
        try:
            there = read_record(self.path / CONFIG_NAME, _Config, remedy=_ANEW)
        except MissingFileError:
            return
        if differing := _differing(msgspec.to_builtins(there), identity):
            raise BecamError(
                f"{self.path} holds a run with another {', '.join(differing)}; resume it with the "
                "options it began with, or choose another -o."
            )


def read_times(run: str | Path) -> dict[str, float]:
    """``seconds`` of a finished run and ``epoch_seconds``, as it left them in its folder.

    Raises:
        BecamError: they are not there.
    """
    path = Path(run) / METRICS_NAME
    found = read_record(path, _Times, remedy=_AGAIN, what="file of metrics")
    return {name: getattr(found, name) for name in TIMES}


def read_user_metrics(run: str | Path) -> UserMetrics:
    """The test metrics of every user that a finished run left in its folder.

    Raises:
        BecamError: there are none.
    """
    path = Path(run) / USERS_NAME
    try:
        values = read_arrays(path, what="file of metrics", remedy=_AGAIN)
    except MissingFileError:
        raise BecamError(f"{run} has no {USERS_NAME}; train writes it once a run ends.") from None
    return UserMetrics.of(values, where=str(path), remedy=_AGAIN)


def _differing(there: dict[str, Any], identity: dict[str, Any]) -> list[str]:
    """Which options two runs differ in; where they ran does not count."""
    before, now = (json.loads(json.dumps(dict(one["options"]))) for one in (there, identity))
    found = [name for name in now if name not in _ELSEWHERE and before.get(name) != now[name]]
    return ["the dataset", *found] if there["dataset"] != identity["dataset"] else found


def _is_config(path: Path) -> bool:
    try:
        read_record(path, _Config, remedy=_ANEW)
    except BecamError:
        return False
    return True


def _remove_events(folder: Path) -> None:
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name.startswith("events.out.tfevents."):
            path.unlink()
    with suppress(OSError):  # others' files stay
        folder.rmdir()
