"""``becam words``: an item's text and checkpoints to coloured words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from becam.cli.options import (
    CheckpointEncoderOption,
    CheckpointWeightsOption,
    ColumnsOption,
    DeviceOption,
    NoAdapterOption,
    SpaceOption,
    UserIdOption,
)
from becam.terminal import console, harmless, say

if TYPE_CHECKING:
    from rich.text import Text

    from becam.attribution.words import WordWeights


def words(
    item_id: Annotated[str, typer.Option("--item-id", help="Your own id of the item.")],
    ckpt: ColumnsOption,
    dataset: Annotated[
        Path | None,
        typer.Option(
            "--dataset",
            metavar="DATASET",
            help="The dataset folder with the item's text; TF-IDF is fitted again on its texts.",
        ),
    ] = None,
    item_text: Annotated[
        str | None,
        typer.Option("--item-text", metavar="TEXT", help="A text in place of the dataset's."),
    ] = None,
    no_adapter: NoAdapterOption = False,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="The picture to write (.png, .pdf, .svg); the numbers (.json) go beside it.",
        ),
    ] = Path("words.png"),
    user_id: UserIdOption = None,
    contribution: Annotated[
        str,
        typer.Option(
            "--contribution",
            help="both: the mean of what a word adds to no words (alone) and of what it adds to "
            "all others (left-out); alone or left-out: one of the two.",
        ),
    ] = "both",
    space: SpaceOption = "adapted",
    encoder: CheckpointEncoderOption = None,
    weights: CheckpointWeightsOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Show which words of an item's text agree with what behaviour says about the item.

    Writes the text with coloured words, once for each checkpoint, with a colour bar and the
    controls in words: whether the colours speak of this item at all.

    Example: becam words --item-id 42 --ckpt run/befa.pt --dataset shop --no-adapter -o words.png
    """
    from becam.attribution import explain_words
    from becam.figures.words import save_words
    from becam.figures.writing import check_format
    from becam.files import check_output_file, write_json

    check_format(output)
    check_output_file(output, output.with_suffix(".json"), inputs=ckpt)
    explained = explain_words(
        item_id,
        ckpt,
        dataset=dataset,
        text=item_text,
        user_id=user_id,
        no_adapter=no_adapter,
        space=space,  # type: ignore[arg-type]  # checked by name, with a sentence
        contribution=contribution,  # type: ignore[arg-type]
        encoder=encoder,
        weights=weights or (),
        device=device,
    )
    save_words(output, explained, title=f"item {item_id}")
    record = {
        "item_id": item_id,
        "text": str(explained[0].text),
        "explanations": [one.to_dict() for one in explained],
    }
    write_json(output.with_suffix(".json"), record)
    terminal = console(highlight=False)
    for one in explained:
        say(f"{one.label} ({one.target})")
        terminal.print(_coloured(one))
        for line in (*_extremes(one), *one.controls.sentences()):
            say(f"  {line}")
    say(f"Wrote {output} and its .json.")


def _coloured(explained: WordWeights) -> Text:
    from rich.text import Text

    from becam.figures.words import word_colours

    text, gaps = Text(harmless(explained.text.gaps[0])), explained.text.gaps[1:]
    for word, gap, found in zip(explained.text.words, gaps, word_colours(explained), strict=True):
        text.append(harmless(word), "dim strike" if found is None else f"{found[1]} on {found[0]}")
        text.append(harmless(gap))
    return text


def _extremes(explained: WordWeights) -> list[str]:
    """For a terminal without colours, and for files."""
    lines = []
    for name, numbers in zip(("For", "Against"), explained.extremes(), strict=True):
        found = [f"{explained.text.words[k]} {explained.weights[k]:+.2g}" for k in numbers]
        lines += [f"{name}: {', '.join(found)}."] if found else []
    return lines
