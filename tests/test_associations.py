"""Slice columns and classes: counts that merge, tests against exact ones, words for every outcome."""

import itertools
import math
from collections import Counter

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing import test_pipeline as beam_testing
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from transforms.judge.data.associations import (
    associate,
    chi_squared_moments,
    column_test,
    fisher_p_value,
    normalised_mutual_information,
)
from transforms.judge.data.contingency import MAX_VALUES, Contingency
from transforms.judge.data.wiring import AssociateSlices
from transforms.judge.settings import JudgeSettings
from transforms.labels import Labelling
from transforms.records import Slice

SETTINGS = JudgeSettings()
rows_of_columns = st.lists(
    st.tuples(st.sampled_from(["A", "B", "C", None]), st.sets(st.sampled_from(["cat", "dog", "cow"]))),
    max_size=12,
)


def counted(rows):
    """The counts of (value, classes) pairs, one after the other."""
    counts = Contingency()
    for value, names in rows:
        counts.add(value, sorted(names))
    return counts


def plain(counts):
    """Counts as plain values, for strict equality."""
    return {
        name: dict(value) if isinstance(value, Counter) else value for name, value in vars(counts).items()
    }


def associated(rows, settings=SETTINGS):
    [row] = associate({"tag": counted(rows)}, settings)
    return row


@given(rows_of_columns, st.integers(0, 12), st.randoms(use_true_random=False))
def test_counts_merge_in_any_order(rows, cut, random):
    parts = [counted(rows[:cut]), counted(rows[cut:]), Contingency()]
    random.shuffle(parts)
    merged = Contingency()
    for part in parts:
        merged.merge(part)
    assert plain(counted(rows)) == plain(merged)


@given(rows_of_columns)
def test_counts_equal_a_loop_over_all_examples(rows):
    counts = counted(rows)
    values, classes, table = counts.table()
    expected = np.zeros((len(values), len(classes)))
    for value, names in rows:
        for name in names or [None]:
            expected[values.index(value), classes.index(name)] += 1 / len(names or [None])
    np.testing.assert_allclose(expected, table, atol=1e-8)
    assert len(rows) == counts.examples
    assert [value for value, _ in rows].count(None) == counts.missing
    for value, name in itertools.product(values, classes):
        both = [1 for v, names in rows if v == value and (name in names or (name is None and not names))]
        assert len(both) == counts.together[value, name]


@given(st.permutations(range(MAX_VALUES + 1)), st.integers(0, MAX_VALUES + 1))
def test_too_many_values_are_dropped_whatever_the_order(order, cut):
    rows = [(str(value), ["cat"]) for value in order]
    one, other = counted(rows[:cut]), counted(rows[cut:])
    assert plain(counted(rows)) == plain(one.merge(other))
    assert one.too_many
    assert (MAX_VALUES + 1, 0, {}) == (one.examples, one.missing, dict(one.values))


def test_as_many_values_as_may_be_and_missing_ones_are_kept():
    counts = counted([*((str(value), ["cat"]) for value in range(MAX_VALUES)), (None, ["cat"])])
    assert not counts.too_many
    assert MAX_VALUES + 1 == len(counts.values)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [([30, 10, 5], [20, 15, 10]), ([3, 2, 1, 94], [50, 50]), ([1] * 20 + [20], [10] * 4), ([5, 3], [4, 4])],
)
def test_the_moments_are_those_of_random_tables_with_the_same_margins(rows, columns):
    tables = stats.random_table(rows, columns).rvs(40_000, random_state=0).astype(float)
    expected = np.outer(rows, columns) / sum(rows)
    chi_squared = ((tables - expected) ** 2 / expected).sum(axis=(1, 2))
    margins = [(float(len(of)), sum(1 / count for count in of)) for of in (rows, columns)]
    mean, variance = chi_squared_moments(sum(rows), *margins)
    assert mean == pytest.approx(chi_squared.mean(), rel=0.02)
    assert variance == pytest.approx(chi_squared.var(), rel=0.06)


def test_p_values_without_association_are_uniform_where_expected_counts_are_small():
    random = np.random.default_rng(0)
    p_values = []
    for _ in range(400):
        values, classes = random.integers(0, 12, 60), random.integers(0, 8, 60)
        pairs = zip(values, classes, strict=True)
        p_values.append(column_test(counted([(str(value), [str(name)]) for value, name in pairs]))[0])
    for level in (0.01, 0.05, 0.1, 0.5):
        share = np.mean(np.array(p_values) <= level)
        assert share == pytest.approx(level, abs=3 * math.sqrt(level * (1 - level) / 400))


def test_examples_with_several_classes_make_the_test_conservative():
    random = np.random.default_rng(0)
    p_values = []
    for _ in range(400):
        rows = [
            (str(random.integers(0, 3)), {str(name) for name in random.integers(0, 6, random.integers(1, 4))})
            for _ in range(80)
        ]
        p_values.append(column_test(counted(rows))[0])
    for level in (0.01, 0.05, 0.1):
        share = np.mean(np.array(p_values) <= level)
        assert share <= level + 3 * math.sqrt(level * (1 - level) / 400)


