"""The ground that a heatmap is measured on: the picture, its boxes, and what the team allows."""

import dataclasses
from collections.abc import Iterable

from transforms.geometry import Rectangle, View
from transforms.measure.localization import Layout, lay_out
from transforms.records import Box, Scene
from transforms.regions import region_rectangles


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
    return lay_out(
        view, rectangles(scene.target_boxes), rectangles(others), [*regions, *rectangles(accepted)]
    )


def rectangles(boxes: Iterable[Box]) -> list[Rectangle]:
    """The edges of boxes, without their names."""
    return [(box.xmin, box.ymin, box.xmax, box.ymax) for box in boxes]
