"""ImageBind's towers of pictures and texts.

The weights, ``imagebind_huge.pth``, are licensed CC-BY-NC 4.0: for non-commercial use alone. becam
neither contains nor fetches them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch
from open_clip.model import CLIP
from torch import Tensor
from torch.nn import functional

from becam.encoders.envelopes import without_prefix
from becam.encoders.imagebind_weights import REQUIRED, open_clip_config, to_open_clip
from becam.encoders.openclip import OpenClipEncoder
from becam.encoders.phrases import describe_mismatch
from becam.encoders.spec import EncoderRecord, EncoderSpec
from becam.encoders.weights import check_numbers, read_state_dict
from becam.errors import BecamError, printable
from becam.files import sha256

HEADS = {"huge": 16}
"""Attention heads of each released model, in either tower."""

_MAX_LOGIT_SCALE = 100.0


class ImageBindEncoder(OpenClipEncoder):
    """Features as ImageBind gives them: pictures of unit length, texts times the logit scale."""

    def encode_image(self, pixels: Tensor) -> Tensor:
        """See ``Encoder.encode_image``; of unit length."""
        return functional.normalize(super().encode_image(pixels), dim=-1)

    @torch.inference_mode()
    def encode_text(self, texts: Sequence[str]) -> Tensor:
        """See ``Encoder.encode_text``; as long as the logit scale, at most 100."""
        directions = functional.normalize(super().encode_text(texts), dim=-1)
        scale: Tensor = self.model.logit_scale.exp().clamp(max=_MAX_LOGIT_SCALE)
        return scale * directions


def load_imagebind(
    spec: EncoderSpec, weights: Path | None, config: dict[str, Any] | None
) -> ImageBindEncoder:
    """Build ``imagebind:huge``; all sizes but the number of heads are read from the weights.

    Raises:
        BecamError: unknown name, no weights file, or one that is not ImageBind's.
    """
    if spec.name not in HEADS or spec.tag or spec.options:
        raise BecamError(
            f"There is no encoder {printable(str(spec))}; ImageBind's is "
            f"imagebind:{' or imagebind:'.join(HEADS)}, without tag or options."
        )
    if weights is None:
        raise BecamError(
            f"The weights of {spec} are not fetched, since they are licensed for non-commercial "
            "use alone (CC-BY-NC 4.0); download imagebind_huge.pth from ImageBind's release page "
            "and pass --weights FILE."
        )
    model = _model(weights, HEADS[spec.name])
    record = EncoderRecord(str(spec), str(weights.resolve()), sha256(weights))
    preprocessing = {
        "size": model.visual.image_size,
        "mean": open_clip.OPENAI_DATASET_MEAN,
        "std": open_clip.OPENAI_DATASET_STD,
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    tokenizer = open_clip.SimpleTokenizer(context_length=model.context_length)
    return ImageBindEncoder(model, tokenizer, preprocessing, record)


def _model(weights: Path, heads: int) -> CLIP:
    released = without_prefix(read_state_dict(weights), REQUIRED, weights)
    try:
        state = to_open_clip(released)
        config = open_clip_config(state, heads)
        with torch.device("meta"):  # no memory before it is known that the weights are there
            sketch = CLIP(**config)
    except KeyError as error:
        raise _foreign(weights, f"it has nothing for {error.args[0]}") from None
    except (AssertionError, IndexError, RuntimeError, TypeError, ValueError, ZeroDivisionError):
        raise _foreign(weights, "its shapes are others") from None
    own = sketch.state_dict()
    missing, unexpected = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or unexpected:
        raise _foreign(weights, describe_mismatch(missing, unexpected))
    if any(state[name].shape != tensor.shape for name, tensor in own.items()):
        raise _foreign(weights, "its shapes are others")
    check_numbers(state, sketch, weights)
    model = CLIP(**config)
    model.load_state_dict(state)
    return model


def _foreign(weights: Path, reason: str) -> BecamError:
    return BecamError(
        f"{weights} does not hold ImageBind's towers of pictures and texts ({reason}); give the "
        "released imagebind_huge.pth."
    )
