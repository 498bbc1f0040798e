"""Other annotated classes in the picture: which of them draw a class's heat.

Every pair of classes has a small tally of its own, beside those of the groups, so that the state of one class
does not grow with the number of its neighbours.
"""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from transforms.judge.groups import groups_of
from transforms.judge.heat import UNIT, Heat, Ints, in_units, product
from transforms.judge.places import divergence, ratio_error, stands_out
from transforms.records import Group, Score

# With fewer pictures of both, what they share is anyone's guess.
MIN_TOGETHER = 10
# A class, and the name of another one annotated in the same picture.
Pair = tuple[Group, str]


@dataclasses.dataclass(frozen=True)
class Companion:
    """Another annotated class that draws heat.

    Attributes:
        name: the annotated name.
        share: share of the outside heat that lies in its boxes, over all images of the class, in [0, 1].
        images: measured images of the class in which it stands too.
        evidence: as that of a place.
    """

    name: str
    share: float
    images: int
    evidence: float


def pairs_of(score: Score) -> Iterator[tuple[Pair, Ints]]:
    """What a score adds to each pair of its class and another class.

    Yields:
        The pair, and int64 (5,): images; in units of 2^-32 the heat in the other's boxes, its square, its
        product with the heat outside, and the area of those boxes.
    """
    if score.outside is None or not score.outside.company:
        return
    outside = in_units(np.frombuffer(score.outside.picture_heat, "<f8")).sum()
    classes = [group for group in groups_of(score) if group.kind == "class"]
    for companion in score.outside.company:
        heat, area = in_units(np.array([companion.heat, companion.area]))
        numbers = np.array([1, heat, product(heat, heat), product(heat, outside), area], np.int64)
        for group in classes:
            yield (group, companion.name), numbers


def name_companion(own: Heat, company: Mapping[str, Ints], min_images: int) -> Companion | None:
    """The other annotated class whose boxes hold more of a class's outside heat than their area would.

    Args:
        own: the heat of the class.
        company: for each other class the sum of what `pairs_of` yields.
        min_images: with fewer images of the class none is named.

    Returns:
        The companion with the most evidence, the first by name among equals, or None.
    """
    count, outside = own.count("scores"), own.sums("outside")[0]
    if count < min_images or outside <= 0:
        return None
    both = np.array([outside, own.sums("outside_squared")[0]])
    ground = float(own.sums("distance_area").sum())
    found = []
    for name, numbers in sorted(company.items()):
        images, (heat, squares, products, area) = int(numbers[0]), numbers[1:] / UNIT
        share, usual = float(heat / outside), float(area / ground)
        error = ratio_error(share, float(squares), float(products), both, count)
        if images >= MIN_TOGETHER and stands_out(share, usual, error):
            found.append(Companion(name, share, images, divergence(share, usual)))
    return max(found, key=lambda companion: companion.evidence, default=None)
