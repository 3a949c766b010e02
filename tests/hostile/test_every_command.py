"""All commands over all malformed inputs: one sentence or a sound result, never anything else.

Each command is run as a user would run it, with one of its inputs replaced by each malformed file
of that input's kind. It may succeed (some of them can be read after all) or refuse in one sentence;
an error in becam itself (status 70), a traceback, a hang, or a file that a pickle wrote may not be.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import malformed
import numpy as np
import pytest
import torch
from PIL import Image
from planted import planted_dataset
from shown import make_shop
from zoo import VIT_CONFIG

from becam.cli import main
from becam.training import train

pytestmark = pytest.mark.slow

SECONDS = 60
"""No command on inputs this small may take longer, however malformed one of them is."""
MEMORY = 3 << 30
"""Bytes that the whole run may add to the process at its peak."""
MOST = 40
"""Spoiled copies of one structured file."""


@dataclass
class World:
    """Sound inputs of every kind, below one folder."""

    folder: Path

    def __getitem__(self, name: str) -> Path:
        return self.folder / name


def _write_raw(folder: Path, pictures: Path) -> None:
    """A CSV shop, an MMRec folder and the annotations of some pictures."""
    rng = np.random.default_rng(0)
    rows = [(f"u{u}", f"{i}") for u in range(30) for i in rng.choice(20, 6, replace=False)]
    (folder / "purchases.csv").write_text(
        "user_id,item_id,timestamp\n" + "".join(f"{u},{i},{n}\n" for n, (u, i) in enumerate(rows))
    )
    (folder / "items.csv").write_text(
        "item_id,image,title\n" + "".join(f"{i},{i}.png,Item {i}\n" for i in range(20))
    )
    (folder / "pictures").mkdir()
    for number in range(20):
        shutil.copy(pictures / f"{number}.png", folder / "pictures")
    mmrec = folder / "mmrec"
    mmrec.mkdir()
    lines = [f"{u[1:]}\t{i}\t1\t{n}\t{min(n % 6, 4) // 2}\n" for n, (u, i) in enumerate(rows)]
    (mmrec / "shop.inter").write_text(
        "userID\titemID\trating\ttimestamp\tx_label\n" + "".join(lines)
    )
    for name in ("image", "text"):
        np.save(mmrec / f"{name}_feat.npy", rng.normal(size=(20, 8)).astype(np.float32))


def _write_annotations(folder: Path, pictures: Path) -> None:
    (folder / "labels").mkdir()
    (folder / "voc").mkdir()
    (folder / "label_names.csv").write_text("0,ground\n1,square\n")
    shutil.copy(folder / "label_names.csv", folder / "labels")
    coco = {
        "images": [],
        "annotations": [],
        "categories": [{"id": 1, "name": "square"}],
    }
    for number in range(20):
        with Image.open(pictures / f"{number}.png") as image:
            width, height = image.size
        mask = np.zeros((height, width), np.uint8)
        mask[10:20, 8:20] = 1
        Image.fromarray(mask).save(folder / "labels" / f"{number}.png")
        coco["images"].append(
            {"id": number, "file_name": f"{number}.png", "width": width, "height": height}
        )
        counts = [height * 8 + 10, 10, height * (width - 8) - 20]
        coco["annotations"].append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "bbox": [8, 10, 12, 10],
                "iscrowd": 0,
                "segmentation": [[8, 10, 20, 10, 20, 20, 8, 20]]
                if number % 2
                else {"counts": counts, "size": [height, width]},
            }
        )
        (folder / "voc" / f"{number}.xml").write_text(
            f"<annotation><filename>{number}.png</filename><size><width>{width}</width><height>"
            f"{height}</height></size><object><name>square</name><bndbox><xmin>9</xmin><ymin>11"
            "</ymin><xmax>20</xmax><ymax>20</ymax></bndbox></object></annotation>"
        )
    (folder / "coco.json").write_text(json.dumps(coco))


def _write_release(folder: Path, dim: int, width: int) -> None:
    release = folder / "release"
    release.mkdir()
    torch.manual_seed(0)
    gate = {
        0: torch.nn.Linear(dim, 256),
        4: torch.nn.Linear(256, 256),
        7: torch.nn.Linear(256, dim),
    }
    state = {f"{n}.{k}": v for n, layer in gate.items() for k, v in layer.state_dict().items()}
    torch.save(state, release / "gate_v_x.pt")
    torch.save(torch.nn.Linear(width, dim).state_dict(), release / "image_trs_x.pt")
    np.save(release / "item_id_embedding_x.npy", np.ones((20, dim), np.float32))


@pytest.fixture(scope="module")
def world(load, encoder_files, tmp_path_factory) -> World:
    folder = tmp_path_factory.mktemp("world")
    shop = make_shop(folder, load, encoder_files)
    pictures = folder / "dataset"
    shutil.copy(pictures / "0.png", folder / "picture.png")
    (folder / "scenes").mkdir()
    for number in range(4):
        shutil.copy(pictures / f"{number}.png", folder / "scenes")
    _write_raw(folder, pictures)
    _write_annotations(folder, pictures)
    _write_release(folder, 64, load("open_clip-vit").dim)
    _, weights = encoder_files["open_clip-vit"]
    shutil.copy(weights, folder / "weights.safetensors")
    (folder / "model.json").write_text(json.dumps(VIT_CONFIG))
    train(shop.dataset, epochs=2, adapter="none", output=folder / "run", quiet=True)
    shutil.copytree(folder / "run", folder / "half")
    (folder / "half" / "befa.pt").unlink()
    np.save(folder / "vectors.npy", np.random.default_rng(0).normal(size=(60, 6)).astype("f4"))
    (folder / "ids.txt").write_text("".join(f"{number:04d}\n" for number in range(60)))
    planted_dataset(folder / "planted")
    (folder / "p-ids.txt").write_text("p0\np1\n")
    (folder / "worst.json").write_text(json.dumps([{"id": "p0"}, {"id": "p1"}]))
    (folder / "grid.yaml").write_text(
        f"datasets: [{shop.dataset.path}]\nmodels: [bm3]\nadapters: [none, befa]\nseeds: 1\n"
        "train: {epochs: 1}\n"
    )
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("sys.argv", ["becam", "experiment", f"{folder}/grid.yaml", "-o"])
    monkeypatch.setattr("sys.argv", [*sys.argv, f"{folder}/store"])
    with pytest.raises(SystemExit, match="0"):
        main()
    monkeypatch.undo()
    return World(folder)


# A command, and its inputs: {name} stands for the path of a sound one, or of the malformed one.
# Inputs inside a folder are named FOLDER/FILE: then the folder is a copy with that file replaced.
COMMANDS: dict[str, tuple[str, dict[str, str]]] = {
    "prepare csv": (
        "prepare csv {purchases.csv} --items {items.csv} --images {pictures} --k-core 1 -o {OUT}",
        {
            "purchases.csv": "table",
            "items.csv": "table",
            "pictures": "any",
            "pictures/3.png": "pic",
        },
    ),
    "prepare mmrec": (
        "prepare mmrec {mmrec} -o {OUT}",
        {"mmrec": "any", "mmrec/shop.inter": "table", "mmrec/image_feat.npy": "array"},
    ),
    "prepare hm": (
        "prepare hm {pictures} -o {OUT}",
        {"pictures": "any"},
    ),
    "prepare tmall": (
        "prepare tmall {pictures} -o {OUT}",
        {"pictures": "any"},
    ),
    "prepare microlens": (
        "prepare microlens {pictures} -o {OUT}",
        {"pictures": "any"},
    ),
    "features": (
        "features {dataset} --encoder becam:vit --text-encoder none --name new",
        {
            "dataset/manifest.json": "json",
            "dataset/items.parquet": "parquet",
            "dataset": "any",
            "dataset/5.png": "pic",
        },
    ),
    "features with weights": (
        "features {dataset} --encoder open_clip:{model.json} --weights {weights.safetensors} "
        "--text-encoder none --name new",
        {"model.json": "json", "weights.safetensors": "weights"},
    ),
    "features of timm": (
        "features {dataset} --encoder timm:test_vit --name new --weights "
        "{weights.safetensors} --text-encoder none",
        {"weights.safetensors": "weights"},
    ),
    "train": (
        "train {dataset} --adapter none --epochs 1 -o {OUT}",
        {
            "dataset/manifest.json": "json",
            "dataset/interactions.parquet": "parquet",
            "dataset/users.parquet": "parquet",
            "dataset/items.parquet": "parquet",
            "dataset/features/tiny/features.json": "json",
            "dataset/features/tiny/image.npy": "array",
        },
    ),
    "train --resume": (
        "train {dataset} --adapter none --epochs 2 --resume -o {run}",
        {
            "run/config.json": "json",
            "run/befa.pt": "payload",
            "run/state.pt": "any",
            "run/metrics.jsonl": "json-any",
            "run": "any",
        },
    ),
    "attach": (
        "attach {planted} --item-vectors {vectors.npy} --ids {ids.txt} -o {OUT}.pt",
        {"vectors.npy": "array", "ids.txt": "table"},
    ),
    "import": (
        "import {release} -o {OUT}.pt",
        {
            "release/item_id_embedding_x.npy": "array",
            "release/gate_v_x.pt": "weights",
            "release/image_trs_x.pt": "weights",
            "release": "any",
        },
    ),
    "evaluate": (
        "evaluate {run/befa.pt} {dataset}",
        {"run/befa.pt": "payload"},
    ),
    "search": (
        "search {dataset} --model bm3 --trials 1 --epochs 1 -o {OUT}",
        {"dataset": "any"},
    ),
    "experiment": (
        "experiment {grid.yaml} -o {OUT}",
        {"grid.yaml": "yaml"},
    ),
    "experiment --dry-run": (
        "experiment {grid.yaml} -o {OUT} --dry-run",
        {"grid.yaml": "yaml"},
    ),
    "table": (
        "table 2 {store}",
        {"store": "any"},
    ),
    "sweep lambda": (
        "sweep lambda {dataset} --epochs 1 --seeds 1 -o {OUT}",
        {"dataset": "any"},
    ),
    "explain": (
        "explain --image {picture.png} --ckpt {befa.pt} --item-id p0 --no-randomise --method "
        "becam,budget=4 -o {OUT}.png",
        {"picture.png": "pic", "befa.pt": "payload"},
    ),
    "explain --like": (
        "explain --image {picture.png} --like {scenes/1.png} --ckpt {bm3.pt} --no-randomise "
        "--method becam,budget=4 -o {OUT}.png",
        {"scenes/1.png": "pic"},
    ),
    "explain --weights": (
        "explain --image {picture.png} --ckpt {bm3.pt} --item-id p0 --no-randomise --method "
        "becam,budget=4 --weights {weights.safetensors} -o {OUT}.png",
        {"weights.safetensors": "weights"},
    ),
    "words": (
        "words --item-id p0 --ckpt {bm3.pt} --dataset {dataset} -o {OUT}.png",
        {"bm3.pt": "payload", "dataset/items.parquet": "parquet"},
    ),
    "audit": (
        "audit {bm3.pt} --dataset {dataset} --items 2 --steps 2 --method becam,budget=4 -o {OUT}",
        {"bm3.pt": "any", "dataset/12.png": "pic"},
    ),
    "audit --annotations coco": (
        "audit {bm3.pt} --dataset {dataset} --items 2 --steps 2 --measures localisation "
        "--annotations {coco.json} --object square --method becam,budget=4 -o {OUT}",
        {"coco.json": "json"},
    ),
    "audit --annotations voc": (
        "audit {bm3.pt} --images {scenes} --target nearest --items 3 --dataset {dataset} "
        "--measures localisation --annotations {voc} --object square --method becam,budget=4 "
        "-o {OUT}",
        {"voc": "any", "voc/1.xml": "xml", "scenes/1.png": "pic", "scenes": "any"},
    ),
    "audit --annotations labels": (
        "audit {bm3.pt} --images {scenes} --target nearest --items 3 --dataset {dataset} "
        "--measures localisation --annotations {labels} --object square --method "
        "becam,budget=4 -o {OUT}",
        {"labels/1.png": "pic", "labels/label_names.csv": "table"},
    ),
    "deviation": (
        "deviation {befa.pt} --dataset {dataset} -o {OUT}",
        {"befa.pt": "payload", "dataset/features/tiny/image.npy": "array"},
    ),
    "gallery": (
        "gallery {bm3.pt} --dataset {dataset} --items {worst.json} --no-randomise --method "
        "becam,budget=4 -o {OUT}",
        {"worst.json": "json", "dataset/12.png": "pic", "bm3.pt": "any"},
    ),
    "gallery of listed items": (
        "gallery {bm3.pt} --dataset {dataset} --items {p-ids.txt} --no-randomise --method "
        "becam,budget=4 -o {OUT}",
        {"p-ids.txt": "table"},
    ),
    "serve": (
        "serve {bm3.pt} --dataset {dataset} --host 203.0.113.1",
        {"bm3.pt": "any", "dataset/manifest.json": "json"},
    ),
    "figure 2": (
        "figure 2 {bm3.pt} --dataset {dataset} --count 1 --no-randomise --method "
        "becam,budget=4 -o {OUT}.png",
        {"bm3.pt": "any"},
    ),
    "figure 6": (
        "figure 6 {befa.pt} --dataset {dataset} --no-adapter --no-randomise --method "
        "becam,budget=4 --items sample:1 -o {OUT}.png --font {font.ttf}",
        {"font.ttf": "any", "befa.pt": "any"},
    ),
    "figure 7": (
        "figure 7 {befa.pt} --dataset {dataset} --no-adapter --no-randomise --method "
        "becam,budget=4 --items {p-ids.txt} -o {OUT}.png",
        {"p-ids.txt": "any"},
    ),
    "figure 8": (
        "figure 8 {befa.pt} --dataset {dataset} --images {scenes} --no-randomise --method "
        "becam,budget=4 --no-adapter --items sample:1 -o {OUT}.png",
        {"scenes": "any", "scenes/1.png": "pic"},
    ),
    "figure 9": (
        "figure 9 {befa.pt} --dataset {dataset} --no-adapter --count 5 -o {OUT}.png",
        {"befa.pt": "any"},
    ),
    "figure 10": (
        "figure 10 {store} -o {OUT}.png",
        {"store": "any"},
    ),
}


def _makers(kind: str, sound: Path) -> dict[str, malformed.Maker]:
    of_kind = {
        "any": lambda: {},
        "json-any": lambda: {},
        "json": lambda: malformed.structured(sound, MOST),
        "parquet": lambda: malformed.parquet(sound),
        "payload": lambda: malformed.payloads(sound, MOST),
        "weights": lambda: malformed.WEIGHTS,
        "array": lambda: malformed.ARRAYS,
        "table": lambda: malformed.TABLES,
        "pic": lambda: malformed.PICTURES,
        "yaml": lambda: malformed.YAML,
        "xml": lambda: malformed.XML,
    }
    return malformed.ANY | of_kind[kind]()


def _spoil(world: World, work: Path, role: str, maker: malformed.Maker) -> dict[str, Path]:
    """Paths by role, one of them malformed; a folder that holds it is a copy."""
    top, _, inside = role.partition("/")
    sound = world[role]
    if not inside:
        path = work / top
        maker(path, sound if sound.is_file() else world["picture.png"])
        return {role: path}
    shutil.copytree(world[top], work / top, copy_function=os.link)
    path = work / role
    path.unlink(missing_ok=True)
    maker(path, sound if sound.is_file() else world["picture.png"])
    return {top: work / top, role: path}


def _filled(argument: str, world: World, changed: dict[str, Path], output: Path) -> str:
    if "{" not in argument:
        return argument
    before, _, rest = argument.partition("{")
    name, _, after = rest.partition("}")
    if name == "OUT":
        return f"{before}{output}{after}"
    return f"{before}{changed.get(name, world[name])}{after}"


class Hang(BaseException):
    """A command took longer than it may."""


def _alarm(number: int, frame: object) -> None:
    raise Hang


def _run(arguments: list[str], monkeypatch, capfd) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["becam", *arguments])
    capfd.readouterr()
    before = signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(SECONDS)
    try:
        main()
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else 0 if left.code is None else 1
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    output, errors = capfd.readouterr()
    return status, output + errors


def _fault(status: int, said: str, ran: list[Path]) -> str | None:
    if status not in (0, 1, 2, 130):
        return f"status {status}: {said[-300:]}"
    if "Traceback" in said:
        return f"a traceback: {said[-300:]}"
    if "weights_only" in said:
        return f"advice to switch a safety off: {said[-300:]}"
    if "\x1b[1m" in said:
        return f"escape codes: {said[-300:]!r}"
    if status == 1:
        sentences = [line for line in said.splitlines() if line.startswith("becam: ")]
        if not sentences:
            return f"no sentence: {said[-300:]}"
    if ran:
        return f"code was run: {ran}"
    return None


REFUSED = {"features of timm", "figure 6", "figure 10", "serve", "prepare hm"} | {
    f"prepare {source}" for source in ("tmall", "microlens")
}
"""Commands that refuse even these sound inputs, which belong to others."""


@pytest.mark.parametrize("name", COMMANDS)
def test_sound_inputs(name, world, tmp_path, monkeypatch, capfd):
    template, _ = COMMANDS[name]
    shutil.copytree(world["dataset"], tmp_path / "dataset")
    changed = {"dataset": tmp_path / "dataset"}
    arguments = [_filled(one, world, changed, tmp_path / "out") for one in template.split()]
    status, said = _run(arguments, monkeypatch, capfd)
    assert status == (name in REFUSED), said


@pytest.mark.parametrize("name", COMMANDS)
def test_every_malformed_input(name, world, tmp_path, monkeypatch, capfd):
    template, roles = COMMANDS[name]
    faults, count, started = [], 0, time.monotonic()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for role, kind in roles.items():
        for what, maker in _makers(kind, world[role]).items():
            work = tmp_path / f"{count}"
            work.mkdir()
            count += 1
            # Commands that write beside their inputs write into a copy.
            changed = {}
            if name.startswith(("features", "train")) and not role.startswith("dataset"):
                shutil.copytree(world["dataset"], work / "dataset")
                changed["dataset"] = work / "dataset"
            changed |= _spoil(world, work, role, maker)
            arguments = [_filled(one, world, changed, work / "out") for one in template.split()]
            try:
                status, said = _run(arguments, monkeypatch, capfd)
                fault = _fault(status, said, list(work.rglob("*.ran")))
            except Hang:
                fault = f"longer than {SECONDS} s"
            except Exception as error:
                fault = f"{type(error).__name__} left main: {error}"
            if fault is not None:
                faults.append(f"{role} {what}: {fault}")
            shutil.rmtree(work, ignore_errors=True)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - peak
    if grown > MEMORY:
        faults.append(f"memory grew by {grown >> 20} MiB")
    with capfd.disabled():
        print(
            f"\n{name}: {count} inputs, {len(faults)} faults, {time.monotonic() - started:.0f} s",
            *(fault[:300] for fault in faults),
            sep="\n  ",
            end="",
        )
    assert not faults, f"{len(faults)} of {count}:\n" + "\n".join(faults)
