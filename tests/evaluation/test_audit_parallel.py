"""Shards, the folder that several processes share, and the processes themselves.

The processes are played by a script, which is quick; ``tests/cli/test_audit_command.py`` has real
ones.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from becam.errors import BecamError, BecamWarning
from becam.evaluation import parallel
from becam.evaluation.parallel import measure_in_processes
from becam.evaluation.parts import Parts
from becam.evaluation.shards import WHOLE, Shard

ROWS = [
    {
        **{"picture": "a", "target": "item a", "checkpoint": "c", "method": "m"},
        **{"group": "faithfulness", "measure": "gain_rank", "value": 1.0, "curve": None},
    }
]


@given(st.integers(0, 40), st.integers(1, 9))
def test_shards_share_out_everything(length, count):
    items = list(range(length))
    shares = [Shard(number, count).of(items) for number in range(1, count + 1)]
    assert sorted(item for share in shares for item in share) == items
    for number, share in enumerate(shares):
        assert list(share) == [item for item in items if item % count == number]
    assert WHOLE.of(items) == items


@given(st.integers(0, 40), st.integers(1, 5), st.integers(1, 5), st.data())
def test_shards_of_a_shard_share_it_out(length, count, jobs, data):
    items = list(range(length))
    shard = Shard(data.draw(st.integers(1, count)), count)
    shares = [share.of(items) for share in shard.split(jobs)]
    assert sorted(item for share in shares for item in share) == list(shard.of(items))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(st.integers(1, 50), st.data())
def test_a_shard_is_read_as_it_is_written(count, data):
    shard = Shard(data.draw(st.integers(1, count)), count)
    assert Shard.parse(str(shard)) == shard


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/b", "1.0/2"])
def test_what_is_no_shard(text):
    with pytest.raises(BecamError, match="K/N with K from 1 to N"):
        Shard.parse(text)


def test_a_matching_record_keeps_what_is_there(tmp_path):
    Parts(tmp_path, {"which": "a"}, overwrite=False)
    written = tmp_path / "parts" / ".x.parquet.partial-0.parquet"
    written.write_bytes(b"half")  # as another process has it just now
    before = (tmp_path / "audit.json").stat()
    parts = Parts(tmp_path, {"which": "a"}, overwrite=False)
    assert written.read_bytes() == b"half"
    after = (tmp_path / "audit.json").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert parts.missing(["a", "b"]) == {"a", "b"}
    parts.write("a", ROWS)
    assert Parts(tmp_path, {"which": "a"}, overwrite=False).missing(["a", "b"]) == {"b"}


def test_a_record_without_parts_gives_way(tmp_path):
    first = Parts(tmp_path, {"which": "a"}, overwrite=False)
    Parts(tmp_path, {"which": "b"}, overwrite=False)
    assert json.loads((tmp_path / "audit.json").read_text())["which"] == "b"
    with pytest.raises(BecamError, match="differs in which"):
        first.write("a", ROWS)  # it would stand among parts of b
    assert not list((tmp_path / "parts").iterdir())


def test_parts_without_a_record_are_nobodys(tmp_path):
    Parts(tmp_path, {"which": "a"}, overwrite=False).write("a", ROWS)
    (tmp_path / "audit.json").unlink()
    assert Parts(tmp_path, {"which": "a"}, overwrite=False).missing(["a"]) == {"a"}


def test_many_begin_one_folder_at_once(tmp_path):
    """Each begins and writes a part as soon as it may; none may discard another's."""
    names = [str(number) for number in range(8)]
    errors = []
    for attempt in range(10):
        folder, start = tmp_path / str(attempt), threading.Barrier(len(names))

        def begin(name, folder=folder, start=start):
            start.wait()
            try:
                Parts(folder, {"which": "a"}, overwrite=False).write(name, ROWS)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=begin, args=(name,)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not errors
        assert not Parts(folder, {"which": "a"}, overwrite=False).missing(names)


# Stands for ``python -m becam audit --shard K/N FOLDER LENGTH BEHAVIOUR...``.
SCRIPT = """#!{python} -S
import json, os, signal, sys, time
arguments = sys.argv[1:]
assert arguments[:4] == ["-m", "becam", "audit", "--shard"], arguments
number, count = map(int, arguments[4].split("/"))
folder, length, *behaviours = arguments[5:]
behaviour = dict(b.split("=") for b in behaviours).get(str(number), "work")
about = dict(os.environ, pid=os.getpid())
def leave(*_):
    open(f"{{folder}}/{{number}}.left", "w").close()
    sys.exit(1)
signal.signal(signal.SIGTERM, leave)
if behaviour == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
with open(f"{{folder}}/{{number}}.begun", "w") as file:
    json.dump(about, file)
os.replace(file.name, f"{{folder}}/{{number}}.json")
if behaviour in ("hang", "stubborn"):
    time.sleep(60)
while behaviour in ("die", "fail") and sum(n.endswith(".json") for n in os.listdir(folder)) < count:
    time.sleep(0.01)
if behaviour == "die":
    os.kill(os.getpid(), signal.SIGKILL)
if behaviour == "fail":
    print("becam: beware", file=sys.stderr)
    print("Auditing: 0/3\\rAuditing: 1/3", file=sys.stderr)
    print("becam: shoe.jpg is broken.", file=sys.stderr)
    sys.exit(1)
print("becam: the weights are odd.", file=sys.stderr)
print("Auditing: 1/3", file=sys.stderr)
print("a table")
for place in range(number - 1, int(length), count):
    open(f"{{folder}}/{{place}}.part", "w").close()
"""


