"""Where a class looks, in columns and words; and the other classes that draw its heat."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.judge.company import name_companion, pairs_of
from transforms.judge.heat import PLACES, Heat
from transforms.judge.places import Place
from transforms.judge.settings import JudgeSettings
from transforms.judge.verdicts import judge_model
from transforms.judge.wording import in_words, say_where
from transforms.records import Company

from .builders import make_group, make_outside, make_score
from .strategies import outsides, scores, tallies_of
from .test_heat import heat_of

SETTINGS = JudgeSettings()
SPREAD = {(row, column): 0.1 / 256 for row in range(16) for column in range(16)}
CORNER = {**SPREAD, (15, 0): 0.5}


def rows_of(name, *, density_share=0.9, cells=SPREAD, company=(), images=40, **slices):
    """Scores of a class, all alike."""
    outside = make_outside(cells=cells, distances=[sum(cells.values()) / 8] * 8, company=company)
    row = make_score(target_name=name, density_share=density_share, outside=outside, slices=slices)
    return [row] * images


def peers(**arguments):
    return [row for number in range(6) for row in rows_of(f"peer {number}", **arguments)]


def company_of(rows):
    """The direct loop that the pipeline must equal."""
    company = {}
    for row in rows:
        for pair, numbers in pairs_of(row):
            company[pair] = company.get(pair, 0) + numbers
    return company


def told(rows, settings=SETTINGS):
    """Findings by name."""
    tallies = tallies_of(rows)
    findings = say_where(judge_model(tallies, settings), tallies, company_of(rows), settings)
    return {row.group_name: row for row in findings}


def columns(finding):
    return finding.region, finding.region_share, finding.co_occurring_class


def test_a_suspect_says_where_it_looks():
    rows = [*rows_of("cat", density_share=0.25, cells=CORNER), *peers()]
    [plain] = [row.message for row in judge_model(tallies_of(rows), SETTINGS) if row.group_name == "cat"]
    found = told(rows)
    place = "looks at the bottom left corner: 84 % of the outside heat in 6 % of the area (usual: 6 %)"
    assert f"{plain}; {place}" == found["cat"].message
    share = (0.5 + 0.1 * 15 / 256) / (0.5 + 0.1 * 255 / 256)
    assert ("bottom_left", pytest.approx(share, abs=1e-6), None) == columns(found["cat"])


def test_who_is_not_flagged_has_the_columns_and_its_message_as_it_was():
    rows = [*rows_of("cat", cells=CORNER), *peers()]
    [plain] = [row for row in judge_model(tallies_of(rows), SETTINGS) if row.group_name == "cat"]
    found = told(rows)
    assert ("unsuspected", plain.message) == (found["cat"].verdict, found["cat"].message)
    assert "bottom_left" == found["cat"].region
    assert {(None, None, None)} == {columns(row) for name, row in found.items() if name != "cat"}


def test_verdicts_know_nothing_of_places():
    rows = [*rows_of("cat", density_share=0.25, cells=CORNER), *peers()]
    tallies = tallies_of(rows)
    judged = judge_model(tallies, SETTINGS)
    named = {"region": None, "region_share": None, "co_occurring_class": None, "message": ""}
    said = say_where(judged, tallies, company_of(rows), SETTINGS)
    assert [dataclasses.replace(row, **named) for row in judged] == [
        dataclasses.replace(row, **named) for row in said
    ]


def test_a_slice_is_compared_with_the_rest_of_its_class():
    tagged = rows_of("cat", density_share=0.25, cells=CORNER, tag="yes")
    found = told([*tagged, *rows_of("cat", tag="no"), *peers(cells=CORNER, tag="no")])
    assert "suspect" == found["cat, tag=yes"].verdict
    assert found["cat, tag=yes"].message.endswith(
        "; looks at the bottom left corner: 84 % of the outside heat in 6 % of the area (usual: 6 %)"
    )
    # The peers look at that corner too: for the class as a whole it is nothing special.
    assert None is found["cat"].region


def test_a_slice_with_too_little_to_compare_with_is_not_told():
    tagged = rows_of("cat", cells=CORNER, tag="yes")
    found = told([*tagged, *rows_of("cat", tag="no", images=29)])
    assert (None, None, None) == columns(found["cat, tag=yes"])


def test_the_class_that_draws_the_heat_is_named():
    together = [Company("dog", 0.2, 0.1), Company("tree", 0.01, 0.3)]
    rows = [
        *rows_of("cat", density_share=0.25, company=together, images=20),
        *rows_of("cat", density_share=0.25, images=20),
    ]
    found = told([*rows, *peers()])
    assert (None, None, "dog") == columns(found["cat"])
    # 0.2 of the heat in half of the images, of 0.1 outside.
    assert found["cat"].message.endswith(
        "; 100 % of the outside heat lies on dog, annotated in 20 of its 40 images"
    )


def test_two_classes_may_name_each_other():
    rows = [row for a, b in ("ab", "ba") for row in rows_of(a, company=[Company(b, 0.08, 0.1)])]
    found = told(rows)
    assert ("b", "a") == (found["a"].co_occurring_class, found["b"].co_occurring_class)


@pytest.mark.parametrize(
    ("images", "heat", "area", "named"),
    [
        (10, 0.2, 0.05, True),
        (9, 0.2, 0.05, False),  # too rarely together
        (40, 0.01, 0.05, False),  # its boxes hold what their area would
        (40, 0.004, 0.001, False),  # 4 % of the outside heat
    ],
)
def test_what_makes_a_companion(images, heat, area, named):
    rows = rows_of("cat", company=[Company("dog", heat, area)], images=images)
    rows += rows_of("cat", images=40 - images)
    companies = {other: numbers for (_, other), numbers in company_of(rows).items()}
    found = name_companion(heat_of([row.outside for row in rows]), companies, 30)
    assert named == (found is not None)
    if found:
        assert ("dog", images) == (found.name, found.images)
        assert heat * images / 40 / 0.1 == pytest.approx(found.share, abs=1e-6)


def test_with_too_few_images_there_is_no_companion():
    rows = rows_of("cat", company=[Company("dog", 0.2, 0.05)], images=29)
    companies = {other: numbers for (_, other), numbers in company_of(rows).items()}
    assert None is name_companion(heat_of([row.outside for row in rows]), companies, 30)
    assert None is name_companion(Heat.zero(), {}, 0)


@given(st.lists(scores(), max_size=10), st.randoms(use_true_random=False))
def test_company_adds_up_in_any_order(rows, random):
    forwards, shuffled = company_of(rows), company_of(random.sample(rows, len(rows)))
    assert {pair: n.tolist() for pair, n in forwards.items()} == {p: n.tolist() for p, n in shuffled.items()}


@given(st.lists(outsides(), min_size=1, max_size=6))
def test_company_equals_numpy(rows):
    company = company_of([make_score(outside=outside) for outside in rows])
    for name in ("a", "b"):
        of_name = [
            (other.heat, np.frombuffer(outside.picture_heat).sum(), other.area)
            for outside in rows
            for other in outside.company
            if other.name == name
        ]
        if not of_name:
            assert (make_group(), name) not in company
            continue
        heat, outside, area = np.array(of_name).T
        expected = [len(of_name), heat.sum(), (heat**2).sum(), (heat * outside).sum(), area.sum()]
        numbers = company[make_group(), name]
        assert expected == pytest.approx([numbers[0], *(numbers[1:] / 2**32)], abs=1e-6)


def test_a_predicted_target_and_a_score_without_a_scene_have_no_company():
    outside = make_outside(cells={}, company=[Company("dog", 0.1, 0.1)])
    assert [] == list(pairs_of(make_score(outside=outside, target_rule="predicted")))
    assert [] == list(pairs_of(make_score()))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "frame",
            "looks at the frame of the picture: 41 % of the outside heat in 4 % of the area (usual: 11 %)",
        ),
        (
            "top_band",
            "looks at the band along the top: 41 % of the outside heat in 4 % of the area (usual: 11 %)",
        ),
        (
            "below_box",
            "looks at what is below its box: 41 % of the outside heat in 4 % of the area (usual: 11 %)",
        ),
        (
            "far_from_box",
            "41 % of the outside heat lies more than 2 cells from its box, at no one place (usual: 11 %)",
        ),
        (
            "halo",
            "its outside heat is the halo of the box: 41 % within 1 cell of it, "
            "a matter of resolution rather than bias",
        ),
    ],
)
def test_words(name, expected):
    assert f"; {expected}" == in_words(Place(name, 0.41, 0.04, 0.11, 1.0), None, Heat.zero())


def test_against_chance_nothing_is_usual():
    expected = "; looks at the top edge: 41 % of the outside heat in 4 % of the area"
    assert expected == in_words(Place("top", 0.41, 0.04, None, 1.0), None, Heat.zero())


def test_every_place_has_words():
    for name in (*PLACES, "halo"):
        assert in_words(Place(name, 0.5, 0.5, 0.1, 1.0), None, Heat.zero()).startswith("; ")
    assert "" == in_words(None, None, Heat.zero())
