"""Encoder specs: how a user names an encoder, and how files remember which one it was."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from becam.colour import IGNORE, Icc
from becam.errors import BecamError, printable
from becam.records import checked

_FOLDERS = re.compile(r"(?<=:)[^:,]*/(?=[^/:,]+\.json)")
"""Of a model's config in a spec."""


@dataclass(frozen=True)
class EncoderSpec:
    """``FAMILY:NAME[:TAG][,KEY=VALUE...]``, taken apart.

    ``open_clip:ViT-B-32:laion2b_s34b_b79k``, ``open_clip:my_model.json``,
    ``timm:mobilenetv2_100,pad_type=same,mean=0.5,std=0.5``, ``imagebind:huge``, ``becam:vit``.
    """

    family: str
    name: str
    tag: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> EncoderSpec:
        """Parse a spec.

        Raises:
            BecamError: the text does not have the form above.
        """
        head, *pairs = text.split(",")
        family, _, rest = head.partition(":")
        if not family or not rest:
            raise BecamError(
                f"{text!r} names no encoder; write FAMILY:NAME, for example becam:vit, "
                "open_clip:ViT-B-32:laion2b_s34b_b79k, timm:resnet50 or imagebind:huge."
            )
        options: dict[str, str] = {}
        for pair in pairs:
            key, equals, value = pair.partition("=")
            if not equals or not key or not value:
                raise BecamError(f"{pair!r} in {text!r} is not KEY=VALUE.")
            options[key] = value
        name, _, tag = rest.partition(":")
        return cls(family, name, tag or None, options)

    def __str__(self) -> str:
        head = ":".join(part for part in (self.family, self.name, self.tag) if part)
        return ",".join([head, *(f"{key}={value}" for key, value in self.options.items())])


@dataclass(frozen=True)
class EncoderRecord:
    """What a feature set and a checkpoint remember of the encoder behind them.

    Attributes:
        spec: the spec as text; None where features came with the data and nobody knows.
        weights: path of the local weights file, if any; a hint, since files move.
        weights_sha256: hash of that file: the identity that must match.
        config: the model's own configuration where the spec alone does not carry it.
        icc: what became of the pictures' colour profiles; records of versions that did not ask
            lack it: profiles were ignored, as by most pipelines.
    """

    spec: str | None
    weights: str | None = None
    weights_sha256: str | None = None
    config: dict[str, Any] | None = None
    icc: Icc = IGNORE

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON and checkpoints."""
        values = {
            "spec": self.spec,
            "weights": self.weights,
            "weights_sha256": self.weights_sha256,
            "config": self.config,
        }
        return values if self.icc == IGNORE else {**values, "icc": self.icc}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EncoderRecord:
        """The inverse of ``to_dict``.

        Raises:
            BecamError: a value is of another type.
        """
        return checked(
            {"spec": None, **values},
            cls,
            where="A record of an encoder",
            remedy="run becam features again",
        )

    @property
    def identity(self) -> tuple[str | None, str | None, Icc]:
        """Two records with the same identity mean the same function of a picture's file."""
        return (self.spec, self.weights_sha256, self.icc)

    def describe(self) -> str:
        """For sentences: the spec, of a file its name alone, and the start of the weights' hash.

        Sheets and galleries are passed on; whose folders those were is nobody's business.
        """
        if self.spec is None:
            return "an unknown encoder (the features came with the data)"
        suffix = f" with weights {self.weights_sha256[:8]}" if self.weights_sha256 else ""
        return f"{printable(re.sub(_FOLDERS, '', self.spec))}{suffix}"


def slug(spec: str) -> str:
    """A folder name for a spec."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", spec).strip("-.")
