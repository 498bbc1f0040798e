"""E-values, bounds and tests: direct formulas, exact enumeration, SciPy."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from transforms.judge.statistics import (
    benjamini_hochberg,
    e_benjamini_hochberg,
    log10_e_below,
    log10_mean_e,
    mean_bounds,
    welch,
    wilson_interval,
)

from .builders import make_score
from .strategies import histograms, tally_of

# The 16 bets by hand: from 2 % to 95 % of the largest safe bet, each the same factor above the last.
BETS = [0.02 * 47.5 ** (step / 15) for step in range(16)]
LOG10_20 = math.log10(20)
# No p-value below stands at a threshold of this rate, where rounding would decide.
ODD_RATE = math.pi / 32

thresholds = st.floats(0.05, 0.95)


def histogram_of(values):
    return np.histogram(values, bins=256, range=(0, 1))[0]


def log10_e_direct(values, threshold):
    """The definition: the mean over the bets of what a stake of 1 on low values grows to."""
    gains = [math.prod(1 + bet * ((1 - value) / (1 - threshold) - 1) for value in values) for bet in BETS]
    return math.log10(sum(gains) / len(BETS))


@given(histograms(), thresholds)
def test_an_e_value_is_the_direct_formula_at_the_upper_edges_of_the_bins(histogram, threshold):
    edges = (np.repeat(np.arange(256), histogram) + 1) / 256
    assert log10_e_direct(edges, threshold) == pytest.approx(log10_e_below(histogram, threshold), abs=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40), thresholds)
def test_binning_never_adds_evidence(values, threshold):
    assert log10_e_below(histogram_of(values), threshold) <= log10_e_direct(values, threshold) + 1e-9


def test_one_value_by_hand():
    # Its bin's upper edge is the threshold itself: nothing is won or lost.
    assert log10_e_below(histogram_of([127.5 / 256]), 0.5) == pytest.approx(0.0, abs=1e-12)
    # Bin 0 counts as 1/256: every bet b wins b (255/128 - 1).
    expected = math.log10(1 + sum(BETS) / 16 * 127 / 128)
    assert expected == pytest.approx(log10_e_below(histogram_of([0.0]), 0.5), abs=1e-12)
    # Bin 255 counts as 1: every bet is lost.
    expected = math.log10(1 - sum(BETS) / 16)
    assert expected == pytest.approx(log10_e_below(histogram_of([1.0]), 0.5), abs=1e-12)


def test_no_values_are_no_evidence():
    assert pytest.approx(log10_e_below(np.zeros(256, np.int64), 0.3), abs=1e-12) == 0.0


def test_an_e_value_too_large_for_a_float_has_a_logarithm():
    assert log10_e_below(histogram_of([0.1] * 5000), 0.9) > 400


@pytest.mark.parametrize("draws", [1, 2, 3])
@pytest.mark.parametrize(("low", "high", "chance_low"), [(0, 255, 0.5), (31, 200, 0.25), (100, 101, 0.9)])
def test_under_the_null_hypothesis_the_mean_e_value_is_at_most_one(draws, low, high, chance_low):
    # Two values at upper edges of bins, whose mean is exactly the threshold: no bet gains on average.
    threshold = chance_low * (low + 1) / 256 + (1 - chance_low) * (high + 1) / 256
    expected = 0.0
    for bins in itertools.product([low, high], repeat=draws):
        chance = math.prod(chance_low if drawn == low else 1 - chance_low for drawn in bins)
        expected += chance * 10 ** log10_e_below(np.bincount(bins, minlength=256), threshold)
    assert expected <= 1 + 1e-9
    assert pytest.approx(expected, abs=1e-9) == 1


@given(histograms())
def test_the_bounds_contain_the_mean(histogram):
    lower, upper = mean_bounds(histogram)
    bins = np.repeat(np.arange(256), histogram)
    assert 0 <= lower <= bins.mean() / 256
    assert (bins.mean() + 1) / 256 <= upper <= 1


@given(histograms())
def test_the_upper_bound_is_the_lowest_mean_that_the_e_value_rejects(histogram):
    _, upper = mean_bounds(histogram)
    if upper < 1:
        assert log10_e_below(histogram, upper) >= LOG10_20 - 1e-9
        assert log10_e_below(histogram, upper - 2**-20) <= LOG10_20 + 1e-9


@given(histograms())
def test_the_bounds_of_mirrored_values_are_mirrored(histogram):
    lower, upper = mean_bounds(histogram)
    assert (1 - upper, 1 - lower) == pytest.approx(mean_bounds(histogram[::-1]), abs=1e-12)


def test_the_bounds_close_in_as_values_come():
    histogram = histogram_of([0.2, 0.4, 0.5, 0.7])
    bounds = [mean_bounds(histogram * times) for times in (1, 10, 100, 1000)]
    lowers, uppers = zip(*bounds, strict=True)
    assert sorted(lowers) == list(lowers)
    assert sorted(uppers, reverse=True) == list(uppers)
    assert uppers[-1] - lowers[-1] < 0.05


def test_without_values_the_bounds_say_nothing():
    assert mean_bounds(np.zeros(256, np.int64)) == (0.0, 1.0)


def test_the_bounds_hold_in_simulation():
    samples = np.random.default_rng(0).beta(4, 2, (400, 60))
    bounds = [mean_bounds(histogram_of(sample)) for sample in samples]
    assert np.mean([lower <= 4 / 6 <= upper for lower, upper in bounds]) >= 0.97


@pytest.mark.parametrize(
    ("e_values", "expected"),
    [
        ([], []),
        ([39.9, 1, 1, 1], [False, False, False, False]),
        ([40, 1, 1, 1], [True, False, False, False]),
        ([1, 25, 50, 12], [False, True, True, False]),  # the third would need 4 / (3 * 0.1) = 13.3
        ([30, 25, 1, 1], [True, True, False, False]),  # neither by itself, both together: 4 / (2 * 0.1)
        ([11, 11, 11, 11], [True, True, True, True]),
    ],
)
def test_e_benjamini_hochberg_by_hand(e_values, expected):
    assert expected == e_benjamini_hochberg([math.log10(e) for e in e_values], 0.1)


@given(st.lists(st.integers(-2, 6).map(float) | st.floats(-3, 6), max_size=8), st.floats(0.01, 0.5))
def test_e_benjamini_hochberg_is_the_largest_set_that_is_consistent_with_its_own_size(log10_e, fdr):
    count = len(log10_e)
    expected = [False] * count
    for size in range(1, count + 1):
        large = [e >= math.log10(count / (size * fdr)) for e in log10_e]
        if sum(large) >= size:
            expected = large
    assert expected == e_benjamini_hochberg(log10_e, fdr)


@given(st.lists(st.integers(0, 200), min_size=1, max_size=12))
def test_benjamini_hochberg_equals_scipy(thousandths):
    p_values = [value / 1000 for value in thousandths]
    expected = stats.false_discovery_control(p_values) <= ODD_RATE
    assert expected.tolist() == benjamini_hochberg(p_values, ODD_RATE)


def test_benjamini_hochberg_by_hand():
    # Thresholds .025, .05, .075, .1: the third holds and takes the second with it.
    assert [True, False, True, True] == benjamini_hochberg([0.07, 0.5, 0.06, 0.01], 0.1)
    assert [True, False] == benjamini_hochberg([0.05, 0.6], 0.1)
    assert [] == benjamini_hochberg([], 0.1)


def test_the_mean_of_e_values():
    assert math.log10((1 + 10 + 1000) / 3) == pytest.approx(log10_mean_e([0.0, 1.0, 3.0]))
    assert 800 - math.log10(2) == pytest.approx(log10_mean_e([800.0, -5.0]))


@pytest.mark.parametrize("count", [1, 2, 5, 30, 100])
def test_the_wilson_interval_equals_scipy(count):
    for hits in range(count + 1):
        interval = stats.binomtest(hits, count).proportion_ci(method="wilson")
        assert (interval.low, interval.high) == pytest.approx(wilson_interval(hits, count), abs=1e-9)


def test_the_wilson_interval_of_none_and_of_all_stays_within_zero_and_one():
    for count in range(1, 100):
        assert 0 <= wilson_interval(0, count)[0] < wilson_interval(0, count)[1] <= 1, count
        assert 0 <= wilson_interval(count, count)[0] < wilson_interval(count, count)[1] <= 1, count


def tally_of_shares(values):
    return tally_of(make_score(density_share=value) for value in values)


@pytest.mark.parametrize("seed", range(8))
def test_welch_equals_scipy(seed):
    random = np.random.default_rng(seed)
    one, rest = random.beta(3, 3, random.integers(5, 60)), random.beta(4, 3, random.integers(5, 60))
    p_value, effect = welch(tally_of_shares(one), tally_of_shares(rest))
    expected = stats.ttest_ind(one, rest, equal_var=False, alternative="less").pvalue
    assert expected == pytest.approx(p_value, rel=1e-6)
    pooled = math.sqrt((np.var(one, ddof=1) + np.var(rest, ddof=1)) / 2)
    assert (rest.mean() - one.mean()) / pooled == pytest.approx(effect, rel=1e-6)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        pytest.param(0.25, (0.0, math.inf), id="lower"),
        pytest.param(0.5, (1.0, 0.0), id="the same"),
        pytest.param(0.75, (1.0, -math.inf), id="higher"),
    ],
)
def test_welch_without_any_spread(share, expected):
    assert expected == welch(tally_of_shares([share] * 30), tally_of_shares([0.5] * 40))


@given(st.floats(0, 1))
def test_equal_values_are_never_evidence(share):
    p_value, effect = welch(tally_of_shares([share] * 30), tally_of_shares([share] * 40))
    assert p_value >= 0.5
    assert effect == 0
