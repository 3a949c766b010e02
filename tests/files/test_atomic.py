"""Files are whole or absent, also when the process is killed or the disk is full."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys

import pytest

from becam.errors import BecamError
from becam.files import Contents, atomic_dir, atomic_file, sha256

CONTENTS = Contents("a folder of this test", frozenset({"kept"}), frozenset({"new", "whole"}))


def test_success_replaces_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "deep" / "a.txt"
    for text in ("one", "two"):
        with atomic_file(target) as temporary:
            temporary.write_text(text)
            assert temporary.suffix == ".txt"
        assert target.read_text() == text
    assert [p.name for p in target.parent.iterdir()] == ["a.txt"]


def test_failure_keeps_what_was_there(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(ValueError, match="boom"), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise ValueError("boom")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_disk_trouble_is_one_sentence(number, tmp_path):
    target = tmp_path / "folder"
    target.mkdir()
    (target / "kept").write_text("kept")
    with (
        pytest.raises(BecamError) as caught,
        atomic_dir(target, CONTENTS, overwrite=True) as temporary,
    ):
        (temporary / "new").write_text("new")
        raise OSError(number, os.strerror(number))
    assert str(target) in str(caught.value)
    assert [p.name for p in target.iterdir()] == ["kept"]
    assert list(tmp_path.iterdir()) == [target]


def test_an_existing_folder_is_not_overwritten_unasked(tmp_path):
    with pytest.raises(BecamError, match="--overwrite"), atomic_dir(tmp_path, CONTENTS):
        raise AssertionError("must not get here")


def test_a_killed_writer_leaves_no_folder_and_the_next_one_cleans_up(tmp_path):
    target = tmp_path / "out"
    code = (
        "import sys, os, signal; from becam.files import Contents, atomic_dir\n"
        f"with atomic_dir({str(target)!r}, Contents('a test', frozenset())) as t:\n"
        "    (t / 'half').write_text('x'); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not target.exists()
    # The lock names the dead process; the system let go of it.
    assert sorted(p.name.split("-")[0] for p in tmp_path.iterdir()) == [".out.lock", ".out.partial"]
    with atomic_dir(target, CONTENTS) as temporary:
        (temporary / "whole").write_text("x")
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert [p.name for p in target.iterdir()] == ["whole"]


def test_sha256(tmp_path):
    data = os.urandom(3_000_000)
    (tmp_path / "a").write_bytes(data)
    assert sha256(tmp_path / "a") == hashlib.sha256(data).hexdigest()
