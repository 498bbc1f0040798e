"""Modes: a subgroup of a class that looks elsewhere than the rest, though no slice column tells it apart.

A fifth of the horses carry a watermark: the class's mean hardly moves, and nobody has a column for it. The
maps of a class are clustered by *where* their outside heat lies, each normalised, so that how much heat lies
outside has no say. The clusters come from a third of the sample; all is tested on the other two thirds:

- the density share of the mode's images is lower than that of the rest of the class;
- the mode recurs in this class more than in the model's others, whose maps are assigned to the same centres:
  every class has images with a distractor at the left, on which it looks less at its object, but they are
  as common in the others;
- its heat has a place that can be named.

The larger of the two p-values is one for "either is false" (intersection-union test, Berger 1982).
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from transforms.columns import MODE_KEY
from transforms.geometry import Floats
from transforms.judge.data.associations import fisher_p_value
from transforms.judge.heat import Heat
from transforms.judge.patterns import Clusters, Maps
from transforms.judge.places import Place, divergence, ratio_error, stands_out
from transforms.judge.settings import JudgeSettings
from transforms.judge.sightings import CELLS, Sightings
from transforms.judge.slices import MAX_P_VALUE, MIN_DIFFERENCE
from transforms.judge.statistics import Tally, benjamini_hochberg, welch
from transforms.judge.verdicts import finding
from transforms.judge.wording import in_words
from transforms.records import Finding, Group
from transforms.regions import ALL_REGIONS, region_rectangles

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
class _Mode:
    """A mode that looks less at its object, elsewhere than the rest, and recurs.

    Attributes:
        group: its class.
        arms: density shares of the held-out images in it, and of the others of its class.
        usual: its share of the other class that it is held against.
        p_value: of both questions.
        effect: Cohen's d.
        place: where it looks.
        exemplars: ids of the held-out images in it that look least at their object.
    """

    group: Group
    arms: tuple[Tally, Tally]
    usual: float
    p_value: float
    effect: float
    place: Place
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
    maps = {group: Maps.of(sightings[group]) for group in sorted(sightings, key=lambda g: str(g.class_name))}
    enough = {group: of for group, of in maps.items() if len(of) >= settings.min_images}
    tested = [mode for group in enough for mode in _tested(group, enough, settings.min_images)]
    kept = benjamini_hochberg([1.0 if mode is None else mode.p_value for mode in tested], settings.fdr)
    passed = [
        mode
        for mode, real in zip(tested, kept, strict=True)
        if mode is not None and real and mode.p_value <= MAX_P_VALUE
    ]
    return list(_findings(passed))


def _tested(group: Group, maps: Mapping[Group, Maps], least: int) -> Iterator[_Mode | None]:
    """The modes of a class that have enough held-out images on either side; None where a question fails."""
    own, others = maps[group], [of for name, of in maps.items() if name != group]
    if len(own) < 3 * least or not others:
        return
    third = len(own) // 3
    seen, held_out = own[:third].patterns, own[third:]
    seen = seen[seen.any(axis=1)]
    if len(seen) < 2:
        return
    clusters = Clusters.of(seen)
    assigned = clusters.assign(held_out.patterns)
    of_others: list[NDArray[np.int64]] = []
    for number in range(len(clusters.centres)):
        inside = assigned == number
        if min(inside.sum(), (~inside).sum()) < least:
            continue
        mode = _straying(group, held_out, inside)
        if mode is not None:
            # Only now, since a model may have a thousand other classes.
            of_others = of_others or [clusters.assign(other.patterns) for other in others]
            mode = _recurring(mode, inside, [found == number for found in of_others])
        yield mode


def _straying(group: Group, held_out: Maps, inside: NDArray[np.bool_]) -> _Mode | None:
    """The mode, if its images look less at their object than the others of the class, and at a place."""
    shares = held_out.shares
    if shares[~inside].mean() - shares[inside].mean() < MIN_DIFFERENCE:
        return None
    arms = _tally(shares[inside]), _tally(shares[~inside])
    p_value, effect = welch(*arms)
    if p_value > MAX_P_VALUE or effect < MIN_EFFECT:
        return None
    place = _place(held_out.heats[inside], held_out.heats[~inside])
    lowest = np.flatnonzero(inside)[np.argsort(shares[inside], kind="stable")[:_EXEMPLARS]]
    exemplars = [held_out.ids[index] for index in lowest]
    return None if place is None else _Mode(group, arms, 0.0, p_value, effect, place, exemplars)


def _recurring(
    mode: _Mode, inside: NDArray[np.bool_], of_others: Sequence[NDArray[np.bool_]]
) -> _Mode | None:
    """The mode, if it is commoner in its class than in the others."""
    usual = _usual([float(found.mean()) for found in of_others])
    if inside.mean() < MIN_RECURRENCE * usual:
        return None
    p_value = max(mode.p_value, _recurrence(inside, of_others))
    return dataclasses.replace(mode, usual=usual, p_value=p_value)


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


def _findings(modes: Sequence[_Mode]) -> Iterator[Finding]:
    places: Counter[tuple[Group, str]] = Counter()
    for mode in sorted(modes, key=lambda mode: (str(mode.group.class_name), -mode.share)):
        name = mode.place.name
        places[mode.group, name] += 1
        number = places[mode.group, name]
        value = name if number == 1 else f"{name} {number}"
        group = dataclasses.replace(mode.group, kind="slice", slice_key=MODE_KEY, slice_value=value)
        yield finding(
            group,
            mode.arms[0],
            "suspect",
            _message(mode),
            n=mode.arms[0].units,
            p_value=mode.p_value,
            cohens_d=mode.effect,
            region=name,
            region_share=mode.place.share,
        )


def _message(mode: _Mode) -> str:
    own, rest = mode.arms
    of_class = f"{100 * mode.share:.0f} % of the class, such as {', '.join(mode.exemplars)}"
    return (
        f"{of_class} (usual: {100 * mode.usual:.0f} %): mean density share {own.density_share:.2f} against "
        f"{rest.density_share:.2f} in the rest of the class; Cohen's d {mode.effect:.2f}, "
        f"p = {mode.p_value:.1g}{in_words(mode.place, None, Heat.zero())}"
    )
