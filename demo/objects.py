"""Lays one shaded object with a soft shadow on each picture, and knows its exact box."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from demo.scenery import draw_noise, ease, mix_colours, offsets, uniform
from demo.shapes import Floats, Shape

EDGE_SOFTNESS = 1.6
"""Pixels over which an edge fades, as behind a lens."""

_PLACES_TRIED = 64


class Poses(NamedTuple):
    """How the objects of N pictures lie.

    Attributes:
        centres: `[N, 2]` (x, y) in pixels.
        radii: `[N]` in pixels, of the circle around each object.
        angles: `[N]` clockwise turns in radians.
    """

    centres: Floats
    radii: Floats
    angles: Floats


def draw_poses(
    rng: np.random.Generator,
    count: int,
    *,
    size: int,
    smallest: float,
    largest: float,
    keep_out: tuple[float, float, float, float],
) -> Poses:
    """Draws poses in the picture and off an area, by the circle around the object.

    The circle rather than the outline decides, so that every class has the same places.

    Args:
        rng: the source of chance.
        count: number of pictures.
        size: height and width of the pictures in pixels.
        smallest: least radius in pixels.
        largest: greatest radius in pixels.
        keep_out: the area's edges (x0, y0, x1, y1) in pixels.

    Raises:
        ValueError: an object of that size has no place.
    """
    radii = uniform(rng, smallest, largest, count)
    reach = (radii + EDGE_SOFTNESS)[:, None, None]
    # Photographers aim at the middle, more or less.
    tries = np.clip(rng.normal(size / 2, size / 7, (count, _PLACES_TRIED, 2)), reach, size - reach)
    x0, y0, x1, y1 = keep_out
    low, high = tries - reach, tries + reach
    blocked = (low[..., 0] < x1) & (high[..., 0] > x0) & (low[..., 1] < y1) & (high[..., 1] > y0)
    if blocked.all(axis=1).any():
        raise ValueError(f"an object of radius {largest} finds no place in {size} pixels off {keep_out}")
    centres = tries[np.arange(count), blocked.argmin(axis=1)]
    return Poses(centres.astype(np.float32), radii, uniform(rng, 0, 2 * np.pi, count))


def lay_objects(
    rng: np.random.Generator,
    light: Floats,
    poses: Poses,
    *,
    outlines: Sequence[Shape],
    markings: Sequence[Shape],
    hues: Floats,
    to_light: Floats,
) -> NDArray[np.int32]:
    """Lays one object and its shadow on each picture, in place.

    Args:
        rng: the source of chance.
        light: `[N, size, size, 3]`, 0 to 1.
        poses: how they lie.
        outlines: the outline of each of the N objects.
        markings: the part of each object that has a second shade.
        hues: `[N]` in turns of the colour wheel.
        to_light: `[N, 2]` unit vectors (x, y) towards the light.

    Returns:
        `[N, 4]` boxes (x0, y0, x1, y1), half-open pixel edges, of the objects without their shadows.
    """
    size: int = light.shape[1]
    depth = _depths(outlines, poses, size)
    cover = ease(depth / EDGE_SOFTNESS + 0.5)[..., None]

    # A shadow is the outline once more, moved away from the light and blurred.
    radii = poses.radii[:, None]
    shifted = poses._replace(centres=poses.centres - 0.16 * radii * to_light)
    shadow = ease(_depths(outlines, shifted, size) / (0.35 * radii[..., None]) + 0.5)
    darkness = uniform(rng, 0.35, 0.6, len(light))
    light *= 1 - (darkness[:, None, None] * shadow)[..., None]

    marked = ease(_depths(markings, poses, size) / EDGE_SOFTNESS + 0.5)
    light += cover * (_shade(rng, _paint(rng, hues, marked), depth, poses.radii, to_light) - light)
    return _boxes_around(depth > 0)


def _depths(shapes: Sequence[Shape], poses: Poses, size: int) -> Floats:
    """`[N, size, size]` how many pixels deep each pixel lies inside its picture's shape."""
    x, y = offsets(poses.centres, size)
    radii = poses.radii[:, None, None]
    cosine, sine = np.cos(poses.angles)[:, None, None] / radii, np.sin(poses.angles)[:, None, None] / radii
    along, across = cosine * x + sine * y, cosine * y - sine * x
    return np.stack([shape(u, v) for shape, u, v in zip(shapes, along, across, strict=True)]) * radii


def _paint(rng: np.random.Generator, hues: Floats, marked: Floats) -> Floats:
    """`[N, size, size, 3]` two shades of each hue, the second where marked `[N, size, size]` is 1."""
    count = len(hues)
    saturations, values = uniform(rng, 0.5, 0.9, count), uniform(rng, 0.6, 0.95, count)
    first = mix_colours(hues, saturations, values)
    # The second shade keeps a distance, else some markings could not be seen.
    darker, brighter = values - uniform(rng, 0.25, 0.5, count), values + uniform(rng, 0.15, 0.35, count)
    second = mix_colours(
        hues, saturations * uniform(rng, 0.4, 1, count), np.where(values > 0.75, darker, brighter)
    )
    return first[:, None, None] + marked[..., None] * (second - first)[:, None, None]


def _shade(rng: np.random.Generator, paint: Floats, depth: Floats, radii: Floats, to_light: Floats) -> Floats:
    """The paint in the light: `[N, size, size, 3]`, with a rounded rim, signs of wear and some gloss."""
    count: int = depth.shape[0]
    wear = draw_noise(rng, count, 14, 14, depth.shape[1]) - 0.5
    wear *= uniform(rng, 0.05, 0.4, count)[:, None, None]
    # The body rises from its outline to a flat top; what faces the light is brighter.
    rim = 0.4 * radii[:, None, None]
    rise = np.clip(depth / rim, 0, 1)
    down, right = np.gradient(rim * rise * (2 - rise), axis=(1, 2))
    facing = -(to_light[:, 0, None, None] * right + to_light[:, 1, None, None] * down)
    gloss = uniform(rng, 0, 0.35, count)[:, None, None] * np.clip(facing - 0.5, 0, 1) ** 2
    lit: Floats = paint * (1 + 0.22 * np.clip(facing, -2, 2) + wear)[..., None] + gloss[..., None]
    return lit


def _boxes_around(inside: NDArray[np.bool_]) -> NDArray[np.int32]:
    """`[N, 4]` the tightest half-open boxes (x0, y0, x1, y1) around the true pixels of `[N, H, W]`."""
    columns, rows = np.any(inside, axis=1), np.any(inside, axis=2)
    x0, y0 = columns.argmax(axis=1), rows.argmax(axis=1)
    x1 = columns.shape[1] - columns[:, ::-1].argmax(axis=1)
    y1 = rows.shape[1] - rows[:, ::-1].argmax(axis=1)
    return np.stack([x0, y0, x1, y1], axis=1).astype(np.int32)
