"""The documentation's snippets run as they stand, and print what the pages say they print."""

from __future__ import annotations

import importlib.util
import re
import sys
from difflib import SequenceMatcher
from pathlib import Path
from unittest import mock

import pytest

import becam.encoders
from becam.adapters import ADAPTERS
from becam.recommenders import RECOMMENDERS

ROOT = Path(__file__).resolve().parents[2]


def _load(name: str):
    path = ROOT / "scripts" / "docs" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"docs_{name}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


pages = _load("pages")
PAGES = {str(path.relative_to(pages.DOCS)): pages.Page.read(path) for path in pages.pages()}
FOREIGN = {"--help", "--scale", "--batches", "--keep"}
"""Every command has the first; the others belong to the benchmarks."""
RUNNING = [name for name, page in PAGES.items() if any(b.reason is None for b in page.blocks)]


@pytest.fixture(scope="module")
def givens(tmp_path_factory):
    return pages.Givens(tmp_path_factory.mktemp("givens"))


@pytest.mark.parametrize("name", RUNNING)
def test_a_pages_snippets_run_and_print_what_it_says(name, givens, tmp_path):
    page, runner = PAGES[name], pages.Runner(tmp_path)
    givens.copy(page.given, tmp_path)
    with (
        mock.patch.dict(ADAPTERS),
        mock.patch.dict(RECOMMENDERS),
        mock.patch.dict(becam.encoders.LOADERS),
    ):
        for block in page.blocks:
            printed = runner.run(block)
            if block.output is not None:
                wrong = pages.differences(block.output, printed)
                assert not wrong, "\n".join([f"{name}:{block.line}", *wrong])


@pytest.mark.parametrize("name", PAGES)
def test_every_command_line_parses_also_where_it_is_not_run(name):
    blocks = [block for block in PAGES[name].blocks if block.language == "sh"]
    for line in (line for block in blocks for line in pages.commands(block.code)):
        arguments = pages.becam_arguments(line)
        if arguments is not None:
            try:
                pages.parse(arguments)
            except Exception as error:
                pytest.fail(f"{name}: {line}: {error}")


@pytest.mark.parametrize("name", PAGES)
def test_every_option_that_prose_names_is_there(name):
    commands = _commands()
    everywhere = set().union(*commands.values()) | FOREIGN
    for code in PAGES[name].inline:
        command = re.match(r"becam ([a-z]+)", code)
        known = commands[command[1]] | FOREIGN if command else everywhere
        assert set(re.findall(r"(?<![\w-])--[a-z-]+", code)) <= known, code


def _commands() -> dict[str, set[str]]:
    """Options by command, those of subcommands with them."""
    import typer

    from becam.cli.app import app

    def options(command) -> set[str]:
        found = {name for p in command.params for name in (*p.opts, *p.secondary_opts)}
        return found.union(*map(options, getattr(command, "commands", {}).values()))

    root = typer.main.get_command(app)
    return {name: options(command) for name, command in root.commands.items()}


def test_the_sentences_that_troubleshooting_quotes_are_becams():
    inline = [code for code in PAGES["troubleshooting.md"].inline if not code.startswith("shape")]
    parts = [
        part.split()
        for code in inline
        if len(code.split()) > 4
        for part in code.split(pages.ANY_LINES)
        if len(part.split()) > 2
    ]
    assert len(parts) > 25
    assert [" ".join(part) for part in parts if not _is_said(part)] == []
    assert not _is_said(["has", "no", "pillar", "that", "looks", "like", "a", "user"])


def _is_said(words: list[str]) -> bool:
    """Whether a string of becam's has these words in this order, but for two that may be values."""
    longest = [word.strip(";.,()") for word in sorted(words, key=len)[-3:]]
    for own in pages.own_strings():
        if any(word in own for word in longest):
            other = own.replace(pages.VALUE, " ").split()
            runs = SequenceMatcher(None, words, other, autojunk=False).get_matching_blocks()
            if sum(run.size for run in runs) >= max(len(words) - 2, 2):
                return True
    return False


def test_an_output_that_says_something_else_is_noticed():
    def wrong(said, printed, **flags):
        return bool(pages.differences(pages.Output(said.splitlines(), 1, **flags), printed))

    assert not wrong("one 1\ntwo 2", "one 10\ntwo 2.5e-3\nthree\n")
    assert wrong("one 1\ntwo 2", "one 10\nthree\ntwo 2\n")  # a line between them
    assert not wrong("one 1\n...\ntwo 2", "zero\n\none 10\nthree\ntwo 2\n")
    assert wrong("two\n...\none", "one\ntwo\n")
    assert wrong("one 1", "one 2", exact=True)
    assert wrong("uno 1", "one 1")
    assert not wrong("The page: …/index.html", "The page: /tmp/x/index.html")
    assert not wrong("│ shop  │ 1,500 │", "┃ shop ┃ 120 ┃")
    assert not wrong("One channel makes 99% of the map.", "nothing", varies=True)
    assert wrong("One canal makes 99% of the map.", "nothing", varies=True)
    assert wrong("one", "Encoding: 10%| one\n")  # progress is not shown


def test_a_snippet_that_ends_otherwise_than_it_says_is_noticed(tmp_path):
    runner = pages.Runner(tmp_path)
    with pytest.raises(AssertionError, match="ended with 3"):
        runner.run(pages.Block("sh", "true\nexit 3\n", 1))
    with pytest.raises(AssertionError, match="was to fail"):
        runner.run(pages.Block("sh", "true", 1, fails=True))
    with pytest.raises(AssertionError, match=r"becam explain .* ended with 1"):
        runner.run(pages.Block("sh", "becam explain --image x.png --ckpt x.pt --text a", 1))
    with pytest.raises(ZeroDivisionError):
        runner.run(pages.Block("python", "1 / 0", 1))


def test_a_command_that_cannot_be_is_noticed():
    for arguments in (["explain", "--imag", "x"], ["sweep"], ["nope"], ["train"]):
        with pytest.raises(Exception, match=r".+"):
            pages.parse(arguments)


def test_a_fence_must_be_run_or_say_why_not(tmp_path):
    path = tmp_path / "page.md"
    for info in ("sh no-run", 'sh reason="x"', "sh norun", "text outputs"):
        path.write_text(f"```{info}\ntrue\n```\n")
        with pytest.raises(ValueError, match=r"page\.md:2"):
            pages.Page.read(path)
    path.write_text("```text output\n1\n```\n")
    with pytest.raises(ValueError, match="without a block"):
        pages.Page.read(path)
