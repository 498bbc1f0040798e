"""The comparison: hand-worked means, what each verdict needs, and how often it is wrong."""

import dataclasses
import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.judge.comparison import Change, PairedImage, compare
from transforms.judge.gaps import GapTally
from transforms.judge.statistics import log10_mean_e

SETTINGS = {"margin": 0.1, "fdr": 0.1, "min_images": 30}
CLASSES = ("cat", "dog")


def make_pair(
    *,
    baseline: float | None = 0.8,
    candidate: float | None = 0.8,
    gaps: tuple[float | None, float | None] = (None, None),
    class_name: str | None = "cat",
    donor_class: str | None = None,
    cluster: str | None = None,
    slices: Sequence[tuple[str, str]] = (),
) -> PairedImage:
    return PairedImage(
        class_name,
        slices,
        donor_class,
        cluster,
        {"density_share": baseline, "swap_gap": gaps[0]},
        {"density_share": candidate, "swap_gap": gaps[1]},
    )


def changes_of(images: Iterable[PairedImage], **settings: float) -> dict[tuple[str, str], Change]:
    found = compare(images, "new", **{**SETTINGS, **settings})  # type: ignore[arg-type]
    return {(change.measure, change.group_name): change for change in found}


def only(images: Iterable[PairedImage], name: str = "cat", **settings: float) -> Change:
    """The change of the density share of one group."""
    return changes_of(images, **settings)["density_share", name]


def test_means_counts_and_groups_by_hand() -> None:
    images = [
        make_pair(baseline=0.5, candidate=0.25, slices=[("site", "A")]),
        make_pair(baseline=0.75, candidate=0.25),
        make_pair(baseline=0.75, candidate=None),
        make_pair(baseline=None, candidate=1.0, class_name="dog"),
        make_pair(baseline=None, candidate=None),
    ]
    found = changes_of(images)
    names = ["new", "cat", "dog", "cat, site=A", "site=A"]
    kinds = ["model", "class", "class", "slice", "slice"]

    assert [("density_share", name) for name in names] == list(found)
    assert kinds == [change.group_kind for change in found.values()]
    model = found["density_share", "new"]
    assert (2, 1, 1) == (model.n, model.only_baseline, model.only_candidate)
    assert (0.625, 0.25, -0.375) == (model.baseline, model.candidate, model.change)
    dog = found["density_share", "dog"]
    assert (0, 0, 1, None, None) == (dog.n, dog.only_baseline, dog.only_candidate, dog.change, dog.lower)
    assert {"inconclusive"} == {change.verdict for change in found.values()}


@pytest.mark.parametrize(
    ("moved", "verdict"), [(-0.5, "worse"), (0.15, "inconclusive"), (0.0, "same"), (0.4, "better")]
)
def test_a_lower_density_share_is_worse(moved: float, verdict: str) -> None:
    images = [make_pair(baseline=0.55, candidate=0.55 + moved)] * 90
    found = changes_of(images)

    assert {verdict} == {change.verdict for change in found.values()}
    change = found["density_share", "cat"]
    assert change.change == pytest.approx(moved)
    assert change.lower is not None
    assert change.upper is not None
    assert change.lower <= moved <= change.upper


@pytest.mark.parametrize(("moved", "verdict"), [(0.5, "worse"), (0.0, "same"), (-0.5, "better")])
def test_a_larger_swap_gap_is_worse(moved: float, verdict: str) -> None:
    found = changes_of([make_pair(gaps=(0.1, 0.1 + moved), donor_class="dog")] * 90)

    assert verdict == found["swap_gap", "cat"].verdict
    assert found["swap_gap", "cat"].change == pytest.approx(moved)
    assert "same" == found["density_share", "cat"].verdict


def test_a_measure_that_no_image_has_is_left_out() -> None:
    assert {"density_share"} == {measure for measure, _ in changes_of([make_pair()])}
    assert {} == changes_of([])


def test_evidence_is_that_of_the_gap_tally_and_a_models_is_the_average() -> None:
    images = [
        make_pair(candidate=value, class_name=name)
        for name, value in itertools.product(CLASSES, [0.1, 0.3, 0.7] * 20)
    ]
    images += [make_pair(candidate=0.8, class_name="dog")] * 60
    found = changes_of(images)
    tally = GapTally.zero()
    for _, value in itertools.product(range(20), [0.1, 0.3, 0.7]):
        tally.add_values("", 0.8 - value)
    each = [found["density_share", name].log10_e_worse for name in CLASSES]

    assert tally.log10_e(0.1) == pytest.approx(each[0])
    assert log10_mean_e([e for e in each if e is not None]) == pytest.approx(
        found["density_share", "new"].log10_e_worse
    )


