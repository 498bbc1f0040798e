"""What surrounds an object: the surface it lies on, things out of focus, light, and the camera.

Everything works on a stack of pictures at once. Light is float32, 0 black to 1 white, and may leave
that range until the camera cuts it off.
"""

import numpy as np
from numpy.typing import NDArray

from demo.shapes import Floats


def draw_surfaces(rng: np.random.Generator, count: int, size: int) -> Floats:
    """Draws mottled, grained table tops in muted colours: `[count, size, size, 3]` light."""
    mottle = 0.65 * draw_noise(rng, count, 3, 3, size) + 0.35 * draw_noise(rng, count, 8, 8, size)
    # Stretched noise reads as wood, cloth or brushed metal.
    grain = draw_noise(rng, count, 4, 40, size) - 0.5
    turned = rng.random(count) < 0.5
    grain[turned] = grain[turned].swapaxes(1, 2)

    hues = uniform(rng, 0, 1, count)
    dark = mix_colours(hues, uniform(rng, 0.05, 0.3, count), uniform(rng, 0.25, 0.5, count))
    hues = hues + uniform(rng, -0.08, 0.08, count)
    bright = mix_colours(hues, uniform(rng, 0.02, 0.2, count), uniform(rng, 0.5, 0.85, count))
    relief = uniform(rng, 0.03, 0.2, count)[:, None, None] * grain
    return dark[:, None, None] + (bright - dark)[:, None, None] * mottle[..., None] + relief[..., None]


def scatter_blobs(rng: np.random.Generator, light: Floats) -> None:
    """Lays one to three soft blobs of any colour on each picture, in place.

    Having no outline, they belong to no class; but a model has to learn that a spot of colour alone
    means nothing.
    """
    count: int = light.shape[0]
    size: int = light.shape[1]
    for chance in (1.0, 0.65, 0.35):
        x, y = offsets(rng.uniform(0, size, (count, 2)), size)
        width = uniform(rng, 3, 8, count)[:, None, None]
        height = uniform(rng, 3, 8, count)[:, None, None]
        distance = (x / width) ** 2 + (y / height) ** 2
        opacity = uniform(rng, 0.4, 0.8, count) * (rng.random(count) < chance)
        cover = opacity[:, None, None].astype(np.float32) / (1 + distance**2)
        hues, saturations = uniform(rng, 0, 1, count), uniform(rng, 0.2, 0.8, count)
        colours = mix_colours(hues, saturations, uniform(rng, 0.2, 0.95, count))
        light += cover[..., None] * (colours[:, None, None] - light)


def draw_falloff(rng: np.random.Generator, to_light: Floats, size: int) -> Floats:
    """Draws how light fades away from its source and towards the corners of a lens.

    Args:
        rng: the source of chance.
        to_light: `[N, 2]` unit vectors (x, y) towards the light.
        size: height and width in pixels.

    Returns:
        `[N, size, size]` factors, about 0.5 to 1.3.
    """
    steps = (np.arange(size, dtype=np.float32) + 0.5) / (size / 2) - 1
    x, y = steps[None, None, :], steps[None, :, None]
    slope = uniform(rng, 0.05, 0.25, len(to_light))[:, None, None]
    nearness = to_light[:, 0, None, None] * x + to_light[:, 1, None, None] * y
    factors: Floats = (1 + slope * nearness) * (1 - 0.12 * (x**2 + y**2))
    return factors


def expose(rng: np.random.Generator, light: Floats) -> NDArray[np.uint8]:
    """Takes the photographs: exposure, white balance, sensor noise, 8 bits.

    Args:
        rng: the source of chance.
        light: `[N, H, W, 3]`.

    Returns:
        `[N, H, W, 3]` RGB, 0 to 255.
    """
    count = len(light)
    exposure = rng.uniform(0.85, 1.12, (count, 1, 1, 1)) * rng.uniform(0.95, 1.05, (count, 1, 1, 3))
    noise = rng.standard_normal(light.shape, dtype=np.float32)
    noise *= uniform(rng, 0.008, 0.025, count)[:, None, None, None]
    exposed = light * exposure.astype(np.float32) + noise
    return np.asarray(np.rint(255 * np.clip(exposed, 0, 1)), np.uint8)


def draw_noise(rng: np.random.Generator, count: int, rows: int, columns: int, size: int) -> Floats:
    """Draws random values on a coarse grid and joins them smoothly: `[count, size, size]`, 0 to 1."""
    grid = rng.random((count, rows + 1, columns + 1), dtype=np.float32)
    noise: Floats = _interpolation(rows, size) @ grid @ _interpolation(columns, size).T
    return noise


def _interpolation(cells: int, size: int) -> Floats:
    """`[size, cells + 1]` weights with which each pixel mixes the two grid values beside it."""
    place = (np.arange(size) + 0.5) * cells / size
    before = place.astype(int)
    share = ease(place - before)
    weights = np.zeros((size, cells + 1), np.float32)
    weights[np.arange(size), before] = 1 - share
    weights[np.arange(size), before + 1] = share
    return weights


def offsets(points: Floats, size: int) -> tuple[Floats, Floats]:
    """Where the pixels' centres lie, seen from one point (x, y) for each picture.

    Args:
        points: `[N, 2]` in pixels.
        size: height and width in pixels.

    Returns:
        x `[N, 1, size]` and y `[N, size, 1]` in pixels.
    """
    steps = np.arange(size, dtype=np.float32) + 0.5
    points = points.astype(np.float32)
    return steps - points[:, 0, None, None], steps[:, None] - points[:, 1, None, None]


def mix_colours(hues: Floats, saturations: Floats, values: Floats) -> Floats:
    """RGB light `[N, 3]` of hues in turns of the colour wheel, saturations and values 0 to 1."""
    turns = hues[:, None] - np.arange(3, dtype=np.float32) / 3
    return values[:, None] * (1 - saturations[:, None] * (0.5 - 0.5 * np.cos(2 * np.pi * turns)))


def ease(values: Floats) -> Floats:
    """Rises smoothly from 0 to 1 while the values rise from 0 to 1, and stays there."""
    share = np.clip(values, 0, 1)
    return share * share * (3 - 2 * share)


def uniform(rng: np.random.Generator, low: float, high: float, count: int) -> Floats:
    """`[count]` float32 values between low and high."""
    return rng.uniform(low, high, count).astype(np.float32)
