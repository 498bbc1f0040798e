"""The figures of the planted benchmark against values worked by hand, with and without a counterfactual."""

import pytest

from benchmarks.planted.curves import auroc, roc, spearman
from benchmarks.planted.evaluate import evaluate
from benchmarks.planted.figures import share
from benchmarks.planted.null_modes import null_mode_figures
from benchmarks.planted.nulls import _SUPPORT, null_figures, shifted, skewed
from benchmarks.planted.page import render
from benchmarks.planted.rows import class_rows
from benchmarks.planted.world import CLASSES
from transforms.judge import modes
from transforms.judge.settings import JudgeSettings


def test_auroc_counts_pairs():
    """Pairs (3, 2), (3, 1), (2, 1) are won, (2, 2) is half: 3.5 of 4."""
    assert 0.875 == auroc([3, 2], [2, 1])
    assert (1.0, 0.0, 0.5) == (auroc([2], [1]), auroc([1], [2]), auroc([1], [1]))
    assert auroc([], [1]) is None


def test_the_roc_curve_goes_through_every_threshold():
    assert [[0, 0], [0, 0.5], [0.5, 1], [1, 1]] == roc([3, 2], [2, 1]).tolist()


def test_spearman_is_a_correlation_of_ranks():
    """Ranks 1 2 3 4 against 1 2 4 3: 1 - 6 * 2 / (4 * 15) = 0.8."""
    assert pytest.approx(0.8) == spearman([0.1, 0.2, 0.3, 0.9], [1, 2, 50, 7])
    assert spearman([1, 1, 1], [1, 2, 3]) is None
    assert spearman([1, 2], [1, 2]) is None


def test_a_share_has_its_counts_its_interval_and_its_goal():
    found = share("k", "n", [True] * 3 + [False], low=0.5)
    assert (0.75, "≥ 0.5", True) == (found.value, found.goal, found.met)
    assert "3 of 4; 95 % interval 0.3006 to 0.9544" == found.detail
    assert share("k", "n", [True], high=0.1).met is False
    assert share("k", "n", [True]).met is None
    assert ("all", "none") == (share("k", "n", [], low=1.0).goal, share("k", "n", [], high=0.0).goal)


def test_what_cannot_be_measured_is_never_met():
    for found in (share("k", "n", [], low=0.5), share("k", "n", [True], low=0.5, missing="no table")):
        assert (None, None) == (found.value, found.met)


def finding(name, verdict, *, score=0.0, e=None, region=None, kind="class"):
    return {
        "group_kind": kind,
        "class_name": name,
        "verdict": verdict,
        "density_share": 0.75 - score,
        "peers_median": 0.75,
        "log10_e_confirmed": e,
        "swap_gap": None,
        "region": region,
    }


def result(
    name, *, role="planted", head="gap", kind=None, reliance=0.0, own="unsuspected", slices=(), **columns
):
    """A model whose class `disc` has a shortcut of that kind, and whose other classes are unsuspected."""
    others = [
        finding(other, "clear" if "e" in columns else "unsuspected", e=columns.get("e") and -1.0)
        for other in CLASSES[1:]
    ]
    plants = [{"kind": kind, "label": 0, "share": 1.0}] if kind else []
    return {
        "spec": {"name": name, "role": role, "head": head, "plants": plants},
        "truth": {"disc": {"R": reliance}} if kind else {},
        "findings": [finding("disc", own, **columns), *others],
        "slices": [
            {"slice_key": key, "slice_value": value, "verdict": verdict} for key, value, verdict in slices
        ],
        "seconds": {"training": 60.0, "truth": 6.0, "audit": 30.0},
    }


def figures(results):
    return {figure.key: figure for figure in evaluate(results)}


TODAY = [
    result("a", kind="tag", reliance=0.6, own="suspect", score=0.30),
    result("b", kind="frame", reliance=0.4, own="suspect", score=0.20),
    result("c", kind="cast", reliance=0.3, own="unsuspected", score=-0.05),
    result("d", role="clean"),
    result("e", role="random", kind=None, own="insufficient"),
]


def test_without_a_counterfactual_its_figures_are_not_available():
    found = figures(TODAY)
    for key in (
        "innocents_confirmed",
        "clean_flagged",
        "confirmed_strong",
        "false_discovery_share",
        "diffuse_found",
    ):
        assert (None, None) == (found[key].value, found[key].met)
        assert "not available: the tables hold no counterfactual" == found[key].detail
    assert "not available: the tables name no region" == found["region"].detail
    assert "no such case in this run" == found["slice_power_gap"].detail


def test_the_screen_is_measured_all_the_same():
    """Innocents all score 0; positives 0.30, 0.20 and -0.05: two of three lie above every innocent."""
    found = figures(TODAY)
    assert pytest.approx(2 / 3) == found["screen_auroc_gap"].value
    assert "3 positives, 21 innocent classes" == found["screen_auroc_gap"].detail
    assert pytest.approx(1.0) == found["spearman_gap"].value
    assert found["screen_auroc_mlp"].value is None
    assert pytest.approx(2 / 3) == found["culprits_flagged"].value


