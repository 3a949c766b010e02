"""One process at a time, or several that share; and what a dead one leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from becam.errors import BecamError
from becam.files import filling, locked

HOLD = """
import sys
from becam.files import filling, locked
kind, path, shared = sys.argv[1:]
with {"locked": locked, "filling": filling}[kind](path, shared=shared == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


class Holder:
    """A process that holds a lock until it is told to leave."""

    def __init__(self, kind, path, shared=False):
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, kind, str(path), "shared" if shared else "alone"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "held\n"

    def __enter__(self):
        return self.process

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.mark.parametrize("kind", [locked, filling])
def test_only_those_who_share_hold_it_together(tmp_path, kind):
    path = tmp_path / "out"
    with Holder(kind.__name__, path) as process:
        for shared in (False, True):
            with (
                pytest.raises(BecamError, match=f"process {process.pid} on ") as caught,
                kind(path, shared=shared),
            ):
                raise AssertionError("must not get here")
            assert f"writing {path};" in str(caught.value)
    with (
        Holder(kind.__name__, path, shared=True),
        kind(path, shared=True),
        pytest.raises(BecamError, match="Another becam"),
        kind(path),
    ):
        raise AssertionError("must not get here")
    assert not list(tmp_path.iterdir())


def test_the_last_of_those_who_share_takes_the_file_away(tmp_path):
    lock = tmp_path / ".out.lock"
    with locked(tmp_path / "out", shared=True):
        with Holder("locked", tmp_path / "out", shared=True):
            assert lock.exists()
        assert lock.exists()
        with Holder("locked", tmp_path / "out", shared=True):
            pass
    assert not lock.exists()


def test_a_killed_holder_holds_nothing(tmp_path):
    path = tmp_path / "out"
    with Holder("locked", path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert (tmp_path / ".out.lock").read_text().split()[0] == str(process.pid)
        with locked(path) as held:
            assert held
    assert not (tmp_path / ".out.lock").exists()


def test_whoever_ends_just_now_is_waited_for(tmp_path):
    with Holder("locked", tmp_path / "out") as process:
        process.stdin.close()  # it ends soon
        with locked(tmp_path / "out"):
            pass


def test_links_lead_to_one_lock(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    with (
        Holder("locked", tmp_path / "link"),
        pytest.raises(BecamError, match="Another becam"),
        locked(tmp_path / "real"),
    ):
        raise AssertionError("must not get here")


def test_a_folder_is_made_and_leaves_if_nothing_came_of_it(tmp_path):
    with filling(tmp_path / "a" / "run"):
        assert (tmp_path / "a" / "run").is_dir()
    assert not (tmp_path / "a" / "run").exists()
    with filling(tmp_path / "run"):
        (tmp_path / "run" / "kept").touch()
    assert os.listdir(tmp_path / "run") == ["kept"]


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".out.lock").symlink_to("precious")
    with pytest.raises(BecamError, match="Cannot write"), locked(tmp_path / "out"):
        raise AssertionError("must not get here")
    assert (tmp_path / "precious").read_text() == "precious"


def test_many_who_share_come_and_go(tmp_path):
    """None of them is refused, whenever another takes the file away."""
    code = (
        "import sys\nfrom becam.files import locked\n"
        "for _ in range(300):\n    with locked(sys.argv[1], shared=True): pass\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "out")]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [process.communicate()[1] for process in processes] == [""] * 3
    assert not list(tmp_path.iterdir())
