"""Contact sheets: everything on its page, in its place, and in letters that papers take."""

from __future__ import annotations

import re
import warnings
import weakref
import zlib

import numpy as np
import pytest
from PIL import Image
from shown import HOSTILE

from becam.attribution.controls import Controls
from becam.encoders.preprocessing import Geometry
from becam.errors import BecamError, BecamWarning
from becam.figures import contact_sheet
from becam.figures.contact_sheet import ContactSheet, SheetCell, SheetHead, SheetItem
from becam.gallery.model import Card, Column, Heading, Panel
from becam.gallery.sheets import SheetWriter
from becam.gallery.titles import title_of

CONTROLS = Controls(0.1, 0.2, 0, 0.1, 0.2, 0.3, None, 0.5, 80.0)


def head(columns=2, notes=2):
    return SheetHead(
        title="A shop: what behaviour says of its pictures",
        rule="3 of 9 items: the largest angles to behaviour before the adapter (BM3).",
        columns=[f"BM3 + BeFA number {k} (folder-{k}/befa.pt)" for k in range(columns)],
        notes=["A sentence that is long enough to be wrapped. " * 4] * notes,
        legend="What the marks mean. " * 10,
        scale=("agrees less", "agrees most"),
    )


def item(title="Red dress", note="0042 · dresses · 3 interactions", columns=2, size=(40, 60)):
    picture = Image.new("RGB", size, (200, 30, 40))
    cells = [SheetCell(picture)]
    cells += [SheetCell(picture, "θ 94° (92°) omission", marked=k == 0) for k in range(columns)]
    return SheetItem(title, note, cells)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are drawn, as they are."""
    figures, real = [], contact_sheet._Layout.draw

    def draw(self, *args, **kwargs):
        figures.append(real(self, *args, **kwargs))
        return figures[-1]

    monkeypatch.setattr(contact_sheet._Layout, "draw", draw)
    return figures


def write(path, items, columns=2, notes=2):
    with ContactSheet(path, head(columns, notes), total=len(items)) as sheet:
        for one in items:
            sheet.add(one)
        return sheet.finish()


def texts(figure):
    """Each string with its extent in inches from the upper left corner."""
    found = []
    for text in figure.texts:
        box = text.get_window_extent()
        x0, x1 = box.x0 / figure.dpi, box.x1 / figure.dpi
        y0, y1 = 11.69 - box.y1 / figure.dpi, 11.69 - box.y0 / figure.dpi
        found.append((text.get_text(), x0, y0, x1, y1))
    return found


@pytest.mark.parametrize("columns", [1, 2, 4, 9])
@pytest.mark.parametrize("size", [(40, 60), (10, 400), (400, 10)])
def test_nothing_leaves_the_page_and_nothing_overlaps(tmp_path, drawn, columns, size):
    names = [("A long title of an item " * 5, "note " * 40), ("短", "x"), ("W" * 80, "M" * 80)]
    items = [item(*names[k % 3], columns=columns, size=size) for k in range(9)]
    write(tmp_path / "s.pdf", items, columns=columns)
    assert drawn
    for figure in drawn:
        found = texts(figure)
        pictures = []
        for axes in figure.axes:
            left, bottom, wide, high = axes.get_position().bounds
            box = (left * 8.27, 11.69 * (1 - bottom - high), (left + wide) * 8.27)
            pictures.append(("picture", *box, 11.69 * (1 - bottom)))
        for string, x0, y0, x1, y1 in [*found, *pictures]:
            assert x0 >= 0.45, string
            assert x1 <= 8.27 - 0.45, string
            assert y0 >= 0.4, string
            assert y1 <= 11.69 - 0.2, string
        for kind in (found, pictures):
            for number, (one, ax0, ay0, ax1, ay1) in enumerate(kind):
                for two, bx0, by0, bx1, by1 in kind[number + 1 :]:
                    apart = ax1 <= bx0 + 0.02 or bx1 <= ax0 + 0.02
                    apart = apart or ay1 <= by0 + 0.02 or by1 <= ay0 + 0.02
                    assert apart, (one, two)


@pytest.mark.parametrize("count", [1, 8, 9, 26])
def test_pages_are_counted_and_numbered(tmp_path, drawn, count, monkeypatch):
    monkeypatch.setattr(contact_sheet, "_DPI", 40)
    titles = [f"Item number {k}" for k in range(count)]
    items = [item(title) for title in titles]
    (pdf,) = write(tmp_path / "s.pdf", items)
    pages = len(drawn)
    assert len(re.findall(rb"/Type /Page\b", pdf.read_bytes())) == pages
    shown = [[string for string, *_ in texts(figure)] for figure in drawn]
    assert [title for page in shown for title in page if title in titles] == titles
    for number, page in enumerate(shown, start=1):
        assert f"{number} / {pages}" in page
        assert "3 of 9 items: the largest angles to behaviour before the adapter (BM3)." in page
    drawn.clear()
    written = write(tmp_path / "s.png", items)
    assert len(written) == len(drawn) == pages
    names = ["s.png"] if pages == 1 else [f"s-{number}.png" for number in range(1, pages + 1)]
    assert [path.name for path in written] == names
    for path in written:
        with Image.open(path) as page:
            assert page.size == pytest.approx((8.27 * 40, 11.69 * 40), abs=1)
    assert {path.name for path in tmp_path.iterdir()} == {"s.pdf", *names}


def test_pages_are_written_as_they_fill(tmp_path, monkeypatch):
    """However many items there are, the pictures of a few pages are alive."""
    monkeypatch.setattr(contact_sheet, "_DPI", 40)
    alive, most = weakref.WeakSet(), 0

    class Picture:
        """Pillow's images take no weak references."""

        def __init__(self):
            self.image = Image.new("RGB", (30, 40))
            self.size = self.image.size
            self.width, self.height = self.size

        def convert(self, mode):
            return self.image.convert(mode)

    with ContactSheet(tmp_path / "s.png", head(1, 0), total=60) as sheet:
        for _ in range(60):
            picture = Picture()
            alive.add(picture)
            sheet.add(SheetItem("x", "y", [SheetCell(picture), SheetCell(picture)]))
            del picture
            most = max(most, len(alive))
        written = sheet.finish()
    assert len(written) > 2
    assert most <= 60 / (len(written) - 1) + 12