class Folder:
    """As much of an ``Audit`` as processes need: a file a picture."""

    def __init__(self, path: Path, length: int) -> None:
        self.path, self.subjects = path, list(range(length))

    def missing(self, shard=WHOLE):
        return [n for n in shard.of(self.subjects) if not (self.path / f"{n}.part").exists()]

    def measure(self, jobs, *behaviours, **options):
        command = ["audit", str(self.path), str(len(self.subjects)), *behaviours]
        measure_in_processes(self, command, jobs=jobs, **options)

    def children(self):
        """What each process said of itself, by its shard's number."""
        return {int(p.stem): json.loads(p.read_text()) for p in self.path.glob("*.json")}


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def folder(tmp_path, monkeypatch):
    script = tmp_path / "python"
    script.write_text(SCRIPT.format(python=sys.executable))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(parallel, "_GRACE_SECONDS", 0.5)
    return Folder(tmp_path, 5)


def test_processes_share_out_the_pictures(folder, capfd, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        folder.measure(3)
    assert folder.missing() == []
    children = folder.children()
    assert sorted(children) == [1, 2, 3]
    assert {child["OMP_NUM_THREADS"] for child in children.values()} == {"2"}
    assert [(w.category, str(w.message)) for w in caught] == [
        (BecamWarning, "the weights are odd.")
    ]
    output, errors = capfd.readouterr()
    assert output == ""
    assert "5/5" in errors
    assert "/3" not in errors  # the bars of the processes


@pytest.mark.filterwarnings("ignore:the weights are odd")
def test_only_what_is_missing_gets_a_process(folder, capfd):
    for place in (0, 2, 3):
        (folder.path / f"{place}.part").touch()
    folder.measure(2)  # 1/2 has the pictures 0, 2 and 4; 2/2 has 1 and 3
    assert sorted(folder.children()) == [1, 2]
    assert "3/5" in capfd.readouterr().err
    for path in folder.path.glob("*.json"):
        path.unlink()
    (folder.path / "4.part").unlink()
    folder.measure(2)
    assert sorted(folder.children()) == [1]
    folder.measure(4)
    assert folder.missing() == []
    assert sorted(folder.children()) == [1]


@pytest.mark.filterwarnings("ignore:the weights are odd")
def test_processes_share_out_a_shard(folder):
    folder.measure(2, shard=Shard(2, 2))
    assert folder.missing() == [0, 2, 4]
    assert sorted(folder.children()) == [2, 4]


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [("fail", r"^shoe\.jpg is broken\.$"), ("die", "ended by itself.*fewer --jobs")],
)
def test_one_failure_ends_all(folder, behaviour, said):
    with (
        warnings.catch_warnings(record=True) as caught,
        pytest.raises(BecamError, match=said) as raised,
    ):
        warnings.simplefilter("always")
        folder.measure(3, "1=hang", f"2={behaviour}", "3=stubborn")
    children = folder.children()
    assert len(children) == 3
    assert not any(alive(child["pid"]) for child in children.values())
    if behaviour == "fail":
        assert "beware" in str(raised.value.__cause__)  # for BECAM_TRACEBACK
        assert [str(w.message) for w in caught] == ["beware"]


def test_ctrl_c_ends_all(folder):
    def press():
        deadline = time.monotonic() + 30
        while len(folder.children()) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        folder.measure(2, "1=hang", "2=hang")
    children = folder.children()
    assert len(children) == 2
    assert not any(alive(child["pid"]) for child in children.values())
    assert len(list(folder.path.glob("*.left"))) == 2  # told to, before they were made to


def test_a_process_that_no_other_started_is_left_alone(monkeypatch):
    monkeypatch.delenv(parallel.LIFELINE, raising=False)
    before = signal.getsignal(signal.SIGINT), threading.active_count()
    parallel.end_with_parent()
    assert (signal.getsignal(signal.SIGINT), threading.active_count()) == before


def test_whoever_begins_again_must_be_alone(tmp_path):
    parts = Parts(tmp_path, {"which": "a"}, overwrite=False)
    parts.write("a", ROWS)
    with parts.working():
        Parts(tmp_path, {"which": "a"}, overwrite=False).write("b", ROWS)  # these share
        with pytest.raises(BecamError, match=rf"Another becam .*is writing {tmp_path};"):
            Parts(tmp_path, {"which": "b"}, overwrite=True)
    assert not Parts(tmp_path, {"which": "a"}, overwrite=False).missing(["a", "b"])
    again = Parts(tmp_path, {"which": "b"}, overwrite=True)
    assert again.missing(["a", "b"]) == {"a", "b"}
    with pytest.raises(BecamError, match="differs in which"), parts.working():
        raise AssertionError("must not get here")


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    "name", ["parts/mine.txt", "parts/mine.parquet", "audit.json", "measures.parquet", "table.md"]
)
def test_what_an_audit_did_not_write_stays(tmp_path, name, overwrite):
    mine = tmp_path / "folder" / name
    mine.parent.mkdir(parents=True)
    mine.write_text('{"name": "mine"}')
    with pytest.raises(BecamError, match="left as it is"):
        Parts(tmp_path / "folder", {"which": "a"}, overwrite=overwrite)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [mine]
    assert mine.read_text() == '{"name": "mine"}'


def test_an_audit_begun_again_deletes_its_own_parts_alone(tmp_path):
    parts = Parts(tmp_path, {"which": "a"}, overwrite=False)
    parts.write("a", ROWS)
    half = tmp_path / "parts" / ".0.parquet.partial-0123abcd-99999-0123abcd.parquet"
    half.write_bytes(b"half")
    (tmp_path / "parts" / ".DS_Store").touch()
    Parts(tmp_path, {"which": "b"}, overwrite=True)
    assert [p.name for p in (tmp_path / "parts").iterdir()] == [".DS_Store"]
