"""Class activation maps by gradient or by principal component, as pytorch-grad-cam has them.

The library's formulas get the activation and the gradient from here, so that its hooks and its
scaling for display take no part and maps keep their sign.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from becam.attribution.methods.base import Method, Saliency
from becam.attribution.methods.extras import library
from becam.attribution.methods.gradients import layer_gradient, layer_trace
from becam.attribution.target import Target
from becam.attribution.view import View
from becam.attribution.weighting import weighted_sum


class GradientCAM(Method):
    """A class activation map from the gradient of the similarity at the target layer."""

    requires: ClassVar[str | None] = "pytorch_grad_cam"
    others: ClassVar[int] = 3

    def prepare(self, view: View) -> None:
        """Encode the picture in a way that gradients can follow."""
        _library()
        layer_trace(view)

    def saliency(self, view: View, target: Target) -> Saliency:
        """See ``Method.saliency``."""
        return self.explain(view.activation, layer_gradient(view, target))

    @abstractmethod
    def explain(self, activation: Tensor, gradient: Tensor) -> Saliency:
        """The map from the channels and the similarity's gradient in them, (N, h, w) each."""


class GradCAM(GradientCAM):
    """Channels weighted by their mean gradient (Selvaraju et al., 2017)."""

    name: ClassVar[str] = "grad-cam"
    title: ClassVar[str] = "Grad-CAM"
    summary: ClassVar[str] = "Channels, weighted by the mean gradient of the similarity."

    def explain(self, activation: Tensor, gradient: Tensor) -> Saliency:
        """See ``GradientCAM.explain``."""
        return _weighted(activation, _weights("GradCAM", activation, gradient))


class GradCAMPlusPlus(GradientCAM):
    """Channels weighted by their positive gradients, evened out (Chattopadhay et al., 2018)."""

    name: ClassVar[str] = "grad-cam++"
    title: ClassVar[str] = "Grad-CAM++"
    summary: ClassVar[str] = "As grad-cam, with positive gradients alone and small regions raised."

    def explain(self, activation: Tensor, gradient: Tensor) -> Saliency:
        """See ``GradientCAM.explain``."""
        # The formula stays the same when gradients grow as activations shrink, but the library adds
        # 1e-6 to squared gradients, and those of a cosine may be smaller than that.
        largest = float(gradient.abs().max())
        scale = 1e6 / largest if largest > 0 else 1.0
        scaled = activation.double() / scale, gradient.double() * scale
        return _weighted(activation, _weights("GradCAMPlusPlus", *scaled) / scale)


class LayerCAM(GradientCAM):
    """Every cell weighted by its own positive gradient (Jiang et al., 2021)."""

    name: ClassVar[str] = "layer-cam"
    title: ClassVar[str] = "LayerCAM"
    summary: ClassVar[str] = "Channels, each cell weighted by its own positive gradient."

    def explain(self, activation: Tensor, gradient: Tensor) -> Saliency:
        """See ``GradientCAM.explain``."""
        return Saliency(_image("LayerCAM", activation, gradient))


class EigenCAM(Method):
    """The channels' first principal component (Muhammad and Yeasin, 2020), whatever the target.

    A component has no sign of its own: the value that is largest without its sign is made positive
    (Chung and Ying, 2025).
    """

    name: ClassVar[str] = "eigen-cam"
    title: ClassVar[str] = "Eigen-CAM"
    summary: ClassVar[str] = "The channels' first principal component, whatever the target."
    requires: ClassVar[str | None] = "pytorch_grad_cam"
    others: ClassVar[int] = 1

    def prepare(self, view: View) -> None:
        """Find the component."""
        self._component(view)

    def saliency(self, view: View, _target: Target) -> Saliency:
        """See ``Method.saliency``."""
        return Saliency(self._component(view))

    def _component(self, view: View) -> Tensor:
        return view.kept(
            "principal component", lambda: _upright(_image("EigenCAM", view.activation, None))
        )


def _upright(component: Tensor) -> Tensor:
    return -component if -component.min() > component.max() else component


def _weighted(activation: Tensor, weights: Tensor) -> Saliency:
    return Saliency(weighted_sum(activation, weights), weights.float())


def _weights(kind: str, activation: Tensor, gradient: Tensor) -> Tensor:
    """The weights (N,) that a method of the library gives the channels."""
    batch = activation[None].numpy(), gradient[None].numpy()
    return torch.from_numpy(_formula(kind).get_cam_weights(None, None, None, *batch)[0])


def _image(kind: str, activation: Tensor, gradient: Tensor | None) -> Tensor:
    """The map (h, w) that a method of the library makes, as it is before its scaling."""
    batch = activation[None].numpy(), None if gradient is None else gradient[None].numpy()
    return torch.from_numpy(_formula(kind).get_cam_image(None, None, None, *batch, False)[0])


def _formula(kind: str) -> Any:
    # Its formulas ask nothing of the model that it is built on.
    return getattr(_library(), kind)(nn.LayerNorm(1), [])


def _library() -> Any:
    return library("pytorch_grad_cam", "grad-cam")
