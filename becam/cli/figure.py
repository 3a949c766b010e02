"""``becam figure``: the figures of the paper, from one's own checkpoints."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from becam.cli.options import (
    BudgetOption,
    CheckpointEncoderOption,
    CheckpointsArgument,
    CheckpointWeightsOption,
    DeviceOption,
    MaskBatchSizeOption,
    MaskingOption,
    MethodOption,
    NoAdapterOption,
    PrecisionOption,
    RandomiseOption,
    SeedOption,
    SpaceOption,
    TargetLayerOption,
    ToleranceOption,
    number,
    with_options,
)
from becam.limits import DPI, FIGURE_ITEMS, ITEMS, LETTERS, SAMPLE
from becam.terminal import say

if TYPE_CHECKING:
    from becam.figures.page import Page, PaperFigure

figure = typer.Typer(no_args_is_help=True)

TrainedOnOption = Annotated[
    Path,
    typer.Option("--dataset", metavar="DATASET", help="The dataset folder of the training."),
]
FigureOption = Annotated[
    Path,
    typer.Option(
        "-o",
        "--output",
        metavar="FIGURE",
        help="The figure to write (.pdf, .svg, .png); its caption (.txt) and numbers (.json) go "
        "beside it.",
    ),
]
RuleOption = Annotated[
    str,
    typer.Option(
        "--items",
        metavar="RULE[:N]|FILE",
        help="Which items: top-drift, least-drift, top-omission, top-change, least-change, "
        "popular, rare, whose other end is shown as well; sample or all; or a file of ids. Angles "
        "are those of the first checkpoint.",
    ),
]


@dataclass(frozen=True)
class PageOptions:
    """How large, and with which letters."""

    width: Annotated[
        str,
        typer.Option(
            help="column (3.35 inches, of a two-column paper), text (5.5, of a one-column paper), "
            "page (7, both columns) or a number of inches."
        ),
    ] = "page"
    font: Annotated[
        str,
        typer.Option(
            help="A TrueType font that is installed; STIXGeneral resembles Times and always is."
        ),
    ] = "DejaVu Sans"
    font_size: Annotated[float, number(LETTERS, help="In points.")] = 7.0
    dpi: Annotated[int, number(DPI, help="Pixels an inch of the pictures in the figure.")] = 300

    def page(self, output: Path) -> Page:
        """The page, and a check that ``output`` can be written, before anything takes time."""
        from becam.figures.page import Page
        from becam.figures.writing import check_format
        from becam.files import check_output_file, check_output_folder

        check_format(output)
        check_output_file(output, *(output.with_suffix(suffix) for suffix in (".txt", ".json")))
        check_output_folder(output.with_suffix(".maps"))
        return Page.of(self.width, size=self.font_size, font=self.font, dpi=self.dpi)


@dataclass(frozen=True)
class MapOptions:
    """How maps are made."""

    scale: Annotated[
        str,
        typer.Option(
            help="own: each map over its own range (the paper); shared: one scale for all maps of "
            "a picture, so that they compare in strength."
        ),
    ] = "own"
    method: MethodOption = "becam"
    budget: BudgetOption = None
    tolerance: ToleranceOption = None
    masking: MaskingOption = "mean"
    target_layer: TargetLayerOption = None
    encoder: CheckpointEncoderOption = None
    weights: CheckpointWeightsOption = None
    randomise: RandomiseOption = True
    seed: SeedOption = 0
    batch_size: MaskBatchSizeOption = None
    device: DeviceOption = "auto"
    precision: PrecisionOption = "float32"

    def arguments(self, output: Path) -> dict[str, Any]:
        """Keyword arguments of the functions in ``becam.figures.paper``."""
        from becam.attribution.methods import parse_method

        given = {field.name: getattr(self, field.name) for field in fields(self)}
        method = with_options(
            given.pop("method"), budget=given.pop("budget"), tolerance=given.pop("tolerance")
        )
        return {
            **given,
            "weights": self.weights or (),
            "method": parse_method(method),
            "maps": output.with_suffix(".maps"),
            "progress": True,
        }


@dataclass(frozen=True)
class ComparedOptions(MapOptions):
    """How maps without and with an adapter are made."""

    no_adapter: NoAdapterOption = False
    space: SpaceOption = "adapted"


def _spread_out(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters that are dataclasses become one option for each field."""
    hints = get_type_hints(command, globals() | {"Path": Path}, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if hasattr(kind, "__dataclass_fields__")}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        if parameter.name not in groups:
            parameters.append(parameter.replace(annotation=hints[parameter.name]))
            continue
        kind = groups[parameter.name]
        inner = get_type_hints(kind, include_extras=True)
        parameters += [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=inner[field.name],
            )
            for field in fields(kind)
        ]

    @wraps(command)
    def spread(**given: Any) -> None:
        for name, kind in groups.items():
            given[name] = kind(**{field.name: given.pop(field.name) for field in fields(kind)})
        command(**given)

    ordered = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    spread.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    spread.__annotations__ = {each.name: each.annotation for each in ordered}
    return spread


@figure.callback()
def _figure() -> None:
    """Draw a figure of the paper from your own checkpoints, ready for print.

    Items are chosen by a rule, and the rule's other end is shown too. The caption beside the figure
    says how it was made, and what must not be concluded from it.
    """


