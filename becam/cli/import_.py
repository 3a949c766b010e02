"""``becam import``: the weight files of BeFA's authors to a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from becam.cli.options import OverwriteOption
from becam.terminal import say


def import_(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER",
            help="With item_id_embedding_*.npy, image_trs_*.pt and text_trs_*.pt, and the gates "
            "gate_v_*.pt and gate_t_*.pt; without a gate there is no adapter.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="CKPT", help="The checkpoint to write."),
    ],
    name: Annotated[
        str | None,
        typer.Option(
            "--name",
            metavar="SUFFIX",
            help="What the names of the files end in (BM3, MGCN, ...), where there are several.",
        ),
    ] = None,
    dataset: Annotated[
        Path | None,
        typer.Option(
            "--dataset",
            metavar="DATASET",
            help="A prepared dataset of the same items in the same order, as becam prepare mmrec "
            "keeps them: its ids and the encoders of its features are recorded.",
        ),
    ] = None,
    features: Annotated[
        str | None,
        typer.Option("--features", metavar="NAME", help="Its feature set; default: the only one."),
    ] = None,
    ids: Annotated[
        Path | None,
        typer.Option(
            "--ids",
            metavar="IDS",
            help="The rows' item ids: one a line, a table with --item-column, or MMRec's "
            "i_id_mapping.csv. Default: the dataset's, or else the row numbers from 0.",
        ),
    ] = None,
    item_column: Annotated[
        str | None, typer.Option("--item-column", help="The column of the ids in --ids.")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            "--encoder",
            metavar="SPEC",
            help="What made the picture features, where no dataset tells it; becam explain takes "
            "it as well.",
        ),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="The encoder's local weights file.")
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Make a checkpoint of the weight files that BeFA's authors released, to explain its items.

    The files hold neither users nor a recommender, so becam evaluate has nothing to rank with.

    Example: becam import weights/ --name MGCN --dataset DATASET -o befa.pt
    """
    from becam.checkpoint import check_checkpoint_output
    from becam.data.dataset import Dataset
    from becam.encoders import EncoderRecord
    from becam.errors import BecamError
    from becam.interop.release import ITEMS, Release, import_release, read_item_ids
    from becam.interop.vectors import read_vectors

    check_checkpoint_output(output, overwrite=overwrite, inputs=[ids, weights])
    for option, given, needed, there in (
        ("--features", features, "--dataset", dataset),
        ("--item-column", item_column, "--ids", ids),
        ("--weights", weights, "--encoder", encoder),
    ):
        if given is not None and there is None:
            raise BecamError(f"{option} belongs to {needed}; give both, or leave {option} out.")
    item_ids = None
    if ids is not None:
        items = read_vectors(Release.find(folder, name).path(ITEMS, ".npy"))
        item_ids = read_item_ids(ids, len(items), item_column)
    checkpoint = import_release(
        folder,
        name=name,
        dataset=None if dataset is None else Dataset.open(dataset),
        features=features,
        item_ids=item_ids,
        encoder=encoder,
        weights=weights,
    )
    checkpoint.save(output)
    say(f"{len(checkpoint.item_ids):,} items, such as {checkpoint.item_ids[0]!r}")
    for modality, found in checkpoint.modalities.items():
        dim, width = found.projection_weight.shape
        record = EncoderRecord.from_dict(found.encoder)
        say(
            f"{modality}: {width} to {dim}, adapter {found.adapter['name']}, features of "
            f"{record.describe()}"
        )
    image = checkpoint.modalities.get("image")
    more = " --encoder SPEC" if image is not None and image.encoder.get("spec") is None else ""
    say(f"Wrote {output}; next: becam explain --image PICTURE --item-id ID --ckpt {output}{more}")
