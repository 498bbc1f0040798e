"""The summary row of a group's tally."""

from transforms.judge.gaps import GapTally
from transforms.judge.groups import group_name
from transforms.judge.statistics import STATUSES, Tally, mean_bounds, wilson_interval
from transforms.records import Group, Summary
from transforms.regions import REGIONS


def summarise(group: Group, tally: Tally, gaps: GapTally | None = None) -> Summary:
    """The row of `summaries` for one group, with its background swaps where there are any."""
    counts = {status: tally.count(status) for status in STATUSES}
    measured = tally.measured
    lower, upper = mean_bounds(tally.histogram) if tally.units else (None, None)
    hits = tally.count("peaks")
    hits_lower, hits_upper = wilson_interval(hits, measured) if measured else (None, None)
    return Summary(
        model=group.model,
        method=group.method,
        target_layer=group.target_layer,
        group_kind=group.kind,
        group_name=group_name(group),
        class_name=group.class_name,
        slice_key=group.slice_key,
        slice_value=group.slice_value,
        rows=tally.rows,
        **counts,
        accuracy=tally.accuracy,
        energy_in_box=tally.mean("energy_in_box"),
        box_area=tally.mean("box_area"),
        density_share=tally.density_share,
        density_share_lower=lower,
        density_share_upper=upper,
        peak_in_box=hits / measured if measured else None,
        peak_in_box_lower=hits_lower,
        peak_in_box_upper=hits_upper,
        rank_accuracy=tally.mean("rank_accuracy"),
        energy_in_other_boxes=tally.mean("energy_in_other_boxes"),
        energy_by_region=[tally.mean(region) or 0.0 for region in REGIONS] if measured else None,
        density_share_histogram=tally.histogram.tolist(),
        swap_gap_histogram=None if gaps is None else gaps.histogram.tolist(),
        atlas=_map(group, tally, "picture_heat"),
        atlas_area=_map(group, tally, "picture_area"),
        box_atlas=_map(group, tally, "box_heat"),
        box_atlas_area=_map(group, tally, "box_area"),
        distance_heat=_map(group, tally, "distance_heat"),
        distance_area=_map(group, tally, "distance_area"),
    )


def _map(group: Group, tally: Tally, name: str) -> list[float] | None:
    """A mean map of the outside heat; thousands of slices would fill the table with theirs."""
    return None if group.kind == "slice" else tally.heat.means(name)
