"""Slices within a class: does the model look less at the object where the slice's value holds?

A slice is tested against the rest of its class, so what the whole class does cancels out.
"""

from collections.abc import Iterator, Mapping

from transforms.judge.families import is_computed, reject_by_family
from transforms.judge.settings import JudgeSettings
from transforms.judge.statistics import Tally, benjamini_hochberg, welch
from transforms.records import Group

# Both must hold beside Benjamini-Hochberg; on 10,000 random slices of a pilot they flagged 0.07 %.
MAX_P_VALUE = 0.001
MIN_COHENS_D = 0.5
# Of density shares, for what nobody asked for: where all images agree, hardly any difference is a large d.
MIN_DIFFERENCE = 0.05


def judge_slices(
    slices: Mapping[Group, Tally], classes: Mapping[str, Tally], settings: JudgeSettings
) -> Iterator[tuple[Group, str, str, dict[str, float]]]:
    """Judges every slice within a class against the rest of that class.

    Args:
        slices: groups of kind `slice` that have a class.
        classes: the tally of each class by name.
        settings: `fdr` over all tested slices of a family, `min_images` on either side.

    Yields:
        Group, verdict, message and the columns `p_value` and `cohens_d` where tested, in the order given. Of
        computed slices, which nobody has asked for, only those that are tested.
    """
    rests = {group: classes[str(group.class_name)] - tally for group, tally in slices.items()}
    tested = {
        group: welch(tally, rests[group])
        for group, tally in slices.items()
        if min(tally.units, rests[group].units) >= settings.min_images
    }
    survives = reject_by_family(
        {group: p_value for group, (p_value, _) in tested.items()},
        lambda group: group.slice_key,
        lambda p_values: benjamini_hochberg(p_values, settings.fdr),
    )
    for group, tally in slices.items():
        rest = rests[group]
        if group not in tested and is_computed(group.slice_key):
            continue
        if group not in tested:
            kind = "images" if tally.units == tally.measured else "clusters"
            arms = f"{tally.units} measured {kind} against {rest.units} in the rest of the class"
            yield group, "insufficient", f"{arms}, {settings.min_images} are needed on either side", {}
            continue
        p_value, effect = tested[group]
        flagged = survives[group] and p_value <= MAX_P_VALUE and effect >= MIN_COHENS_D
        if is_computed(group.slice_key):
            flagged &= _lower_by(tally, rest) >= MIN_DIFFERENCE
        message = (
            f"mean density share {tally.density_share:.2f} against {rest.density_share:.2f} "
            f"in the rest of the class; Cohen's d {effect:.2f}, p = {p_value:.1g}"
        )
        found = {"p_value": p_value, "cohens_d": effect}
        yield group, "suspect" if flagged else "unsuspected", message, found


def _lower_by(tally: Tally, rest: Tally) -> float:
    """By how much the mean density share is lower than that of the rest."""
    return (rest.density_share or 0.0) - (tally.density_share or 0.0)
