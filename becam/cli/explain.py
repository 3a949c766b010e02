"""``becam explain``: a picture and checkpoints to heatmaps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from becam.cli.options import (
    BudgetOption,
    CheckpointEncoderOption,
    CheckpointWeightsOption,
    ColumnsOption,
    DeviceOption,
    MaskBatchSizeOption,
    MaskingOption,
    MethodOption,
    NoAdapterOption,
    PrecisionOption,
    RandomiseOption,
    SpaceOption,
    TargetLayerOption,
    ToleranceOption,
    UserIdOption,
    with_options,
)
from becam.terminal import say


def explain(
    image: Annotated[
        Path, typer.Option("--image", help="The picture: JPEG, PNG, WebP, TIFF, GIF, ...")
    ],
    ckpt: ColumnsOption,
    item_id: Annotated[
        str | None,
        typer.Option("--item-id", help="Your own id of the item, as in your data."),
    ] = None,
    no_adapter: NoAdapterOption = False,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="The picture to write (.png, .pdf, .svg); raw maps (.npz) and numbers (.json) go "
            "beside it.",
        ),
    ] = Path("explanation.png"),
    user_id: UserIdOption = None,
    text: Annotated[
        str | None,
        typer.Option("--text", help="What agrees with this text (encoders with a text tower)."),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option("--like", metavar="PICTURE", help="What agrees with this other picture."),
    ] = None,
    method: MethodOption = "becam",
    budget: BudgetOption = None,
    tolerance: ToleranceOption = None,
    space: SpaceOption = "adapted",
    masking: MaskingOption = "mean",
    target_layer: TargetLayerOption = None,
    encoder: CheckpointEncoderOption = None,
    weights: CheckpointWeightsOption = None,
    randomise: RandomiseOption = True,
    batch_size: MaskBatchSizeOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "float32",
) -> None:
    """Show which regions of a picture agree with what behaviour says about its item.

    Writes the picture beside its heatmaps, one a checkpoint, with a colour bar and the controls
    in words: whether the map speaks of this item at all.

    Example: becam explain --image x.jpg --item-id 42 --ckpt run/befa.pt --no-adapter -o x.png
    """
    from becam.attribution import Explainer
    from becam.attribution.methods import parse_method
    from becam.figures.explanation import save_explanation
    from becam.figures.writing import check_format
    from becam.files import check_output_file, write_json
    from becam.images import read_image

    check_format(output)
    beside = [output.with_suffix(suffix) for suffix in (".npz", ".json")]
    check_output_file(output, *beside, inputs=[image, like, *ckpt])
    picture = read_image(image)
    explainer = Explainer(
        ckpt,
        no_adapter=no_adapter,
        encoder=encoder,
        weights=weights or (),
        target_layer=target_layer,
        masking=masking,  # type: ignore[arg-type]  # checked by name, with a sentence
        space=space,  # type: ignore[arg-type]
        method=parse_method(with_options(method, budget=budget, tolerance=tolerance)),
        randomise=randomise,
        batch_size=batch_size,
        device=device,
        precision=precision,
        progress=True,
    )
    heatmaps = explainer.explain(image, item_id, user_id=user_id, text=text, like=like)
    title = image.name if item_id is None else f"{image.name}\nitem {item_id}"
    save_explanation(output, picture, heatmaps, title=title)
    for number, heatmap in enumerate(heatmaps):
        suffix = f".{number}.npz" if len(heatmaps) > 1 else ".npz"
        heatmap.save(output.with_suffix(suffix))
    record = {
        "image": str(image),
        "item_id": item_id,
        "heatmaps": [heatmap.to_dict() for heatmap in heatmaps],
    }
    write_json(output.with_suffix(".json"), record)
    for heatmap in heatmaps:
        layer = heatmap.options["target_layer"]
        say(f"{heatmap.label} ({heatmap.target}; target layer {layer})")
        for line in heatmap.controls.words():
            say(f"  {line}")
    say(f"Wrote {output}, its .npz and .json.")
