"""Images that are not independent count once, with their mean, in their class and in each slice of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.judge.clusters import ClusterShares, clustered, mean_swap
from transforms.judge.settings import JudgeSettings
from transforms.judge.statistics import Tally, welch
from transforms.judge.verdicts import judge_model
from transforms.records import Group, Score, Slice

from .builders import make_group, make_score, make_swap
from .strategies import contents, shares, tallies_of

CAMERA_A = make_group(kind="slice", slice_key="camera", slice_value="A")


def test_a_cluster_is_one_unit_of_its_class_with_its_mean() -> None:
    tally = tallies_of([make_score(density_share=share, cluster="p") for share in (0.25, 0.5, 0.75)])[
        make_group()
    ]

    assert (3, 1, 0.5) == (tally.measured, tally.units, tally.density_share)
    assert [128] == np.flatnonzero(tally.histogram).tolist()


def test_an_image_of_no_cluster_is_a_unit_by_itself() -> None:
    rows = [make_score(density_share=share, cluster="p") for share in (0.25, 0.75)]
    rows.append(make_score(density_share=1.0))
    tally = tallies_of(rows)[make_group()]

    assert (3, 2, 0.75) == (tally.measured, tally.units, tally.density_share)


def test_what_was_not_measured_is_in_no_cluster() -> None:
    assert [] == list(clustered(make_score(status="zero_map", cluster="p")))
    assert [] == list(clustered(make_score(target_rule="predicted", cluster="p")))


rows_of_patients = st.lists(
    st.builds(
        make_score,
        density_share=shares,
        cluster=st.sampled_from([None, "p", "q", "r"]),
        slices=st.fixed_dictionaries({"camera": st.sampled_from("AB")}),
    ),
    max_size=20,
)


def means_by_unit(rows: list[Score]) -> list[float]:
    """The oracle: the mean of each cluster, and every other image by itself."""
    alone = [row.density_share for row in rows if row.cluster is None]
    names = {row.cluster for row in rows} - {None}
    return [*alone, *(np.mean([r.density_share for r in rows if r.cluster == n]) for n in names)]  # type: ignore[list-item]


@given(rows_of_patients)
def test_a_slice_and_its_rest_average_what_each_has_of_a_cluster(rows: list[Score]) -> None:
    tallies = tallies_of(rows)
    sides = [[row for row in rows if row.slices[0].value == value] for value in "AB"]
    part = tallies.get(CAMERA_A, Tally.zero())
    rest = tallies.get(make_group(), Tally.zero()) - part
    for side, tally in zip(sides, (part, rest), strict=True):
        expected = means_by_unit(side)
        assert len(expected) == tally.units
        if expected:
            assert np.mean(expected) == pytest.approx(tally.density_share, abs=1e-8)
        if len(expected) > 1:
            assert np.var(expected, ddof=1) == pytest.approx(tally.variance(), abs=1e-7)


@given(rows_of_patients, st.randoms(use_true_random=False))
def test_any_order_and_grouping_gives_the_same_units(rows: list[Score], random: object) -> None:
    shuffled = random.sample(rows, len(rows))  # type: ignore[attr-defined]
    whole, parts = tallies_of(rows), {}
    sums: dict[tuple[Group, str], ClusterShares] = {}
    for first in range(0, len(rows), 3):
        of_part: dict[tuple[Group, str], ClusterShares] = {}
        for row in shuffled[first : first + 3]:
            for key, score in clustered(row):
                of_part.setdefault(key, ClusterShares.zero()).add(score)
        for key, share in of_part.items():
            sums[key] = sums.get(key, ClusterShares.zero()) + share
    for (group, _), share in sums.items():
        for unit_group, unit in share.units(group):
            parts[unit_group] = parts.get(unit_group, Tally.zero()) + unit
    for group, tally in parts.items():
        alone = Tally.zero()
        for row in rows:
            if row.cluster is None and (group != CAMERA_A or row.slices[0].value == "A"):
                alone.add(row)
        if group in (make_group(), CAMERA_A):
            assert (whole[group].units, whole[group].histogram.tolist()) == (
                (alone + tally).units,
                (alone + tally).histogram.tolist(),
            )


def test_many_images_of_few_patients_are_insufficient() -> None:
    rows = [make_score(density_share=0.1, cluster=f"p{n % 9}") for n in range(90)]
    of_class = judge_model(tallies_of(rows), JudgeSettings())[1]

    assert ("insufficient", 90) == (of_class.verdict, of_class.n)
    assert "90 measured images of 9 clusters, 30 are needed" == of_class.message


def test_patients_that_differ_do_not_make_a_slice_suspect() -> None:
    """The t test over images rejects a true null hypothesis far too often; over patients it does not."""
    random = np.random.default_rng(0)
    p_values = {"images": [], "patients": []}  # type: dict[str, list[float]]
    for _ in range(200):
        rows = []
        for patient in range(20):
            level = random.normal(0.5, 0.1)
            for _ in range(10):
                share = float(np.clip(random.normal(level, 0.1), 0, 1))
                camera = {"camera": "AB"[patient % 2]}
                rows.append((share, f"p{patient}", camera))
        for kind, found in p_values.items():
            named = [
                make_score(density_share=s, cluster=p if kind == "patients" else None, slices=c)
                for s, p, c in rows
            ]
            tallies = tallies_of(named)
            part = tallies[CAMERA_A]
            found.append(welch(part, tallies[make_group()] - part)[0])
    rejected = {kind: float(np.mean(np.array(found) <= 0.05)) for kind, found in p_values.items()}

    assert rejected["images"] > 0.15
    assert rejected["patients"] < 0.1


def test_the_swaps_of_a_cluster_are_one_with_their_means() -> None:
    swaps = [
        make_swap(example_id="b", donor_class="dog", gap=0.25, own=0.5, other=0.25, residual=0.0),
        make_swap(example_id="a", donor_class="ape", gap=0.75, own=1.0, other=0.25, residual=0.5),
    ]
    mean = mean_swap(swaps)

    assert ("a", "ape", 0.5) == (mean.example_id, mean.donor_class, mean.gap)
    assert (0.75, 0.25, 0.25) == (mean.own, mean.other, mean.residual)


def test_a_cluster_is_in_the_slices_that_all_its_images_are_in() -> None:
    swaps = [
        make_swap(example_id=name, slices={"site": "north", "camera": camera})
        for name, camera in (("a", "A"), ("b", "B"))
    ]

    assert [Slice("site", "north")] == mean_swap(swaps).slices


def test_an_unclustered_tally_is_what_it_was() -> None:
    rows = [make_score(density_share=share) for share in (0.25, 0.5)]
    both = Tally.zero()
    for row in rows:
        both.add(row)

    assert contents(both) == contents(tallies_of(rows)[make_group()])
