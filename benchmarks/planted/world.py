"""Pictures of six kinds of shape on coloured noise, each with its exact box and outline.

Size, place, turn, hue, stripes and opacity of the object are random, and distractor blobs lie about, so that
a small network recognises about nine of ten. The background says nothing about the class until a shortcut
is planted on it (`shortcuts.py`).
"""

import functools
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Masks = NDArray[np.bool_]

CLASSES: Final = ("disc", "square", "triangle", "plus", "ring", "star")
"""The names of the classes; a class's index is its place here."""

SIZE: Final = 64
"""Height and width of every picture in pixels."""

_ROWS, _COLUMNS = np.mgrid[0:SIZE, 0:SIZE].astype(np.float64)


class Pictures(NamedTuple):
    """Pictures and what is known about them.

    Attributes:
        images: `[N, 64, 64, 3]` RGB, 0 to 255.
        labels: `[N]` indices into `CLASSES`.
        boxes: `[N, 4]` (x0, y0, x1, y1), the half-open pixel edges of each object.
        outlines: `[N, 64, 64]` true on the object itself.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int32]
    boxes: NDArray[np.int32]
    outlines: Masks


def draw_pictures(labels: NDArray[np.integer], seed: int | tuple[int, ...]) -> Pictures:
    """Draws one picture for each label; the same labels and seed give the same pixels."""
    rng = np.random.default_rng(seed)
    drawn = [_draw_picture(rng, int(label)) for label in labels]
    images, outlines = (np.stack(parts) for parts in zip(*drawn, strict=True))
    return Pictures(images, labels.astype(np.int32), boxes_around(outlines), outlines)


def shuffled_labels(per_class: int, seed: int | tuple[int, ...]) -> NDArray[np.int32]:
    """As many labels of each class, in random order."""
    labels = np.repeat(np.arange(len(CLASSES), dtype=np.int32), per_class)
    return np.random.default_rng(seed).permutation(labels)


def boxes_around(outlines: Masks) -> NDArray[np.int32]:
    """The tightest half-open boxes (x0, y0, x1, y1), `[N, 4]`, around the true pixels of `[N, H, W]`."""
    columns, rows = np.any(outlines, axis=1), np.any(outlines, axis=2)
    x0, y0 = columns.argmax(axis=1), rows.argmax(axis=1)
    x1 = columns.shape[1] - columns[:, ::-1].argmax(axis=1)
    y1 = rows.shape[1] - rows[:, ::-1].argmax(axis=1)
    return np.stack([x0, y0, x1, y1], axis=1).astype(np.int32)


def _draw_picture(rng: np.random.Generator, label: int) -> tuple[NDArray[np.uint8], Masks]:
    """The image `[64, 64, 3]`, and the object's outline `[64, 64]`."""
    image = 0.5 * _noise(rng, 4) + 0.3 * _noise(rng, 12) + 0.2 * rng.random((SIZE, SIZE, 3), np.float32)
    image *= rng.uniform(0.5, 1, 3).astype(np.float32)
    for _ in range(rng.integers(1, 4)):
        x, y = rng.uniform(4, SIZE - 4, 2)
        blob = np.hypot(_COLUMNS - x, _ROWS - y) < rng.uniform(2, 5)
        image[blob] = 0.4 * image[blob] + 0.6 * rng.random(3)

    radius = rng.uniform(8, 17)
    x, y = np.clip(rng.normal(SIZE / 2, 10, 2), radius + 1, SIZE - radius - 1)
    outline = _outline(label, x, y, radius, angle=rng.uniform(0, 2 * np.pi))
    opacity = rng.uniform(0.35, 0.8)
    image[outline] += opacity * (_paint(rng, label)[outline] - image[outline])
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8), outline


def _noise(rng: np.random.Generator, cells: int) -> Floats:
    """Random colours at the corners of `cells` x `cells` squares, blended between: `[64, 64, 3]`, 0 to 1."""
    corners = rng.random((3, cells + 1, cells + 1), np.float32)
    blend = _blend_matrix(cells)
    noise: Floats = (blend @ corners @ blend.T).transpose(1, 2, 0)
    return noise


@functools.cache
def _blend_matrix(cells: int) -> Floats:
    """How much each of the 64 pixels takes from each of the cells' edges: `[64, cells + 1]`."""
    places = np.linspace(0, cells, SIZE, endpoint=False)
    blend: Floats = np.clip(1 - np.abs(places[:, None] - np.arange(cells + 1)), 0, 1).astype(np.float32)
    return blend


def _outline(label: int, x: float, y: float, radius: float, *, angle: float) -> Masks:
    """The pixels of the shape of that class, at (x, y) and turned by an angle in radians."""
    right, down = (_COLUMNS - x) / radius, (_ROWS - y) / radius
    u = np.cos(angle) * right + np.sin(angle) * down
    v = np.cos(angle) * down - np.sin(angle) * right
    distance = np.hypot(u, v)
    inside: Masks
    match CLASSES[label]:
        case "disc":
            inside = distance < 0.92
        case "square":
            inside = np.maximum(np.abs(u), np.abs(v)) < 0.78
        case "triangle":
            inside = (v > -0.6) & (v < 0.95 - 1.75 * np.abs(u))
        case "plus":  # thin: its box is mostly background, and an honest model's heat spills out of it
            thin, long = np.minimum(np.abs(u), np.abs(v)), np.maximum(np.abs(u), np.abs(v))
            inside = (thin < 0.3) & (long < 0.98)
        case "ring":
            inside = (distance > 0.52) & (distance < 0.95)
        case _:
            inside = distance < 0.55 + 0.4 * np.cos(5 * np.arctan2(v, u))
    return inside


def _paint(rng: np.random.Generator, label: int) -> Floats:
    """Stripes in a hue and of a width that are usual for the class: `[64, 64, 3]`."""
    hue = label / len(CLASSES) + rng.normal(0, 0.07)
    colour = 0.5 + 0.45 * np.cos(2 * np.pi * (hue + np.array([0, 1 / 3, 2 / 3])))
    frequency = 0.35 + 0.22 * (label % 3) + rng.normal(0, 0.05)
    angle = rng.uniform(0, np.pi)
    along = _COLUMNS * np.cos(angle) + _ROWS * np.sin(angle)
    stripes: Floats = 0.7 + 0.3 * np.sign(np.sin(along * frequency))
    painted: Floats = stripes[..., None] * colour
    return painted
