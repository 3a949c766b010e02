"""Many pictures measured, one after another, and summed up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from becam.attribution.explainer import Explainer
from becam.data.tables import write_parquet
from becam.errors import BecamError
from becam.evaluation.aims import Aiming
from becam.evaluation.auditor import Auditor, Plan
from becam.evaluation.floors import FLOOR_METHODS
from becam.evaluation.parts import Parts
from becam.evaluation.report import Report, report
from becam.evaluation.subjects import Subject
from becam.evaluation.summary import with_box_accuracy
from becam.files import atomic_file
from becam.progress import bar

VALUES = "measures.parquet"
TABLE = "table.md"


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
    """Measure pictures, go on where an earlier call was stopped, and sum up.

    The folder gets ``parts/`` (a file a picture, as it is done), ``audit.json`` (what decides
    them), ``measures.parquet`` (all values) and ``table.md``.

    Args:
        explainer: checkpoints on their encoders.
        aiming: chooses the targets.
        plan: what is measured.
        subjects: the pictures; a later call may have more.
        output: the folder.
        identity: all that decides a picture's values, as plain values; a folder keeps to one.
        overwrite: begin again.

    Raises:
        BecamError: the folder has an audit of another identity, or a picture cannot be measured.
    """
    if "localisation" in plan.groups and (plan.truth.annotations is None or not plan.truth.objects):
        raise BecamError(
            "The localisation measures need to know where the object is; give --annotations and "
            "--object, or leave localisation out of --measures."
        )
    parts = Parts(output, identity, overwrite=overwrite)
    auditor = Auditor(explainer, aiming, plan)
    done = sum(subject.name in parts for subject in subjects)
    with bar(desc="Auditing", total=len(subjects), unit="picture", initial=done) as progress:
        for subject in subjects:
            if subject.name not in parts:
                parts.write(subject.name, auditor.rows(subject))
                progress.update()
    values = with_box_accuracy(parts.read([subject.name for subject in subjects]))
    with atomic_file(output / VALUES) as temporary:
        write_parquet(values, temporary)
    found = report(values, list(FLOOR_METHODS), seed=plan.seed)
    with atomic_file(output / TABLE) as temporary:
        temporary.write_text(found.to_markdown(), "utf-8")
    return found
