"""``becam models``: what can be trained, and with which options."""

from __future__ import annotations

from becam.terminal import console, say


def models() -> None:
    """List recommenders and adapters with their options, defaults and search spaces.

    Options are set by --model-option NAME=VALUE and --adapter-option NAME=VALUE of becam train, and
    by mappings in experiment files; becam search tries the values in the last column.

    Example: becam models
    """
    from rich.table import Table

    from becam.adapters import ADAPTERS
    from becam.cli.options import described
    from becam.options import declared_options
    from becam.recommenders import RECOMMENDERS, Recommender

    terminal = console()
    for kind, registry in (("recommender", RECOMMENDERS), ("adapter", ADAPTERS)):
        table = Table(kind, "option", "default", "what it is", "searched")
        for name, cls in registry.items():
            rows = [
                (o.name, f"{o.default}", described(o), ", ".join(map(str, o.search)))
                for o in declared_options(cls).values()
            ]
            recipe = cls.recipe if issubclass(cls, Recommender) else None
            if recipe is not None and recipe.lr_search:
                searched = ", ".join(map(str, recipe.lr_search))
                rows.append(("--lr", f"{recipe.lr}", "Learning rate.", searched))
            for number, row in enumerate(rows or [("", "", "no options", "")]):
                table.add_row(name if number == 0 else "", *row)
            table.add_section()
        terminal.print(table)
    say("docs/extending.md shows how to add one.")
