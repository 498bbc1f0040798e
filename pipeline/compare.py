"""Is the candidate worse than the baseline, and where? Two models of one run or of two, image by image."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.gate import FINDINGS, INCONCLUSIVE, PASS
from pipeline.runs import CompleteRun, complete_run, find_run, no_such_model, split_name
from transforms.errors import RunError, UsageError
from transforms.judge.comparison import MEASURES, Change, PairedImage, compare
from transforms.write.reading import JudgedRow, judged_rows
from transforms.write.wiring import open_part, parts_of

_MOST_NAMED = 5


@dataclasses.dataclass(frozen=True)
class Side:
    """One of the two models.

    Attributes:
        run: the run that scored it.
        model: its name there.
    """

    run: CompleteRun
    model: str

    @property
    def name(self) -> str:
        """`RUN:MODEL`."""
        return f"{self.run.paths.run_id}:{self.model}"

    @property
    def details(self) -> Mapping[str, Any]:
        """What the manifest says of the model."""
        return self.run.models[self.model]

    @property
    def method(self) -> str:
        """The method whose heatmaps its verdicts use."""
        return str(self.run.manifest["verdict_method"])


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What became of the baseline in the candidate.

    Attributes:
        baseline, candidate: the two.
        margin: the change of a mean that is accepted.
        differences: what the two were measured on or with that is not the same; empty unless it was allowed.
        changes: of `transforms.judge.comparison.compare`.
    """

    baseline: Side
    candidate: Side
    margin: float
    differences: Sequence[str]
    changes: Sequence[Change]

    @property
    def status(self) -> int:
        """Exit status: 0 nothing is worse, 1 something is, 4 a whole model is inconclusive."""
        if any(change.verdict == "worse" for change in self.changes):
            return FINDINGS
        models = [change for change in self.changes if change.group_kind == "model"]
        return INCONCLUSIVE if not models or any(c.verdict == "inconclusive" for c in models) else PASS

    @property
    def headline(self) -> str:
        """The answer in a few words."""
        words = {PASS: "is no worse than", FINDINGS: "is worse than", INCONCLUSIVE: "is inconclusive against"}
        return f"{self.candidate.name} {words[self.status]} {self.baseline.name}"

    @property
    def reason(self) -> str:
        """Where and how much."""
        if self.status == INCONCLUSIVE:
            return f"too few images or too much spread for a margin of {self.margin:g}"
        if self.status == PASS:
            models = [change for change in self.changes if change.group_kind == "model"]
            return ", ".join(_worded(change, self.margin) for change in models)
        worse = [change for change in self.changes if change.verdict == "worse"]
        inner = [change for change in worse if change.group_kind != "model"] or worse
        groups: dict[str, list[str]] = {}
        for change in sorted(inner, key=lambda change: (change.group_kind, -abs(change.change or 0.0))):
            groups.setdefault(change.group_name, []).append(_moved(change))
        named = [f"{name} ({', '.join(moves)})" for name, moves in groups.items()]
        more = f", and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
        return ", ".join(named[:_MOST_NAMED]) + more

    def as_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "status": self.status,
            "headline": self.headline,
            "reason": self.reason,
            "baseline": self.baseline.name,
            "candidate": self.candidate.name,
            "method": self.candidate.method,
            "margin": self.margin,
            "differences": list(self.differences),
            "changes": [dataclasses.asdict(change) for change in self.changes],
        }


def compare_models(
    output: str, baseline: str, candidate: str, *, margin: float, allow_different: bool
) -> Comparison:
    """Compares two models that have been audited below one output directory.

    Args:
        output: the audits' output directory, on any of Beam's filesystems.
        baseline: `RUN:MODEL`, or `RUN` where it has one model.
        candidate: likewise.
        margin: change of a mean that is accepted, in [0, 1).
        allow_different: compare even what was measured on other data or in another way.

    Raises:
        UsageError: a run or model is not there, or the two cannot be compared; the message says what differs.
        RunError: a run is not complete.
    """
    sides = _side(output, baseline), _side(output, candidate)
    differences = list(_differences(*sides))
    if differences and not allow_different:
        raise UsageError(
            f"{sides[0].name} and {sides[1].name} cannot be compared: {'; '.join(differences)}; "
            "--allow-different compares the images that both have nevertheless"
        )
    judge = sides[1].run.manifest["config"]["judge"]
    changes = compare(
        _images(*sides),
        sides[1].model,
        margin=margin,
        fdr=judge["fdr"],
        min_images=judge["min_images"],
    )
    return Comparison(*sides, margin, differences, changes)


