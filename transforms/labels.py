"""The elements by which the data are judged, without images and models.

They travel like those of `transforms.records`, whose habits this file keeps.
"""

import dataclasses
from typing import List, Optional

from apache_beam import coders

from transforms.records import Example, Slice


@dataclasses.dataclass(frozen=True)
class Labelling:
    """The names and the metadata of an example, without its image; from these the data are judged.

    Attributes:
        example_id, source, position, slices, cluster: as in `Example`.
        names: annotated class names, each once.
    """

    example_id: str
    source: str
    position: int
    names: List[str]
    slices: List[Slice]
    cluster: Optional[str]


@dataclasses.dataclass(frozen=True)
class AssociatedPair:
    """A value of a slice column that goes with an annotated class.

    Attributes:
        value: None for a missing value.
        class_name: None for examples without a class.
        records: examples with both.
        share_in_class, share_elsewhere: share of the examples with that class that have the value, and of
            those without.
        phi: correlation of the two, in [-1, 1].
        p_value: Fisher's exact test, one-sided.
    """

    value: Optional[str]
    class_name: Optional[str]
    records: int
    share_in_class: float
    share_elsewhere: float
    phi: float
    p_value: float


@dataclasses.dataclass(frozen=True)
class Association:
    """Whether a slice column tells the annotated class: one entry of `data.associations` in the manifest.

    Attributes:
        records: examples, each once.
        missing: those without a value.
        values: distinct values, or None where they are too many.
        nmi: normalised mutual information with the class, in [0, 1]; None, as the next three, if not tested.
        cramers_v: how much the column goes with the class, in [0, 1].
        p_value: of the column as a whole.
        associated: whether the column survives Benjamini-Hochberg, and it is strong or has a strong pair that
            survives too.
        pairs: those pairs, strongest first.
        message: the result in words.
    """

    slice_key: str
    records: int
    missing: int
    values: Optional[int]
    nmi: Optional[float]
    cramers_v: Optional[float]
    p_value: Optional[float]
    associated: Optional[bool]
    pairs: List[AssociatedPair]
    message: str


def names_of(example: Example) -> list[str]:
    """The annotated class names of an example, each once, in the order of annotation."""
    boxed = [box.name for box in example.boxes if not box.ignored]
    return list(dict.fromkeys(boxed + list(example.labels)))


def labelling_of(example: Example, slices: list[Slice]) -> Labelling:
    """What is judged of an example without its image, with these slices."""
    return Labelling(
        example_id=example.example_id,
        source=example.source,
        position=example.position,
        names=names_of(example),
        slices=slices,
        cluster=example.cluster,
    )


for element in (Labelling, AssociatedPair, Association):
    coders.registry.register_row(element)
