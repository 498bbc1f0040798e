"""What a person sees on the terminal: plans, inspections, and the summary at the end of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich.console
import rich.markup
import rich.table

if TYPE_CHECKING:  # a plan needs TensorFlow, a comparison does not
    from pipeline.compare import Comparison
    from pipeline.plan import Plan

from transforms.judge.statistics import STATUSES
from transforms.write.manifest import FLAGS

_STYLES = {
    **dict.fromkeys(("clear", "unsuspected", "same", "better"), "green"),
    **dict.fromkeys(("insufficient", "inconclusive"), "yellow"),
}
_HEADS = {
    "softmax": "one class of many; the logits stand before it",
    "sigmoid": "each class for itself; the logits stand before it",
    "binary": "one logit, read as two classes: 0 where it is negative, 1 where it is positive",
    "linear": "the output itself",
    "function": "scores of a function of the user",
}
# A transformer's last block and head have 7.
_MOST_BEHIND = 10
# Suspects beyond these stand in the table `findings` only.
_MOST_SUSPECTS = 20


def print_plan(plan: "Plan", config_yaml: str) -> None:
    """The resolved config and what the run would do."""
    console = _console()
    console.print(config_yaml, markup=False, highlight=False, soft_wrap=True)
    data = plan.run.details["data"]
    listing = f"{_counted(data['files'], 'file')} in {_counted(data['shards'], 'shard')}"
    console.print(f"data: {listing}, {data['bytes']:,} bytes, format {data['format']}")
    for model in plan.run.details["models"]:
        maps = ", ".join(
            f"{height}x{width} at {layer['name']}"
            for layer in model["layers"]
            for height, width in [layer["map_size"]]
        )
        console.print(
            f"model {model['name']}: heatmaps of {maps}, {model['classes']} classes, {model['head']} head",
            markup=False,
        )
    console.print(
        f"output: run {plan.run.paths.run_id} below {plan.run.paths.output}", markup=False, soft_wrap=True
    )
    console.print("Dry run: nothing was written.")


def print_inspection(found: Mapping[str, Any]) -> None:
    """What `inspect` found in a model, with the layers nearest to the head that could be explained."""
    console = _console()
    labels = {
        "target_layer": "cut layer",
        "map_size": "map size",
        "logits_tensor": "logits tensor",
        "head": "head",
        "classes": "classes",
        "input_size": "input size",
    }
    for key, label in labels.items():
        value = "x".join(str(n) for n in found[key]) if isinstance(found[key], list) else found[key]
        if key == "head":
            value = f"{value}: {_HEADS[value]}"
        console.print(f"{label:14} {value}", markup=False, soft_wrap=True)
    if not found["separates"]:
        console.print(
            f"{'note':14} the logits also see the image past the cut layer", markup=False, soft_wrap=True
        )
    if found["behind"] > _MOST_BEHIND:
        console.print(
            f"{'note':14} {found['behind']} operations with weights lie behind the cut layer, more than a "
            "head has; is there a later one?",
            markup=False,
            soft_wrap=True,
        )
    nearest = list(found["candidates"].items())[-8:][::-1]
    for index, (name, shape) in enumerate(nearest):
        label = "candidates" if index == 0 else ""
        console.print(f"{label:14} {name} {'x'.join(str(n) for n in shape)}", markup=False, soft_wrap=True)
    rest = len(found["candidates"]) - len(nearest)
    if rest:
        console.print(f"{'':14} and {rest} more, see --json", markup=False, soft_wrap=True)


def print_summary(
    manifest: Mapping[str, Any], summaries: Sequence[Mapping[str, Any]], findings: Sequence[Mapping[str, Any]]
) -> None:
    """One table of models and suspects, what was left out, and one last line."""
    console = _console()
    layers = {model["name"]: model["target_layer"] for model in manifest["models"]}
    summary_of = {
        (row["model"], row["method"], row["group_kind"], row["group_name"]): row
        for row in summaries
        if row["target_layer"] == layers[row["model"]]
    }
    method = manifest["verdict_method"]
    table = rich.table.Table(title=rich.markup.escape(f"{manifest['name']}: {method}"), title_justify="left")
    for column in ("model", "what", "verdict"):
        table.add_column(column)
    for column in ("measured", "accuracy", "energy in box", "box area", "density share", "swap gap"):
        table.add_column(column, justify="right")
    suspects = [row for row in findings if row["group_kind"] != "model" and row["verdict"] in FLAGS]
    suspects.sort(key=lambda row: (FLAGS.index(row["verdict"]), -(row["log10_e_suspect"] or 0.0)))
    shown = [row for row in findings if row["group_kind"] == "model"] + suspects[:_MOST_SUSPECTS]
    for row in sorted(shown, key=lambda row: row["model"]):
        # A mode is no group of its own, and has no summary.
        summary = summary_of.get((row["model"], method, row["group_kind"], row["group_name"]), {})
        table.add_row(
            rich.markup.escape(row["model"]),
            "the model" if row["group_kind"] == "model" else rich.markup.escape(row["group_name"]),
            f"[{_STYLES.get(row['verdict'], 'bold red')}]{row['verdict']}[/]",
            str(row["n"]),
            _number(summary.get("accuracy")),
            _number(summary.get("energy_in_box")),
            _number(summary.get("box_area")),
            _number(row["density_share"]),
            _number(row["swap_gap"]),
        )
    console.print(table)
    for row in shown:
        console.print(
            f"{row['model']}: {_what(row)}{row['message']}", markup=False, highlight=False, soft_wrap=True
        )
    if len(suspects) > _MOST_SUSPECTS:
        console.print(f"... and {len(suspects) - _MOST_SUSPECTS} more in the table findings")
    lines = (
        *(*_of_data(manifest), *_left_out(manifest, summaries), *_notes(manifest)),
        f"Report: {_short(manifest['config']['output'])}/runs/{manifest['run_id']}/report.html",
        last_line(manifest),
    )
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def print_comparison(found: "Comparison") -> None:
    """The answer, and a table of the models, the classes, and the slices that changed."""
    console = _console()
    table = rich.table.Table()
    for column in ("measure", "what", "verdict"):
        table.add_column(column)
    for column in ("images", "baseline", "candidate", "change", "bounds"):
        table.add_column(column, justify="right")
    shown = [c for c in found.changes if c.group_kind != "slice" or c.verdict in ("worse", "better")]
    for change in shown:
        bounds = "-" if change.lower is None else f"[{change.lower:+.2f}, {change.upper:+.2f}]"
        table.add_row(
            change.measure,
            "the model" if change.group_kind == "model" else rich.markup.escape(change.group_name),
            f"[{_STYLES.get(change.verdict, 'bold red')}]{change.verdict}[/]",
            str(change.n),
            _number(change.baseline),
            _number(change.candidate),
            "-" if change.change is None else f"{change.change:+.2f}",
            bounds,
        )
    console.print(table)
    notes = [f"allowed: {difference}" for difference in found.differences] + _unpaired(found)
    for line in (*notes, f"{found.headline}: {found.reason}"):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _unpaired(found: "Comparison") -> list[str]:
    lines = []
    for change in found.changes:
        if change.group_kind == "model" and change.only_baseline + change.only_candidate:
            measure = change.measure.replace("_", " ")
            lines.append(
                f"{measure}: measured by one only: {change.only_baseline:,} under the baseline, "
                f"{change.only_candidate:,} under the candidate"
            )
    return lines


def last_line(manifest: Mapping[str, Any]) -> str:
    """The outcome of a complete run in one sentence."""
    flagged = [row["verdict"] for row in manifest["flagged"] if row["group_kind"] != "model"]
    found = ", ".join(f"{flagged.count(word)} {word}" for word in FLAGS if word in flagged)
    classes = [of["class"] for of in manifest["verdicts"].values()]
    judged = sum(sum(verdicts.values()) for verdicts in classes)
    insufficient = sum(verdicts.get("insufficient", 0) for verdicts in classes)
    earlier = (
        f" ({manifest['recalled']:,} explained by run {manifest['resumes']})" if manifest["resumes"] else ""
    )
    return (
        f"Audit {manifest['name']} complete: {found or 'nothing flagged'} among "
        f"{_counted(judged, 'class', 'classes')} ({insufficient} insufficient), "
        f"{manifest['records']:,} records{earlier} at {manifest['images_per_second']:,.1f}/s; "
        f"run {manifest['run_id']} in {_short(manifest['config']['output'])}"
    )


def _of_data(manifest: Mapping[str, Any]) -> list[str]:
    """Which slices tell the class, and which could not be asked."""
    lines = []
    for row in manifest["data"]["associations"]:
        if row["associated"]:
            lines.append(f"data: {row['message']}")
        elif row["associated"] is None and manifest["slices"].get(row["slice_key"]):
            lines.append(f"slice {row['slice_key']}: {row['message']}")
    return lines


def _left_out(manifest: Mapping[str, Any], summaries: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    dead = manifest["dead_letters"]
    if dead:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dead.items())
        lines.append(f"dead letters: {reasons}")
    for model, names in manifest["unmapped"].items():
        count = _counted(len(names), "annotated name")
        lines.append(f"{model}: {count} not in the class map, which stand {sum(names.values()):,} times")
    lines += [f"slice {key}: in no record" for key, count in manifest["slices"].items() if not count]
    if manifest["config"]["cluster"] is not None and not manifest["clustered"]:
        lines.append(f"cluster {manifest['config']['cluster']}: in no record, every image counts by itself")
    lines += [
        f"judge.allowed_classes: no record has {name}"
        for name in manifest["config"]["judge"]["allowed_classes"]
        if name not in manifest["allowed_classes"]
    ]
    for row in summaries:
        skipped = [f"{row[status]:,} {status}" for status in STATUSES[1:] if row[status]]
        if row["group_kind"] == "model" and skipped:
            lines.append(f"{row['model']}, {row['method']}: not measured: {', '.join(skipped)}")
    return lines


def _notes(manifest: Mapping[str, Any]) -> list[str]:
    # Of an explanation that is not to be trusted the finding on the model tells.
    lines = [
        f"{model['name']}: {model['health']['message']}"
        for model in manifest["models"]
        if model["health"] and model["health"]["verdict"] == "insufficient"
    ]
    if manifest["config"]["judge"]["confirm"]:
        return lines
    return [
        *lines,
        "judge.confirm is false: nothing was tested on other backgrounds, a suspect is no conviction",
    ]


def _what(row: Mapping[str, Any]) -> str:
    return "" if row["group_kind"] == "model" else f"{row['group_name']}: "


def _short(path: str) -> str:
    """A path below the working directory without it, any other as it is."""
    local = Path(path)
    return str(local.relative_to(Path.cwd())) if local.is_relative_to(Path.cwd()) else path


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _counted(count: int, word: str, plural: str | None = None) -> str:
    return f"{count:,} {word if count == 1 else plural or word + 's'}"


class _Console(rich.console.Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # which the command line takes for the end; rich would exit with 1


def _console() -> rich.console.Console:
    # Off a terminal rich would draw tables for 80 columns; logs and pipes have no such edge. And `:m:` is a
    # model between colons, no emoji.
    console = _Console(emoji=False)
    return console if console.is_terminal else _Console(width=160, emoji=False)
