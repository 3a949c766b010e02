"""The folder of one training run: what is in it, and whether it may be used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from becam.checkpoint import CHECKPOINT_NAME, Checkpoint
from becam.errors import BecamError
from becam.files import atomic_file
from becam.training.ranking import UserMetrics
from becam.training.report import METRICS_LOG, TENSORBOARD_FOLDER
from becam.training.state import STATE_NAME, StateFile

CONFIG_NAME = "config.json"
METRICS_NAME = "metrics.json"
USERS_NAME = "users.npz"

# Where a run goes on may differ from where it began; then it is the same run, not the same bits.
_ELSEWHERE = ("device", "threads")


class RunFolder:
    """A run's folder: finished once it has a checkpoint and no state to go on from.

    Args:
        path: Of the folder.
        save_every: Seconds between saves of the state.
    """

    def __init__(self, path: Path, save_every: float) -> None:
        if path.is_file():
            raise BecamError(f"{path} is a file; choose a folder as -o.")
        self.path = path
        self.state_file = StateFile(path / STATE_NAME, save_every)

    def finished(self, identity: dict[str, Any]) -> bool:
        """Whether the run of this ``identity`` (dataset and options) is over.

        Raises:
            BecamError: the folder holds a run of other data or options.
        """
        self._compare(identity)
        if not (self.path / CHECKPOINT_NAME).is_file() or self.state_file.path.is_file():
            return False
        # Interrupted before its state was first saved: it begins again.
        return Checkpoint.load(self.path).training.get("stopped") != "interrupted"

    def open(self, identity: dict[str, Any], *, overwrite: bool, resume: bool) -> None:
        """Make the folder ready for a run, cleared of an earlier one's files alone.

        Raises:
            BecamError: an earlier run is there that may be neither replaced nor resumed, or the
                disk refused.
        """
        names = [CHECKPOINT_NAME, CONFIG_NAME, METRICS_NAME, METRICS_LOG, USERS_NAME, STATE_NAME]
        present = [self.path / name for name in (*names, TENSORBOARD_FOLDER)]
        present = [path for path in present if path.exists()]
        resumed = resume and self.state_file.path.is_file()
        if present and not (overwrite or resume):
            raise BecamError(
                f"{self.path} already holds a run; go on with it by --resume, replace it by "
                "--overwrite, or choose another -o."
            )
        try:
            for path in () if resumed else present:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BecamError(
                f"Cannot write {self.path}: {error.strerror}; choose another -o."
            ) from error
        self._write(CONFIG_NAME, identity)

    def close(
        self,
        checkpoint: Checkpoint,
        tested: UserMetrics | None,
        baselines: dict[str, dict[str, float]],
    ) -> None:
        """Write what a finished run leaves, the checkpoint last.

        A run that was interrupted keeps its state, so that it can still go on.
        """
        self._write(METRICS_NAME, checkpoint.metrics | {"baselines": baselines})
        if tested is not None:
            with atomic_file(self.path / USERS_NAME) as temporary:
                np.savez(temporary, users=tested.users, **tested.values)  # type: ignore[arg-type]
        checkpoint.save(self.path / CHECKPOINT_NAME)
        if checkpoint.training["stopped"] != "interrupted":
            self.state_file.remove()

    def _compare(self, identity: dict[str, Any]) -> None:
        path = self.path / CONFIG_NAME
        if not path.is_file():
            return
        try:
            there = json.loads(path.read_text("utf-8"))
            before, now = dict(there["options"]), json.loads(json.dumps(identity["options"]))
            other_data = there["dataset"] != identity["dataset"]
        except (ValueError, KeyError, TypeError):
            raise BecamError(f"{path} is damaged; start the run anew with --overwrite.") from None
        differing = [
            name for name in now if name not in _ELSEWHERE and before.get(name) != now[name]
        ]
        if other_data:
            differing.insert(0, "the dataset")
        if differing:
            raise BecamError(
                f"{self.path} holds a run with another {', '.join(differing)}; resume it with the "
                "options it began with, or choose another -o."
            )

    def _write(self, name: str, values: dict[str, Any]) -> None:
        with atomic_file(self.path / name) as temporary:
            temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", "utf-8")


def read_user_metrics(run: str | Path) -> UserMetrics:
    """The test metrics of every user that a finished run left in its folder.

    Raises:
        BecamError: there are none.
    """
    path = Path(run) / USERS_NAME
    try:
        with np.load(path, allow_pickle=False) as archive:
            values = dict(archive)
        return UserMetrics(values.pop("users"), values)
    except FileNotFoundError:
        raise BecamError(f"{run} has no {USERS_NAME}; train writes it once a run ends.") from None
    except Exception as error:  # numpy and zipfile raise many kinds
        raise BecamError(f"{path} is damaged; train again with --overwrite.") from error