def test_random_weights_are_recognised_when_nothing_was_judged():
    assert 0.0 == figures(TODAY)["random_recognised"].value
    random = result("e", role="random")
    random["findings"] = [finding(name, "insufficient") for name in CLASSES]
    assert (1.0, True) == (
        figures([random])["random_recognised"].value,
        figures([random])["random_recognised"].met,
    )


CONFIRMED = [
    result("a", kind="tag", reliance=0.6, own="confirmed", e=5.0, region="bottom-left corner"),
    result("b", kind="frame", reliance=0.4, own="confirmed", e=5.0, region="top_left"),
    result("c", kind="cast", reliance=0.3, own="hidden", e=4.0),
    result("f", kind="blur", role="blur", reliance=0.9, own="clear", e=0.0),
    result("g", kind="texture", reliance=0.2, own="clear", e=0.0),
    result("h", kind="tag", reliance=0.01, own="confirmed", e=3.0),
    result("d", role="clean", own="suspect", e=0.0),
    result("s", role="sticker", kind="sticker", reliance=0.9, own="clear", e=0.0),
]


def test_with_one_every_goal_is_measured():
    found = figures(CONFIRMED)
    assert pytest.approx(1 / 4) == found["false_discovery_share"].value  # `h` of a, b, c and h
    assert pytest.approx(1 / (8 * 5 + 2)) == found["innocents_confirmed"].value
    assert 1.0 == found["confirmed_strong"].value
    assert (0.0, False) == (found["confirmed_moderate"].value, found["confirmed_moderate"].met)
    assert (0.0, True) == (
        found["clean_flagged"].value,
        found["clean_flagged"].met,
    )  # a suspect is no conviction
    assert 0.5 == found["diffuse_found"].value
    assert (0.5, False) == (found["diffuse_cleared"].value, found["diffuse_cleared"].met)
    assert 0.5 == found["region"].value
    assert 0.0 == found["sticker_flagged"].value


def test_slices_are_counted_by_what_their_column_is():
    slices = [
        ("planted", "yes", "suspect"),
        ("planted", "yes", "insufficient"),
        ("planted", "no", "unsuspected"),
        ("coin0", "heads", "unsuspected"),
        ("coin0", "tails", "suspect"),
    ]
    found = figures([result("a", kind="tag", reliance=0.6, slices=slices)])
    assert 0.5 == found["slice_power_gap"].value
    assert 0.5 == found["random_slices"].value
    assert found["slice_power_mlp"].value is None


def test_a_legitimate_shadow_is_neither_culprit_nor_innocent():
    shadow = result("s", role="shadow", e=0.0)
    shadow["spec"]["plants"] = [{"kind": "shadow", "label": None, "share": 1.0}]
    shadow["truth"] = {name: {"R": 0.4} for name in CLASSES}
    rows = class_rows([shadow])
    assert {"shadow"} == {row.kind for row in rows}
    assert not any(row.is_innocent for row in rows)
    assert pytest.approx(5 / 6) == figures([shadow])["shadow_clear"].value


def test_the_nulls_are_what_they_say():
    alike = skewed()
    assert pytest.approx(1.0) == alike.sum()
    assert pytest.approx(0.1) == (alike - shifted(alike, 0.1)) @ _SUPPORT


def test_the_judge_keeps_its_rates_on_null_scores():
    found = {figure.key: figure for figure in null_figures(JudgeSettings(), runs=20)}
    assert {"null_runs_alike", "null_runs_edge", "null_slices"} == set(found)
    assert all(figure.met for figure in found.values())
    assert "0 of 240;" in found["null_slices"].detail


def test_innocent_classes_have_no_modes_unless_nobody_asks_the_other_classes(monkeypatch):
    figures = {figure.key: figure for figure in null_mode_figures(JudgeSettings(), models=2)}
    assert {"null_modes": 0.0, "found_modes": 1.0} == {key: f.value for key, f in figures.items()}
    assert "0 of 20;" in figures["null_modes"].detail
    monkeypatch.setattr(modes, "_recurrence", lambda inside, of_others: 0.0)
    monkeypatch.setattr(modes, "_usual", lambda shares: 0.0)
    figures = {figure.key: figure for figure in null_mode_figures(JudgeSettings(), models=2)}
    assert figures["null_modes"].value >= 0.5


def test_the_page_says_what_was_not_met_and_what_is_missing():
    results = TODAY
    page = render(
        evaluate(results),
        class_rows(results),
        results,
        seeds="reporting",
        command="make validate",
        picture="validation.svg",
    )
    assert "5 small networks" in page
    assert "| screen AUROC, R ≥ 0.2, GAP head | 0.667 | ≥ 0.97 | **no** | 3 positives" in page
    assert (
        "| confirmed at R ≥ 0.3 |  | ≥ 0.95 |  | not available: the tables hold no counterfactual |" in page
    )
    assert "| a | disc | tag | 0.60 | 0.300 |  | suspect |  |" in page
    assert "training 5.0, truth 0.5, audit 2.5." in page
    assert "None." in page


def test_the_picture_is_the_same_for_the_same_rows(tmp_path):
    pytest.importorskip("matplotlib", reason="the picture needs the extra `bench`")
    from benchmarks.planted.picture import draw

    rows = class_rows(TODAY)
    for name in ("one.svg", "two.svg"):
        draw(rows, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert "GAP head, area 0.667" in (tmp_path / "one.svg").read_text()
