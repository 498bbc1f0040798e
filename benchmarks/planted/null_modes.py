"""Modes where there are none: a thousand classes whose heat strays by chance, and by habits of their own.

Innocent does not mean alike. Each class has a place where its objects usually lie, a size of them, and heat
that bleeds around them more or less. Each image may have distractors anywhere, and a caption at one place, in
some classes more often than in others; the more the heat follows them, the less it lies on the object. So
every class has images that look elsewhere and less at their object, and the question is whether they are
taken for a bias of that class. Without the comparison with the other classes they are, in four of five.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.planted.figures import Figure, share
from transforms.judge.modes import find_modes
from transforms.judge.settings import JudgeSettings
from transforms.judge.sightings import CELLS, Sighting, Sightings, hash_of
from transforms.records import Group

MODELS: Final = 100
CLASSES: Final = 10
IMAGES: Final = 400
"""Of each class."""
SEED: Final = 131

Floats = NDArray[np.floating]

# Row and column, in pictures.
_CAPTION: Final = (0.9, 0.9)
_WATERMARK: Final = (0.9, 0.1)
_ROWS, _COLUMNS = (np.indices((CELLS, CELLS)) + 0.5) / CELLS


def null_mode_figures(settings: JudgeSettings, models: int = MODELS) -> list[Figure]:
    """Shares of simulated classes with a mode: of innocent ones, and of ones with a watermark on a fifth."""
    rng = np.random.default_rng(SEED)
    innocent, marked = [], []
    for number in range(models):
        found = _flagged(simulated(rng, f"null {number}"), settings)
        innocent += [f"class {k}" in found for k in range(CLASSES)]
        marked.append("class 0" in _flagged(simulated(rng, f"marked {number}", watermark=0.2), settings))
    return [
        share("null_modes", "simulated innocent classes with a mode", innocent, high=0.01),
        share("found_modes", "simulated classes with a watermark on a fifth: mode found", marked, low=0.9),
    ]


def simulated(rng: np.random.Generator, model: str, watermark: float = 0.0) -> dict[Group, Sightings]:
    """The sampled maps of a model's classes.

    Args:
        rng: the source of chance.
        model: its name.
        watermark: share of the images of the first class that have one, on which the model looks too.
    """
    return {
        Group(model, "hirescam", "last", "class", f"class {number}", None, None): _class(
            rng, f"{model} {number}", watermark if number == 0 else 0.0
        )
        for number in range(CLASSES)
    }


def _class(rng: np.random.Generator, name: str, watermark: float) -> Sightings:
    usual, radius, bleeding = rng.uniform(0.35, 0.65, 2), rng.uniform(0.12, 0.25), rng.uniform(0.1, 0.6)
    centres = np.clip(rng.normal(usual, 0.15, (IMAGES, 2)), 0.1, 0.9)
    away = np.maximum(*(np.abs(place) for place in _offsets(centres)))
    outside = away > radius
    heat = bleeding * rng.uniform(0.2, 2, (IMAGES, 1, 1)) * np.exp(-(away - radius) / 0.1)
    heat += rng.exponential(0.02, (IMAGES, 1, 1)) * rng.random((IMAGES, CELLS, CELLS))
    for _ in range(3):
        strength = rng.exponential(1.0, (IMAGES, 1, 1)) * (rng.random((IMAGES, 1, 1)) < 0.5)
        heat += strength * _spots(rng.uniform(0, 1, (IMAGES, 2)), 0.08)
    for share_of, place in ((rng.uniform(0.1, 0.2), _CAPTION), (watermark, _WATERMARK)):
        shown = rng.random((IMAGES, 1, 1)) < share_of
        heat += shown * rng.uniform(4, 12, (IMAGES, 1, 1)) * _spots(np.tile(place, (IMAGES, 1)), 0.08)
    heat = heat * outside
    inside = rng.uniform(0.5, 1.5, IMAGES) * (~outside).sum(axis=(1, 2))
    total = heat.sum(axis=(1, 2)) + inside
    # As the density share: heat by area, inside against inside and outside.
    densities = inside / (~outside).sum(axis=(1, 2)).clip(1), heat.sum(axis=(1, 2)) / outside.sum(axis=(1, 2))
    shares = densities[0] / (densities[0] + densities[1])
    maps = (heat / total[:, None, None]).astype("<f4")
    ids = [f"{name}, {number}" for number in range(IMAGES)]
    kept = [
        Sighting(hash_of(example_id), example_id, float(density_share), heat_of.tobytes())
        for example_id, density_share, heat_of in zip(ids, shares, maps, strict=True)
    ]
    return Sightings(sorted(kept))


def _offsets(places: Floats) -> tuple[Floats, Floats]:
    """How far each cell lies from the place (row, column) of each image: twice `[N, 8, 8]`, in pictures."""
    return _ROWS - places[:, 0, None, None], _COLUMNS - places[:, 1, None, None]


def _spots(places: Floats, width: float) -> Floats:
    """A soft spot at the place (row, column) of each image: `[N, 8, 8]`, 0 to 1."""
    down, across = _offsets(places)
    spots: Floats = np.exp(-(down**2 + across**2) / (2 * width**2))
    return spots


def _flagged(sightings: dict[Group, Sightings], settings: JudgeSettings) -> set[str]:
    return {str(finding.class_name) for finding in find_modes(sightings, settings)}
