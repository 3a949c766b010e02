"""BeCAM's fast mode on photographs: how near its maps are to the exact ones, and how much faster.

    python benchmarks/fast_mode.py befa.pt photographs/ --pictures 50

Every picture is explained for two of the checkpoint's items, exactly (float32, all masks) and with
each budget. Columns: time against pytorch-grad-cam's Score-CAM on the same encoder, pictures and
items in the same run; Spearman's r with the exact map, median and worst tenth, of the map with
centred weights and of Eq. 2's; the correlation that the fast mode expects of itself beside the true
one (Pearson's r, centred weights, means over maps).
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.stats import pearsonr, spearmanr
from torch import nn
from tqdm import tqdm

from becam.attribution import Explainer
from becam.attribution.methods import BeCAM
from becam.attribution.target import Target, item_target
from becam.attribution.view import View
from becam.checkpoint import Checkpoint
from becam.data.pictures import below
from becam.images import read_image

ITEMS = 2


@dataclass
class Row:
    """What came of one budget in one precision."""

    seconds: list[float] = field(default_factory=list)
    spearman: dict[str, list[float]] = field(default_factory=lambda: {"centered": [], "cosine": []})
    expected: list[float] = field(default_factory=list)
    true: list[float] = field(default_factory=list)


class Similarity(nn.Module):
    """The peer's model: a picture to its similarity with a target."""

    def __init__(self, encoder: nn.Module, target: Target) -> None:
        super().__init__()
        self.encoder, self.target = encoder, target

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 1)."""
        return self.target.similarity(self.encoder.encode_image(pixels).float())[:, None]


def peer_seconds(view: View, target: Target) -> float:
    """grad-cam's Score-CAM on one picture, in batches of 16, its default."""
    from pytorch_grad_cam import ScoreCAM

    engine = view.engine
    layer = engine.encoder.vision.get_submodule(engine.layer.path)
    with ScoreCAM(
        Similarity(engine.encoder, target), [layer], reshape_transform=engine.layer.to_channels
    ) as cam:
        start = time.perf_counter()
        cam(input_tensor=view.pixels[None], targets=[lambda output: output[0]])
        return time.perf_counter() - start


def maps(view: View, targets: list[Target], budget: int) -> list[dict[str, NDArray[np.float32]]]:
    """One map a weighting for each target."""
    return [
        {
            weighting: BeCAM(weighting, budget=budget).saliency(view, target.on(view)).map.numpy()
            for weighting in ("centered", "cosine")
        }
        for target in targets
    ]


def measure(row: Row, view: View, targets: list[Target], budget: int, exact: list[dict]) -> None:
    """Add one picture to a row."""
    start = time.perf_counter()
    found = BeCAM("centered", budget=budget).saliency(view, targets[0].on(view))
    row.seconds.append(time.perf_counter() - start)
    for target, own, want in zip(targets, maps(view, targets, budget), exact, strict=True):
        for weighting, values in row.spearman.items():
            values.append(float(spearmanr(own[weighting].ravel(), want[weighting].ravel())[0]))
        row.true.append(float(pearsonr(own["centered"].ravel(), want["centered"].ravel())[0]))
        found = BeCAM("centered", budget=budget).saliency(view, target.on(view))
        row.expected.append(
            1.0 if found.expected_correlation is None else found.expected_correlation
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ckpt", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--pictures", type=int, default=50)
    parser.add_argument("--peer-pictures", type=int, default=3)
    parser.add_argument("--budgets", nargs="+", type=int, default=[0, 128, 64, 48, 32])
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    checkpoint = Checkpoint.load(arguments.ckpt)
    engines = {}
    for precision in ("float32", *arguments.precisions):
        explainer = Explainer(checkpoint, device=arguments.device, precision=precision)
        (engines[precision],) = explainer.engines.values()
        _ = engines[precision].fast
    paths = sorted(below(arguments.images))
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(paths))[: arguments.pictures]
    rows = {(k, p): Row() for k in arguments.budgets for p in arguments.precisions}
    peer: list[float] = []
    for number, place in enumerate(tqdm(chosen, unit="picture")):
        picture = read_image(paths[place])
        names = rng.choice(checkpoint.item_ids, ITEMS, replace=False)
        targets = [item_target(checkpoint, str(name), space="adapted") for name in names]
        view = engines["float32"].view(picture)
        if number < arguments.peer_pictures:
            peer.append(peer_seconds(view, targets[0]))
        exact = maps(view, targets, 0)
        for (budget, precision), row in rows.items():
            measure(row, engines[precision].view(picture), targets, budget, exact)
    masks = int(view.live.sum())
    title = f"{view.engine.encoder.record.describe()}: {masks} masks, {len(chosen)} photographs"
    table = Table(title=title)
    for column in (
        "masks",
        "precision",
        "seconds",
        "times Score-CAM",
        "r, centred",
        "worst tenth",
        "r, Eq. 2",
        "expected r",
        "true r",
    ):
        table.add_column(column, justify="left" if column == "precision" else "right")
    for (budget, precision), row in rows.items():
        seconds = float(np.median(row.seconds))
        table.add_row(
            str(budget or masks),
            precision,
            f"{seconds:.2f}",
            f"{np.median(peer) / seconds:.1f}",
            f"{np.median(row.spearman['centered']):.4f}",
            f"{np.quantile(row.spearman['centered'], 0.1):.4f}",
            f"{np.median(row.spearman['cosine']):.4f}",
            f"{np.mean(row.expected):.4f}",
            f"{np.mean(row.true):.4f}",
        )
    Console(width=130).print(table)
    print(f"Score-CAM: {np.median(peer):.2f} s a picture, median of {len(peer)}.")


if __name__ == "__main__":
    main()
