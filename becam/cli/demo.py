"""``becam demo``: the whole way in a few minutes, without data, hub or GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from becam.cli.options import DeviceOption, OverwriteOption, SeedOption
from becam.terminal import say


def demo(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The folder to fill; the page is index.html.")
    ] = Path("becam-demo"),
    encoder: Annotated[
        str, typer.Option("--encoder", metavar="SPEC", help="becam:vit or becam:resnet.")
    ] = "becam:vit",
    browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser at the end.")
    ] = True,
    seed: SeedOption = 0,
    device: DeviceOption = "auto",
    overwrite: OverwriteOption = False,
) -> None:
    """Draw a catalogue, train BM3 with and without BeFA on it, and explain a dozen items.

    Takes about a minute on two idle cores and needs no data. The folder keeps every intermediate
    result (catalogue, dataset, features, checkpoints), so it can be looked into and built upon.
    """
    from becam.demo.run import run_demo

    page = run_demo(output, encoder=encoder, seed=seed, device=device, overwrite=overwrite)
    say(f"The page: {page.resolve()}")
    if browser:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
