"""Tallying, summarising and judging on a runner equal a direct loop, in any order."""

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing import test_pipeline as beam_testing
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from transforms.judge.company import pairs_of
from transforms.judge.judgement import conclude
from transforms.judge.modes import find_modes
from transforms.judge.settings import JudgeSettings
from transforms.judge.statistics import Tally
from transforms.judge.summaries import summarise
from transforms.judge.verdicts import judge_model
from transforms.judge.wiring import AddUp, CountCompany, JudgeModels, SampleHeat, SummarizeScores
from transforms.judge.wording import say_where
from transforms.records import Company, Group

from .builders import make_group, make_outside, make_score
from .strategies import contents, scores, tallies_of, tally_of
from .test_modes import scores_of, sightings_of

SETTINGS = JudgeSettings(min_images=5)
MODELS, METHODS, CLASSES, CAMERAS = ("m", "n"), ("gradcam", "hirescam"), ("cat", "dog"), ("A", "B")


def judged_by(method):
    """Every model is judged by that method at the builders' layer."""
    return dict.fromkeys((*MODELS, "empty"), ("last", method))


def combined(rows, random):
    """The rows through the CombineFn: random bundles, merged in random groups until one is left."""
    combine = AddUp(Tally.zero, Tally.add)
    accumulators = [combine.create_accumulator() for _ in range(random.randint(1, 6))]
    for row in rows:
        slot = random.randrange(len(accumulators))
        accumulators[slot] = combine.add_input(accumulators[slot], row)
    while len(accumulators) > 1:
        random.shuffle(accumulators)
        taken = random.randint(2, len(accumulators))
        accumulators = [combine.merge_accumulators(accumulators[:taken]), *accumulators[taken:]]
    return combine.extract_output(accumulators[0])


@given(st.lists(scores(), max_size=15), st.randoms(use_true_random=False))
def test_every_tree_of_merges_equals_one_pass(rows, random):
    assert contents(tally_of(rows)) == contents(combined(rows, random))


def test_merging_nothing_gives_the_empty_tally():
    assert contents(Tally.zero()) == contents(AddUp(Tally.zero, Tally.add).merge_accumulators([]))


@pytest.fixture(scope="module")
def rows():
    """Scores of two models, methods, classes and cameras; some lost, some of a predicted target."""
    random = np.random.default_rng(0)
    measured = [
        make_score(
            model=model,
            method=method,
            target_name=name,
            density_share=float(random.beta(2, 3)),
            correct=bool(random.random() < 0.8),
            slices={"camera": camera},
        )
        for model in MODELS
        for method in METHODS
        for name in CLASSES
        for camera in CAMERAS
        for _ in range(7)
    ]
    lost = [make_score(model="m", status=status) for status in ("zero_map", "no_box", "full_box")]
    return [*measured, *lost, make_score(target_rule="predicted", target_name="cow")]


SEEDS = [
    Group(model, method, "last", "model", None, None, None)
    for model in (*MODELS, "empty")
    for method in METHODS
]


@pytest.fixture(scope="module")
def tallies(rows):
    """What the direct loop makes of the rows, and of the groups that have none."""
    return {**{group: Tally.zero() for group in SEEDS}, **tallies_of(rows)}


def shuffled(items, seed):
    return [items[index] for index in np.random.default_rng(seed).permutation(len(items))]


@pytest.mark.parametrize("seed", [0, 1])
def test_summarize_scores_equals_a_direct_loop(rows, tallies, seed):
    assert len(tallies) == 2 * (2 * (1 + 2 + 2 + 4) + 1)
    expected = [(group, contents(tally)) for group, tally in tallies.items()]
    with beam_testing.TestPipeline(runner="FnApiRunner") as root:
        by_group = root | beam.Create(shuffled(rows, seed)) | SummarizeScores(SEEDS, judged_by("hirescam"))
        plain = by_group | beam.MapTuple(lambda group, tally: (group, contents(tally)))
        assert_that(plain, equal_to(expected))


