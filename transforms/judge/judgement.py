"""All that is concluded of one model: plausibility, heat, swaps, its health, and where it looks instead."""

import dataclasses
from collections.abc import Mapping

from transforms.health import Health
from transforms.judge.company import Pair
from transforms.judge.confirmation import confirm
from transforms.judge.gaps import GapKey, GapTally
from transforms.judge.health import HealthTally, disregard, judge_health, mention
from transforms.judge.heat import Ints
from transforms.judge.modes import find_modes
from transforms.judge.plausibility import implausible
from transforms.judge.settings import JudgeSettings
from transforms.judge.sightings import Sightings
from transforms.judge.statistics import Tally
from transforms.judge.verdicts import judge_model
from transforms.judge.wording import say_where
from transforms.records import Finding, Group


@dataclasses.dataclass(frozen=True)
class Conclusion:
    """The findings of one model, and whether its heatmaps are to be trusted, None where not asked."""

    findings: list[Finding]
    health: Health | None = None


def conclude(
    tallies: Mapping[Group, Tally],
    company: Mapping[Pair, Ints],
    gaps: Mapping[GapKey, GapTally] | None,
    settings: JudgeSettings,
    withheld: str | None = None,
    trusted: Mapping[str, float] | None = None,
    sightings: Mapping[Group, Sightings] | None = None,
    health: HealthTally | None = None,
) -> Conclusion:
    """The findings of one model.

    Args:
        tallies: groups of all three kinds, of one model, method and layer.
        company: what other annotated classes share of the heat.
        gaps: the background swaps of each class and slice; None without the counterfactual stage.
        settings: margins and rates.
        withheld: why no verdicts are made, None where they are.
        trusted: class -> mean density share of the reference model; None for that model itself.
        sightings: class -> its sampled maps, in which modes are looked for.
        health: how its heatmaps compare with those of its controls; None where they were not compared.
    """
    if not tallies:  # nothing was scored, and the run fails for that
        return Conclusion([])
    reason = withheld or implausible(tallies)
    swaps = gaps if reason is None else None
    of_heat = judge_model(tallies, settings, reason, trusted)
    findings = of_heat if swaps is None else confirm(of_heat, swaps, settings)
    state = None if health is None else judge_health(findings, health, settings)
    if state is not None and state.verdict == "not_trusted":
        of_heat, sightings = disregard(of_heat), None  # modes are of heat too
        findings = mention(of_heat if swaps is None else confirm(of_heat, swaps, settings), state)
    modes = find_modes(sightings or {}, settings) if reason is None else []
    return Conclusion([*say_where(findings, tallies, company, settings), *modes], state)
