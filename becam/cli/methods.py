"""``becam methods``: how a picture can be explained, and with which options."""

from __future__ import annotations

from becam.terminal import console


def methods() -> None:
    """List the attribution methods with their options and defaults.

    Use one with becam explain --method NAME[,OPTION=VALUE...].

    Example: becam methods
    """
    from rich.table import Column, Table

    from becam.attribution.methods import METHODS
    from becam.cli.options import described
    from becam.options import declared_options

    table = Table(Column("method", no_wrap=True), "what it is", "option", "default", "what that is")
    for name, cls in METHODS.items():
        rows = [(o.name, f"{o.default}", described(o)) for o in declared_options(cls).values()]
        for number, row in enumerate(rows or [("", "", "no options")]):
            table.add_row(*((name, cls.summary) if number == 0 else ("", "")), *row)
        table.add_section()
    console().print(table)