@pytest.mark.parametrize("seed", [0, 1])
def test_judge_models_equals_a_direct_loop(tallies, seed):
    findings = [
        finding
        for model in (*MODELS, "empty")
        for finding in conclude(
            {g: t for g, t in tallies.items() if (g.model, g.method) == (model, "hirescam")},
            {},
            None,
            SETTINGS,
        ).findings
    ]
    assert len(findings) == 2 * (1 + 2 + 4) + 1
    assert {"suspect", "unsuspected", "insufficient"} >= {finding.verdict for finding in findings}
    with beam_testing.TestPipeline(runner="FnApiRunner") as root:
        by_group = root | beam.Create(shuffled(list(tallies.items()), seed))
        judged = by_group | JudgeModels(SETTINGS, judged_by("hirescam"))
        expected = [summarise(group, tally) for group, tally in tallies.items()]
        assert_that(judged["summaries"], equal_to(expected), "summaries")
        assert_that(judged["findings"], equal_to(findings), "findings")


def test_scores_become_findings_in_one_pipeline(rows, tallies):
    expected = [("empty", "empty", "insufficient")]
    for model in MODELS:
        of_model = {g: t for g, t in tallies.items() if (g.model, g.method) == (model, "gradcam")}
        expected += [
            (model, r.group_name, r.verdict) for r in conclude(of_model, {}, None, SETTINGS).findings
        ]
    with beam_testing.TestPipeline(runner="FnApiRunner") as root:
        by_group = root | beam.Create(rows) | SummarizeScores(SEEDS, judged_by("hirescam"))
        findings = (by_group | JudgeModels(SETTINGS, judged_by("gradcam")))["findings"]
        verdicts = findings | beam.Map(lambda row: (row.model, row.group_name, row.verdict))
        assert_that(verdicts, equal_to(expected))


def test_the_reference_model_is_judged_by_its_peers_and_the_others_by_it(rows, tallies):
    settings = JudgeSettings(min_images=5, reference_model="m")
    trusted = {
        str(group.class_name): tally.density_share
        for group, tally in tallies.items()
        if (group.model, group.method, group.kind) == ("m", "hirescam", "class") and tally.units >= 5
    }
    expected = []
    for model, reference in (("m", None), ("n", trusted), ("empty", trusted)):
        of_model = {g: t for g, t in tallies.items() if (g.model, g.method) == (model, "hirescam")}
        expected += conclude(of_model, {}, None, settings, None, reference).findings
    assert {"cat", "dog"} == set(trusted)
    assert trusted["cat"] in {finding.reference for finding in expected}
    with beam_testing.TestPipeline(runner="FnApiRunner") as root:
        by_group = root | beam.Create(list(tallies.items()))
        judged = by_group | JudgeModels(settings, judged_by("hirescam"))
        assert_that(judged["findings"], equal_to(expected))


def test_slices_over_all_classes_have_a_summary_and_no_finding(tallies):
    of_all = make_group(kind="slice", class_name=None, slice_key="camera", slice_value="A")
    assert of_all in tallies
    with beam_testing.TestPipeline(runner="FnApiRunner") as root:
        judged = root | beam.Create(list(tallies.items())) | JudgeModels(SETTINGS, judged_by("hirescam"))
        kept = (
            judged["findings"]
            | beam.Filter(lambda row: row.class_name is None)
            | beam.Map(lambda row: row.group_kind)
        )
        assert_that(kept, equal_to(["model"] * 3))


