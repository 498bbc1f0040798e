"""Energy, pointing game and rank accuracy: hand-worked maps, and the map upsampled and summed."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from transforms.geometry import View
from transforms.measure.localization import density_share, kth_largest, lay_out, measure, status_of
from transforms.regions import FRAME_DEPTH, REGIONS

from .strategies import boxes, heatmaps, inside_any, map_sizes, scenes, upsampled, views


def whole(width, height):
    """A view that the picture fills."""
    rectangle = (0.0, 0.0, float(width), float(height))
    return View(width, height, rectangle, rectangle)


def spot(x, y, size=8):
    """A map with one hot cell."""
    heatmap = np.zeros((size, size))
    heatmap[y, x] = 1.0
    return heatmap


def summed(heatmap, view, covering, parts):
    """The oracle: heat of the upsampled map in the boxes, every pixel cut into `parts` x `parts` dots."""
    dots = upsampled(heatmap, view.width, view.height).repeat(parts, 0).repeat(parts, 1) / parts**2
    inside = inside_any([view.content], view.width, view.height, parts)
    return dots[inside & inside_any(covering, view.width, view.height, parts)].sum()


@given(heatmaps(), scenes())
def test_masses_equal_upsampling_and_summing(heatmap, scene):
    view, target_boxes, other_boxes = scene
    inside, others, total = lay_out(view, target_boxes, other_boxes).masses(heatmap)
    expected_total = summed(heatmap, view, [view.content], 4)
    expected_inside = summed(heatmap, view, target_boxes, 4)
    expected_others = summed(heatmap, view, [*target_boxes, *other_boxes], 4) - expected_inside
    tolerance = 1e-6 * expected_total
    assert expected_total == pytest.approx(total, rel=1e-6)
    assert expected_inside == pytest.approx(inside, abs=tolerance)
    assert expected_others == pytest.approx(others, abs=tolerance)


@given(scenes())
def test_box_area_equals_counting_quarter_pixels(scene):
    view, covering, others = scene
    content = inside_any([view.content], view.width, view.height, 4)
    inside = content & inside_any(covering, view.width, view.height, 4)
    expected = np.count_nonzero(inside) / np.count_nonzero(content)
    assert expected == pytest.approx(lay_out(view, covering, others).box_area, abs=1e-12)


@given(heatmaps(), scenes())
def test_a_box_and_its_complement_hold_everything_once(heatmap, scene):
    view, [box, *_], _ = scene
    xmin, ymin, xmax, ymax = box
    complement = [
        (-100.0, -100.0, xmin, 200.0),
        (xmax, -100.0, 200.0, 200.0),
        (xmin, -100.0, xmax, ymin),
        (xmin, ymax, xmax, 200.0),
    ]
    inside, outside, total = lay_out(view, [box], complement).masses(heatmap)
    assert total == pytest.approx(inside + outside, rel=1e-12)


@given(heatmaps(), scenes())
def test_duplicated_and_nested_boxes_add_nothing_to_a_union(heatmap, scene):
    view, target_boxes, _ = scene
    xmin, ymin, xmax, ymax = target_boxes[0]
    nested = (xmin, ymin, (xmin + xmax) / 2, (ymin + ymax) / 2)
    once = lay_out(view, target_boxes).masses(heatmap)
    again = lay_out(view, [*target_boxes[::-1], nested, *target_boxes]).masses(heatmap)
    assert once == pytest.approx(again, rel=1e-12)


def test_four_cells_by_hand():
    # Along each axis the heat [1, 0] becomes [1, .75, .25, 0], 2 in all; the box holds 1.75 of it.
    measures = measure(np.array([[1.0, 0.0], [0.0, 0.0]]), lay_out(whole(4, 4), [(0.0, 0.0, 2.0, 2.0)]))
    assert (1.75 / 2) ** 2 == measures.energy_in_box
    assert 49 / 54 == pytest.approx(measures.density_share, abs=1e-12)
    assert measures.peak_in_box is True
    assert measures.rank_accuracy == 1.0  # 1, .75, .75 and .5625 inside; .25 the most outside
    assert measures.energy_in_other_boxes == 0.0
    # Cut at the pixel edges 1 and 3, the axis holds 1, 1 and 0; within [.5, 3.5) it holds 1.5.
    assert [0.25, 0.25, 0, 0.25, 0.25, 0, 0, 0, 0, 1 - 0.75**2] == measures.energy_by_region


@given(scenes(), st.tuples(map_sizes, map_sizes))
def test_uniform_heat_is_at_chance_for_every_box(scene, shape):
    heatmap, layout = np.full(shape, 3.0), lay_out(*scene)
    assume(status_of(heatmap, layout) == "ok")
    measures = measure(heatmap, layout)
    assert layout.box_area == pytest.approx(measures.energy_in_box, abs=1e-12)
    assert pytest.approx(measures.density_share, abs=1e-12) == 0.5


def test_heat_wholly_inside():
    measures = measure(spot(2, 3), lay_out(whole(8, 8), [(2.0, 2.0, 4.0, 4.0)]))
    assert (1.0, 1.0, True) == (measures.energy_in_box, measures.density_share, measures.peak_in_box)
    # The hot pixel, and the expected share of three more places among 63 cold pixels, 3 of them inside.
    assert (1 + 3 * 3 / 63) / 4 == pytest.approx(measures.rank_accuracy)


def test_heat_wholly_outside():
    measures = measure(spot(7, 7), lay_out(whole(8, 8), [(2.0, 2.0, 4.0, 4.0)]))
    assert (0.0, 0.0, False) == (measures.energy_in_box, measures.density_share, measures.peak_in_box)
    assert (0 + 3 * 4 / 63) / 4 == pytest.approx(measures.rank_accuracy)


def test_a_box_around_the_whole_picture_holds_all_heat():
    inside, others, total = lay_out(whole(8, 8), [(-1.0, -1.0, 9.0, 9.0)]).masses(spot(2, 3))
    assert (1.0, 0.0, 1.0) == (inside, others, total)


def test_a_pixel_in_a_target_box_and_in_another_box_counts_as_inside():
    layout = lay_out(whole(8, 8), [(0.0, 0.0, 4.0, 4.0)], [(2.0, 0.0, 6.0, 4.0)])
    measures = measure(np.ones((8, 8)), layout)
    assert (0.25, 0.125) == (measures.energy_in_box, measures.energy_in_other_boxes)


@given(heatmaps(), scenes(), st.integers(-20, 20))
def test_measures_do_not_depend_on_the_scale_of_the_heat(heatmap, scene, power):
    layout = lay_out(*scene)
    assume(status_of(heatmap, layout) == "ok")
    assert measure(heatmap, layout) == measure(heatmap * 2.0**power, layout)


def test_measures_do_depend_on_the_zero_of_the_heat():
    layout = lay_out(whole(8, 8), [(2.0, 2.0, 4.0, 4.0)])
    assert measure(spot(2, 3), layout).energy_in_box == 1.0
    # 1 + 4 inside of 1 + 64 in all.
    assert 5 / 65 == pytest.approx(measure(spot(2, 3) + 1.0, layout).energy_in_box)


@pytest.mark.parametrize(("m", "a", "expected"), [(0.4, 0.4, 0.5), (0.5, 0.2, 0.8), (0, 0.3, 0), (1, 0.3, 1)])
def test_density_share_by_hand(m, a, expected):
    assert expected == pytest.approx(density_share(m, a))


@pytest.mark.parametrize(("width", "expected"), [(4.0, True), (3.0, False)])
def test_tied_peaks_count_by_their_share_and_half_is_enough(width, expected):
    assert measure(np.ones((8, 8)), lay_out(whole(8, 8), [(0.0, 0.0, width, 8.0)])).peak_in_box is expected


@given(st.data(), st.integers(1, 8), st.integers(1, 8))
def test_rank_accuracy_without_ties_is_the_share_of_the_hottest_pixels_inside(data, width, height):
    covering = data.draw(st.lists(boxes(width, height), min_size=1, max_size=3))
    order = data.draw(st.permutations(range(width * height)))
    heatmap, layout = np.reshape(order, (height, width)) * 1.0, lay_out(whole(width, height), covering)
    assume(status_of(heatmap, layout) == "ok")
    inside = inside_any(covering, width, height, 1).ravel()
    hottest = np.argsort(heatmap.ravel())[::-1][: np.count_nonzero(inside)]
    expected = np.mean(inside[hottest]) if inside.any() else None
    measures = measure(heatmap, layout)
    assert expected == measures.rank_accuracy
    assert inside[np.argmax(heatmap)] == measures.peak_in_box


def test_rank_accuracy_of_uniform_heat_is_what_a_random_order_would_give():
    measures = measure(np.ones((4, 4)), lay_out(whole(8, 8), [(0.0, 0.0, 4.0, 3.0)]))
    assert 12 / 64 == measures.rank_accuracy


def test_without_a_pixel_centre_inside_there_is_no_rank_accuracy():
    measures = measure(np.ones((4, 4)), lay_out(whole(8, 8), [(0.75, 0.75, 1.25, 1.25)]))
    assert measures.rank_accuracy is None
    assert 0.25 / 64 == pytest.approx(measures.energy_in_box, abs=1e-12)
    assert measures.peak_in_box is False


@given(heatmaps(), views())
def test_energy_by_region_equals_upsampling_and_summing(heatmap, view):
    left, top, right, bottom = view.content
    width, height = right - left, bottom - top
    total = summed(heatmap, view, [view.content], 8)
    assume(total > 0)
    measures = measure(heatmap, lay_out(view, [(left, top, left + width / 2, bottom)]))
    xs, ys = (
        [low, low + size / 4, low + size * 3 / 4, low + size] for low, size in ((left, width), (top, height))
    )
    grid = [(xs[i], ys[j], xs[i + 1], ys[j + 1]) for j in range(3) for i in range(3)]
    depth_x, depth_y = FRAME_DEPTH * width, FRAME_DEPTH * height
    inner = (left + depth_x, top + depth_y, right - depth_x, bottom - depth_y)
    expected = [summed(heatmap, view, [box], 8) / total for box in grid]
    expected.append(1 - summed(heatmap, view, [inner], 8) / total)
    assert expected == pytest.approx(measures.energy_by_region, abs=1e-9)
    assert pytest.approx(sum(measures.energy_by_region[:-1]), abs=1e-12) == 1


def test_the_regions_of_uniform_heat_are_their_areas():
    measures = measure(np.ones((3, 5)), lay_out(whole(32, 24), [(0.0, 0.0, 8.0, 8.0)]))
    sixteenths = [1, 2, 1, 2, 4, 2, 1, 2, 1, 7]
    assert len(REGIONS) == len(sixteenths)
    assert [part / 16 for part in sixteenths] == pytest.approx(measures.energy_by_region, abs=1e-12)


LETTERBOXED = dataclasses.replace(whole(8, 8), content=(0.0, 2.0, 8.0, 6.0))


@pytest.mark.parametrize(
    ("expected", "heatmap", "view", "target_boxes"),
    [
        pytest.param("ok", spot(2, 3), whole(8, 8), [(0.0, 0.0, 4.0, 4.0)], id="heat in a box"),
        pytest.param("ok", spot(7, 7), whole(8, 8), [(0.0, 0.0, 4.0, 4.0)], id="heat beside a box"),
        pytest.param("no_box", spot(2, 3), whole(8, 8), [], id="none"),
        pytest.param("no_box", spot(2, 3), whole(8, 8), [(2.0, 2.0, 2.0, 5.0)], id="zero area"),
        pytest.param("no_box", spot(2, 3), whole(8, 8), [(5.0, 5.0, 2.0, 2.0)], id="inverted"),
        pytest.param("no_box", spot(2, 3), whole(8, 8), [(0.0, 0.0, 1e-200, 1e-200)], id="area rounds to 0"),
        pytest.param("no_box", spot(2, 3), LETTERBOXED, [(0.0, 0.0, 8.0, 2.0)], id="in the padding"),
        pytest.param("no_box", spot(2, 3) * np.nan, whole(8, 8), [], id="boxes are asked first"),
        pytest.param("full_box", spot(2, 3, 20), whole(20, 20), [(0.0, 0.0, 19.0, 20.0)], id="0.95"),
        pytest.param("ok", spot(2, 3, 20), whole(20, 20), [(0.0, 0.0, 18.99, 20.0)], id="under 0.95"),
        pytest.param("full_box", spot(2, 3), LETTERBOXED, [(0.0, 2.0, 8.0, 6.0)], id="all but the padding"),
        pytest.param("zero_map", np.zeros((8, 8)), whole(8, 8), [(0.0, 0.0, 4.0, 4.0)], id="no heat"),
        pytest.param("zero_map", spot(2, 0), LETTERBOXED, [(0.0, 0.0, 4.0, 4.0)], id="heat in the padding"),
        pytest.param("not_finite", spot(2, 3) * np.nan, whole(8, 8), [(0.0, 0.0, 4.0, 4.0)], id="nan"),
        pytest.param("not_finite", np.full((8, 8), np.inf), whole(8, 8), [(0.0, 0.0, 4.0, 4.0)], id="inf"),
    ],
)
def test_status(expected, heatmap, view, target_boxes):
    assert expected == status_of(heatmap, lay_out(view, target_boxes))


def test_heat_in_the_padding_is_in_no_denominator():
    heatmap = spot(2, 0) + spot(2, 3) + spot(7, 3)
    measures = measure(heatmap, lay_out(LETTERBOXED, [(0.0, 0.0, 4.0, 8.0)]))
    assert (0.5, 0.5, True) == (measures.energy_in_box, measures.density_share, measures.peak_in_box)


def test_measuring_leaves_the_heatmap_alone():
    heatmap = spot(2, 3)
    heatmap.flags.writeable = False
    layout = lay_out(whole(8, 8), [(2.0, 2.0, 4.0, 4.0)])
    status_of(heatmap, layout)
    measure(heatmap, layout)
    assert spot(2, 3).tolist() == heatmap.tolist()


@given(
    st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=400),
    st.integers(1, 30),
    st.data(),
)
def test_the_kth_largest_value(values, repeated, data):
    """Against sorting, with the repetitions for which the sample misleads."""
    many = np.array(values * repeated)
    k = data.draw(st.integers(1, many.size))

    assert np.sort(many)[-k] == kth_largest(many, k)


def test_the_kth_largest_where_the_sample_misleads():
    """Every sampled value is 1, all others are 0."""
    values = np.zeros(37 * 100)
    values[::37] = 1.0

    assert (1.0, 0.0, 0.0) == (kth_largest(values, 100), kth_largest(values, 101), kth_largest(values, 2000))
