from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rawdata import write_picture, write_truncated_picture

from becam.data import pictures
from becam.errors import BecamError
from becam.images import check_image, read_image

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases"


def reads(path) -> bool:
    try:
        read_image(path)
    except BecamError:
        return False
    return True


def test_exist_agrees_with_the_file_system(tmp_path):
    write_picture(tmp_path / "010" / "a.jpg")
    write_picture(tmp_path / "b.png")
    write_picture(tmp_path / "elsewhere" / "c.jpg")
    absolute = str(tmp_path / "elsewhere" / "c.jpg")
    names = ["010/a.jpg", "010/z.jpg", "b.png", "B.png", None, "no/such/folder.jpg", absolute]
    expected = [name is not None and (tmp_path / name).exists() for name in names]
    assert expected == [True, False, True, False, False, False, True]
    assert pictures.exist(tmp_path, names).tolist() == expected


def test_exist_lists_a_folder_once(tmp_path, monkeypatch):
    for number in range(30):
        write_picture(tmp_path / "a" / f"{number}.png")
    listed = []
    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: listed.append(folder) or real(folder))
    assert pictures.exist(tmp_path, [f"a/{n}.png" for n in range(30)]).all()
    assert len(listed) == 1


def test_by_stem_finds_pictures_anywhere(tmp_path):
    write_picture(tmp_path / "x" / "y" / "0042.JPG")
    write_picture(tmp_path / "7.png")
    (tmp_path / "notes.txt").write_text("no picture")
    assert pictures.by_stem(tmp_path) == {"0042": os.path.join("x", "y", "0042.JPG"), "7": "7.png"}


def test_by_stem_takes_all_suffixes_and_nothing_hidden(tmp_path):
    kinds = ("jpg", "JPEG", "jfif", "jpe", "png", "webp", "avif", "tif", "bmp", "gif", "jp2")
    for kind in kinds:
        write_picture(tmp_path / f"{kind}.{kind}")
    for litter in ("._1.jpg", ".DS_Store", "__MACOSX/1.jpg", ".thumbnails/2.jpg", "3.eps", "4.ico"):
        (tmp_path / litter).parent.mkdir(exist_ok=True)
        (tmp_path / litter).write_bytes(b"x")
    assert pictures.by_stem(tmp_path) == {kind: f"{kind}.{kind}" for kind in kinds}
    assert pictures.readable(list(pictures.below(tmp_path))).all()


@pytest.mark.skipif(not CASES.is_dir(), reason="no cases beside the repository")
def test_the_case_of_an_image_folder():
    root = CASES / "08-image-folder" / "pictures"
    found = pictures.by_stem(root)
    assert sorted(found) == ["1", "2", "3", "4", "5", "6"]
    assert pictures.readable([root / name for name in found.values()]).all()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "progressive"])
def test_a_cut_jpeg_is_readable_exactly_when_read_image_reads_it(tmp_path, mode):
    pixels = np.random.default_rng(0).integers(0, 256, (61, 47, 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    stream = io.BytesIO()
    if mode == "progressive":
        image.save(stream, "JPEG", progressive=True)
    else:
        image.convert(mode).save(stream, "JPEG")
    whole = stream.getvalue()
    path = tmp_path / "cut.jpg"
    outcomes = set()
    for length in [*range(0, len(whole), 97), *range(len(whole) - 6, len(whole) + 1)]:
        path.write_bytes(whole[:length])
        assert pictures.is_readable(path) == reads(path), length
        outcomes.add(reads(path))
    assert outcomes == {True, False}


def test_other_formats_and_other_files(tmp_path):
    write_picture(tmp_path / "good.png")
    write_picture(tmp_path / "good.webp")
    write_truncated_picture(tmp_path / "cut.jpg")
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    names = ["good.png", "good.webp", "cut.jpg", "text.jpg", "empty.jpg", "folder.jpg", "none.jpg"]
    found = pictures.readable([tmp_path / name for name in names])
    assert found.tolist() == [True, True, False, False, False, False, False]


def test_a_jpeg_of_too_many_pixels_is_unreadable(tmp_path):
    write_picture(tmp_path / "a.jpg")
    check_image(tmp_path / "a.jpg", max_pixels=16 * 24)
    with pytest.raises(BecamError, match="more than the limit"):
        check_image(tmp_path / "a.jpg", max_pixels=16 * 24 - 1)
