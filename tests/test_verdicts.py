"""From tallies to findings: every boundary of a verdict, and its words."""

import dataclasses
import math

import numpy as np
import pytest

from transforms.judge.groups import group_name
from transforms.judge.settings import JudgeSettings
from transforms.judge.statistics import Tally, e_benjamini_hochberg, log10_e_below, log10_mean_e
from transforms.judge.verdicts import finding, judge_model

from .builders import make_group, make_score
from .strategies import tallies_of, tally_of

SETTINGS = JudgeSettings()
SIX = {f"peer {number}": [0.75] * 36 for number in range(6)}


def judged(classes, settings=SETTINGS, lost=()):
    """Findings by name, of a model `m` whose classes have these density shares and `lost` statuses each."""
    rows = [make_score(target_name=name, density_share=v) for name, values in classes.items() for v in values]
    rows += [make_score(target_name=name, status=status) for name in classes for status in lost]
    return {row.group_name: row for row in judge_model(tallies_of(rows), settings)}


def verdicts(findings):
    return {name: row.verdict for name, row in findings.items()}


def test_a_class_far_below_its_peers_is_suspect_and_they_are_not():
    findings = judged({"cat": [0.25] * 36, **SIX})
    assert {"m": "suspect", "cat": "suspect", **dict.fromkeys(SIX, "unsuspected")} == verdicts(findings)
    assert (
        "mean density share 0.25, 0.50 below the median 0.75 of its peer classes; e = 10^10.2"
        == findings["cat"].message
    )
    assert "1 of 7 judged classes suspect: cat" == findings["m"].message
    assert (36, 0.25, 0.75) == (
        findings["cat"].n,
        findings["cat"].density_share,
        findings["cat"].peers_median,
    )


def test_the_reference_is_the_median_of_the_peers_minus_the_margin():
    findings = judged({"cat": [0.25] * 36, **SIX}, JudgeSettings(suspect_margin=0.2))
    expected = log10_e_below(tally_of([make_score(density_share=0.25)] * 36).histogram, 0.75 - 0.2)
    assert expected == pytest.approx(findings["cat"].log10_e_suspect, abs=1e-12)


def test_a_class_is_not_its_own_peer():
    shares = dict(zip("abcdef", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), strict=True))
    findings = judged({name: [share] * 30 for name, share in shares.items()})
    assert pytest.approx(findings["a"].peers_median, abs=1e-9) == 0.4
    assert pytest.approx(findings["f"].peers_median, abs=1e-9) == 0.3


def test_with_five_classes_there_are_four_peers_and_the_reference_is_chance_without_a_margin():
    findings = judged({"cat": [0.25] * 36, **{f"peer {n}": [0.75] * 36 for n in range(4)}})
    assert findings["cat"].verdict == "suspect"
    expected = "mean density share 0.25, against 0.5, chance, for want of 5 peer classes; e = 10^4.8"
    assert expected == findings["cat"].message
    assert {None} == {row.peers_median for row in findings.values()}
    expected = log10_e_below(tally_of([make_score(density_share=0.25)] * 36).histogram, 0.5)
    assert expected == findings["cat"].log10_e_suspect


def test_with_six_classes_each_has_five_peers():
    findings = judged({"cat": [0.25] * 36, **{f"peer {n}": [0.75] * 36 for n in range(5)}})
    assert findings["cat"].peers_median == 0.75


def test_a_class_of_the_reference_model_takes_the_place_of_the_peers():
    rows = [make_score(target_name=name, density_share=0.5) for name in ("cat", "dog") for _ in range(60)]
    settings = JudgeSettings(reference_model="trusted")
    found = {r.group_name: r for r in judge_model(tallies_of(rows), settings, None, {"cat": 0.8125})}

    assert ("suspect", 0.8125, None) == (
        found["cat"].verdict,
        found["cat"].reference,
        found["cat"].peers_median,
    )
    assert found["cat"].message.startswith("mean density share 0.50, 0.31 below the 0.81 of trusted; e = 10^")
    # What the reference model has too few images of is judged without it.
    assert ("unsuspected", 0.5) == (found["dog"].verdict, found["dog"].reference)


