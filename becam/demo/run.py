"""The demo, step by step: draw, prepare, extract, train twice, explain, and show."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from becam.attribution import Explainer, Heatmap
from becam.attribution.heatmap import place, stretch
from becam.attribution.methods import BeCAM
from becam.attribution.target import Space, itself_target
from becam.checkpoint import Checkpoint
from becam.data.catalogue.attributes import CLASSES
from becam.data.catalogue.build import build_catalogue
from becam.data.catalogue.reading import read_captions, read_labels
from becam.data.dataset import Dataset
from becam.data.preparation import prepare_dataset
from becam.demo.page import PAGE, VIEWS, ItemCard, MapPanel, MapView, write_page
from becam.demo.progress import Progress
from becam.encoders.extraction import extract_features
from becam.evaluation.floors import FLOOR_METHODS
from becam.evaluation.localisation import area_shares, energy_shares
from becam.figures.overlay import overlay
from becam.files import check_output_folder, filling, sweep
from becam.images import read_image
from becam.progress import track
from becam.training import train
from becam.training.scoring import baselines

N_ITEMS = 600
N_USERS = 1500
N_EXPLAINED = 12
BEFORE, AFTER = "before: BM3", "after: BM3 + BeFA"

_K_CORE = 5
_EPOCHS = 150
_PICTURE_WIDTH = 340
_LABELS = dict(enumerate(CLASSES))


def run_demo(
    output: str | Path,
    *,
    encoder: str = "becam:vit",
    seed: int = 0,
    device: str = "auto",
    overwrite: bool = False,
) -> Path:
    """Make the demo's folder; the path of its page.

    Args:
        output: the folder: ``catalogue``, ``dataset``, ``bm3``, ``bm3-befa``, ``index.html``.
        encoder: ``becam:vit``, ``becam:resnet``, or any other whose weights need no path.
        seed: of the catalogue, the tastes, the split and the training.
        device: ``auto``, ``cpu``, ``cuda``.
        overwrite: replace the results of an earlier demo in that folder.

    A demo that was stopped goes on where it was.

    Raises:
        BecamError: the folder has results of another demo or what is no demo's, or the encoder
            cannot be had.
    """
    started = time.monotonic()
    folder = Path(output)
    check_output_folder(folder)
    with filling(folder) as alone:
        sweep(folder, alone=alone)
        options = {"encoder": encoder, "seed": seed, "items": N_ITEMS, "users": N_USERS}
        progress = Progress.begin(folder, options, overwrite=overwrite)
        return _make(folder, progress, encoder=encoder, seed=seed, device=device, started=started)


def _make(
    folder: Path, progress: Progress, *, encoder: str, seed: int, device: str, started: float
) -> Path:
    catalogue = folder / "catalogue"
    if not progress.has("catalogue"):
        build_catalogue(catalogue, n_items=N_ITEMS, n_users=N_USERS, seed=seed, overwrite=True)
        progress.keep("catalogue")
    if not progress.has("dataset"):
        prepare_dataset(
            "csv", catalogue, folder / "dataset", k_core=_K_CORE, seed=seed, overwrite=True
        )
        progress.keep("dataset")
    dataset = Dataset.open(folder / "dataset")
    extract_features(dataset, encoder, device=device, seed=seed)
    checkpoints = []
    for adapter, name in (("none", "bm3"), ("befa", "bm3-befa")):
        trained = train(
            dataset,
            adapter=adapter,
            epochs=_EPOCHS,
            seed=seed,
            device=device,
            output=folder / name,
            overwrite=not progress.has(name),
            resume=progress.has(name),
        )
        if trained.training["stopped"] == "interrupted":
            raise KeyboardInterrupt  # half a training is no demo; the same command goes on
        progress.keep(name)
        checkpoints.append(trained)
    explainers = {
        space: Explainer(checkpoints, labels=[BEFORE, AFTER], space=space, device=device)
        for space in dict.fromkeys(view.space for view in VIEWS)
    }
    captions = read_captions(catalogue)
    gallery = [
        _explain(explainers, dataset, catalogue, item, captions)
        for item in track(
            one_of_each_kind(dataset, N_EXPLAINED), desc="Explaining pictures", unit="item"
        )
    ]
    cards = [card for card, _ in gallery]
    write_page(
        folder / PAGE,
        cards=cards,
        energy=_energy_rows(cards, [floors for _, floors in gallery]),
        ranking=_ranking_rows(dataset, checkpoints),
        n_items=dataset.n_items,
        n_users=dataset.n_users,
        encoder=encoder,
        rule="the first item of each product type in the catalogue's order",
        seconds=time.monotonic() - started,
        seed=seed,
        version=version("becam"),
    )
    progress.keep(PAGE)
    return folder / PAGE


def one_of_each_kind(dataset: Dataset, count: int) -> list[int]:
    """Indices of the first item of each category, then the second of each, up to ``count``."""
    rank = pl.int_range(pl.len()).over("category")
    ordered = dataset.items.with_columns(rank=rank).sort("rank", "item").head(count)
    return [int(item) for item in ordered["item"]]


def _explain(
    explainers: dict[Space, Explainer],
    dataset: Dataset,
    catalogue: Path,
    item: int,
    captions: dict[str, str],
) -> tuple[ItemCard, dict[str, dict[str, float]]]:
    row = dataset.items.row(item, named=True)
    path = dataset.image_path(item)
    assert path is not None  # the catalogue draws a picture for every item
    picture = read_image(path)
    labels = read_labels(catalogue, row["id"])
    encoded = next(iter(explainers.values())).encode(picture)  # the others share it
    maps = [
        _panel(heatmap, view, picture, labels)
        for view in VIEWS
        for heatmap in explainers[view.space].score(
            encoded, row["id"], method=BeCAM(view.weighting)
        )
    ]
    (view,) = encoded.values()
    floors = {
        name: place(
            stretch(floor.saliency(view, itself_target(view)).map.clamp(min=0).numpy()),
            view.geometry,
        )
        for name, floor in FLOOR_METHODS.items()
    }
    area = area_shares(next(iter(floors.values())), labels, _LABELS)
    shares = {name: energy_shares(values, labels, _LABELS) for name, values in floors.items()}
    card = ItemCard(row["id"], row["text"], captions[row["id"]], _scaled(picture), area, maps)
    return card, shares | {"area": area}


def _panel(
    heatmap: Heatmap, view: MapView, picture: Image.Image, labels: NDArray[np.uint8]
) -> MapPanel:
    warnings = heatmap.controls.warnings()
    return MapPanel(
        name=heatmap.label,
        view=view.key,
        overlay=_scaled(overlay(picture, heatmap)),
        shares=energy_shares(heatmap.full(), labels, _LABELS),
        warnings=warnings,
        notes=heatmap.controls.words()[len(warnings) :],
    )


def _scaled(picture: Image.Image) -> Image.Image:
    height = round(picture.height * _PICTURE_WIDTH / picture.width)
    return picture.resize((_PICTURE_WIDTH, height), Image.Resampling.LANCZOS)


def _energy_rows(
    cards: list[ItemCard], floors: list[dict[str, dict[str, float]]]
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for view in VIEWS:
        for name in (BEFORE, AFTER):
            found = [
                panel.shares
                for card in cards
                for panel in card.maps
                if panel.name == name and panel.view == view.key
            ]
            rows.append({"name": name, "view": view.key, "shares": _mean(found)})
    for name in (*FLOOR_METHODS, "area"):
        shares = _mean([floor[name] for floor in floors])
        rows.append({"name": name, "view": "", "shares": shares})
    return rows


def _mean(shares: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([share[name] for share in shares])) for name in shares[0]}


def _ranking_rows(dataset: Dataset, checkpoints: list[Checkpoint]) -> list[dict[str, object]]:
    floors = baselines(dataset, mask_validation=False)
    results = {
        "random": floors["random"],
        "popularity": floors["popularity"],
        BEFORE: checkpoints[0].metrics["test"],
        AFTER: checkpoints[1].metrics["test"],
    }
    return [
        {"name": name, "recall": metrics["recall@20"], "ndcg": metrics["ndcg@20"]}
        for name, metrics in results.items()
    ]
