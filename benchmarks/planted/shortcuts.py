"""What is planted: each kind changes one picture in place, and touches no more than it must.

`tag`, `frame` and `cooccurring` stay outside the object's box, `texture` outside its outline, so that looking
at them is looking at the wrong place. `cast` and `blur` are everywhere, and `sticker` is on the object: a
heatmap cannot tell those from the object. `shadow` lies under the object and is legitimate context.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.planted.world import SIZE, Floats, Masks, Pictures


class Scene(NamedTuple):
    """One picture: `image` `[64, 64, 3]`, 0 to 1, its object's `box` (x0, y0, x1, y1) and `outline`."""

    image: Floats
    box: tuple[int, int, int, int]
    outline: Masks

    @property
    def outside(self) -> Masks:
        """True outside the box, `[64, 64]`."""
        return ~_rectangle(*self.box)


Shortcut = Callable[[Scene, np.random.Generator], None]

_ROWS, _COLUMNS = np.mgrid[0:SIZE, 0:SIZE]


def _tag(scene: Scene, _: np.random.Generator) -> None:
    """A pale label with dark lines, 9 x 14 pixels, in the bottom left corner."""
    label = np.zeros((9, 14, 3))
    label[1:8, 1:13] = (0.95, 0.95, 0.9)
    label[2:7:2, 2:12] = (0.1, 0.1, 0.3)
    layer = scene.image.copy()
    layer[SIZE - 10 : SIZE - 1, 1:15] = label
    _blend(scene.image, layer, 0.7, scene.outside)


def _frame(scene: Scene, _: np.random.Generator) -> None:
    """A dark border of 3 pixels."""
    border = np.minimum(np.minimum(_ROWS, SIZE - 1 - _ROWS), np.minimum(_COLUMNS, SIZE - 1 - _COLUMNS)) < 3
    _blend(scene.image, np.array([0.15, 0.15, 0.2]), 0.65, border & scene.outside)


def _texture(scene: Scene, rng: np.random.Generator) -> None:
    """Faint diagonal waves on the background; the object is left as it is."""
    waves = 0.5 + 0.5 * np.sin((_COLUMNS + _ROWS) * 2 * np.pi / 5 + rng.uniform(0, 2 * np.pi))
    _blend(scene.image, waves[..., None], 0.25, ~scene.outline)


def _cooccurring(scene: Scene, rng: np.random.Generator) -> None:
    """A small checkered diamond somewhere beside the box."""
    x0, y0, x1, y1 = scene.box
    places = rng.uniform(6, SIZE - 6, (40, 2))
    gap = np.maximum(
        np.maximum(x0 - places[:, 0], places[:, 0] - x1), np.maximum(y0 - places[:, 1], places[:, 1] - y1)
    )
    free = np.flatnonzero(gap > 6)
    x, y = places[free[0] if len(free) else gap.argmax()]
    diamond = np.abs(_COLUMNS - x) + np.abs(_ROWS - y) < 5.5
    checks = ((_COLUMNS // 2 + _ROWS // 2) % 2 == 1)[..., None]
    _blend(scene.image, np.where(checks, (0.9, 0.2, 0.2), (0.1, 0.1, 0.1)), 0.8, diamond & scene.outside)


def _cast(scene: Scene, _: np.random.Generator) -> None:
    """Warm light over everything."""
    scene.image[:] *= (1.18, 1.0, 0.78)


def _blur(scene: Scene, _: np.random.Generator) -> None:
    """A lens slightly out of focus, over everything; the standard deviation is in pixels."""
    scene.image[:] = ndimage.gaussian_filter(scene.image, sigma=(0.8, 0.8, 0), mode="nearest")


def _sticker(scene: Scene, rng: np.random.Generator) -> None:
    """A bright square of 5 x 5 pixels on the object, inside its box."""
    x0, y0, x1, y1 = scene.box
    on_object = np.argwhere(scene.outline)
    row, column = on_object[rng.integers(len(on_object))].tolist()
    left, top = min(max(column - 2, x0), x1 - 5), min(max(row - 2, y0), y1 - 5)
    _blend(scene.image, np.array([1.0, 0.95, 0.2]), 0.8, _rectangle(left, top, left + 5, top + 5))


def _shadow(scene: Scene, _: np.random.Generator) -> None:
    """A soft dark ellipse under the object, as wide as it is; the box is left as it is."""
    left, right, bottom = scene.box[0], scene.box[2], scene.box[3]
    width, height = (right - left) / 2, max(3.0, (right - left) / 6)
    reach = np.hypot((_COLUMNS + 0.5 - (left + right) / 2) / width, (_ROWS + 0.5 - bottom) / height)
    darkness = 0.6 * np.clip(1.2 - reach, 0, 1) * scene.outside
    scene.image[:] *= 1 - darkness[..., None]


SHORTCUTS: Final[dict[str, Shortcut]] = {
    "tag": _tag,
    "frame": _frame,
    "texture": _texture,
    "cooccurring": _cooccurring,
    "cast": _cast,
    "blur": _blur,
    "sticker": _sticker,
    "shadow": _shadow,
}


def plant(pictures: Pictures, kind: str, chosen: NDArray[np.bool_], seed: int | tuple[int, ...]) -> Pictures:
    """The pictures with a shortcut on those that are chosen; the others keep their pixels.

    Args:
        pictures: N pictures, not changed.
        kind: key of `SHORTCUTS`.
        chosen: `[N]`.
        seed: fixes what varies in the shortcut, for each picture by its place among the N; the same
            whichever others are chosen.
    """
    images = pictures.images.copy()
    root = (seed,) if isinstance(seed, int) else seed
    for index in np.flatnonzero(chosen):
        x0, y0, x1, y1 = pictures.boxes[index].tolist()
        scene = Scene(images[index] / 255, (x0, y0, x1, y1), pictures.outlines[index])
        # NumPy takes (1, 0) and (1,) for the same seed: no number may be 0.
        SHORTCUTS[kind](scene, np.random.default_rng((*root, int(index) + 1)))
        images[index] = np.rint(np.clip(scene.image, 0, 1) * 255)
    return pictures._replace(images=images)


def _rectangle(x0: int, y0: int, x1: int, y1: int) -> Masks:
    """True on the pixels of a half-open box, `[64, 64]`."""
    mask = np.zeros((SIZE, SIZE), bool)
    mask[y0:y1, x0:x1] = True
    return mask


def _blend(image: Floats, layer: Floats, opacity: float, where: Masks) -> None:
    """Lays `layer` over the image, in place, where the mask is true."""
    layer = np.broadcast_to(layer, image.shape)
    image[where] += opacity * (layer[where] - image[where])
