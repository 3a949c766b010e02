"""The documentation's pages as programs: their snippets in order, and what these print.

A page's ``sh`` and ``python`` blocks run one after the other in one folder. The words behind a
fence's language say how (readers never see them, the site's hook takes them away):

- ``sh no-run reason="..."``: is not run; command lines of becam must parse all the same.
- ``sh fails``: ends with a status other than 0.
- ``text output``: what the block before prints. Lines that are ``...`` stand for any lines, ``…``
  within a line for any characters, and numbers may be others, since the tests run on a small
  catalogue. ``text output exact``: numbers count. ``text output varies``: where the words depend
  on the numbers, any sentence of becam's will do in place of a line.
- any block with ``title="NAME"``: is the content of that file.

Comments hold what a page takes for granted: ``<!-- given: shop -->`` is in the folder from the
start (see :class:`Givens`), ``<!-- setup ... -->`` is Python that runs there and then.

``python scripts/docs/pages.py PAGE...`` runs pages at full size and shows where their outputs are
out of date; ``--write`` brings the numbers up to date.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

RUN = ("sh", "python")
ANY_LINES, ANY_TEXT = "...", "…"
VALUE = "\0"

_FLAGS = {"sh": {"no-run", "fails"}, "python": {"no-run"}, "text": {"output", "exact", "varies"}}
_INFO = re.compile(r'([\w-]+)(?:="([^"]*)")?')
_COMMENT = re.compile(r"<!--\s*(given|setup):?\s*(.*?)\s*-->", re.DOTALL)
_PROGRESS = re.compile(r"\d+%\||^epoch \d+:|it/s\]|^$")
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
_RULES = re.compile(r"[ ━─═│┃|]+")
_LONG = 20
"""Characters from which a string is a sentence rather than a word that may stand anywhere."""
_SMALLER = {"--items": 2, "--steps": 4, "--stages": 1}
"""On the small catalogue numbers of items and of their measuring are this at most."""
_ENVIRONMENT = {"COLUMNS": "100", "OMP_NUM_THREADS": "1", "TQDM_MININTERVAL": "10"}


@dataclass(frozen=True)
class Output:
    """What a page says that a block prints.

    Attributes:
        lines: as the page has them.
        line: of the page on which the first one stands, from 1.
        exact: whether numbers count.
        varies: whether other sentences of becam's may stand in a line's place.
    """

    lines: list[str]
    line: int
    exact: bool = False
    varies: bool = False


@dataclass
class Block:
    """A fenced block, or a comment with a setup.

    Attributes:
        language: of the fence.
        code: its content.
        line: of the page on which the content begins, from 1.
        reason: why it is not run; None where it is.
        fails: whether it ends with a status other than 0.
        title: of the file that it is the content of; None for other blocks.
        output: what it is said to print.
    """

    language: str
    code: str
    line: int
    reason: str | None = None
    fails: bool = False
    title: str | None = None
    output: Output | None = None


@dataclass
class Page:
    """A page of the documentation.

    Attributes:
        path: the file.
        given: names of what its folder holds from the start.
        blocks: in their order.
        inline: what stands between single backticks.
    """

    path: Path
    given: list[str] = field(default_factory=list)
    blocks: list[Block] = field(default_factory=list)
    inline: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, path: Path) -> Page:
        """Parse a page.

        Raises:
            ValueError: a fence with words that are not understood.
        """
        page = cls(path)
        for token in MarkdownIt("commonmark").enable("table").parse(path.read_text("utf-8")):
            line = (token.map or [0])[0] + 2
            if token.type == "fence":
                page._take(*_info(token.info, path, line), code=token.content, line=line)
            elif token.type == "html_block":
                for kind, content in _COMMENT.findall(token.content):
                    if kind == "given":
                        page.given += content.replace(",", " ").split()
                    else:
                        page.blocks.append(Block("python", content, line))
            for child in token.children or ():
                if child.type == "code_inline":
                    page.inline.append(child.content)
        return page

    def _take(self, language: str, flags: dict[str, str], *, code: str, line: int) -> None:
        if "output" in flags:
            if not self.blocks or self.blocks[-1].output is not None:
                raise ValueError(f"{self.path}:{line}: an output without a block that prints it")
            self.blocks[-1].output = Output(
                code.splitlines(), line, exact="exact" in flags, varies="varies" in flags
            )
        elif "title" in flags or language in RUN:
            self.blocks.append(
                Block(
                    language,
                    code,
                    line,
                    reason=flags.get("reason") if "no-run" in flags else None,
                    fails="fails" in flags,
                    title=flags.get("title"),
                )
            )


def pages() -> list[Path]:
    """Every page of the documentation that is kept as a file."""
    return sorted(DOCS.rglob("*.md"))


class Runner:
    """Runs the blocks of a page in a folder.

    Args:
        folder: where; it is made if it is not there.
        full: on the catalogue of becam's real demo, with outputs compared to the digit; else on a
            small one.
    """

    def __init__(self, folder: Path, *, full: bool = False) -> None:
        self.folder = folder
        self.full = full
        self.names: dict[str, Any] = {"__name__": "page"}
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, block: Block) -> str:
        """What a block prints, on both streams, without progress.

        Raises:
            AssertionError: it ends otherwise than it says.
        """
        if block.reason is not None:
            return ""
        if block.title is not None:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code, "utf-8")
            return ""
        with contextlib.chdir(self.folder), mock.patch.dict(os.environ, _ENVIRONMENT):
            if block.language == "python":
                return self._python(block)
            printed, status = "", 0
            for line in commands(block.code):
                found, status = self._command(line)
                printed += found
                if status and not block.fails:
                    raise AssertionError(f"{line} ended with {status}:\n{found}")
            if block.fails and not status:
                raise AssertionError(f"this was to fail, and did not:\n{block.code}")
            return printed

    def _python(self, block: Block) -> str:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            exec(compile(block.code, f"line {block.line}", "exec"), self.names)
        return printed.getvalue()

    def _command(self, line: str) -> tuple[str, int]:
        arguments = becam_arguments(line)
        if arguments is not None and self.full:
            return becam(arguments)
        if arguments is not None:
            with small_demo():
                return becam(_smaller(arguments))
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", line],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.stdout, done.returncode


def commands(code: str) -> list[str]:
    """The command lines of a block, each on one line."""
    lines = (line.strip() for line in code.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def becam_arguments(line: str) -> list[str] | None:
    """The words behind ``becam``; None for a line that is another program's."""
    return shlex.split(line, comments=True)[1:] if line.startswith("becam ") else None


