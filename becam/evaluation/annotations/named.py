"""What is known of many pictures, by their names."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePath

from becam.errors import BecamError
from becam.evaluation.annotations.base import Annotation
from becam.evaluation.annotations.frames import Frame
from becam.images import suffixes

Reader = Callable[[Frame | None], Annotation]
"""Reads what is known of a picture; it looks how that lies in its file before it does much."""


class Annotations(Mapping[str, Annotation]):
    """Annotations by the names of their pictures, read when asked for.

    A picture is found by its name without folder and suffix, so that ``images/0001.jpg`` and the
    label map ``0001.png`` belong together. Where several have that name, folders and suffix decide.
    Asking for one that is damaged raises a BecamError.

    Args:
        source: the file or folder, for sentences.
        classes: names of all classes.
        readers: by the pictures' names, with folders of any system.
        others: names that pictures may have too, and to which of the names they belong.
        damaged: what could not be read so that classes may be missing, in sentences.
    """

    def __init__(
        self,
        source: Path,
        classes: Collection[str],
        readers: Collection[tuple[str, Reader]],
        *,
        others: Collection[tuple[str, str]] = (),
        damaged: Sequence[str] = (),
    ) -> None:
        self.source = source
        self.classes = sorted(set(classes))
        self._damaged = damaged
        self._named: dict[str, list[tuple[str, Reader]]] = defaultdict(list)
        for name, reader in readers:
            self._named[stem(name)].append((name, reader))
        self._others: dict[str, list[str]] = defaultdict(list)
        for other, name in others:
            self._others[stem(other)].append(stem(name))

    def __getitem__(self, picture: str) -> Annotation:
        found = self.of(picture)
        if found is None:
            raise KeyError(picture)
        return found

    def of(
        self,
        picture: str | PurePath,
        frame: Frame | None = None,
        pictures: Mapping[str, Collection[PurePath]] | None = None,
    ) -> Annotation | None:
        """What is known of a picture; None where nothing is.

        Args:
            picture: its name, or its path.
            frame: how it lies in its file; the annotation is then that of the upright picture.
            pictures: all that there are, by :func:`stem`, where that matters.

        Raises:
            BecamError: it is damaged or of a picture of another size, or nobody can tell of which
                it is.
        """
        pictures, key = pictures or {}, stem(str(picture))
        found = self._named.get(key) or [
            one
            for name in self._others.get(key, ())
            if name not in pictures
            for one in self._named[name]
        ]
        if not found:
            return None
        likeness = [_likeness(name, picture) for name, _ in found]
        best = max(likeness)
        if likeness.count(best) > 1:
            raise BecamError(
                f"{self.source} has two pictures named {key}; give pictures names that differ by "
                "more than folder and suffix."
            )
        name, reader = found[likeness.index(best)]
        rivals = [
            _likeness(name, other) for other in pictures.get(key, ()) if other != PurePath(picture)
        ]
        if max(rivals, default=best) > best:
            return None
        if best in rivals:
            raise BecamError(
                f"{self.source} annotates one picture named {key}, but there are several; give "
                "pictures names that differ by more than folder and suffix."
            )
        annotation = reader(frame)
        return annotation if frame is None else annotation.on(frame)

    def __contains__(self, picture: object) -> bool:
        return isinstance(picture, str) and (
            stem(picture) in self._named or stem(picture) in self._others
        )

    def __iter__(self) -> Iterator[str]:
        for key, found in self._named.items():
            yield from [key] if len(found) == 1 else (name for name, _ in found)

    def __len__(self) -> int:
        return sum(len(found) for found in self._named.values())

    def known(self, names: Collection[str]) -> frozenset[str]:
        """Some class names, as the annotations spell them.

        Raises:
            BecamError: one that they do not have.
        """
        spelt = {name.casefold(): name for name in self.classes}
        for name in names:
            if name.casefold() not in spelt:
                unread = ""
                if self._damaged:
                    reason = self._damaged[0].rstrip(".")
                    unread = f" ({len(self._damaged):,} damaged, such as: {reason})"
                raise BecamError(
                    f"{self.source} has no class {name!r}; it has {', '.join(self.classes)}"
                    f"{unread}."
                )
        return frozenset(spelt[name.casefold()] for name in names)


def stem(name: str) -> str:
    """A picture's name without folders, of any system, and without what pictures' names end in."""
    return _parts(name)[-1]


def _parts(name: str) -> tuple[str, ...]:
    """Folders and stem; macOS decomposes letters with accents in names of files."""
    *folders, last = re.split(r"[\\/]+", unicodedata.normalize("NFC", name))
    while (ending := PurePath(last).suffix.lower()) and ending in suffixes():
        last = last[: -len(ending)]
    return (*folders, last)


def _likeness(name: str, picture: str | PurePath) -> tuple[int, bool]:
    """How many names two paths share, counted from the end, and whether their suffixes are one."""
    one, other = _parts(name)[::-1], _parts(str(picture))[::-1]
    shared = 0
    for mine, its in zip(one, other, strict=False):
        if mine != its:
            break
        shared += 1
    return shared, PurePath(name).suffix.lower() == PurePath(picture).suffix.lower()