def test_where_is_said_in_the_pipeline_as_in_a_direct_loop():
    random = np.random.default_rng(0)
    rows = []
    for model in MODELS:
        for name in "abcdefg":
            for camera in CAMERAS * 10:
                cells = {
                    (int(random.integers(16)), int(random.integers(16))): 0.2,
                    (15, 0): 0.5 * (name == "a"),
                }
                together = [Company("b", float(random.uniform(0, 0.5)), 0.05)] if name == "a" else []
                outside = make_outside(cells=cells, company=together)
                share = 0.3 if name == "a" else 0.9
                rows.append(
                    make_score(
                        model=model,
                        target_name=name,
                        density_share=share,
                        slices={"camera": camera},
                        outside=outside,
                    )
                )
    rows += [make_score(method="gradcam", outside=row.outside, target_name="b") for row in rows[:5]]
    tallies, company = tallies_of(rows), {}
    for row in rows:
        for pair, numbers in pairs_of(row):
            if row.method == "hirescam":
                company[pair] = company.get(pair, 0) + numbers
    expected = []
    for model in MODELS:
        of_model = {g: t for g, t in tallies.items() if (g.model, g.method) == (model, "hirescam")}
        of_pairs = {pair: numbers for pair, numbers in company.items() if pair[0].model == model}
        expected += say_where(judge_model(of_model, SETTINGS), of_model, of_pairs, SETTINGS)
    assert {("bottom_left", "b")} == {
        (row.region, row.co_occurring_class) for row in expected if row.group_name == "a"
    }
    with beam_testing.TestPipeline(runner="FnApiRunner") as root:
        scored = root | beam.Create(shuffled(rows, 1))
        counted = scored | CountCompany(judged_by("hirescam"))
        judged = (
            scored
            | SummarizeScores([], judged_by("hirescam"))
            | JudgeModels(SETTINGS, judged_by("hirescam"), counted)
        )
        assert_that(judged["findings"], equal_to(expected))


@pytest.mark.parametrize("seed", [0, 1])
def test_modes_in_the_pipeline_are_those_of_a_direct_loop(seed):
    rows = [
        row
        for name, marked in zip("abc", (0.2, 0.0, 0.0), strict=True)
        for row in scores_of(name, marked=marked)
    ]
    settings = JudgeSettings()
    expected = sightings_of(rows)
    modes = find_modes(expected, settings)
    assert ["a, mode=bottom_left"] == [row.group_name for row in modes]
    unjudged = [make_score(method="gradcam", outside=rows[0].outside), make_score(target_rule="predicted")]
    with beam_testing.TestPipeline(runner="FnApiRunner") as root:
        scored = root | beam.Create(shuffled([*rows, *unjudged], seed))
        sampled = scored | SampleHeat(judged_by("hirescam"))
        plain = sampled | beam.MapTuple(lambda group, sightings: (group, sightings.kept))
        assert_that(plain, equal_to([(group, of.kept) for group, of in expected.items()]), "sampled")
        tallies = scored | SummarizeScores([], judged_by("hirescam"))
        judged = tallies | JudgeModels(settings, judged_by("hirescam"), sightings=sampled)
        found = judged["findings"] | beam.Filter(lambda row: row.slice_key == "mode")
        assert_that(found, equal_to(modes), "modes")


def test_computed_slices_are_counted_for_judged_heatmaps_and_kept_where_there_are_enough():
    rows = [
        make_score(method=method, target_name=name, slices={"image.blur": value, "camera": "A"})
        for method in METHODS
        for name in CLASSES
        for value, count in (("sharp", 7), ("blurred", 4))
        for _ in range(count)
    ]
    with beam_testing.TestPipeline(runner="FnApiRunner") as root:
        tallies = root | beam.Create(rows) | SummarizeScores([], judged_by("hirescam"))
        judged = tallies | JudgeModels(SETTINGS, judged_by("hirescam"))
        kept = (
            judged["summaries"]
            | beam.Filter(lambda row: row.slice_key == "image.blur")
            | beam.Map(lambda row: (row.method, row.class_name, row.slice_value, row.rows))
        )
        expected = [("hirescam", None, "blurred", 8), ("hirescam", None, "sharp", 14)]
        expected += [("hirescam", name, "sharp", 7) for name in CLASSES]
        assert_that(kept, equal_to(expected), "summaries")
        # Of seven against four nothing is tested, and nobody asked.
        asked = (
            judged["findings"]
            | beam.Filter(lambda row: row.group_kind == "slice")
            | beam.Map(lambda row: row.slice_key)
        )
        assert_that(asked, equal_to(["camera"] * len(CLASSES)), "findings")
