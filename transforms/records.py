"""The elements that travel between rooms.

Each is a frozen dataclass registered with Beam's row coder, so that it crosses a stage boundary (and
a language) as a schema row, not as a pickle. Image arrays never travel: an Example holds the encoded
bytes, an Explanation the low-resolution heatmaps.

Some habits of this file are load-bearing for the row coder: `Optional[...]` and `List[...]` rather than
`X | None` and `list[...]`, and no `from __future__ import annotations`. A worker in another process decodes a
row to a look-alike that has the fields of these classes but is not of them: so they have fields only, no
methods, and nobody asks an element that has travelled for its class.
"""

import dataclasses
from typing import List, Optional

from apache_beam import coders

from transforms.exemplars import Exemplar


@dataclasses.dataclass(frozen=True)
class Box:
    """One annotated box: half-open pixel edges, `xmin <= x < xmax`, or shares of the image.

    Whether the numbers are pixels or shares in [0, 1] is said by the record that holds the box.

    Attributes:
        ignored: an ignore region, such as a crowd: heat there counts neither as inside nor as outside, and it
            names no class of the image.
        outline: what is measured in place of the box, in its unit, as `transforms.outlines` packs it.
    """

    name: str
    xmin: float
    ymin: float
    xmax: float
    ymax: float
    ignored: bool = False
    outline: Optional[bytes] = None


@dataclasses.dataclass(frozen=True)
class Slice:
    """One metadata value of an example, such as `camera` = `A`."""

    key: str
    value: str


@dataclasses.dataclass(frozen=True)
class Shard:
    """A unit of reading: the paths that one worker reads in order.

    Attributes:
        name: names the shard in output files; the same for the same listing.
        paths: usually one file; several where the format has one file for each image.
        version: size and time of the one file when the run was planned; None where there are several.
    """

    name: str
    paths: List[str]
    version: Optional[str] = None


@dataclasses.dataclass(frozen=True)
class Example:
    """One annotated image, still encoded.

    Attributes:
        example_id: stable across runs, runners and shards.
        source: the file that the record came from.
        position: index of the record in its source; of duplicates the smallest (source, position) survives.
        shard: name of the shard, names the output file.
        image: encoded bytes; empty until the file at `image_path` has been read.
        image_path: where the image stands when the record itself does not hold it, else empty.
        boxes: annotated boxes in pixels of the stored image, or in shares of it where `relative`.
        labels: annotated class names that come without a box.
        relative: True where boxes are shares of width and height in [0, 1].
        slices: metadata, in the order of the config.
        cluster: images of one cluster are not independent and count once as evidence; None for an image by
            itself.
    """

    example_id: str
    source: str
    position: int
    shard: str
    image: bytes
    image_path: str
    boxes: List[Box]
    labels: List[str]
    relative: bool
    slices: List[Slice]
    cluster: Optional[str] = None


@dataclasses.dataclass(frozen=True)
class DeadLetter:
    """A record that could not be used, and why.

    Attributes:
        stage: `read` or `explain`.
        error: reason code, such as `undecodable_image`.
        message: what was found, for a person.
        position: index of the record in its source; does not reach the table.
    """

    stage: str
    source: str
    example_id: Optional[str]
    error: str
    message: str
    position: int


