"""From results to figures: every goal that the verdicts are held to, whatever columns the tables have."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from benchmarks.planted.curves import auroc, spearman
from benchmarks.planted.figures import NOT_AVAILABLE, Figure, at_least, share
from benchmarks.planted.rows import CONVICTED, FLAGGED, Row, class_rows, core, culprits, trained
from benchmarks.planted.specs import HEADS

FDR: Final = 0.10
POSITIVE_FROM: Final = 0.2
"""R from which a class counts as a positive of the screen's ROC curve."""

_AUROC_GOALS: Final = {"gap": 0.97, "mlp": 0.93}
_SPEARMAN_GOALS: Final = {"gap": 0.90, "mlp": 0.80}
_POWER_GOALS: Final = {"gap": 0.9, "mlp": 0.75}
_REGIONS: Final = {"tag": "bottom_left", "frame": "frame"}
_NO_COUNTERFACTUAL: Final = f"{NOT_AVAILABLE}: the tables hold no counterfactual"
_NO_REGION: Final = f"{NOT_AVAILABLE}: the tables name no region"


def evaluate(results: Sequence[dict[str, Any]]) -> list[Figure]:
    """The figures of the results of `suite.run_suite`."""
    rows = class_rows(results)
    missing = None if any(row.log10_e_confirmed is not None for row in rows) else _NO_COUNTERFACTUAL
    return [
        *_screen(rows),
        *_convictions(rows, results, missing),
        *_slices(results),
        _region(rows),
        *_controls(rows, results, missing),
    ]


def screen_scores(rows: Iterable[Row], head: str) -> tuple[list[float], list[float]]:
    """Scores of the positives and of the innocents among the core's classes with that head."""
    scored = [row for row in core(rows, head) if row.screen_score is not None]
    return _scores(culprits(scored, POSITIVE_FROM)), _scores(row for row in scored if row.is_innocent)


def _screen(rows: list[Row]) -> Iterable[Figure]:
    for head in HEADS:
        positives, negatives = screen_scores(rows, head)
        yield at_least(
            f"screen_auroc_{head}",
            f"screen AUROC, R ≥ {POSITIVE_FROM}, {head.upper()} head",
            auroc(positives, negatives),
            f"{len(positives)} positives, {len(negatives)} innocent classes",
            _AUROC_GOALS[head],
        )
    for head in HEADS:
        scored = [r for r in core(rows, head) if r.kind is not None and r.screen_score is not None]
        yield at_least(
            f"spearman_{head}",
            f"Spearman of score with R, {head.upper()} head",
            spearman(_scores(scored), [row.reliance for row in scored]),
            f"{len(scored)} planted classes",
            _SPEARMAN_GOALS[head],
        )
    flags = [row.verdict in FLAGGED for row in trained(rows) if row.is_innocent]
    yield share("innocents_flagged", "innocent classes suspect or worse", flags)
    flags = [row.verdict in FLAGGED for row in culprits(_seen(rows), 0.3)]
    yield share("culprits_flagged", "suspect or worse at R ≥ 0.3", flags)


def _convictions(rows: list[Row], results: Iterable[dict[str, Any]], missing: str | None) -> Iterable[Figure]:
    innocents = [row.is_convicted for row in trained(rows) if row.is_innocent]
    yield share("innocents_confirmed", "confirmed on innocent classes", innocents, high=0.01, missing=missing)
    clean = [
        any(finding["verdict"] in CONVICTED for finding in result["findings"])
        for result in results
        if result["spec"]["role"] == "clean"
    ]
    yield share("clean_flagged", "clean models confirmed in any class", clean, high=0.0, missing=missing)
    for key, low, high, goal in (("strong", 0.3, 2.0, 0.95), ("moderate", 0.15, 0.3, 0.5)):
        found = [row.is_convicted for row in culprits(_seen(rows), low, high)]
        name = f"confirmed at R ≥ {low}" if high > 1 else f"confirmed at R from {low} to {high}"
        yield share(f"confirmed_{key}", name, found, low=goal, missing=missing)
    false = [row.is_innocent for row in trained(rows) if row.is_convicted]
    name = f"false discovery share at q = {FDR:.2f}"
    yield share("false_discovery_share", name, false, high=FDR, missing=missing)


