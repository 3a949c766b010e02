"""Many pictures measured, one after another or side by side, and summed up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from becam.attribution.explainer import Explainer
from becam.data.pictures import warn_left_out
from becam.data.tables import write_parquet
from becam.errors import BecamError
from becam.evaluation.aims import Aiming
from becam.evaluation.auditor import Auditor, Plan
from becam.evaluation.floors import FLOOR_METHODS
from becam.evaluation.parts import TABLE, VALUES, Parts
from becam.evaluation.report import Report, report
from becam.evaluation.shards import WHOLE, Shard
from becam.evaluation.subjects import Subject, content_key
from becam.evaluation.summary import with_box_accuracy
from becam.files import atomic_file, write_text
from becam.images import UnreadablePicture
from becam.progress import bar

__all__ = ["TABLE", "VALUES", "Audit", "audit"]


class Audit:
    """Pictures to measure into a folder, by this process or by several; it goes on where it was.

    The folder gets ``parts/`` (a file a picture, as it is done), ``audit.json`` (what decides
    them), ``measures.parquet`` (all values) and ``table.md``.

    Args:
        plan: what is measured.
        subjects: the pictures; a later call may have more.
        output: the folder.
        identity: all that decides a picture's values, as plain values; a folder keeps to one.
        overwrite: begin again.

    Attributes:
        subjects: the pictures.

    Raises:
        BecamError: the folder has an audit of another identity, or the plan lacks the truth.
    """

    def __init__(
        self,
        plan: Plan,
        subjects: Sequence[Subject],
        output: Path,
        *,
        identity: Mapping[str, Any],
        overwrite: bool = False,
    ) -> None:
        truth = plan.truth
        if "localisation" in plan.groups and (truth.annotations is None or not truth.objects):
            raise BecamError(
                "The localisation measures need to know where the object is; give --annotations "
                "and --object, or leave localisation out of --measures."
            )
        self.subjects = subjects
        self._plan = plan
        self._output = output
        self._parts = Parts(output, identity, overwrite=overwrite)
        paths = {subject.name: subject.path for subject in subjects}
        self._key = cache(lambda name: content_key(name, paths[name]))

    def working(self) -> AbstractContextManager[None]:
        """Keep whoever would begin the audit again away while the block runs.

        Raises:
            BecamError: a process begins it again just now.
        """
        return self._parts.working()

    def missing(self, shard: Shard = WHOLE) -> list[Subject]:
        """The pictures of a shard that the folder does not hold yet."""
        own = shard.of(self.subjects)
        keys = self._parts.missing([self._key(subject.name) for subject in own])
        return [subject for subject in own if self._key(subject.name) in keys]

    def measure(self, auditor: Auditor, shard: Shard = WHOLE) -> None:
        """Measure, in this process, what a shard misses.

        A picture that cannot be read stays missing.

        Raises:
            BecamError: a picture cannot be measured.
        """
        total, missing = len(shard.of(self.subjects)), self.missing(shard)
        done = total - len(missing)
        with (
            self.working(),
            bar(desc="Auditing", total=total, unit="picture", initial=done) as progress,
        ):
            for subject in missing:
                key = self._key(subject.name)
                if key not in self._parts:  # another process may have come first
                    with suppress(UnreadablePicture):  # sum_up tells
                        self._parts.write(key, auditor.rows(subject))
                progress.update()

    def sum_up(self) -> Report:
        """Write the values and the table of all pictures that could be read.

        Raises:
            BecamError: none could be, or what is kept of one is damaged.
        """
        left_out = [subject.name for subject in self.missing()]
        if len(left_out) == len(self.subjects):
            raise BecamError(
                f"None of the {len(self.subjects):,} pictures can be read, such as "
                f"{self.subjects[0].path}; check them."
            )
        warn_left_out(left_out, len(self.subjects), what="Pictures")
        gone = set(left_out)
        with self.working():
            keys = [self._key(each.name) for each in self.subjects if each.name not in gone]
            found = self._parts.read(keys)
            values = with_box_accuracy(found)
            with atomic_file(self._output / VALUES) as temporary:
                write_parquet(values, temporary)
            summary = report(values, list(FLOOR_METHODS), seed=self._plan.seed)
            write_text(self._output / TABLE, summary.to_markdown())
        return summary


def audit(
    explainer: Explainer,
    aiming: Aiming,
    plan: Plan,
    subjects: Sequence[Subject],
    output: Path,
    *,
    identity: Mapping[str, Any],
    overwrite: bool = False,
) -> Report:
    """Measure pictures in this process, go on where an earlier call was stopped, and sum up.

    Args:
        explainer: checkpoints on their encoders.
        aiming: chooses the targets.
        plan: what is measured.
        subjects: the pictures; a later call may have more.
        output: the folder of the :class:`Audit`.
        identity: all that decides a picture's values, as plain values; a folder keeps to one.
        overwrite: begin again.

    Raises:
        BecamError: the folder has an audit of another identity, or a picture cannot be measured.
    """
    here = Audit(plan, subjects, output, identity=identity, overwrite=overwrite)
    here.measure(Auditor(explainer, aiming, plan))
    return here.sum_up()
