"""All that is concluded of one model: plausibility, heat, swaps, and where it looks instead."""

from collections.abc import Mapping

from transforms.judge.company import Pair
from transforms.judge.confirmation import confirm
from transforms.judge.gaps import GapKey, GapTally
from transforms.judge.heat import Ints
from transforms.judge.modes import find_modes
from transforms.judge.plausibility import implausible
from transforms.judge.settings import JudgeSettings
from transforms.judge.sightings import Sightings
from transforms.judge.statistics import Tally
from transforms.judge.verdicts import judge_model
from transforms.judge.wording import say_where
from transforms.records import Finding, Group


def conclude(
    tallies: Mapping[Group, Tally],
    company: Mapping[Pair, Ints],
    gaps: Mapping[GapKey, GapTally] | None,
    settings: JudgeSettings,
    withheld: str | None = None,
    trusted: Mapping[str, float] | None = None,
    sightings: Mapping[Group, Sightings] | None = None,
) -> list[Finding]:
    """The findings of one model.

    Args:
        tallies: groups of all three kinds, of one model, method and layer.
        company: what other annotated classes share of the heat.
        gaps: the background swaps of each class and slice; None without the counterfactual stage.
        settings: margins and rates.
        withheld: why no verdicts are made, None where they are.
        trusted: class -> mean density share of the reference model; None for that model itself.
        sightings: class -> its sampled maps, in which modes are looked for.
    """
    if not tallies:  # nothing was scored, and the run fails for that
        return []
    reason = withheld or implausible(tallies)
    findings = judge_model(tallies, settings, reason, trusted)
    if gaps is not None and reason is None:
        findings = confirm(findings, gaps, settings)
    modes = find_modes(sightings or {}, settings) if reason is None else []
    return [*say_where(findings, tallies, company, settings), *modes]