def test_classes_with_too_few_images_are_no_peers():
    small = {f"small {n}": [0.75] * 29 for n in range(9)}
    findings = judged({"cat": [0.25] * 36, **small, **{f"peer {n}": [0.75] * 36 for n in range(4)}})
    assert findings["cat"].peers_median is None
    assert "1 of 5 judged classes suspect: cat; 9 insufficient" == findings["m"].message


def test_one_image_too_few_is_insufficient_whatever_the_images_show():
    findings = judged({"cat": [0.0] * 29}, lost=["zero_map", "no_box", "zero_map"])
    assert "29 measured images (2 zero_map, 1 no_box), 30 are needed" == findings["cat"].message
    assert ("insufficient", 29, None) == (
        findings["cat"].verdict,
        findings["cat"].n,
        findings["cat"].log10_e_suspect,
    )
    assert ("insufficient", "none of its 1 classes could be judged") == (
        findings["m"].verdict,
        findings["m"].message,
    )


def test_every_lost_status_is_named():
    findings = judged({"cat": []}, lost=["zero_map", "not_finite", "no_box", "full_box"])
    expected = "0 measured images (1 zero_map, 1 not_finite, 1 no_box, 1 full_box), 30 are needed"
    assert expected == findings["cat"].message


def test_without_lost_images_none_are_named():
    assert "1 measured images, 30 are needed" == judged({"cat": [0.5]})["cat"].message


def test_just_enough_images_are_judged():
    assert judged({"cat": [0.0] * 30})["cat"].verdict == "suspect"
    assert judged({"cat": [0.0] * 10}, JudgeSettings(min_images=10))["cat"].verdict == "suspect"


def test_a_model_without_any_score_is_insufficient():
    model = make_group(kind="model", class_name=None)
    [row] = judge_model({model: Tally.zero()}, SETTINGS)
    assert ("m", "insufficient", 0, "none of its 0 classes could be judged") == (
        row.group_name,
        row.verdict,
        row.n,
        row.message,
    )


def test_a_model_is_suspect_from_an_average_e_value_of_twenty():
    # 30 images of 0.4 against chance: e = 17.8, enough for a single class (1 / 0.1), not for the model.
    below = judged({"cat": [0.4] * 30})
    assert 1 <= below["m"].log10_e_suspect < math.log10(20)
    assert {"m": "unsuspected", "cat": "suspect"} == verdicts(below)
    above = judged({"cat": [0.375] * 30})
    assert math.log10(20) <= above["m"].log10_e_suspect < 2
    assert {"m": "suspect", "cat": "suspect"} == verdicts(above)


def test_the_evidence_against_a_model_is_the_average_over_its_judged_classes():
    findings = judged({"cat": [0.4] * 30, "dog": [0.75] * 30, "cow": [0.1] * 29})
    e_values = [findings[name].log10_e_suspect for name in ("cat", "dog")]
    assert log10_mean_e(e_values) == findings["m"].log10_e_suspect


def test_classes_are_flagged_together():
    # e = 17.8 holds alone, where 1 / 0.1 is asked; among three classes the largest needs 3 / 0.1.
    findings = judged({"cat": [0.4] * 30, "cow": [0.75] * 30, "dog": [0.75] * 30})
    assert {"unsuspected"} == set(verdicts(findings).values())
    assert "0 of 3 judged classes suspect" == findings["m"].message


def test_a_model_names_its_first_five_suspects():
    low = {f"low {number}": [0.1] * 36 for number in range(6)}
    high = {f"peer {number}": [0.9] * 36 for number in range(8)}
    expected = "6 of 14 judged classes suspect: low 0, low 1, low 2, low 3, low 4, ..."
    assert expected == judged({**low, **high})["m"].message


def test_where_the_peers_see_nothing_nobody_can_be_below_them():
    findings = judged({f"class {number}": [0.0] * 36 for number in range(6)})
    assert {"unsuspected"} == set(verdicts(findings).values())
    expected = "mean density share 0.00, 0.00 above the median 0.00 of its peer classes; e = 10^0.0"
    assert expected == findings["class 0"].message