def becam(arguments: Sequence[str]) -> tuple[str, int]:
    """Run ``becam ARGUMENTS`` in this process: what it prints, and its exit status."""
    import signal

    from becam.cli import main

    printed = io.StringIO()
    shown, handler = warnings.showwarning, signal.getsignal(signal.SIGTERM)
    status: Any = 0
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        mock.patch.object(sys, "argv", ["becam", *arguments]),
        mock.patch("webbrowser.open"),
    ):
        try:
            main()
        except SystemExit as left:
            status = left.code
        finally:
            warnings.showwarning = shown
            signal.signal(signal.SIGTERM, handler)
    return printed.getvalue(), status if isinstance(status, int) else int(status is not None)


def parse(arguments: Sequence[str]) -> None:
    """Parse a command line of becam without running it.

    Raises:
        click.ClickException: there is no such command or option, or an argument is missing.
    """
    import typer

    from becam.cli.app import app

    command: Any = typer.main.get_command(app)
    name, context = "becam", None
    arguments = list(arguments)
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        context = command.context_class(command, info_name=name, parent=context)
        name, command, arguments = command.resolve_command(context, arguments)
    if hasattr(command, "commands") and not arguments:
        raise ValueError(f"becam {name} needs a subcommand")
    command.make_context(name, list(arguments), parent=context)


