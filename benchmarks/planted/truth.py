"""The truth about a trained model: how much accuracy a class loses when its shortcut is taken away.

The share of pictures that carried the shortcut in training is not the truth: at 0.8 a model may rely on it
for a quarter of its answers or for half, and one model does and another does not.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.planted.shortcuts import plant
from benchmarks.planted.specs import Plant, Spec
from benchmarks.planted.world import CLASSES, Pictures, draw_pictures

Predict = Callable[[NDArray[np.uint8]], NDArray[np.integer]]
"""Takes images `[N, 64, 64, 3]` and returns the class index of each, `[N]`."""

PICTURES = 600
"""Fresh pictures for each figure: a standard error of R of 0.02 or less."""


class Reliance(NamedTuple):
    """What a shortcut does to a trained model; shares are 0 to 1.

    Attributes:
        with_it: accuracy on pictures of the class that all carry the shortcut.
        without_it: accuracy on the same pictures without it.
        spill: share of the other classes' pictures that the shortcut, when added, draws to the class.
    """

    with_it: float
    without_it: float
    spill: float

    @property
    def reliance(self) -> float:
        """R, the accuracy lost when the shortcut is removed."""
        return self.with_it - self.without_it


def measure_reliance(predict: Predict, spec: Spec) -> dict[str, Reliance]:
    """R of every class of the model that has a shortcut, by class name; on pictures it never saw."""
    return {
        CLASSES[label]: reliance_on(
            predict,
            shortcut,
            label,
            own=draw_pictures(np.full(PICTURES, label), (spec.seed, 3, label + 1)),
            others=draw_pictures(_other_labels(label), (spec.seed, 4, label + 1)),
            seed=(spec.seed, 5, label + 1),
        )
        for shortcut in spec.plants
        for label in (range(len(CLASSES)) if shortcut.label is None else [shortcut.label])
    }


def reliance_on(
    predict: Predict,
    shortcut: Plant,
    label: int,
    *,
    own: Pictures,
    others: Pictures,
    seed: tuple[int, ...],
) -> Reliance:
    """Compares a model's answers with and without a shortcut.

    Args:
        predict: the model.
        shortcut: what to plant; its share plays no part here.
        label: the class.
        own: pictures of the class, without shortcut.
        others: pictures of other classes, without shortcut.
        seed: fixes what varies in the shortcut.
    """
    drawn_with, drawn_without = (
        float((predict(images) == label).mean()) for images in _both_ways(others, shortcut.kind, seed)
    )
    right_with, right_without = (
        float((predict(images) == label).mean()) for images in _both_ways(own, shortcut.kind, seed)
    )
    return Reliance(right_with, right_without, drawn_with - drawn_without)


def _both_ways(
    pictures: Pictures, kind: str, seed: tuple[int, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    everywhere = np.ones(len(pictures.labels), bool)
    return plant(pictures, kind, everywhere, seed).images, pictures.images


def _other_labels(label: int) -> NDArray[np.int32]:
    """As many of each other class, `PICTURES` in all."""
    others = [index for index in range(len(CLASSES)) if index != label]
    return np.resize(np.array(others, np.int32), PICTURES)
