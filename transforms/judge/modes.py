"""Modes: a subgroup of a class that looks elsewhere than the rest, though no slice column tells it apart.

A fifth of the horses carry a watermark: the class's mean hardly moves, and nobody has a column for it. The
maps of a class are clustered by *where* their outside heat lies, each normalised, so that how much heat lies
outside has no say. The clusters come from a third of the sample; all is tested on the other two thirds:

- the density share of the mode's images is lower than that of the rest of the class;
- the mode recurs in this class more than in the model's others, whose maps are assigned to the same centres:
  every class has images with a distractor at the left, on which it looks less at its object, but they are
  as common in the others;
- its heat has a place that can be named.

The larger of the two p-values is one for "either is false" (intersection-union test, Berger 1982). Clusters
are Ward's (JASA 1963), of the square roots of shares, whose Euclidean distance is Hellinger's.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.cluster import hierarchy

from transforms.columns import MODE_KEY
from transforms.geometry import Floats
from transforms.judge.associations import fisher_p_value
from transforms.judge.heat import Heat
from transforms.judge.places import Place, divergence, ratio_error, stands_out
from transforms.judge.settings import JudgeSettings
from transforms.judge.sightings import CELLS, Sightings
from transforms.judge.slices import MAX_P_VALUE, is_lower
from transforms.judge.statistics import Tally, benjamini_hochberg, welch
from transforms.judge.verdicts import finding
from transforms.judge.wording import in_words
from transforms.records import Finding, Group
from transforms.regions import ALL_REGIONS, region_rectangles

# Clusters that are looked for in a class.
_CLUSTERS = 8
# A cluster reaches as far as this share of its members; what lies farther off belongs to none.
_REACH = 0.95
# Cohen's d. A mode is chosen for being unlike the rest, and innocent ones reach nearly this.
MIN_EFFECT = 1.0
# How many times as common a mode must be as in the class, but one, in which it is commonest: one other class
# may have the same shortcut.
MIN_RECURRENCE = 2.0
_OTHERS_TO_LEAVE_ONE_OUT = 3
_EXEMPLARS = 3


def _masks() -> Floats:
    """Which cells belong to each of `ALL_REGIONS`; shape (14, 64)."""
    masks = np.zeros((len(ALL_REGIONS), CELLS, CELLS))
    for mask, region in zip(masks, ALL_REGIONS, strict=True):
        for rectangle in region_rectangles(region):
            xmin, ymin, xmax, ymax = (round(edge * CELLS) for edge in rectangle)
            mask[ymin:ymax, xmin:xmax] = 1
    return masks.reshape(len(ALL_REGIONS), -1)


_MASKS = _masks()


@dataclasses.dataclass(frozen=True)
class _Maps:
    """The sampled maps of a class, in the order of their hashes.

    Attributes:
        ids: example ids.
        shares: density shares, shape (n,).
        heats: heat outside the boxes, shape (n, 64).
        patterns: square roots of where it lies, shape (n, 64); of length 1, or 0 where there is none.
    """

    ids: Sequence[str]
    shares: Floats
    heats: Floats
    patterns: Floats

    @classmethod
    def of(cls, sightings: Sightings) -> "_Maps":
        heats = sightings.heats
        totals = heats.sum(axis=1, keepdims=True)
        patterns = np.sqrt(np.divide(heats, totals, out=np.zeros_like(heats), where=totals > 0))
        return cls([kept.example_id for kept in sightings.kept], sightings.density_shares, heats, patterns)

    def __getitem__(self, part: slice) -> "_Maps":
        return _Maps(self.ids[part], self.shares[part], self.heats[part], self.patterns[part])

    def __len__(self) -> int:
        return len(self.ids)


@dataclasses.dataclass(frozen=True)
class _Clusters:
    """Centres of patterns, shape (k, 64), and the squared distance up to which each reaches, shape (k,)."""

    centres: Floats
    reaches: Floats

    @classmethod
    def of(cls, patterns: Floats) -> "_Clusters":
        """Clusters of two patterns or more."""
        labels = hierarchy.fcluster(hierarchy.ward(patterns), _CLUSTERS, "maxclust")
        members = [patterns[labels == label] for label in np.unique(labels)]
        centres = np.stack([of.mean(axis=0) for of in members])
        # From the centre of the others: a centre lies nearer to those it is made of than to any that follow.
        reaches = [
            float(np.quantile(_squared_distances(of, centre[None]), _REACH)) * (len(of) / (len(of) - 1)) ** 2
            if len(of) > 1
            else 0.0
            for of, centre in zip(members, centres, strict=True)
        ]
        return cls(centres, np.array(reaches))

    def assign(self, patterns: Floats) -> NDArray[np.int64]:
        """The cluster of each pattern, -1 for none."""
        distances = _squared_distances(patterns, self.centres)
        nearest = distances.argmin(axis=1)
        away = distances[np.arange(len(patterns)), nearest]
        within = (away <= self.reaches[nearest]) & patterns.any(axis=1)
        return np.where(within, nearest, -1)


@dataclasses.dataclass(frozen=True)
class _Mode:
    """A tested mode.

    Attributes:
        group: its class.
        arms: density shares of the held-out images in it, and of the others of its class.
        usual: its share of the other class that it is held against.
        p_value: of both questions; 1 where one of them is answered with no.
        effect: Cohen's d.
        place: where it looks; None for one with a p-value of 1.
        exemplars: ids of the held-out images in it that look least at their object.
    """

    group: Group
    arms: tuple[Tally, Tally]
    usual: float
    p_value: float
    effect: float
    place: Place | None
    exemplars: Sequence[str]

    @property
    def share(self) -> float:
        """Its share of the held-out images of its class."""
        own, rest = self.arms
        return own.units / (own.units + rest.units)


def find_modes(sightings: Mapping[Group, Sightings], settings: JudgeSettings) -> list[Finding]:
    """Looks for biased modes in every class of a model.

    Args:
        sightings: for each group of kind `class` of one model, method and layer its sampled maps.
        settings: `fdr` over all tested modes; `min_images` on either side. A class needs three times as many
            maps, and another class beside it.

    Returns:
        A finding for each mode that passes, sorted by class, the commonest first.
    """
    maps = {group: _Maps.of(sightings[group]) for group in sorted(sightings, key=lambda g: str(g.class_name))}
    enough = {group: of for group, of in maps.items() if len(of) >= settings.min_images}
    tested = [mode for group in enough for mode in _tested(group, enough, settings.min_images)]
    kept = benjamini_hochberg([mode.p_value for mode in tested], settings.fdr)
    passed = [mode for mode, real in zip(tested, kept, strict=True) if real and mode.p_value <= MAX_P_VALUE]
    return list(_findings(passed))


def _tested(group: Group, maps: Mapping[Group, _Maps], least: int) -> Iterator[_Mode]:
    """The modes of a class that have enough held-out images on either side, flagged or not."""
    own, others = maps[group], [of for name, of in maps.items() if name != group]
    if len(own) < 3 * least or not others:
        return
    third = len(own) // 3
    seen, held_out = own[:third].patterns, own[third:]
    seen = seen[seen.any(axis=1)]
    if len(seen) < 2:
        return
    clusters = _Clusters.of(seen)
    assigned = clusters.assign(held_out.patterns)
    of_others: list[NDArray[np.int64]] = []
    for number in range(len(clusters.centres)):
        inside = assigned == number
        count, rest = int(inside.sum()), int((~inside).sum())
        if min(count, rest) < least:
            continue
        arms = _tally(held_out.shares[inside]), _tally(held_out.shares[~inside])
        p_value, effect = welch(*arms)
        usual, place = 0.0, None
        if p_value <= MAX_P_VALUE and effect >= MIN_EFFECT and is_lower(*arms):
            place = _place(held_out.heats[inside], held_out.heats[~inside])
        if place is not None:
            # Only now, since a model may have a thousand other classes.
            of_others = of_others or [clusters.assign(other.patterns) for other in others]
            usual = _usual([float((found == number).mean()) for found in of_others])
            recurs = count >= MIN_RECURRENCE * usual * len(held_out)
            p_value = max(p_value, _recurrence(inside, [found == number for found in of_others]))
            place = place if recurs else None
        lowest = np.flatnonzero(inside)[np.argsort(held_out.shares[inside], kind="stable")[:_EXEMPLARS]]
        yield _Mode(
            group=group,
            arms=arms,
            usual=usual,
            p_value=1.0 if place is None else p_value,
            effect=effect,
            place=place,
            exemplars=[held_out.ids[index] for index in lowest],
        )


def _usual(shares: Sequence[float]) -> float:
    """The largest share of a mode in other classes; with three or more of them, the second largest."""
    return sorted(shares)[-2 if len(shares) >= _OTHERS_TO_LEAVE_ONE_OUT else -1]


def _recurrence(inside: NDArray[np.bool_], of_others: Sequence[NDArray[np.bool_]]) -> float:
    """Probability of so many of the class's images in the mode, if it were as common in all classes."""
    elsewhere = np.concatenate(of_others)
    together = int(inside.sum())
    return fisher_p_value(
        together, len(inside), together + int(elsewhere.sum()), len(inside) + len(elsewhere)
    )


