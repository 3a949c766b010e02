"""Where the results of many trainings live: one SQLite file and a folder for each run."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from becam.checkpoint import CHECKPOINT_NAME, Metrics
from becam.errors import BecamError
from becam.files import check_file, check_output_folder, disk_errors, read_arrays
from becam.records import checked
from becam.training import read_user_metrics
from becam.training.ranking import UserMetrics

DATABASE = "store.sqlite"
RUNS_FOLDER = "runs"
LOCK = "lock.sqlite"
FORMAT = 1

# "beca": tells our files from other SQLite files.
_APPLICATION = 0x62656361
_BUSY_SECONDS = 60.0


@dataclass(frozen=True)
class Run:
    """One finished training.

    Attributes:
        key: Hash of everything that decides the result.
        dataset: Name of the dataset.
        features: Name of the feature set.
        model: Registered name of the recommender.
        adapter: Registered name of the adapter.
        seed: Of the training.
        fingerprint: Of the dataset.
        label: Tells variants of one model and adapter apart, such as ``lambda=1/2``.
        options: All of train's options as used.
        metrics: ``epoch``, and by metric ``validation`` and ``test``.
        baselines: ``popularity`` and ``random`` by metric, on the dataset's test split.
        parameters: Number of trained values.
        seconds: Wall clock of the whole training.
        epoch_seconds: Median of an epoch, its validation included.
        epochs: How many epochs were trained.
    """

    key: str
    dataset: str
    features: str
    model: str
    adapter: str
    seed: int
    fingerprint: str
    label: str
    options: dict[str, Any]
    metrics: Metrics
    baselines: dict[str, dict[str, float]]
    parameters: int
    seconds: float
    epoch_seconds: float
    epochs: int

    @property
    def row(self) -> tuple[str, str, str, str, str]:
        """What the runs of a table's row share: dataset, features, model, adapter, label."""
        return self.dataset, self.features, self.model, self.adapter, self.label


_COLUMNS = tuple(field.name for field in fields(Run))
_JSON = ("options", "metrics", "baselines")
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM runs"
_AGAIN = "copy the store again or train into another one"

DIGEST = "digest"
"""The column with each row's hash; stores of an earlier becam have none."""


