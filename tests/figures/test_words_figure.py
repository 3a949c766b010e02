"""Coloured words: each in its place, whole, and in a colour that means its weight."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle
from PIL import Image

from becam.attribution.words import WordWeights
from becam.attribution.words.controls import WordControls
from becam.attribution.words.written import WrittenText
from becam.errors import BecamError
from becam.figures.typesetting import wrap
from becam.figures.words import save_words, word_colours, words_figure
from becam.figures.writing import check_format

CONTROLS = WordControls(4, 3, 0.1, 0.2, 0.3, 0.4, 0.95, 0.5, 0.6, 0.1, 100.0, 100.0, 80.0)


def explained(text="Red dress. $5 of\nsoft cotton", weights=(0.2, -0.1, 0.0, 0.05, -0.2, np.nan)):
    return WordWeights(
        WrittenText.of(text), np.array(weights, np.float32), CONTROLS, "BM3", "item 1", {}
    )


WORDS = st.lists(st.text("abc", min_size=1, max_size=30), min_size=1, max_size=12)
GAPS = st.sampled_from([" ", "  ", "\n", " \n "])


@given(WORDS, st.data(), st.integers(1, 20))
def test_wrapping_keeps_the_text_within_its_width(words, data, width):
    gaps = ["", *(data.draw(GAPS) for _ in words[1:]), ""]
    text = WrittenText(tuple(words), tuple(gaps))
    placed = wrap(text, width, len)
    for number, word in enumerate(words):
        assert "".join(p.string for p in placed if p.word == number) == word
    for p in placed:
        assert p.width == len(p.string)
        assert p.left >= 0
        assert p.left + p.width <= width
    for before, after in pairwise(placed):
        assert before.word <= after.word
        if before.line == after.line:
            gap = "" if before.word == after.word else gaps[after.word]
            assert after.left == before.left + before.width + len(gap)
        else:
            assert after.line > before.line
            assert after.left == 0
    breaks = sum(gap.count("\n") for gap in gaps)
    assert placed[-1].line >= breaks
    if sum(map(len, words)) + sum(map(len, gaps)) <= width:
        assert placed[-1].line == breaks


def test_colours_mean_weights():
    found = word_colours(explained())
    assert found[5] is None  # never read
    red, blue, white, pale, deep, _ = (to_rgb(one[0]) if one else None for one in found)
    assert red[0] > red[2] + 0.2
    assert blue[2] > blue[0] + 0.2
    assert min(white) > 0.95
    assert pale[0] >= pale[2]
    assert sum(red) < sum(pale) < sum(white)  # the stronger, the darker
    assert sum(deep) < sum(blue) < sum(white)
    for one in filter(None, found):  # WCAG's contrast of letters on their ground
        dark, light = sorted(luminance(to_rgb(c)) for c in one)
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def luminance(rgb):
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


@pytest.mark.parametrize("weight", np.linspace(-1, 1, 41))
def test_every_weight_can_be_read(weight):
    (found, _) = word_colours(explained("a b", (weight, 1.0)))
    dark, light = sorted(luminance(to_rgb(c)) for c in found)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_weights_that_are_all_zero_are_white():
    assert {min(to_rgb(c[0])) > 0.95 for c in word_colours(explained("a b", (0.0, 0.0)))} == {True}


def test_the_sheet_has_a_column_each_with_words_in_their_boxes_and_says_the_warnings():
    figure = words_figure([explained(), explained()], title="item $1$")
    figure.draw_without_rendering()
    areas = [axes for axes in figure.axes if any(isinstance(p, Rectangle) for p in axes.patches)]
    assert len(areas) == 2
    for area in areas:
        boxes = [p for p in area.patches if isinstance(p, Rectangle)]
        letters = [text for text in area.texts if text.get_color() != "#999999"]
        assert [text.get_text() for text in letters] == ["Red", "dress.", "$5", "of", "soft"]
        for box, text in zip(boxes, letters, strict=True):
            outer, inner = box.get_window_extent(), text.get_window_extent()
            assert outer.x0 - 1 <= inner.x0
            assert inner.x1 <= outer.x1 + 1
            assert inner.y0 >= outer.y0 - 1
            assert inner.y1 <= outer.y1 + 1
        for left, right in pairwise(boxes):
            if left.get_y() == right.get_y():
                assert left.get_x() + left.get_width() <= right.get_x() + 1e-6
    notes = "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)
    assert notes.count("! Says little about this target") == 2
    assert notes.count("information drift") == 2


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_it_is_written_in_every_format(tmp_path, suffix):
    path = tmp_path / f"words{suffix}"
    long = " ".join(["word"] * 600)
    save_words(path, [explained(), explained(long, [0.1, -0.1] * 300)], title="x")
    start = path.read_bytes()[:200]
    if suffix == ".png":
        with Image.open(path) as sheet:
            sheet.load()
            assert sheet.width > sheet.height / 2
    else:
        assert (b"%PDF" if suffix == ".pdf" else b"<svg" if b"<svg" in start else b"<?xml") in start


def test_other_formats_are_refused():
    with pytest.raises(BecamError, match="does not end in a format"):
        check_format("words.docx")