def _place(mode: Floats, rest: Floats) -> Place | None:
    """The region that holds more of the mode's outside heat than of the rest's, with the most evidence."""
    found = []
    for region, mask in zip(ALL_REGIONS, _MASKS, strict=True):
        (share, error), (usual, other_error) = _share_of(mode, mask), _share_of(rest, mask)
        if stands_out(share, usual, math.hypot(error, other_error)):
            found.append(Place(region, share, float(mask.mean()), usual, divergence(share, usual)))
    return max(found, key=lambda place: place.evidence, default=None)


def _share_of(heats: Floats, mask: Floats) -> tuple[float, float]:
    """The share of the outside heat that a region holds, and its standard error."""
    outside, inside = heats.sum(axis=1), heats @ mask
    if not outside.any():
        return 0.0, 0.0
    share = float(inside.sum() / outside.sum())
    sums = np.array([outside.sum(), (outside**2).sum()])
    squares, products = float((inside**2).sum()), float((inside * outside).sum())
    return share, ratio_error(share, squares, products, sums, len(heats))


def _tally(shares: Floats) -> Tally:
    """Each image as one unit of evidence."""
    tally = Tally.zero()
    for share in shares.tolist():
        tally.add_unit(share)
    return tally


def _squared_distances(patterns: Floats, centres: Floats) -> Floats:
    """Shape (n, k)."""
    return np.asarray(((patterns[:, None] - centres) ** 2).sum(axis=2))


