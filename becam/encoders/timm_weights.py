"""Weights of timm's models from a local file, as timm itself would load them from its hub."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import _builder
from torch import Tensor, nn

from becam.encoders.envelopes import without_common_prefix, without_prefix
from becam.encoders.phrases import describe_mismatch
from becam.encoders.spec import EncoderSpec
from becam.encoders.timm_options import refused_options
from becam.encoders.weights import check_numbers
from becam.errors import BecamError, printable

Filter = Callable[..., dict[str, Tensor]]

_SLACK = 1 << 26
_PATCHING = threading.Lock()
_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Release:
    """What timm knows of the released weights of a model.

    Attributes:
        names: of all parameters, the classifier's among them.
        renamed: timm's own change of a released state dict, which brings it under today's names
            and resamples positions for another grid; None where there is none.
    """

    names: frozenset[str]
    renamed: Filter | None


def release_of(
    name: str, arguments: Mapping[str, Any], spec: EncoderSpec, stored: int | None
) -> Release:
    """What timm knows of the weights of a model; the model is sketched, no memory is taken for it.

    Args:
        name: timm's, with the tag.
        arguments: of the model.
        spec: for sentences.
        stored: numbers in the weights file; None where the weights come from timm's hub.

    Raises:
        BecamError: timm does not take the arguments, or with them the model would be larger than
            its weights.
    """
    sketch, renamed = _sketch(name, arguments, spec)
    largest = 4 * (_size(_sketch(name, {}, spec)[0]) if stored is None else stored) + _SLACK
    if _size(sketch) > largest:
        raise BecamError(
            f"With the options of {printable(str(spec))} timm's {spec.name} would have "
            f"{_size(sketch):,} numbers, far more than its weights; change the options."
        )
    return Release(frozenset(sketch.state_dict()), renamed)


def load_weights(
    model: Any, state: Mapping[str, Tensor], release: Release, weights: Path, spec: EncoderSpec
) -> None:
    """Load a file's state dict into a trunk without classifier.

    What the whole model has and the trunk lacks is left out; everything else must fit.

    Raises:
        BecamError: the state dict is not of this model, or holds numbers that cannot be weights.
    """
    own = model.state_dict().keys()
    reason = ""
    for named in (without_prefix(state, own, weights), without_common_prefix(state, own)):
        trunk = {
            name: tensor
            for name, tensor in _renamed(named, model, release.renamed).items()
            if name in own or name not in release.names
        }
        missing = [k for k in sorted(own - trunk.keys()) if not k.endswith(_COUNTER)]
        unexpected = sorted(trunk.keys() - own)
        if not missing and not unexpected:
            break
        reason = reason or describe_mismatch(missing, unexpected)
    else:
        raise BecamError(
            f"{weights} does not fit timm's {spec.name} ({reason}); check the model name and the "
            "file."
        )
    check_numbers(trunk, model, weights)
    try:
        model.load_state_dict(trunk, strict=False)
    except RuntimeError:
        raise BecamError(
            f"{weights} has other shapes than timm's {spec.name}; check the model name and options."
        ) from None


def _sketch(
    name: str, arguments: Mapping[str, Any], spec: EncoderSpec
) -> tuple[nn.Module, Filter | None]:
    """The whole model without memory for its weights, and the filter that timm would load with."""
    with _noted_filters() as filters:
        try:
            with torch.device("meta"):
                model: nn.Module = timm.create_model(name, pretrained=True, **arguments)
        except Exception as error:
            raise refused_options(spec, error) from None
    return model, filters[-1] if filters else None


@contextmanager
def _noted_filters() -> Iterator[list[Filter | None]]:
    """Let timm's builder note the filter of a model in place of fetching its weights.

    timm hands the filter from the model's module to its loader and keeps it nowhere.
    """
    filters: list[Filter | None] = []

    def note(*_: Any, filter_fn: Filter | None = None, **__: Any) -> None:
        filters.append(filter_fn)

    with _PATCHING:
        loader = _builder.load_pretrained
        _builder.load_pretrained = note
        try:
            yield filters
        finally:
            _builder.load_pretrained = loader


def _renamed(
    state: Mapping[str, Tensor], model: nn.Module, change: Filter | None
) -> dict[str, Tensor]:
    """A state dict after timm's filter, or as it is where the filter knows nothing of it."""
    if change is None:
        return dict(state)
    try:
        try:
            changed = change(dict(state), model)
        except TypeError:  # the older kind of filter, of one argument
            changed = change(dict(state))
    except Exception:  # a state dict of another model
        return dict(state)
    return {name: value for name, value in changed.items() if isinstance(value, Tensor)}


def _size(model: nn.Module) -> int:
    tensors = [*model.parameters(), *model.buffers()]
    return sum(tensor.numel() for tensor in tensors)