def test_where_every_example_has_every_class_nothing_can_be_told():
    assert (1.0, 0.0) == column_test(counted([("A", ["cat", "dog"]), ("B", ["cat", "dog"])] * 20))


@given(st.integers(1, 30), st.data())
def test_fishers_test_equals_scipys(total, data):
    of_class, of_value = data.draw(st.integers(0, total)), data.draw(st.integers(0, total))
    together = data.draw(st.integers(max(0, of_class + of_value - total), min(of_class, of_value)))
    table = [[together, of_class - together], [of_value - together, total - of_class - of_value + together]]
    expected = stats.fisher_exact(table, "greater").pvalue
    assert expected == pytest.approx(fisher_p_value(together, of_class, of_value, total), rel=1e-6)


def test_mutual_information_by_hand():
    assert 1.0 == normalised_mutual_information(np.array([[3.0, 0.0], [0.0, 5.0]]))
    assert pytest.approx(normalised_mutual_information(np.array([[1.0, 1.0], [2.0, 2.0]]))) == 0
    # 3 of 4 agree: I = ln 2 - H(1/4), over entropies of ln 2.
    half = 0.75 * math.log(0.75) + 0.25 * math.log(0.25)
    expected = (math.log(2) + half) / math.log(2)
    assert expected == pytest.approx(normalised_mutual_information(np.array([[3.0, 1.0], [1.0, 3.0]])))


PLANTED = [
    *[("yes", ["pill"])] * 57,
    *[("no", ["pill"])] * 3,
    *[("yes", ["ring"])] * 6,
    *[("no", ["ring"])] * 294,
]


def test_a_planted_tag_is_named_before_any_model_is_trained_on_it():
    row = associated(PLANTED)
    assert (True, 360, 0, 2) == (row.associated, row.records, row.missing, row.values)
    assert (
        "tag=yes in 95 % of pill and 2 % of the rest, and 1 more pair (normalised mutual information 0.76, "
        "p = 2e-67): a model can learn tag in place of the object"
    ) == row.message
    yes, no = row.pairs
    assert ("no", "ring") == (no.value, no.class_name)
    assert ("pill", 57, 0.95, 0.02) == (yes.class_name, yes.records, yes.share_in_class, yes.share_elsewhere)
    assert np.corrcoef([[1] * 57 + [0] * 3 + [1] * 6 + [0] * 294, [1] * 60 + [0] * 300])[
        0, 1
    ] == pytest.approx(yes.phi)


def test_what_is_missing_may_be_what_tells_the_class():
    row = associated([*[(None, ["cat"])] * 30, *[("A", ["dog"])] * 30])
    assert (True, 30, 1) == (row.associated, row.missing, row.values)
    assert {(None, "cat"), ("A", "dog")} == {(pair.value, pair.class_name) for pair in row.pairs}
    assert "no tag in 100 % of cat and 0 % of the rest, and 1 more pair (" in row.message


def test_images_without_a_class_are_a_class():
    row = associated([*[("B", [])] * 30, *[("A", ["dog"])] * 30])
    assert {("B", None), ("A", "dog")} == {(pair.value, pair.class_name) for pair in row.pairs}
    assert row.message.startswith("tag=B in 100 % of the records without a class and 0 % of the rest")


def test_a_fifth_of_a_class_with_a_watermark_that_nobody_else_has_is_named():
    rows = [*[("yes", ["horse"])] * 20, *[("no", ["horse"])] * 80]
    rows += [("no", [f"class {number}"]) for number in range(9) for _ in range(100)]
    [pair] = associated(rows).pairs
    assert ("yes", "horse", 0.2, 0.0) == (
        pair.value,
        pair.class_name,
        pair.share_in_class,
        pair.share_elsewhere,
    )


def test_a_column_of_which_every_rare_value_tells_the_class_is_associated():
    rows = [(f"breed {number}", ["cat" if number < 10 else "dog"]) for number in range(20) for _ in range(10)]
    row = associated(rows)
    assert (True, 1.0, 10) == (row.associated, pytest.approx(row.cramers_v), len(row.pairs))
    assert max(pair.phi for pair in row.pairs) < 0.3
    assert row.message.startswith("tag=breed 0 in 10 % of cat and 0 % of the rest, and 19 more pairs")


@given(st.lists(st.sampled_from([("A", ("x",)), ("A", ("y",)), ("B", ("x",)), ("B", ("y",))]), min_size=8))
def test_cramers_v_is_that_of_a_table_less_chance(rows):
    counts = counted(rows)
    if len(counts.values) < 2 or len(counts.classes) < 2:
        return
    _, _, table = counts.table()
    chi_squared = stats.chi2_contingency(table, correction=False).statistic
    mean = len(rows) / (len(rows) - 1)
    expected = math.sqrt(max(0.0, chi_squared - mean) / (len(rows) - mean))
    assert expected == pytest.approx(column_test(counts)[1], abs=1e-4)


