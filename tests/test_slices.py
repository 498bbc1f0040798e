"""Slices within a class: what is flagged needs two arms, a small p-value, a large effect and BH."""

import numpy as np
import pytest

from transforms.judge.settings import JudgeSettings
from transforms.judge.slices import MAX_P_VALUE, MIN_COHENS_D, judge_slices
from transforms.judge.statistics import welch
from transforms.judge.verdicts import judge_model

from .builders import make_group, make_score
from .strategies import tallies_of, tally_of

SETTINGS = JudgeSettings()


def camera(value, class_name="cat"):
    return make_group(kind="slice", class_name=class_name, slice_key="camera", slice_value=value)


def mixture(low, high):
    """The tally of `low` images of 0.25 and `high` images of 0.75."""
    return tally_of([make_score(density_share=0.25)] * low + [make_score(density_share=0.75)] * high)


def judged(part, rest, settings=SETTINGS):
    """Verdict and message on a slice, the only one of its class."""
    [(_, verdict, message, _)] = judge_slices({camera("A"): part}, {"cat": part + rest}, settings)
    return verdict, message


def test_a_large_and_certain_difference_is_suspect():
    verdict, message = judged(mixture(46, 14), mixture(100, 100))
    assert verdict == "suspect"
    expected = "mean density share 0.37 against 0.50 in the rest of the class; Cohen's d 0.57, p = 4e-05"
    assert expected == message


def test_a_slice_that_looks_more_at_the_object_is_no_suspect():
    assert judged(mixture(14, 46), mixture(100, 100))[0] == "unsuspected"


def test_a_certain_but_small_difference_is_no_suspect():
    part, rest = mixture(44, 16), mixture(100, 100)
    p_value, effect = welch(part, rest)
    assert p_value < MAX_P_VALUE
    assert 0 < effect < MIN_COHENS_D
    assert judged(part, rest)[0] == "unsuspected"


def test_a_large_but_uncertain_difference_is_no_suspect():
    part, rest = mixture(23, 7), mixture(15, 15)
    p_value, effect = welch(part, rest)
    assert MAX_P_VALUE < p_value < SETTINGS.fdr
    assert effect > MIN_COHENS_D
    assert judged(part, rest)[0] == "unsuspected"


def test_among_many_slices_one_difference_must_be_more_certain():
    part, rest = mixture(49, 11), mixture(20, 20)
    p_value, effect = welch(part, rest)
    assert SETTINGS.fdr / 201 < p_value < MAX_P_VALUE
    assert effect > MIN_COHENS_D
    assert judged(part, rest)[0] == "suspect"
    dull = {camera(str(number)): mixture(34, 16) for number in range(200)}
    verdicts = judge_slices({camera("A"): part, **dull}, {"cat": part + rest}, SETTINGS)
    assert {"unsuspected"} == {verdict for _, verdict, _, _ in verdicts}


def test_slices_that_are_not_tested_do_not_count_as_tests():
    part, rest = mixture(49, 11), mixture(20, 20)
    small = {camera(str(number)): mixture(20, 9) for number in range(200)}
    verdicts = judge_slices({camera("A"): part, **small}, {"cat": part + rest}, SETTINGS)
    assert ["suspect"] + ["insufficient"] * 200 == [verdict for _, verdict, _, _ in verdicts]


@pytest.mark.parametrize(
    ("inside", "outside", "message"),
    [
        (29, 71, "29 measured images against 71 in the rest of the class, 30 are needed on either side"),
        (71, 29, "71 measured images against 29 in the rest of the class, 30 are needed on either side"),
        (50, 0, "50 measured images against 0 in the rest of the class, 30 are needed on either side"),
    ],
)
def test_both_arms_are_needed(inside, outside, message):
    assert ("insufficient", message) == judged(mixture(inside, 0), mixture(0, outside))


def test_thirty_on_either_side_are_enough():
    assert judged(mixture(30, 0), mixture(0, 30))[0] == "suspect"


def test_images_that_were_not_measured_are_in_no_arm():
    part = mixture(29, 0) + tally_of([make_score(status="zero_map")] * 5)
    assert judged(part, mixture(0, 40))[0] == "insufficient"


