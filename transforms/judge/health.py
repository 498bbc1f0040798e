"""Whether a model's heatmaps say anything of it: they must keep to the boxes more than a control's do.

The controls are the same network with all weights drawn anew, several times (Adebayo et al., "Sanity Checks
for Saliency Maps", NeurIPS 2018). On average their heat is as dense inside the boxes as outside, a density
share of 0.5, but one draw may keep to bright objects by luck; so a model must stand clearly above chance and
measurably above every draw. One of random weights would have to be the best of `DRAWS` + 1 like it. Of a
model that does not stand there, a suspect means nothing, unless the background swap shows that the model does
depend on what lies outside the boxes.
"""

import dataclasses
from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import NDArray

from transforms.health import DRAWS, Health, HealthScore
from transforms.judge.heat import UNIT
from transforms.judge.settings import JudgeSettings
from transforms.judge.statistics import BINS, mean_bounds
from transforms.judge.verdicts import CHANCE
from transforms.records import Finding

# How far the density share must stand above chance. Above the controls, image by image, it needs no margin:
# that there are several is the margin.
SHARE_MARGIN = 0.05

_NETWORKS = tuple(f"network_{draw}" for draw in range(DRAWS))
_SHARES = ("trained", "head", *_NETWORKS)
_COUNTS = ("images", "has_head", "similar", *(f"lost_{name}" for name in _SHARES))
_SLOT = {name: slot for slot, name in enumerate((*_COUNTS, *_SHARES, "similarity"))}


@dataclasses.dataclass(eq=False)
class HealthTally:
    """What the health scores of one model add up to.

    Attributes:
        numbers: int64 of shape (len(_SLOT),): counts, and sums in units of 2^-32.
        shares: int64 of shape (256,): images by density share of the model as it is.
        gains: int64 of shape (DRAWS, 256): images by (gain over that draw + 1) / 2.
    """

    numbers: NDArray[np.int64]
    shares: NDArray[np.int64]
    gains: NDArray[np.int64]

    @classmethod
    def zero(cls) -> Self:
        """The tally of no scores."""
        return cls(
            np.zeros(len(_SLOT), np.int64), np.zeros(BINS, np.int64), np.zeros((DRAWS, BINS), np.int64)
        )

    def add(self, score: HealthScore) -> None:
        """Adds one score, in place."""
        measured = {"trained": score.trained, **dict(zip(_NETWORKS, score.networks, strict=True))}
        if score.has_head:
            measured["head"] = score.head
        shares = {name: CHANCE if share is None else share for name, share in measured.items()}
        self.shares[_bin(shares["trained"])] += 1
        for draw, name in enumerate(_NETWORKS):
            self.gains[draw, _bin((shares["trained"] - shares[name] + 1) / 2)] += 1
        values = {
            "images": 1,
            "has_head": score.has_head,
            "similar": score.similarity is not None,
            "similarity": round((score.similarity or 0.0) * UNIT),
            **{f"lost_{name}": share is None for name, share in measured.items()},
            **{name: round(share * UNIT) for name, share in shares.items()},
        }
        for name, value in values.items():
            self.numbers[_SLOT[name]] += value

    def __add__(self, other: "HealthTally") -> "HealthTally":
        return HealthTally(self.numbers + other.numbers, self.shares + other.shares, self.gains + other.gains)

    @property
    def images(self) -> int:
        """Images that were compared."""
        return self.count("images")

    def count(self, name: str) -> int:
        """A count."""
        return int(self.numbers[_SLOT[name]])

    def mean(self, name: str, of: str = "images") -> float | None:
        """Mean of what is summed or counted, over the images that are counted by `of`; None without any."""
        count, unit = self.count(of), 1 if name in _COUNTS else UNIT
        return self.count(name) / unit / count if count else None


def judge_health(findings: Sequence[Finding], tally: HealthTally, settings: JudgeSettings) -> Health:
    """Judges the explanation of one model.

    Args:
        findings: of the model itself and of its classes, by heat and swap.
        tally: of its health scores.
        settings: `min_images`.
    """
    share_lower: float | None = None
    gain_lower: float | None = None
    nearest = _NETWORKS[0]
    if tally.images:
        share_lower = mean_bounds(tally.shares)[0]
        gain_lower, nearest = min(
            (2 * mean_bounds(gains)[0] - 1, name) for gains, name in zip(tally.gains, _NETWORKS, strict=True)
        )
    trained, network = tally.mean("trained"), tally.mean(nearest)
    verdict, message = _verdict(tally, network, share_lower, gain_lower, findings, settings)
    return Health(
        model=findings[0].model,
        verdict=verdict,
        images=tally.images,
        density_share=trained,
        density_share_lower=share_lower,
        density_share_head=tally.mean("head", "has_head"),
        density_share_network=network,
        gain=None if trained is None or network is None else trained - network,
        gain_lower=gain_lower,
        zero_maps=tally.mean("lost_trained"),
        zero_maps_head=tally.mean("lost_head", "has_head"),
        zero_maps_network=tally.mean(f"lost_{nearest}"),
        similarity=tally.mean("similarity", "similar"),
        similarity_images=tally.count("similar"),
        message=message,
    )


def disregard(findings: Sequence[Finding]) -> list[Finding]:
    """The findings by one model's heatmaps where those are not to be trusted: nothing is concluded."""
    return [
        finding
        if finding.verdict == "insufficient"
        else dataclasses.replace(
            finding,
            verdict="insufficient",
            message="heat not counted"
            if finding.group_kind == "model"
            else f"{finding.message}; heat not counted",
        )
        for finding in findings
    ]


def mention(findings: Sequence[Finding], health: Health) -> list[Finding]:
    """The findings of one model with the state of its explanation told in that on the model itself."""
    return [
        dataclasses.replace(finding, message=f"{finding.message}; {health.message}")
        if finding.group_kind == "model"
        else finding
        for finding in findings
    ]


def _verdict(
    tally: HealthTally,
    network: float | None,
    share_lower: float | None,
    gain_lower: float | None,
    findings: Sequence[Finding],
    settings: JudgeSettings,
) -> tuple[str, str]:
    if tally.images < settings.min_images or share_lower is None or gain_lower is None:
        return "insufficient", (
            f"explanation not checked: {tally.images} images were compared with weights drawn anew, "
            f"{settings.min_images} are needed"
        )
    compared = (
        f"density share {tally.mean('trained'):.2f} (at least {share_lower:.2f}) on {tally.images} images, "
        f"{network:.2f} with all weights drawn anew, the nearest of {DRAWS} draws"
    )
    if share_lower > CHANCE + SHARE_MARGIN and gain_lower > 0:
        return "trusted", f"explanation trusted: {compared}"
    needed = f"too little above that or above chance, {CHANCE}"
    if any(row.group_kind == "model" and row.verdict in ("confirmed", "hidden") for row in findings):
        return "trusted", (
            f"explanation trusted: {compared}, {needed}, but background swaps show that the model depends on "
            "what lies outside the boxes"
        )
    doubt = "" if settings.confirm else "; judge.confirm: true would tell"
    return "not_trusted", (
        f"explanation not to be trusted for this model: {compared}, {needed}; "
        f"either its heatmaps say nothing or it looks past its objects{doubt}"
    )


def _bin(value: float) -> int:
    return min(BINS - 1, int(value * BINS))
