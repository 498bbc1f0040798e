"""Resize, crop and padding: hand-worked numbers, TensorFlow's resize, and brute force."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from transforms.geometry import View, interval_weights, plan_view, resize_matrix

from .strategies import image_sizes, map_sizes, planned_views, view_sizes


@given(view_sizes, map_sizes)
def test_every_row_of_a_resize_matrix_sums_to_one_and_has_no_negative_weight(outputs, inputs):
    matrix = resize_matrix(outputs, inputs)
    assert (outputs, inputs) == matrix.shape
    np.testing.assert_allclose(np.ones(outputs), matrix.sum(axis=1), rtol=0, atol=1e-12)
    assert matrix.min() >= 0


@given(view_sizes, map_sizes)
def test_a_resize_matrix_is_what_tensorflow_does_to_the_identity(outputs, inputs):
    identity = tf.eye(inputs)[:, :, None]
    expected = tf.image.resize(identity, (outputs, inputs), method="bilinear", antialias=False)
    np.testing.assert_allclose(expected[:, :, 0].numpy(), resize_matrix(outputs, inputs), rtol=0, atol=1e-6)


def test_two_cells_become_four_pixels_by_quarters():
    expected = [[1, 0], [0.75, 0.25], [0.25, 0.75], [0, 1]]
    assert expected == resize_matrix(4, 2).tolist()


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [(1, [[1]]), (2, [[0.5, 0.5]]), (3, [[0, 1, 0]]), (4, [[0, 0.5, 0.5, 0]])],
)
def test_one_pixel_shows_the_middle(inputs, expected):
    assert expected == resize_matrix(1, inputs).tolist()


def test_one_cell_fills_every_pixel():
    assert [[1], [1], [1]] == resize_matrix(3, 1).tolist()


def test_a_resize_matrix_is_shared_and_therefore_read_only():
    with pytest.raises(ValueError, match="read-only"):
        resize_matrix(4, 2)[0, 0] = 2


def brute_force_weights(edges, outputs, inputs):
    """Every pixel's row, times the share of the pixel that the interval covers."""
    rows = resize_matrix(outputs, inputs)
    weights = []
    for low, high in itertools.pairwise(edges):
        covered = [max(0.0, min(pixel + 1, high) - max(pixel, low)) for pixel in range(outputs)]
        weights.append(sum(share * row for share, row in zip(covered, rows, strict=True)))
    return weights


@given(st.data(), view_sizes, map_sizes)
def test_interval_weights_equal_the_sum_over_covered_shares_of_pixels(data, outputs, inputs):
    edges = sorted(data.draw(st.lists(st.floats(0, outputs), min_size=2, max_size=6)))
    weights = interval_weights(np.array(edges), outputs, inputs)
    np.testing.assert_allclose(
        brute_force_weights(edges, outputs, inputs), weights, rtol=0, atol=1e-12 * outputs
    )
    assert weights.min() >= 0


def test_an_interval_that_cuts_a_pixel_counts_its_covered_share():
    # Rows of the matrix: [1, 0], [.75, .25], [.25, .75], [0, 1]. Half of pixel 0, and pixel 1.
    expected = [[0.5 * 1 + 0.75, 0.25]]
    assert expected == interval_weights(np.array([0.5, 2.0]), 4, 2).tolist()


def test_the_weights_of_the_whole_are_the_column_sums():
    assert [[2, 2]] == interval_weights(np.array([0.0, 4.0]), 4, 2).tolist()


def test_stretch_shows_the_whole_image_and_boxes_are_stretched_with_it():
    view = plan_view(500, 375, 224, 112, "stretch")
    assert View(224, 112, (0, 0, 500, 375), (0, 0, 224, 112)) == view
    assert (56, 22.4, 112, 112) == pytest.approx(view.to_view(125, 75, 250, 375))


def test_center_crop_keeps_seven_eighths_of_the_short_side():
    # 0.875 * 375 = 328.125 on either side, around the centre (250, 187.5).
    view = plan_view(500, 375, 224, 224, "center_crop", 0.875)
    assert (85.9375, 23.4375, 414.0625, 351.5625) == pytest.approx(view.source)
    assert (0, 0, 224, 224) == view.content
    assert (0, 0, 112, 112) == pytest.approx(view.to_view(85.9375, 23.4375, 250, 187.5))
    assert (-58.666666667, -16, 0, 0) == pytest.approx(view.to_view(0, 0, 85.9375, 23.4375))


def test_center_crop_of_a_portrait_cuts_top_and_bottom():
    view = plan_view(375, 500, 224, 224, "center_crop", 0.875)
    assert (23.4375, 85.9375, 351.5625, 414.0625) == pytest.approx(view.source)


def test_center_crop_has_the_aspect_ratio_of_the_view():
    view = plan_view(400, 400, 320, 160, "center_crop")
    assert View(320, 160, (0, 100, 400, 300), (0, 0, 320, 160)) == view
    assert (80, 0, 160, 80) == view.to_view(100, 100, 200, 200)


def test_letterbox_pads_the_short_side_and_boxes_move_with_the_picture():
    view = plan_view(500, 375, 224, 224, "letterbox")
    assert View(224, 224, (0, 0, 500, 375), (0, 28, 224, 196)) == view
    assert (56, 28, 112, 112) == pytest.approx(view.to_view(125, 0, 250, 187.5))


def test_letterbox_puts_the_odd_row_of_padding_below():
    # 90 x 40 at a tenth is 9 x 4: five rows of padding, two above and three below.
    view = plan_view(90, 40, 9, 9, "letterbox")
    assert (0, 2, 9, 6) == view.content
    assert (1, 2, 9, 4) == pytest.approx(view.to_view(10, 0, 90, 20))


def test_letterbox_of_a_portrait_puts_the_odd_column_on_the_right():
    assert (2, 0, 6, 9) == plan_view(40, 90, 9, 9, "letterbox").content


def test_letterbox_of_a_sliver_keeps_one_pixel():
    assert (0, 3, 8, 4) == plan_view(1000, 1, 8, 8, "letterbox").content


@given(planned_views)
def test_what_a_view_shows_is_mapped_onto_its_content(view):
    assert view.content == pytest.approx(view.to_view(*view.source), abs=1e-9)


@given(planned_views)
def test_the_content_is_whole_pixels_inside_the_view(view):
    left, top, right, bottom = view.content
    assert 0 <= left < right <= view.width
    assert 0 <= top < bottom <= view.height
    assert all(edge == int(edge) for edge in view.content)


@given(image_sizes, image_sizes, view_sizes, view_sizes, st.floats(0.1, 1))
def test_center_crop_never_leaves_the_image(image_width, image_height, width, height, crop):
    xmin, ymin, xmax, ymax = plan_view(image_width, image_height, width, height, "center_crop", crop).source
    assert xmin >= -1e-9
    assert ymin >= -1e-9
    assert xmax <= image_width + 1e-9
    assert ymax <= image_height + 1e-9
