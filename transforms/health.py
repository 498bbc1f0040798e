"""The elements by which a model's explanation is judged, as one that depends on what the model has learned.

They travel like those of `transforms.records`, whose habits this file keeps.
"""

import dataclasses
from typing import List, Optional

from apache_beam import coders

from transforms.records import Scene

# How often all weights are drawn anew. One draw may keep to the boxes by luck, or keep off them.
DRAWS = 3


@dataclasses.dataclass(frozen=True)
class HealthMaps:
    """One image explained by one model as it is and with weights drawn anew.

    Heatmaps are float32 little-endian row-major bytes of shape (map_height, map_width): ReLU'd, raw.

    Attributes:
        trained: for the annotated class, by the model as it is.
        head: the same with the weights behind the explained layer drawn anew; None where there are none.
        networks: the same with all weights drawn anew, `DRAWS` times.
        runner_up: by the model as it is, for the class with the second highest logit; None where the model
            does not predict the annotated class, or where the runner-up means the same.
    """

    model: str
    example_id: str
    source: str
    position: int
    scene: Scene
    map_height: int
    map_width: int
    trained: bytes
    head: Optional[bytes]
    networks: List[bytes]
    runner_up: Optional[bytes]


@dataclasses.dataclass(frozen=True)
class HealthScore:
    """The density shares of these heatmaps, in [0, 1]; None where a map holds no heat that can be measured.

    Attributes:
        has_head: whether there are weights behind the explained layer.
        similarity: Pearson correlation of the maps of the annotated class and of the runner-up, in [-1, 1];
            None where there is no runner-up, or one of the maps is the same everywhere.
    """

    model: str
    example_id: str
    source: str
    position: int
    trained: Optional[float]
    has_head: bool
    head: Optional[float]
    networks: List[Optional[float]]
    similarity: Optional[float]


@dataclasses.dataclass(frozen=True)
class Health:
    """Whether the heatmaps of a model say anything of it: `models[].health` in the manifest.

    In means a map without heat counts as chance, 0.5.

    Attributes:
        verdict: `trusted`, `not_trusted` or `insufficient`.
        images: that were compared.
        density_share: mean of the model as it is, None as all the next where nothing was compared.
        density_share_lower: bound that holds with 95 %.
        density_share_head: mean with the weights behind the explained layer drawn anew, None where there are
            none.
        density_share_network: mean with all weights drawn anew, of the draw that comes nearest to the model
            as it is.
        gain: mean difference between the model as it is and that draw, image by image.
        gain_lower: bound that holds with 95 %.
        zero_maps, zero_maps_head, zero_maps_network: shares of the maps that hold no heat.
        similarity: mean Pearson correlation of the maps of the annotated class and of the runner-up.
        similarity_images: images that this is the mean of.
        message: the verdict in words.
    """

    model: str
    verdict: str
    images: int
    density_share: Optional[float]
    density_share_lower: Optional[float]
    density_share_head: Optional[float]
    density_share_network: Optional[float]
    gain: Optional[float]
    gain_lower: Optional[float]
    zero_maps: Optional[float]
    zero_maps_head: Optional[float]
    zero_maps_network: Optional[float]
    similarity: Optional[float]
    similarity_images: int
    message: str


for element in (HealthMaps, HealthScore, Health):
    coders.registry.register_row(element)
