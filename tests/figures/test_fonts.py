"""Letters that the usual font lacks, by fonts that are made here."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from PIL import Image

from becam.errors import BecamError, BecamWarning
from becam.figures import fonts
from becam.figures.contact_sheet import ContactSheet, SheetCell, SheetHead, SheetItem
from becam.figures.typesetting import FALLBACK_FONT, drawable, measuring
from becam.figures.writing import check_format, write_figure

WIDE, NARROW = 3000, 500


def make_font(path, letters, *, width=1000, empty=""):
    """A font whose letters are filled rectangles of a width."""
    glyphs = {".notdef": 500} | {f"g{ord(letter):x}": width for letter in letters}
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(list(glyphs))
    builder.setupCharacterMap({ord(letter): f"g{ord(letter):x}" for letter in letters})
    drawn = {}
    for name, wide in glyphs.items():
        pen = TTGlyphPen(None)
        if name != ".notdef" and chr(int(name[1:], 16)) not in empty:
            pen.moveTo((50, 0))
            for corner in ((50, 700), (wide - 50, 700), (wide - 50, 0)):
                pen.lineTo(corner)
            pen.closePath()
        drawn[name] = pen.glyph()
    builder.setupGlyf(drawn)
    builder.setupHorizontalMetrics({name: (wide, 50) for name, wide in glyphs.items()})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    builder.save(path)
    return str(path)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Sets which files of fonts there are."""

    def forget():
        fonts._fonts.cache_clear()
        fonts._font_of.cache_clear()
        fonts._untold.clear()

    def has(*paths):
        monkeypatch.setattr(fonts, "findSystemFonts", lambda: list(paths))
        forget()

    has()
    yield has
    forget()


def families_of(figure):
    return [text.get_fontfamily() for text in figure.findobj(Text) if text.get_text()]


