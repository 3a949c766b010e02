"""Numbers that mean nothing: every number option of every command, and every declared option."""

from __future__ import annotations

import sys

import pytest
from typer.models import OptionInfo
from typer.utils import get_params_from_function

from becam.adapters import ADAPTERS
from becam.attribution.methods import METHODS, BeCAM
from becam.attribution.methods.integrated import IntegratedGradients
from becam.attribution.methods.perturbation import RISE
from becam.attribution.methods.score_cam import GScoreCAM
from becam.cli.app import app
from becam.errors import BecamError
from becam.experiments.grid import TRAINING_OPTIONS, SearchSettings, parse_training
from becam.limits import LEARNING_RATE, SEED, THREADS, Limits
from becam.options import declared_options, parse_options
from becam.recommenders import RECOMMENDERS
from becam.training.loop import Schedule

WRONG = ("-1", "1000000000000000000000000000000", "nan", "inf", "-inf", "x", "")


def commands(group, words=()):
    """Names and functions of all commands, those of groups too."""
    for command in group.registered_commands:
        name = command.name or command.callback.__name__.replace("_", "-")
        yield (*words, name), command.callback
    for inner in group.registered_groups:
        yield from commands(inner.typer_instance, (*words, inner.name))


NUMBERS = [
    (words, found.default.param_decls[-1] if found.default.param_decls else f"--{name}")
    for words, command in commands(app)
    for name, found in (
        (name.replace("_", "-"), found) for name, found in get_params_from_function(command).items()
    )
    if found.annotation in (int, float, int | None, float | None)
    and isinstance(found.default, OptionInfo)
]


def test_there_are_options_to_try():
    assert len(NUMBERS) > 60
    assert {"--threads", "--seed", "--jobs", "--lr", "--tolerance", "--port"} <= {
        name for _, name in NUMBERS
    }


@pytest.mark.parametrize(("words", "option"), NUMBERS, ids=[" ".join((*w, o)) for w, o in NUMBERS])
def test_every_number_option_refuses_what_means_nothing(words, option, run_cli):
    for value in WRONG:
        # A learning rate has no largest value: training says where it stopped being one.
        if option == "--lr" and value.isdecimal():
            continue
        status, _, errors = run_cli(*words, f"{option}={value}")
        assert status in (1, 2), (value, errors)
        said = "".join(errors.replace("│", "").split())
        assert option in said, (value, errors)
        assert "Missing" not in said, (value, errors)
        assert "Traceback" not in errors
        if status == 1:
            assert errors.count("\n") == 1


DECLARED = [
    (cls, name)
    for registry in (RECOMMENDERS, ADAPTERS, METHODS)
    for cls in registry.values()
    for name, option in declared_options(cls).items()
    if option.kind in (int, float)
]


@pytest.mark.parametrize(("cls", "name"), DECLARED, ids=lambda x: getattr(x, "name", x))
def test_every_declared_number_refuses_what_means_nothing(cls, name):
    for value in (*WRONG, float("nan"), float("inf"), 10**30, 10**400, -1, True, None, [], {}):
        if cls in ADAPTERS.values() and name in ("ratio", "rank"):
            # What fits depends on the width.
            with pytest.raises(BecamError, match=f"option {name}|{name} must be"):
                cls.build(64, {name: value})
        else:
            with pytest.raises(BecamError, match=f"option {name} "):
                parse_options(cls, {name: value}, "it")


@pytest.mark.parametrize(
    "make",
    [
        lambda n: RISE(masks=n),
        lambda n: RISE(cells=n),
        lambda n: RISE(keep=n),
        lambda n: BeCAM(budget=n),
        lambda n: BeCAM(tolerance=n),
        lambda n: GScoreCAM(top_k=n),
        lambda n: IntegratedGradients(steps=n),
        lambda n: Schedule(lr=0.1, batch_size=n, epochs=1, patience=1, warmup=0),
        lambda n: Schedule(lr=0.1, batch_size=1, epochs=n, patience=1, warmup=0),
        lambda n: SearchSettings(trials=n, epochs=1),
        lambda n: SearchSettings(trials=1, epochs=1, seed=n),
        lambda n: parse_training({"threads": n}),
        lambda n: parse_training({"batch_size": n}),
    ],
)
def test_python_refuses_the_same(make):
    for value in (-1, 10**30, 10**5000, float("nan"), float("inf"), "x", None):
        with pytest.raises(BecamError) as refused:
            make(value)
        assert len(str(refused.value)) < 300


def test_limits_in_words():
    assert str(Limits(least=1, most=64)) == "1 or more and 64 or less"
    assert str(Limits(least=0, below=1)) == "0 or more and below 1"
    assert str(LEARNING_RATE) == "above 0"
    with pytest.raises(BecamError, match=r"^--threads is a whole number, not 2\.5\.$"):
        THREADS.check(2.5, "--threads")
    with pytest.raises(
        BecamError, match=r"^--seed must be 0 or more and 9,223,372,036,854,775,807 or less, n"
    ):
        SEED.check(2**63, "--seed")
    SEED.check(2**63 - 1, "--seed")
    LEARNING_RATE.check(sys.float_info.max, "--lr")


def test_whole_numbers_keep_all_their_digits():
    assert TRAINING_OPTIONS["epochs"].parse("7") == 7
    option = type(TRAINING_OPTIONS["epochs"])("seed", int, 0)
    assert option.parse(2**63 - 1) == 2**63 - 1
    assert option.parse(str(2**63 - 1)) == 2**63 - 1
