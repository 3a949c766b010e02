"""The explorer's parts, and what it does for its pages: everything but HTTP."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Generator
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from becam.attribution import Explainer
from becam.checkpoint import installed_version
from becam.encoders.base import Encoder
from becam.encoders.preprocessing import Geometry
from becam.explorer import limits
from becam.explorer.catalogue import Catalogue
from becam.explorer.choices import method_choices
from becam.explorer.decoders import Decoders, Shown
from becam.explorer.panels import panel
from becam.explorer.pictures import (
    SHOWN_SIDE,
    THUMBNAIL_SIDE,
    ItemPicture,
    Upload,
    sent,
)
from becam.explorer.question import Inquiry, Question, inquire
from becam.explorer.refusal import Refusal
from becam.explorer.shelf import Shelf
from becam.explorer.studio import Found, Place, Studio
from becam.explorer.uploads import Intake
from becam.explorer.work import Ticket, Work
from becam.web import colormap_tables

_THUMBNAILS = 2000


@dataclass
class Answer:
    """All maps of one question.

    Attributes:
        question: as it was asked.
        inquiry: the same, checked.
        caption: of the picture.
        found: the maps by their places.
    """

    question: Question
    inquiry: Inquiry
    caption: str
    found: dict[Place, Found] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes that it takes, nearly."""
        maps = [found.heatmap for found in self.found.values() if found.heatmap is not None]
        return sum(one.raw.nbytes + one.weights.nbytes for one in maps)


