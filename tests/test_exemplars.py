"""Which images a finding shows: by hand, by brute force, and on a runner."""

import dataclasses
import random

import apache_beam as beam
import numpy as np
from apache_beam.testing import test_pipeline as beam_testing
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from transforms.exemplars import Exemplar, Showing
from transforms.records import Box, Finding, Scene, Score
from transforms.write.exemplars import (
    MOST_PICTURED,
    MOST_UNFLAGGED,
    Wanted,
    candidates_of,
    choose_findings,
    conclude_choice,
    merge,
    rank_findings,
    swap_candidates_of,
    with_exemplars,
)
from transforms.write.wiring import AddExemplars, ChooseExemplars

from .builders import make_score, make_swap

CAT = {("m", "cat", None, None): Wanted("cats", False, 0.5)}


def finding(name="cat", verdict="suspect", *, share=0.5, kind="class", model="m", **changes):
    empty = {field.name: None for field in dataclasses.fields(Finding)}
    known = {"model": model, "group_kind": kind, "group_name": name, "class_name": name, "verdict": verdict}
    return Finding(
        **{**empty, "finding_id": name, "n": 40, "message": "", "density_share": share, **known, **changes}
    )


def score(name, share, *, correct=True, gap=None, **changes):
    boxes = [Box("cat", -2.0, 2.0, 4.0, 8.0)]
    return dataclasses.replace(
        make_score(example_id=name, density_share=share, correct=correct, **changes),
        scene=Scene(16, 8, [0.0, 0.0, 16.0, 8.0], boxes, []),
        swap_gap=gap,
    )


def together(scores, count, wanted=CAT):
    """The candidates of these scores, merged."""
    candidates = [found for row in scores for _, found in candidates_of(row, wanted)]
    return merge([{role: [(key, shown)]} for role, key, shown in candidates], count)


def chosen(scores, count, wanted=CAT):
    """Role -> ids of what a finding shows of these scores."""
    shown = conclude_choice(together(scores, count, wanted), count)
    roles = dict.fromkeys(exemplar.role for exemplar in shown)
    return {role: [exemplar.example_id for exemplar in shown if exemplar.role == role] for role in roles}


def test_convicted_before_suspected_and_strong_before_weak_evidence():
    rows = [
        finding("unsure", "insufficient", share=0.1),
        finding("weak", "suspect", log10_e_suspect=2.0),
        finding("strong", "suspect", log10_e_suspect=9.0),
        finding("colour", "hidden", log10_e_confirmed=5.0),
        finding("tag", "confirmed", log10_e_confirmed=3.0, log10_e_suspect=1.0),
        finding("fine", "clear", share=0.9),
    ]
    ranked = rank_findings([vars(row) for row in rows])

    assert ["tag", "colour", "strong", "weak", "unsure", "fine"] == [row["group_name"] for row in ranked]


def test_every_flag_has_pictures_and_the_next_classes_of_each_model():
    flags = [
        finding("tag", "confirmed"),
        finding("tag (camera=A)", "suspect", kind="slice", slice_key="camera"),
    ]
    others = [
        finding(f"{model}{number}", "clear", share=0.5 + number / 100, model=model)
        for model in "mn"
        for number in range(MOST_UNFLAGGED + 2)
    ]
    unmeasured = finding("lost", "insufficient", share=None)
    found = choose_findings([*others, unmeasured, *flags, finding("m", "confirmed", kind="model")])
    next_in_rank = [f"{model}{number}" for number in range(MOST_UNFLAGGED) for model in "mn"]

    assert ["tag", "tag (camera=A)", *next_in_rank] == [wanted.finding_id for wanted in found.values()]


def test_pictures_are_bounded_however_much_is_flagged():
    found = choose_findings([finding(f"{number:03}", "suspect", share=number / 300) for number in range(200)])

    assert [f"{number:03}" for number in range(MOST_PICTURED)] == [one.finding_id for one in found.values()]


def test_worst_typical_and_innocent_by_hand():
    scores = [
        score("a", 0.1),
        score("b", 0.2),
        score("c", 0.48),
        score("d", 0.55),
        score("e", 0.8),
        score("f", 0.9),
    ]

    assert {"worst": ["a"], "typical": ["c"], "innocent": ["f"]} == chosen(scores, 1)
    assert {"worst": ["a", "b"], "typical": ["c", "d"], "innocent": ["f", "e"]} == chosen(scores, 2)


def test_a_wrong_answer_comes_after_every_right_one():
    scores = [score("wrong", 0.0, correct=False), score("right", 0.3), score("good", 0.9)]

    assert {"worst": ["right"], "typical": ["wrong"], "innocent": ["good"]} == chosen(scores, 1)


def test_an_image_has_one_role_and_few_images_make_few_pictures():
    assert {"worst": ["a"]} == chosen([score("a", 0.5)], 2)
    assert {"worst": ["a"], "innocent": ["b"]} == chosen([score("b", 0.5), score("a", 0.5)], 1)


def test_a_hidden_class_shows_its_largest_swap_gaps():
    wanted = {("m", "cat", None, None): Wanted("cats", True, -0.4)}
    scores = [score("a", 0.9, gap=0.9), score("b", 0.1, gap=0.0), score("c", 0.5, gap=0.45), score("d", 0.0)]

    assert {"worst": ["a"], "typical": ["c"], "innocent": ["b"]} == chosen(scores, 1, wanted)


def test_a_slice_shows_its_own_images():
    wanted = {("m", "cat", "camera", "A"): Wanted("slice", False, 0.5)}
    scores = [score("a", 0.1, slices={"camera": "B"}), score("b", 0.2, slices={"camera": "A"})]

    assert {"worst": ["b"]} == chosen(scores, 2, wanted)


