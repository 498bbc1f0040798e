"""Heat by place: a monoid of integers that equals NumPy over all its scores, and what is usual."""

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st

from transforms.judge.heat import BOX_PLACES, MASKS, PLACES, Heat
from transforms.judge.usual import medians_without_each, relative_density, usual_of, usual_of_others
from transforms.regions import ALL_REGIONS

from .builders import make_outside
from .strategies import outsides


def heat_of(outsides_):
    """The heat of scores, one after the other."""
    heat = Heat.zero()
    for outside in outsides_:
        heat.add(outside)
    return heat


def floats(data):
    return np.frombuffer(data, "<f8")


@given(st.lists(outsides(), max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_scores_does_not_matter(rows, random):
    shuffled = random.sample(rows, len(rows))
    assert heat_of(rows).numbers.tolist() == heat_of(shuffled).numbers.tolist()


@given(st.lists(outsides(), max_size=4), st.lists(outsides(), max_size=4))
def test_addition_and_subtraction(one, other):
    both = heat_of([*one, *other])
    assert both.numbers.tolist() == (heat_of(one) + heat_of(other)).numbers.tolist()
    assert heat_of(other).numbers.tolist() == (both - heat_of(one)).numbers.tolist()
    assert heat_of(one).numbers.tolist() == (heat_of(one) + Heat.zero()).numbers.tolist()


@given(st.lists(outsides(), max_size=8))
def test_sums_equal_numpy_over_all_scores(rows):
    heat = heat_of(rows)
    boxed = [row for row in rows if row.box_heat]
    assert (len(rows), len(boxed)) == (heat.count("scores"), heat.count("boxed"))
    for name in ("picture_heat", "picture_area", "distance_heat", "distance_area"):
        expected = sum(floats(getattr(row, name)) for row in rows)
        np.testing.assert_allclose(heat.sums(name), expected, atol=1e-8)
    for name in ("box_heat", "box_area"):
        expected = sum(floats(getattr(row, name)) for row in boxed)
        np.testing.assert_allclose(heat.sums(name), expected, atol=1e-8)
        means = heat.means(name)
        assert means is None if not boxed else means == pytest.approx(expected / len(boxed), abs=1e-8)


@given(st.lists(outsides(), min_size=1, max_size=8))
def test_moments_equal_numpy_over_all_scores(rows):
    heat = heat_of(rows)
    outside = np.array([floats(row.picture_heat).sum() for row in rows])
    boxed = np.array([bool(row.box_heat) for row in rows])
    by_map = [
        [
            MASKS[name] @ floats(getattr(row, f"{name}_heat") or bytes(8 * MASKS[name].shape[1]))
            for row in rows
        ]
        for name in MASKS
    ]
    places = np.concatenate(by_map, axis=1)
    assert (len(rows), len(PLACES)) == places.shape
    np.testing.assert_allclose(heat.sums("outside"), [outside.sum(), outside[boxed].sum()], atol=1e-6)
    squared = [(outside**2).sum(), (outside[boxed] ** 2).sum()]
    np.testing.assert_allclose(heat.sums("outside_squared"), squared, atol=1e-6)
    np.testing.assert_allclose(heat.sums("places"), places.sum(axis=0), atol=1e-6)
    np.testing.assert_allclose(heat.sums("squares"), (places**2).sum(axis=0), atol=1e-6)
    np.testing.assert_allclose(heat.sums("products"), (places * outside[:, None]).sum(axis=0), atol=1e-6)


def test_without_scores_there_are_no_means():
    assert [None, None] == [Heat.zero().means(name) for name in ("picture_heat", "box_heat")]
    without_box = heat_of([make_outside(cells={})])
    assert None is without_box.means("box_heat")
    assert [0.0] * 256 == without_box.means("picture_heat")


def test_the_state_of_a_group_stays_under_20_kb():
    assert Heat.zero().numbers.nbytes < 15_000


def test_every_place_has_its_cells():
    assert (len(ALL_REGIONS), 256) == MASKS["picture"].shape
    assert (len(BOX_PLACES), 576) == MASKS["box"].shape
    sixteenths = [1, 2, 1, 2, 4, 2, 1, 2, 1, 7, 4, 4, 4, 4]
    assert [16 * part for part in sixteenths] == MASKS["picture"].sum(axis=1).tolist()
    above, below, left, right = MASKS["box"].reshape(4, 24, 24)
    assert (40, 40, 40, 40) == tuple(mask.sum() for mask in (above, below, left, right))
    assert (below == above[::-1]).all()
    assert (left == above.T).all()
    assert (right == left[:, ::-1]).all()
    assert (np.flatnonzero(above.any(axis=1)) == np.arange(10)).all()
    assert [[0, 0, 0, 0, 1, 1, 1, 1]] == MASKS["distance"].tolist()


@given(np_st.arrays(np.float64, st.tuples(st.integers(2, 7), st.integers(1, 4)), elements=st.integers(0, 5)))
def test_medians_without_each_row_are_the_medians_of_the_others(values):
    expected = [
        [statistics.median(np.delete(column, row)) for column in values.T] for row in range(len(values))
    ]
    assert expected == medians_without_each(values).tolist()


def test_density_is_relative_to_its_mean():
    heat = heat_of([make_outside(cells={(0, 0): 0.5, (0, 1): 0.25}, area=0.5)])
    density = relative_density(heat, "picture")
    # 0.75 over 128 cells' area; a cell has 0.5 of area and a tenth of that at the mean density besides.
    mean = 0.75 / 128
    assert [(0.5 / mean + 0.05) / 0.55, (0.25 / mean + 0.05) / 0.55, 0.05 / 0.55] == pytest.approx(
        density[:3].tolist()
    )


@pytest.mark.parametrize("rows", [[], [make_outside(cells={})]])
def test_without_heat_every_density_is_usual(rows):
    assert [1.0] * 256 == relative_density(heat_of(rows), "picture").tolist()


def test_one_biased_class_among_the_others_changes_nothing_that_is_usual():
    plain = heat_of([make_outside(cells={(row, 3): 0.05 for row in range(16)})] * 3)
    biased = heat_of([make_outside(cells={(15, 0): 0.9})] * 3)
    usual = usual_of_others({"a": plain, "b": plain, "c": plain, "biased": biased})
    alone = usual_of(plain)
    for name in ("a", "b", "c", "biased"):
        for of in MASKS:
            assert alone.densities[of].tolist() == usual[name].densities[of].tolist()
    assert (plain + plain + biased).numbers.tolist() == usual["a"].heat.numbers.tolist()


def test_a_class_alone_has_nobody_to_be_compared_with():
    assert {} == usual_of_others({"a": Heat.zero()}) == usual_of_others({})
