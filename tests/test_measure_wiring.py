"""An explanation becomes one score for each method, and a score learns where its heat lies."""

import dataclasses

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing import test_pipeline as beam_testing
from apache_beam.testing.util import assert_that, equal_to

from transforms.geometry import View
from transforms.measure import wiring as measuring
from transforms.measure.ground import Allowed
from transforms.measure.localization import Measures, lay_out, measure
from transforms.measure.outside import outside_heat
from transforms.measure.wiring import LocateHeat, MeasureLocalization, located, score
from transforms.records import Box, Company, Explanation, Score, Slice

from .builders import make_explanation

MEASURES = [field.name for field in dataclasses.fields(Measures)]
BOX = Box("cat", 0.0, 0.0, 2.0, 2.0)
QUARTER = [[1.0, 0.0], [0.0, 0.0]]


def with_heatmaps(explanation, **heatmaps):
    """The explanation with these methods, each with its own heatmap."""
    maps = [np.asarray(heatmap, "<f4") for heatmap in heatmaps.values()]
    return dataclasses.replace(
        explanation,
        methods=list(heatmaps),
        heatmaps=[values.tobytes() for values in maps],
        map_height=maps[0].shape[0],
        map_width=maps[0].shape[1],
    )


def measures_of(row):
    return [getattr(row, name) for name in MEASURES]


def test_every_method_gets_the_score_of_its_own_heatmap():
    explanation = make_explanation(size=4, target_boxes=[BOX])
    explanation = with_heatmaps(explanation, gradcam=QUARTER, hirescam=[[0.0, 0.0], [0.0, 2.0]])
    rows = list(score(explanation))
    assert ["gradcam", "hirescam"] == [row.method for row in rows]
    assert [(1.75 / 2) ** 2, (0.25 / 2) ** 2] == [row.energy_in_box for row in rows]
    assert explanation.heatmaps == [row.heatmap for row in rows]
    assert [("ok", 1, 0.25)] * 2 == [(row.status, row.box_count, row.box_area) for row in rows]


def test_a_score_carries_over_every_column_that_it_shares_with_its_explanation():
    explanation = dataclasses.replace(
        make_explanation(heatmap=[[1.0, 0.0, 2.0]]),
        example_id="7",
        source="b.json",
        position=3,
        shard="00002",
        model="resnet",
        target_layer="cut",
        target_rule="runner_up",
        target_class=2,
        target_name="dog",
        predicted_class=1,
        predicted_name="cow",
        target_logit=-1.5,
        target_probability=0.125,
        correct=False,
        slices=[Slice("camera", "A")],
    )
    shared = {f.name for f in dataclasses.fields(Explanation)} & {f.name for f in dataclasses.fields(Score)}
    assert {"model", "target_rule", "slices", "shard"} <= shared
    [row] = score(explanation)
    for name in shared:
        assert getattr(explanation, name) == getattr(row, name), name
    assert [None, None, None] == [row.swap_gap, row.residual, row.cluster]


def test_boxes_outside_the_content_are_neither_counted_nor_measured():
    outside = Box("cat", 9.0, 0.0, 12.0, 4.0)
    overlapping = Box("cat", 6.0, 0.0, 12.0, 4.0)
    [row] = score(make_explanation(target_boxes=[outside, overlapping]))
    assert (1, 8 / 64) == (row.box_count, row.box_area)


def test_padding_is_no_part_of_the_picture():
    explanation = make_explanation(target_boxes=[Box("cat", 0.0, 0.0, 4.0, 8.0)], heatmap=np.ones((8, 8)))
    [row] = score(dataclasses.replace(explanation, content=[0.0, 2.0, 8.0, 6.0]))
    assert (0.5, 0.5, 0.5) == (row.box_area, row.energy_in_box, row.density_share)


@pytest.mark.parametrize(
    ("status", "heatmap", "target_boxes"),
    [
        ("no_box", QUARTER, []),
        ("full_box", QUARTER, [Box("cat", 0.0, 0.0, 8.0, 8.0)]),
        ("zero_map", [[0.0, 0.0], [0.0, 0.0]], [BOX]),
        ("not_finite", [[1.0, np.nan], [0.0, 0.0]], [BOX]),
        ("not_finite", [[1.0, np.inf], [0.0, 0.0]], [BOX]),
    ],
)
def test_what_cannot_be_measured_has_no_measures_neither_0_nor_1(status, heatmap, target_boxes):
    [row] = score(make_explanation(heatmap=heatmap, target_boxes=target_boxes))
    assert status == row.status
    assert [None] * len(MEASURES) == measures_of(row)


def test_one_method_without_a_map_leaves_the_other_measured():
    explanation = with_heatmaps(make_explanation(), gradcam=np.zeros((2, 2)), hirescam=QUARTER)
    assert ["zero_map", "ok"] == [row.status for row in score(explanation)]


def test_what_is_the_same_map_is_measured_once(monkeypatch):
    calls = []
    monkeypatch.setattr(measuring, "measure", lambda *given: calls.append(given) or measure(*given))
    same = make_explanation(methods=("gradcam", "hirescam"))
    one, other = score(same)

    assert 1 == len(calls)
    assert other == dataclasses.replace(one, method="hirescam")


