"""Kills at any moment, two jobs at once, disks that are full or read-only, over every command.

Whatever happens: nothing that was there is lost, a command that fails says one sentence, and the
same command then ends as if nothing had been.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn
from zygote import Zygote

from becam.checkpoint import Checkpoint

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux"),
]

KILLS = 3
FIFTHS = 5
BECAM = "becam,budget=8"
GALLERY = "--items sample:2 --budget 8 --no-randomise --no-words"


@dataclass(frozen=True)
class Command:
    """A command that writes.

    Attributes:
        words: its arguments; ``{out}`` is the output, others are of the workshop.
        results: what is there when it has ended, from the output's path; these are the same bytes
            or tables each time, but for those in ``varying``.
        varying: results that tell times.
        again: arguments that it takes to go on.
        overwrite: whether it has ``--overwrite``.
        refuses: whether it refuses what is there, so that once done it is not done again.
    """

    words: str
    results: tuple[str, ...] = ("",)
    varying: tuple[str, ...] = ()
    again: str = ""
    overwrite: bool = False
    refuses: bool = False


COMMANDS = {
    "prepare": Command(
        "prepare csv {catalogue} --k-core 5 -o {out}",
        ("/interactions.parquet", "/items.parquet", "/users.parquet", "/manifest.json"),
        ("/manifest.json",),
        overwrite=True,
        refuses=True,
    ),
    "features": Command(
        "features {out} --encoder becam:vit --text-encoder none --batch-size 8 --name fault",
        ("/features/fault/image.npy", "/features/fault/features.json"),
        overwrite=True,
    ),
    "train": Command(
        "train {dataset} --features becam-vit --epochs 6 --batch-size 64 --save-every 0 -o {out}",
        ("/befa.pt", "/config.json", "/metrics.json", "/metrics.jsonl", "/users.npz"),
        ("/metrics.json", "/metrics.jsonl"),
        again="--resume",
        overwrite=True,
        refuses=True,
    ),
    "attach": Command(
        "attach {dataset} --item-vectors {vectors} --ids {ids} --features becam-vit -o {out}.pt",
        (".pt",),
        overwrite=True,
        refuses=True,
    ),
    "import": Command("import {release} -o {out}.pt", (".pt",), overwrite=True, refuses=True),
    "deviation": Command(
        "deviation {bm3} {befa} --dataset {dataset} -o {out}",
        ("/items.parquet", "/categories.parquet", "/table.md", "/worst.json", "/histogram.pdf"),
        overwrite=True,
        refuses=True,
    ),
    "audit": Command(
        f"audit {{befa}} --dataset {{dataset}} --items 3 --method {BECAM} -o {{out}}",
        ("/measures.parquet", "/table.md", "/audit.json"),
        overwrite=True,
    ),
    "gallery": Command(
        f"gallery {{befa}} --dataset {{dataset}} {GALLERY} -o {{out}} --sheet {{out}}.pdf "
        "--fiftyone {out}-fo",
        ("/index.html", "/items.parquet", ".pdf", "-fo/samples.json"),
        overwrite=True,
        refuses=True,
    ),
    "explain": Command(
        "explain --image {picture} --item-id {item} --ckpt {befa} --budget 8 --no-randomise "
        "-o {out}.png",
        (".png", ".npz", ".json"),
    ),
    "words": Command(
        "words --item-id {item} --ckpt {befa} --dataset {dataset} -o {out}.png", (".png", ".json")
    ),
    "figure": Command(
        "figure 9 {bm3} {befa} --dataset {dataset} --count 20 -o {out}.pdf",
        (".pdf", ".txt", ".json"),
    ),
    "table": Command("table 2 {store} -o {out}.md", (".md",)),
    "experiment": Command("experiment {config} -o {out}", ("/store.sqlite",), ("/store.sqlite",)),
    "search": Command(
        "search {dataset} --features becam-vit --trials 2 --epochs 2 -o {out}",
        ("/search.sqlite",),
        ("/search.sqlite",),
    ),
    "sweep": Command(
        "sweep lambda {dataset} --features becam-vit --seeds 1 --epochs 1 -o {out} "
        "--figure {out}.png",
        ("/store.sqlite", ".png"),
        ("/store.sqlite",),
    ),
    "demo": Command(
        "demo --no-open -o {out}",
        ("/index.html", "/bm3/befa.pt"),
        ("/index.html",),
        overwrite=True,
        refuses=True,
    ),
}
FOREIGN_SENTENCES = ("already exists", "already holds", "holds a demo already")


@pytest.fixture(scope="module")
def counts(request):
    """What was tried, for the terminal."""
    found = Counter()
    yield found
    reporter = request.config.pluginmanager.getplugin("terminalreporter")
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        reporter.write_line("")
        for name, count in sorted(found.items()):
            reporter.write_line(f"{name}: {count}")


@pytest.fixture(scope="module")
def zygote(tmp_path_factory):
    with Zygote(tmp_path_factory.mktemp("said")) as made:
        yield made


@pytest.fixture(scope="module")
def workshop(zygote, tmp_path_factory):
    """What the commands read, by name."""
    folder = tmp_path_factory.mktemp("workshop")
    demo = folder / "demo"
    process = zygote.start("demo", "--no-open", "-o", demo)
    assert process.wait() == 0, process.said
    trained = Checkpoint.load(demo / "bm3")
    np.save(folder / "vectors.npy", trained.item_embeddings.numpy())
    (folder / "ids.txt").write_text("\n".join(trained.item_ids) + "\n")
    (folder / "config.json.yaml").write_text(
        f"datasets: [{json.dumps(str(demo / 'dataset'))}]\nmodels: [bm3]\nadapters: [none, befa]\n"
        "seeds: 1\ntrain: {epochs: 2}\n"
    )
    release = folder / "release"
    release.mkdir()
    torch.manual_seed(0)
    torch.save(nn.Linear(96, 64).state_dict(), release / "image_trs_x.pt")
    np.save(release / "item_id_embedding_x.npy", np.eye(64, dtype=np.float32)[:30])
    store = folder / "store"
    process = zygote.start("experiment", folder / "config.json.yaml", "-o", store)
    assert process.wait() == 0, process.said
    return {
        "catalogue": demo / "catalogue",
        "dataset": demo / "dataset",
        "bm3": demo / "bm3",
        "befa": demo / "bm3-befa",
        "picture": demo / "catalogue" / "images" / "item0001.jpg",
        "item": trained.item_ids[1],
        "vectors": folder / "vectors.npy",
        "ids": folder / "ids.txt",
        "release": release,
        "config": folder / "config.json.yaml",
        "store": store,
    }


@dataclass
class Bench:
    """One command on the workshop's material."""

    name: str
    zygote: Zygote
    workshop: dict[str, object]

    @property
    def command(self) -> Command:
        return COMMANDS[self.name]

    def start(self, out: Path, more: str = ""):
        """Begin it."""
        words = f"{self.command.words} {more}".split()
        return self.zygote.start(*(word.format(out=out, **self.workshop) for word in words))

    def place(self, folder: Path) -> Path:
        """An output in a folder; for features, a dataset without any."""
        out = folder / "out"
        if self.name == "features":
            shutil.copytree(
                self.workshop["dataset"], out, ignore=shutil.ignore_patterns("features")
            )
        return out

    def results(self, out: Path) -> dict[str, object]:
        """Contents of all results, which must be there, as far as they are the same each time."""
        found = {}
        for name in self.command.results:
            path = Path(f"{out}{name}")
            assert path.is_file(), path
            if name in self.command.varying:
                continue
            content = path.read_bytes()
            if path.suffix == ".parquet":
                content = str(pl.read_parquet(path, glob=False).to_dicts())
            elif path.suffix == ".json" and "index" not in name:
                content = content.replace(os.fsencode(out), b"OUT")
            found[name] = content
        return found

    def finish(self, out: Path) -> None:
        """The same command ends well, unless its result is there already."""
        process = self.start(out, self.command.again)
        if process.wait() == 1 and self.command.refuses:
            assert any(each in process.sentence() for each in FOREIGN_SENTENCES), process.said
        else:
            assert process.wait() == 0, process.said


