"""Which pictures an audit looks at, and in which order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from becam.checkpoint import Checkpoint
from becam.data.dataset import Dataset
from becam.data.pictures import below, require_folder
from becam.errors import BecamError
from becam.evaluation.annotations import Annotation, Annotations
from becam.files import sha256
from becam.progress import bar


@dataclass(frozen=True)
class Subject:
    """A picture to audit.

    Attributes:
        name: the item's id, or the picture's path below its folder.
        path: of the picture.
    """

    name: str
    path: Path


def content_key(name: str, picture: Path, *others: str) -> str:
    """What is computed of a picture is kept under this: another content makes another.

    Args:
        name: of the item or the picture.
        picture: its path; one that cannot be read has a key too.
        others: what decides beside the picture, such as a text.
    """
    try:
        content = sha256(picture)
    except (BecamError, OSError):
        content = ""
    return hashlib.sha256(json.dumps([name, content, *others]).encode()).hexdigest()


def item_subjects(dataset: Dataset, checkpoints: Iterable[Checkpoint]) -> list[Subject]:
    """Items with a picture that all checkpoints know, in the dataset's order.

    Raises:
        BecamError: there is none.
    """
    known = [frozenset(checkpoint.item_ids) for checkpoint in checkpoints]
    found = [
        Subject(name, path)
        for row, name in enumerate(dataset.item_ids)
        if all(name in ids for ids in known) and (path := dataset.image_path(row)) is not None
    ]
    if not found:
        raise BecamError(
            f"{dataset.path} has no item with a picture that the checkpoints know; give the "
            "dataset that they were trained on."
        )
    return found


def photo_subjects(folder: Path) -> list[Subject]:
    """All pictures below a folder, by name.

    Raises:
        BecamError: no such folder, or no picture in it.
    """
    root = require_folder(folder)
    paths = sorted(below(root))
    if not paths:
        raise BecamError(f"There are no pictures in {folder}; name another folder with --images.")
    return [Subject(path.relative_to(root).as_posix(), path) for path in paths]


def shuffled(subjects: Sequence[Subject], *, seed: int) -> list[Subject]:
    """The same in the order of a seed: whoever audits more begins with the same ones."""
    order = np.random.default_rng(seed).permutation(len(subjects))
    return [subjects[place] for place in order]


def showing(
    subjects: Sequence[Subject],
    annotations: Annotations | None,
    objects: Collection[str],
    count: int,
) -> list[Subject]:
    """The first ``count`` that are annotated and show one of ``objects``, where these are given.

    Raises:
        BecamError: there is none.
    """
    if annotations is None:
        return list(subjects[:count])
    found: list[Subject] = []
    with bar(desc="Reading annotations", total=len(subjects), unit="picture") as progress:
        for subject in subjects:
            progress.update()
            if len(found) == count:
                break
            annotation = annotation_of(subject, annotations)
            if annotation is not None and (not objects or annotation.present() & set(objects)):
                found.append(subject)
    if not found:
        what = f" that shows {', '.join(sorted(objects))}" if objects else ""
        raise BecamError(
            f"{annotations.source} annotates no picture{what}; annotations must be named as "
            f"pictures are, such as {subjects[0].path.stem}."
        )
    return found


def annotation_of(subject: Subject, annotations: Annotations | None) -> Annotation | None:
    """What is known of a picture."""
    if annotations is None or subject.path.name not in annotations:
        return None
    return annotations[subject.path.name]