def said(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [str(one.message) for one in caught]


def test_a_letter_has_the_first_font_that_draws_it(tmp_path, machine):
    one = make_font(tmp_path / "Aaa.ttf", "女")
    two = make_font(tmp_path / "Bbb.ttf", "女装")
    # A file may say that it has a letter and have nothing there.
    zero = make_font(tmp_path / "A.ttf", "女", empty="女")
    machine(two, one, zero)
    usual = [FALLBACK_FONT]
    assert fonts.with_fallbacks("x女", usual) == [FALLBACK_FONT, f"becam {one}"]
    assert fonts.with_fallbacks("装", usual) == [FALLBACK_FONT, f"becam {two}"]
    assert fonts.with_fallbacks("装女x", usual) == [FALLBACK_FONT, f"becam {one}", f"becam {two}"]
    assert fonts.with_fallbacks("only usual é ا", usual) == usual
    assert fonts.drawn("x女装款👗", usual) == "x女装□□"


def test_preferred_fonts_come_first_and_styles_and_placeholders_never(tmp_path, machine):
    preferred = make_font(tmp_path / "NotoSansCJK-Regular.ttf", "女")
    bold = make_font(tmp_path / "NotoSansCJK-Bold.ttf", "女装")
    other = make_font(tmp_path / "Aaa.ttf", "女")
    every = make_font(tmp_path / "LastResort.ttf", "女装款")
    broken = tmp_path / "Abc.ttf"
    broken.write_bytes(b"no font")
    machine(other, bold, preferred, every, str(broken))
    assert fonts._fonts() == (preferred, other, str(broken))
    assert fonts.with_fallbacks("女", ["x"]) == ["x", f"becam {preferred}"]
    assert fonts.drawn("装款", [FALLBACK_FONT]) == "□□"


def test_no_font_is_looked_at_without_need(tmp_path, monkeypatch):
    monkeypatch.setattr(fonts, "_fonts", lambda: pytest.fail("the machine's fonts were listed"))
    figure = Figure()
    for string in (
        "plain",
        "é ü ß — … θ Ж ا ש",
        "tab\there",
        "a\ufe0f\u200b",
        "bell\x07\x1b\nbelow",
    ):
        figure.text(0, 0, string)
        drawable(string)
    assert said(lambda: write_figure(figure, tmp_path / "a.png", dpi=50)) == []


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_figures_draw_the_letters(tmp_path, machine, suffix):
    """A filled rectangle in place of the letter, and no word of anything missing."""
    wide = make_font(tmp_path / "Wide.ttf", "女", width=WIDE)
    machine(wide)
    figure = Figure(figsize=(2, 1))
    figure.text(0.1, 0.4, "女", fontsize=20, weight="bold")
    path = tmp_path / f"a{suffix}"
    assert said(lambda: write_figure(figure, path, dpi=72)) == []
    assert families_of(figure) == [["sans-serif", f"becam {wide}"]]
    if suffix == ".png":
        dark = np.asarray(Image.open(path).convert("L")) < 128
        columns = np.nonzero(dark.any(axis=0))[0]
        assert columns.max() - columns.min() == pytest.approx(20 * (WIDE - 100) / 1000, abs=2)
        assert dark.sum() == pytest.approx(20 * 2.9 * 20 * 0.7, rel=0.1)


def test_missing_letters_are_told_once_by_name(tmp_path, machine):
    figure = Figure(figsize=(2, 1))
    figure.text(0.1, 0.4, "Red 女装 드 ド ल 👗")
    figure.text(0.1, 0.7, "女")
    (sentence,) = said(lambda: write_figure(figure, tmp_path / "a.png", dpi=50))
    for word in ("女", "装", "Chinese", "Korean", "Japanese", "Devanagari", "emoji", "Noto Sans"):
        assert word in sentence
    assert sentence.count("女") == 1
    assert sentence.endswith(".")
    assert said(fonts.tell_missing) == []
    many = Figure()
    many.text(0, 0, "".join(map(chr, range(0x4E00, 0x5600))))
    (sentence,) = said(lambda: write_figure(many, tmp_path / "a.png", dpi=50))
    assert "2,036 more" in sentence
    assert len(sentence) < 400


def test_widths_are_those_of_the_font_that_draws(tmp_path, machine):
    machine(make_font(tmp_path / "Wide.ttf", "女", width=WIDE))
    measure = measuring(FontProperties(family=[FALLBACK_FONT], size=10))
    assert measure("女") == pytest.approx(30, abs=0.5)
    assert measure("x女女") == pytest.approx(measure("x") + 60, abs=1)
    assert said(lambda: measure("装")) == []
    assert measure("装") == measure("□")
    assert drawable("x女\n装") == "x女 □"


def sheet(path, title):
    picture = Image.new("RGB", (20, 20))
    head = SheetHead("T", "r", ["c"])
    with ContactSheet(path, head, total=2) as written:
        for _ in range(2):
            written.add(SheetItem(title, "女", [SheetCell(picture), SheetCell(picture, title)]))
        written.finish()
    return sorted(path.parent.glob(f"{path.stem}*{path.suffix}"))


@pytest.mark.parametrize("suffix", [".png", ".pdf"])
def test_contact_sheets(tmp_path, machine, suffix):
    machine(make_font(tmp_path / "Aaa.ttf", "女"))
    assert said(lambda: sheet(tmp_path / f"good{suffix}", "Red 女")) == []
    with pytest.warns(BecamWarning, match="装") as caught:
        sheet(tmp_path / f"less{suffix}", "Red 装")
    assert len(caught) == 1
    drawn = [p.read_bytes() for p in sheet(tmp_path / f"again{suffix}", "Red 女")]
    good = [p.read_bytes() for p in sorted(tmp_path.glob(f"good*{suffix}"))]
    assert drawn == good


def test_the_same_whatever_was_drawn_before(tmp_path, machine):
    one = make_font(tmp_path / "Aaa.ttf", "女装", width=NARROW)
    two = make_font(tmp_path / "Bbb.ttf", "装款", width=WIDE)
    found = []
    for before in ("", "款"):
        machine(two, one)
        measuring(FontProperties(size=9))(before)
        figure = Figure(figsize=(2, 1))
        figure.text(0.1, 0.4, "女装款")
        write_figure(figure, tmp_path / "a.png", dpi=72)
        found.append((tmp_path / "a.png").read_bytes())
    assert found[0] == found[1]


def test_the_fonts_of_this_machine_are_listed_in_one_order():
    fonts._fonts.cache_clear()
    first = fonts._fonts()
    fonts._fonts.cache_clear()
    assert fonts._fonts() == first
    assert all(Path(path).suffix.lower() in (".ttf", ".otf", ".ttc", ".otc") for path in first)


def test_what_needs_tex_is_refused(tmp_path):
    with pytest.raises(BecamError, match=r"\.png, \.pdf or \.svg"):
        check_format(tmp_path / "a.pgf")


def test_large_fonts_in_an_eps_take_no_minutes(tmp_path, machine):
    path = make_font(tmp_path / "Aaa.ttf", "".join(map(chr, range(0x4E00, 0x9000))))
    machine(path)
    figure = Figure(figsize=(2, 1))
    figure.text(0.1, 0.4, "女装")
    write_figure(figure, tmp_path / "a.eps", dpi=50)
    assert b"/FontType 3" in (tmp_path / "a.eps").read_bytes()
