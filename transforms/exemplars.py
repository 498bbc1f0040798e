"""The elements of which the pictures of a finding are made.

They travel like those of `transforms.records`, whose habits this file keeps.
"""

import dataclasses
from typing import List, Optional

from apache_beam import coders


@dataclasses.dataclass(frozen=True)
class Exemplar:
    """What is known of an image that a finding shows; the picture itself stands apart.

    Attributes:
        role: `worst`, `typical` or `innocent` of the finding's images; or one image's object on another
            background: `same_background`, `other_background`, or `removed`, the image without it.
        background_id, background_class: the example that lent the background, and the class of its object.
        probability: of the finding's class, in [0, 1].
        boxes: xmin, ymin, xmax, ymax of each box of the class, in shares of the model's view, clipped to it.
        heatmap: raw, row by row, of shape (map_height, map_width), over the whole view; None where the image
            was not explained.
    """

    role: str
    example_id: str
    background_id: Optional[str]
    background_class: Optional[str]
    predicted_name: Optional[str]
    probability: Optional[float]
    density_share: Optional[float]
    boxes: List[float]
    map_height: Optional[int]
    map_width: Optional[int]
    heatmap: Optional[List[float]]


@dataclasses.dataclass(frozen=True)
class Showing:
    """The images that one finding shows, of one class as one model sees it."""

    finding_id: str
    model: str
    class_name: str
    exemplars: List[Exemplar]


for element in (Exemplar, Showing):
    coders.registry.register_row(element)