def test_without_a_margin_perfect_peers_are_a_reference_too():
    perfect = {f"peer {number}": [1.0] * 36 for number in range(6)}
    findings = judged({"cat": [0.25] * 36, **perfect}, JudgeSettings(suspect_margin=0.0))
    assert {"m": "suspect", "cat": "suspect", **dict.fromkeys(perfect, "unsuspected")} == verdicts(findings)


def test_a_finding_id_is_the_same_in_every_run():
    tally = tally_of([make_score()] * 3)
    assert "2e96fedeae692653" == finding(make_group(), tally, "insufficient", "few").finding_id
    assert "2e96fedeae692653" == finding(make_group(), Tally.zero(), "suspect", "many").finding_id
    assert "2e96fedeae692653" == judged({"cat": [0.25] * 36, **SIX})["cat"].finding_id


def test_finding_ids_differ_between_models_kinds_classes_and_slices():
    groups = [
        make_group(),
        make_group(model="n"),
        make_group(class_name="dog"),
        make_group(kind="model", class_name=None),
        make_group(kind="slice", slice_key="camera", slice_value="A"),
        make_group(kind="slice", slice_key="camera", slice_value="B"),
        make_group(kind="slice", slice_key="site", slice_value="A"),
        make_group(kind="slice", class_name=None, slice_key="camera", slice_value="A"),
    ]
    ids = {finding(group, Tally.zero(), "insufficient", "").finding_id for group in groups}
    assert len(groups) == len(ids)


def test_every_model_class_and_slice_of_a_class_gets_exactly_one_finding():
    rows = [
        make_score(target_name=name, slices={"camera": camera, "site": "north"})
        for name in ("cat", "dog")
        for camera in "AB"
    ]
    tallies = tallies_of([*rows, make_score(target_name=None), make_score(target_rule="predicted")])
    expected = [
        *["m", "cat", "dog"],
        *["cat, camera=A", "cat, camera=B", "cat, site=north"],
        *["dog, camera=A", "dog, camera=B", "dog, site=north"],
    ]
    assert expected == [row.group_name for row in judge_model(tallies, SETTINGS)]
    slices_of_all = {"camera=A", "camera=B", "site=north"}
    assert {*expected, *slices_of_all} == {group_name(group) for group in tallies}


def test_findings_do_not_depend_on_the_order_of_the_tallies():
    random = np.random.default_rng(0)
    rows = [
        make_score(target_name=name, density_share=float(share), slices={"camera": "AB"[number % 2]})
        for name in "abcdefg"
        for number, share in enumerate(random.uniform(0, 1, 61))
    ]
    items = list(tallies_of(rows).items())
    expected = judge_model(dict(items), SETTINGS)
    assert len(expected) == 1 + 7 + 14
    for _ in range(20):
        random.shuffle(items)
        assert expected == judge_model(dict(items), SETTINGS)


def test_what_this_version_does_not_compute_is_none():
    row = dataclasses.asdict(judged({"cat": [0.25] * 36, **SIX})["cat"])
    missing = {name for name, value in row.items() if value is None}
    assert missing == {
        *["slice_key", "slice_value", "log10_e_confirmed", "swap_gap", "swap_gap_lower", "swap_gap_upper"],
        *["residual", "region", "region_share", "co_occurring_class", "exemplars", "exemplar_details"],
        *["detectable_gap", "p_value", "cohens_d"],
    }


def test_at_most_a_tenth_of_models_without_bias_has_a_flag():
    # 250 models of 4 classes at chance: with nothing to find, every flag is false.
    samples = np.random.default_rng(0).beta(2, 2, (250, 4, 40))
    histograms = np.apply_along_axis(lambda v: np.histogram(v, bins=256, range=(0, 1))[0], 2, samples)
    evidence = [[log10_e_below(of_class, 0.5) for of_class in of_model] for of_model in histograms]
    assert np.mean([any(e_benjamini_hochberg(of_model, 0.1)) for of_model in evidence]) <= 0.1
    assert np.mean(np.array(evidence) >= math.log10(20)) <= 0.05
    assert np.mean(np.array(evidence) >= 1) <= 0.1
    assert np.mean([log10_mean_e(of_model) >= math.log10(20) for of_model in evidence]) <= 0.05
