"""BeCAM against pytorch-grad-cam's Score-CAM: same encoder, picture, target and machine, one run.

    python benchmarks/attribution_speed.py                       # ViT-B-32 and RN50, CPU
    python benchmarks/attribution_speed.py --device cuda --batch-size 512 --models ViT-B-32 ViT-L-14

Weights are random, since time does not depend on them. Every row runs in a process of its own. The
work is the same: upsample each channel, mask the picture, encode, score. Maps are held against
those of exact float32: the largest difference relative to the largest value, and Spearman's r of
the map with centred weights. "Above the model" is the peak of resident memory (on CUDA: of
allocated memory) over what was there once the encoder was loaded. "Of peak" is the share of the
machine's own best matrix product in that precision that the masked pictures' products and
convolutions reach.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time
from dataclasses import dataclass

import numpy as np
import open_clip
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from becam.attribution.methods import BeCAM
from becam.attribution.target import Target
from becam.attribution.view import Engine, Settings, View
from becam.attribution.weighting import weighted_sum
from becam.checkpoint import Head, Modality
from becam.encoders.openclip import OpenClipEncoder
from becam.encoders.spec import EncoderRecord

PEER = "grad-cam's Score-CAM"


@dataclass(frozen=True)
class Row:
    """What one row does."""

    model: str
    name: str
    precision: str
    budget: int
    batch_size: int
    device: str
    threads: int


@dataclass(frozen=True)
class Found:
    """What came of it: seconds, of the first and of a second checkpoint; MiB; shares; the maps."""

    seconds: float
    again: float
    memory: float
    of_peak: float
    weights: np.ndarray
    activation: np.ndarray


def encoder(model: str, device: str) -> OpenClipEncoder:
    """A model of open_clip with random weights."""
    torch.manual_seed(0)
    built = open_clip.create_model(model, pretrained=None, load_weights=False)
    record = EncoderRecord(f"open_clip:{model}")
    preprocessing = open_clip.get_model_preprocess_cfg(built)
    tokenizer = open_clip.get_tokenizer(model)
    return OpenClipEncoder(built, tokenizer, preprocessing, record).to(torch.device(device))


def picture() -> Image.Image:
    """Smooth noise of many scales."""
    rng = np.random.default_rng(0)
    total = np.zeros((256, 256, 3))
    for side in (4, 8, 16, 32, 64, 128, 256):
        noise = Image.fromarray((255 * rng.random((side, side, 3))).astype(np.uint8))
        total += np.asarray(noise.resize((256, 256), Image.Resampling.BICUBIC), dtype=float)
    return Image.fromarray((total / 7).astype(np.uint8))


def target(dim: int, seed: int) -> Target:
    """A random projection to 64 dimensions and a random ID embedding, as of a checkpoint."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(64, dim, generator=generator) / dim**0.5
    adapter = {"name": "none", "config": {}, "state": {}}
    head = Head(Modality(weight, torch.zeros(64), adapter, {}))
    item = torch.randn(64, generator=generator)
    return Target("item", head, "adapted", item, item, None, item, None)


def run(row: Row) -> Found:
    """One row, in this process."""
    torch.set_num_threads(row.threads)
    model = encoder(row.model, row.device)
    pixels, geometry = model.preprocessing(picture())
    pixels = pixels.to(model.device)
    with torch.inference_mode():
        model.encode_image(pixels[None])
    before = _memory(row.device, reset=True)
    dtype = torch.bfloat16 if row.precision == "bfloat16" else torch.float32
    if row.name == PEER:
        return _peer(row, model, pixels, before)
    engine = Engine(model, model.target_layer(), Settings(batch_size=row.batch_size, dtype=dtype))
    method = BeCAM("softmax", budget=row.budget)
    _ = engine.fast  # made once for all pictures
    _sync(row.device)
    start = time.perf_counter()
    view = View(engine, pixels, geometry)
    saliency = method.saliency(view, target(model.dim, 0))
    _sync(row.device)
    seconds = time.perf_counter() - start
    memory = _memory(row.device) - before
    start = time.perf_counter()
    method.saliency(view, target(model.dim, 1))
    again = time.perf_counter() - start
    with FlopCounterMode(display=False) as counter:
        view.encode(view.coefficients[: row.batch_size])
    flops = counter.get_total_flops() / row.batch_size * (saliency.encoded or 0)
    similarities = _similarities(view, method, target(model.dim, 0))
    of_peak = flops / seconds / peak(row.device, dtype)
    return Found(seconds, again, memory, of_peak, similarities, view.activation.numpy())


def _similarities(view: View, method: BeCAM, aim: Target) -> np.ndarray:
    raw = BeCAM("cosine", budget=method.budget).saliency(view, aim)
    assert raw.weights is not None
    return raw.weights.numpy()


