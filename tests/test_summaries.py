"""Which groups a score counts in, and the summary row of a group."""

import dataclasses

import pytest
from hypothesis import given

from transforms.judge.groups import group_name, groups_of
from transforms.judge.statistics import Tally, mean_bounds, wilson_interval
from transforms.judge.summaries import summarise
from transforms.records import Group
from transforms.regions import REGIONS

from .builders import make_group, make_score
from .strategies import tallies, tally_of

NO_MEASURES = (
    "energy_in_box",
    "box_area",
    "density_share",
    "density_share_lower",
    "density_share_upper",
    "peak_in_box",
    "peak_in_box_lower",
    "peak_in_box_upper",
    "rank_accuracy",
    "energy_in_other_boxes",
    "energy_by_region",
    "accuracy",
)


def test_a_score_counts_in_its_model_its_class_and_its_slices_with_and_without_the_class():
    assert [
        Group("m", "hirescam", "last", "model", None, None, None),
        Group("m", "hirescam", "last", "class", "cat", None, None),
        Group("m", "hirescam", "last", "slice", None, "camera", "A"),
        Group("m", "hirescam", "last", "slice", "cat", "camera", "A"),
        Group("m", "hirescam", "last", "slice", None, "site", "north"),
        Group("m", "hirescam", "last", "slice", "cat", "site", "north"),
    ] == list(groups_of(make_score(slices={"camera": "A", "site": "north"})))


def test_a_score_without_a_class_counts_in_its_model_and_its_slices():
    groups = groups_of(make_score(target_name=None, slices={"camera": "A"}))
    assert ["m", "camera=A"] == [group_name(group) for group in groups]


@pytest.mark.parametrize("rule", ["predicted", "runner_up"])
def test_only_annotated_targets_are_summarised(rule):
    assert [] == list(groups_of(make_score(target_rule=rule, slices={"camera": "A"})))


@pytest.mark.parametrize(
    ("group", "name"),
    [
        (make_group(kind="model", class_name=None), "m"),
        (make_group(), "cat"),
        (make_group(kind="slice", class_name=None, slice_key="camera", slice_value="A"), "camera=A"),
        (make_group(kind="slice", slice_key="camera", slice_value="A"), "cat, camera=A"),
    ],
)
def test_a_group_is_named_after_what_it_holds(group, name):
    assert name == group_name(group)
    assert name == summarise(group, Tally.zero()).group_name


def test_a_summary_by_hand():
    tally = tally_of(
        [
            make_score(density_share=0.25),
            dataclasses.replace(make_score(density_share=0.75), peak_in_box=False, rank_accuracy=None),
            make_score(status="zero_map", correct=False),
            make_score(status="full_box", correct=None),
        ]
    )
    summary = summarise(make_group(), tally)
    assert ("m", "hirescam", "last", "class", "cat", "cat", None, None) == (
        summary.model,
        summary.method,
        summary.target_layer,
        summary.group_kind,
        summary.group_name,
        summary.class_name,
        summary.slice_key,
        summary.slice_value,
    )
    assert (4, 2, 1, 0, 0, 1) == (
        summary.rows,
        summary.ok,
        summary.zero_map,
        summary.not_finite,
        summary.no_box,
        summary.full_box,
    )
    assert 2 / 3 == summary.accuracy
    assert (0.5, 0.25, 0.5) == (summary.energy_in_box, summary.box_area, summary.density_share)
    assert (0.5, 0.5, 0.0) == (summary.peak_in_box, summary.rank_accuracy, summary.energy_in_other_boxes)
    assert mean_bounds(tally.histogram) == (summary.density_share_lower, summary.density_share_upper)
    assert wilson_interval(1, 2) == (summary.peak_in_box_lower, summary.peak_in_box_upper)
    assert [0.1] * len(REGIONS) == pytest.approx(summary.energy_by_region)
    assert {64: 1, 192: 1} == {b: n for b, n in enumerate(summary.density_share_histogram) if n}
    maps = summary.atlas, summary.atlas_area, summary.box_atlas, summary.distance_heat
    assert (None, *[None] * 4) == (summary.swap_gap_histogram, *maps)


def test_a_group_without_measured_images_has_counts_and_no_measures():
    summary = summarise(make_group(), tally_of([make_score(status="no_box", correct=None)] * 3))
    assert (3, 0, 3) == (summary.rows, summary.ok, summary.no_box)
    assert [None] * len(NO_MEASURES) == [getattr(summary, name) for name in NO_MEASURES]
    assert [0] * 256 == summary.density_share_histogram


@given(tallies())
def test_the_statuses_of_a_summary_add_up_to_its_rows(tally):
    summary = summarise(make_group(), tally)
    of_status = summary.ok, summary.zero_map, summary.not_finite, summary.no_box, summary.full_box
    assert sum(of_status) == summary.rows == tally.rows
    assert sum(summary.density_share_histogram) == summary.ok
