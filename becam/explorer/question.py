"""What a page asks for, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from becam.attribution.methods import METHODS, Method, create_method
from becam.attribution.target import Space
from becam.explorer import limits
from becam.explorer.refusal import Refusal
from becam.options import declared_options

Name = Annotated[str, Field(max_length=limits.NAME)]
Identifier = Annotated[str, Field(max_length=limits.IDENTIFIER)]


class MethodChoice(BaseModel):
    """A method by its name, with options of it."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    options: Annotated[dict[Name, int | float | Name | bool], Field(max_length=limits.OPTIONS)] = {}


class Question(BaseModel):
    """A picture, what to compare it with, and how.

    Attributes:
        picture: id of an upload; None for the item's own picture.
        target: what the picture is compared with.
        item: the item's id; needed unless the target is a text.
        user: the user's id, where the target is a user.
        text: where the target is a text.
        columns: which of the explorer's columns.
        methods: at least one.
        space: how behaviour is compared in columns with an adapter.
        shuffled: hold each map against one of a shuffled encoder as well.
    """

    model_config = ConfigDict(extra="forbid")

    picture: Name | None = None
    target: Literal["item", "user", "text"] = "item"
    item: Identifier | None = None
    user: Identifier | None = None
    text: Annotated[str, Field(max_length=limits.TEXT)] | None = None
    columns: Annotated[list[int], Field(min_length=1, max_length=limits.COLUMNS)]
    methods: Annotated[list[MethodChoice], Field(min_length=1, max_length=limits.METHODS)]
    space: Literal["adapted", "change"] = "adapted"
    shuffled: bool = True


@dataclass(frozen=True)
class Aim:
    """What a picture is compared with; see ``Explainer.explain``."""

    item: str | None = None
    user: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Inquiry:
    """A question whose every part is known to exist.

    Attributes:
        aim: what the picture is compared with.
        columns: which, each once, in their order.
        methods: with their options.
        space: see :class:`Question`.
        shuffled: see :class:`Question`.
    """

    aim: Aim
    columns: tuple[int, ...]
    methods: tuple[Method, ...]
    space: Space
    shuffled: bool


def parse(body: bytes) -> Question:
    """The question in a request's body.

    Raises:
        Refusal: it is none.
    """
    try:
        return Question.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the body"
        raise Refusal(
            422, f"The request is not understood ({where[:80]}: {first['msg']}); reload the page."
        ) from None


def inquire(question: Question, columns: int) -> Inquiry:
    """Check all of a question but ids and picture.

    Args:
        question: any.
        columns: how many the explorer has.

    Raises:
        BecamError: a part is missing, or unknown.
    """
    chosen = tuple(sorted(set(question.columns)))
    if not all(0 <= column < columns for column in chosen):
        raise Refusal(422, f"There are {columns} columns; reload the page.")
    return Inquiry(
        _aim(question),
        chosen,
        tuple(_method(choice) for choice in question.methods),
        question.space,
        question.shuffled,
    )


def _method(choice: MethodChoice) -> Method:
    # First of all: what a method itself allows is more, and would mislead.
    declared = declared_options(METHODS[choice.name]) if choice.name in METHODS else {}
    for name, value in choice.options.items():
        most = limits.most_of_option(name)
        if name in declared and declared[name].kind in (int, float) and _number(value) > most:
            raise Refusal(
                422,
                f"The option {name} must be {most:,} or less in the explorer, not "
                f"{str(value)[:30]}; becam explain takes more.",
            )
    return create_method(choice.name, choice.options)


def _number(value: int | float | str | bool) -> float:
    """A number as the methods read it; those that are none they refuse themselves."""
    try:
        return float(Fraction(value)) if isinstance(value, str) and "/" in value else float(value)
    except (ValueError, ZeroDivisionError):
        return 0.0
    except OverflowError:
        return math.inf


def _aim(question: Question) -> Aim:
    if question.target == "text":
        text = (question.text or "").strip()
        if not text:
            raise Refusal(422, "Write a text to compare the picture with.")
        return Aim(text=text)
    if question.item is None:
        raise Refusal(422, "Choose an item to compare the picture with.")
    if question.target == "item":
        return Aim(item=question.item)
    if question.user is None:
        raise Refusal(422, "Choose a user to compare the picture with.")
    return Aim(item=question.item, user=question.user)