class Explorer:
    """What an app serves.

    Args:
        explainer: with all columns that there are.
        catalogue: items and users to choose from.
        work: the queue.
    """

    def __init__(self, explainer: Explainer, catalogue: Catalogue, work: Work) -> None:
        self.explainer = explainer
        self.catalogue = catalogue
        self.work = work
        self.intake = Intake()
        self.uploads: Shelf[Upload] = Shelf(
            count=limits.UPLOADS_KEPT, size=limits.UPLOAD_BYTES_KEPT
        )
        self.answers: Shelf[Answer] = Shelf(
            count=limits.ANSWERS_KEPT, size=limits.ANSWER_BYTES_KEPT
        )
        self._decoders = Decoders()
        self._thumbnails: OrderedDict[Path, bytes] = OrderedDict()
        self._studio = Studio(explainer)
        # Browsers keep pictures of items: those of another server's items must not stand for them.
        self._edition = secrets.token_hex(4)

    def words(self) -> str:
        """What it serves, for people."""
        columns = self._studio.columns
        lines = [f"  {column.label}" for column in columns]
        encoders = dict.fromkeys(column.engine for column in columns)
        for facts in map(self._studio.encoder, encoders):
            lines.append(
                f"  encoder {facts.described}: {facts.channels} masks for an exact map, "
                f"{1000 * facts.seconds:.0f} ms each"
            )
        items = f"{len(self.catalogue.item_ids):,} items, {self.catalogue.pictures:,} with pictures"
        return "\n".join([*lines, f"  {items}, {len(self.catalogue.user_ids):,} users"])

    def about(self) -> dict[str, Any]:
        """All that a page needs to begin, in plain values."""
        catalogue, columns = self.catalogue, self._studio.columns
        encoders = list(dict.fromkeys(column.engine for column in columns))
        return {
            "version": installed_version(),
            "edition": self._edition,
            "dataset": None if catalogue.dataset is None else catalogue.dataset.manifest.name,
            "items": len(catalogue.item_ids),
            "users": len(catalogue.user_ids),
            "pictures": catalogue.pictures,
            "columns": [
                {
                    "label": column.label,
                    "adapter": column.checkpoint.adapter_name("image"),
                    "before": column.space == "content",
                    "encoder": encoders.index(column.engine),
                }
                for column in columns
            ],
            "encoders": [asdict(self._studio.encoder(identity)) for identity in encoders],
            "methods": method_choices(),
            "colormaps": colormap_tables(),
            "limits": {"bytes": limits.UPLOAD_BYTES, "pixels": limits.UPLOAD_PIXELS},
        }

    async def upload(self, data: bytes | bytearray, name: str) -> Upload:
        """A picture that somebody sent, read; it is not kept yet.

        Raises:
            Refusal: it is none.
        """
        shown = await _made(self._decoders.show(sent(data), SHOWN_SIDE))
        return Upload(data, name, shown.width, shown.height, shown.data)

    def keep(self, upload: Upload) -> dict[str, Any]:
        """Keep it for questions, and what its sender is told."""
        id = self.uploads.put(upload, upload.size)
        return {"id": id, "name": upload.name, "width": upload.width, "height": upload.height}

    async def shown(self, picture: ItemPicture) -> bytes:
        """A picture for the page; raises as :meth:`upload` does."""
        return (await _made(self._decoders.show(picture.source, SHOWN_SIDE))).data

    async def thumbnail(self, picture: ItemPicture) -> bytes:
        """A picture for a list; raises as :meth:`upload` does."""
        found = self._thumbnails.get(picture.path)
        if found is None:
            found = (await _made(self._decoders.show(picture.source, THUMBNAIL_SIDE))).data
            self._thumbnails[picture.path] = found
            while len(self._thumbnails) > _THUMBNAILS:
                self._thumbnails.popitem(last=False)
        return found

    def read(self, picture: Upload | ItemPicture, side: int) -> Image.Image:
        """A picture, scaled down to a side where it is larger; raises as :meth:`upload` does."""
        return self._decoders.read(picture.source, side)

    def close(self) -> None:
        """End all that is at work."""
        self.work.close()
        self._decoders.close()

    def picture(self, question: Question) -> Upload | ItemPicture:
        """The picture of a question.

        Raises:
            Refusal: it is not there, or no longer.
        """
        if question.picture is not None:
            found = self.uploads.get(question.picture)
            if found is None:
                raise Refusal(410, "The picture is no longer kept; choose it again.")
            return found
        if question.item is None:
            raise Refusal(422, "Choose a picture.")
        return self.item_picture(self.catalogue.index(question.item))

    def item_picture(self, index: int) -> ItemPicture:
        """The dataset's picture of the item at a place; raises as :meth:`picture` does."""
        item = self.catalogue.entry(index)
        path = self.catalogue.picture(index)
        if path is None:
            raise Refusal(
                404, f"There is no picture of the item {item.id[:80]!r}; choose your own."
            )
        return ItemPicture(path, f"item {item.id}")

    def ask(self, question: Question) -> Answer:
        """Check a question; nothing is computed yet.

        Raises:
            BecamError: something in it is unknown.
        """
        inquiry = inquire(question, len(self._studio.columns))
        if inquiry.aim.item is not None:
            self.catalogue.index(inquiry.aim.item)
        if inquiry.aim.user is not None:
            self.catalogue.check_user(inquiry.aim.user)
        return Answer(question, inquiry, self.picture(question).name)

    def task(self, answer: Answer, ticket: Ticket) -> Generator[None, None, None]:
        """Find an answer, and tell the ticket's holder on the way."""
        ticket.tell("started")
        picture = self.picture(answer.question)
        name = answer.question.picture or answer.caption
        listener = _Listener(self.catalogue, answer, ticket)

        def crop(encoder: Encoder) -> tuple[Image.Image, Geometry]:
            source = replace(picture.source, icc=encoder.record.icc)
            return self._decoders.crop(source, encoder.preprocessing)

        yield from self._studio.explain(crop, name, answer.inquiry, listener)
        ticket.tell("done", answer=self.answers.put(answer, answer.size))


async def _made(future: Future[Shown]) -> Shown:
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        if future.cancelled():
            raise Refusal(503, "The explorer is ending.") from None
        raise


class _Listener:
    """Hands on what the studio finds."""

    def __init__(self, catalogue: Catalogue, answer: Answer, ticket: Ticket) -> None:
        self._catalogue = catalogue
        self._answer = answer
        self._ticket = ticket

    def progress(self, words: str, done: int, total: int, share: float) -> None:
        self._ticket.tell("progress", words=words, done=done, total=total, share=round(share, 4))
        self._ticket.rest()

    def found(self, place: Place, found: Found) -> None:
        self._answer.found[place] = found
        self._ticket.tell("panel", **panel(place, found, self._catalogue))
