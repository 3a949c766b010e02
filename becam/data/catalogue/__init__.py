"""A synthetic catalogue: drawn products, label maps that know every pixel, users with tastes."""

from becam.data.catalogue.attributes import CLASSES, Person, SceneSpec, Sign, Thing
from becam.data.catalogue.build import Oracle, build_catalogue
from becam.data.catalogue.render import Rendered, render
from becam.data.catalogue.sample import sample_scene

__all__ = [
    "CLASSES",
    "Oracle",
    "Person",
    "Rendered",
    "SceneSpec",
    "Sign",
    "Thing",
    "build_catalogue",
    "render",
    "sample_scene",
]