@dataclasses.dataclass(frozen=True)
class Explanation:
    """The heatmaps of one example, one model and one target, with what is needed to measure them.

    Attributes:
        target_rule: `annotated`, `predicted` or `runner_up`.
        target_class: class index of the model, or None where the example names no class.
        correct: whether the predicted class is one that the annotated name maps to; None without a name.
        view_width, view_height: size of the model's input in pixels.
        content: xmin, ymin, xmax, ymax of the picture inside the view (padding excluded), in pixels.
        target_boxes: boxes of the target class in view pixels, not clipped.
        other_boxes: boxes of every other annotated class in view pixels, not clipped.
        methods: the methods, in the order of `heatmaps`.
        heatmaps: float32 little-endian row-major bytes of shape (map_height, map_width): ReLU'd, raw.
    """

    example_id: str
    source: str
    position: int
    shard: str
    model: str
    target_layer: str
    target_rule: str
    target_class: Optional[int]
    target_name: Optional[str]
    predicted_class: int
    predicted_name: str
    target_logit: Optional[float]
    target_probability: Optional[float]
    correct: Optional[bool]
    view_width: int
    view_height: int
    content: List[float]
    target_boxes: List[Box]
    other_boxes: List[Box]
    methods: List[str]
    heatmaps: List[bytes]
    map_height: int
    map_width: int
    slices: List[Slice]
    cluster: Optional[str]


