"""What a scene's picture shows, in words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from becam.data.catalogue.attributes import Person, SceneSpec, Sign, Thing

Rng = np.random.Generator

_PLURAL = ("trousers", "shorts")
_PLACES = {
    "studio": "in a studio",
    "bedroom": "in a bedroom",
    "kitchen": "in a kitchen",
    "street": "on a street",
    "park": "in a park",
    "beach": "on a beach",
}
_PATTERN_NOUNS = {
    "striped": "stripes",
    "checked": "checks",
    "dotted": "dots",
    "floral": "flowers",
    "zigzag": "zigzags",
}
_SIGN_PLACES = {"poster": "on a poster", "banner": "on a banner", "badge": "on a badge"}


def caption(spec: SceneSpec, rng: Rng) -> str:
    """One sentence that names everything in the picture; ``rng`` varies the grammar."""
    subject = phrase(spec.product, rng)
    person = spec.person
    if person is not None:
        verb = "carried by" if spec.product.type == "handbag" else "worn by"
        subject += f" {verb} {_who(person, rng)}"
    clauses = [_PLACES[spec.scene]]
    if person is not None and person.garments:
        worn = _listed([phrase(garment, rng) for garment in person.garments])
        subject += f" {_pick(rng, ('with', 'together with', 'who also wears'))} {worn}"
    if spec.others:
        beside = _pick(rng, ("beside", "next to", "near"))
        clauses.append(f"{beside} {_listed([phrase(thing, rng) for thing in spec.others])}")
    if spec.sign is not None:
        clauses.append(_reading(spec.sign, rng))
    order = [clauses[index] for index in rng.permutation(len(clauses))]
    if rng.random() < 0.2:
        return ", ".join([order[0], subject, *order[1:]])
    return ", ".join([subject, *order])


def item_text(spec: SceneSpec, rng: Rng) -> str:
    """A shop's title and description: always the product, now and then the scene."""
    product = spec.product
    name = product.type
    pattern = _plain(rng) if product.pattern == "solid" else product.pattern
    title = _pick(
        rng,
        (
            f"{pattern} {name} in {product.colour}",
            f"{product.colour} {pattern} {name}",
            f"{name}, {product.colour}, {pattern}",
        ),
    )
    lead = _pick(rng, ("this is", "we love", "our new favourite:", "for every day:"))
    text = f"{title.capitalize()}. {lead.capitalize()} {phrase(product, rng)}"
    if rng.random() < 0.3:
        text += f", {_pick(rng, ('shown', 'photographed'))} {_PLACES[spec.scene]}"
    return f"{text}."


def phrase(thing: Thing, rng: Rng) -> str:
    """A thing with its colour and pattern, and an article where it takes one."""
    if thing.pattern == "solid":
        words = _pick(
            rng,
            (
                f"{_plain(rng)} {thing.colour} {thing.type}",
                f"{_plain(rng)} {thing.type} in {thing.colour}",
            ),
        )
    else:
        words = _pick(
            rng,
            (
                f"{thing.colour} {thing.pattern} {thing.type}",
                f"{thing.pattern} {thing.colour} {thing.type}",
                f"{thing.pattern} {thing.type} in {thing.colour}",
                f"{thing.colour} {thing.type} with {_PATTERN_NOUNS[thing.pattern]}",
                f"{thing.colour} {thing.type} with a {thing.pattern} pattern",
            ),
        )
    if thing.type in _PLURAL:
        return _pick(rng, (words, f"a pair of {words}"))
    return f"{_article(words)} {words}"


def pattern_words(pattern: str) -> tuple[str, ...]:
    """The words that stand for a pattern in captions."""
    if pattern == "solid":
        return ("plain", "solid")
    return (pattern, _PATTERN_NOUNS[pattern])


def place(scene: str) -> str:
    """A scene with its preposition."""
    return _PLACES[scene]


def _who(person: Person, rng: Rng) -> str:
    colour = person.hair_colour
    hair = (
        f"{colour} hair in a bun"
        if person.hair_style == "bun"
        else f"{person.hair_style} {colour} hair"
    )
    skin = f"{person.skin} skin"
    traits = _pick(rng, (f"{hair} and {skin}", f"{skin} and {hair}"))
    return f"a {person.sex} with {traits}"


def _reading(sign: Sign, rng: Rng) -> str:
    where = _SIGN_PLACES[sign.kind]
    return _pick(rng, (f"with the word {sign.word} {where}", f"{sign.word} is written {where}"))


def _listed(parts: Sequence[str]) -> str:
    return " and ".join(parts)


def _plain(rng: Rng) -> str:
    return _pick(rng, ("plain", "solid"))


def _article(words: str) -> str:
    return "an" if words[0] in "aeiou" else "a"


def _pick(rng: Rng, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]
