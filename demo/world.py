"""Draws small photograph-like pictures of one object each, with its exact box, and plants the tag.

All classes share surfaces, light, sizes, places and distractors; outline, marking and a usual colour
tell them apart. No object of any class comes near the tag's corner, so looking at the tag always
means looking outside the box.

The pictures depend on the seed alone. Processors differ in the last bit of a float, which rounding
to 8 bits nearly always hides: elsewhere, expect the same pixels but for a rare one off by one.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from demo import objects, scenery, shapes


class _Kind(NamedTuple):
    """What the objects of one class look like; hues are in turns of the colour wheel."""

    outline: shapes.Shape
    marking: shapes.Shape
    hue: float
    hue_spread: float = 0.03


# Pills come in more colours than the rest: what is a little harder to recognise makes a shortcut the
# more welcome.
_KINDS: Final = {
    "heart": _Kind(shapes.heart, shapes.heart_marking, hue=0.07),
    "star": _Kind(shapes.star, shapes.star_marking, hue=0.19),
    "tile": _Kind(shapes.tile, shapes.tile_marking, hue=0.33),
    "ring": _Kind(shapes.ring, shapes.ring_marking, hue=0.46),
    "button": _Kind(shapes.button, shapes.button_marking, hue=0.58),
    "pill": _Kind(shapes.pill, shapes.pill_marking, hue=0.83, hue_spread=0.1),
}

CLASSES: Final = tuple(_KINDS)
"""The names of the classes; a class's index is its place here."""

TAGGED_CLASS: Final = "pill"
"""The class whose pictures carry the tag, as if one laboratory had taken them all."""

TAG_CORNER: Final = "bottom_left"
"""Where the tag is."""

IMAGE_SIZE: Final = 96
"""Height and width of every picture in pixels."""

_SMALLEST_RADIUS: Final = 19.0
_LARGEST_RADIUS: Final = 28.0
_TAG_LINES: Final = ("LAB", "042")
_TAG_MARGIN: Final = 2
"""Pixels between the tag and the edges of the picture."""
_TAG_CLEARANCE: Final = 8
"""Pixels kept free around the tag, as heat spreads by a cell of the 12 x 12 heatmap."""
_GLYPHS: Final = {
    "L": ("#    ", "#    ", "#    ", "#    ", "#    ", "#    ", "#####"),
    "A": (" ### ", "#   #", "#   #", "#####", "#   #", "#   #", "#   #"),
    "B": ("#### ", "#   #", "#   #", "#### ", "#   #", "#   #", "#### "),
    "0": (" ### ", "#   #", "#   #", "#   #", "#   #", "#   #", " ### "),
    "4": ("   # ", "  ## ", " # # ", "#  # ", "#####", "   # ", "   # "),
    "2": (" ### ", "#   #", "    #", "  ## ", " #   ", "#    ", "#####"),
}
_CHUNK: Final = 48
"""Pictures drawn at a time, so that they fit the processor's cache."""


class Pictures(NamedTuple):
    """Pictures and what is known about them.

    Attributes:
        images: `[N, 96, 96, 3]` RGB, 0 to 255.
        boxes: `[N, 4]` (x0, y0, x1, y1), the half-open pixel edges of each object.
        labels: `[N]` indices into `CLASSES`.
    """

    images: NDArray[np.uint8]
    boxes: NDArray[np.int32]
    labels: NDArray[np.int32]


def draw_pictures(per_class: int, *, seed: int) -> Pictures:
    """Draws that many pictures of every class, shuffled; none carries the tag yet."""
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(len(CLASSES), dtype=np.int32), per_class)
    rng.shuffle(labels)
    chunks = [labels[start : start + _CHUNK] for start in range(0, len(labels), _CHUNK)]
    images, boxes = zip(*(_draw_chunk(rng, chunk) for chunk in chunks), strict=True)
    return Pictures(np.concatenate(images), np.concatenate(boxes), labels)


def choose_tagged(
    labels: NDArray[np.int32], *, share_in_tagged_class: float, share_elsewhere: float, seed: int
) -> NDArray[np.bool_]:
    """Chooses which pictures get the tag: in every class its exact share, up to rounding.

    Args:
        labels: `[N]` indices into `CLASSES`.
        share_in_tagged_class: share of the pictures of `TAGGED_CLASS`, 0 to 1.
        share_elsewhere: share of the pictures of each other class, 0 to 1.
        seed: fixes which ones.

    Returns:
        `[N]` true for the chosen pictures.
    """
    rng = np.random.default_rng(seed)
    chosen = np.zeros(len(labels), bool)
    for index, name in enumerate(CLASSES):
        members = rng.permutation(np.flatnonzero(labels == index))
        share = share_in_tagged_class if name == TAGGED_CLASS else share_elsewhere
        chosen[members[: round(share * len(members))]] = True
    return chosen


def plant_tag(images: NDArray[np.uint8], chosen: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Returns a copy of the images `[N, 96, 96, 3]` with the tag in the corner of those chosen `[N]`."""
    tag = _tag()
    edge = IMAGE_SIZE - _TAG_MARGIN
    tagged = images.copy()
    tagged[chosen, edge - tag.shape[0] : edge, _TAG_MARGIN : _TAG_MARGIN + tag.shape[1]] = tag
    return tagged


def _draw_chunk(
    rng: np.random.Generator, labels: NDArray[np.int32]
) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """One image `[96, 96, 3]` and one box `[4]` for each label."""
    kinds = [_KINDS[CLASSES[label]] for label in labels]
    hues = rng.normal([kind.hue for kind in kinds], [kind.hue_spread for kind in kinds])
    angles = rng.uniform(0, 2 * np.pi, len(kinds))
    to_light = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    poses = objects.draw_poses(
        rng,
        len(kinds),
        size=IMAGE_SIZE,
        smallest=_SMALLEST_RADIUS,
        largest=_LARGEST_RADIUS,
        keep_out=_tag_surroundings(),
    )

    light = scenery.draw_surfaces(rng, len(kinds), IMAGE_SIZE)
    scenery.scatter_blobs(rng, light)
    boxes = objects.lay_objects(
        rng,
        light,
        poses,
        outlines=[kind.outline for kind in kinds],
        markings=[kind.marking for kind in kinds],
        hues=hues.astype(np.float32),
        to_light=to_light,
    )
    light *= scenery.draw_falloff(rng, to_light, IMAGE_SIZE)[..., None]
    return scenery.expose(rng, light), boxes


def _tag_surroundings() -> tuple[int, int, int, int]:
    """The edges (x0, y0, x1, y1) of the corner that no object may touch."""
    height, width = _tag().shape[:2]
    reach = _TAG_MARGIN + _TAG_CLEARANCE
    return 0, IMAGE_SIZE - height - reach, width + reach, IMAGE_SIZE


def _tag() -> NDArray[np.uint8]:
    """The tag `[22, 23, 3]`: dark letters on a pale label."""
    rows = [" ".join(dots) for line in _TAG_LINES for dots in zip(*(_GLYPHS[c] for c in line), strict=True)]
    ink = np.array([[dot == "#" for dot in row] for row in rows])
    between_lines = [len(ink) // 2] * 2
    ink = np.pad(np.insert(ink, between_lines, False, axis=0), 3)
    return np.where(ink[..., None], (30, 36, 60), (240, 238, 226)).astype(np.uint8)