def test_a_weak_association_is_none_however_sure_it_is():
    rows = [
        ("A" if number % 100 < share else "B", [name])
        for name, share in (("cat", 55), ("dog", 45))
        for number in range(2000)
    ]
    row = associated(rows)
    assert row.p_value < 1e-6
    assert (False, []) == (row.associated, row.pairs)
    assert row.message.startswith("no value of tag tells the class (normalised mutual information 0.01, p = ")


def test_random_columns_are_hardly_ever_associated():
    random = np.random.default_rng(0)
    columns = {
        str(number): counted(
            (str(value), [str(name)])
            for value, name in zip(random.integers(0, 4, 60), random.integers(0, 5, 60), strict=True)
        )
        for number in range(200)
    }
    assert 0 == sum(bool(row.associated) for row in associate(columns, SETTINGS))


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "in no record"),
        ([(None, ["cat"])] * 40, "in no record"),
        ([("A", ["cat"]), ("A", ["dog"])] * 20, "the one value A in every record"),
        ([("A", ["cat"]), ("B", ["cat"])] * 20, "all records are of one class"),
        ([("A", ["cat"]), ("B", ["dog"])] * 14, "28 records, 30 are needed"),
        (
            [(str(number), ["cat"]) for number in range(101)],
            "more than 100 values, an id or a number rather than a slice",
        ),
    ],
)
def test_what_cannot_be_tested_says_why(rows, reason):
    row = associated(rows)
    assert (f"not tested: {reason}", None, None, None, None, []) == (
        row.message,
        row.associated,
        row.nmi,
        row.cramers_v,
        row.p_value,
        row.pairs,
    )
    assert len(rows) == row.records


def test_no_column_more_than_ten_pairs():
    rows = [(f"site {number}", [f"class {number}"]) for number in range(12) for _ in range(10)]
    row = associated(rows)
    assert 10 == len(row.pairs)
    assert "site 0" == row.pairs[0].value
    assert "and 11 more pairs" in row.message


def labelling(number, tag, *names, cluster=None):
    slices = [Slice("id", str(number)), *([Slice("tag", tag)] if tag else [])]
    return Labelling(f"{number}.png", "set.json", number, list(names), slices, cluster)


@pytest.mark.parametrize("seed", [0, 1])
def test_associate_slices_equals_a_direct_loop(seed):
    rows = [
        labelling(number, *row)
        for number, row in enumerate(
            [("yes", "cat")] * 60 + [("no", "dog")] * 50 + [("no", "cat", "dog")] * 5 + [(None, "cow")] * 9
        )
    ]
    columns = {"tag": Contingency(), "id": Contingency(), "none": Contingency()}
    for row in rows:
        values = {entry.key: entry.value for entry in row.slices}
        for key, counts in columns.items():
            counts.add(values.get(key), row.names)
    expected = associate(columns, SETTINGS)
    assert [True, None, None] == [row.associated for row in expected]
    order = np.random.default_rng(seed).permutation(len(rows))
    with beam_testing.TestPipeline(runner="FnApiRunner") as root:
        shuffled = root | beam.Create([rows[index] for index in order])
        assert_that(shuffled | AssociateSlices(["tag", "id", "none"], SETTINGS), equal_to(expected))


@pytest.mark.parametrize("seed", [0, 1])
def test_of_a_cluster_one_example_of_each_class_counts(seed):
    """Six patients of whom each has one value on all of thirty pictures are six observations, not 180."""
    rows = [
        labelling(
            30 * patient + picture, "ab"[patient % 2], ("cat", "dog")[patient % 2], cluster=f"p{patient}"
        )
        for patient in range(6)
        for picture in range(30)
    ]
    rows += [labelling(1000, "a", "dog", cluster="p0"), labelling(1001, "b", "cat")]
    columns = {"tag": Contingency()}
    for value, name in [("a", "cat")] * 3 + [("b", "dog")] * 3 + [("a", "dog"), ("b", "cat")]:
        columns["tag"].add(value, [name])
    order = np.random.default_rng(seed).permutation(len(rows))
    with beam_testing.TestPipeline(runner="FnApiRunner") as root:
        shuffled = root | beam.Create([rows[index] for index in order])
        assert_that(
            shuffled | AssociateSlices(["tag"], JudgeSettings(min_images=5)),
            equal_to(associate(columns, JudgeSettings(min_images=5))),
        )


def test_without_slices_or_records_there_is_nothing_to_associate():
    with beam_testing.TestPipeline(runner="FnApiRunner") as root:
        some = root | "Some" >> beam.Create([labelling(1, "yes", "cat")])
        none = root | "None" >> beam.Create([]).with_output_types(Labelling)
        assert_that(some | "NoSlice" >> AssociateSlices([], SETTINGS), equal_to([]), "no slice")
        assert_that(
            none | "NoRecord" >> AssociateSlices(["tag"], SETTINGS),
            equal_to(associate({"tag": Contingency()}, SETTINGS)),
            "no record",
        )
