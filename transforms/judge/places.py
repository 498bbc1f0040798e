"""Where a model looks instead: names the place that holds a class's outside heat.

The model's other classes say what is usual: what all classes share is the architecture's doing. A slice is
compared with the rest of its class. A place is named, never voted on: verdicts know nothing of it.

The named place is the one with the largest likelihood ratio between the share of heat that it has and the
share that it would have at the others' density, as in Kulldorff's scan statistic (Communications in
Statistics, 1997); a corner thus wins over the band that contains it, and the frame over its corners, when
the heat is really there. Every fixed place is far from most boxes, so that heat which is merely far, as on an
object that nobody annotated, is named only where it explains much more than any fixed place does.
"""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np

from transforms.geometry import Floats
from transforms.judge.heat import FAR_FROM_BOX, MASKS, PLACES, UNIT, Heat
from transforms.judge.usual import Usual
from transforms.regions import DISTANCES

# A place is named when its share of the outside heat lies this far above the usual one: by difference, by
# odds ratio, and in standard errors.
MIN_EXCESS = 0.1
MIN_ODDS_RATIO = 1.5
MIN_SIGMAS = 3.0
# A fixed place with less evidence than this share of that for `far_from_box` is only where far heat must be.
MIN_FIXED = 0.3
# A halo: half of the outside heat within one cell of the box, and no rise farther out.
HALO_CELLS = 1.0
HALO_SHARE = 0.5
BUMP_RATIO = 1.25
BUMP_SHARE = 0.2


@dataclasses.dataclass(frozen=True)
class Place:
    """A named place.

    Attributes:
        name: one of `transforms.judge.heat.PLACES`, or `halo`.
        share: share of the outside heat that it holds, in [0, 1].
        area: share of the area outside the boxes that it covers, in [0, 1]; for a place named after the
            box, of the area around it.
        usual: share that the others' density would give it, in [0, 1]; None without others.
        evidence: log likelihood ratio for one image, as `divergence` has it.
    """

    name: str
    share: float
    area: float
    usual: float | None
    evidence: float


def name_place(own: Heat, others: Usual | None, min_images: int) -> Place | None:
    """The place that holds more of a group's outside heat than is usual, if there is one.

    Args:
        own: the heat of the group.
        others: what is usual; None where there is nobody to compare with, and chance takes its place.
        min_images: with fewer scores nothing is named.

    Returns:
        The fixed place with the most evidence, in the picture or beside the box; `far_from_box` where no
        fixed place has enough beside it; else `halo`, where the heat surrounds the boxes closely. Against
        chance, by which every halo stands out, the halo comes first.
    """
    if not enough(own, min_images):
        return None
    halo = _halo(own)
    if others is None and halo is not None:
        return halo
    found = list(_standing_out(own, others))
    far = sum(place.evidence for place in found if place.name == FAR_FROM_BOX)
    fixed = [place for place in found if place.name != FAR_FROM_BOX and place.evidence >= MIN_FIXED * far]
    return max(fixed or found, key=lambda place: place.evidence, default=halo)


def enough(heat: Heat, min_images: int) -> bool:
    """Whether there is enough outside heat to say where it lies."""
    return heat.count("scores") >= min_images and bool(heat.sums("outside")[0] > 0)


def stands_out(share: float, usual: float, error: float) -> bool:
    """Whether a share of the outside heat is so far above the usual one that it is worth a name."""
    excess = share - usual
    higher_odds = share * (1 - usual) >= MIN_ODDS_RATIO * usual * (1 - share)
    return excess >= MIN_EXCESS and higher_odds and excess >= MIN_SIGMAS * error


def divergence(share: float, usual: float) -> float:
    """Kullback-Leibler divergence of two coins, in nats: the log likelihood ratio that a share gives.

    Args:
        share: seen, in [0, 1].
        usual: expected, in [0, 1]; 0 and 1 count as one unit of fixed point less certain.
    """
    usual = min(max(usual, 1 / UNIT), 1 - 1 / UNIT)
    parts = ((share, usual), (1 - share, 1 - usual))
    return sum(seen * math.log(seen / expected) for seen, expected in parts if seen > 0)


def ratio_error(share: float, squares: float, products: float, outside: Floats, count: int) -> float:
    """Standard error of a quotient of sums; the delta method, as for a ratio estimator.

    Args:
        share: sum of the heat in a place over the sum of the heat outside.
        squares: sum of the squared heat in the place.
        products: sum of the heat in the place times the heat outside.
        outside: sum of the heat outside, and of its square.
        count: images.
    """
    residuals = squares - 2 * share * products + share**2 * outside[1]
    return math.inf if count < 2 else math.sqrt(max(0.0, residuals) * count / (count - 1)) / outside[0]


def _standing_out(own: Heat, others: Usual | None) -> Iterator[Place]:
    first = 0
    for name, masks in MASKS.items():
        names = range(first, first + len(masks))
        first += len(masks)
        heat, area = own.sums(f"{name}_heat"), own.sums(f"{name}_area")
        if not (heat.sum() > 0 and area.sum() > 0):
            continue
        # Around the box the map misses what is farther off; how much that is, is taken as it is.
        within = heat.sum() / own.sums("outside")[int(name == "box")]
        expected = area if others is None else area * others.densities[name]
        usual = masks @ (expected / expected.sum()) * within
        for slot, mask, by_others in zip(names, masks, usual, strict=True):
            share, error = _share(own, name, slot)
            if others is not None and others.heat.sums(f"{name}_heat").sum() > 0:
                error = math.hypot(error, _share(others.heat, name, slot)[1])
            if stands_out(share, by_others, error):
                covered = float(mask @ area / area.sum())
                compared = None if others is None else float(by_others)
                yield Place(PLACES[slot], share, covered, compared, divergence(share, by_others))


def _share(heat: Heat, name: str, slot: int) -> tuple[float, float]:
    """The share of the outside heat that a place holds, and its standard error."""
    kind = int(name == "box")
    outside = np.array([heat.sums("outside")[kind], heat.sums("outside_squared")[kind]])
    share = float(heat.sums("places")[slot] / outside[0])
    squares, products = (float(heat.sums(of)[slot]) for of in ("squares", "products"))
    return share, ratio_error(share, squares, products, outside, heat.count("boxed" if kind else "scores"))


def _halo(own: Heat) -> Place | None:
    """The halo of the boxes, where most of the heat lies close to them and fades with distance."""
    heat, area = own.sums("distance_heat"), own.sums("distance_area")
    shares, areas = heat / heat.sum(), area / area.sum()
    near = 1 + DISTANCES.index(HALO_CELLS)
    share, covered = float(shares[:near].sum()), float(areas[:near].sum())
    if share < HALO_SHARE or not stands_out(share, covered, 0.0) or _rises(shares, areas):
        return None
    return Place("halo", share, covered, None, divergence(share, covered))


def _rises(shares: Floats, areas: Floats) -> bool:
    """Whether the density rises again with distance, for a part of the heat that counts: a second bump."""
    filled = areas > 0
    density, beyond = shares[filled] / areas[filled], shares[::-1].cumsum()[::-1][filled]
    return bool(np.any((density[1:] > BUMP_RATIO * density[:-1]) & (beyond[1:] >= BUMP_SHARE)))