@figure.command("2")
@_spread_out
def figure_2(
    ckpt: CheckpointsArgument,
    dataset: TrainedOnOption,
    output: FigureOption = Path("figure-2.pdf"),
    count: Annotated[int, number(FIGURE_ITEMS, "--count", help="Items in each group.")] = 3,
    *,
    page: PageOptions,
    maps: MapOptions,
) -> None:
    """Information drift and omission: pictures over their maps, without an adapter.

    Items with the largest angles to behaviour (drift), with the largest up to 90 degrees
    (omission), and with the smallest.

    Example: becam figure 2 bm3/befa.pt --dataset shop -o drift.pdf
    """
    from becam.figures.paper import drift_figure

    sheet = page.page(output)
    arguments = maps.arguments(output)
    _save(drift_figure(ckpt, dataset, count=count, page=sheet, **arguments), output)


@figure.command("6")
@_spread_out
def figure_6(
    ckpt: CheckpointsArgument,
    dataset: TrainedOnOption,
    output: FigureOption = Path("figure-6.pdf"),
    items: RuleOption = "top-drift:3",
    *,
    page: PageOptions,
    maps: ComparedOptions,
) -> None:
    """The same items under several recommenders, without and with BeFA.

    Give two checkpoints of each recommender, one without an adapter and one with; or one with, and
    --no-adapter.

    Example: becam figure 6 bm3 bm3-befa mgcn mgcn-befa --dataset shop -o backbones.pdf
    """
    from becam.figures.paper import backbones_figure

    sheet = page.page(output)
    arguments = maps.arguments(output)
    _save(backbones_figure(ckpt, dataset, items=items, page=sheet, **arguments), output)


@figure.command("7")
@_spread_out
def figure_7(
    ckpt: CheckpointsArgument,
    dataset: TrainedOnOption,
    output: FigureOption = Path("figure-7.pdf"),
    items: RuleOption = "top-drift:4",
    *,
    page: PageOptions,
    maps: ComparedOptions,
) -> None:
    """The adapters of one recommender: pictures over a map without and one with each.

    Give a checkpoint without an adapter and one of each adapter, in the order to show them.

    Example: becam figure 7 bm3 bm3-lora bm3-prompt bm3-befa --dataset shop -o adapters.pdf
    """
    from becam.figures.paper import adapters_figure

    sheet = page.page(output)
    arguments = maps.arguments(output)
    _save(adapters_figure(ckpt, dataset, items=items, page=sheet, **arguments), output)


@figure.command("8")
@_spread_out
def figure_8(
    ckpt: CheckpointsArgument,
    dataset: TrainedOnOption,
    images: Annotated[
        Path, typer.Option("--images", metavar="FOLDER", help="Pictures of complex scenes.")
    ],
    output: FigureOption = Path("figure-8.pdf"),
    items: RuleOption = "top-drift:2",
    looked_at: Annotated[
        int,
        number(ITEMS, "--scenes", help="How many of the scenes to look at, drawn at random."),
    ] = 500,
    text: Annotated[
        str | None,
        typer.Option(
            "--text",
            help="One more map of each picture: what agrees with this text (encoders with a text "
            "tower), whatever behaviour says.",
        ),
    ] = None,
    *,
    page: PageOptions,
    maps: ComparedOptions,
) -> None:
    """Simple product pictures beside complex scenes, without and with BeFA.

    A scene belongs to no item: it is compared with the item whose content is nearest to its own.

    Example: becam figure 8 bm3 bm3-befa --dataset shop --images streets -o scenes.pdf
    """
    from becam.figures.paper import scenes_figure

    sheet = page.page(output)
    arguments = maps.arguments(output)
    made = scenes_figure(
        ckpt,
        dataset,
        images,
        items=items,
        looked_at=looked_at,
        text=text,
        page=sheet,
        **arguments,
    )
    _save(made, output)


@figure.command("9")
@_spread_out
def figure_9(
    ckpt: CheckpointsArgument,
    dataset: TrainedOnOption,
    output: FigureOption = Path("figure-9.pdf"),
    modality: Annotated[str, typer.Option("--modality", help="Of the content.")] = "image",
    count: Annotated[int, number(SAMPLE, "--count", help="Items to sample.")] = 500,
    no_adapter: NoAdapterOption = False,
    seed: SeedOption = 0,
    *,
    page: PageOptions,
) -> None:
    """How content features are distributed, without BeFA over with it, a column a recommender.

    t-SNE to two dimensions on the unit circle, the density of the points and of their angles, and
    uniformity and alignment (Wang and Isola) as numbers.

    Example: becam figure 9 bm3 bm3-befa mgcn mgcn-befa --dataset shop -o distribution.pdf
    """
    from becam.figures.paper import distribution_figure

    sheet = page.page(output)
    made = distribution_figure(
        ckpt,
        dataset,
        modality=modality,
        count=count,
        no_adapter=no_adapter,
        page=sheet,
        seed=seed,
        progress=True,
    )
    _save(made, output)


@figure.command("10")
@_spread_out
def figure_10(
    store: Annotated[
        Path,
        typer.Argument(metavar="STORE", help="The store that becam sweep lambda filled."),
    ],
    output: FigureOption = Path("figure-10.pdf"),
    model: Annotated[
        str | None,
        typer.Option("--model", help="The one recommender to draw; default: all that were swept."),
    ] = None,
    *,
    page: PageOptions,
) -> None:
    """BeFA's ratio lambda against quality, from the runs in a store; nothing is trained.

    Example: becam figure 10 store -o lambda.pdf
    """
    from becam.figures.paper import ratio_figure

    _save(ratio_figure(store, model=model, page=page.page(output)), output)


def _save(made: PaperFigure, output: Path) -> None:
    made.save(output)
    say(made.caption)
    say(f"\nWrote {output}, its caption ({output.stem}.txt) and its .json.")
