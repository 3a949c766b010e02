"""What a page asks for, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from becam.attribution.methods import Method, create_method
from becam.attribution.target import Space
from becam.explorer.refusal import Refusal

MAX_BYTES = 64_000
"""Of a question, as JSON."""

_MOST_METHODS = 4


class MethodChoice(BaseModel):
    """A method by its name, with options of it."""

    model_config = ConfigDict(extra="forbid")

    name: str
    options: dict[str, int | float | str | bool] = {}


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

    picture: str | None = None
    target: Literal["item", "user", "text"] = "item"
    item: str | None = None
    user: str | None = None
    text: Annotated[str, Field(max_length=2000)] | None = None
    columns: Annotated[list[int], Field(min_length=1)]
    methods: Annotated[list[MethodChoice], Field(min_length=1, max_length=_MOST_METHODS)]
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
        tuple(create_method(choice.name, choice.options) for choice in question.methods),
        question.space,
        question.shuffled,
    )


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
