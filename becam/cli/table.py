"""``becam table``: the paper's tables, filled from a store of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from becam.terminal import say


def table(
    number: Annotated[
        int, typer.Argument(metavar="2|3|4", min=2, max=4, help="Which of the paper's tables.")
    ],
    store: Annotated[
        Path, typer.Argument(metavar="STORE", help="A folder filled by becam experiment.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write there instead of printing."),
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            "--format",
            help="markdown, latex (for booktabs) or csv (one line a number, unrounded, with p).",
        ),
    ] = "markdown",
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            help="A column of Table 2 or 3, once for each; default: recall@10, recall@20, "
            "ndcg@10 and ndcg@20.",
        ),
    ] = None,
    significance: Annotated[
        str | None,
        typer.Option(
            "--significance",
            help="What the paired t-test of Table 2 or 3 pairs: users (the default), or seeds.",
        ),
    ] = None,
) -> None:
    """Make a table of the paper out of a store's runs.

    2: every recommender without adapter and with BeFA. 3: every recommender with each adapter.
    4: parameters and training time. Where runs are missing there is a dash, and a note names them.

    Example: becam table 2 STORE --format latex -o table2.tex
    """
    from becam.errors import BecamError
    from becam.experiments.costs import costs_table
    from becam.experiments.rendering import FORMATS
    from becam.experiments.store import DATABASE, Store
    from becam.experiments.tables import METRICS, adapters_table, comparison_table
    from becam.files import check_output_file, write_text

    if output is not None:
        check_output_file(output, inputs=[store / DATABASE])
    if format not in FORMATS:
        raise BecamError(f"There is no --format {format}; choose from {', '.join(FORMATS)}.")
    if significance not in (None, "users", "seeds"):
        raise BecamError(f"--significance is users or seeds, not {significance}.")
    if number == 4:
        if metric or significance:
            raise BecamError("Table 4 shows costs; leave out --metric and --significance.")
        made = costs_table(Store(store))
    else:
        make = comparison_table if number == 2 else adapters_table
        metrics = tuple(dict.fromkeys(name.lower() for name in metric or METRICS))
        made = make(Store(store), metrics, "seeds" if significance == "seeds" else "users")
    text = FORMATS[format](made)
    if output is None:
        say(text, end="")
        return
    write_text(output, text)
    say(f"Wrote {output}.")
