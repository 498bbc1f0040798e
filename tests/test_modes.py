"""Modes: a marked fifth is found on held-out images; what all classes do, or what changes nothing, is not."""

import numpy as np

from transforms.judge.judgement import conclude
from transforms.judge.modes import find_modes
from transforms.judge.settings import JudgeSettings
from transforms.judge.sightings import Sightings
from transforms.records import Finding

from .builders import make_group, make_outside, make_score
from .strategies import tallies_of

SETTINGS = JudgeSettings()
MARK = (14, 1)
CLASSES = "abcd"


def scores_of(name, images=300, marked=0.0, cost=0.4, place=MARK, random=None):
    """Scores of a class whose heat strays anywhere, and of `marked` images that look at a place besides.

    Args:
        name: of the class.
        images: how many.
        marked: share of the images that are marked, every so manieth.
        cost: how much lower their density share is.
        place: cell (row, column) of the atlas in which the mark is.
        random: the source of chance.
    """
    random = random or np.random.default_rng(CLASSES.index(name))
    every = round(1 / marked) if marked else images + 1
    rows = []
    for number in range(images):
        is_marked = number % every == every - 1
        row, column = random.integers(0, 15, 2)
        cells = {(int(row), int(column)): 0.05, (int(row) + 1, int(column)): 0.05, (7, 7): 0.02}
        if is_marked:
            cells[place] = cells.get(place, 0.0) + 0.3
        share = random.uniform(0.8, 0.95) - cost * is_marked
        rows.append(
            make_score(
                target_name=name,
                example_id=f"{name}{number}{'-marked' if is_marked else ''}.png",
                density_share=float(share),
                outside=make_outside(cells=cells),
            )
        )
    return rows


def sightings_of(rows):
    found = {}
    for row in rows:
        group = make_group(class_name=row.target_name)
        found.setdefault(group, Sightings()).add(row)
    return found


def found_in(*classes, settings=SETTINGS):
    return find_modes(sightings_of([row for rows in classes for row in rows]), settings)


def others(names="bcd"):
    return [scores_of(name) for name in names]


def test_a_marked_fifth_is_found_with_its_place_and_examples():
    [found] = found_in(scores_of("a", marked=0.2), *others())
    assert isinstance(found, Finding)
    assert ("slice", "a, mode=bottom_left", "a", "mode", "bottom_left") == (
        found.group_kind,
        found.group_name,
        found.class_name,
        found.slice_key,
        found.slice_value,
    )
    assert ("suspect", "bottom_left") == (found.verdict, found.region)
    # Of 300 images 200 are held out, and a fifth of those is marked; others stray to that corner by chance.
    assert 30 <= found.n <= 55
    assert 0.4 < found.density_share < 0.55
    assert 0.6 < found.region_share < 0.9
    assert found.p_value < 1e-10
    assert found.cohens_d > 2
    assert 16 == len(found.finding_id)
    begin, _, rest = found.message.partition(" (usual: 1 %): ")
    assert f"{100 * found.n / 200:.0f} % of the class, such as " in begin
    examples = begin.split("such as ")[1].split(", ")
    assert 3 == len(examples)
    assert all(example.endswith("-marked.png") for example in examples)
    assert rest.startswith(f"mean density share {found.density_share:.2f} against 0.8")
    assert "in the rest of the class; Cohen's d " in rest
    assert "; looks at the bottom left corner: " in rest
    assert " of the outside heat in 6 % of the area (usual: " in rest


def test_without_a_mark_nothing_is_found():
    assert [] == found_in(scores_of("a"), *others())


def test_a_place_that_changes_nothing_is_not_found():
    assert [] == found_in(scores_of("a", marked=0.2, cost=0.0), *others())
    # By 0.04 where images differ by hardly anything: certain, large by Cohen, and of no weight.
    flat = [
        make_score(
            target_name="a",
            example_id=row.example_id,
            density_share=0.90 if "marked" in row.example_id else 0.94,
            outside=row.outside,
        )
        for row in scores_of("a", marked=0.2)
    ]
    assert [] == found_in(flat, *others())


def test_what_every_class_does_is_not_found():
    assert [] == found_in(*(scores_of(name, marked=0.2) for name in CLASSES))
    # Nor what the others do half as often.
    assert [] == found_in(scores_of("a", marked=0.2), *(scores_of(name, marked=1 / 7) for name in "bcd"))


def test_two_classes_of_four_with_the_same_mark_are_both_found():
    found = found_in(*(scores_of(name, images=450, marked=0.2) for name in "ab"), *others("cd"))
    assert ["a", "b"] == [row.class_name for row in found]


def test_with_one_other_class_both_having_the_mark_neither_is_found():
    assert [] == found_in(scores_of("a", marked=0.2), scores_of("b", marked=0.2))
    assert 1 == len(found_in(scores_of("a", marked=0.2), scores_of("b")))


def test_a_class_alone_has_nobody_to_be_compared_with():
    assert [] == found_in(scores_of("a", marked=0.2))


def test_both_arms_are_needed_among_the_held_out_images():
    rows = scores_of("a", marked=0.2)
    assert 1 == len(found_in(rows, *others(), settings=JudgeSettings(min_images=30)))
    assert [] == found_in(rows, *others(), settings=JudgeSettings(min_images=70))
    assert [] == found_in(rows[:89], *others())
    assert [] == found_in([], *others())


def test_two_marks_at_one_place_are_numbered():
    left, right = (13, 0), (15, 3)
    rows = scores_of("a", images=600, marked=0.2, place=left)
    more = scores_of("a", images=600, marked=0.25, place=right, random=np.random.default_rng(9))
    rows = [*rows[:300], *more[300:]]
    # Both corners of one quarter, far enough apart for two clusters.
    found = found_in(rows, *others())
    assert {"bottom_left"} == {row.region for row in found}
    assert [row.slice_value for row in found] == ["bottom_left", "bottom_left 2"][: len(found)]


def test_images_without_any_outside_heat_are_in_no_mode():
    rows = scores_of("a", marked=0.2)
    empty = [
        make_score(target_name="a", example_id=f"empty{i}", density_share=1.0, outside=make_outside(cells={}))
        for i in range(100)
    ]
    [found] = found_in([*rows, *empty], *others())
    assert "bottom_left" == found.region
    assert [] == found_in(empty, *others())


def test_modes_follow_the_other_findings_and_need_a_verdict():
    rows = [*scores_of("a", marked=0.2), *(row for other in others() for row in other)]
    tallies, sightings = tallies_of(rows), sightings_of(rows)
    found = conclude(tallies, {}, None, SETTINGS, sightings=sightings).findings
    assert find_modes(sightings, SETTINGS) == found[-1:]
    assert conclude(tallies, {}, None, SETTINGS).findings == found[:-1]
    withheld = conclude(tallies, {}, None, SETTINGS, "because", sightings=sightings)
    assert [] == [row for row in withheld.findings if row.slice_key == "mode"]
