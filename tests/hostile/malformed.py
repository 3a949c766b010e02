"""Malformed files of every kind that a command may be given, by what is wrong with them.

Each maker takes the path to fill and a sound file of the kind, which it may spoil.
"""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
import torch
from PIL import Image

Maker = Callable[[Path, Path], None]


class Bomb:
    """What a pickle that runs code looks like; unpickled, it leaves a file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


# Any file.


def _sparse(path: Path, sound: Path) -> None:
    with open(path, "wb") as stream:
        stream.truncate(40 << 30)


def _cut(share: float) -> Maker:
    def make(path: Path, sound: Path) -> None:
        whole = sound.read_bytes()
        path.write_bytes(whole[: int(len(whole) * share)])

    return make


def _flipped(path: Path, sound: Path) -> None:
    whole = bytearray(sound.read_bytes())
    for place in random.Random(0).sample(range(len(whole)), min(20, len(whole))):
        whole[place] ^= 0xFF
    path.write_bytes(whole)


ANY: dict[str, Maker] = {
    "missing": lambda path, sound: None,
    "empty": lambda path, sound: path.touch(),
    "one byte": lambda path, sound: path.write_bytes(b"\x00") and None,
    "folder": lambda path, sound: path.mkdir(),
    "pipe": lambda path, sound: os.mkfifo(path),
    "endless device": lambda path, sound: path.symlink_to("/dev/zero"),
    "empty device": lambda path, sound: path.symlink_to("/dev/null"),
    "link to itself": lambda path, sound: path.symlink_to(path.name),
    "link to nothing": lambda path, sound: path.symlink_to("nothing-here"),
    "below a file": lambda path, sound: path.symlink_to(sound / "below"),
    "noise": lambda path, sound: path.write_bytes(random.Random(1).randbytes(5000)) and None,
    "zeros": lambda path, sound: path.write_bytes(bytes(5000)) and None,
    "web page": lambda path, sound: path.write_text("<!DOCTYPE html><p>404 Not Found") and None,
    "git-lfs pointer": lambda path, sound: (
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
        and None
    ),
    "huge and sparse": _sparse,
    "cut at 10%": _cut(0.1),
    "cut at 50%": _cut(0.5),
    "cut at 99%": _cut(0.99),
    "bits flipped": _flipped,
    "UTF-16": lambda path, sound: (
        path.write_bytes("user_id,item_id\na,b\n".encode("utf-16")) and None
    ),
    "pickle": lambda path, sound: path.write_bytes(pickle.dumps(Bomb(f"{path}.ran"))) and None,
}

# Structured values, whatever holds them.

_WRONG = (None, True, -1, 0, 10**30, 1e308, "x", "", [], {}, [[]], {"a": 1}, "\ud800")


def spoiled(value: object, *, depth: int = 3) -> Iterator[tuple[str, object]]:
    """Each copy of a plain value in which one thing is missing or of another type."""
    for wrong in _WRONG:
        yield f"{wrong!r:.20}", wrong
    if depth == 0:
        return
    places: list[object] = []
    if isinstance(value, dict):
        places = list(value)[:12]
    elif isinstance(value, list) and value:
        places = [0]
    for place in places:
        without = copy.copy(value)
        del without[place]
        yield f"no {place}", without
        for name, other in spoiled(value[place], depth=depth - 1):
            changed = copy.copy(value)
            changed[place] = other
            yield f"{place}={name}", changed


def structured(sound: Path, most: int) -> dict[str, Maker]:
    """JSON files spoiled in one place; ``most`` of them, spread evenly."""
    value = json.loads(sound.read_text())
    every = list(spoiled(value))
    chosen = every[:: max(1, len(every) // most)]
    makers = {
        f"JSON {name}": lambda path, sound, other=other: path.write_text(json.dumps(other)) and None
        for name, other in chosen
    }
    texts = {
        "JSON nested": "[" * 200_000,
        "JSON NaN": sound.read_text().replace("1", "NaN", 1),
        "JSON infinity": sound.read_text().replace("1", "1e999", 1),
        "JSON of many digits": sound.read_text().replace("1", "1" * 6000, 1),
        "JSON with a BOM": "\ufeff" + sound.read_text(),
        "JSON twice": sound.read_text() * 2,
    }
    makers |= {
        name: lambda path, sound, text=text: path.write_text(text, "utf-8") and None
        for name, text in texts.items()
    }
    return makers


# Arrays.


def _npy(array: np.ndarray, **options: object) -> Maker:
    return lambda path, sound: _save(path, array, **options)


def _save(path: Path, array: np.ndarray, **options: object) -> None:
    with open(path, "wb") as stream:
        np.save(stream, array, **options)


def _lying(shape: str) -> Maker:
    def make(path: Path, sound: Path) -> None:
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
        padded = header.ljust(117) + "\n"
        content = b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded.encode()
        path.write_bytes(content + bytes(400))

    return make


ARRAYS: dict[str, Maker] = {
    "NPY of objects": _npy(np.array([{}, []], dtype=object), allow_pickle=True),
    "NPY of text": _npy(np.array([["a", "b"]])),
    "NPY of complex numbers": _npy(np.ones((60, 6), complex)),
    "NPY of NaN": _npy(np.full((60, 6), np.nan, np.float32)),
    "NPY of infinity": _npy(np.full((60, 6), np.inf, np.float32)),
    "NPY of zeros": _npy(np.zeros((60, 6), np.float32)),
    "NPY of one number": _npy(np.float32(1)),
    "NPY of one dimension": _npy(np.ones(20, np.float32)),
    "NPY of four dimensions": _npy(np.ones((2, 2, 2, 2), np.float32)),
    "NPY without rows": _npy(np.ones((0, 4), np.float32)),
    "NPY without columns": _npy(np.ones((20, 0), np.float32)),
    "NPY of structs": _npy(np.zeros(20, [("a", "f4"), ("b", "i8")])),
    "NPY of dates": _npy(np.zeros((60, 6), "M8[s]")),
    "NPY of huge numbers": _npy(np.full((60, 6), 1e300)),
    "NPY that lies": _lying("(1000000000, 1000000)"),
    "NPY of negative size": _lying("(-1, 4)"),
    "NPY of too many rows": _lying("(2000000000, 512)"),
    "NPY header that is code": _lying("__import__('os').getpid()"),
}

# Tables.


def _text(text: str, encoding: str = "utf-8") -> Maker:
    return lambda path, sound: path.write_bytes(text.encode(encoding)) and None


TABLES: dict[str, Maker] = {
    "header alone": _text("user_id,item_id,image,title,timestamp\n"),
    "no header": _text("1,2,3,4,5\n1,2,3,4,5\n"),
    "other columns": _text("a,b,c\n1,2,3\n"),
    "a column twice": _text("item_id,item_id,user_id,image\n1,2,3,4\n"),
    "rows of other lengths": _text("user_id,item_id,image\n1\n1,2,3,4,5,6\n1,2,3\n"),
    "latin-1": _text("user_id,item_id,image\nü,ä,ö\n" * 9, "latin-1"),
    "open quotation": _text('user_id,item_id,image\n1,"2,3\n1,2,3\n'),
    "zero bytes": _text("user_id,item_id,image\n1\0,2\0,3\n"),
    "a long field": _text("user_id,item_id,image\n1,2," + "x" * 1_000_000 + "\n"),
    "many columns": _text(",".join(map(str, range(30_000))) + "\n"),
    "times of other kinds": _text(
        "user_id,item_id,image,timestamp\n1,2,3,2020-01-01\n1,3,3,yesterday\n1,4,4,NaN\n"
    ),
    "huge numbers": _text(f"user_id,item_id,image,timestamp\n{10**40},{10**40},x,{10**40}\n"),
    "control characters": _text("user_id,item_id,image\n\x1b[31m,\x07\x1b]0;x\x07,a\n"),
    "bars": _text("user_id|item_id\n1|2\n"),
    "GZIP": lambda path, sound: path.write_bytes(b"\x1f\x8b\x08" + bytes(50)) and None,
}


def parquet(sound: Path) -> dict[str, Maker]:
    """Parquet files with one column missing, of another type or empty."""
    table = pl.read_parquet(sound)

    def write(changed: pl.DataFrame) -> Maker:
        return lambda path, sound: changed.write_parquet(path)

    makers = {
        "PARQUET without rows": write(table.clear()),
        "PARQUET of half": write(table.head(len(table) // 2)),
        "PARQUET twice": write(pl.concat([table, table])),
        "PARQUET upside down": write(table.reverse()),
    }
    for name in table.columns:
        makers[f"PARQUET without {name}"] = write(table.drop(name))
        nothing = pl.lit(None, pl.Int64).alias(name)
        makers[f"PARQUET {name} null"] = write(table.with_columns(nothing))
        makers[f"PARQUET {name} lists"] = write(table.with_columns(pl.col(name).implode().over(1)))
        makers[f"PARQUET {name} structs"] = write(table.with_columns(pl.struct(name).alias(name)))
        big = pl.lit(2**31 - 7, pl.Int64).alias(name)
        makers[f"PARQUET {name} huge"] = write(table.with_columns(big))
    return makers


# PyTorch's files.


def _torch(value: object, **options: object) -> Maker:
    return lambda path, sound: torch.save(value, path, **options)


def _repacked(change: Callable[[str, bytes], bytes], compression: int) -> Maker:
    def make(path: Path, sound: Path) -> None:
        with zipfile.ZipFile(sound) as old, zipfile.ZipFile(path, "w", compression) as new:
            for name in old.namelist():
                new.writestr(name, change(name, old.read(name)))

    return make


def payloads(sound: Path, most: int) -> dict[str, Maker]:
    """Checkpoints spoiled in one place, and others."""
    value = torch.load(sound, weights_only=True)
    every = list(spoiled(value))
    tensors = {
        "item_embeddings": (
            torch.full((60, 6), torch.nan),
            torch.zeros(1, 4).expand(200_000_000, 4),
            torch.zeros(20, 4, dtype=torch.int64),
            torch.zeros(20, 4, dtype=torch.complex64),
            torch.zeros(20),
            torch.zeros(0, 0),
            torch.zeros(60, 6).to_sparse(),
            torch.ones(60, 6) * torch.inf,
        )
    }
    for name, others in tensors.items():
        every += [(f"{name} tensor {n}", {**value, name: other}) for n, other in enumerate(others)]
    every += [(f"format {n!r}", {**value, "format": n}) for n in (0, -1, 2, 10**30, True, 1.0)]
    kept = every[:: max(1, len(every) // most)] + every[-14:]
    makers = {f"PT {name}": _torch(other) for name, other in kept}
    makers |= {
        "PT in the old format": _torch(value, _use_new_zipfile_serialization=False),
        "PT with code": lambda path, sound: torch.save({"program": Bomb(f"{path}.ran")}, path),
        "PT of another program": _torch({"state_dict": {"weight": torch.ones(3)}}),
        "PT of one tensor": _torch(torch.ones(3)),
        "ZIP of text": lambda path, sound: _zip(path, {"a.txt": b"text"}),
        "ZIP that inflates": _repacked(
            lambda name, data: data if len(data) < 200 else bytes(1 << 28), zipfile.ZIP_DEFLATED
        ),
        "ZIP with short tensors": _repacked(
            lambda name, data: data[:-1] if "/data/" in name else data, zipfile.ZIP_STORED
        ),
    }
    return makers


def _zip(path: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


WEIGHTS: dict[str, Maker] = {
    "PT of nothing": _torch({}),
    "PT of another model": _torch({"weight": torch.ones(3), "bias": torch.ones(1)}),
    "PT of numbers": _torch({"a": 1, "b": [1, 2]}),
    "PT of a list": _torch([torch.ones(3)]),
    "PT of views": _torch({"weight": torch.zeros(1).expand(2_000_000_000)}),
    "SAFETENSORS that lies": lambda path, sound: (
        path.write_bytes((2**60).to_bytes(8, "little") + b"{}") and None
    ),
    "SAFETENSORS of nothing": lambda path, sound: (
        path.write_bytes((2).to_bytes(8, "little") + b"{}") and None
    ),
}

# Pictures.


def _picture(image: Image.Image, kind: str, **options: object) -> Maker:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return lambda path, sound: path.write_bytes(stream.getvalue()) and None


def _declared(width: int, height: int) -> Maker:
    """A PNG whose header promises a size that its few bytes do not hold."""

    def make(path: Path, sound: Path) -> None:
        from zoo import huge_png

        huge_png(path, width, height)

    return make


PICTURES: dict[str, Maker] = {
    "PNG of 1 x 1": _picture(Image.new("RGB", (1, 1)), "PNG"),
    "PNG of 1 x 40000": _picture(Image.new("1", (1, 40_000)), "PNG"),
    "PNG of one colour": _picture(Image.new("RGB", (64, 64), "red"), "PNG"),
    "PNG without opacity": _picture(Image.new("RGBA", (64, 64), (0, 0, 0, 0)), "PNG"),
    "PNG of 16 bits": _picture(Image.new("I;16", (64, 64), 40_000), "PNG"),
    "PNG bomb": _declared(100_000, 100_000),
    "TIFF of floats": _picture(Image.new("F", (64, 64), float("nan")), "TIFF"),
    "JPEG of CMYK": _picture(Image.new("CMYK", (64, 64), (10, 200, 0, 0)), "JPEG"),
    "JPEG with a false profile": _picture(
        Image.new("RGB", (64, 64), "red"), "JPEG", icc_profile=b"no profile"
    ),
    "JPEG with false EXIF": _picture(
        Image.new("RGB", (64, 64), "red"), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff"
    ),
    "GIF that moves": _picture(
        Image.new("P", (64, 64)), "GIF", save_all=True, append_images=[Image.new("P", (64, 64), 3)]
    ),
    "EPS": lambda path, sound: (
        path.write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{} loop\n") and None
    ),
    "SVG": lambda path, sound: (
        path.write_text("<svg xmlns='http://www.w3.org/2000/svg'/>") and None
    ),
    "PDF": lambda path, sound: path.write_bytes(b"%PDF-1.4\n%%EOF") and None,
}

# Texts in the formats of experiments, annotations and lists of ids.

YAML: dict[str, Maker] = {
    "YAML of nothing": _text("---\n"),
    "YAML list": _text("[1, 2]"),
    "YAML tags": _text("datasets: !!python/object/apply:os.getpid []"),
    "YAML bomb": _text(
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 9)}]\n"
            for n in range(20)
        )
        + "datasets: *u\n"
    ),
    "YAML nested": _text("[" * 20_000),
    "YAML of itself": _text("datasets: &a [*a]\nmodels: *a\nadapters: *a"),
    "YAML with odd keys": _text("? [a, b]\n: 1\n? {a: 1}\n: 2\n"),
    "YAML key twice": _text("datasets: [p]\ndatasets: [q]\n"),
    "YAML of tabs": _text("a:\n\t- b\n"),
    "YAML of control characters": _text("a: \x07\n"),
}

_EXPERIMENT = "datasets: [DATASET]\nmodels: [bm3]\nadapters: [none]\n"
for _name, _line in {
    "lr 0": "train: {lr: 0}",
    "negative lr": "train: {lr: -1}",
    "lr of NaN": "train: {lr: .nan}",
    "lr of infinity": "train: {lr: .inf}",
    "no epochs": "train: {epochs: 0}",
    "no batch": "train: {batch_size: 0}",
    "huge batch": "train: {batch_size: 1000000000000000000000}",
    "unknown device": "train: {device: tpu}",
    "many seeds": "seeds: 1000000000",
    "seeds below 0": "seeds: [-1]",
    "seeds of text": "seeds: [a]",
    "huge seeds": f"seeds: [{10**30}]",
    "many threads": "train: {threads: 1000000}",
    "unknown option": "train: {nothing: 1}",
    "options of dates": "train: {lr: 2020-01-01}",
    "options that are a list": "train: [1]",
    "search of nothing": "search: {trials: 0}",
}.items():
    YAML[f"YAML {_name}"] = lambda path, sound, line=_line: (
        path.write_text(
            _EXPERIMENT.replace("DATASET", str(sound.with_name("dataset"))) + line + "\n"
        )
        and None
    )

XML: dict[str, Maker] = {
    "XML bomb": _text(
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "xxxxxxxxxx">'
        + "".join(f'<!ENTITY a{n} "{f"&a{n - 1 if n else str()};" * 10}">' for n in range(9))
        + "]><annotation>&a8;</annotation>"
    ),
    "XML that reads files": _text(
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
        "<annotation><filename>&a;</filename></annotation>"
    ),
    "XML nested": _text("<a>" * 100_000),
    "XML without size": _text("<annotation><object><name>x</name></object></annotation>"),
    "XML boxes of NaN": _text(
        "<annotation><size><width>50</width><height>46</height></size><object><name>square</name>"
        "<bndbox><xmin>NaN</xmin><ymin>-inf</ymin><xmax>1e400</xmax><ymax>9</ymax></bndbox>"
        "</object></annotation>"
    ),
}
