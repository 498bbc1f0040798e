"""From suspicion to conviction: what the background swap says of the classes that heatmaps were asked about.

A heatmap shows where a model looks, the swap whether it depends on what is there. Both are tested by e-values
with e-BH over the classes of a model:

| | swap flags the class | it does not |
|---|---|---|
| heatmap flags the class | confirmed | suspect |
| it does not | hidden | clear, if the gap's upper bound is at most epsilon; else insufficient |
"""

import dataclasses
from collections.abc import Mapping, Sequence

from transforms.judge.gaps import GapTally
from transforms.judge.settings import JudgeSettings
from transforms.judge.statistics import e_benjamini_hochberg, log10_mean_e
from transforms.judge.verdicts import MODEL_LOG10_E
from transforms.records import Finding


def confirm(
    findings: Sequence[Finding], gaps: Mapping[str, GapTally], settings: JudgeSettings
) -> list[Finding]:
    """Adds the swap to the findings of one model.

    Args:
        findings: of `judge_model`: the model, its classes, its slices.
        gaps: annotated class -> its swaps.
        settings: margins and rates.

    Returns:
        The findings with the verdicts and columns of the counterfactual stage; slices as they were.
    """
    tested = {
        finding.group_name: gaps[finding.group_name].log10_e(settings.epsilon)
        for finding in findings
        if finding.group_kind == "class"
        and finding.group_name in gaps
        and gaps[finding.group_name].count >= settings.min_images
    }
    flagged = dict(zip(tested, e_benjamini_hochberg(list(tested.values()), settings.fdr), strict=True))
    classes = {
        finding.group_name: _class(finding, gaps, tested, flagged, settings)
        for finding in findings
        if finding.group_kind == "class"
    }
    return [
        _model(finding, list(classes.values()), gaps, tested, settings)
        if finding.group_kind == "model"
        else classes[finding.group_name]
        if finding.group_kind == "class"
        else finding
        for finding in findings
    ]


def _class(
    finding: Finding,
    gaps: Mapping[str, GapTally],
    tested: Mapping[str, float],
    flagged: Mapping[str, bool],
    settings: JudgeSettings,
) -> Finding:
    name = finding.group_name
    tally = gaps.get(name, GapTally.zero())
    suspected = finding.verdict == "suspect"
    if name not in tested:
        swaps = f"{tally.count} of {settings.min_images} needed background swaps"
        verdict = "suspect" if suspected else "insufficient"
        return dataclasses.replace(finding, verdict=verdict, message=f"{finding.message}; {swaps}")
    lower, upper = tally.bounds()
    if flagged[name]:
        verdict = "confirmed" if suspected else "hidden"
    elif suspected:
        verdict = "suspect"
    else:
        verdict = "clear" if upper <= settings.epsilon else "insufficient"
    said = f"another background moves p by {tally.gap:.2f} [{lower:.2f}, {upper:.2f}]"
    if tally.worst is not None and tally.mean_of(tally.worst) > settings.epsilon >= tally.gap:
        said += f", those of {tally.worst} by {tally.mean_of(tally.worst):.2f}"
    if verdict == "insufficient":
        said += f", too uncertain for {settings.epsilon:g} from {tally.count} swaps"
    return dataclasses.replace(
        finding,
        verdict=verdict,
        log10_e_confirmed=tested[name],
        swap_gap=tally.gap,
        swap_gap_lower=lower,
        swap_gap_upper=upper,
        residual=tally.residual,
        message=f"{finding.message}; {said}",
    )


def _model(
    finding: Finding,
    classes: Sequence[Finding],
    gaps: Mapping[str, GapTally],
    tested: Mapping[str, float],
    settings: JudgeSettings,
) -> Finding:
    """The average of the classes' e-values convicts; without a flag, all classes together must be clear."""
    if not tested:
        verdict = "suspect" if finding.verdict == "suspect" else "insufficient"
        message = f"{finding.message}; no class has the {settings.min_images} needed background swaps"
        return dataclasses.replace(finding, verdict=verdict, message=message)
    average = log10_mean_e(list(tested.values()))
    whole = sum((gaps[name] for name in tested), start=GapTally.zero())
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
