"""What is usual: how the outside heat of others lies, against which a group's is compared.

What all classes of a model share is the doing of its architecture and of photographs, no bias. The median of
the other classes, cell by cell, stays the same when one or two of them are biased themselves.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from transforms.geometry import Floats
from transforms.judge.heat import MASKS, Heat

# Ground that is added to each cell, as a share of the mean, at the mean density: nobody may have had heat in
# a cell, or even area.
UNSEEN = 0.1


@dataclasses.dataclass(frozen=True)
class Usual:
    """The outside heat of others.

    Attributes:
        densities: for each map of `transforms.judge.heat.MASKS` the density of heat in each cell, relative to
            the mean density.
        heat: all of it together, which tells how sure that is.
    """

    densities: Mapping[str, Floats]
    heat: Heat


def usual_of(heat: Heat) -> Usual:
    """The heat of one group, taken as what is usual."""
    return Usual({name: relative_density(heat, name) for name in MASKS}, heat)


def usual_of_others(heats: Mapping[str, Heat]) -> dict[str, Usual]:
    """For each class the median density of the others, and all their heat; nothing for a class alone."""
    if len(heats) < 2:
        return {}
    medians = {
        name: medians_without_each(np.stack([relative_density(heat, name) for heat in heats.values()]))
        for name in MASKS
    }
    whole = sum(heats.values(), start=Heat.zero())
    return {
        name: Usual({of: rows[row] for of, rows in medians.items()}, whole - heat)
        for row, (name, heat) in enumerate(heats.items())
    }


def relative_density(heat: Heat, name: str) -> Floats:
    """Heat over area in each cell of a map, over the mean of that; 1 everywhere without heat."""
    heats, areas = heat.sums(f"{name}_heat"), heat.sums(f"{name}_area")
    if not (heats.sum() > 0 and areas.sum() > 0):
        return np.ones_like(areas)
    unseen = UNSEEN * areas.mean()
    return np.asarray((heats * areas.sum() / heats.sum() + unseen) / (areas + unseen))


def medians_without_each(values: Floats) -> Floats:
    """For each row the median, column by column, of all other rows.

    Args:
        values: shape (n, cells), n at least 2.

    Returns:
        Shape (n, cells).
    """
    count = len(values)
    order = np.argsort(values, axis=0, kind="stable")
    ordered = np.take_along_axis(values, order, axis=0)
    ranks = np.argsort(order, axis=0, kind="stable")
    # Without the value of rank r, what was k-th is still k-th where k < r, and is followed by its next else.
    middles = ((count - 2) // 2, (count - 1) // 2)
    both = [np.take_along_axis(ordered, k + (ranks <= k), axis=0) for k in middles]
    return np.asarray((both[0] + both[1]) / 2)
