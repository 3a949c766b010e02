"""What ``mkdocs build`` does beside rendering pages: the command line's reference, tidy fences."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

REFERENCE = "reference/cli.md"

_FENCE = re.compile(
    r"^(?P<marks>`{3,})(?P<language>\w+)[ ]+(?P<flags>[^\n]+)\n(?P<content>.*?)^(?P=marks)$",
    re.MULTILINE | re.DOTALL,
)
_DIALOG = 'data-md-component="search" role="dialog"'
_ROLE = re.compile(r":(?:class|func|meth|mod|attr):<code>~?(?:\w+\.)*(\w+)</code>")
_KIND = re.compile(r"<(?:list\[)?(\w+)[^>]*>")
_TITLE = re.compile(r'title="[^"]*"')


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the reference of the command line."""
    files.append(File.generated(config, REFERENCE, content=cli_reference()))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Take from fences what tells the tests how to run them; outputs get a class of their own."""
    return _FENCE.sub(_fence, markdown)


def on_page_content(html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Show names that docstrings mark by Sphinx's roles as what they are."""
    return _ROLE.sub(r"<code>\1</code>", html)


def on_post_page(output: str, *, page: Page, config: MkDocsConfig) -> str:
    """Give the theme's search a name for screen readers."""
    return output.replace(_DIALOG, f'{_DIALOG} aria-label="Search"')


def cli_reference() -> str:
    """Every command with its help, arguments and options, in Markdown."""
    from becam.cli.app import app

    root: Any = typer.main.get_command(app)
    parts = [
        "# Command line",
        "Written from the commands themselves when this site was built; `becam COMMAND --help` "
        "says the same on a terminal. An error is one sentence on standard error and ends with "
        "status 1, Ctrl-C with 130; what was complete is kept. `BECAM_TRACEBACK=1` shows where an "
        "error came from.",
    ]
    for path, command in _commands(root, "becam"):
        parts += [f"## {path}", *_command(path, command)]
    return "\n\n".join(parts) + "\n"


def _commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def _command(path: str, command: Any) -> Iterator[str]:
    context = command.context_class(command, info_name=path)
    records: dict[str, list[tuple[str, str, str]]] = {"argument": [], "option": []}
    for parameter in command.params:
        record = parameter.get_help_record(context)
        if record is not None and parameter.name != "help":
            names, text, rest = _row(*record)
            if parameter.param_type_name == "argument":
                names = names.split()[0]
            records[parameter.param_type_name].append((names, text, rest))
    arguments = [name for name, _, _ in records["argument"]]
    yield f"```text\n{' '.join([path, *arguments, '[OPTIONS]'])}\n```"
    yield from _help(command.help or "")
    for kind, rows in records.items():
        if rows:
            cells = [(f"`{name}`", _cell(text), _cell(rest)) for name, text, rest in rows]
            table = _table((kind, "what it is", ""), cells)
            yield f'<div class="options" markdown="1">\n\n{table}\n\n</div>'


def _row(names: str, text: str) -> tuple[str, str, str]:
    """An option's names with what it takes, its help, and what typer adds to that in brackets."""
    kind = _KIND.search(names)
    if kind is not None:
        names = names.replace(kind[0], kind[1].upper())
    text, _, rest = text.partition("  [")
    return names, text, rest.removesuffix("]")


def _help(text: str) -> Iterator[str]:
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        paragraph = paragraph.replace("\\[", "[")
        if paragraph.startswith("\b"):
            yield f"```text\n{paragraph.removeprefix(chr(8)).strip()}\n```"
        elif paragraph.startswith("Example: "):
            yield f"```text\n{' '.join(paragraph.removeprefix('Example: ').split())}\n```"
        else:
            yield _cell(paragraph)


def _cell(text: str) -> str:
    """Text on one line in which nothing is taken for Markdown."""
    return re.sub(r"([\\`*_{}\[\]<>|])", r"\\\1", " ".join(text.split()))


def _table(header: tuple[str, ...], rows: list[Any]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _fence(found: re.Match[str]) -> str:
    marks, language, flags = found["marks"], found["language"], found["flags"]
    title = _TITLE.search(flags)
    begin = f"{language}{f' {title[0]}' if title else ''}"
    if language == "text" and flags.split()[0] == "output":
        # Sentences may be wrapped, tables may not.
        kind = ".drawn" if any(mark in found["content"] for mark in "│┃|") else ".sentences"
        begin = f" {{ .text .no-copy .output {kind} }}"
    return f"{marks}{begin}\n{found['content']}{marks}"
