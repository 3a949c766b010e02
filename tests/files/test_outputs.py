"""Whatever cannot be an output is said before the work, in one sentence."""

from __future__ import annotations

import os

import pytest
from badoutputs import make_bad

from becam.errors import BecamError
from becam.files import atomic_file, check_output_file, check_output_folder
from becam.files.temporaries import temporary_of

KINDS = [
    "parent is a file",
    "grandparent is a file",
    "dangling link",
    "dangling parent",
    "link to itself",
    "parent links to itself",
    "long name",
    "long parent",
    "long path",
    "nearly too long a path",
    "below a device",
    "device",
    "pipe",
    "socket",
    "zero byte",
    "no letter",
    "whole disk",
    pytest.param(
        "no files there", marks=pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="proc")
    ),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("check", [check_output_file, check_output_folder])
def test_a_bad_output_is_one_sentence(tmp_path, check, kind):
    path = make_bad(tmp_path, kind)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(BecamError) as caught:
        check(path)
    said = str(caught.value)
    assert "\n" not in said
    assert said.endswith(".")
    assert "choose" in said
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("kind", KINDS)
def test_so_does_the_writer_itself(tmp_path, kind):
    path = make_bad(tmp_path, kind)
    with pytest.raises(BecamError, match=r"\.$"), atomic_file(path) as temporary:
        temporary.write_text("never")


def test_a_folder_where_a_file_belongs_and_the_other_way_round(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(BecamError, match="is a folder; choose the path of a file"):
        check_output_file(tmp_path)
    with pytest.raises(BecamError, match="is a file; choose a folder"):
        check_output_folder(tmp_path / "file")


def test_good_outputs_and_no_trace_of_the_check(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert (
        check_output_file(tmp_path / "deep" / "er" / "x.png") == tmp_path / "deep" / "er" / "x.png"
    )
    assert check_output_folder(tmp_path / "link") == tmp_path / "real"
    assert check_output_file(tmp_path / "link" / "a.txt").name == "a.txt"
    assert check_output_file(tmp_path / ("x" * 251 + ".png")).suffix == ".png"
    assert sorted(os.listdir(tmp_path)) == ["link", "real"]
    assert not os.listdir(tmp_path / "real")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(BecamError, match="may not be written"):
            check_output_file(tmp_path / "x")
    finally:
        tmp_path.chmod(0o700)


def test_what_lies_beside_without_its_output_is_not_becams(tmp_path):
    (tmp_path / "manifest.json").write_text("mine")
    with pytest.raises(BecamError, match=r"manifest\.json is there and belongs to no"):
        check_output_file(tmp_path / "manifest.png", tmp_path / "manifest.json")
    (tmp_path / "manifest.png").write_bytes(b"of an earlier call")
    check_output_file(tmp_path / "manifest.png", tmp_path / "manifest.json")


def test_the_check_clears_what_a_killed_process_left(tmp_path):
    path = tmp_path / "x*.png"  # names are no patterns
    mine, other = temporary_of(path), temporary_of(tmp_path / "xy.png")
    dead = mine.with_name(mine.name.replace(f"-{os.getpid()}-", "-2147483647-"))
    for each in (mine, other, dead):
        each.write_text("half")
    dead_other = other.with_name(other.name.replace(f"-{os.getpid()}-", "-2147483647-"))
    dead_other.write_text("half")
    check_output_file(path)
    assert sorted(tmp_path.iterdir()) == sorted([mine, other, dead_other])
