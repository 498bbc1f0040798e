"""From the tallies of one model to its findings.

A class is `suspect` when the e-value against "its mean density share is at least its reference minus the
margin" survives e-BH over the model's classes. The reference is the median of the model's other classes;
with fewer than five of those it is chance, 0.5, without a margin. A heatmap makes a suspect, no more:
heat outside the box is context reliance, and may be legitimate.
"""

import hashlib
import math
import statistics as averages
from collections.abc import Mapping, Sequence

from transforms.judge.groups import group_name
from transforms.judge.settings import JudgeSettings
from transforms.judge.slices import judge_slices
from transforms.judge.statistics import (
    BINS,
    STATUSES,
    Tally,
    e_benjamini_hochberg,
    log10_e_below,
    log10_mean_e,
)
from transforms.records import Finding, Group

MIN_PEERS = 5
CHANCE = 0.5
# Average e-value of a model's classes from which the model itself is suspect: odds of 20 to 1.
MODEL_LOG10_E = math.log10(20)


def judge_model(
    tallies: Mapping[Group, Tally], settings: JudgeSettings, withheld: str | None = None
) -> list[Finding]:
    """Judges one model by the tallies of one method and layer.

    Args:
        tallies: groups of all three kinds, of one model, method and layer.
        settings: margins and rates.
        withheld: why no verdicts are made; everything is then `insufficient` with this message.

    Returns:
        A finding for the model, then for each class, then for each slice within a class, sorted by name.
    """
    ordered = sorted(tallies, key=lambda group: (group_name(group), repr(group)))
    of_kind = {
        kind: {group: tallies[group] for group in ordered if group.kind == kind}
        for kind in ("model", "class", "slice")
    }
    if withheld is not None:
        return [
            finding(group, tally, "insufficient", withheld)
            for kind in of_kind.values()
            for group, tally in kind.items()
            if kind is not of_kind["slice"] or group.class_name is not None
        ]
    classes = _judge_classes(of_kind["class"], settings)
    within = {group: tally for group, tally in of_kind["slice"].items() if group.class_name is not None}
    by_class = {str(group.class_name): tally for group, tally in of_kind["class"].items()}
    slices = [
        finding(group, tally, verdict, message)
        for group, tally, verdict, message in judge_slices(within, by_class, settings)
    ]
    models = [_judge_whole(group, tally, classes) for group, tally in of_kind["model"].items()]
    return [*models, *classes, *slices]


def _judge_classes(tallies: Mapping[Group, Tally], settings: JudgeSettings) -> list[Finding]:
    enough = {g: t for g, t in tallies.items() if t.measured >= settings.min_images}
    means = {group: tally.mean("density_share") or 0.0 for group, tally in enough.items()}
    medians: dict[Group, float | None] = {}
    evidence = {}
    for group, tally in enough.items():
        peers = [mean for other, mean in means.items() if other != group]
        medians[group] = averages.median(peers) if len(peers) >= MIN_PEERS else None
        evidence[group] = log10_e_below(tally.histogram, _threshold(medians[group], settings))
    flagged = dict(zip(evidence, e_benjamini_hochberg(list(evidence.values()), settings.fdr), strict=True))
    findings = []
    for group, tally in tallies.items():
        if group not in enough:
            findings.append(finding(group, tally, "insufficient", too_few(tally, settings.min_images)))
            continue
        verdict = "suspect" if flagged[group] else "unsuspected"
        message = _class_message(means[group], medians[group], evidence[group])
        findings.append(
            finding(
                group,
                tally,
                verdict,
                message,
                log10_e_suspect=evidence[group],
                peers_median=medians[group],
            )
        )
    return findings


def _threshold(peers_median: float | None, settings: JudgeSettings) -> float:
    if peers_median is None:
        return CHANCE
    # An e-value needs a mean inside (0, 1); one bin is the least that a histogram can tell from 0 and 1.
    return min(max(peers_median - settings.suspect_margin, 1 / BINS), 1 - 1 / BINS)


def _judge_whole(group: Group, tally: Tally, classes: Sequence[Finding]) -> Finding:
    evidence = [f.log10_e_suspect for f in classes if f.log10_e_suspect is not None]
    if not evidence:
        return finding(group, tally, "insufficient", f"none of its {len(classes)} classes could be judged")
    average = log10_mean_e(evidence)
    suspects = [f.group_name for f in classes if f.verdict == "suspect"]
    message = f"{len(suspects)} of {len(evidence)} judged classes suspect"
    if suspects:
        message += ": " + ", ".join(suspects[:5]) + (", ..." if len(suspects) > 5 else "")
    if len(evidence) < len(classes):
        message += f"; {len(classes) - len(evidence)} insufficient"
    verdict = "suspect" if average >= MODEL_LOG10_E else "unsuspected"
    return finding(group, tally, verdict, message, log10_e_suspect=average)


def _class_message(mean: float, peers_median: float | None, log10_e: float) -> str:
    if peers_median is None:
        compared = f"against {CHANCE}, chance, for want of {MIN_PEERS} peer classes"
    else:
        side = "below" if mean < peers_median else "above"
        compared = f"{abs(mean - peers_median):.2f} {side} the median {peers_median:.2f} of its peer classes"
    return f"mean density share {mean:.2f}, {compared}; e = 10^{log10_e:.1f}"


def too_few(tally: Tally, min_images: int) -> str:
    """Says how many images were measured, how many are needed, and what became of the others."""
    lost = [f"{tally.count(status)} {status}" for status in STATUSES[1:] if tally.count(status)]
    skipped = f" ({', '.join(lost)})" if lost else ""
    return f"{tally.measured} measured images{skipped}, {min_images} are needed"


def finding(
    group: Group,
    tally: Tally,
    verdict: str,
    message: str,
    log10_e_suspect: float | None = None,
    peers_median: float | None = None,
) -> Finding:
    """A row of `findings`; what this version does not compute stays None."""
    identity = "\x1f".join(
        part or "" for part in (group.model, group.kind, group.class_name, group.slice_key, group.slice_value)
    )
    return Finding(
        finding_id=hashlib.sha256(identity.encode()).hexdigest()[:16],
        model=group.model,
        group_kind=group.kind,
        group_name=group_name(group),
        class_name=group.class_name,
        slice_key=group.slice_key,
        slice_value=group.slice_value,
        verdict=verdict,
        n=tally.measured,
        log10_e_suspect=log10_e_suspect,
        log10_e_confirmed=None,
        density_share=tally.mean("density_share"),
        peers_median=peers_median,
        swap_gap=None,
        swap_gap_lower=None,
        swap_gap_upper=None,
        residual=None,
        region=None,
        region_share=None,
        co_occurring_class=None,
        exemplars=None,
        message=message,
        exemplar_details=None,
    )