@pytest.fixture(params=COMMANDS, scope="module")
def bench(request, zygote, workshop):
    return Bench(request.param, zygote, workshop)


@pytest.fixture(scope="module")
def whole(bench, tmp_path_factory):
    """What the command leaves that nobody disturbed, how long it took, and what it weighs."""
    folder = tmp_path_factory.mktemp("whole")
    out = bench.place(folder)
    before = weight(folder)
    started = time.monotonic()
    process = bench.start(out)
    assert process.wait() == 0, process.said
    seconds = time.monotonic() - started
    return bench.results(out), seconds, (before, weight(folder))


def weight(folder: Path) -> int:
    """Bytes on a disk with pages."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return sum(-(-size // 4096) * 4096 for size in sizes)


def leftovers(folder: Path) -> list[Path]:
    return [p for p in folder.rglob(".*") if ".partial-" in p.name or p.name.endswith(".lock")]


def same(found: dict[str, object], expected: dict[str, object]) -> None:
    assert found.keys() == expected.keys()
    for name, content in found.items():
        assert content == expected[name], name


def test_killed_at_any_moment(bench, whole, tmp_path, counts):
    expected, seconds, _ = whole
    chance = random.Random(bench.name)
    out = bench.place(tmp_path)
    for _ in range(KILLS):
        process = bench.start(out, bench.command.again if out.exists() else "")
        time.sleep(chance.uniform(0, seconds))
        process.kill()
        process.wait()
        counts["kills"] += 1
    bench.finish(out)
    same(bench.results(out), expected)
    assert not leftovers(tmp_path)


def test_killed_while_it_replaces(bench, whole, tmp_path, counts):
    if not bench.command.overwrite:
        pytest.skip("it has no --overwrite")
    expected, seconds, _ = whole
    chance = random.Random(bench.name)
    out = bench.place(tmp_path)
    assert bench.start(out).wait() == 0
    for _ in range(KILLS):
        process = bench.start(out, "--overwrite")
        time.sleep(chance.uniform(0, seconds))
        process.kill()
        process.wait()
        counts["kills while replacing"] += 1
        if bench.name in ("prepare", "attach", "import", "deviation", "explain"):
            same(bench.results(out), expected)  # the old one or the new one, whole
    assert bench.start(out, "--overwrite").wait() == 0
    same(bench.results(out), expected)
    assert not leftovers(tmp_path)


@pytest.mark.parametrize("more", ["", "--overwrite"])
def test_two_at_once(bench, whole, tmp_path, counts, more):
    """One goes on and the other refuses in a sentence, or both go on together."""
    if more and not bench.command.overwrite:
        pytest.skip("it has no --overwrite")
    expected, seconds, _ = whole
    out = bench.place(tmp_path)
    if more and bench.command.refuses:
        assert bench.start(out).wait() == 0
    pair = [bench.start(out, more)]
    time.sleep(random.Random(bench.name + more).uniform(0, seconds / 2))
    pair.append(bench.start(out, more if bench.name != "audit" else ""))
    statuses = sorted(process.wait() for process in pair)
    said = [process.sentence() for process in pair if process.wait()]
    assert statuses[0] == 0, said
    counts["pairs of jobs"] += 1
    counts["pairs in which one refused"] += len(said)
    same(bench.results(out), expected)
    assert not leftovers(tmp_path)


@pytest.fixture
def mounted(tmp_path):
    """Mounts a disk of some bytes; a function of its size and its options."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(size: int, options: str = "rw") -> Path:
        again = ["remount"] if disk.is_mount() else []
        options = ",".join([*again, options, f"size={size}"])
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], check=True)
        return disk

    try:
        mount(1 << 20)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk can be mounted here")
    yield mount
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.parametrize("fifth", range(FIFTHS))
def test_a_full_disk(bench, whole, mounted, counts, fifth):
    expected, _, (before, after) = whole
    disk = mounted(1 << 28)
    out = bench.place(disk)
    # Where it needs nothing between, the last fifth may do.
    size = before + 4096 + (after - before) * fifth // FIFTHS
    mounted(-(-size // 4096) * 4096)
    process = bench.start(out)
    if process.wait():
        said = process.sentence()
        assert any(word in said for word in ("disk is full", "SQLite", "failed")), said
        counts["full disks that stopped a command"] += 1
    counts["full disks"] += 1
    mounted(1 << 28)
    bench.finish(out)
    same(bench.results(out), expected)
    assert not leftovers(disk)


def test_a_read_only_disk(bench, whole, mounted, counts):
    disk = mounted(1 << 28)
    out = bench.place(disk)
    before = sorted(disk.rglob("*"))
    mounted(1 << 28, "ro")
    said = bench.start(out).sentence()
    assert "read-only" in said.lower(), said
    assert sorted(disk.rglob("*")) == before
    counts["read-only disks"] += 1
    mounted(1 << 28)
    bench.finish(out)
    same(bench.results(out), whole[0])
