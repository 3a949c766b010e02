"""A training that can be killed at any moment: its state on disk, and back."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, TypedDict

import msgspec
import torch

from becam.checkpoint import PROGRAM
from becam.errors import BecamError, MissingFileError
from becam.files import read_torch, save_torch
from becam.records import checked

STATE_NAME = "state.pt"

_RUN = "run"


class _Stopping(TypedDict):
    best: float
    best_epoch: Annotated[int, msgspec.Meta(ge=0)]


class _State(TypedDict):
    """What a file holds; tensors are looked at where they go."""

    model: dict[str, Any]
    optimiser: dict[str, Any]
    stopping: _Stopping
    best_state: dict[str, Any]
    seconds: Annotated[list[float], msgspec.Meta(min_length=1)]
    generator: Any
    cuda_generators: list[Any]


class StateFile:
    """Where a run keeps what it needs to go on: one file, replaced whole.

    Args:
        path: Of the file.
        every: Seconds between two writes.
    """

    def __init__(self, path: Path, every: float) -> None:
        self.path = path
        self._every = every
        self._written = time.monotonic()
        self._run = ""

    def identify(self, identity: Mapping[str, Any], *, elsewhere: Collection[str]) -> None:
        """Say of which run the states are; one of another run is never gone on from.

        Args:
            identity: Dataset and ``options``.
            elsewhere: Options that say where it runs, which may change on the way.
        """
        kept = {k: v for k, v in identity["options"].items() if k not in elsewhere}
        text = json.dumps({**identity, "options": kept}, sort_keys=True)
        self._run = hashlib.sha256(text.encode()).hexdigest()

    def load(self) -> dict[str, Any] | None:
        """The state, and torch's generators set as they were; None where there is no file.

        Raises:
            BecamError: the file is damaged.
        """
        remedy = "this run cannot go on from it: start it anew with --overwrite"
        try:
            found = read_torch(
                self.path, what="state of a training", made="becam train writes one", remedy=remedy
            )
        except MissingFileError:
            return None
        state: dict[str, Any] = found
        checked(found, _State, where=str(self.path), remedy=remedy)
        try:
            torch.set_rng_state(state["generator"])
            if state["cuda_generators"]:
                torch.cuda.set_rng_state_all(state["cuda_generators"])
        except Exception as error:  # torch raises many kinds for what is not its own
            raise BecamError(f"{self.path} is damaged; {remedy}.") from error
        if state.get(_RUN, self._run) != self._run:  # earlier versions did not tell
            raise BecamError(
                f"{self.path} is of a run with other options, so this one cannot go on; start it "
                "anew with --overwrite."
            )
        return state

    def due(self) -> bool:
        """Whether enough time has passed since the last write."""
        return time.monotonic() - self._written >= self._every

    def save(self, state: dict[str, Any]) -> None:
        """Write the state with that of torch's generators.

        Raises:
            BecamError: the disk refused.
        """
        used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
        generators = {
            "generator": torch.get_rng_state(),
            "cuda_generators": torch.cuda.get_rng_state_all() if used else [],
        }
        whose = {"program": PROGRAM, _RUN: self._run}
        save_torch(whose | state | generators, self.path)
        self._written = time.monotonic()

    def remove(self) -> None:
        """Delete the file: the run is over."""
        self.path.unlink(missing_ok=True)
