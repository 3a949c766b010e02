"""Random scenes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from becam.data.catalogue import attributes as a
from becam.data.catalogue.attributes import Person, SceneSpec, Sign, Thing
from becam.data.catalogue.garments import BOTTOMS, OUTER, TOPS

T = TypeVar("T")
Rng = np.random.Generator

_ASPECTS = (1.0, 1.0, 0.75, 0.8, 1.25, 1.3333)
_SIMPLE = (
    "shoe",
    "mug",
    "teapot",
    "bottle",
    "vase",
    "cushion",
    "handbag",
    "lamp",
    "watch",
    "chair",
)
"""What may stand beside a product."""


def sample_product(rng: Rng) -> Thing:
    """A product with a uniform type, colour and pattern."""
    return Thing(_pick(rng, a.TYPES), _pick(rng, a.COLOURS), _pick(rng, a.PATTERNS))


def sample_scene(rng: Rng, product: Thing | None = None) -> SceneSpec:
    """A random scene around a product, which is itself random where none is given."""
    product = sample_product(rng) if product is None else product
    carried = product.type == "handbag" and rng.random() < 0.5
    person, framing = None, "still"
    if product.type in a.WORN or carried:
        framing = _framing(rng, product)
        person = _person(rng, product, framing)
    return SceneSpec(
        product=product,
        scene=_pick(rng, a.SCENES),
        framing=framing,
        person=person,
        others=_others(rng, product),
        sign=_sign(rng, framing) if rng.random() < 0.55 else None,
        aspect=_pick(rng, _ASPECTS),
        seed=int(rng.integers(2**31)),
    )


def _pick(rng: Rng, choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]


def _sign(rng: Rng, framing: str) -> Sign:
    """A banner would hang behind a person's head."""
    kinds = a.SIGNS if framing == "still" else [kind for kind in a.SIGNS if kind != "banner"]
    return Sign(_pick(rng, a.WORDS), _pick(rng, kinds))


def _garment(rng: Rng, types: Sequence[str], taken: Sequence[str]) -> Thing:
    """Something to wear with the product, in a colour of its own and often plain."""
    free = [colour for colour in a.COLOURS if colour not in taken]
    pattern = "solid" if rng.random() < 0.7 else _pick(rng, a.PATTERNS)
    return Thing(_pick(rng, types), _pick(rng, free), pattern)


def _framing(rng: Rng, product: Thing) -> str:
    if product.type in ("hat", "scarf"):
        return _pick(rng, ("bust", "bust", "upper"))
    if product.type in (*TOPS, "jacket"):
        return _pick(rng, ("upper", "upper", "full"))
    return "full"


def _person(rng: Rng, product: Thing, framing: str) -> Person:
    sex = "woman" if product.type in ("dress", "skirt") else _pick(rng, a.SEXES)
    styles = a.HAIR_STYLES if sex == "woman" else ("short", "curly")
    garments: list[Thing] = []

    def add(types: Sequence[str]) -> None:
        garments.append(_garment(rng, types, [product.colour, *(g.colour for g in garments)]))

    if product.type != "dress":
        if product.type not in TOPS:
            add(("t-shirt",) if product.type in OUTER else TOPS)
        if product.type not in BOTTOMS and framing != "bust":
            add(BOTTOMS if sex == "woman" else BOTTOMS[1:])
    if product.type not in ("hat", "scarf") and rng.random() < 0.15:
        add(("hat", "scarf"))
    return Person(
        sex,
        _pick(rng, a.SKIN_TONES),
        _pick(rng, a.HAIR_COLOURS),
        _pick(rng, styles),
        tuple(garments),
    )


def _others(rng: Rng, product: Thing) -> tuple[Thing, ...]:
    count = int(rng.choice(3, p=[0.4, 0.4, 0.2]))
    kinds = [kind for kind in _SIMPLE if kind != product.type]
    colours = [colour for colour in a.COLOURS if colour != product.colour]
    chosen = rng.permutation(len(kinds))[:count]
    tints = rng.permutation(len(colours))[:count]
    return tuple(
        Thing(
            kinds[kind],
            colours[tint],
            "solid" if rng.random() < 0.6 else _pick(rng, a.PATTERNS),
        )
        for kind, tint in zip(chosen, tints, strict=True)
    )
