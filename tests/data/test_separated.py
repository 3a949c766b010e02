"""Whatever table Python's csv module writes, in any of its dialects, comes back cell by cell."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from becam.data import separated
from becam.data.separated import find_layout
from becam.data.tables import scan_table

# A cell that holds both a line break and separators could be several rows of a file that quotes
# nothing; of a file that does not quote its names, nobody can tell.
LETTERS = st.characters(exclude_categories=("Cs",), exclude_characters='\r\n\0",;|\t')
PLAIN = st.text(LETTERS, max_size=8)
WITH_MARKS = st.text(st.sampled_from('a "5,;|\t'), max_size=8)
WITH_BREAKS = st.text(st.sampled_from('a "\né'), max_size=8)
CELLS = st.one_of(PLAIN, WITH_MARKS, WITH_BREAKS)


@st.composite
def tables(draw, cells=CELLS):
    width = draw(st.integers(2, 4))
    rows = draw(st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=6))
    return [[f"name{n}" for n in range(width)], *rows]


def read(content: bytes) -> list[list[str]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_bytes(content)
        table = scan_table(path).collect()
    return [table.columns, *([cell or "" for cell in row] for row in table.rows())]


@settings(max_examples=200, deadline=None)
@given(
    table=tables(),
    delimiter=st.sampled_from(",;|\t"),
    quoting=st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    end=st.sampled_from(["\n", "\r\n"]),
    mark=st.sampled_from(["", "\ufeff"]),
    block=st.sampled_from([1 << 4, 1 << 22]),
)
def test_what_is_written_is_read(table, delimiter, quoting, end, mark, block):
    stream = io.StringIO(newline="")
    csv.writer(stream, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(separated, "_BLOCK", block)
        assert read((mark + stream.getvalue()).encode()) == table


@settings(max_examples=200, deadline=None)
@given(table=tables(st.one_of(PLAIN, st.text(st.sampled_from('a "5'), max_size=6))))
def test_without_quoting_each_line_stays_a_row(table):
    """Marks at both ends of a cell are quotes where all others of the file can be, too."""
    lines = ["\t".join(row) for row in table]
    found = read(("\n".join(lines) + "\n").encode())
    assert len(found) == len(table)
    for row, expected in zip(found, table, strict=True):
        for cell, text in zip(row, expected, strict=True):
            assert cell in (text, text[1:-1].replace('""', '"'))


@pytest.mark.parametrize("size", [100, 200_000])
def test_marks_over_block_borders(tmp_path, size):
    rows = [["a", "b"], *([f'x "{n}", y\n{"z" * (n % 97)}', str(n)] for n in range(size))]
    path = tmp_path / "table.csv"
    with open(path, "w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    assert find_layout(path).quoted
    table = scan_table(path).collect()
    assert table["a"].to_list() == [row[0] for row in rows[1:]]
    assert table["b"].to_list() == [row[1] for row in rows[1:]]
