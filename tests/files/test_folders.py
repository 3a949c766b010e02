"""Folders are replaced whole, and a kill at any point of that loses nothing."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading

import pytest
from planted import planted_dataset

from becam.data.dataset import Dataset
from becam.errors import BecamError, MissingFileError
from becam.files import (
    Contents,
    DiskFullError,
    atomic_dir,
    check_file,
    folders,
    read_bytes,
    recover_dir,
)
from becam.files.temporaries import retired_of

CONTENTS = Contents("a set of tests", frozenset({"value"}), frozenset({"more"}))

# A writer that is killed before, between and after the steps of putting the new folder in place.
KILLED = """
import os, signal, sys
from becam.files import Contents, atomic_dir, folders
target, exchange, steps = sys.argv[1], sys.argv[2] == "exchange", int(sys.argv[3])
if not exchange:
    folders._exchange = lambda one, other: False
taken = 0
def step(name):
    real = getattr(os, name) if name in ("rename", "fsync") else getattr(folders, name)
    def counted(*arguments, **options):
        global taken
        if taken == steps:
            os.kill(os.getpid(), signal.SIGKILL)
        taken += 1
        return real(*arguments, **options)
    return counted
contents = Contents("a set of tests", frozenset({"value"}), frozenset({"more"}))
with atomic_dir(target, contents, overwrite=True) as folder:
    (folder / "value").write_text("new")
    os.rename, os.fsync = step("rename"), step("fsync")
    folders._exchange = step("_exchange")
    real_rmtree = folders.shutil.rmtree
    def rmtree(*arguments, **options):
        global taken
        if taken == steps:
            os.kill(os.getpid(), signal.SIGKILL)
        taken += 1
        return real_rmtree(*arguments, **options)
    folders.shutil.rmtree = rmtree
