"""The outlines and markings of the six kinds of object, as functions that say how deep a point lies inside.

Every outline fits the unit circle and fills a good part of its box: a thin shape would put little
heat into its own box and look guilty in an honest model.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
"""Float32 at run time; NumPy's type stubs lose track of the precision."""

Shape = Callable[[Floats, Floats], Floats]
"""Takes x to the right and y downwards, in units of the object's radius, and returns the distance to
the shape's edge in the same unit, positive inside."""


def heart(x: Floats, y: Floats) -> Floats:
    """A square on its corner, with half a disc on each upper side."""
    side = np.abs(x)
    square = (0.7 - side - np.abs(y)) / 2**0.5
    depth: Floats = np.maximum(square, 0.49 - np.hypot(side - 0.35, y + 0.35))
    return depth


def heart_marking(x: Floats, y: Floats) -> Floats:
    """Stripes."""
    return 0.12 - np.abs(np.mod(x + y, 0.5) - 0.25)


def star(x: Floats, y: Floats) -> Floats:
    """A plump star with five points."""
    return _star(x, y, points=5, inner_radius=0.55)


def star_marking(x: Floats, y: Floats) -> Floats:
    """Every other facet."""
    depth: Floats = 0.3 * np.sin(5 * np.arctan2(y, x))
    return depth


def tile(x: Floats, y: Floats) -> Floats:
    """A square, which is a star with four points and straight sides."""
    return _star(x, y, points=4, inner_radius=0.5**0.5)


def tile_marking(x: Floats, y: Floats) -> Floats:
    """Two opposite quarters."""
    return np.sign(x * y) * np.minimum(np.abs(x), np.abs(y))


def ring(x: Floats, y: Floats) -> Floats:
    """A thick ring; its hole shows the background."""
    return 0.25 - np.abs(np.hypot(x, y) - 0.64)


def ring_marking(x: Floats, y: Floats) -> Floats:
    """Four bands, as on a lifebuoy."""
    depth: Floats = 0.4 * np.sin(4 * np.arctan2(y, x))
    return depth


def button(x: Floats, y: Floats) -> Floats:
    """A disc."""
    return 0.82 - np.hypot(x, y)


def button_marking(x: Floats, y: Floats) -> Floats:
    """Four holes."""
    return 0.15 - np.hypot(np.abs(x) - 0.25, np.abs(y) - 0.25)


def pill(x: Floats, y: Floats) -> Floats:
    """A plump capsule."""
    return 0.6 - np.hypot(np.maximum(np.abs(x) - 0.4, 0), y)


def pill_marking(x: Floats, _: Floats) -> Floats:
    """One half."""
    return x


def _star(x: Floats, y: Floats, *, points: int, inner_radius: float) -> Floats:
    """Distance to the sides of a star whose points lie on the unit circle."""
    half = np.pi / points
    # A star is one line, mirrored: folding the plane into half a point's sector leaves only that line.
    angle = np.abs(np.mod(np.arctan2(y, x) + half, 2 * half) - half)
    radius = np.hypot(x, y)
    along, across = radius * np.cos(angle), radius * np.sin(angle)
    side_along, side_across = inner_radius * np.cos(half) - 1, inner_radius * np.sin(half)
    length = float(np.hypot(side_along, side_across))
    return float(side_along) / length * across - float(side_across) / length * (along - 1)
