"""Train the small CLIPs that ship with becam on scenes of the synthetic catalogue.

    python scripts/train_embedded_encoders.py --model vit --minutes 45 --threads 1

writes NAME.safetensors (half precision) and NAME.json (config, vocabulary, measured retrieval)
into ``becam/encoders/embedded``. Checkpoints go to the same place every few minutes, so a run
that is stopped early leaves usable weights.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn

from becam.data.catalogue.attributes import COLOURS, PATTERNS, TYPES, SceneSpec
from becam.data.catalogue.captions import caption, item_text, phrase
from becam.data.catalogue.render import render
from becam.data.catalogue.sample import sample_scene
from becam.devices import autocast, resolve_device, resolve_precision
from becam.encoders.embedded.load import build, load_files, tokenizer
from becam.encoders.embedded.tokenizer import WordTokenizer, words
from becam.files import atomic_file
from becam.progress import bar, track

CONTEXT = 64
TEXT = {"context_length": CONTEXT, "width": 128, "heads": 4, "layers": 2}
MODELS: dict[str, dict[str, Any]] = {
    "vit": {
        "embed_dim": 192,
        "vision_cfg": {
            "image_size": 112,
            "patch_size": 16,
            "width": 192,
            "head_width": 64,
            "layers": 6,
        },
        "text_cfg": TEXT,
    },
    "resnet": {
        "embed_dim": 192,
        "vision_cfg": {"image_size": 160, "layers": [1, 1, 1, 1], "width": 16, "head_width": 64},
        "text_cfg": TEXT,
    },
}
SMALL_SIZES = {"vit": 80, "resnet": 96}
"""Training starts at these resolutions, where a step costs about half."""
SMALL_SHARE = 0.5
POOL_SIZE = 176
HELD_OUT_SEED = 2**31 + 1
PAIRS = 1000


def main() -> None:
    """Parse the command line, train, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=sorted(MODELS), required=True)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="wall-clock budget of the training loop")
    length.add_argument("--steps", type=int, help="number of optimiser steps")
    parser.add_argument("--output", type=Path, default=Path("becam/encoders/embedded"))
    parser.add_argument(
        "--resume", action="store_true", help="go on from the weights in OUTPUT, at full resolution"
    )
    parser.add_argument("--pool", type=Path, help="where rendered scenes are kept for the next run")
    parser.add_argument("--scenes", type=int, default=36000)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--checkpoint-minutes", type=float, default=6.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    with tempfile.TemporaryDirectory() as scratch:
        pool = options.pool or Path(scratch) / "pool.npy"
        if not pool.exists():
            render_pool(pool, options.scenes, options.seed, options.threads)
        train(options, np.load(pool, mmap_mode="r"))


# Data ---------------------------------------------------------------------------------------


def scene(seed: int, index: int) -> SceneSpec:
    """The scene at a place of a seed's endless sequence."""
    return sample_scene(np.random.default_rng([seed, index]))