print("done")
"""


def filled(path, value="old"):
    with atomic_dir(path, CONTENTS) as folder:
        (folder / "value").write_text(value)
    return path


@pytest.mark.parametrize("way", ["exchange", "renames"])
def test_killed_at_each_step_nothing_is_lost(tmp_path, way):
    seen, steps = set(), 0
    while True:
        target = filled(tmp_path / str(steps) / "out")
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(target), way, str(steps)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr == ""
        whole = target.exists()
        recover_dir(target)  # as whoever reads it does
        value = (target / "value").read_text()
        assert value in ("old", "new")
        seen.add((whole, value))
        with atomic_dir(target, CONTENTS, overwrite=True) as folder:
            (folder / "value").write_text("later")
        assert sorted(os.listdir(target.parent)) == ["out"]
        assert (target / "value").read_text() == "later"
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        steps += 1
    assert steps >= 5
    assert {(True, "old"), (True, "new")} <= seen
    # The window in which nothing stands at the path is there without the exchange alone.
    assert ((False, "old") in seen) == (way == "renames")


def test_the_next_writer_recovers_as_well(tmp_path):
    target = filled(tmp_path / "out")
    os.rename(target, retired_of(target))
    with pytest.raises(BecamError, match="already exists"), atomic_dir(target, CONTENTS):
        raise AssertionError("must not get here")
    assert (target / "value").read_text() == "old"


def test_a_reader_waits_for_a_writer_in_between(tmp_path, monkeypatch):
    target = filled(tmp_path / "out")
    between, go_on = threading.Event(), threading.Event()
    real = os.rename

    def slow(one, other):
        if str(one) != str(target) and str(other) == str(target):
            between.set()
            go_on.wait(5)
        real(one, other)

    monkeypatch.setattr(folders, "_exchange", lambda one, other: False)
    monkeypatch.setattr(os, "rename", slow)

    def write():
        with atomic_dir(target, CONTENTS, overwrite=True) as folder:
            (folder / "value").write_text("new")

    writer = threading.Thread(target=write)
    writer.start()
    between.wait(5)
    assert not target.exists()
    threading.Timer(0.2, go_on.set).start()
    recover_dir(target)
    writer.join()
    assert (target / "value").read_text() == "new"
    assert os.listdir(tmp_path) == ["out"]


def test_nothing_to_recover_is_nothing(tmp_path):
    recover_dir(tmp_path / "none")
    recover_dir(tmp_path / "file" / "below")
    recover_dir("a\0b")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ({"mine.txt"}, "is not a set of tests that becam wrote"),
        ({"value", "mine.txt"}, "holds mine.txt"),
        ({"more"}, "is not a set of tests"),
        ({"value", ".hidden"}, "holds .hidden"),
        ({"value", ".mine.partial"}, "holds .mine.partial"),
    ],
)
def test_what_becam_did_not_write_stays(tmp_path, there, said):
    target = tmp_path / "out"
    target.mkdir()
    for name in there:
        (target / name).write_text("precious")
    for overwrite in (False, True):
        with (
            pytest.raises(BecamError, match=said if overwrite else "already exists"),
            atomic_dir(target, CONTENTS, overwrite=overwrite),
        ):
            raise AssertionError("must not get here")
    assert {path.name for path in target.iterdir()} == there
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("litter", [(), (".DS_Store", "._value"), ("Thumbs.db",)])
def test_an_empty_folder_and_litter_may_go(tmp_path, litter):
    target = tmp_path / "out"
    target.mkdir()
    for name in litter:
        (target / name).touch()
    with atomic_dir(target, CONTENTS, overwrite=True) as folder:
        (folder / "value").write_text("new")
    assert os.listdir(target) == ["value"]


def test_a_proof_decides_too(tmp_path):
    contents = Contents(
        "proven", frozenset({"value"}), proof=lambda path: (path / "value").read_text() == "becam"
    )
    target = filled(tmp_path / "out", "foreign")
    with (
        pytest.raises(BecamError, match="is not proven"),
        atomic_dir(target, contents, overwrite=True),
    ):
        raise AssertionError("must not get here")


def test_a_second_writer_is_refused_and_the_first_ends_well(tmp_path):
    target = tmp_path / "out"
    with atomic_dir(target, CONTENTS) as folder:
        (folder / "value").write_text("first")
        code = (
            "import sys; from becam.files import Contents, atomic_dir\n"
            "with atomic_dir(sys.argv[1], Contents('x', frozenset())): pass"
        )
        second = subprocess.run(
            [sys.executable, "-c", code, str(target)], capture_output=True, text=True, check=False
        )
        assert "Another becam (process" in second.stderr
        assert (folder / "value").exists()
    assert (target / "value").read_text() == "first"
    assert os.listdir(tmp_path) == ["out"]


def test_a_link_is_followed_and_stays(tmp_path):
    filled(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    with atomic_dir(tmp_path / "link", CONTENTS, overwrite=True) as folder:
        (folder / "value").write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "value").read_text() == "new"


def test_the_mode_is_that_of_any_new_folder(tmp_path):
    for mask in (0o022, 0o027, 0o077):
        before = os.umask(mask)
        try:
            target = filled(tmp_path / f"out{mask}")
        finally:
            os.umask(before)
        assert target.stat().st_mode & 0o777 == 0o777 & ~mask
        assert (target / "value").stat().st_mode & 0o777 == 0o666 & ~mask


def test_a_full_disk_within_speaks_of_the_output(tmp_path):
    target = tmp_path / "out"
    with pytest.raises(DiskFullError) as caught, atomic_dir(target, CONTENTS) as folder:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "value"))
    assert f"so {target} was not written" in str(caught.value)


def test_an_output_taken_away_meanwhile_is_one_sentence(tmp_path):
    target = tmp_path / "out"
    with pytest.raises(BecamError, match="Cannot write"), atomic_dir(target, CONTENTS) as folder:
        folder.rmdir()
        (folder / "value").write_text("x")


def test_whoever_reads_a_file_in_it_recovers_it(tmp_path):
    target = filled(tmp_path / "out")
    for read in (lambda path: read_bytes(path, most=10), lambda path: check_file(path)):
        os.rename(target, retired_of(target))
        read(target / "value")
        assert os.listdir(tmp_path) == ["out"]
    with pytest.raises(MissingFileError):
        read_bytes(tmp_path / "none" / "value", most=10)
    assert os.listdir(tmp_path) == ["out"]


def test_a_dataset_in_between_is_opened(tmp_path):
    made = planted_dataset(tmp_path / "dataset")
    (tmp_path / "link").symlink_to("dataset")
    for path in (made.path, tmp_path / "link"):
        os.rename(made.path, retired_of(made.path))
        assert Dataset.open(path).n_items == made.n_items