class Similarity(nn.Module):
    """The peer's model: a picture to its similarity."""

    def __init__(self, model: OpenClipEncoder, aim: Target) -> None:
        super().__init__()
        self.model, self.aim = model, aim

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """(B, 1)."""
        return self.aim.similarity(self.model.encode_image(pixels).float().cpu())[:, None]


def _peer(row: Row, model: OpenClipEncoder, pixels: torch.Tensor, before: float) -> Found:
    from pytorch_grad_cam import ScoreCAM

    layer = model.target_layer()
    scored: list[float] = []

    def score(output: torch.Tensor) -> torch.Tensor:
        scored.append(float(output[0]))
        return output[0]

    wrapped = Similarity(model, target(model.dim, 0))
    module = model.vision.get_submodule(layer.path)
    with ScoreCAM(wrapped, [module], reshape_transform=layer.to_channels) as cam:
        cam.batch_size = row.batch_size
        start = time.perf_counter()
        cam(input_tensor=pixels[None], targets=[score])
        seconds = time.perf_counter() - start
        activation = cam.activations_and_grads.activations[0][0].float().cpu().numpy()
    weights = np.array(scored[-len(activation) :], dtype=np.float32)
    return Found(seconds, seconds, _memory(row.device) - before, np.nan, weights, activation)


def peak(device: str, dtype: torch.dtype) -> float:
    """Products of matrices: the most operations a second that this machine was seen to do."""
    best = 0.0
    for size in (1024, 2048, 4096):
        a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
        for _ in range(5):
            _sync(device)
            start = time.perf_counter()
            a @ b
            _sync(device)
            best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def _memory(device: str, *, reset: bool = False) -> float:
    if device.startswith("cuda"):
        used = torch.cuda.memory_allocated() if reset else torch.cuda.max_memory_allocated()
        return used / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _sync(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def _differences(found: Found, exact: Found) -> tuple[float, float]:
    """Of the map with Eq. 2's weights, relative; Spearman's r of the map with centred weights."""
    maps, centred = [], []
    for one in (found, exact):
        activation, weights = torch.from_numpy(one.activation), torch.from_numpy(one.weights)
        maps.append(weighted_sum(activation, weights).numpy())
        centred.append(weighted_sum(activation, weights - weights.mean()).numpy())
    difference = np.abs(maps[0] - maps[1]).max() / np.abs(maps[1]).max()
    return float(difference), float(spearmanr(centred[0].ravel(), centred[1].ravel())[0])


def main() -> None:
    """Print a table for each model."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["ViT-B-32", "RN50"])
    parser.add_argument("--budgets", nargs="+", type=int, default=[64])
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--peer-batch-size", type=int, default=16, help="the peer's own default")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-peer", action="store_true")
    arguments = parser.parse_args()
    for model in arguments.models:
        rows = [
            Row(model, "exact", p, 0, arguments.batch_size, arguments.device, arguments.threads)
            for p in ("float32", "bfloat16")
        ]
        rows += [
            Row(
                model, f"{k} masks", p, k, arguments.batch_size, arguments.device, arguments.threads
            )
            for k in arguments.budgets
            for p in ("float32", "bfloat16")
        ]
        if not arguments.no_peer:
            size = arguments.peer_batch_size
            peer = Row(model, PEER, "float32", 0, size, arguments.device, arguments.threads)
            rows.insert(0, peer)
        _print(rows)


def _print(rows: list[Row]) -> None:
    results = {}
    for row in rows:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            results[row] = pool.apply(run, (row,))
    exact = next(results[row] for row in rows if row.name == "exact")
    table = Table(title=f"{rows[0].model}, {len(exact.weights)} masks, {rows[0].device}")
    for column in (
        "method",
        "precision",
        "seconds",
        "times faster",
        "second checkpoint",
        "of peak",
        "MiB above the model",
        "map differs by",
        "r, centred",
    ):
        table.add_column(column, justify="left" if column in ("method", "precision") else "right")
    base = results[rows[0]].seconds
    for row in rows:
        found = results[row]
        difference, spearman = _differences(found, exact)
        table.add_row(
            row.name,
            row.precision,
            f"{found.seconds:.2f}",
            f"{base / found.seconds:.1f}",
            "the same again" if row.name == PEER else f"+{found.again / found.seconds:.1%}",
            "" if np.isnan(found.of_peak) else f"{found.of_peak:.0%}",
            f"{found.memory:,.0f}",
            f"{difference:.1e}",
            f"{spearman:.4f}",
        )
    Console(width=150).print(table)


if __name__ == "__main__":
    main()
