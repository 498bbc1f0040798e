"""The two sections of a model card that an audit can write, in Markdown.

Mitchell et al., "Model Cards for Model Reporting", FAT* 2019: Quantitative Analyses, unitary (each class) and
intersectional (slices within classes), and Caveats and Recommendations.
"""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transforms.write.manifest import FLAGS

_ADVICE = {
    "confirmed": "vary the context in the training data or take the cue away, or declare it accepted context",
    "hidden": "compare colours, sharpness and compression of this class with the others",
    "suspect": "see whether its boxes are larger than the object; more images may decide",
}
_MOST_NAMED = 20


def model_card(
    manifest: Mapping[str, Any],
    model: str,
    findings: Sequence[Mapping[str, Any]],
    summaries: Sequence[Mapping[str, Any]],
) -> str:
    """The sections of one model.

    Args:
        manifest: of the run.
        model: its name.
        findings: rows of that table, of this model.
        summaries: rows of that table, of this model and the layer and method of its verdicts.
    """
    of_group = {(row["group_kind"], row["group_name"]): row for row in summaries}
    of_kind = {
        kind: [row for row in findings if row["group_kind"] == kind] for kind in ("model", "class", "slice")
    }
    judged = [row for row in of_kind["slice"] if row["verdict"] != "insufficient"]
    blocks = [
        f"# {escape(model)}",
        "## Quantitative Analyses",
        f"Audit {escape(manifest['name'])}, run {escape(manifest['run_id'])} of {manifest['run_date']} by "
        f"{manifest['tool']['name']} {manifest['tool']['version']}: {manifest['records']:,} images. "
        f"Density share: how dense the heat of {escape(manifest['verdict_method'])} is inside the annotated "
        "boxes against outside; 0.5 is chance, 1 is all inside. Swap gap: by how much another background "
        "lowers the probability of the class, with bounds that each hold with 95 %.",
        "### Unitary results",
        _table([*of_kind["model"], *of_kind["class"]], of_group),
        "### Intersectional results",
        _table(judged, of_group) if judged else "No slice within a class had enough images.",
        "## Caveats and Recommendations",
        "\n".join(f"- {line}" for line in _caveats(manifest, model, of_kind, of_group)),
    ]
    return "\n\n".join(blocks) + "\n"


def escape(text: str) -> str:
    """Text that shows as it is in Markdown and in the HTML that is made of it."""
    return re.sub(r"([\\`*_\[\]|~#!$])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _table(rows: Sequence[Mapping[str, Any]], of_group: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    lines = [
        "| | images | accuracy | density share | swap gap | verdict |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for row in rows:
        summary = of_group.get((row["group_kind"], row["group_name"]), {})
        name = "**all classes**" if row["group_kind"] == "model" else escape(row["group_name"])
        gap = _number(row["swap_gap"])
        if row["swap_gap_lower"] is not None:
            gap += f" [{row['swap_gap_lower']:.2f}, {row['swap_gap_upper']:.2f}]"
        cells = (str(row["n"]), _number(summary.get("accuracy")), _number(row["density_share"]), gap)
        lines.append(f"| {name} | {' | '.join(cells)} | {row['verdict']} |")
    return "\n".join(lines)


def _caveats(
    manifest: Mapping[str, Any],
    model: str,
    of_kind: Mapping[str, Sequence[Mapping[str, Any]]],
    of_group: Mapping[tuple[str, str], Mapping[str, Any]],
) -> Iterator[str]:
    inner = [*of_kind["class"], *of_kind["slice"]]
    flagged = [row for row in inner if row["verdict"] in FLAGS]
    for row in sorted(flagged, key=lambda row: FLAGS.index(row["verdict"])):
        yield (
            f"**{escape(row['group_name'])}** is {row['verdict']}: {escape(row['message'])}. "
            f"Recommended: {_ADVICE[row['verdict']]}."
        )
    if not flagged:
        yield "No class or slice was flagged, which clears only what the tables above call clear."
    unknown = [row["group_name"] for row in of_kind["class"] if row["verdict"] == "insufficient"]
    if unknown:
        yield f"Undecided, for want of images or of certainty: {_listed(unknown)}."
    for row in manifest["data"]["associations"]:
        if row["associated"]:
            yield f"The data give the class away: {escape(row['message'])}."
    for waiver in manifest.get("waivers", []):
        if waiver["finding_id"] in {row["finding_id"] for row in flagged}:
            yield (
                f"Finding {waiver['finding_id']} is waived until {waiver['until']} by {escape(waiver['who'])}"
                f": {escape(waiver['why'])}."
            )
    left_out = [f"{count:,} {reason}" for reason, count in manifest["dead_letters"].items()]
    whole = of_group.get(("model", model), {})
    left_out += [
        f"{whole[status]:,} {status}"
        for status in ("zero_map", "not_finite", "no_box", "full_box")
        if whole.get(status)
    ]
    if left_out:
        yield f"Not measured: {escape(', '.join(left_out))}."
    unmapped = manifest["unmapped"].get(model, {})
    if unmapped:
        yield f"Annotated, but no class of the model: {_listed(list(unmapped))}."
    judge = manifest["config"]["judge"]
    if judge["confirm"]:
        yield (
            f"A change of {judge['epsilon']:g} of the probability by another background was tolerated; the "
            f"expected share of false convictions among the convicted classes is at most {judge['fdr']:g}."
        )
    else:
        yield "Nothing was tested on other backgrounds: a suspect is no conviction, and nothing is clear."
    yield (
        "Heat outside the box is reliance on context, which can be legitimate; a shortcut inside the box is "
        "not seen. The figures hold for data like those that were audited."
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(escape(name) for name in names[:_MOST_NAMED]) + more


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
