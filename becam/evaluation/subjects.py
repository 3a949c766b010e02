"""Which pictures an audit looks at, and in which order."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from becam.checkpoint import Checkpoint
from becam.data.dataset import Dataset
from becam.data.pictures import below, require_folder
from becam.errors import BecamError, BecamWarning
from becam.evaluation.annotations import Annotation, Annotations, frame_of, stem
from becam.files import sha256
from becam.progress import bar

_SAID = 10
"""Pictures that are left out of which the reasons are given."""


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

    A warning names those whose annotations cannot be used, and tells why.

    Raises:
        BecamError: there is none.
    """
    if annotations is None:
        return list(subjects[:count])
    pictures: dict[str, set[PurePath]] = defaultdict(set)
    for subject in subjects:
        pictures[stem(subject.path.name)].add(subject.path)
    found: list[Subject] = []
    left_out: list[str] = []
    with bar(desc="Reading annotations", total=len(subjects), unit="picture") as progress:
        for subject in subjects:
            progress.update()
            if len(found) == count:
                break
            try:
                annotation = annotation_of(subject, annotations, pictures)
            except BecamError as error:
                left_out.append(str(error))
                continue
            if annotation is not None and (not objects or annotation.present() & set(objects)):
                found.append(subject)
    if not found:
        what = f" that shows {', '.join(sorted(objects))}" if objects else ""
        reasons = f" ({len(left_out):,} left out: {left_out[0].rstrip('.')})" if left_out else ""
        raise BecamError(
            f"{annotations.source} annotates no picture{what}{reasons}; annotations must be named "
            f"as pictures are, such as {subjects[0].path.stem}."
        )
    if left_out:
        more = f" Then {len(left_out) - _SAID:,} more." if len(left_out) > _SAID else ""
        warnings.warn(
            f"Pictures left out because their annotations cannot be used: {len(left_out):,}. "
            f"{' '.join(left_out[:_SAID])}{more}",
            BecamWarning,
            stacklevel=2,
        )
    return found


def annotation_of(
    subject: Subject,
    annotations: Annotations | None,
    pictures: Mapping[str, Collection[PurePath]] | None = None,
) -> Annotation | None:
    """What is known of a picture, as it is seen upright.

    Args:
        subject: the picture.
        annotations: None where nothing is known.
        pictures: all that there are, by ``annotations.stem``, so that none is taken for another.

    Raises:
        BecamError: its annotation cannot be used.
    """
    if annotations is None or subject.path.name not in annotations:
        return None
    return annotations.of(subject.path, frame_of(subject.path), pictures)