def _smaller(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command with numbers for a small catalogue, in rules as well."""
    found = []
    for name, value in zip(["", *arguments], arguments, strict=False):
        rule, colon, number = value.rpartition(":")
        if name in _SMALLER and number.isdigit():
            value = f"{rule}{colon}{min(int(number), _SMALLER[name])}"
        found.append(value)
    return found


@contextlib.contextmanager
def small_demo() -> Iterator[None]:
    """Let ``becam demo`` draw a small catalogue and train for a moment."""
    import becam.demo.run as demo

    sizes = {"N_ITEMS": 150, "N_USERS": 120, "N_EXPLAINED": 1, "_EPOCHS": 2}
    with contextlib.ExitStack() as stack:
        for name, value in sizes.items():
            stack.enter_context(mock.patch.object(demo, name, value))
        yield


class Givens:
    """What pages find in their folders, made once and copied.

    ``demo``: ``becam-demo/``, as ``becam demo`` leaves it. ``shop``: beside that, what the first
    tutorial makes of its catalogue: ``shop/`` with features, ``run/bm3`` and ``run/bm3-befa``.

    Args:
        folder: where they are made.
        full: at the size that a reader has.
    """

    SHOP = """
    becam prepare csv becam-demo/catalogue/interactions.csv --items becam-demo/catalogue/items.csv \
        --k-core 5 -o shop
    becam features shop --encoder becam:vit
    becam train shop --adapter none -o run/bm3
    becam train shop --adapter befa -o run/bm3-befa
    """

    def __init__(self, folder: Path, *, full: bool = False) -> None:
        self._runner = Runner(folder, full=full)

    def copy(self, names: Sequence[str], target: Path) -> None:
        """Put what is named into a page's folder."""
        for name in names:
            for part in self._parts()[name]():
                shutil.copytree(self._runner.folder / part, target / part, dirs_exist_ok=True)

    def _parts(self) -> dict[str, Callable[[], list[str]]]:
        return {"demo": self._demo, "shop": self._shop}

    def _demo(self) -> list[str]:
        self._unless("becam-demo/index.html", "becam demo --no-open")
        return ["becam-demo"]

    def _shop(self) -> list[str]:
        self._demo()
        self._unless("run/bm3-befa/befa.pt", self.SHOP)
        return ["becam-demo", "shop", "run"]

    def _unless(self, there: str, code: str) -> None:
        if not (self._runner.folder / there).exists():
            self._runner.run(Block("sh", code, 0))


def differences(output: Output, printed: str, *, digits: bool = False) -> list[str]:
    """Lines of a page's output that were not printed, in words; empty where all is well.

    Args:
        output: what the page says.
        printed: what was printed.
        digits: numbers count.
    """
    shown = _shown(printed)
    exact = digits or output.exact
    found, at, free = [], 0, True
    for number, line in enumerate(output.lines):
        if line.strip() == ANY_LINES:
            free = True
            continue
        places = range(at, len(shown)) if free or output.varies else range(at, at + 1)
        hit = next(
            (k for k in places if k < len(shown) and _same(line, shown[k], exact=exact)), None
        )
        if hit is None and output.varies and not digits and _is_ours(line):
            continue
        if hit is None:
            found.append(f"line {output.line + number}: {line!r}")
        else:
            at, free = hit + 1, False
    return [*found, "printed:", *shown] if found else []


def updated(output: Output, printed: str) -> list[str]:
    """The lines of a page's output with the numbers that were printed."""
    shown, at, lines = _shown(printed), 0, []
    for line in output.lines:
        hit = next(
            (k for k in range(at, len(shown)) if _same(line, shown[k], exact=False)),
            None,
        )
        if line.strip() == ANY_LINES or hit is None or ANY_TEXT in line:
            lines.append(line)
        else:
            lines.append(shown[hit])
            at = hit + 1
    return lines


def _shown(printed: str) -> list[str]:
    lines = [line.rstrip() for line in printed.replace("\r", "\n").splitlines()]
    return [line for line in lines if not _PROGRESS.search(line)]


def _same(line: str, printed: str, *, exact: bool) -> bool:
    if not exact:
        line, printed = (_RULES.sub(" ", _NUMBER.sub("#", text)) for text in (line, printed))
    parts = [re.escape(part) for part in line.strip().split(ANY_TEXT)]
    return re.fullmatch(".*?".join(parts), printed.strip()) is not None


def _is_ours(line: str) -> bool:
    return any(template.fullmatch(line.strip()) for template in _sentences())


@cache
def _sentences() -> list[re.Pattern[str]]:
    """becam's own strings as patterns, with anything in the places of their values."""
    return [
        re.compile(".+?".join(map(re.escape, own.split(VALUE))), re.DOTALL) for own in own_strings()
    ]


@cache
def own_strings() -> list[str]:
    """The longer strings of becam's code, with ``VALUE`` in the places of their values."""
    found = []
    for path in sorted((ROOT / "becam").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            parts = node.values if isinstance(node, ast.JoinedStr) else [node]
            own = VALUE.join(
                "".join(group)
                for group in _between(
                    part.value if isinstance(part, ast.Constant) else None for part in parts
                )
            )
            if len(own) >= _LONG:
                found.append(own)
    return found


def _between(parts: Iterable[object]) -> Iterator[list[str]]:
    """Runs of strings between the values of a string."""
    run: list[str] = []
    for part in parts:
        if isinstance(part, str):
            run.append(part)
        else:
            yield run
            run = []
    yield run


def _info(info: str, path: Path, line: int) -> tuple[str, dict[str, str]]:
    language, _, rest = info.partition(" ")
    flags = dict(_INFO.findall(rest))
    known = _FLAGS.get(language, set()) | {"title", "reason"}
    if unknown := sorted(flags.keys() - known):
        raise ValueError(f"{path}:{line}: a fence with {', '.join(unknown)}")
    if ("no-run" in flags) != bool(flags.get("reason")):
        raise ValueError(f"{path}:{line}: no-run and a reason belong together")
    return language, flags


def main() -> int:
    """Run pages at full size; the exit status says whether all outputs are up to date."""
    parser = argparse.ArgumentParser(description="Run pages of the documentation at full size.")
    parser.add_argument("pages", nargs="+", type=Path)
    parser.add_argument("--write", action="store_true", help="bring numbers up to date")
    parser.add_argument("--folder", type=Path, help="keep what pages start from; default: nothing")
    arguments = parser.parse_args()
    status = 0
    with tempfile.TemporaryDirectory() as temporary:
        base = arguments.folder or Path(temporary)
        givens = Givens(base / "givens", full=True)
        for path in arguments.pages:
            page = Page.read(path)
            shutil.rmtree(base / path.stem, ignore_errors=True)
            runner = Runner(base / path.stem, full=True)
            givens.copy(page.given, runner.folder)
            lines = path.read_text("utf-8").splitlines()
            for block in page.blocks:
                printed = runner.run(block)
                if block.output is None:
                    continue
                if arguments.write:
                    start = block.output.line - 1
                    new = updated(block.output, printed)
                    lines[start : start + len(new)] = new
                    block.output = Output(new, block.output.line)
                for difference in differences(block.output, printed, digits=True):
                    print(f"{path}: {difference}")
                    status = 1
            if arguments.write:
                path.write_text("\n".join(lines) + "\n", "utf-8")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