def _findings(modes: Sequence[_Mode]) -> Iterator[Finding]:
    places: dict[tuple[Group, str], int] = {}
    for mode in sorted(modes, key=lambda mode: (str(mode.group.class_name), -mode.share)):
        assert mode.place is not None
        name = mode.place.name
        number = places[mode.group, name] = places.get((mode.group, name), 0) + 1
        value = name if number == 1 else f"{name} {number}"
        group = dataclasses.replace(mode.group, kind="slice", slice_key=MODE_KEY, slice_value=value)
        yield finding(
            group,
            mode.arms[0],
            "suspect",
            _message(mode, mode.place),
            n=mode.arms[0].units,
            p_value=mode.p_value,
            cohens_d=mode.effect,
            region=name,
            region_share=mode.place.share,
        )


def _message(mode: _Mode, place: Place) -> str:
    own, rest = mode.arms
    of_class = f"{100 * mode.share:.0f} % of the class, such as {', '.join(mode.exemplars)}"
    return (
        f"{of_class} (usual: {100 * mode.usual:.0f} %): mean density share {own.density_share:.2f} against "
        f"{rest.density_share:.2f} in the rest of the class; Cohen's d {mode.effect:.2f}, "
        f"p = {mode.p_value:.1g}{in_words(place, None, Heat.zero())}"
    )
