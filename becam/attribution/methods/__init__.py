"""Attribution methods by name, all on the same target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from becam.attribution.methods.attention import AttentionGradient, AttentionRollout, GradECLIP
from becam.attribution.methods.base import Method, Saliency
from becam.attribution.methods.becam import BeCAM
from becam.attribution.methods.cams import EigenCAM, GradCAM, GradCAMPlusPlus, LayerCAM
from becam.attribution.methods.integrated import IntegratedGradients
from becam.attribution.methods.perturbation import RISE
from becam.attribution.methods.score_cam import GScoreCAM, ScoreCAM
from becam.errors import BecamError
from becam.options import parse_assignments, parse_options

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        BeCAM,
        ScoreCAM,
        GScoreCAM,
        GradCAM,
        GradCAMPlusPlus,
        LayerCAM,
        EigenCAM,
        AttentionRollout,
        AttentionGradient,
        GradECLIP,
        RISE,
        IntegratedGradients,
    )
}
"""A new method is one file and one entry here."""

__all__ = ["METHODS", "BeCAM", "Method", "Saliency", "create_method", "parse_method"]


def create_method(name: str, options: Mapping[str, Any] | None = None) -> Method:
    """Build a registered method.

    Args:
        name: a key of ``METHODS``.
        options: keyword arguments of its constructor.

    Raises:
        BecamError: an unknown method, an option that it does not have, a value out of range.
    """
    if name not in METHODS:
        raise BecamError(f"Unknown method {name!r}; the methods are {', '.join(METHODS)}.")
    kind: Any = METHODS[name]
    method: Method = kind(**parse_options(kind, options or {}, f"The method {name}"))
    return method


def parse_method(spec: str) -> Method:
    """Build a method from ``NAME[,OPTION=VALUE...]``, such as ``becam,weighting=centered``.

    Raises:
        BecamError: see :func:`create_method`.
    """
    name, *assignments = spec.split(",")
    return create_method(name.strip(), parse_assignments(assignments))