def _side(output: str, name: str) -> Side:
    run_id, model = split_name(name)
    run = complete_run(find_run(output, run_id))
    names = list(run.models)
    if model is None and len(names) > 1:
        choices = " or ".join(f"{run_id}:{each}" for each in names)
        raise UsageError(f"run {run_id} has {len(names)} models; say {choices}")
    if model is not None and model not in names:
        raise no_such_model(run, model)
    return Side(run, model or names[0])


def _differences(baseline: Side, candidate: Side) -> Iterator[str]:
    """What would make a difference that is not the models'."""
    bases = _basis(baseline), _basis(candidate)
    for key, before in bases[0].items():
        after = bases[1][key]
        if before != after:
            yield f"other {key}" if isinstance(before, dict) else f"{key} {before} against {after}"


def _basis(side: Side) -> dict[str, Any]:
    """What must be the same; values that are dicts are too long to show."""
    manifest = side.run.manifest
    config, judge = manifest["config"], manifest["config"]["judge"]
    # The class map and the limit on dead letters do not change a picture or a box.
    data = {k: v for k, v in config["data"].items() if k not in ("class_map", "max_bad_fraction")}
    height, width = side.details["map_size"]
    return {
        "data": {**data, "listing": manifest["data"]["listing_sha256"]},
        "limit": manifest["limit"],
        "method": side.method,
        "polarity": config["explain"]["polarity"],
        "map size": f"{height}x{width}",
        "allowed regions": judge["allowed_regions"],
        "allowed classes": judge["allowed_classes"],
        "cluster": config.get("cluster"),
        "confirm": judge["confirm"],
        "images_per_class": judge["images_per_class"],
        "confirm_budget": judge["confirm_budget"],
    }


def _images(baseline: Side, candidate: Side) -> Iterator[PairedImage]:
    """Every image of either; one part at a time where both runs were cut into the same shards."""
    before, after = _parts(baseline), _parts(candidate)
    same_shards = baseline.run.manifest["data"] == candidate.run.manifest["data"]
    if same_shards and before.keys() == after.keys():
        for name in before:
            yield from _paired(baseline, [before[name]], candidate, [after[name]])
    else:
        yield from _paired(baseline, list(before.values()), candidate, list(after.values()))


def _parts(side: Side) -> dict[str, str]:
    parts = {path.rsplit("/", 1)[-1]: path for path in parts_of(side.run.paths, "scores")}
    if not parts:  # a table without rows has a file too
        raise RunError(f"run {side.run.paths.run_id} has no scores any more; they were pruned")
    return parts


def _paired(
    baseline: Side, before: Sequence[str], candidate: Side, after: Sequence[str]
) -> Iterator[PairedImage]:
    """Holds the baseline's rows, and lets the candidate's pass by."""
    waiting = {(row.example_id, row.class_name): row for row in _rows(baseline, before)}
    for row in _rows(candidate, after):
        yield _pair(waiting.pop((row.example_id, row.class_name), None), row)
    for row in waiting.values():
        yield _pair(row, None)


def _rows(side: Side, parts: Sequence[str]) -> Iterator[JudgedRow]:
    for path in parts:
        with open_part(path) as file:
            yield from judged_rows(file, side.model, side.details["target_layer"], side.method)


def _pair(before: JudgedRow | None, after: JudgedRow | None) -> PairedImage:
    row = after or before
    assert row is not None
    values: list[Any] = [
        {measure: getattr(side, measure) if side else None for measure in MEASURES}
        for side in (before, after)
    ]
    return PairedImage(row.class_name, row.slices, row.donor_class, row.cluster, *values)


def _moved(change: Change) -> str:
    return f"{_words(change.measure)} {change.baseline:.2f} to {change.candidate:.2f}"


def _worded(change: Change, margin: float) -> str:
    verdict = f"the same within {margin:g}" if change.verdict == "same" else change.verdict
    return f"{_words(change.measure)} {verdict}"


def _words(measure: str) -> str:
    return measure.replace("_", " ")
