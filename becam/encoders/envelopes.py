"""Out of what trainers wrap around a model's weights: envelopes, prefixes, averaged copies."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from becam.errors import BecamError, BecamWarning

_ENVELOPES = ("state_dict", "model_state_dict", "model", "module", "net", "network", "weights")
"""What the weights of a model are kept under, the commonest first."""

_AVERAGED = re.compile(r"ema|ema_.+|.+_ema|.+_ema_.+|averaged?_.+|swa_.+", re.IGNORECASE)
_OTHERS = re.compile(r".*(optim|sched|scaler|criterion|loss)", re.IGNORECASE)
_MOST_DEEP = 4

# PyTorch's own: of data-parallel copies, at the start, and of compiled modules, anywhere.
_WRAPPERS = re.compile(r"^(?:(?:module|_orig_mod)\.)+|(?<=\.)_orig_mod\.")

_COUNTER = "num_batches_tracked"


def unwrapped(payload: Any, path: Path) -> dict[str, Tensor]:
    """The state dict inside a file's content, without PyTorch's wrappers in its names.

    Args:
        payload: what the file holds.
        path: of the file, for sentences.

    Raises:
        BecamError: none, or several and no telling which.

    Warns:
        BecamWarning: the file holds averaged weights too, which were left out.
    """
    state = _inside(payload, path, _MOST_DEEP)
    if not state and payload != {}:
        raise BecamError(f"{path} holds no state dict of tensors; give the model's weights file.")
    named = {re.sub(_WRAPPERS, "", name): tensor for name, tensor in state.items()}
    if len(named) < len(state):
        raise BecamError(
            f"{path} holds the same weights with and without the prefixes of PyTorch's wrappers; "
            "save one of them as a file."
        )
    return named


def without_prefix(
    state: Mapping[str, Tensor], own: Collection[str], path: Path
) -> dict[str, Tensor]:
    """The model's weights without the one prefix (``model.``, ``backbone.``, ``visual.``) before.

    Args:
        state: tensors by name.
        own: the model's names.
        path: of the file, for sentences.

    Returns:
        What stands under the only prefix that has all of the model's names below it; without such
        a prefix, ``state`` as it is.

    Raises:
        BecamError: several prefixes have all names.
    """
    needed = {name for name in own if not name.endswith(_COUNTER)}
    if not needed or needed <= state.keys():
        return dict(state)
    rare = max(sorted(needed), key=len)
    prefixes = sorted({name.removesuffix(rare) for name in state if name.endswith(f".{rare}")})
    whole = [prefix for prefix in prefixes if all(f"{prefix}{name}" in state for name in needed)]
    if len(whole) > 1:
        raise BecamError(
            f"{path} holds the model's weights {len(whole)} times, under "
            f"{' and '.join(whole[:3])}; save one of them as a file."
        )
    if not whole:
        return dict(state)
    return {
        name.removeprefix(whole[0]): tensor
        for name, tensor in state.items()
        if name.startswith(whole[0])
    }


def without_common_prefix(state: Mapping[str, Tensor], own: Collection[str]) -> dict[str, Tensor]:
    """The weights without first parts that all names share and that no name of the model has."""
    firsts = {name.partition(".")[0] for name in own}
    named = dict(state)
    while len(heads := {name.partition(".")[0] for name in named}) == 1:
        head = f"{heads.pop()}."
        if head[:-1] in firsts or not all(name.startswith(head) for name in named):
            break
        named = {name.removeprefix(head): tensor for name, tensor in named.items()}
    return named


def _inside(payload: Any, path: Path, deep: int) -> dict[str, Tensor]:
    """Tensors by name: the payload's own, or those of the envelope in it; empty: none."""
    if not isinstance(payload, Mapping) or deep == 0:
        return {}
    envelopes = {
        name: value
        for name, value in payload.items()
        if isinstance(name, str) and _holds_tensors(value, deep - 1) and not _OTHERS.match(name)
    }
    if not envelopes:
        return _tensors(payload)
    averaged = [name for name in envelopes if _AVERAGED.fullmatch(name)]
    plain = [name for name in envelopes if name not in averaged]
    choice = next((name for name in _ENVELOPES if name in plain), None)
    if choice is None:
        choices = plain or averaged
        if len(choices) > 1:
            raise BecamError(
                f"{path} holds several state dicts ({_listed(choices)}) and no telling which is "
                "meant; save one of them as a file."
            )
        (choice,) = choices
    elif averaged:
        warnings.warn(
            f"{path} holds averaged weights too ({_listed(averaged)}), which are not used; save "
            "them as a file of their own to use them.",
            BecamWarning,
            stacklevel=2,
        )
    return _inside(envelopes[choice], path, deep - 1)


def _holds_tensors(value: Any, deep: int) -> bool:
    """Whether a state dict is here or in an envelope below; depth and breadth are bounded."""
    if not isinstance(value, Mapping) or deep == 0:
        return False
    if _tensors(value):
        return True
    return any(
        isinstance(name, str) and name in _ENVELOPES and _holds_tensors(inner, deep - 1)
        for name, inner in value.items()
    )


def _tensors(payload: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {
        name: value
        for name, value in payload.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }


def _listed(names: list[str]) -> str:
    return ", ".join(name[:40] for name in names[:4])
