"""Options as constructors declare them, and values as people type them."""

from typing import Annotated, Any, Literal

import pytest

from becam.errors import BecamError
from becam.options import Option, declared_options, parse_assignments, parse_options


class Base:
    def __init__(
        self,
        data: int,
        *,
        layers: Annotated[int, Option("Layers.", search=(1, 2), least=0)] = 1,
        share: Annotated[float, Option("A share.", least=0, most=1)] = 0.5,
        plain: int = 3,
    ) -> None: ...


class Child(Base):
    def __init__(
        self,
        data: int,
        *,
        share: Annotated[float, Option("Its own share.")] = 0.25,
        drop: Annotated[float, Option("Dropout.", least=0, below=1)] = 0.0,
        form: Annotated[Literal["round", "square"], Option("Form.")] = "round",
        on: Annotated[bool, Option("A switch.")] = False,
        **shared: Any,
    ) -> None: ...


class Closed(Base):
    def __init__(self, width: Annotated[int, Option("Width.")] = 2) -> None: ...


class Bare(Child):
    pass


def test_a_class_has_the_options_of_what_it_hands_its_rest_to():
    options = declared_options(Child)
    assert set(options) == {"share", "drop", "form", "on", "layers"}
    assert options["share"].default == 0.25  # the nearest constructor's word counts
    assert options["layers"].search == (1, 2)
    assert options["layers"].help == "Layers."
    assert options["form"].choices == ("round", "square")
    assert set(declared_options(Closed)) == {"width"}
    assert declared_options(Bare) == options


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("layers", "2", 2),
        ("layers", 2.0, 2),
        ("layers", 0, 0),
        ("drop", "1/4", 0.25),
        ("drop", "1e-3", 0.001),
        ("share", 7, 7.0),
        ("form", "square", "square"),
        ("on", "yes", True),
        ("on", "False", False),
        ("on", True, True),
    ],
)
def test_values_as_typed(name, typed, value):
    parsed = parse_options(Child, {name: typed}, "child")[name]
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("name", "typed", "problem"),
    [
        ("layers", "two", "layers is a whole number, not 'two'"),
        ("layers", 1.5, "whole number"),
        ("layers", True, "whole number"),
        ("layers", -1, "layers must be 0 or more, not -1"),
        ("drop", 1, "must be 0 or more and below 1"),
        ("drop", "1/0", "is a number"),
        ("drop", "nan", "must be"),
        ("share", "inf", "share must be a number, not inf"),
        ("form", "oval", "one of round, square"),
        ("on", "maybe", "true or false"),
        ("depth", 2, "child has no option 'depth'; it has share, drop, form, on, layers"),
    ],
)
def test_what_cannot_be_is_one_sentence(name, typed, problem):
    with pytest.raises(BecamError, match=problem):
        parse_options(Child, {name: typed}, "child")


def test_assignments():
    assert parse_assignments(["layers=2", "reg-weight = 1e-3"]) == {
        "layers": "2",
        "reg_weight": "1e-3",
    }
    for wrong in ("layers", "=2", "layers="):
        with pytest.raises(BecamError, match="NAME=VALUE"):
            parse_assignments([wrong])
