"""Whether a model's heatmaps are trusted, and what becomes of its verdicts where they are not."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.health import HealthMaps, HealthScore
from transforms.judge.gaps import GapTally
from transforms.judge.health import HealthTally, judge_health
from transforms.judge.judgement import conclude
from transforms.judge.settings import JudgeSettings
from transforms.judge.statistics import Tally
from transforms.judge.verdicts import finding
from transforms.measure.ground import Allowed
from transforms.measure.health import health_score, similarity
from transforms.records import Box, Finding, Scene

from .builders import make_group, make_health_score, make_score, make_swap
from .strategies import tally_of

SETTINGS = JudgeSettings(min_images=5)


def tally_health(scores: Sequence[HealthScore]) -> HealthTally:
    tally = HealthTally.zero()
    for score in scores:
        tally.add(score)
    return tally


def model_finding(verdict: str = "insufficient") -> list[Finding]:
    return [finding(make_group(kind="model", class_name=None), Tally.zero(), verdict, "said")]


def contents(tally: HealthTally) -> tuple[Any, ...]:
    return tally.numbers.tolist(), tally.shares.tolist(), tally.gains.tolist()


def maps_of(trained: Any, network: Any, head: Any = None, runner_up: Any = None, **scene: Any) -> HealthMaps:
    """Maps of 2x2 cells over a view of 8 pixels; the box is its top left quarter."""
    given_scene = {
        "view_width": 8,
        "view_height": 8,
        "content": [0.0, 0.0, 8.0, 8.0],
        "target_boxes": [Box("cat", 0.0, 0.0, 4.0, 4.0)],
        "other_boxes": [],
        **scene,
    }
    heatmaps = {"trained": trained, "head": head, "runner_up": runner_up}
    return HealthMaps(
        model="m",
        example_id="a.png",
        source="set.json",
        position=3,
        scene=Scene(**given_scene),
        map_height=2,
        map_width=2,
        networks=[np.float32(network).tobytes()] * 3,
        **{name: None if v is None else np.float32(v).tobytes() for name, v in heatmaps.items()},
    )


def test_shares_of_a_hand_worked_image() -> None:
    """An even map has share 0.5; one without heat or one that is not finite has none."""
    even, zero, broken = [[1, 1], [1, 1]], [[0, 0], [0, 0]], [[1, np.nan], [0, 0]]
    (score,) = health_score(maps_of(even, zero, head=broken), Allowed())

    assert HealthScore("m", "a.png", "set.json", 3, 0.5, True, None, [None] * 3, None) == dataclasses.replace(
        score, trained=round(score.trained or 0, 9)
    )
    (headless,) = health_score(maps_of(zero, even), Allowed())
    assert (None, False, None, [pytest.approx(0.5)] * 3) == (
        headless.trained,
        headless.has_head,
        headless.head,
        headless.networks,
    )


def test_an_image_that_no_box_divides_is_not_scored() -> None:
    even = [[1, 1], [1, 1]]

    assert [] == list(health_score(maps_of(even, even, target_boxes=[]), Allowed()))
    assert [] == list(
        health_score(maps_of(even, even, target_boxes=[Box("cat", 0.0, 0.0, 8.0, 8.0)]), Allowed())
    )


def test_allowed_ground_is_neither_inside_nor_outside() -> None:
    """With the right half allowed, all that counts lies in the left half, where the box is the upper half."""
    heat = [[1, 0], [0, 5]]
    (score,) = health_score(maps_of(heat, heat), Allowed(regions=("right_band",)))
    (without,) = health_score(maps_of(heat, heat), Allowed())

    assert (score.trained or 0) > (without.trained or 0)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ([[1, 0], [0, 0]], [[3, 0], [0, 0]], 1.0),
        ([[1, 0], [1, 0]], [[0, 2], [0, 2]], -1.0),
        # Deviations (3, -1, -1, -1) / 4 and (-1, 3, -1, -1) / 4: -4 / 12.
        ([[1, 0], [0, 0]], [[0, 1], [0, 0]], -1 / 3),
        ([[1, 1], [1, 1]], [[0, 1], [0, 0]], None),
        ([[1, 0], [0, 0]], [[0, 0], [0, 0]], None),
        ([[1, np.inf], [0, 0]], [[0, 1], [0, 0]], None),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_similarity_is_pearsons_correlation(one: Any, other: Any, expected: float | None) -> None:
    found = similarity(np.array(one, float), np.array(other, float))

    assert found == (None if expected is None else pytest.approx(expected))


def test_means_of_a_hand_worked_tally() -> None:
    """A map without heat counts as chance; of the draws the second comes nearest."""
    tally = tally_health(
        [
            make_health_score(trained=0.75, head=0.5, networks=[0.0, 0.25, 0.5], similarity=0.5),
            make_health_score(trained=None, head=None, networks=[0.0, 1.0, 0.5], similarity=None),
            make_health_score(trained=1.0, has_head=False, networks=[None, None, 0.5], similarity=-0.25),
        ]
    )
    health = judge_health(model_finding(), tally, SETTINGS)

    assert ("m", 3, 0.75, 0.5, 7 / 12) == (
        health.model,
        health.images,
        health.density_share,
        health.density_share_head,
        pytest.approx(health.density_share_network),
    )
    assert (pytest.approx(1 / 6), 1 / 3, 1 / 2, 1 / 3) == (
        health.gain,
        health.zero_maps,
        health.zero_maps_head,
        health.zero_maps_network,
    )
    assert (0.125, 2) == (health.similarity, health.similarity_images)


shares_or_none = st.none() | st.floats(0, 1)
health_scores = st.builds(
    make_health_score,
    trained=shares_or_none,
    head=shares_or_none,
    networks=st.lists(shares_or_none, min_size=3, max_size=3),
    similarity=st.none() | st.floats(-1, 1),
    has_head=st.booleans(),
)


@given(st.lists(health_scores, max_size=12), st.integers(0, 12), st.randoms())
def test_tallies_merge_in_any_order(scores: list[HealthScore], cut: int, random: Any) -> None:
    whole = tally_health(scores)
    random.shuffle(scores)

    assert contents(whole) == contents(tally_health(scores[:cut]) + tally_health(scores[cut:]))
    assert contents(whole) == contents(whole + HealthTally.zero())


@pytest.mark.parametrize(
    ("trained", "networks", "images", "verdict"),
    [
        (0.85, [0.5, 0.5, 0.5], 128, "trusted"),
        # Two classes of six that look elsewhere.
        (0.75, [0.5, 0.56, 0.4], 128, "trusted"),
        (0.85, [None, None, None], 128, "trusted"),
        # Above chance, but so is one control; above the controls, but not above chance.
        (0.75, [0.75, 0.75, 0.75], 128, "not_trusted"),
        (0.75, [0.3, 0.3, 0.75], 128, "not_trusted"),
        (0.75, [0.6, 0.3, 0.65], 128, "trusted"),
        (0.55, [0.2, 0.2, 0.2], 128, "not_trusted"),
        (0.53, [0.53, 0.53, 0.53], 128, "not_trusted"),
        (None, [None, None, None], 128, "not_trusted"),
        (0.85, [0.5, 0.5, 0.5], 4, "insufficient"),
    ],
)
def test_a_model_must_stand_above_chance_and_above_every_control(
    trained: float | None, networks: list[float | None], images: int, verdict: str
) -> None:
    tally = tally_health([make_health_score(trained=trained, networks=networks)] * images)

    assert verdict == judge_health(model_finding(), tally, SETTINGS).verdict


@pytest.mark.parametrize("at", ["chance", "control"])
def test_at_the_margin_hardly_any_model_is_trusted(at: str) -> None:
    """Two-valued shares whose mean is 0.55, or the control's: at most 1 in 20 runs is trusted."""
    random = np.random.default_rng(0)
    trusted, runs = 0, 200
    for _ in range(runs):
        scores = [
            make_health_score(trained=0.1 + 0.9 * heads, networks=[0.0] * 3)
            if at == "chance"
            else make_health_score(trained=0.8, networks=[0.5, 0.6 + 0.4 * heads, 0.4])
            for heads in random.random(128) < 0.5
        ]
        trusted += judge_health(model_finding(), tally_health(scores), SETTINGS).verdict == "trusted"

    assert trusted <= runs / 20


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [("confirmed", "trusted"), ("hidden", "trusted"), ("clear", "not_trusted"), ("suspect", "not_trusted")],
)
def test_a_swap_that_convicts_the_model_speaks_for_its_heatmaps(verdict: str, expected: str) -> None:
    """A model that looks past its objects in every class has low shares, and rightly so."""
    tally = tally_health([make_health_score(trained=0.2)] * 128)

    assert expected == judge_health(model_finding(verdict), tally, SETTINGS).verdict


