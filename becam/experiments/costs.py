"""Table 4 of the paper, filled from a store: parameters and training time."""

from __future__ import annotations

from datetime import timedelta

from becam.errors import BecamError
from becam.experiments.rendering import Block, Cell, Line, Table
from becam.experiments.rows import (
    PLAIN,
    Row,
    Section,
    combinations,
    missing_notes,
    row_title,
    sections_of,
    seeds_note,
)
from becam.experiments.store import Store

_COLUMNS = {
    "parameters": "Parameters",
    "epoch_seconds": "Seconds per epoch",
    "seconds": "Total time",
    "epochs": "Epochs",
}


def costs_table(store: Store) -> Table:
    """Table 4: parameters and training time of every model, and what each adapter adds.

    Raises:
        BecamError: The store has no runs.
    """
    runs = store.runs()
    if not runs:
        raise BecamError(
            f"{store.path} has no runs yet, so Table 4 is empty; any becam experiment fills it."
        )
    sections, expected = sections_of(runs), combinations(runs)
    notes = [
        seeds_note(sections),
        "Parameters count what is trained: content features too, where they are trainable.",
        "Seconds per epoch include validation; times compare between runs on one machine only.",
        *missing_notes(sections, expected),
    ]
    alone = [
        f"{row.title} on {section.title}"
        for section in sections
        for row in section.rows
        if row.adapter != PLAIN and section.plain_of(row) is None
    ]
    if alone:
        notes.append(f"All parameters, for want of a row without adapter: {'; '.join(alone)}.")
    return Table(
        number=4,
        caption="Trained parameters and training time",
        columns=tuple(_COLUMNS.values()),
        metrics=tuple(_COLUMNS),
        blocks=[
            Block(
                section.title,
                section.dataset,
                section.features,
                [line for pair in expected for line in _lines(section, *pair)],
            )
            for section in sections
        ],
        notes=notes,
    )


def _lines(section: Section, model: str, adapter: str) -> list[Line]:
    return [
        Line(row.title, _cells(section, row), model, adapter, row.label)
        for row in section.of(model, adapter)
    ] or [Line(row_title(model, adapter), [Cell()] * len(_COLUMNS), model, adapter)]


def _cells(section: Section, row: Row) -> list[Cell]:
    runs = list(row.runs.values())
    plain = section.plain_of(row)
    total = runs[0].parameters
    if row.adapter == PLAIN or plain is None:
        text = parameters_text(total)
    else:
        added = total - next(iter(plain.runs.values())).parameters
        text = f"{'-' if added < 0 else '+'}{parameters_text(abs(added))}"
    return [
        Cell(text, mean=total, n=len(runs)),
        Cell.of([run.epoch_seconds for run in runs], "{:.2f}".format),
        Cell.of([run.seconds for run in runs], _clock),
        Cell.of([run.epochs for run in runs], "{:.0f}".format),
    ]


def parameters_text(count: int) -> str:
    """A number of parameters as the paper writes it: 9.45M, 0.20M, 4.10K, 0.13K, 0."""
    if count == 0:
        return "0"
    return f"{count / 1e6:.2f}M" if count >= 100_000 else f"{count / 1e3:.2f}K"


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
