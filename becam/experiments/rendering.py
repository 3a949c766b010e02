"""A table of results, and its three forms: Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from becam.evaluation.markdown import escaped
from becam.terminal import one_line

Place = Literal[0, 1, 2]

_ABSENT = "-"
_CSV_COLUMNS = (
    "dataset",
    "features",
    "model",
    "adapter",
    "label",
    "metric",
    "mean",
    "std",
    "n",
    "improvement_percent",
    "test",
    "p",
    "p_holm",
)
_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    # A row that began with one of these would be read as an argument of the \\ before it.
    "[": "{[}",
    "]": "{]}",
    "*": "{*}",
    "±": r"$\pm$",
}


@dataclass(frozen=True)
class Cell:
    """One number of a row, as shown and as computed.

    Attributes:
        text: The number as shown, without decorations.
        spread: Its standard deviation as shown; empty: not shown.
        mean: Over the seeds, unrounded.
        std: Sample standard deviation over the seeds; None with fewer than two.
        n: Number of seeds; 0 where none were averaged.
        improvement: Per cent over the row without adapter.
        p: Of the test against the row without adapter.
        p_holm: The same, corrected over the whole table.
        place: 1 the best of its section and column, 2 the second best, 0 neither.
    """

    text: str = _ABSENT
    spread: str = ""
    mean: float | None = None
    std: float | None = None
    n: int = 0
    improvement: float | None = None
    p: float | None = None
    p_holm: float | None = None
    place: Place = 0

    @classmethod
    def of(cls, values: Sequence[float], show: Callable[[float], str]) -> Cell:
        """Mean and standard deviation of the values (n,), each as ``show`` writes it."""
        mean = statistics.fmean(values)
        if len(values) < 2:
            return cls(show(mean), mean=mean, n=len(values))
        std = statistics.stdev(values)
        return cls(show(mean), spread=show(std), mean=mean, std=std, n=len(values))

    @property
    def mark(self) -> str:
        """``**`` where corrected p < .01, ``*`` where p < .05."""
        if self.p_holm is None:
            return ""
        return "**" if self.p_holm < 0.01 else "*" if self.p_holm < 0.05 else ""


@dataclass(frozen=True)
class Line:
    """A line of a table: a title and a cell a column.

    Attributes:
        title: As shown.
        cells: One a column.
        model: Registered name, or the name of a floor; empty: the line restates others' numbers
            for readers, and is left out of CSV.
        adapter: Registered name.
        label: Of the variant.
    """

    title: str
    cells: Sequence[Cell]
    model: str = ""
    adapter: str = ""
    label: str = ""


@dataclass(frozen=True)
class Block:
    """Lines of one dataset and feature set."""

    title: str
    dataset: str
    features: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class Table:
    """What all three forms show.

    Attributes:
        number: The table of the paper that it answers.
        caption: One sentence.
        columns: Headings.
        metrics: What CSV calls the columns.
        blocks: In order.
        notes: Sentences under the table.
        test: ``users`` or ``seeds``; empty: no test.
    """

    number: int
    caption: str
    columns: Sequence[str]
    metrics: Sequence[str]
    blocks: Sequence[Block]
    notes: Sequence[str] = field(default=())
    test: str = ""


def to_markdown(table: Table) -> str:
    """GitHub's Markdown, columns aligned for reading as plain text too."""
    rows = [["Dataset", "Model", *table.columns]]
    for block in table.blocks:
        for place, line in enumerate(block.lines):
            head = [block.title if place == 0 else "", line.title]
            rows.append([*map(_markdown, head), *map(_markdown_cell, line.cells)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = ["-" * w if i < 2 else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    padded = [
        [
            c.ljust(w) if i < 2 else c.rjust(w)
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        for row in (rows[0], rule, *rows[1:])
    ]
    lines = [f"| {' | '.join(row)} |" for row in padded]
    notes = [f"- {_markdown(note)}" for note in table.notes]
    title = f"**Table {table.number}.** {_markdown(table.caption)}"
    return "\n".join([title, "", *lines, *(["", *notes] if notes else [])]) + "\n"


def to_latex(table: Table) -> str:
    """A floating table for a document that uses the package booktabs."""
    columns = ["Dataset", "Model", *table.columns]
    lines = [" & ".join(map(_latex, columns)) + r" \\"]
    for block in table.blocks:
        lines.append(r"\midrule")
        for place, line in enumerate(block.lines):
            head = [block.title if place == 0 else "", line.title]
            cells = [*map(_latex, head), *map(_latex_cell, line.cells)]
            lines.append(" & ".join(cells) + r" \\")
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table*}[t]",
            r"\centering",
            rf"\caption{{{_latex(table.caption)}}}",
            rf"\label{{tab:becam-{table.number}}}",
            rf"\begin{{tabular}}{{ll{'r' * len(table.columns)}}}",
            r"\toprule",
            *lines,
            r"\bottomrule",
            r"\end{tabular}",
            *(["", r"\smallskip\raggedright\footnotesize"] if table.notes else []),
            *(_latex(note) + r"\par" for note in table.notes),
            r"\end{table*}",
            "",
        ]
    )


def to_csv(table: Table) -> str:
    """One line a number, unrounded; what is not known is empty."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for block in table.blocks:
        for line in block.lines:
            if not line.model:
                continue
            for metric, cell in zip(table.metrics, line.cells, strict=True):
                head = (block.dataset, block.features, line.model, line.adapter, line.label)
                numbers = (cell.mean, cell.std, cell.n or None, cell.improvement)
                test = table.test if cell.p is not None else ""
                writer.writerow([*head, metric, *numbers, test, cell.p, cell.p_holm])
    return stream.getvalue()


FORMATS = {"markdown": to_markdown, "latex": to_latex, "csv": to_csv}


def _markdown(text: str) -> str:
    return escaped(text, brackets=True)


def _markdown_cell(cell: Cell) -> str:
    text = {0: "{}", 1: "**{}**", 2: "<u>{}</u>"}[cell.place].format(cell.text)
    spread = f" ± {cell.spread}" if cell.spread else ""
    return text + _markdown(cell.mark) + spread


def _latex(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in one_line(text))


def _latex_cell(cell: Cell) -> str:
    text = {0: "{}", 1: r"\textbf{{{}}}", 2: r"\underline{{{}}}"}[cell.place]
    number = cell.text if cell.text == _ABSENT else cell.text.replace("-", "$-$")
    text = text.format(number.replace("%", r"\%"))
    mark = f"$^{{{cell.mark}}}$" if cell.mark else ""
    spread = rf" $\pm$ {_latex(cell.spread)}" if cell.spread else ""
    return text + mark + spread
