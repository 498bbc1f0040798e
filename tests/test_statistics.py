"""The tally: a monoid of integers that equals NumPy over all its scores."""

import itertools
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.judge.statistics import STATUSES, Tally
from transforms.regions import REGIONS

from .builders import make_outside, make_score
from .strategies import contents, scores, shares, tallies, tally_of

MEANS = ["energy_in_box", "box_area", "energy_in_other_boxes"]


@given(tallies())
def test_zero_changes_nothing(tally):
    assert contents(tally) == contents(tally + Tally.zero()) == contents(Tally.zero() + tally)


@given(tallies(), tallies())
def test_a_tally_that_has_travelled_is_the_same_and_goes_on(one, other):
    travelled = pickle.loads(pickle.dumps(one))

    assert contents(one) == contents(travelled)
    travelled.merge(other)
    assert contents(one + other) == contents(travelled)


def test_a_tally_of_one_score_travels_in_a_quarter_of_its_size():
    outside = make_outside(cells={(row, column): 1 / 256 for row in range(16) for column in range(16)})
    tally = Tally.of(make_score(outside=outside))

    size = tally.numbers.nbytes + tally.histogram.nbytes + tally.heat.numbers.nbytes
    assert len(pickle.dumps(tally)) < size / 4


@given(tallies(), tallies(), tallies())
def test_addition_is_associative(a, b, c):
    assert contents((a + b) + c) == contents(a + (b + c))


@given(tallies(), tallies())
def test_addition_is_commutative(a, b):
    assert contents(a + b) == contents(b + a)


@given(tallies(), tallies())
def test_subtraction_gives_the_rest(part, rest):
    assert contents(rest) == contents((part + rest) - part)


@given(st.lists(scores(), max_size=8), st.lists(scores(), max_size=8))
def test_the_tally_of_all_scores_is_the_sum_of_the_tallies_of_its_parts(one, other):
    assert contents(tally_of([*one, *other])) == contents(tally_of(one) + tally_of(other))


def test_addition_and_subtraction_leave_their_operands_alone():
    a, b = tally_of([make_score()]), tally_of([make_score(status="no_box")])
    before = contents(a), contents(b)
    assert contents((a + b) - a) == contents(b)
    assert before == (contents(a), contents(b))


def test_every_zero_is_its_own():
    Tally.zero().add(make_score())
    assert Tally.zero().rows == 0


@given(st.lists(scores(), max_size=20))
def test_a_tally_equals_numpy_over_all_scores(rows):
    tally = tally_of(rows)
    measured = [row for row in rows if row.status == "ok"]
    assert (len(rows), len(measured)) == (tally.rows, tally.measured)
    for status in STATUSES:
        assert sum(row.status == status for row in rows) == tally.count(status)
    assert sum(bool(row.peak_in_box) for row in rows) == tally.count("peaks")
    for name in MEANS:
        assert mean_of([getattr(row, name) for row in measured]) == tally.mean(name)
    assert (len(measured), mean_of([row.density_share for row in measured])) == (
        tally.units,
        tally.density_share,
    )
    assert mean_of([r.rank_accuracy for r in measured if r.rank_accuracy is not None]) == tally.mean(
        "rank_accuracy"
    )
    for slot, region in enumerate(REGIONS):
        assert mean_of([row.energy_by_region[slot] for row in measured]) == tally.mean(region)
    assert mean_of([row.correct for row in rows if row.correct is not None]) == tally.accuracy


def mean_of(values):
    """What a tally's mean must be: None without values, else NumPy's to 1e-9."""
    return pytest.approx(np.mean(values), abs=1e-9) if values else None


@given(st.lists(shares, min_size=2, max_size=30))
def test_the_variance_is_the_sample_variance(values):
    tally = tally_of(make_score(density_share=value) for value in values)
    assert np.var(values, ddof=1) == pytest.approx(tally.variance(), abs=1e-8)


@given(st.lists(shares, max_size=30))
def test_the_histogram_is_numpys(values):
    tally = tally_of(make_score(density_share=value) for value in values)
    expected, _ = np.histogram(values, bins=256, range=(0, 1))
    assert expected.tolist() == tally.histogram.tolist()


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.0, 0), (1 / 256, 1), (np.nextafter(1 / 256, 0), 0), (0.5, 128), (255 / 256, 255), (1.0, 255)],
)
def test_a_bin_holds_its_lower_edge_and_the_last_bin_also_one(share, expected):
    assert [expected] == np.flatnonzero(tally_of([make_score(density_share=share)]).histogram).tolist()


def test_only_measured_scores_reach_the_means_and_every_score_the_accuracy():
    tally = tally_of(
        [
            make_score(density_share=0.25),
            make_score(density_share=0.75, correct=False),
            make_score(status="zero_map", correct=False),
            make_score(status="no_box", correct=None),
        ]
    )
    assert (4, 2, 1, 1) == (tally.rows, tally.measured, tally.count("zero_map"), tally.count("no_box"))
    assert (0.5, 0.125) == (tally.density_share, tally.variance())
    assert 1 / 3 == tally.accuracy


def test_without_measured_scores_there_are_no_means():
    tally = tally_of(make_score(status=status, correct=None) for status in STATUSES[1:])
    assert (4, 0) == (tally.rows, tally.measured)
    assert [None] * 7 == [
        tally.density_share,
        *(tally.mean(name) for name in (*MEANS, "rank_accuracy", "frame")),
        tally.accuracy,
    ]


@given(st.lists(scores(), max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_scores_does_not_matter(rows, random):
    shuffled = random.sample(rows, len(rows))
    assert contents(tally_of(rows)) == contents(tally_of(shuffled))


def test_a_third_is_a_third_after_ten_thousand_scores():
    tally = Tally.zero()
    part = tally_of([make_score(density_share=1 / 3)] * 100)
    for _ in itertools.repeat(None, 100):
        tally = tally + part
    assert tally.measured == 10_000
    assert 1 / 3 == pytest.approx(tally.density_share, abs=1e-9)
    assert pytest.approx(tally.variance(), abs=1e-8) == 0
