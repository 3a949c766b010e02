"""Galleries made from nothing: cards with random maps, angles and texts, of any number."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from becam.encoders.preprocessing import Geometry
from becam.gallery.model import Card, Column, Heading, Neighbour, Panel, Word
from becam.gallery.page import PageWriter

CATEGORIES = ("Dress", "Shoes", "Bag", "Vest top", None)
PICTURES = 50
NOUNS = ("dress", "shirt", "vest", "coat", "boot", "mug", "lamp", "scarf")
COLOURS = ("red", "blue", "green", "black", "white", "striped", "dotted")


def heading(columns: int = 3, named: tuple[Column, ...] = (), **changes) -> Heading:
    made = (
        Column("BM3", "becam", "none", "content", {"masking": "mean"}),
        Column("BM3 + BeFA, no adapter", "becam", "none", "content", {"masking": "mean"}),
        Column("BM3 + BeFA", "becam", "befa", "adapted", {"masking": "mean"}),
    )
    values = {
        "title": "A week of a shop",
        "rule": "The items that are farthest from behaviour.",
        "total": 9000,
        "columns": named or made[:columns],
        "omission": 60.0,
        "notes": ("After BeFA, a small θ says nothing of the content: any content has it.",),
        "facts": {"dataset": "shop", "encoder": "becam:vit", "seed": "0"},
    }
    return Heading(**(values | changes))


@cache
def picture(number: int, width: int = 96, height: int = 128) -> Image.Image:
    """A blob of a colour on a gradient, another one for every number."""
    rng = np.random.default_rng(number)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    ground = np.stack([x / width, y / height, (x + y) / (width + height)], -1) * 90 + 120
    centre = rng.uniform(0.3, 0.7, 2) * (height, width)
    inside = ((y - centre[0]) / height) ** 2 + ((x - centre[1]) / width) ** 2 < 0.05
    ground[inside] = rng.uniform(0, 255, 3)
    return Image.fromarray(ground.astype(np.uint8))


def panel(rng: np.random.Generator, column: int, words: tuple[str, ...]) -> Panel:
    theta = (float(rng.normal(70, 18)), float(rng.normal(90, 6)), float(rng.normal(3.3, 0.1)))
    control = (float(rng.normal(88, 8)), float(rng.normal(90, 6)), float(rng.normal(3.3, 0.1)))
    found = int(rng.integers(0, 3))
    return Panel(
        raw=rng.normal(0.2, 1.0, (7, 7)).astype(np.float32),
        theta=theta[column],
        theta_control=control[column],
        warnings=tuple(f"Control {k + 1} speaks against this map." for k in range(found)),
        notes=(f"Content is {theta[column]:.0f}° from behaviour.",),
        controls={"theta": theta[column], "correlation_others": None, "flat_channels": 0},
        weights=tuple(int(n) for n in rng.integers(0, 40, 24)),
        weight_range=(-0.2, 0.31),
        words=tuple(
            Word(word, None if k == 4 else float(rng.normal())) for k, word in enumerate(words)
        ),
    )


def cards(count: int, columns: int = 3, seed: int = 0) -> Iterator[Card]:
    """Items number 0, 1, ...: their ids are ``item-0`` and so on."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        noun = NOUNS[number % len(NOUNS)]
        colour = COLOURS[number % len(COLOURS)]
        words = (colour, noun, "with", "a", "collar", f"n{number}")
        near = [(number + step) % (2 * count) for step in (1, 2, 5)]
        yield Card(
            id=f"item-{number}",
            title=f"{colour} {noun} {number}".capitalize(),
            text=" ".join(words),
            category=CATEGORIES[number % len(CATEGORIES)],
            popularity=int(rng.integers(5, 900)),
            geometry=Geometry(960, 1280, (0.0, 160.0, 960.0, 1120.0)),
            panels=tuple(panel(rng, column, words) for column in range(columns)),
            by_behaviour=tuple(Neighbour(f"item-{k}", f"Near {k}", 0.9) for k in near),
            by_content=tuple(Neighbour(f"item-{k}", f"Like {k}", 0.8) for k in near),
        )


def write_gallery(folder: Path, made: list[Card], columns: int = 3, **changes) -> Path:
    """The path of its page."""
    writer = PageWriter(folder, heading(columns, **changes))
    for number, card in enumerate(made):
        writer.add(card, picture(number % PICTURES))
    writer.finish()
    return folder / "index.html"
