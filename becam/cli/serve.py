"""``becam serve``: the explorer, in a browser on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from becam.cli.options import (
    CheckpointEncoderOption,
    CheckpointsArgument,
    CheckpointWeightsOption,
    DeviceOption,
    MaskBatchSizeOption,
    MaskingOption,
    PrecisionOption,
    TargetLayerOption,
)
from becam.terminal import say


def serve(
    checkpoints: CheckpointsArgument,
    dataset: Annotated[
        Path | None,
        typer.Option(
            "--dataset",
            help="The dataset that they were trained on, for pictures and texts of its items.",
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            help="Where to listen. Anything but the default lets others in, without a login.",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option("--port", min=0, max=65535, help="Where to listen; 0 takes any that is free."),
    ] = 8420,
    browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser.")
    ] = False,
    masking: MaskingOption = "mean",
    target_layer: TargetLayerOption = None,
    encoder: CheckpointEncoderOption = None,
    weights: CheckpointWeightsOption = None,
    batch_size: MaskBatchSizeOption = None,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "float32",
) -> None:
    """Explore pictures, items and users in a browser: upload, choose, compare, download.

    Each checkpoint is a column, and one that has an adapter is two: before and after it. Pictures
    stay on this machine, in memory, and are forgotten when the command ends.

    Example: becam serve run/bm3/befa.pt run/bm3-befa/befa.pt --dataset shop --open
    """
    from becam.errors import BecamError

    try:
        from becam.explorer.app import create_app
        from becam.explorer.guard import Hosts, is_loopback
        from becam.explorer.server import address, listen, run
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "pydantic", "starlette", "uvicorn"):
            raise
        raise BecamError("The explorer needs more: pip install 'becam[serve]'.") from None
    listening = listen(host, port)  # before anything takes time
    say(f"Loading {len(checkpoints)} checkpoint(s) and their encoders ...", err=True)
    app = create_app(
        checkpoints,
        dataset,
        hosts=Hosts.listening_on(host),
        encoder=encoder,
        weights=weights or (),
        target_layer=target_layer,
        masking=masking,
        batch_size=batch_size,
        device=device,
        precision=precision,
    )
    url = address(host, listening)
    say(app.state.explorer.words())
    if not is_loopback(host):
        say(
            "becam: whoever reaches this machine can use the explorer and see the dataset's "
            "pictures; there is no login.",
            err=True,
        )
    say(f"Open {url} (Ctrl-C ends it).")
    if browser:
        import webbrowser

        webbrowser.open(url)
    run(app, listening)
