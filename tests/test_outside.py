"""Heat outside the boxes by place, around the box and by distance: every one against counted dots."""

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st

from transforms.geometry import View
from transforms.measure.localization import lay_out, measure, status_of
from transforms.measure.outside import company, outside_heat
from transforms.regions import ALL_REGIONS, DISTANCES, region_rectangles

from .strategies import boxes, heat, inside_any, spans, upsampled

# Edges of cells and distances stand at sixteenths of a pixel here, so that dots that fine count exactly.
PARTS = 16
WHOLE = View(16, 16, (0.0, 0.0, 16.0, 16.0), (0.0, 0.0, 16.0, 16.0))


@st.composite
def worlds(draw, most=3, least=1):
    """A heatmap and its layout, small enough to be cut into dots; sometimes with allowed ground."""
    width, height = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    (left, right), (top, bottom) = (draw(spans(size) | st.just((0, size))) for size in (width, height))
    content = (float(left), float(top), float(right), float(bottom))
    around = boxes(width, height)
    view = View(width, height, content, content)
    layout = lay_out(
        view,
        draw(st.lists(around, min_size=least, max_size=most)),
        draw(st.lists(around, max_size=2)),
        draw(st.lists(around, max_size=2)),
    )
    shape = draw(st.tuples(st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4, 8])))
    heatmap = draw(np_st.arrays(np.float64, shape, elements=heat))
    assume(status_of(heatmap, layout) == "ok")
    return heatmap, layout


class Dots:
    """The oracle: the picture as dots, each with its place, its share of the heat and of the content."""

    def __init__(self, heatmap, layout):
        view, content = layout.view, layout.view.content
        size = view.width, view.height
        self.x, self.y = np.meshgrid(*((np.arange(n * PARTS) + 0.5) / PARTS for n in size))
        shown = inside_any([content], *size, PARTS)
        inside = inside_any(layout.target_boxes, *size, PARTS)
        allowed = inside_any(layout.allowed, *size, PARTS) & ~inside
        dots = upsampled(heatmap, *size).repeat(PARTS, 0).repeat(PARTS, 1)
        self.outside = shown & ~inside & ~allowed
        self.inside = shown & inside
        self.picture = shown & ~allowed
        self.heat = dots / dots[self.picture].sum()
        self.area = np.full(dots.shape, 1 / shown.sum())

    def sums(self, values, rows, columns, shape):
        """Sums of the values of the dots outside, by row and column; those beyond the shape are left out."""
        rows, columns = (np.floor(index).astype(int) for index in (rows, columns))
        kept = self.outside & (rows >= 0) & (rows < shape[0]) & (columns >= 0) & (columns < shape[1])
        sums = np.zeros(shape)
        np.add.at(sums, (rows[kept], columns[kept]), values[kept])
        return sums


@given(worlds())
def test_places_in_the_picture_equal_counted_dots(world):
    heatmap, layout = world
    found, dots = outside_heat(heatmap, layout), Dots(heatmap, layout)
    left, top, right, bottom = layout.view.content
    place = (dots.y - top) / (bottom - top) * 16, (dots.x - left) / (right - left) * 16
    np.testing.assert_allclose(found.picture_heat, dots.sums(dots.heat, *place, (16, 16)), atol=1e-9)
    np.testing.assert_allclose(found.picture_area / 256, dots.sums(dots.area, *place, (16, 16)), atol=1e-9)


@given(worlds())
def test_the_surroundings_of_a_single_box_equal_counted_dots(world):
    heatmap, layout = world
    found, dots = outside_heat(heatmap, layout), Dots(heatmap, layout)
    if len(layout.target_boxes) != 1:
        assert (None, None) == (found.box_heat, found.box_area)
        return
    xmin, ymin, xmax, ymax = layout.target_boxes[0]
    rows = (dots.y - (ymin + ymax) / 2) / (ymax - ymin) * 4 + 12
    columns = (dots.x - (xmin + xmax) / 2) / (xmax - xmin) * 4 + 12
    np.testing.assert_allclose(found.box_heat, dots.sums(dots.heat, rows, columns, (24, 24)), atol=1e-9)
    left, top, right, bottom = layout.view.content
    cell = (xmax - xmin) * (ymax - ymin) / 16 / ((right - left) * (bottom - top))
    areas = dots.sums(dots.area, rows, columns, (24, 24))
    np.testing.assert_allclose(found.box_area * cell, areas, atol=1e-9)
    assert pytest.approx([0, 0], abs=1e-12) == [
        values[10:14, 10:14].sum() for values in (found.box_heat, found.box_area)
    ]


@given(worlds() | worlds(least=17, most=24))
def test_distances_equal_counted_dots(world):
    heatmap, layout = world
    found, dots = outside_heat(heatmap, layout), Dots(heatmap, layout)
    step = layout.view.width / heatmap.shape[1], layout.view.height / heatmap.shape[0]
    distance = np.full(dots.x.shape, np.inf)
    for xmin, ymin, xmax, ymax in layout.target_boxes:
        across = np.maximum(0, np.maximum(xmin - dots.x, dots.x - xmax)) / step[0]
        down = np.maximum(0, np.maximum(ymin - dots.y, dots.y - ymax)) / step[1]
        distance = np.minimum(distance, np.maximum(across, down))
    ring = np.searchsorted(DISTANCES, distance)
    rows = np.zeros_like(ring)
    np.testing.assert_allclose(
        found.distance_heat, dots.sums(dots.heat, rows, ring, (1, 8))[0], atol=1e-9, rtol=0
    )
    np.testing.assert_allclose(
        found.distance_area, dots.sums(dots.area, rows, ring, (1, 8))[0], atol=1e-9, rtol=0
    )