@dataclasses.dataclass(frozen=True)
class Swap:
    """What one model makes of one object on other backgrounds.

    Attributes:
        class_name: the annotated name of the object.
        donor_class: the annotated name of the image that lent the other class's background.
        gap: probability of the class on a background of the same class, minus that on the other, in [-1, 1].
        own, other: that probability on the image's own background and on the other class's, in [0, 1].
        residual: probability of the class with the object taken away, in [0, 1].
        same_id, other_id: the examples that lent the two backgrounds.
    """

    model: str
    class_name: str
    example_id: str
    source: str
    position: int
    donor_class: str
    gap: float
    own: float
    other: float
    residual: float
    slices: List[Slice]
    cluster: Optional[str]
    same_id: str
    other_id: str


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a heatmap is measured against, in view pixels; boxes are not clipped. As in `Explanation`."""

    view_width: int
    view_height: int
    content: List[float]
    target_boxes: List[Box]
    other_boxes: List[Box]


@dataclasses.dataclass(frozen=True)
class Company:
    """Another annotated class in the picture: the share of the heat and of the content in its boxes."""

    name: str
    heat: float
    area: float


@dataclasses.dataclass(frozen=True)
class Outside:
    """Where the heat of one score lies outside its boxes: `transforms.measure.outside.OutsideHeat` as bytes.

    Float64 little-endian, row-major; `box_heat` and `box_area` are empty where there are several boxes.
    """

    picture_heat: bytes
    picture_area: bytes
    box_heat: bytes
    box_area: bytes
    distance_heat: bytes
    distance_area: bytes
    company: List[Company]


@dataclasses.dataclass(frozen=True)
class Score:
    """One row of the table `scores`: one example, model, target, layer and method.

    `status` is `ok`, `zero_map`, `not_finite`, `no_box` or `full_box`; where it is not `ok` the
    measures (`energy_in_box` to `energy_by_region`) are None, never 0 and never 1. The columns are
    described in `docs/metrics.md`. `position`, `shard`, `scene` and `outside` do not reach the table.

    Attributes:
        heatmap: one of those of the explanation; None without a target class.
        scene: for scores that are summarised and have status `ok`.
        outside: None until `LocateHeat` has found it in the scene; too large to travel with every row.
    """

    model: str
    example_id: str
    source: str
    method: str
    target_layer: str
    target_rule: str
    target_class: Optional[int]
    target_name: Optional[str]
    predicted_class: int
    predicted_name: str
    target_logit: Optional[float]
    target_probability: Optional[float]
    correct: Optional[bool]
    status: str
    box_count: int
    box_area: float
    energy_in_box: Optional[float]
    density_share: Optional[float]
    peak_in_box: Optional[bool]
    rank_accuracy: Optional[float]
    energy_in_other_boxes: Optional[float]
    energy_by_region: Optional[List[float]]
    swap_gap: Optional[float]
    residual: Optional[float]
    cluster: Optional[str]
    map_height: int
    map_width: int
    heatmap: Optional[bytes]
    slices: List[Slice]
    position: int
    shard: str
    other_background_probability: Optional[float]
    donor_class: Optional[str]
    scene: Optional[Scene]
    outside: Optional[Outside]


@dataclasses.dataclass(frozen=True)
class Group:
    """Scores that are judged together: a model, one of its classes, or a slice.

    Attributes:
        kind: `model`, `class` or `slice`.
        class_name: annotated class, None for a model and for a slice of all classes.
        slice_key, slice_value: None except for a slice.
    """

    model: str
    method: str
    target_layer: str
    kind: str
    class_name: Optional[str]
    slice_key: Optional[str]
    slice_value: Optional[str]


@dataclasses.dataclass(frozen=True)
class Summary:
    """One row of the table `summaries`: one group of scores of the rule `annotated`.

    The measures are means over the rows with status `ok` of the score column of that name; `peak_in_box`
    has a 95 % Wilson interval, `density_share` bounds that each hold with 95 %.
    """

    model: str
    method: str
    target_layer: str
    group_kind: str
    group_name: str
    class_name: Optional[str]
    slice_key: Optional[str]
    slice_value: Optional[str]
    rows: int
    ok: int
    zero_map: int
    not_finite: int
    no_box: int
    full_box: int
    accuracy: Optional[float]
    energy_in_box: Optional[float]
    box_area: Optional[float]
    density_share: Optional[float]
    density_share_lower: Optional[float]
    density_share_upper: Optional[float]
    peak_in_box: Optional[float]
    peak_in_box_lower: Optional[float]
    peak_in_box_upper: Optional[float]
    rank_accuracy: Optional[float]
    energy_in_other_boxes: Optional[float]
    energy_by_region: Optional[List[float]]
    density_share_histogram: List[int]
    swap_gap_histogram: Optional[List[int]]
    atlas: Optional[List[float]]
    atlas_area: Optional[List[float]]
    box_atlas: Optional[List[float]]
    box_atlas_area: Optional[List[float]]
    distance_heat: Optional[List[float]]
    distance_area: Optional[List[float]]


@dataclasses.dataclass(frozen=True)
class Finding:
    """One row of the table `findings`: the verdict on one model, class or tested slice.

    Attributes:
        finding_id: stable hash of what is judged, the same in every run.
        verdict: `confirmed`, `hidden`, `suspect`, `clear` or `insufficient`; `unsuspected` without the
            counterfactual stage.
        n: measured rows; for a class or slice within it, its measured images.
        log10_e_suspect: evidence that the class looks less at its boxes than its reference.
        peers_median: median density share of the peer classes, where there are enough of them.
        exemplars: JPEG of each of `exemplar_details`, empty where an image could not be shown; None where no
            pictures are kept.
        message: the verdict in words.
        reference: the mean density share that a class was compared with: that of the reference model, the
            median of the peers, or chance.
        detectable_density_share: the largest mean at which these images would have made the class suspect.
        detectable_gap: the smallest mean swap gap at which these swaps would have convicted it.
        p_value, cohens_d: of a slice against the rest of its class.
    """

    finding_id: str
    model: str
    group_kind: str
    group_name: str
    class_name: Optional[str]
    slice_key: Optional[str]
    slice_value: Optional[str]
    verdict: str
    n: int
    log10_e_suspect: Optional[float]
    log10_e_confirmed: Optional[float]
    density_share: Optional[float]
    peers_median: Optional[float]
    swap_gap: Optional[float]
    swap_gap_lower: Optional[float]
    swap_gap_upper: Optional[float]
    residual: Optional[float]
    region: Optional[str]
    region_share: Optional[float]
    co_occurring_class: Optional[str]
    exemplars: Optional[List[bytes]]
    message: str
    reference: Optional[float]
    detectable_density_share: Optional[float]
    detectable_gap: Optional[float]
    p_value: Optional[float]
    cohens_d: Optional[float]
    exemplar_details: Optional[List[Exemplar]]


for element in (
    *(Box, Slice, Shard, Example, DeadLetter, Explanation, Swap, Scene, Company, Outside, Score),
    *(Group, Summary, Finding),
):
    coders.registry.register_row(element)
