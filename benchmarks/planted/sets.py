"""The sets of pictures that a model of the suite is trained on and audited on."""

import dataclasses
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.planted.shortcuts import plant
from benchmarks.planted.specs import ELSEWHERE, Spec
from benchmarks.planted.world import CLASSES, SIZE, Pictures, draw_pictures, shuffled_labels

TRAINING_PER_CLASS: Final = 500
AUDIT_PER_CLASS: Final = 300

SLICE_DRAWS: Final = 10
"""Independent small classes in which slices are tested."""
SLICE_ARM: Final = 30
"""Pictures with and pictures without in each of them."""
COINS: Final = 5
"""Columns of a slice audit that say nothing: fair coins, equally many heads and tails."""

# A second number in each seed keeps these apart; `truth.py` has 3 to 5. No number is 0, since NumPy takes
# (1, 0) and (1,) for the same seed.
_TRAINING, _AUDIT, _SLICES, _BOXES = 1, 2, 6, 7
_LABELS = 9


@dataclasses.dataclass(frozen=True)
class AuditSet:
    """Annotated pictures, as a team would hand them to the audit.

    Attributes:
        images: `[N, 64, 64, 3]` RGB.
        boxes: `[N, 4]` (x0, y0, x1, y1) in pixels.
        names: annotated class name of each.
        columns: metadata column -> value of each picture.
        class_map: annotated class name -> class index of the model.
    """

    images: NDArray[np.uint8]
    boxes: NDArray[np.floating]
    names: list[str]
    columns: dict[str, list[str]]
    class_map: dict[str, int]


def training_set(spec: Spec) -> Pictures:
    """What the model learns from, shortcuts included."""
    return _with_plants(spec, draw_pictures(*_labels(spec, _TRAINING, TRAINING_PER_CLASS)), _TRAINING)


def audit_set(spec: Spec) -> AuditSet:
    """New pictures, on which the shortcuts are as common as in training."""
    pictures = _with_plants(spec, draw_pictures(*_labels(spec, _AUDIT, AUDIT_PER_CLASS)), _AUDIT)
    return AuditSet(
        images=pictures.images,
        boxes=blurred_boxes(pictures.boxes, spec.box_noise, (spec.seed, _BOXES)),
        names=[CLASSES[label] for label in pictures.labels],
        columns={},
        class_map={name: index for index, name in enumerate(CLASSES)},
    )


def slice_set(spec: Spec) -> AuditSet:
    """Small classes of one kind of object, in each of which half the pictures carry the shortcut.

    The audit tests a slice against the rest of its class, so each class of 60 is one test at 30 per arm.
    The column `planted` says which half; the coins are drawn apart from it.
    """
    shortcut = spec.plants[0]
    assert shortcut.label is not None
    count = SLICE_DRAWS * 2 * SLICE_ARM
    pictures = draw_pictures(np.full(count, shortcut.label), (spec.seed, _SLICES))
    halves = np.tile(np.arange(2 * SLICE_ARM) < SLICE_ARM, SLICE_DRAWS)
    rng = np.random.default_rng((spec.seed, _SLICES, 1))

    def coin() -> list[str]:
        tosses = rng.permuted(halves.reshape(SLICE_DRAWS, -1), axis=1).ravel()
        return ["heads" if toss else "tails" for toss in tosses]

    names = [f"{CLASSES[shortcut.label]} {draw}" for draw in range(SLICE_DRAWS) for _ in range(2 * SLICE_ARM)]
    return AuditSet(
        images=plant(pictures, shortcut.kind, halves, (spec.seed, _SLICES, 2)).images,
        boxes=pictures.boxes.astype(np.float64),
        names=names,
        columns={
            "planted": ["yes" if half else "no" for half in halves],
            **{f"coin{number}": coin() for number in range(COINS)},
        },
        class_map=dict.fromkeys(names, shortcut.label),
    )


def blurred_boxes(boxes: NDArray[np.integer], noise: float, seed: tuple[int, ...]) -> NDArray[np.floating]:
    """Boxes as a hasty annotator draws them, `[N, 4]`, inside the picture and never empty.

    Args:
        boxes: `[N, 4]` (x0, y0, x1, y1) in pixels.
        noise: standard deviation of each edge, as a share of the box's side; 0 leaves the boxes exact.
        seed: fixes the errors.
    """
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    errors = noise * np.random.default_rng(seed).normal(size=boxes.shape).clip(-2.5, 2.5)
    moved: NDArray[np.floating] = np.clip(boxes + errors * sides, 0, SIZE)
    return moved


def _labels(spec: Spec, purpose: int, per_class: int) -> tuple[NDArray[np.int32], tuple[int, ...]]:
    """Labels, and the seed of their pictures."""
    return shuffled_labels(per_class, (spec.seed, purpose, _LABELS)), (spec.seed, purpose)


def _with_plants(spec: Spec, pictures: Pictures, purpose: int) -> Pictures:
    for place, shortcut in enumerate(spec.plants):
        seed = (spec.seed, purpose, 1 + place)
        is_own = (pictures.labels == shortcut.label) | (shortcut.label is None)
        shares = np.where(is_own, shortcut.share, ELSEWHERE)
        chosen = np.random.default_rng(seed).random(len(shares)) < shares
        pictures = plant(pictures, shortcut.kind, chosen, seed)
    return pictures
