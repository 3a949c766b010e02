"""Execute notebooks and keep their outputs: ``python scripts/run_notebooks.py notebooks/*.ipynb``.

Parameters replace the assignments in a notebook's first code cell:

    python scripts/run_notebooks.py notebooks/figure-6*.ipynb -o out -p DATASET=hm -p STORE=store

What a notebook makes on disk goes to the folder it runs in (``--folder``), and progress bars are
left out of what is kept.
"""

from __future__ import annotations

import argparse
import ast
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient

PARAMETERS = "parameters"
"""The tag of the cell whose assignments can be replaced."""

_CELL_SECONDS = 3600


def execute(path: Path, folder: Path, parameters: Mapping[str, str]) -> nbformat.NotebookNode:
    """The notebook with its outputs, run in a folder; each parameter must be one of its own.

    Raises:
        KeyError: the notebook has no such parameter.
    """
    notebook = nbformat.read(path, as_version=4)
    kept = _set(notebook, parameters)
    folder.mkdir(parents=True, exist_ok=True)
    client = NotebookClient(
        notebook, timeout=_CELL_SECONDS, resources={"metadata": {"path": str(folder)}}
    )
    client.execute()
    for cell, source in kept:
        cell.source = source
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of day tell nothing
        if cell.cell_type == "code":
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
    return notebook


def _set(
    notebook: nbformat.NotebookNode, parameters: Mapping[str, str]
) -> list[tuple[nbformat.NotebookNode, str]]:
    """Replace assignments; the changed cells with their own sources."""
    changed = []
    for cell in notebook.cells:
        if PARAMETERS not in cell.metadata.get("tags", ()):
            continue
        changed.append((cell, cell.source))
        tree = ast.parse(cell.source)
        names = {node.targets[0].id: node for node in tree.body if isinstance(node, ast.Assign)}
        for name, value in parameters.items():
            names[name].value = ast.Constant(_plain(value))
        cell.source = ast.unparse(tree)
    return changed


def _plain(value: str) -> object:
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return value


def main() -> None:
    """Run every notebook, in place unless another folder is given."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("notebooks", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, help="folder for the executed notebooks")
    parser.add_argument("--folder", type=Path, default=Path("becam-notebooks"))
    parser.add_argument("-p", "--parameter", action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    parameters = dict(pair.split("=", 1) for pair in options.parameter)
    for path in options.notebooks:
        print(path, flush=True)
        notebook = execute(path, options.folder, parameters)
        if options.output is not None:
            options.output.mkdir(parents=True, exist_ok=True)
            path = options.output / path.name
        nbformat.write(notebook, path)


if __name__ == "__main__":
    main()