def test_what_is_shown_of_an_image():
    heatmap = np.float32([1.0, 0.0]).tobytes()
    row = dataclasses.replace(score("a", 0.25), heatmap=heatmap, map_height=1, map_width=2)
    ((_, (_, key, (shown,))), *_) = candidates_of(row, CAT)

    assert (False, 0.25, "a") == key
    assert Exemplar("", "a", None, None, "cat", 0.5, 0.25, [0.0, 0.25, 0.25, 1.0], 1, 2, [1.0, 0.0]) == shown


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from([0.0, 0.2, 0.5, 0.6, 1.0]), st.booleans()), max_size=20
    ),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)
def test_any_tree_of_merges_chooses_what_sorting_everything_does(images, count, draw):
    unique = {number: (share, right) for number, share, right in images}
    scores = [score(f"{number:02}", share, correct=right) for number, (share, right) in unique.items()]
    expected = {}
    taken = set()
    for role, by in (("worst", lambda s: s), ("innocent", lambda s: -s), ("typical", lambda s: abs(s - 0.5))):
        ordered = sorted(scores, key=lambda row: (not row.correct, by(row.density_share), row.example_id))
        ids = [row.example_id for row in ordered if row.example_id not in taken][:count]
        taken.update(ids)
        if ids:
            expected[role] = ids
    draw.shuffle(scores)
    halves = [scores[: len(scores) // 2], scores[len(scores) // 2 :]]
    merged = merge(
        (
            merge(
                ({role: [(key, shown)]} for row in half for _, (role, key, shown) in candidates_of(row, CAT)),
                count,
            )
            for half in halves
        ),
        count,
    )
    shown = conclude_choice(merged, count)

    assert expected == {role: [e.example_id for e in shown if e.role == role] for role in expected}


def test_the_swap_with_the_largest_gap_is_shown_three_times():
    swaps = [
        make_swap(example_id=name, gap=gap, other=0.1) for name, gap in (("a", 0.1), ("c", 0.4), ("b", 0.4))
    ]
    candidates = [found for swap in swaps for _, found in swap_candidates_of(swap, CAT)]
    shown = conclude_choice(merge([{role: [(key, pair)]} for role, key, pair in candidates], 1), 1)

    assert [
        ("same_background", "b", "same.png", "cat", 0.5),
        ("other_background", "b", "other.png", "dog", 0.1),
        ("removed", "b", None, None, 0.5),
    ] == [(e.role, e.example_id, e.background_id, e.background_class, e.probability) for e in shown]


def test_a_slice_shows_its_own_swap():
    wanted = {("m", "cat", "camera", "A"): Wanted("slice", False, 0.5)}
    swaps = [make_swap(slices={"camera": camera}) for camera in "AB"]

    assert ["slice"] == [found for swap in swaps for found, _ in swap_candidates_of(swap, wanted)]


def test_swaps_of_other_classes_are_not_shown():
    assert [] == list(swap_candidates_of(make_swap(class_name="dog"), CAT))


def test_a_finding_without_images_stays_as_it_was():
    assert finding() == with_exemplars(finding(), None, {})


def test_pictures_stand_beside_what_is_known_of_them():
    shown = conclude_choice(
        merge([{"worst": [((0,), [make_shown("a")])], "typical": [((0,), [make_shown("b")])]}], 1), 1
    )
    showing = Showing("cat", "m", "cat", shown)

    found = with_exemplars(finding(), showing, {1: b"jpeg"})
    assert ([b"", b"jpeg"], shown) == (found.exemplars, found.exemplar_details)
    without = with_exemplars(finding(), showing, None)
    assert (None, shown) == (without.exemplars, without.exemplar_details)


def make_shown(name):
    return Exemplar("", name, None, None, "cat", 0.5, 0.5, [], 1, 1, [1.0])


def test_on_a_runner_findings_get_their_images_in_any_order():
    scores = [score(f"{number:02}", number / 20) for number in range(20)]
    scores += [score("elsewhere", 0.0, method="gradcam"), score("other", 0.0, model="n")]
    random.Random(0).shuffle(scores)
    findings = [finding("cat"), finding("dog", "clear")]
    expected = chosen([row for row in scores if (row.model, row.method) == ("m", "hirescam")], 2)

    with beam_testing.TestPipeline(runner="FnApiRunner") as root:
        tables = {
            "findings": root | "f" >> beam.Create(findings).with_output_types(Finding),
            "scores": root | "s" >> beam.Create(scores).with_output_types(Score),
            "swaps": root | "w" >> beam.Create([make_swap(gap=0.5)]),
        }
        judged = {"m": ("last", "hirescam"), "n": ("last", "none")}
        showings = tables | "Choose" >> ChooseExemplars(2, judged)
        pictures = root | "p" >> beam.Create([(("cat", 0), b"jpeg")])
        parts = {"findings": tables["findings"], "showings": showings, "pictures": pictures}
        found = parts | "AddTo" >> AddExemplars()
        summary = found | beam.Map(
            lambda row: (
                row.group_name,
                row.exemplars and [row.exemplars[0], len(row.exemplars)],
                [(e.role, e.example_id) for e in row.exemplar_details or []],
            )
        )
        swapped = [(role, "a.png") for role in ("same_background", "other_background", "removed")]
        of_cat = [(role, name) for role, names in expected.items() for name in names] + swapped
        assert_that(summary, equal_to([("cat", [b"jpeg", 9], of_cat), ("dog", None, [])]))
