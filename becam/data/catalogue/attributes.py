"""What can be in a picture of the catalogue: vocabulary and the description of one scene."""

from __future__ import annotations

from dataclasses import dataclass, field

WORN = (
    "t-shirt",
    "shirt",
    "jumper",
    "jacket",
    "coat",
    "dress",
    "skirt",
    "trousers",
    "shorts",
    "hat",
    "scarf",
)
"""Products that a person wears."""

GOODS = (
    "handbag",
    "backpack",
    "shoe",
    "mug",
    "teapot",
    "bottle",
    "vase",
    "lamp",
    "chair",
    "cushion",
    "watch",
)
"""Products that stand on their own; a handbag may also be carried."""

TYPES = WORN + GOODS
COLOURS = (
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
    "black",
    "white",
)
PATTERNS = ("solid", "striped", "checked", "dotted", "floral", "zigzag")
SCENES = ("studio", "bedroom", "kitchen", "street", "park", "beach")
SKIN_TONES = ("light", "tan", "dark")
HAIR_COLOURS = ("black", "brown", "blond", "red", "grey")
HAIR_STYLES = ("short", "long", "curly", "bun")
SEXES = ("woman", "man")
WORDS = (
    "SALE",
    "NEW",
    "HOT",
    "OPEN",
    "CAFE",
    "LUNA",
    "NOVA",
    "ZEN",
    "MODA",
    "PARIS",
    "VELO",
    "KIKO",
)
FRAMINGS = ("still", "full", "upper", "bust")
"""Goods on their own; a whole person; down to the hips; head and shoulders."""
SIGNS = ("poster", "banner", "badge")

CLASSES = ("background", "product", "skin", "hair", "text", "other", "clothing")
"""Names of the label map's values, in order."""

BACKGROUND, PRODUCT, SKIN, HAIR, TEXT, OTHER, CLOTHING = range(len(CLASSES))


@dataclass(frozen=True, order=True)
class Thing:
    """A product, a garment or an object: what it is and how it looks."""

    type: str
    colour: str
    pattern: str = "solid"


@dataclass(frozen=True)
class Person:
    """Who wears or carries the product, and what else they wear."""

    sex: str
    skin: str
    hair_colour: str
    hair_style: str
    garments: tuple[Thing, ...] = ()


@dataclass(frozen=True)
class Sign:
    """A printed word and what it is printed on."""

    word: str
    kind: str


@dataclass(frozen=True)
class SceneSpec:
    """Everything that decides a picture; ``render`` adds nothing to it.

    Attributes:
        product: what the shop sells in this picture.
        scene: where.
        framing: how much of the person is in the picture.
        person: who wears or carries the product; None where it stands alone.
        others: objects beside it, left to right.
        sign: a printed word.
        aspect: width over height.
        seed: decides what has no name: pose, light, exact shades, furniture, positions.
    """

    product: Thing
    scene: str
    framing: str = "still"
    person: Person | None = None
    others: tuple[Thing, ...] = ()
    sign: Sign | None = None
    aspect: float = 1.0
    seed: int = field(default=0)