def test_a_slice_is_compared_with_the_rest_of_its_own_class():
    low, high = mixture(60, 0), mixture(0, 60)
    slices = {camera("A", "cat"): low, camera("A", "dog"): high}
    # Every cat is low and every dog is high: the camera explains nothing.
    classes = {"cat": low + low, "dog": high + high}
    assert ["unsuspected", "unsuspected"] == [v for _, v, _, _ in judge_slices(slices, classes, SETTINGS)]


def test_slices_come_in_the_order_given_with_what_was_found():
    slices = {camera("B"): mixture(40, 0), camera("A"): mixture(0, 20)}
    rows = list(judge_slices(slices, {"cat": mixture(60, 60)}, SETTINGS))
    assert list(slices) == [group for group, _, _, _ in rows]
    part, rest = mixture(40, 0), mixture(20, 60)
    assert [dict(zip(("p_value", "cohens_d"), welch(part, rest), strict=True)), {}] == [
        found for *_, found in rows
    ]


def test_a_planted_slice_is_found_and_random_slices_are_not():
    random = np.random.default_rng(0)
    rows = []
    for name in ("cat", "dog"):
        for _ in range(200):
            biased = bool(random.random() < 0.3)
            share = random.beta(2, 5) if biased and name == "cat" else random.beta(5, 2)
            slices = {"overlay": str(biased), "site": random.choice(["north", "south"])}
            rows.append(make_score(target_name=name, density_share=float(share), slices=slices))
    findings = [row for row in judge_model(tallies_of(rows), SETTINGS) if row.group_kind == "slice"]
    assert len(findings) == 8
    assert ["cat, overlay=True"] == [row.group_name for row in findings if row.verdict == "suspect"]
    assert {"suspect", "unsuspected"} == {row.verdict for row in findings}


def test_random_slices_are_flagged_less_often_than_one_in_a_thousand():
    random = np.random.default_rng(1)
    flagged = []
    for _ in range(20):
        whole = tally_of(make_score(density_share=float(share)) for share in random.beta(4, 2, 80))
        parts = {
            camera(str(number)): tally_of(
                make_score(density_share=float(share)) for share in random.beta(4, 2, 40)
            )
            for number in range(50)
        }
        for group, part in parts.items():
            verdicts = judge_slices({group: part}, {"cat": whole + part}, SETTINGS)
            flagged += [verdict == "suspect" for _, verdict, _, _ in verdicts]
    assert len(flagged) == 1000
    assert sum(flagged) <= 1


def blur(value, class_name="cat"):
    return make_group(kind="slice", class_name=class_name, slice_key="image.blur", slice_value=value)


def test_computed_slices_do_not_dilute_the_users_own():
    part, rest = mixture(49, 11), mixture(20, 20)
    many = {blur(str(number)): mixture(34, 16) for number in range(200)}
    verdicts = [v for _, v, _, _ in judge_slices({camera("A"): part, **many}, {"cat": part + rest}, SETTINGS)]
    assert ["suspect"] + ["unsuspected"] * 200 == verdicts
    dull = {camera(str(number)): mixture(34, 16) for number in range(200)}
    verdicts = [
        v for _, v, _, _ in judge_slices({blur("dark"): part, **dull}, {"cat": part + rest}, SETTINGS)
    ]
    assert ["suspect"] + ["unsuspected"] * 200 == verdicts


def test_a_computed_slice_that_cannot_be_tested_has_no_row():
    slices = {blur("sharp"): mixture(29, 0), camera("A"): mixture(29, 0)}
    rows = list(judge_slices(slices, {"cat": mixture(100, 0)}, SETTINGS))
    assert [camera("A")] == [group for group, *_ in rows]


@pytest.mark.parametrize(("share", "verdict"), [(0.90, "suspect"), (0.92, "unsuspected")])
def test_a_computed_slice_must_look_away_by_what_matters(share, verdict):
    part = tally_of([make_score(density_share=share)] * 40)
    rest = tally_of([make_score(density_share=0.96)] * 40)
    found = {
        group.slice_key: found
        for group, found, _, _ in judge_slices(
            {blur("sharp"): part, camera("A"): part}, {"cat": part + rest}, SETTINGS
        )
    }
    assert {"image.blur": verdict, "camera": "suspect"} == found
