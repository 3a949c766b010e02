"""Parts of the explorer by themselves: the queue, the shelf, and stopping an encoding."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from explored import run_apart
from hypothesis import given, settings
from hypothesis import strategies as st
from zoo import make_checkpoint

from becam import Explainer
from becam.attribution.encodings import reporting
from becam.attribution.methods import create_method

pytest.importorskip("fastapi", reason="the extra becam[serve] is not installed")

from becam.explorer.refusal import Refusal
from becam.explorer.shelf import Shelf
from becam.explorer.work import Work

ITEM = "0007"


class Stop(Exception):
    pass


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(1, 40))))
def test_a_shelf_keeps_what_was_asked_for_last(steps):
    shelf: Shelf[int] = Shelf(count=3, size=100)
    kept: list[tuple[str, int, int]] = []  # the oldest first
    for put, value, size in steps:
        if put:
            kept.append((shelf.put(value, size), value, size))
            while len(kept) > 3 or (len(kept) > 1 and sum(s for _, _, s in kept) > 100):
                kept.pop(0)
        elif kept:
            entry = kept.pop(value % len(kept))
            kept.append(entry)
            assert shelf.get(entry[0]) == entry[1]
    for id, value, _ in list(kept):
        assert shelf.get(id) == value
    assert shelf.get("nothing") is None


def test_ids_are_long_and_never_the_same():
    shelf: Shelf[int] = Shelf(count=1000, size=1000)
    ids = {shelf.put(0, 0) for _ in range(1000)}
    assert len(ids) == 1000
    assert min(map(len, ids)) >= 32  # 24 bytes


def played(tasks, **limits):
    """Put tasks, (owner, number of steps), into a queue while its thread is held; who did steps."""
    done = []

    async def run():
        work = Work(**limits)
        hold = threading.Event()

        def holding(ticket):
            hold.wait(20)
            yield

        def doing(name, steps):
            def task(ticket):
                for _ in range(steps):
                    done.append(name)
                    yield

            return task

        tickets = [work.submit("held", holding)]
        await asyncio.sleep(0.05)
        for number, (owner, steps) in enumerate(tasks):
            tickets.append(work.submit(owner, doing(f"{owner}{number}", steps)))
        hold.set()
        for ticket in tickets:
            async for _ in ticket.events(5):
                pass
        work.close()

    run_apart(run())
    return done


def test_owners_take_turns():
    assert played([("a", 1), ("a", 1), ("b", 1), ("c", 1)]) == ["a0", "b2", "c3", "a1"]
    # Long work does not hold up short work of others.
    assert played([("a", 4), ("b", 1), ("c", 2)]) == ["a0", "b1", "c2", "a0", "c2", "a0", "a0"]


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=8))
def test_all_work_is_done_whoever_asks(tasks):
    done = played(tasks, waiting=8, each=8)
    expected = [f"{owner}{n}" for n, (owner, steps) in enumerate(tasks) for _ in range(steps)]
    assert sorted(done) == sorted(expected)
    # Work of one owner is done in its order.
    for owner in "abc":
        own = [name for name in done if name.startswith(owner)]
        assert own == sorted(own, key=lambda name: int(name[1:]))


def test_a_closed_queue_takes_nothing_and_ends_what_it_has():
    async def run():
        work = Work()
        begun = threading.Event()

        def endless(ticket):
            while True:
                begun.set()
                ticket.tell("still")
                yield

        ticket = work.submit("a", endless)
        assert await asyncio.to_thread(begun.wait, 10)
        await asyncio.to_thread(work.close)
        assert not work._thread.is_alive()
        assert [e async for e in ticket.events(5)][-1][0] == "still"
        with pytest.raises(Refusal):
            work.submit("a", endless)

    run_apart(run())


@pytest.fixture
def explainer(load):
    checkpoint = make_checkpoint(load("open_clip-vit"))
    return Explainer(checkpoint, randomise=False, batch_size=4, method_options={"budget": 12})


def test_encodings_are_reported(explainer, picture):
    heard = []
    with reporting(lambda done, total: heard.append((done, total))):
        explainer.explain(picture, ITEM)
        explainer.using(method=create_method("rise", {"masks": 5})).explain(picture, ITEM)
    assert heard == [(0, 12), (4, 12), (8, 12), (12, 12), (0, 5), (4, 5), (5, 5)]
    explainer.explain(picture.rotate(90), ITEM)
    assert len(heard) == 7


@pytest.mark.parametrize("options", [{"budget": 12}, {"budget": 0}, {"tolerance": 0.001}])
def test_a_stopped_encoding_leaves_nothing_half_done(explainer, load, picture, options):
    def stop(done, total):
        if done:
            raise Stop

    method = create_method("becam", options)
    stopped = explainer.using(method=method)
    for _ in range(2):
        with reporting(stop), pytest.raises(Stop):
            stopped.explain(picture, ITEM)
    (after,) = stopped.explain(picture, ITEM)
    fresh = Explainer(explainer.columns[0].checkpoint, randomise=False, batch_size=4, method=method)
    (expected,) = fresh.explain(picture, ITEM)
    assert np.allclose(after.raw, expected.raw, rtol=1e-4, atol=1e-6)
    assert after.controls.encoded == expected.controls.encoded


def test_stopping_the_twin_keeps_the_encodings(explainer, picture):
    (whole,) = explainer.explain(picture, ITEM)

    def stop(done, total):
        raise Stop

    with reporting(stop), pytest.raises(Stop):
        explainer.using(randomise=True).explain(picture, ITEM)
    with reporting(stop):  # so nothing is encoded
        (again,) = explainer.explain(picture, ITEM)
    assert np.array_equal(whole.raw, again.raw)


def test_an_explainer_used_otherwise(load, picture):
    checkpoint = make_checkpoint(load("open_clip-vit"), adapter="befa")
    both = Explainer(checkpoint, no_adapter=True, randomise=False, batch_size=4)
    before, after = both.explain(picture, ITEM)
    (alone,) = both.using(columns=both.columns[1:]).explain(picture, ITEM)
    assert np.array_equal(alone.raw, after.raw)
    softmax = both.using(method=create_method("becam", {"weighting": "softmax"}))
    assert softmax.explain(picture, ITEM)[0].options["method_options"]["weighting"] == "softmax"
    (held, _) = both.using(randomise=True).explain(picture, ITEM)
    assert held.controls.correlation_randomised is not None
    assert both.method.options()["weighting"] == "centered"
    assert len(both.columns) == 2
    assert np.array_equal(both.explain(picture, ITEM)[0].raw, before.raw)


def test_a_sheet_draws_captions_as_they_are_written():
    from becam.explorer.downloads import _wrapped

    assert _wrapped("jeans, $20 or $30_x") == "jeans, $20 or $30_x"
