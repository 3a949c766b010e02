"""The columns of a table: which has which role, and its cells as ids, texts, paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from becam.data.picture_paths import located
from becam.data.pictures import exist
from becam.data.tables import REPEATED, listed, reading
from becam.errors import BecamError

_LARGEST_WHOLE = 2.0**53
_WHOLE = r"^([+-]?\d+)\.0+$"

Chosen = Mapping[str, Sequence[str]]
"""Names that the user chose, by role."""


class Columns:
    """The columns of a table.

    Args:
        table: without its rows.
        path: of its file, for messages.
        aliases: names that columns are known by, by role.
    """

    def __init__(
        self, table: pl.LazyFrame, path: Path, aliases: Mapping[str, Sequence[str]]
    ) -> None:
        self.path = path
        self.table = table
        self.types = dict(table.collect_schema())
        self._aliases = aliases
        self._plain: dict[str, str] = {}
        for name in self.types:
            self._plain.setdefault(_plain(name), name)

    def __str__(self) -> str:
        return listed(list(self.types))

    def require(self, role: str, chosen: Chosen, extra: Sequence[str] = ()) -> str:
        """The column of a role; raises as :meth:`find` does, and where there is none."""
        column = self.find(role, chosen, extra)
        if column is None:
            raise BecamError(
                f"{self.path} has no column that looks like the {role} (its columns are {self}); "
                f"name it with --{role}-column."
            )
        return column

    def find(self, role: str, chosen: Chosen, extra: Sequence[str] = ()) -> str | None:
        """The column of a role: the chosen one, else the first that is known; None: there is none.

        Raises:
            BecamError: the chosen one is not there, or several have its name.
        """
        names = self.given(role, chosen) or self.known([*self._aliases[role], *extra])
        if not names:
            return None
        if f"{names[0]}{REPEATED}0" in self.types:
            raise BecamError(
                f"{self.path} has several columns called {names[0]}; rename all but the one that "
                f"holds the {role}."
            )
        return names[0]

    def given(self, role: str, chosen: Chosen) -> list[str]:
        """The chosen columns of a role.

        Raises:
            BecamError: one is not there.
        """
        names = list(chosen.get(role, ()))
        for name in names:
            if name not in self.types:
                raise BecamError(
                    f"{self.path} has no column {name} (its columns are {self}); choose another "
                    f"--{role}-column."
                )
        return names

    def known(self, aliases: Sequence[str]) -> list[str]:
        """Columns that answer to these aliases, in the order of the aliases."""
        plain = [_plain(alias) for alias in aliases]
        return [self._plain[alias] for alias in plain if alias in self._plain]

    def text(self, column: str, role: str) -> pl.Expr:
        """A column as strings.

        Raises:
            BecamError: its cells are lists or structs.
        """
        kind = self.types[column]
        if kind.is_nested() or kind == pl.Object():
            what = "structs" if isinstance(kind, pl.Struct) else "lists"
            raise BecamError(
                f"Column {column} of {self.path} holds {what}, not single values; write one value "
                f"a row, or choose another --{role}-column."
            )
        return pl.col(column).cast(pl.String, strict=False)

    def ids(self, column: str, role: str) -> tuple[pl.Expr, str]:
        """A column as ids, and a word on how they were read where that is not plain to see.

        A missing value makes programs write whole numbers as 42.0: they are read as 42. Empty ids
        and NaN are none.

        Raises:
            BecamError: its cells are lists or structs.
        """
        text, kind = self.text(column, role), self.types[column]
        if kind.is_float() or kind.is_decimal():
            number = pl.col(column).cast(pl.Float64, strict=False)
            integer = pl.col(column).cast(pl.Int64, strict=False).cast(pl.String)
            is_whole = (number.floor() == number) & (number.abs() < _LARGEST_WHOLE)
            told = pl.when(is_whole).then(integer).otherwise(text)
            return pl.when(number.is_not_nan()).then(told), " (numbers such as 42.0 as 42)"
        return pl.when(text != "").then(text), ""

    def pictures(self, column: str, root: Path) -> pl.Expr:
        """A column of picture paths, which begin at ``root``; of pictures with paths, the paths.

        Raises:
            BecamError: it holds the pictures themselves and no files of them are there, or lists.
        """
        kind = self.types[column]
        fields = {field.name: field.dtype for field in getattr(kind, "fields", ())}
        if "path" in fields and not fields["path"].is_nested():
            paths = pl.col(column).struct.field("path").cast(pl.String, strict=False)
            with reading(self.path):
                named = self.table.select(paths).collect().to_series().drop_nulls()
            if not exist(root, located(root, named)[0]).any():
                missing = f" (there is no {root / named[0]})" if len(named) else ""
                raise self._embedded(column, missing)
            return paths
        if kind == pl.Binary():
            try:
                self.table.select(pl.col(column).cast(pl.String)).collect()
            except pl.exceptions.PolarsError:
                raise self._embedded(column) from None
        if pl.Binary() in fields.values():
            raise self._embedded(column)
        return self.text(column, "image")

    def _embedded(self, column: str, missing: str = "") -> BecamError:
        return BecamError(
            f"Column {column} of {self.path} holds the pictures themselves, not paths of files"
            f"{missing}; write them out as files and name their folder with --images."
        )


def whole(ids: pl.Expr) -> pl.Expr:
    """Ids such as 42.0 as 42, all others as they are."""
    return ids.str.replace(_WHOLE, "${1}")


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())