def test_without_a_target_class_there_is_no_heatmap():
    [row] = score(make_explanation(target_class=None, target_boxes=[]))
    assert ("no_box", None) == (row.status, row.heatmap)


def test_measure_localization_equals_a_direct_loop():
    explanations = [
        make_explanation(methods=("gradcam", "hirescam")),
        make_explanation(methods=("gradcam", "hirescam"), target_boxes=[]),
        make_explanation(target_rule="predicted", heatmap=[[0.0, 3.0], [1.0, 0.0]]),
    ]
    expected = [row for explanation in explanations for row in score(explanation)]
    assert len(expected) == 5
    with beam_testing.TestPipeline(runner="FnApiRunner") as root:
        rows = root | beam.Create(explanations) | MeasureLocalization()
        assert_that(rows, equal_to(expected))


DOG, CAT = Box("dog", 4.0, 0.0, 8.0, 4.0), Box("cat", 0.0, 0.0, 4.0, 4.0)


@pytest.mark.parametrize(
    ("explanation", "has_scene"),
    [
        (make_explanation(), True),
        (make_explanation(target_rule="predicted"), False),
        (make_explanation(target_boxes=[]), False),
        (make_explanation(heatmap=[[0.0]]), False),
    ],
)
def test_a_score_keeps_its_scene_where_it_is_measured_and_summarised(explanation, has_scene):
    [row] = score(explanation)
    assert has_scene == (row.scene is not None) == (located(row).outside is not None)
    assert None is row.outside
    if has_scene:
        for name in vars(row.scene):
            assert getattr(explanation, name) == getattr(row.scene, name)


def test_a_located_score_is_the_score_and_where_its_heat_lies():
    explanation = make_explanation(heatmap=[[1.0, 2.0], [3.0, 4.0]], target_boxes=[CAT], other_boxes=[DOG])
    [row] = score(explanation)
    view = View(8, 8, (0, 0, 8, 8), (0, 0, 8, 8))
    expected = outside_heat(np.array([[1.0, 2.0], [3.0, 4.0]]), lay_out(view, [(0, 0, 4, 4)]))
    found = located(row)
    for name, values in vars(expected).items():
        np.testing.assert_allclose(np.frombuffer(getattr(found.outside, name)), values.ravel(), atol=1e-12)
    assert [Company("dog", row.energy_in_other_boxes, 0.25)] == found.outside.company
    assert row == dataclasses.replace(found, outside=None)


def test_an_allowed_region_is_no_part_of_the_picture():
    explanation = make_explanation(heatmap=np.ones((8, 8)), target_boxes=[CAT])
    [row] = score(explanation, Allowed(regions=("bottom_band", "frame")))
    # What is left are the 16 pixels of the box, and rows 1 to 5 of columns 1 to 6 without the 9 in the box.
    assert (16 / 37, 16 / 37, 0.5) == pytest.approx((row.box_area, row.energy_in_box, row.density_share))
    found = located(row, Allowed(regions=("bottom_band", "frame")))
    assert 21 / 37 == pytest.approx(np.frombuffer(found.outside.picture_heat).sum())
    assert 21 / 64 == pytest.approx(np.frombuffer(found.outside.picture_area).mean())


def test_an_allowed_class_is_no_part_of_the_picture_but_where_the_target_is():
    wide = Box("dog", 2.0, 0.0, 8.0, 4.0)
    explanation = make_explanation(heatmap=np.ones((8, 8)), target_boxes=[CAT], other_boxes=[wide])
    [row] = score(explanation, Allowed(classes=("dog", "cat")))
    assert (16 / 48, 0.0) == (row.energy_in_box, row.energy_in_other_boxes)
    assert [] == located(row, Allowed(classes=("dog",))).outside.company


def test_where_everything_else_is_allowed_there_is_no_outside():
    bands = ("top_band", "bottom_band", "left", "centre", "right")
    [row] = score(make_explanation(heatmap=np.ones((8, 8))), Allowed(regions=bands))
    assert ("full_box", 1.0) == (row.status, row.box_area)


def test_all_heat_on_allowed_ground_is_no_heat():
    [row] = score(
        make_explanation(
            heatmap=np.eye(8)[::-1] * np.eye(8)[7], target_boxes=[Box("cat", 4.0, 4.0, 8.0, 8.0)]
        ),
        Allowed(regions=("top_band",)),
    )
    assert "zero_map" == row.status


def test_locate_heat_equals_a_direct_loop():
    rows = [
        *score(make_explanation(methods=("gradcam", "hirescam"), other_boxes=[DOG])),
        *score(make_explanation(target_rule="predicted")),
        *score(make_explanation(target_boxes=[])),
    ]
    allowed = Allowed(regions=("frame",))
    with beam_testing.TestPipeline(runner="FnApiRunner") as root:
        found = root | beam.Create(rows) | LocateHeat(allowed)
        assert_that(found, equal_to([located(row, allowed) for row in rows]))