class Store:
    """A folder of finished runs: ``store.sqlite``, and train's output in ``runs/KEY``.

    A run enters in one transaction: it is in the store whole, or not at all. Per-user metrics are
    kept in the SQLite file, so that file alone makes every table.

    Args:
        path: The folder.
        create: Make it where there is none.

    Raises:
        BecamError: Not a store, one of a newer becam, or a disk that refuses.
    """

    def __init__(self, path: str | Path, *, create: bool = False) -> None:
        self.path = Path(path)
        self._database = self.path / DATABASE
        if create:
            self._create()
        elif not os.path.lexists(self._database):
            raise BecamError(
                f"{self.path} is not a store of runs, for it has no {DATABASE}; becam experiment "
                "makes one."
            )
        check_file(self._database, what="store of runs")
        with self._connect() as connection:
            application = connection.execute("PRAGMA application_id").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        if application != _APPLICATION:
            raise BecamError(f"{self._database} was not written by becam; choose another store.")
        if version > FORMAT:
            raise BecamError(
                f"{self._database} has store format {version} and this becam knows up to {FORMAT}: "
                "update becam."
            )

    def enter(self, run: Run) -> None:
        """Take in a finished run, with the per-user metrics in its folder ``runs/KEY``.

        A run that is there already, by its key, is replaced.

        Raises:
            BecamError: The folder has no per-user metrics, or the disk refused the write.
        """
        users = _pack(read_user_metrics(self.folder(run.key)))
        values = asdict(run) | {name: json.dumps(getattr(run, name)) for name in _JSON}
        marks = ", ".join("?" * (len(_COLUMNS) + 1))
        with self._connect() as connection:
            connection.execute(
                f"INSERT OR REPLACE INTO runs ({', '.join(_COLUMNS)}, users) VALUES ({marks})",
                [*(values[name] for name in _COLUMNS), users],
            )
            if DIGEST not in _columns(connection):  # of an earlier becam
                connection.execute(f"ALTER TABLE runs ADD COLUMN {DIGEST} TEXT")
            # Of the row as SQLite gives it back.
            row = connection.execute(f"{_SELECT} WHERE key = ?", [run.key]).fetchone()
            connection.execute(
                f"UPDATE runs SET {DIGEST} = ? WHERE key = ?", [_digest(row), run.key]
            )

    def folder(self, key: str) -> Path:
        """Where train writes the run of this key; it need not exist."""
        return self.path / RUNS_FOLDER / key

    def __contains__(self, key: object) -> bool:
        with self._connect() as connection:
            found = connection.execute("SELECT 1 FROM runs WHERE key = ?", [key]).fetchone()
        return found is not None

    def runs(self) -> list[Run]:
        """All runs, by dataset, features, model, adapter, label and seed.

        Raises:
            BecamError: The file is damaged.
        """
        order = "ORDER BY dataset, features, model, adapter, label, seed, key"
        with self._connect() as connection:
            sound = connection.execute("PRAGMA integrity_check(1)").fetchone()[0] == "ok"
            rows = connection.execute(f"{_SELECT} {order}").fetchall()
            digests = dict.fromkeys(row[0] for row in rows)
            if DIGEST in _columns(connection):
                digests = dict(connection.execute(f"SELECT key, {DIGEST} FROM runs"))
        if not sound or any(digests.get(row[0]) not in (None, _digest(row)) for row in rows):
            raise BecamError(f"{self._database} is damaged; {_AGAIN}.")
        return [self._run(row) for row in rows]

    def checkpoint(self, model: str, adapter: str, *, seed: int = 0, label: str = "") -> Path:
        """The checkpoint of a run.

        Args:
            model: Registered name of the recommender.
            adapter: Registered name of the adapter.
            seed: Of the training.
            label: Of the row.

        Raises:
            BecamError: No such run, several datasets or feature sets have one, or its checkpoint
                was discarded.
        """
        wanted = (model, adapter, seed, label)
        found = [
            run for run in self.runs() if (run.model, run.adapter, run.seed, run.label) == wanted
        ]
        name = f"{model} with adapter {adapter}, seed {seed}"
        if len(found) != 1:
            there = (
                "no run" if not found else f"{len(found)} runs, over several datasets or features,"
            )
            raise BecamError(f"{self.path} has {there} of {name}; becam experiment makes one.")
        path = self.folder(found[0].key) / CHECKPOINT_NAME
        if not path.is_file():
            raise BecamError(
                f"{self.path} has discarded the checkpoint of {name}; train it again without "
                "--discard-checkpoints."
            )
        return path

    def user_metrics(self, key: str) -> UserMetrics:
        """A run's test metrics by user.

        Raises:
            BecamError: No run has this key.
        """
        with self._connect() as connection:
            found = connection.execute("SELECT users FROM runs WHERE key = ?", [key]).fetchone()
        if found is None:
            raise BecamError(f"{self.path} has no run {key}; Store.runs() lists those it has.")
        return UserMetrics.of(
            read_arrays(bytes(found[0]), what="table of metrics", remedy=_AGAIN),
            where=f"Run {key} in {self._database}",
            remedy=_AGAIN,
        )

    @contextmanager
    def filling(self) -> Iterator[None]:
        """Be the one process that trains into this store; a kill releases it as well.

        Raises:
            BecamError: Another process does.
        """
        # SQLite's own lock: it ends with the process, on every operating system.
        try:
            lock = sqlite3.connect(self.path / LOCK, timeout=0, isolation_level=None)
        except sqlite3.DatabaseError as error:
            raise _unusable(self.path / LOCK, error) from error
        with closing(lock):
            try:
                lock.execute("BEGIN EXCLUSIVE")
            except sqlite3.DatabaseError as error:
                if "locked" not in str(error):
                    raise _unusable(self.path / LOCK, error) from error
                raise BecamError(
                    f"Another becam trains into {self.path} now; wait for it or choose another -o."
                ) from None
            yield

    def _create(self) -> None:
        check_output_folder(self.path)
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with self._connect() as connection:
            if connection.execute("SELECT 1 FROM sqlite_master").fetchone() is None:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS runs (key TEXT PRIMARY KEY, dataset TEXT, "
                    "features TEXT, model TEXT, adapter TEXT, seed INTEGER, fingerprint TEXT, "
                    "label TEXT, options TEXT, metrics TEXT, baselines TEXT, parameters INTEGER, "
                    f"seconds REAL, epoch_seconds REAL, epochs INTEGER, users BLOB, {DIGEST} TEXT)"
                )
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {FORMAT}")

    def _run(self, row: Sequence[Any]) -> Run:
        record = dict(zip(_COLUMNS, row, strict=True))
        where = f"{self._database} ({record['key']})"
        try:
            record |= {name: json.loads(record[name]) for name in _JSON}
        except (ValueError, TypeError, RecursionError):
            raise BecamError(f"{where} is damaged: it is not JSON; {_AGAIN}.") from None
        return checked(record, Run, where=where, remedy=_AGAIN)

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        """A connection whose block is one transaction, and SQLite's complaints in words."""
        try:
            opened = sqlite3.connect(self._database, timeout=_BUSY_SECONDS)
            with closing(opened) as connection, connection:
                yield connection
        except sqlite3.DatabaseError as error:
            raise _unusable(self._database, error) from error


def _unusable(database: Path, error: Exception) -> BecamError:
    return BecamError(
        f"SQLite could not use {database} ({error}); make room or rights there, or choose another "
        "store."
    )


def _columns(connection: sqlite3.Connection) -> set[str]:
    return {row[1] for row in connection.execute("PRAGMA table_info(runs)")}


def _digest(row: Sequence[Any]) -> str:
    return hashlib.sha256(repr(list(row)).encode("utf-8", "surrogatepass")).hexdigest()


def _pack(metrics: UserMetrics) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, users=metrics.users, **metrics.values)  # type: ignore[arg-type]
    return buffer.getvalue()