def _slices(results: Iterable[dict[str, Any]]) -> Iterable[Figure]:
    tests = [(result["spec"]["head"], row) for result in results for row in result["slices"]]
    coins = [row["verdict"] in FLAGGED for _, row in tests if row["slice_key"].startswith("coin")]
    yield share("random_slices", "random slices flagged", coins, high=0.001)
    for head in HEADS:
        planted = [
            row["verdict"] in FLAGGED
            for of_head, row in tests
            if (of_head, row["slice_key"], row["slice_value"]) == (head, "planted", "yes")
        ]
        name = f"slice power, 30 per arm, {head.upper()} head"
        yield share(f"slice_power_{head}", name, planted, low=_POWER_GOALS[head])


def _region(rows: list[Row]) -> Figure:
    placed = culprits(_seen(rows), 0.3, kinds=tuple(_REGIONS))
    named = [_REGIONS[str(row.kind)] in _words(row.region) for row in placed]
    missing = None if any(row.region for row in rows) else _NO_REGION
    return share("region", "region named rightly, tag and frame, R ≥ 0.3", named, low=0.95, missing=missing)


def _controls(rows: list[Row], results: Iterable[dict[str, Any]], missing: str | None) -> Iterable[Figure]:
    diffuse = culprits(_seen(rows), 0.3, kinds=("cast", "blur"))
    name = "cast and blur at R ≥ 0.3 hidden or confirmed"
    yield share("diffuse_found", name, [row.is_convicted for row in diffuse], low=0.9, missing=missing)
    cleared = [row.verdict == "clear" for row in diffuse]
    yield share("diffuse_cleared", "cast and blur at R ≥ 0.3 clear", cleared, high=0.0, missing=missing)
    shadows = [row.verdict == "clear" for row in rows if row.role == "shadow"]
    yield share("shadow_clear", "classes with a legitimate shadow clear", shadows, low=1.0, missing=missing)
    for role, text in (("two", "two biased classes at once"), ("noisy", "noisy boxes")):
        found = [row.is_convicted for row in culprits(_of(rows, role), 0.3)]
        yield share(f"{role}_found", f"{text}: confirmed at R ≥ 0.3", found, missing=missing)
        wrong = [row.verdict in FLAGGED for row in _of(rows, role) if row.is_innocent]
        yield share(f"{role}_innocents", f"{text}: innocent classes suspect or worse", wrong)
    stickers = culprits(_of(rows, "sticker"), 0.3, kinds=("sticker",))
    name = "sticker on the object at R ≥ 0.3 flagged (no audit of places can)"
    yield share("sticker_flagged", name, [row.verdict in FLAGGED for row in stickers])
    recognised = [
        all(finding["verdict"] == "insufficient" for finding in result["findings"])
        for result in results
        if result["spec"]["role"] == "random"
    ]
    name = "random weights recognised: every verdict insufficient"
    yield share("random_recognised", name, recognised, low=1.0)


def _seen(rows: Iterable[Row]) -> list[Row]:
    """All but the random weights, and the noisy boxes, which are counted by themselves."""
    return [row for row in trained(rows) if row.role != "noisy"]


def _of(rows: Iterable[Row], role: str) -> list[Row]:
    return [row for row in rows if row.role == role]


def _scores(rows: Iterable[Row]) -> list[float]:
    return [row.screen_score for row in rows if row.screen_score is not None]


def _words(region: str | None) -> str:
    """A region as the columns spell it, whether written `bottom_left` or "bottom-left corner"."""
    return (region or "").lower().replace("-", "_").replace(" ", "_")