def square(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The central square of an image whose shorter side is ``size``."""
    top, left = (image.shape[0] - size) // 2, (image.shape[1] - size) // 2
    return image[top : top + size, left : left + size]


def _pool_entry(arguments: tuple[int, int]) -> NDArray[np.uint8]:
    return square(render(scene(*arguments), POOL_SIZE).image, POOL_SIZE)


def render_pool(path: Path, count: int, seed: int, workers: int) -> None:
    """Render the training scenes to a uint8 array (count, size, size, 3) on disk."""
    with atomic_file(path) as temporary, multiprocessing.Pool(workers) as processes:
        pool = np.lib.format.open_memmap(
            temporary, "w+", np.uint8, (count, POOL_SIZE, POOL_SIZE, 3)
        )
        rendered = processes.imap(_pool_entry, ((seed, i) for i in range(count)), chunksize=64)
        for index, image in enumerate(track(rendered, desc="render", total=count, unit="scene")):
            pool[index] = image
        pool.flush()


def vocabulary(seed: int, texts: int = 8000) -> list[str]:
    """Every word of the captions' and item texts' grammar, found by writing many of them."""
    rng = np.random.default_rng([seed, 2**20])
    known: set[str] = set()
    for _ in range(texts):
        spec = sample_scene(rng)
        known.update(words(caption(spec, rng)), words(item_text(spec, rng)))
    return sorted(known)


def augmented(
    image: NDArray[np.uint8], spec: SceneSpec, size: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A mild random crop, scaled to ``size``; mirrored half the time where nothing is printed."""
    side = int(POOL_SIZE * rng.uniform(0.86, 1.0))
    top, left = rng.integers(0, POOL_SIZE - side + 1, 2)
    crop = cv2.resize(
        image[top : top + side, left : left + side], (size, size), interpolation=cv2.INTER_AREA
    )
    return crop[:, ::-1] if spec.sign is None and rng.random() < 0.5 else crop


def batches(
    pool: NDArray[np.uint8], specs: list[SceneSpec], size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Random batches of indices, epoch after epoch."""
    while True:
        order = rng.permutation(len(pool))
        for start in range(0, len(order) - size + 1, size):
            yield np.sort(order[start : start + size])


@dataclass(frozen=True)
class ProductText:
    """A text about a product, and what it says of it; None is left open."""

    text: str
    type: str
    colour: str | None
    pattern: str | None


def product_text(spec: SceneSpec, rng: np.random.Generator) -> ProductText:
    """The product alone: a phrase, a shop's words, or only some of its attributes."""
    product = spec.product
    choice = rng.random()
    if choice < 0.6:
        text = phrase(product, rng) if choice < 0.35 else item_text(spec, rng)
        return ProductText(text, product.type, product.colour, product.pattern)
    colour = product.colour if 0.7 <= choice < 0.85 else None
    pattern = product.pattern if choice >= 0.85 else None
    shown = {None: None, "solid": "plain"}.get(pattern, pattern)
    text = " ".join(word for word in ("a", colour, shown, product.type) if word)
    return ProductText(text, product.type, colour, pattern)


# Training -----------------------------------------------------------------------------------


def train(options: argparse.Namespace, pool: NDArray[np.uint8]) -> None:
    """The training loop: symmetric InfoNCE with full captions and with product texts."""
    device = resolve_device(options.device)
    precision = resolve_precision("auto", device)
    specs = [scene(options.seed, index) for index in range(len(pool))]
    model, config, earlier = begin(options)
    rng = np.random.default_rng([options.seed, sum(run["steps"] for run in earlier)])
    tokenize = tokenizer(config)
    model = model.to(device).train()
    optimizer = torch.optim.AdamW(
        parameter_groups(model), lr=options.learning_rate, betas=(0.9, 0.98)
    )
    held_out = render_held_out()

    full = config["model_cfg"]["vision_cfg"]["image_size"]
    resolution = full if options.resume else SMALL_SIZES[options.model]
    set_resolution(model, optimizer, resolution)
    start = saved = time.monotonic()
    with bar(desc=options.model, total=options.steps, unit="step") as progress:
        for step, chosen in enumerate(batches(pool, specs, options.batch_size, rng)):
            elapsed = time.monotonic() - start
            done = step / options.steps if options.steps else elapsed / (60 * options.minutes)
            if done >= 1:
                break
            if done >= SMALL_SHARE and resolution != full:
                resolution = full
                set_resolution(model, optimizer, resolution)
            for group in optimizer.param_groups:
                group["lr"] = options.learning_rate * schedule(done)
            chosen_specs = [specs[i] for i in chosen]
            pixels = normalised(
                np.stack([augmented(pool[i], specs[i], resolution, rng) for i in chosen]),
                device,
            )
            long = trimmed(tokenize([caption(spec, rng) for spec in chosen_specs])).to(device)
            about = [product_text(spec, rng) for spec in chosen_specs]
            short = trimmed(tokenize([text.text for text in about])).to(device)
            with autocast(device, precision):
                image = F.normalize(model.encode_image(pixels).float(), dim=-1)
                caption_features = F.normalize(encode_trimmed(model, long).float(), dim=-1)
                product_features = F.normalize(encode_trimmed(model, short).float(), dim=-1)
            scale = model.logit_scale.exp()
            loss = info_nce(image, caption_features, scale)
            ignore = also_true(chosen_specs, about).to(device)
            loss = loss + info_nce(image, product_features, scale, ignore)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            with torch.no_grad():
                model.logit_scale.clamp_(0, math.log(100))
            progress.update()
            progress.set_postfix(loss=f"{loss.item():.3f}", done=f"{done:.3f}", refresh=False)
            if time.monotonic() - saved > 60 * options.checkpoint_minutes and resolution == full:
                record = training_record(options, step + 1, len(pool), time.monotonic() - start)
                report(save(model, config, [*earlier, record], options, held_out))
                saved = time.monotonic()
    record = training_record(options, step, len(pool), time.monotonic() - start)
    if resolution != full:
        set_resolution(model, optimizer, full)
    report(save(model, config, [*earlier, record], options, held_out))


def begin(options: argparse.Namespace) -> tuple[Any, dict[str, Any], list[dict[str, Any]]]:
    """A model, its config and the records of the runs that made it so far."""
    if not options.resume:
        config = new_config(options.model, vocabulary(options.seed))
        return build(config), config, []
    stored = options.output / f"{options.model}.json"
    config = json.loads(stored.read_text(encoding="utf-8"))
    earlier = config.pop("training")
    del config["measured"]
    model, _, _ = load_files(stored.with_suffix(".safetensors"), config)
    return model, config, earlier


def new_config(name: str, known: list[str]) -> dict[str, Any]:
    """A config without measurements."""
    model_cfg = json.loads(json.dumps(MODELS[name]))
    model_cfg["text_cfg"]["vocab_size"] = WordTokenizer(known, CONTEXT).vocab_size
    return {
        "model_cfg": model_cfg,
        "preprocess_cfg": {
            "size": model_cfg["vision_cfg"]["image_size"],
            "mean": list(OPENAI_DATASET_MEAN),
            "std": list(OPENAI_DATASET_STD),
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
        "vocabulary": known,
    }


def parameter_groups(model: nn.Module) -> list[dict[str, Any]]:
    """Weight decay on matrices alone."""
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    others = [p for p in model.parameters() if p.ndim < 2]
    return [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]


def schedule(done: float, warmup: float = 0.04) -> float:
    """Linear warm-up, then a cosine to 1%."""
    if done < warmup:
        return (done + 1e-3) / warmup
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))


def set_resolution(model: Any, optimizer: torch.optim.Optimizer, size: int) -> None:
    """Let the vision tower take another image size: interpolate its position embedding."""
    visual = model.visual
    holder = visual if hasattr(visual, "transformer") else visual.attnpool
    side = size // (visual.patch_size[0] if holder is visual else 32)
    before = holder.positional_embedding
    head, grid = before.data[:1], before.data[1:]
    old = math.isqrt(len(grid))
    grid = grid.T.reshape(1, -1, old, old)
    grid = F.interpolate(grid, (side, side), mode="bicubic", antialias=side < old)
    after = nn.Parameter(torch.cat([head, grid.reshape(grid.shape[1], -1).T]).contiguous())
    holder.positional_embedding = after
    optimizer.state.pop(before, None)
    for group in optimizer.param_groups:
        group["params"] = [after if p is before else p for p in group["params"]]


def trimmed(ids: Tensor) -> Tensor:
    """Without the columns that are padding in every row."""
    return ids[:, : int((ids != 0).sum(1).max())]


def encode_trimmed(model: Any, ids: Tensor) -> Tensor:
    """``model.encode_text`` of trimmed ids: open_clip itself takes full rows only."""
    length = ids.shape[1]
    tokens = model.token_embedding(ids) + model.positional_embedding[:length]
    hidden = model.transformer(tokens, attn_mask=model.attn_mask[:length, :length])
    pooled = model.ln_final(hidden)[torch.arange(len(ids)), ids.argmax(1)]
    return pooled @ model.text_projection


def normalised(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 (B, H, W, 3) to normalised pixels (B, 3, H, W)."""
    pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor(OPENAI_DATASET_MEAN, device=device)[:, None, None]
    std = torch.tensor(OPENAI_DATASET_STD, device=device)[:, None, None]
    return (pixels - mean) / std


def also_true(specs: list[SceneSpec], texts: list[ProductText]) -> Tensor:
    """(B, B): text j is true of image i too though it was written for j: no negative pair."""
    true = np.ones((len(specs), len(specs)), dtype=bool)
    for field in ("type", "colour", "pattern"):
        shown = np.array([getattr(spec.product, field) for spec in specs])[:, None]
        said = np.array([getattr(text, field) or "" for text in texts])[None]
        true &= (said == "") | (said == shown)
    np.fill_diagonal(true, False)
    return torch.from_numpy(true)


def info_nce(image: Tensor, text: Tensor, scale: Tensor, ignore: Tensor | None = None) -> Tensor:
    """Symmetric InfoNCE of normalised features (B, d), leaving out the pairs to ignore."""
    logits = scale * image @ text.T
    if ignore is not None:
        logits = logits.masked_fill(ignore, -torch.inf)
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2


# Saving and measuring -----------------------------------------------------------------------


def training_record(
    options: argparse.Namespace, steps: int, scenes: int, seconds: float
) -> dict[str, Any]:
    """One run, for the config."""
    return {
        "steps": steps,
        "batch_size": options.batch_size,
        "scenes": scenes,
        "seed": options.seed,
        "minutes": round(seconds / 60, 1),
        "learning_rate": options.learning_rate,
    }


def save(
    model: nn.Module,
    config: dict[str, Any],
    records: list[dict[str, Any]],
    options: argparse.Namespace,
    held_out: list[tuple[SceneSpec, str, NDArray[np.uint8]]],
) -> dict[str, float]:
    """Write weights and config; the measurements are those of the file that was written."""
    state = {
        key: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for key, value in model.state_dict().items()
    }
    weights = options.output / f"{options.model}.safetensors"
    with atomic_file(weights) as temporary:
        save_file(state, temporary)
    measured = measure(weights, config, held_out)
    written = {**config, "training": records, "measured": measured}
    with atomic_file(options.output / f"{options.model}.json") as temporary:
        temporary.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return measured


def report(measured: dict[str, float]) -> None:
    """Print the measurements on one line."""
    print(json.dumps(measured), flush=True)


def render_held_out() -> list[tuple[SceneSpec, str, NDArray[np.uint8]]]:
    """Scenes, captions and pictures that no training run sees."""
    result = []
    for index in range(PAIRS):
        spec = scene(HELD_OUT_SEED, index)
        text = caption(spec, np.random.default_rng([HELD_OUT_SEED, index, 1]))
        result.append((spec, text, render(spec, 256).image))
    return result


@torch.inference_mode()
def measure(
    weights: Path,
    config: dict[str, Any],
    held_out: list[tuple[SceneSpec, str, NDArray[np.uint8]]],
) -> dict[str, float]:
    """Image-to-caption recall among the held-out pairs, and zero-shot accuracy of the product.

    Colour and pattern are asked with the type given (``a red dress``, ``a blue dress``, ...).
    """
    model: Any
    model, tokenize, _ = load_files(weights, config)
    preprocess = image_transform_v2(PreprocessCfg(**config["preprocess_cfg"]), is_train=False)
    pixels = torch.stack([preprocess(Image.fromarray(image)) for _, _, image in held_out])
    image = torch.cat([model.encode_image(part, normalize=True) for part in pixels.split(100)])

    def encode(texts: list[str]) -> Tensor:
        parts = tokenize(texts).split(250)
        return torch.cat([model.encode_text(part, normalize=True) for part in parts])

    similarity = image @ encode([text for _, text, _ in held_out]).T
    rank = (similarity > similarity.diagonal()[:, None]).sum(1)
    products = [spec.product for spec, _, _ in held_out]
    kinds = {name: index for index, name in enumerate(TYPES)}
    kind = torch.tensor([kinds[product.type] for product in products])

    def accuracy(prompts: Tensor, truth: list[int]) -> float:
        guess = torch.einsum("id,icd->ic", image, prompts).argmax(1)
        return round((guess == torch.tensor(truth)).float().mean().item(), 3)

    by_type = encode([f"a {name}" for name in TYPES])
    by_colour = encode([f"a {c} {name}" for name in TYPES for c in COLOURS])
    plain = {"solid": "plain"}
    by_pattern = encode([f"a {plain.get(p, p)} {name}" for name in TYPES for p in PATTERNS])
    return {
        "pairs": len(held_out),
        "recall@1": round((rank < 1).float().mean().item(), 3),
        "recall@5": round((rank < 5).float().mean().item(), 3),
        "zero_shot_type": accuracy(
            by_type.expand(len(image), -1, -1), [kinds[p.type] for p in products]
        ),
        "zero_shot_colour": accuracy(
            by_colour.unflatten(0, (len(TYPES), -1))[kind],
            [COLOURS.index(p.colour) for p in products],
        ),
        "zero_shot_pattern": accuracy(
            by_pattern.unflatten(0, (len(TYPES), -1))[kind],
            [PATTERNS.index(p.pattern) for p in products],
        ),
    }


if __name__ == "__main__":
    main()