@pytest.mark.parametrize(
    ("trained", "whole", "confirm", "images", "message"),
    [
        (
            0.84375,
            "clear",
            True,
            128,
            "explanation trusted: density share 0.84 (at least 0.81) on 128 images, 0.50 with all weights "
            "drawn anew, the nearest of 3 draws",
        ),
        (
            0.53125,
            "confirmed",
            True,
            128,
            "explanation trusted: density share 0.53 (at least 0.51) on 128 images, 0.50 with all weights "
            "drawn anew, the nearest of 3 draws, too little above that or above chance, "
            "0.5, but background swaps show that the model depends on what lies outside the boxes",
        ),
        (
            0.53125,
            "clear",
            True,
            128,
            "explanation not to be trusted for this model: density share 0.53 (at least 0.51) on 128 images, "
            "0.50 with all weights drawn anew, the nearest of 3 draws, too little above that or above "
            "chance, 0.5; either its heatmaps say nothing or it looks past its objects",
        ),
        (
            0.53125,
            "suspect",
            False,
            128,
            "explanation not to be trusted for this model: density share 0.53 (at least 0.51) on 128 images, "
            "0.50 with all weights drawn anew, the nearest of 3 draws, too little above that or above "
            "chance, 0.5; either its heatmaps say nothing or it looks past its objects; "
            "judge.confirm: true would tell",
        ),
        (
            0.84375,
            "clear",
            True,
            29,
            "explanation not checked: 29 images were compared with weights drawn anew, 30 are needed",
        ),
    ],
)
def test_the_words(trained: float, whole: str, confirm: bool, images: int, message: str) -> None:
    tally = tally_health([make_health_score(trained=trained)] * images)
    settings = JudgeSettings(confirm=confirm)

    assert message == judge_health(model_finding(whole), tally, settings).message