def test_too_few_pairs_are_inconclusive_however_clear() -> None:
    images = [make_pair(baseline=1.0, candidate=0.0)] * 29

    assert "inconclusive" == only(images).verdict
    assert "worse" == only(images, min_images=29).verdict


def test_one_image_counts_for_at_most_one() -> None:
    change = changes_of([make_pair(gaps=(-0.9, 0.9))])["swap_gap", "cat"]

    assert (-0.9, 0.9, 1.0) == (
        pytest.approx(change.baseline),
        pytest.approx(change.candidate),
        change.change,
    )


def test_what_one_donor_class_brings_about_is_said_and_does_without_it() -> None:
    images = [
        make_pair(gaps=(0.0, 0.9 if donor == "e" else 0.0), donor_class=donor)
        for donor in "abcde"
        for _ in range(40)
    ]
    change = changes_of(images)["swap_gap", "cat"]

    assert ("same", "e", 0.0) == (change.verdict, change.without_donor, change.change)
    everywhere = [
        dataclasses.replace(image, candidate={**image.candidate, "swap_gap": 0.9}) for image in images
    ]
    assert "worse" == changes_of(everywhere)["swap_gap", "cat"].verdict


def test_a_cluster_counts_once_with_its_mean() -> None:
    """Thirty images of one patient are one observation, which proves nothing."""
    alone = [make_pair(baseline=0.5, candidate=0.5, donor_class="a", gaps=(0.0, 0.0))] * 30
    of_one = [make_pair(baseline=1.0, candidate=share, cluster="patient") for share in (0.0, 0.5) * 15]
    cat = only([*alone, *of_one])

    assert 60 == cat.n
    assert (16 / 31, 15.25 / 31, -0.75 / 31) == pytest.approx((cat.baseline, cat.candidate, cat.change))
    assert "inconclusive" == only(of_one).verdict
    every = [
        dataclasses.replace(image, cluster=str(number)) for number, image in enumerate([*alone, *of_one])
    ]
    assert only(dataclasses.replace(image, cluster=None) for image in every) == only(every)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=60), st.randoms())
def test_better_is_worse_seen_from_the_other_side_in_any_order(pairs, random) -> None:
    images = [make_pair(baseline=a, candidate=b) for a, b in pairs]
    mirrored = [make_pair(baseline=b, candidate=a) for a, b in pairs]
    random.shuffle(mirrored)
    one, other = only(images, min_images=1), only(mirrored, min_images=1)

    assert (one.log10_e_worse, one.log10_e_better) == pytest.approx(
        (other.log10_e_better, other.log10_e_worse)
    )
    assert one.change == pytest.approx(-other.change, abs=1e-9)
    mirror = {"worse": "better", "better": "worse"}
    assert mirror.get(one.verdict, one.verdict) == other.verdict


def resampled(times: int, *, margin: float, shift: float) -> list[set[str]]:
    """The verdicts of as many comparisons of resampled differences whose mean is `shift`."""
    random = np.random.default_rng(0)
    # Skewed, as density shares are: many small moves, a few deep falls.
    pool = random.beta(8, 1, 4000) - random.beta(8, 1, 4000)
    pool = np.where(random.random(4000) < 0.05, -0.6, pool)
    pool += shift - pool.mean()
    return [
        {
            change.verdict
            for change in compare(
                (
                    make_pair(baseline=0.5, candidate=0.5 + moved, class_name=name)
                    for name in CLASSES
                    for moved in random.choice(pool, 40)
                ),
                "new",
                margin=margin,
                fdr=0.1,
                min_images=30,
            )
        }
        for _ in range(times)
    ]


@pytest.mark.parametrize("margin", [0.0, 0.05])
def test_of_1000_null_comparisons_no_more_than_the_nominal_share_claims_a_change(margin: float) -> None:
    """At the edge of the margin every claim is false, and e-BH promises any in at most 10 % of all."""
    verdicts = resampled(1000, margin=margin, shift=-margin)

    assert sum("worse" in found for found in verdicts) <= 100
    assert sum("better" in found for found in verdicts) <= 100
    assert sum("same" in found for found in verdicts) <= 50


def test_what_is_twice_the_margin_worse_is_nearly_always_found() -> None:
    assert 45 <= sum("worse" in found for found in resampled(50, margin=0.1, shift=-0.3))