def test_letters_are_of_a_kind_that_papers_take(tmp_path):
    (pdf,) = write(tmp_path / "s.pdf", [item()] * 3)
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF")
    assert b"/Type3" not in content
    assert b"/CIDFontType2" in content or b"/TrueType" in content
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, re.S)
    page = b"".join(
        zlib.decompress(stream) for stream in streams if stream.startswith((b"x\x9c", b"x\xda"))
    )
    assert page.count(b" Tf") > 10  # text, not its picture
    assert write(tmp_path / "t.pdf", [item()] * 3)[0].read_bytes() == content


def test_hostile_titles_are_drawn_without_a_word(tmp_path, drawn):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", BecamWarning)  # letters that this machine lacks
        for suffix in ("pdf", "png"):
            write(tmp_path / f"s.{suffix}", [item(*both) for both in HOSTILE.items()])
    found = [string for figure in drawn[: len(drawn) // 2] for string, *_ in texts(figure)]
    assert "<b>bold</b>" in found
    assert "$x_1$ and \\frac{a}{b} {braces} %percent% #hash" in found  # as it is written
    assert "bell and escape[31m here" in " ".join(found)


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "s.pdf"
    path.write_bytes(b"before")
    with pytest.raises(RuntimeError), ContactSheet(path, head(), total=1) as sheet:
        sheet.add(item())
        raise RuntimeError
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["s.svg", "s.docx", "s"])
def test_other_formats_are_refused(name):
    with pytest.raises(BecamError, match=r"end its name in \.pdf or \.png"):
        ContactSheet(name, head(), total=1)


# --- cards --------------------------------------------------------------------------------------


def card(raw, *, theta=95.0, control=80.0, warned=(), size=(120, 180), box=(0, 30, 120, 150)):
    panel = Panel(
        raw=np.asarray(raw, np.float32),
        theta=theta,
        theta_control=control,
        warnings=tuple(warned),
        notes=(),
        controls=CONTROLS.to_dict(),
    )
    return Card(
        id="id-1",
        title=title_of("A red dress. More.", "id-1"),
        text="",
        category="dresses",
        popularity=1,
        geometry=Geometry(*size, box),
        panels=(panel,),
    )


def heading(**changes):
    column = Column("BM3", "becam", "none", "adapted")
    fields = {
        "title": "shop",
        "rule": "drawn at random with seed 0",
        "total": 1234,
        "columns": (column,),
        "omission": 60.0,
        "notes": ("BeFA's angle says nothing.",),
        "facts": {"Seed": "0"},
    }
    return Heading(**{**fields, **changes})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"theta": 95.2, "control": 80.4}, "θ 95° (80°) drift"),
        ({"theta": 61.0, "control": None}, "θ 61° omission"),
        ({"theta": 60.0, "control": 59.5}, "θ 60° (60°)"),
        ({"theta": None, "control": None}, "no angle"),
    ],
)
@pytest.mark.parametrize("warned", [(), ("It says little.",)])
def test_captions_say_the_angle_and_mark_what_is_warned_of(
    tmp_path, drawn, options, expected, warned
):
    with SheetWriter(tmp_path / "s.png", heading(), total=1) as sheet:
        sheet.add(card([[0, 1], [1, 0]], warned=warned, **options), Image.new("RGB", (120, 180)))
        sheet.finish()
    found = [string for string, *_ in texts(drawn[0])]
    assert expected in found
    assert ("!" in found) == bool(warned)
    assert "A red dress" in found
    assert "id-1 · dresses · 1 interaction" in found
    assert "1 of 1,234 items: drawn at random with seed 0." in found
    assert "BeFA's angle says nothing." in found
    assert sheet.written == [tmp_path / "s.png"]


@pytest.mark.parametrize("side", [200, 1600])
def test_the_map_lies_where_it_belongs(tmp_path, side, monkeypatch):
    """Hot in the lower right cell of a crop in the middle: there the picture turns yellow."""
    cells = []
    monkeypatch.setattr(ContactSheet, "add", lambda self, one: cells.extend(one.cells))
    raw = np.full((4, 4), -1.0)
    raw[3, 3] = 1.0
    size, box = (side, 2 * side), (0, side // 2, side, side // 2 + side)
    sheet = SheetWriter(tmp_path / "s.png", heading(), total=1)
    sheet.add(card(raw, size=size, box=box), Image.new("RGB", size, (90, 90, 90)))
    plain, mapped = (np.asarray(cell.picture, float) for cell in cells)
    assert plain.shape == mapped.shape
    assert max(plain.shape) <= 480
    heat = mapped[..., 0] - mapped[..., 2]  # of grey nothing is left
    rows, columns = np.nonzero(heat > 0.5 * heat.max())
    high, wide = heat.shape
    # The crop is rows 1/4 to 3/4; its last quarter is 5/8 to 6/8 of the picture.
    assert rows.mean() / high == pytest.approx(11 / 16, abs=0.03)
    assert columns.mean() / wide == pytest.approx(7 / 8, abs=0.05)
    assert np.ptp(mapped[: high // 5], axis=-1).max() == 0  # hatched, in greys
