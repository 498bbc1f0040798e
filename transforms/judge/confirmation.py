"""From suspicion to conviction: what the background swap says of the classes that heatmaps were asked about.

A heatmap shows where a model looks, the swap whether it depends on what is there. Both are tested by e-values
with e-BH over the classes of a model:

| | swap flags the class | it does not |
|---|---|---|
| heatmap flags the class | confirmed | suspect |
| it does not | hidden | clear, if the gap's upper bound is at most epsilon; else insufficient |

A slice is flagged where another background costs its images more than epsilon beyond what it costs the rest
of the class; it is compared with their own background there, since that is what the slice is about.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

from transforms.judge.contrasts import log10_e_contrast
from transforms.judge.families import reject_by_family
from transforms.judge.gaps import EVERY, GapKey, GapTally
from transforms.judge.power import detectable_gap
from transforms.judge.settings import JudgeSettings
from transforms.judge.statistics import e_benjamini_hochberg, log10_mean_e
from transforms.judge.verdicts import MODEL_LOG10_E
from transforms.records import Finding

_NO_SWAP = (
    "no background swap: no other class could lend a background, or judge.confirm_budget went to more "
    "suspicious classes"
)


def confirm(
    findings: Sequence[Finding], gaps: Mapping[GapKey, GapTally], settings: JudgeSettings
) -> list[Finding]:
    """Adds the swap to the findings of one model.

    Args:
        findings: of `judge_model`: the model, its classes, its slices.
        gaps: the swaps of each class, and of each slice within a class.
        settings: margins and rates.

    Returns:
        The findings with the verdicts and columns of the counterfactual stage.
    """
    classes = _classes(findings, gaps, settings)
    slices = _slices(findings, gaps, settings)
    return [
        _model(finding, list(classes.values()), gaps, settings)
        if finding.group_kind == "model"
        else (classes if finding.group_kind == "class" else slices)[_key(finding)]
        for finding in findings
    ]


def _key(finding: Finding) -> GapKey:
    return str(finding.class_name), finding.slice_key, finding.slice_value


def _flags(log10_e: Mapping[GapKey, float], fdr: float) -> dict[GapKey, bool]:
    return reject_by_family(log10_e, lambda key: key[1], lambda family: e_benjamini_hochberg(family, fdr))


def _classes(
    findings: Sequence[Finding], gaps: Mapping[GapKey, GapTally], settings: JudgeSettings
) -> dict[GapKey, Finding]:
    rows = {_key(finding): finding for finding in findings if finding.group_kind == "class"}
    evidence = {
        key: gaps[key].log10_e(settings.epsilon)
        for key in rows
        if key in gaps and gaps[key].count >= settings.min_images
    }
    # A class without a swap, such as one that the budget was not spent on, is a hypothesis too.
    unspent = [key for key, row in rows.items() if key not in gaps and row.log10_e_suspect is not None]
    evidence |= dict.fromkeys(unspent, -math.inf)
    flagged = _flags(evidence, settings.fdr)
    judged = {}
    for key, finding in rows.items():
        tally = gaps.get(key, GapTally.zero())
        if key in unspent:
            judged[key] = _untested(finding, _NO_SWAP)
            continue
        if key not in evidence:
            swaps = f"{tally.count} of {settings.min_images} needed background swaps"
            judged[key] = _untested(finding, swaps)
            continue
        lower, upper = tally.bounds()
        verdict = _verdict(finding, flagged[key], upper <= settings.epsilon)
        said = f"another background moves p by {tally.gap:.2f} [{lower:.2f}, {upper:.2f}]"
        if tally.worst is not None and tally.mean_of(tally.worst) > settings.epsilon >= tally.gap:
            said += f", those of {tally.worst} by {tally.mean_of(tally.worst):.2f}"
        if verdict == "insufficient":
            said += f", too uncertain for {settings.epsilon:g} from {tally.count} swaps"
        judged[key] = dataclasses.replace(
            finding,
            verdict=verdict,
            log10_e_confirmed=evidence[key],
            swap_gap=tally.gap,
            swap_gap_lower=lower,
            swap_gap_upper=upper,
            residual=tally.residual,
            detectable_gap=detectable_gap(tally, settings.epsilon, len(evidence), settings.fdr),
            message=f"{finding.message}; {said}",
        )
    return judged


def _slices(
    findings: Sequence[Finding], gaps: Mapping[GapKey, GapTally], settings: JudgeSettings
) -> dict[GapKey, Finding]:
    rows = {_key(finding): finding for finding in findings if finding.group_kind == "slice"}
    nothing = GapTally.zero()
    arms = {}
    for key in rows:
        own, whole = gaps.get(key, nothing), gaps.get((key[0], EVERY, EVERY), nothing)
        arms[key] = own, whole - own
    evidence = {
        key: log10_e_contrast(own, rest, settings.epsilon)
        for key, (own, rest) in arms.items()
        if min(own.count, rest.count) >= settings.min_images
    }
    flagged = _flags(evidence, settings.fdr)
    judged = {}
    for key, finding in rows.items():
        own, rest = arms[key]
        if key not in evidence:
            swaps = f"{own.count} background swaps against {rest.count} in the rest of the class"
            judged[key] = _untested(finding, f"{swaps}, {settings.min_images} are needed on either side")
            continue
        lower, upper = own.bounds()
        verdict = _verdict(finding, flagged[key], upper - rest.bounds()[0] <= settings.epsilon)
        judged[key] = dataclasses.replace(
            finding,
            verdict=verdict,
            log10_e_confirmed=evidence[key],
            swap_gap=own.gap,
            swap_gap_lower=lower,
            swap_gap_upper=upper,
            residual=own.residual,
            message=f"{finding.message}; another background takes {own.gap:.2f} [{lower:.2f}, {upper:.2f}] "
            f"from p, {rest.gap:.2f} in the rest of the class",
        )
    return judged


def _untested(finding: Finding, why: str) -> Finding:
    verdict = "suspect" if finding.verdict == "suspect" else "insufficient"
    return dataclasses.replace(finding, verdict=verdict, message=f"{finding.message}; {why}")


def _verdict(finding: Finding, flagged: bool, is_small: bool) -> str:
    """From what the heatmap said, whether the swap flags it, and whether its gap is known to be small."""
    suspected = finding.verdict == "suspect"
    if flagged:
        return "confirmed" if suspected else "hidden"
    if suspected:
        return "suspect"
    return "clear" if is_small else "insufficient"


def _model(
    finding: Finding,
    classes: Sequence[Finding],
    gaps: Mapping[GapKey, GapTally],
    settings: JudgeSettings,
) -> Finding:
    """The average of the classes' e-values convicts; without a flag, all classes together must be clear."""
    evidence = {_key(row): row.log10_e_confirmed for row in classes if row.log10_e_confirmed is not None}
    unspent = sum(_key(row) not in gaps and row.log10_e_suspect is not None for row in classes)
    if not evidence:
        return _untested(finding, f"no class has the {settings.min_images} needed background swaps")
    average = log10_mean_e([*evidence.values(), *[-math.inf] * unspent])
    whole = sum((gaps[key] for key in evidence), start=GapTally.zero())
    lower, upper = whole.bounds()
    of_verdict = {
        verdict: [row.group_name for row in classes if row.verdict == verdict]
        for verdict in ("confirmed", "hidden", "suspect", "clear", "insufficient")
    }
    if average >= MODEL_LOG10_E:
        verdict = "hidden" if of_verdict["hidden"] and not of_verdict["confirmed"] else "confirmed"
    elif finding.verdict == "suspect":
        verdict = "suspect"
    else:
        verdict = "clear" if upper <= settings.epsilon else "insufficient"
    counted = [
        f"{len(names)} {what}" + (f" ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})")
        if what in ("confirmed", "hidden", "suspect")
        else f"{len(names)} {what}"
        for what, names in of_verdict.items()
        if names
    ]
    return dataclasses.replace(
        finding,
        verdict=verdict,
        log10_e_confirmed=average,
        swap_gap=whole.gap,
        swap_gap_lower=lower,
        swap_gap_upper=upper,
        residual=whole.residual,
        message=f"of {len(classes)} classes {', '.join(counted)}; "
        f"another background moves p by {whole.gap:.2f} [{lower:.2f}, {upper:.2f}]",
    )
