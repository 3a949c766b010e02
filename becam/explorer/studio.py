"""Where maps are made, step by step, for whoever's turn it is."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from becam.attribution.encodings import reporting
from becam.attribution.explainer import Column, Explainer, Identity
from becam.attribution.heatmap import Heatmap
from becam.attribution.methods import Method
from becam.attribution.target import OTHERS
from becam.attribution.view import View
from becam.encoders.base import Encoder
from becam.encoders.preprocessing import Geometry
from becam.errors import BecamError
from becam.explorer import limits
from becam.explorer.nearest import Nearest, nearest_items
from becam.explorer.question import Inquiry
from becam.explorer.refusal import own_fault

Crop = Callable[[Encoder], tuple[Image.Image, Geometry]]
"""Reads a picture as an encoder sees it; see ``Preprocessing.crop``."""


@dataclass(frozen=True)
class Place:
    """Where a map stands.

    Attributes:
        method: number of the method in the inquiry.
        column: number of the column in the explorer.
    """

    method: int
    column: int


@dataclass(frozen=True)
class Found:
    """A map that is done, or why there is none.

    Attributes:
        heatmap: None where there is none.
        nearest: items near the target and near the picture; None without a recommender.
        sentence: why there is no map, or why it lacks the control that was to come.
    """

    heatmap: Heatmap | None
    nearest: Nearest | None = None
    sentence: str | None = None


class Listener(Protocol):
    """Whoever waits for maps; what its methods raise stops the work."""

    def progress(self, words: str, done: int, total: int, share: float) -> None:
        """Hear how far it is, after every batch; others may take a turn meanwhile.

        Args:
            words: what is being done.
            done, total: masks of it.
            share: of everything that is done, in [0, 1].
        """

    def found(self, place: Place, found: Found) -> None:
        """Get a map; a later one for the same place stands for it."""


@dataclass(frozen=True)
class EncoderFacts:
    """An encoder, for people.

    Attributes:
        name: short.
        described: with its weights, in full.
        channels: masks of an exact map.
        seconds: what a mask takes, as measured lately.
        text: whether it encodes texts.
    """

    name: str
    described: str
    channels: int
    seconds: float
    text: bool


@dataclass(frozen=True)
class _Step:
    """The columns of one encoder under one method."""

    number: int
    method: int
    columns: tuple[int, ...]
    shuffled: bool


@dataclass(frozen=True)
class _Seen:
    """The picture of one question.

    Attributes:
        name: another one for every other picture.
        crop: reads it.
        views: of it, by encoder; nobody else uses them as long as the question is at work.
    """

    name: str
    crop: Crop
    views: dict[Identity, View]


class Studio:
    """Makes maps through one explainer, and keeps the last of them.

    Several questions may be at work, each where its listener keeps it waiting, but one at a time
    may go on.

    Args:
        explainer: with all columns that there are.

    Attributes:
        columns: the explainer's.
    """

    def __init__(self, explainer: Explainer) -> None:
        self.columns = explainer.columns
        self._explainer = explainer
        self._kept: OrderedDict[tuple[object, ...], Found] = OrderedDict()
        self._lately: OrderedDict[str, dict[Identity, View]] = OrderedDict()
        self._seconds: dict[Identity, float] = {}
        self._channels = {identity: self._warm_up(identity) for identity in explainer.engines}

    def encoder(self, identity: Identity) -> EncoderFacts:
        """What is known of an encoder."""
        encoder = self._explainer.engines[identity].encoder
        family, _, rest = (encoder.record.spec or "").split(",")[0].partition(":")
        return EncoderFacts(
            f"{family}:{Path(rest).name.removesuffix('.json')}",
            encoder.record.describe(),
            self._channels[identity],
            self._seconds[identity],
            encoder.has_text,
        )

    def explain(
        self, crop: Crop, name: str, inquiry: Inquiry, listener: Listener
    ) -> Generator[None, None, None]:
        """Make all maps that are asked for, and yield where others may take a turn.

        Where a control by a shuffled encoder doubles the time, the maps come first without it, and
        then once more with it.

        Args:
            crop: reads the picture, where it has not been seen lately.
            name: another one for every other picture.
            inquiry: what is asked.
            listener: gets the maps.
        """
        # Taken away while they are in use: of what is half encoded nobody else can make anything.
        seen = _Seen(name, crop, self._lately.pop(name, {}))
        steps = self._steps(inquiry)
        try:
            for step in steps:
                self._do(step, len(steps), seen, inquiry, listener)
                yield
        finally:
            self._lately[name] = seen.views
            while len(self._lately) > limits.VIEWS_KEPT:
                self._lately.popitem(last=False)

    def _steps(self, inquiry: Inquiry) -> list[_Step]:
        by_encoder: dict[Identity, list[int]] = {}
        for column in inquiry.columns:
            by_encoder.setdefault(self.columns[column].engine, []).append(column)
        if inquiry.aim.text is not None:
            # No recommender takes part, so all columns of an encoder would be the same.
            by_encoder = {identity: columns[:1] for identity, columns in by_encoder.items()}
        chosen = [
            (number, tuple(columns), shuffled)
            for shuffled in (False, True)
            for number, method in enumerate(inquiry.methods)
            for columns in by_encoder.values()
            if shuffled in _passes(method, inquiry.shuffled)
        ]
        return [_Step(place, *one) for place, one in enumerate(chosen)]

    def _do(
        self,
        step: _Step,
        steps: int,
        seen: _Seen,
        inquiry: Inquiry,
        listener: Listener,
    ) -> None:
        method = inquiry.methods[step.method]
        identity = self.columns[step.columns[0]].engine
        words = f"{method.title}, shuffled encoder" if step.shuffled else method.title
        if len(self._explainer.engines) > 1:
            words += f" ({self.encoder(identity).name})"
        last, before = time.monotonic(), 0

        def report(done: int, total: int) -> None:
            nonlocal last, before
            if done > before:
                self._measured(identity, (time.monotonic() - last) / (done - before))
            share = (step.number + done / max(total, 1)) / steps
            listener.progress(words, done, total, share)
            last, before = time.monotonic(), done

        listener.progress(words, 0, 0, step.number / steps)
        with reporting(report):
            for column in step.columns:
                place = Place(step.method, column)
                listener.found(place, self._find(place, seen, inquiry, step.shuffled))

    def _find(self, place: Place, seen: _Seen, inquiry: Inquiry, shuffled: bool) -> Found:
        method = inquiry.methods[place.method]
        what = (seen.name, place.column, inquiry.aim, inquiry.space)
        how = (method.name, *sorted(method.options().items()))
        # A map with all controls serves where fewer were asked for.
        for key in ((*what, *how, True), (*what, *how, shuffled)):
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        try:
            found = self._make(place.column, method, seen, inquiry, shuffled)
        except MemoryError:
            raise  # the next map would want as much
        except Exception as error:
            sentence = str(error) if isinstance(error, BecamError) else own_fault(error)
            # Other maps are not to suffer from it, and where the control fails not even this one.
            before = self._kept.get((*what, *how, False), Found(None))
            return replace(before, sentence=sentence)
        self._kept[key] = found
        while len(self._kept) > limits.MAPS_KEPT:
            self._kept.popitem(last=False)
        return found

    def _make(
        self, column: int, method: Method, seen: _Seen, inquiry: Inquiry, shuffled: bool
    ) -> Found:
        aim, chosen = inquiry.aim, self._column(column, inquiry)
        explainer = self._explainer.using(columns=[chosen], method=method, randomise=shuffled)
        view = self._view(chosen.engine, seen)
        for one in (view, view.twin) if shuffled else (view,):
            method.prepare(one)
        (heatmap,) = explainer.score(
            {chosen.engine: view}, aim.item, user_id=aim.user, text=aim.text
        )
        return Found(heatmap, nearest_items(chosen.checkpoint, view.whole, aim))

    def _view(self, identity: Identity, seen: _Seen) -> View:
        """The picture through one encoder."""
        if identity not in seen.views:
            engine = self._explainer.engines[identity]
            seen.views[identity] = engine.view_of(*seen.crop(engine.encoder))
        return seen.views[identity]

    def _column(self, number: int, inquiry: Inquiry) -> Column:
        column = self.columns[number]
        if inquiry.aim.text is not None:
            return replace(column, label=self.encoder(column.engine).name)
        if inquiry.space == "change":
            if column.space == "content":
                raise BecamError(
                    "What a region changes is taken after the adapter, so there is no such map "
                    "without it."
                )
            return replace(column, space="change")
        return column

    def _warm_up(self, identity: Identity) -> int:
        """Encode a batch of masks, to know what it takes; the number of the layer's channels."""
        engine = self._explainer.engines[identity]
        noise = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
        view = engine.view(Image.fromarray(noise).resize((256, 256)))
        _ = view.blank  # makes the encoder ready
        batch = view.coefficients[: engine.settings.batch_size]
        start = time.monotonic()
        view.encode(batch)
        self._seconds[identity] = (time.monotonic() - start) / len(batch)
        return len(view.coefficients)

    def _measured(self, identity: Identity, seconds: float) -> None:
        """Take in what a mask took; single batches vary."""
        self._seconds[identity] += 0.1 * (seconds - self._seconds[identity])


def _passes(method: Method, shuffled: bool) -> Sequence[bool]:
    """Whether a map is made with a shuffled encoder, without, or both, one after the other."""
    if not shuffled:
        return (False,)
    # Where maps for many others are affordable, so is it to make them again.
    return (False, True) if method.others == OTHERS else (True,)
