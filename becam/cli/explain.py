"""``becam explain``: a picture and checkpoints to heatmaps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from becam.cli.options import BatchSizeOption, DeviceOption


def explain(
    image: Annotated[
        Path, typer.Option("--image", help="The picture: JPEG, PNG, WebP, TIFF, GIF, ...")
    ],
    ckpt: Annotated[
        list[Path],
        typer.Option(
            "--ckpt", help="A checkpoint made by becam train; give it again for one more column."
        ),
    ],
    item_id: Annotated[
        str | None,
        typer.Option("--item-id", help="Your own id of the item, as in your data."),
    ] = None,
    no_adapter: Annotated[
        bool,
        typer.Option(
            "--no-adapter",
            help="Beside each checkpoint that has an adapter, show it with the adapter left out.",
        ),
    ] = False,
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help="The picture to write (.png, .pdf, .svg); raw maps (.npz) and numbers (.json) go "
            "beside it.",
        ),
    ] = Path("explanation.png"),
    user_id: Annotated[
        str | None,
        typer.Option("--user-id", help="What speaks to this user, instead of to all of them."),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", help="What agrees with this text (encoders with a text tower)."),
    ] = None,
    like: Annotated[
        Path | None,
        typer.Option("--like", metavar="PICTURE", help="What agrees with this other picture."),
    ] = None,
    method: Annotated[
        str, typer.Option("--method", help="Which attribution method; becam methods lists them.")
    ] = "becam",
    method_option: Annotated[
        list[str] | None,
        typer.Option(
            "--method-option",
            metavar="NAME=VALUE",
            help="An option of the method, such as weighting=centered; give it again for more.",
        ),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            "--budget",
            metavar="MASKS",
            min=1,
            help="Fast: encode this many masks and infer the others (the option budget of becam).",
        ),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(
            "--tolerance",
            help="Fast: encode masks until the expected correlation with the map of all is within "
            "this of 1, such as 0.02 (the option tolerance of becam).",
        ),
    ] = None,
    space: Annotated[
        str,
        typer.Option(
            "--space",
            help="adapted (the paper); content: compare before the adapter; change: what a region "
            "changes in the adapted feature, compared with what the whole picture does.",
        ),
    ] = "adapted",
    masking: Annotated[
        str,
        typer.Option("--masking", help="What masked pixels fade to: mean colour, black or blur."),
    ] = "mean",
    target_layer: Annotated[
        str | None,
        typer.Option(
            "--target-layer",
            metavar="PATH",
            help="Module path inside the vision tower; default: what suits the architecture.",
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            metavar="SPEC",
            help="The encoder, where the checkpoint does not know it (features that came with "
            "the data).",
        ),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            "--weights",
            help="The encoder's weights file, when it is no longer where becam features found it.",
        ),
    ] = None,
    randomise: Annotated[
        bool,
        typer.Option(
            "--randomise/--no-randomise",
            help="Hold the map against one from a shuffled encoder; doubles the time.",
        ),
    ] = True,
    batch_size: BatchSizeOption = 32,
    device: DeviceOption = "auto",
    precision: Annotated[
        str, typer.Option("--precision", help="The encoder's arithmetic: float32, bfloat16, auto.")
    ] = "float32",
) -> None:
    """Show which regions of a picture agree with what behaviour says about its item.

    Writes the picture beside its heatmaps, one a checkpoint, with a colour bar and the controls
    in words: whether the map speaks of this item at all.

    Example: becam explain --image x.jpg --item-id 42 --ckpt run/befa.pt --no-adapter -o x.png
    """
    import json

    from becam.attribution import Explainer
    from becam.figures.explanation import check_format, save_explanation
    from becam.files import atomic_file
    from becam.images import read_image
    from becam.options import parse_assignments

    check_format(output)
    options: dict[str, object] = dict(parse_assignments(method_option or ()))
    options |= {} if budget is None else {"budget": budget}
    options |= {} if tolerance is None else {"tolerance": tolerance}
    picture = read_image(image)
    explainer = Explainer(
        ckpt,
        no_adapter=no_adapter,
        encoder=encoder,
        weights=weights or (),
        target_layer=target_layer,
        masking=masking,  # type: ignore[arg-type]  # checked by name, with a sentence
        space=space,  # type: ignore[arg-type]
        method=method,
        method_options=options,
        randomise=randomise,
        batch_size=batch_size,
        device=device,
        precision=precision,
        progress=True,
    )
    heatmaps = explainer.explain(picture, item_id, user_id=user_id, text=text, like=like)
    title = image.name if item_id is None else f"{image.name}\nitem {item_id}"
    save_explanation(output, picture, heatmaps, title=title)
    for number, heatmap in enumerate(heatmaps):
        suffix = f".{number}.npz" if len(heatmaps) > 1 else ".npz"
        heatmap.save(output.with_suffix(suffix))
    with atomic_file(output.with_suffix(".json")) as temporary:
        record = {
            "image": str(image),
            "item_id": item_id,
            "heatmaps": [heatmap.to_dict() for heatmap in heatmaps],
        }
        temporary.write_text(json.dumps(record, indent=2, ensure_ascii=False), encoding="utf-8")
    for heatmap in heatmaps:
        layer = heatmap.options["target_layer"]
        typer.echo(f"{heatmap.label} ({heatmap.target}; target layer {layer})")
        for line in heatmap.controls.words():
            typer.echo(f"  {line}")
    typer.echo(f"Wrote {output}, its .npz and .json.")
