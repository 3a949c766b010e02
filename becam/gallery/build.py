"""Items explained through every column, and shown: pages, contact sheets, numbers."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from becam import limits
from becam.attribution.labels import Sources
from becam.checkpoint import installed_version
from becam.data.dataset import Dataset
from becam.data.pictures import warn_left_out
from becam.errors import BecamError, BecamWarning
from becam.evaluation.shards import WHOLE, Shard
from becam.evaluation.subjects import Subject, content_key
from becam.figures.contact_sheet import check_sheet
from becam.files import (
    Contents,
    atomic_dir,
    check_output_file,
    check_output_folder,
    check_replaceable,
    open_file,
)
from becam.gallery.cards import CardMaker
from becam.gallery.fiftyone import CONTENTS as FIFTYONE_CONTENTS
from becam.gallery.fiftyone import FiftyOneWriter
from becam.gallery.maps import ItemMap, MapFiles
from becam.gallery.model import Card, Column, Heading
from becam.gallery.neighbours import item_neighbours
from becam.gallery.numbers import ITEMS as NUMBERS
from becam.gallery.numbers import NumberWriter
from becam.gallery.page import PageWriter
from becam.gallery.request import Request
from becam.gallery.sheets import SheetWriter
from becam.images import UnreadablePicture, read_image
from becam.progress import bar

PAGE = "index.html"
PARTS_SUFFIX = ".parts"
PICTURE_SIDE = 320

_HEAD_BYTES = 4096


def _is_page(folder: Path) -> bool:
    """Whether the page in a folder says that becam made it."""
    with suppress(BecamError, OSError), open_file(folder / PAGE) as stream:
        return b'<meta name="generator" content="becam">' in stream.read(_HEAD_BYTES)
    return False


CONTENTS = Contents(
    "a gallery",
    signs=frozenset({PAGE, NUMBERS}),
    others=frozenset({"assets", "data", "thumbs"}),
    proof=_is_page,
)


class Writer(Protocol):
    """Takes cards one after another, so that a hundred thousand are never in memory at once."""

    def add(self, card: Card, picture: Image.Image) -> None:
        """Take a card and its whole picture."""

    def finish(self) -> None:
        """Write what is left."""


class Gallery:
    """Items explained by this process or by several, then shown; it goes on where it was.

    Maps go into a folder beside the output (``gallery.parts`` for ``gallery``), a file an item as
    it is done. They stay there: another choice of items, or another sheet, goes on from them.

    Args:
        request: what is shown.
        output: the folder of the gallery.
        picture_side: longer side of the pages' pictures, in pixels.
        sheets: contact sheets to write beside, each ends in .pdf or .png.
        fiftyone: a folder for the same as a FiftyOne dataset.
        overwrite: replace what is at ``output`` and ``fiftyone``, and maps of another identity.
        only_maps: this process explains and another writes, so that what is there does not matter.

    Attributes:
        subjects: the items to show; those with pictures from elsewhere are none of them.
        left_out: ids of items whose pictures cannot be read, known once all are explained.
        sheets: paths of the contact sheets that were written.

    Raises:
        BecamError: options that do not fit together, an output that is there, no item to show,
            maps of another identity.
    """

    def __init__(
        self,
        request: Request,
        output: str | Path,
        *,
        picture_side: int = PICTURE_SIDE,
        sheets: Sequence[str | Path] = (),
        fiftyone: str | Path | None = None,
        overwrite: bool = False,
        only_maps: bool = False,
    ) -> None:
        self._request = request
        self._output = Path(os.path.abspath(output))
        limits.PICTURE_SIDE.check(picture_side, "--picture-size")
        self._picture_side = picture_side
        self._sheet_paths = [Path(path) for path in sheets]
        self._fiftyone = None if fiftyone is None else Path(os.path.abspath(fiftyone))
        self._overwrite = overwrite
        self.sheets: list[Path] = []
        check_outputs(
            output, sheets=sheets, fiftyone=fiftyone, overwrite=None if only_maps else overwrite
        )
        request.check()
        self.subjects = [
            Subject(name, path) for name, path, _ in request.subjects if name not in request.outside
        ]
        if not self.subjects:
            name, path, _ = request.subjects[0]
            raise BecamError(
                f"The pictures of all {len(request.subjects):,} items lie outside "
                f"{request.opened.image_folder}, such as that of {name} ({path}); name the folder "
                "that they may be shown from with --picture-folder."
            )
        self._texts = {name: text for name, _, text in request.subjects}
        found = {name: (path, text) for name, path, text in request.subjects}
        # A shard reads its own pictures alone.
        self._key = cache(lambda name: content_key(name, *found[name]))
        self._maps = MapFiles(self.parts, request.identity(), overwrite=overwrite)

    @property
    def parts(self) -> Path:
        """Where the maps are kept."""
        return _parts_of(self._output)

    def working(self) -> AbstractContextManager[None]:
        """Keep whoever would begin the maps again away while the block runs.

        Raises:
            BecamError: a process begins them again just now.
        """
        return self._maps.working()

    def missing(self, shard: Shard = WHOLE) -> list[Subject]:
        """The items of a shard that are not explained yet."""
        own = shard.of(self.subjects)
        keys = self._maps.missing([self._key(subject.name) for subject in own])
        return [subject for subject in own if self._key(subject.name) in keys]

    def explain(self, shard: Shard = WHOLE) -> None:
        """Explain, in this process, the items that a shard misses.

        An item whose picture cannot be read stays missing.

        Raises:
            BecamError: what would happen to every item, such as an encoder that cannot be had.
        """
        missing = self.missing(shard)
        if not missing:
            return
        explainer, reasons = self._request.explainer()
        for reason in reasons:
            warnings.warn(f"No coloured words: {reason}", BecamWarning, stacklevel=2)
        total = len(shard.of(self.subjects))
        done = total - len(missing)
        with (
            self.working(),
            bar(desc="Explaining", total=total, unit="item", initial=done) as progress,
        ):
            for subject in missing:
                key = self._key(subject.name)
                if key not in self._maps:  # another process may have come first
                    try:
                        maps = explainer.maps(subject, self._texts[subject.name])
                    except UnreadablePicture:
                        continue
                    self._maps.write(key, maps)
                progress.update()
        if explainer.wordless:
            (name, reason), count = explainer.wordless[0], len(explainer.wordless)
            warnings.warn(
                f"Items whose words are not coloured: {count:,}, such as {name}: {reason}",
                BecamWarning,
                stacklevel=2,
            )

    @cached_property
    def left_out(self) -> list[str]:
        """Ids of the items whose pictures cannot be read."""
        return [subject.name for subject in self.missing()]

    def write(self) -> Path:
        """Write all items that could be explained; the path of the page.

        What was there before is replaced whole, and only at the end.

        Raises:
            BecamError: no item could be explained, or the disk refuses.
        """
        shown = len(self.subjects) - len(self.left_out)
        if not shown:
            raise BecamError(
                f"None of the {len(self.subjects):,} pictures can be read, such as "
                f"{self.subjects[0].path}; check the dataset's pictures."
            )
        warn_left_out(self.left_out, len(self.subjects))
        warn_left_out(
            sorted(self._request.outside),
            len(self._request.subjects),
            why=f"their pictures lie outside {self._request.opened.image_folder}",
            remedy="; name the folder that they may be shown from with --picture-folder",
        )
        check_outputs(self._output, fiftyone=self._fiftyone, overwrite=self._overwrite)
        heading = self._heading()
        with ExitStack() as stack:
            stack.enter_context(self.working())
            folder = stack.enter_context(self._writing(self._output, CONTENTS))
            writers: list[Writer] = [
                PageWriter(folder, heading, picture_side=self._picture_side),
                NumberWriter(folder, heading),
            ]
            sheets = [
                stack.enter_context(SheetWriter(path, heading, total=shown))
                for path in self._sheet_paths
            ]
            writers += sheets
            if self._fiftyone is not None:
                export = stack.enter_context(self._writing(self._fiftyone, FIFTYONE_CONTENTS))
                pictures = {subject.name: subject.path for subject in self.subjects}
                writers.append(stack.enter_context(FiftyOneWriter(export, heading, pictures)))
            for card, picture in self._cards(shown):
                for writer in writers:
                    writer.add(card, picture)
            for writer in writers:
                writer.finish()
        self.sheets = [path for sheet in sheets for path in sheet.written]
        return self._output / PAGE

    def _writing(self, path: Path, contents: Contents) -> AbstractContextManager[Path]:
        return atomic_dir(path, contents, overwrite=self._overwrite)

    def _cards(self, shown: int) -> Iterator[tuple[Card, Image.Image]]:
        request, left_out = self._request, set(self.left_out)
        names = [subject.name for subject in self.subjects if subject.name not in left_out]
        near = item_neighbours(request.loaded[0], request.opened, names)
        maker = CardMaker(request.opened, request.columns, near)
        with bar(desc="Writing", total=shown, unit="item") as progress:
            for row in request.selection.items.iter_rows(named=True):
                if row["id"] not in left_out and row["id"] not in request.outside:
                    yield maker.card(row, self._read(row["id"])), read_image(row["image"])
                    progress.update()

    def _read(self, name: str) -> list[ItemMap]:
        return self._maps.read(self._key(name))

    def _heading(self) -> Heading:
        request = self._request
        first = next(s.name for s in self.subjects if s.name not in set(self.left_out))
        maps = self._read(first)
        columns = tuple(
            Column(column.label, column.method, column.adapter, column.space, one.options)
            for (_, column), one in zip(request.columns, maps, strict=True)
        )
        selection = request.selection
        notes = [
            f"{each.label}: {sentence}"
            for each in request.table.deviations
            for sentence in each.summary.sentences()
        ]
        if selection.opposite is not None:
            notes.append(f"The other end of the rule: --items {selection.opposite}.")
        return Heading(
            title=f"{request.opened.manifest.name}: what behaviour says of its pictures",
            rule=selection.rule,
            total=request.opened.n_items,
            columns=columns,
            omission=request.omission,
            notes=tuple(notes),
            facts=self._facts(columns),
        )

    def _facts(self, columns: Sequence[Column]) -> dict[str, str]:
        request = self._request
        counts = request.opened.manifest.counts

        def each(name: str) -> str:
            return ", ".join(dict.fromkeys(str(column.options[name]) for column in columns))

        return {
            "Dataset": (
                f"{request.opened.manifest.name} ({counts['items']:,} items, "
                f"{counts['users']:,} users, {counts['interactions']:,} interactions)"
            ),
            "Items": request.items,
            "Encoder": each("encoder"),
            "Target layer": each("target_layer"),
            "Methods": ", ".join(dict.fromkeys(column.method for column in columns)),
            "Masking": each("masking"),
            "Precision": each("precision"),
            "Control with a shuffled encoder": "yes" if request.randomise else "no",
            "Neighbours": f"of {request.names[0]}",
            "Seed": str(request.seed),
            "becam": installed_version(),
        }


def check_outputs(
    output: str | Path,
    *,
    sheets: Sequence[str | Path] = (),
    fiftyone: str | Path | None = None,
    overwrite: bool | None = None,
) -> None:
    """Fail early when a gallery's outputs cannot be written.

    Args:
        output, sheets, fiftyone: as of :class:`Gallery`.
        overwrite: replace galleries and exports that are there; None: what is there does not
            matter.

    Raises:
        BecamError: one of them cannot be written or replaced, or one lies in another, which is
            written whole.
    """
    folder = check_output_folder(output)
    check_output_folder(_parts_of(folder))
    if overwrite is not None:
        check_replaceable(folder, CONTENTS, overwrite=overwrite)
    folders = [folder]
    if fiftyone is not None:
        export = check_output_folder(fiftyone)
        if overwrite is not None:
            check_replaceable(export, FIFTYONE_CONTENTS, overwrite=overwrite)
        if folder in export.parents or export in (folder, *folder.parents):
            raise BecamError(
                f"{fiftyone} and {output} lie in each other, and each is written whole; choose "
                "another --fiftyone."
            )
        folders.append(export)
    for path in sheets:
        check_sheet(path)
        sheet = check_output_file(path)
        if any(each in sheet.parents for each in folders):
            raise BecamError(
                f"{path} lies in a folder that is written whole; choose another --sheet."
            )


def _parts_of(output: Path) -> Path:
    return output.with_name(output.name + PARTS_SUFFIX)


def build_gallery(
    checkpoints: Sources,
    dataset: Dataset | str | Path,
    output: str | Path,
    *,
    picture_side: int = PICTURE_SIDE,
    sheets: Sequence[str | Path] = (),
    fiftyone: str | Path | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Path:
    """Show many items: their pictures, heatmaps and numbers, on pages that need no server.

    A call that was stopped goes on where it was.

    Args:
        checkpoints: checkpoints, or paths of them; a column each.
        dataset: that they were trained on, or its folder.
        output: the folder to write; open ``index.html`` in it.
        picture_side: longer side of the pages' pictures, in pixels.
        sheets: contact sheets to write beside, each ends in .pdf or .png.
        fiftyone: a folder for the same as a FiftyOne dataset.
        overwrite: replace what is there.
        options: of :class:`becam.gallery.request.Request`, such as ``items="top-drift:20"``.

    Returns:
        The path of the page.

    Raises:
        BecamError: options that do not fit together or name nothing; see :class:`Gallery`.
    """
    request = Request(checkpoints=checkpoints, dataset=dataset, **options)
    gallery = Gallery(
        request,
        output,
        picture_side=picture_side,
        sheets=sheets,
        fiftyone=fiftyone,
        overwrite=overwrite,
    )
    gallery.explain()
    return gallery.write()
