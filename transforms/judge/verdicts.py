"""From the tallies of one model to its findings.

A class is `suspect` when the e-value against "its mean density share is at least its reference minus the
margin" survives e-BH over the model's classes. The reference is the same class of a trusted model where the
config names one, else the median of the model's other classes; with fewer than five of those it is chance,
0.5, without a margin. A heatmap makes a suspect, no more:
heat outside the box is context reliance, and may be legitimate.
"""

import dataclasses
import hashlib
import math
import statistics as averages
from collections.abc import Mapping, Sequence
from typing import Any

from transforms.judge.groups import group_name
from transforms.judge.power import detectable_share
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


@dataclasses.dataclass(frozen=True)
class _Reference:
    """What a class is compared with: a share, the same less the margin, and whose it is; None for chance."""

    share: float
    threshold: float
    words: str | None


def judge_model(
    tallies: Mapping[Group, Tally],
    settings: JudgeSettings,
    withheld: str | None = None,
    trusted: Mapping[str, float] | None = None,
) -> list[Finding]:
    """Judges one model by the tallies of one method and layer.

    Args:
        tallies: groups of all three kinds, of one model, method and layer.
        settings: margins and rates.
        withheld: why no verdicts are made; everything is then `insufficient` with this message.
        trusted: class -> mean density share of the reference model, for the classes of which it has enough.

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
    classes = _judge_classes(of_kind["class"], settings, trusted or {})
    within = {group: tally for group, tally in of_kind["slice"].items() if group.class_name is not None}
    by_class = {str(group.class_name): tally for group, tally in of_kind["class"].items()}
    slices = [
        finding(group, within[group], verdict, message, **found)
        for group, verdict, message, found in judge_slices(within, by_class, settings)
    ]
    models = [_judge_whole(group, tally, classes) for group, tally in of_kind["model"].items()]
    return [*models, *classes, *slices]


def suspicion(classes: Mapping[Group, Tally], settings: JudgeSettings) -> list[tuple[str, float]]:
    """The classes of one model of which enough was measured, and log10 of the e-value against each."""
    found = _judge_classes(classes, settings, {})
    return [(row.group_name, row.log10_e_suspect) for row in found if row.log10_e_suspect is not None]


def _judge_classes(
    tallies: Mapping[Group, Tally], settings: JudgeSettings, trusted: Mapping[str, float]
) -> list[Finding]:
    enough = {g: t for g, t in tallies.items() if t.units >= settings.min_images}
    means = {group: tally.density_share or 0.0 for group, tally in enough.items()}
    medians: dict[Group, float | None] = {}
    references = {}
    for group in enough:
        peers = [mean for other, mean in means.items() if other != group]
        medians[group] = averages.median(peers) if len(peers) >= MIN_PEERS else None
        references[group] = _reference(group, medians[group], settings, trusted)
    evidence = {g: log10_e_below(t.histogram, references[g].threshold) for g, t in enough.items()}
    flagged = dict(zip(evidence, e_benjamini_hochberg(list(evidence.values()), settings.fdr), strict=True))
    findings = []
    for group, tally in tallies.items():
        if group not in enough:
            findings.append(finding(group, tally, "insufficient", too_few(tally, settings.min_images)))
            continue
        verdict = "suspect" if flagged[group] else "unsuspected"
        message = _class_message(means[group], references[group], evidence[group])
        threshold = references[group].threshold
        findings.append(
            finding(
                group,
                tally,
                verdict,
                message,
                log10_e_suspect=evidence[group],
                peers_median=medians[group],
                reference=references[group].share,
                detectable_density_share=detectable_share(tally, threshold, len(enough), settings.fdr),
            )
        )
    return findings


def _reference(
    group: Group, peers_median: float | None, settings: JudgeSettings, trusted: Mapping[str, float]
) -> _Reference:
    name = str(group.class_name)
    if name in trusted:
        share, words = trusted[name], f"the {trusted[name]:.2f} of {settings.reference_model}"
    elif peers_median is not None:
        share, words = peers_median, f"the median {peers_median:.2f} of its peer classes"
    else:
        return _Reference(CHANCE, CHANCE, None)
    # An e-value needs a mean inside (0, 1); one bin is the least that a histogram can tell from 0 and 1.
    threshold = min(max(share - settings.suspect_margin, 1 / BINS), 1 - 1 / BINS)
    return _Reference(share, threshold, words)


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


def _class_message(mean: float, reference: _Reference, log10_e: float) -> str:
    if reference.words is None:
        compared = f"against {CHANCE}, chance, for want of {MIN_PEERS} peer classes"
    else:
        side = "below" if mean < reference.share else "above"
        compared = f"{abs(mean - reference.share):.2f} {side} {reference.words}"
    return f"mean density share {mean:.2f}, {compared}; e = 10^{log10_e:.1f}"


def too_few(tally: Tally, min_images: int) -> str:
    """Says how many images were measured, how many are needed, and what became of the others."""
    lost = [f"{tally.count(status)} {status}" for status in STATUSES[1:] if tally.count(status)]
    skipped = f" ({', '.join(lost)})" if lost else ""
    return f"{counted(tally)}{skipped}, {min_images} are needed"


def counted(tally: Tally) -> str:
    """How many measured images there are, and in how many clusters where some belong to one."""
    images = f"{tally.measured} measured images"
    return images if tally.units == tally.measured else f"{images} of {tally.units} clusters"


def finding(group: Group, tally: Tally, verdict: str, message: str, **found: Any) -> Finding:
    """A row of `findings`: its identity, counts and verdict, and what else was found; the rest is None."""
    identity = "\x1f".join(
        part or "" for part in (group.model, group.kind, group.class_name, group.slice_key, group.slice_value)
    )
    known: dict[str, Any] = {
        "finding_id": hashlib.sha256(identity.encode()).hexdigest()[:16],
        "model": group.model,
        "group_kind": group.kind,
        "group_name": group_name(group),
        "class_name": group.class_name,
        "slice_key": group.slice_key,
        "slice_value": group.slice_value,
        "verdict": verdict,
        "n": tally.measured,
        "density_share": tally.density_share,
        "message": message,
        **found,
    }
    columns: dict[str, Any] = {field.name: known.get(field.name) for field in dataclasses.fields(Finding)}
    return Finding(**columns)