# Six classes of a model, of which one looks elsewhere.
TALLIES = {
    make_group(kind="model", class_name=None): tally_of([make_score()] * 60),
    **{
        make_group(class_name=f"c{i}"): tally_of([make_score(density_share=0.2 if i == 0 else 0.8)] * 60)
        for i in range(6)
    },
    make_group(kind="slice", class_name="c0", slice_key="k", slice_value="v"): tally_of([make_score()] * 20),
}
TRUSTED, UNTRUSTED = (tally_health([make_health_score(trained=trained)] * 128) for trained in (0.9, 0.5))


def gaps(gap: float) -> dict[Any, GapTally]:
    found: dict[Any, GapTally] = {}
    for i in range(6):
        tally = found.setdefault((f"c{i}", None, None), GapTally.zero())
        for _ in range(200):
            tally.add(make_swap(class_name=f"c{i}", gap=gap))
    return found


def verdicts(health: HealthTally | None, swaps: dict[Any, GapTally] | None) -> dict[str, str]:
    concluded = conclude(TALLIES, {}, swaps, SETTINGS, health=health)
    return {row.group_name: row.verdict for row in concluded.findings}


def test_without_trust_heat_alone_concludes_nothing() -> None:
    judged = {"m": "suspect", "c0": "suspect", **{f"c{i}": "unsuspected" for i in range(1, 6)}}
    silent = dict.fromkeys(judged, "insufficient")
    of_slice = "c0, k=v"

    for health in (None, TRUSTED):
        assert judged == {k: v for k, v in verdicts(health, None).items() if k != of_slice}
    assert {**silent, of_slice: "insufficient"} == verdicts(UNTRUSTED, None)


def test_without_trust_the_swap_stands_on_its_own() -> None:
    classes = [f"c{i}" for i in range(6)]

    suspected = verdicts(TRUSTED, gaps(0.0))
    assert ("suspect", "suspect") == (suspected["m"], suspected["c0"])
    cleared = verdicts(UNTRUSTED, gaps(0.0))
    assert {"clear"} == {cleared[name] for name in ("m", *classes)}
    # What the swap convicts speaks for the heatmaps: they show where it looks instead.
    convicted = conclude(TALLIES, {}, gaps(0.6), SETTINGS, health=UNTRUSTED)
    assert convicted.health is not None
    assert "trusted" == convicted.health.verdict
    assert verdicts(TRUSTED, gaps(0.6)) == {row.group_name: row.verdict for row in convicted.findings}


def test_the_finding_on_the_model_says_what_is_wrong() -> None:
    concluded = conclude(TALLIES, {}, gaps(0.0), SETTINGS, health=UNTRUSTED)
    assert concluded.health is not None
    whole, first = (next(row for row in concluded.findings if row.group_name == name) for name in ("m", "c0"))

    assert "not_trusted" == concluded.health.verdict
    assert whole.message.endswith(f"; {concluded.health.message}")
    assert "of 6 classes 6 clear; " in whole.message
    assert "; heat not counted; another background moves p by 0.00 [" in first.message
    alone = conclude(TALLIES, {}, None, SETTINGS, health=UNTRUSTED)
    assert f"heat not counted; {concluded.health.message}" == alone.findings[0].message


def test_a_model_at_chance_is_not_trusted_either() -> None:
    """A random network is implausible by its accuracy; its health says so besides, and nothing is flagged."""
    wrong = {group: tally_of([make_score(correct=i % 6 == 0) for i in range(60)]) for group in TALLIES}
    concluded = conclude(wrong, {}, None, SETTINGS, health=UNTRUSTED)

    assert concluded.health is not None
    assert "not_trusted" == concluded.health.verdict
    assert {"insufficient"} == {row.verdict for row in concluded.findings}
    assert concluded.findings[0].message.startswith("no verdict: the classes' mean accuracy is 0.17")
    assert concluded.findings[0].message.endswith(concluded.health.message)


def test_health_is_none_where_it_was_not_asked() -> None:
    assert conclude(TALLIES, {}, None, SETTINGS).health is None
    assert conclude({}, {}, None, SETTINGS, health=UNTRUSTED).health is None
