"""The ground that a heatmap is measured on: the picture, its boxes, and what the team allows."""

import dataclasses
from collections.abc import Iterable

from transforms.geometry import Rectangle, View
from transforms.measure.localization import Layout, lay_out
from transforms.outlines import mask_rectangles, polygon_mask, unpack
from transforms.records import Box, Scene
from transforms.regions import clip, region_rectangles


@dataclasses.dataclass(frozen=True)
class Allowed:
    """Context that the team accepts: heat there is neither inside nor outside.

    Attributes:
        regions: names of `transforms.regions.ALL_REGIONS`.
        classes: annotated classes whose boxes are accepted context of every other class.
    """

    regions: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()


def layout_of(scene: Scene, allowed: Allowed) -> Layout:
    """The layout of a scene, with its allowed ground, of which ignore regions are part."""
    left, top, right, bottom = scene.content
    width, height = right - left, bottom - top
    view = View(scene.view_width, scene.view_height, (left, top, right, bottom), (left, top, right, bottom))
    regions = [
        (left + xmin * width, top + ymin * height, left + xmax * width, top + ymax * height)
        for region in allowed.regions
        for xmin, ymin, xmax, ymax in region_rectangles(region)
    ]
    accepted = [box for box in scene.other_boxes if box.ignored or box.name in allowed.classes]
    others = [box for box in scene.other_boxes if not box.ignored]
    size = scene.view_width, scene.view_height
    return lay_out(
        view,
        rectangles(scene.target_boxes, *size),
        rectangles(others, *size),
        [*regions, *rectangles(accepted, *size)],
    )


def boxes_in_sight(scene: Scene) -> int:
    """How many of the target's boxes have area in the view."""
    left, top, right, bottom = scene.content
    boxes = [(box.xmin, box.ymin, box.xmax, box.ymax) for box in scene.target_boxes]
    return sum(clip(box, (left, top, right, bottom)) is not None for box in boxes)


def rectangles(boxes: Iterable[Box], width: int, height: int) -> list[Rectangle]:
    """The edges of boxes, and of the pixels inside outlines, in a view of that size; without their names."""
    found: list[Rectangle] = []
    for box in boxes:
        if box.outline is None:
            found.append((box.xmin, box.ymin, box.xmax, box.ymax))
        else:
            found += mask_rectangles(polygon_mask(unpack(box.outline), width, height))
    return found
