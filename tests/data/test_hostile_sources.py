"""Every file of every source, damaged in every way: a dataset or one sentence, never more."""

from __future__ import annotations

import gzip
import os
import random
import shutil

import numpy as np
import pytest
from rawdata import hm_article, random_purchases, write_hm, write_picture
from test_source_microlens import write_microlens
from test_source_mmrec import write_mmrec
from test_source_tmall import LINES, write_tmall

from becam.data.preparation import prepare_dataset
from becam.errors import BecamError


def write_shop(folder):
    for n in range(1, 9):
        write_picture(folder / "pics" / f"{n}.jpg", n)
    rows = [f"u{u},{i},{u * i}" for u in range(4) for i in range(1, 9)]
    header = "user_id,item_id,timestamp"
    (folder / "interactions.csv").write_text("\n".join([header, *rows, ""]))
    rows = [f'{i},"thing ""{i}"", x",pics/{i}.jpg' for i in range(1, 9)]
    (folder / "items.csv").write_text("\n".join(["item_id,title,image", *rows, ""]))


SOURCES = {
    "csv": (write_shop, {"k_core": 1}),
    "hm": (
        lambda folder: write_hm(folder, random_purchases(0), [hm_article(n) for n in range(25)]),
        {"k_core": 2},
    ),
    "mmrec": (write_mmrec, {}),
    "microlens": (write_microlens, {"k_core": 1}),
    "tmall": (lambda folder: write_tmall(folder, {"a": LINES}), {"k_core": 1}),
}


def array(shape, descr="<f4"):
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117)
    return np.lib.format.magic(1, 0) + b"\x76\x00" + header.encode() + b"\n"


def replaced(path):
    """Room for what is no file."""
    path.unlink()
    return path


def zipped(path):
    with open(path, "wb") as stream:
        np.savez(stream, a=np.zeros(3))


def rewrite(change):
    return lambda path: path.write_bytes(change(path.read_bytes()))


def scattered(seed):
    def change(content):
        rng = random.Random(seed)
        content = bytearray(content)
        for _ in range(rng.choice([1, 5, 40])):
            wrong = rng.choice([0, 9, 10, 13, 34, 44, 255, rng.randrange(256)])
            content[rng.randrange(len(content))] = wrong
        return bytes(content)

    return rewrite(change)


HUGE = [(b"\n0\t", b"\n999999999999\t"), (b"\nu0,", b"\n99999999999999999999999,")]

DAMAGE = {
    "empty": rewrite(lambda content: b""),
    "zeros": rewrite(lambda content: b"\0" * 3000),
    "blank": rewrite(lambda content: b"\n\n\n"),
    "header": rewrite(lambda content: content.split(b"\n")[0] + b"\n"),
    "gzip": rewrite(gzip.compress),
    "utf16": rewrite(lambda content: content.decode("latin-1").encode("utf-16")),
    "cut": rewrite(lambda content: content[: len(content) * 2 // 3]),
    "mac": rewrite(lambda content: content.replace(b"\n", b"\r")),
    "windows": rewrite(lambda content: content.replace(b"\n", b"\r\n")),
    "parquet": rewrite(lambda content: b"PAR1" + bytes(range(200)) + b"PAR1"),
    "huge": rewrite(lambda content: content.replace(*HUGE[0]).replace(*HUGE[1])),
    "negative": rewrite(lambda content: content.replace(b"\n0\t", b"\n-5\t")),
    "words": rewrite(lambda content: content.replace(b"0", b"zero")),
    "marks": rewrite(lambda content: content.replace(b"1", b'"1')),
    "ragged": rewrite(lambda content: content + b"a,b,c,d,e,f,g,h,i,j\n"),
    "fractions": rewrite(lambda content: content.replace(b"\n", b".0\n")),
    "no columns": rewrite(lambda content: array("(1000000000, 0)")),
    "too large": rewrite(lambda content: array("(10000000000, 64)")),
    "nested": rewrite(lambda content: np.lib.format.magic(1, 0) + b"\xff\x7f" + b"(" * 0x7FFF),
    "structured": rewrite(lambda content: array("(2, 2)", "|O")),
    "npz": zipped,
    "pipe": lambda path: os.mkfifo(replaced(path)),
    "folder": lambda path: replaced(path).mkdir(),
    "loop": lambda path: replaced(path).symlink_to(path.name),
    "device": lambda path: replaced(path).symlink_to("/dev/zero"),
    "gone": replaced,
    **{f"scattered {seed}": scattered(seed) for seed in range(12)},
}


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
def test_damage_of_any_kind_to_any_file(tmp_path, source):
    write, options = SOURCES[source]
    write(tmp_path / "raw")
    files = [p for p in (tmp_path / "raw").rglob("*") if p.suffix != ".jpg" and p.is_file()]
    tried, sentences = 0, []
    for path in files:
        for damage in DAMAGE.values():
            for split in (None, "time"):
                work = tmp_path / "work"
                shutil.rmtree(work, ignore_errors=True)
                shutil.copytree(tmp_path / "raw", work)
                damage(work / path.relative_to(tmp_path / "raw"))
                images = {"images": work / "pictures"} if source == "tmall" else {}
                tried += 1
                try:
                    prepare_dataset(
                        source,
                        work,
                        tmp_path / "out",
                        overwrite=True,
                        split=split,
                        **options,
                        **images,
                    )
                except BecamError as error:
                    sentences.append(str(error))
    assert tried == len(files) * len(DAMAGE) * 2 > len(sentences) > 0
    assert not [sentence for sentence in sentences if "\n" in sentence or len(sentence) > 1000]
    assert len(files) >= 2
