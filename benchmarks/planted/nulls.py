"""The judge on scores in which nothing is to be found, a thousand times over.

Two nulls, both of left-skewed density shares, on which a t-test breaks: all classes alike; and one class
that lies exactly at the edge of its margin, where a false flag is likeliest. Slices are fair coins.
"""

import dataclasses
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.planted.figures import Figure, share
from benchmarks.planted.rows import FLAGGED
from transforms.judge.settings import JudgeSettings
from transforms.judge.statistics import Tally
from transforms.judge.verdicts import judge_model
from transforms.records import Group, Score
from transforms.regions import REGIONS

RUNS: Final = 1000
IMAGES: Final = 60
"""Of each class: few, because few are harder on a test; each coin has half of them."""
CLASSES: Final = 6
SEED: Final = 97

Shares = NDArray[np.floating]

_SUPPORT: Final = (np.arange(64) + 0.5) / 64
"""Density shares that occur."""


def null_figures(settings: JudgeSettings, runs: int = RUNS) -> list[Figure]:
    """Shares of simulated runs with any flag on a class, and of random slices flagged.

    With nothing to be found every flag is false, so that the false discovery rate is the chance of any flag.
    """
    rng = np.random.default_rng(SEED)
    alike = skewed()
    edge = shifted(alike, settings.suspect_margin)
    figures = []
    for key, name, first in (
        ("alike", "all classes alike", alike),
        ("edge", "one class at its margin", edge),
    ):
        judged = [_judge(rng, [first] + [alike] * (CLASSES - 1), settings) for _ in range(runs)]
        flags = [any(classes) for classes, _ in judged]
        title = f"null scores, {name}: simulated runs with a flag"
        figures.append(share(f"null_runs_{key}", title, flags, high=settings.fdr))
        if key == "alike":
            coins = [flag for _, slices in judged for flag in slices]
            figures.append(share("null_slices", "null scores: random slices flagged", coins, high=0.001))
    return figures


def skewed() -> Shares:
    """Nine of ten images near 0.9, the others spread below: probability of each value of the support."""
    most = _normalised(stats.beta.pdf(_SUPPORT, 18, 2))
    rest = _normalised(stats.beta.pdf(_SUPPORT, 2, 3))
    mixed: Shares = 0.9 * most + 0.1 * rest
    return mixed


def shifted(shares: Shares, margin: float) -> Shares:
    """The same with a mean lower by the margin, a few images having moved to the lowest value."""
    mean = float(shares @ _SUPPORT)
    moved = margin / (mean - _SUPPORT[0])
    lower: Shares = (1 - moved) * shares
    lower[0] += moved
    return lower


def _judge(
    rng: np.random.Generator, classes: list[Shares], settings: JudgeSettings
) -> tuple[list[bool], list[bool]]:
    """Whether each class, and each slice, of one simulated model is flagged."""
    tallies: dict[Group, Tally] = {_group("model", None, None): Tally.zero()}
    for number, shares in enumerate(classes):
        name = f"class {number}"
        arms = {side: _tally(rng.multinomial(IMAGES // 2, shares)) for side in ("heads", "tails")}
        for side, tally in arms.items():
            tallies[_group("slice", name, side)] = tally
        whole = arms["heads"] + arms["tails"]
        tallies[_group("class", name, None)] = whole
        tallies[_group("model", None, None)] += whole
    findings = judge_model(tallies, settings)
    by_kind = {kind: [f for f in findings if f.group_kind == kind] for kind in ("class", "slice")}
    return (
        [finding.verdict in FLAGGED for finding in by_kind["class"]],
        [finding.verdict in FLAGGED for finding in by_kind["slice"]],
    )


def _group(kind: str, class_name: str | None, side: str | None) -> Group:
    return Group("null", "hirescam", "last", kind, class_name, side and "coin", side)


def _one(density_share: float) -> Tally:
    """The tally of a single score; the measures that no verdict uses have any value."""
    absent = dict.fromkeys((field.name for field in dataclasses.fields(Score)), None)
    measures = {"density_share": density_share, "energy_in_box": 0.5, "box_area": 0.25, "peak_in_box": True}
    others = {"rank_accuracy": 0.5, "energy_in_other_boxes": 0.0, "energy_by_region": [0.1] * len(REGIONS)}
    tally = Tally.zero()
    tally.add(Score(**{**absent, **measures, **others, "status": "ok"}))  # type: ignore[arg-type]
    return tally


_ONES: Final = [_one(value) for value in _SUPPORT]


def _tally(counts: NDArray[np.integer]) -> Tally:
    """The tally of so many scores of each value of the support."""
    total = Tally.zero()
    for one, count in zip(_ONES, counts, strict=True):
        for _ in range(count):
            total += one
    return total


def _normalised(weights: Shares) -> Shares:
    normalised: Shares = weights / weights.sum()
    return normalised