@given(worlds())
def test_the_maps_agree_on_how_much_is_outside(world):
    heatmap, layout = world
    found, measures = outside_heat(heatmap, layout), measure(heatmap, layout)
    assert 1 - measures.energy_in_box == pytest.approx(found.picture_heat.sum(), abs=1e-12)
    assert 1 - measures.energy_in_box == pytest.approx(found.distance_heat.sum(), abs=1e-12)
    assert found.picture_area.mean() == pytest.approx(found.distance_area.sum(), abs=1e-12)
    for values in vars(found).values():
        assert values is None or (values.min() >= 0 and values.max() <= 1 + 1e-12)


@given(worlds())
def test_allowed_ground_is_neither_inside_nor_outside(world):
    heatmap, layout = world
    measures, dots = measure(heatmap, layout), Dots(heatmap, layout)
    area = dots.inside.sum() / dots.picture.sum()
    assert area == pytest.approx(layout.box_area, abs=1e-9)
    assert dots.heat[dots.inside].sum() == pytest.approx(measures.energy_in_box, abs=1e-9)
    others = inside_any(layout.other_boxes, layout.view.width, layout.view.height, PARTS)
    assert dots.heat[dots.outside & others].sum() == pytest.approx(measures.energy_in_other_boxes, abs=1e-9)
    free = dataclasses.replace(layout, allowed=[])
    if status_of(heatmap, free) == "ok":
        assert measure(heatmap, free).energy_by_region == measures.energy_by_region


@given(worlds())
def test_company_equals_counted_dots(world):
    heatmap, layout = world
    dots, size = Dots(heatmap, layout), (layout.view.width, layout.view.height)
    others = {str(index): [box] for index, box in enumerate(layout.other_boxes)}
    found = company(heatmap, layout, others)
    for name, theirs in others.items():
        on_them = dots.outside & inside_any(theirs, *size, PARTS)
        share, area = found.get(name, (0.0, 0.0))
        assert dots.heat[on_them].sum() == pytest.approx(share, abs=1e-9)
        assert dots.area[on_them].sum() == pytest.approx(area, abs=1e-9)


def test_a_hot_corner_by_hand():
    heatmap = np.zeros((16, 16))
    heatmap[15, 0] = 3.0
    heatmap[8, 8] = 1.0
    found = outside_heat(heatmap, lay_out(WHOLE, [(8.0, 8.0, 12.0, 12.0)]))
    assert {(15, 0): 0.75} == {
        (int(row), int(column)): float(found.picture_heat[row, column])
        for row, column in np.argwhere(found.picture_heat)
    }
    # The corner pixel is 3 to 4 pixels below the box and 7 to 8 left of it: distance 8, beyond 6.
    assert [0.0] * 7 + [0.75] == found.distance_heat.tolist()
    # In box sizes from its centre: across -2.5 to -2.25, down 1.25 to 1.5.
    assert [[17, 2]] == np.argwhere(found.box_heat).tolist()


def test_a_class_out_of_sight_is_no_company():
    layout = lay_out(WHOLE, [(0.0, 0.0, 8.0, 8.0)], [(1.0, 1.0, 2.0, 2.0), (9.0, 0.0, 10.0, 2.0)])
    others = {"within": [(1.0, 1.0, 2.0, 2.0)], "beyond": [(20.0, 0.0, 30.0, 9.0)], "seen": [(9, 0, 10, 2)]}
    assert {"seen": (2 / 256, 2 / 256)} == company(np.ones((4, 4)), layout, others)


@pytest.mark.parametrize("region", ALL_REGIONS)
def test_a_region_is_made_of_disjoint_rectangles_at_sixteenths(region):
    rectangles = region_rectangles(region)
    cells = np.zeros((16, 16), int)
    for xmin, ymin, xmax, ymax in rectangles:
        edges = [edge * 16 for edge in (xmin, ymin, xmax, ymax)]
        assert edges == [int(edge) for edge in edges]
        left, top, right, bottom = (int(edge) for edge in edges)
        cells[top:bottom, left:right] += 1
    assert cells.max() == 1
    area = sum((xmax - xmin) * (ymax - ymin) for xmin, ymin, xmax, ymax in rectangles)
    assert area == cells.mean()


def test_where_allowed_ground_leaves_no_pixel_there_is_no_peak_in_it():
    # All but a strip a quarter of a pixel wide is allowed; half of the strip is the box.
    layout = lay_out(WHOLE, [(0.0, 0.0, 0.25, 8.0)], [], [(0.25, 0.0, 16.0, 16.0)])
    measures = measure(np.ones((4, 4)), layout)
    assert (0.5, False, None) == (measures.energy_in_box, measures.peak_in_box, measures.rank_accuracy)
