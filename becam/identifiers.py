"""Which known ids a mistyped one may have meant."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import islice

_SHOWN = 60
"""Characters of a mistyped id that a sentence repeats."""


def near_identifiers(asked: str, known: Collection[str], limit: int = 3) -> list[str]:
    """Up to ``limit`` of the ``known`` ids that resemble ``asked``, likeliest first.

    In this order: the same but for leading zeros, case or surrounding space; one edit away; the
    longest common prefix. A few passes over the ids, so a second suffices for a million.
    """
    return list(islice(dict.fromkeys(_candidates(asked, known)), limit))


def unknown_identifier(kind: str, asked: str, known: Collection[str]) -> str:
    """One sentence for an id that is not among the ``known``, naming near ones."""
    named = repr(asked if len(asked) <= _SHOWN else f"{asked[:_SHOWN]}…")
    if not known:
        return f"There is no {kind} {named}: this checkpoint holds no {kind}s."
    near = near_identifiers(asked, known)
    if near:
        hint = f"near ids are {', '.join(map(repr, near))}"
    else:
        hint = f"ids look like {', '.join(map(repr, islice(known, 3)))}"
    return (
        f"There is no {kind} {named} among the {len(known):,} that training saw (becam prepare "
        f"may have left it out); {hint}."
    )


def _candidates(asked: str, known: Collection[str]) -> Iterator[str]:
    plain = _plain(asked)
    yield from (name for name in known if _plain(name) == plain)
    longest = max(map(len, known))
    # A whole description in place of an id is near to none, and its edits would fill the memory.
    if len(asked.strip()) <= longest + 1:
        edits = _one_edit_away(asked.strip(), set().union(*known))
        yield from (name for name in known if name in edits)
    for length in range(min(len(asked), longest), max(1, len(asked) // 2) - 1, -1):
        prefix = asked[:length]
        yield from (name for name in known if name.startswith(prefix))


def _plain(name: str) -> str:
    return name.strip().casefold().lstrip("0")


def _one_edit_away(word: str, alphabet: Collection[str]) -> set[str]:
    splits = [(word[:i], word[i:]) for i in range(len(word) + 1)]
    deleted = {a + b[1:] for a, b in splits if b}
    swapped = {a + b[1] + b[0] + b[2:] for a, b in splits if len(b) > 1}
    replaced = {a + c + b[1:] for a, b in splits if b for c in alphabet}
    inserted = {a + c + b for a, b in splits for c in alphabet}
    return deleted | swapped | replaced | inserted
