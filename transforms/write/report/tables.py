"""The rows of one run that a report is made of, and how they belong together."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from transforms.write.exemplars import rank_findings
from transforms.write.report.queries import Queries
from transforms.write.settings import ReportSettings

Row = Mapping[str, Any]

# Dead letters that the page lists; their numbers are those of the manifest.
MOST_LETTERS = 20
# Columns of `summaries` that the page needs.
SUMMARY_COLUMNS = (
    *("model", "method", "target_layer", "group_kind", "group_name"),
    *("rows", "ok", "zero_map", "not_finite", "no_box", "full_box"),
    *("accuracy", "energy_in_box", "box_area", "density_share", "density_share_lower", "density_share_upper"),
    *("peak_in_box", "peak_in_box_lower", "peak_in_box_upper", "density_share_histogram"),
    *("atlas", "atlas_area"),
)


@dataclasses.dataclass(frozen=True)
class Tables:
    """One run, as its files hold it.

    Attributes:
        manifest: of the run, as read from JSON.
        findings: every row.
        summaries: SUMMARY_COLUMNS of at least those of the judged method and layer, of models and classes.
        dead_letters: the first MOST_LETTERS; their number stands in the manifest.
        output: the output directory, for the queries.
    """

    manifest: Row
    findings: Sequence[Row]
    summaries: Sequence[Row]
    dead_letters: Sequence[Row]
    output: str

    @property
    def report(self) -> dict[str, Any]:
        """What the config says of the report; runs before there was one say nothing."""
        return {**ReportSettings().model_dump(), **self.manifest["config"].get("report", {})}

    @property
    def queries(self) -> Queries:
        """The queries of this run."""
        manifest = self.manifest
        layers = {model["name"]: model["target_layer"] for model in manifest["models"]}
        method = manifest["verdict_method"]
        return Queries(self.output, manifest["run_id"], manifest["run_date"], method, layers)

    @functools.cached_property
    def waivers(self) -> dict[str, Row]:
        """Finding id -> its waiver, and whether that had `expired` when the run started."""
        day = self.manifest["run_date"]
        given = self.manifest.get("waivers", [])
        return {waiver["finding_id"]: {**waiver, "expired": waiver["until"] < day} for waiver in given}

    @functools.cached_property
    def ranked(self) -> Sequence[Row]:
        """The findings on classes and slices, most alarming first."""
        return rank_findings(row for row in self.findings if row["group_kind"] in ("class", "slice"))

    @functools.cached_property
    def _summaries(self) -> Mapping[tuple[str, str, str], Row]:
        layers, method = self.queries.layers, self.manifest["verdict_method"]
        return {
            (row["model"], row["group_kind"], row["group_name"]): row
            for row in self.summaries
            if (row["method"], row["target_layer"]) == (method, layers.get(row["model"]))
        }

    def summary_of(self, finding: Row) -> Row | None:
        """The summary of the group that a finding is on, by the method and layer that it was judged by."""
        return self._summaries.get((finding["model"], finding["group_kind"], finding["group_name"]))

    def summary_of_model(self, model: str) -> Row | None:
        """The summary of a whole model."""
        return self._summaries.get((model, "model", model))

    def of_model(self, model: str, kind: str) -> list[Row]:
        """The findings on a model's classes or slices, most alarming first."""
        return [row for row in self.ranked if (row["model"], row["group_kind"]) == (model, kind)]

    @functools.cached_property
    def _slices(self) -> Mapping[tuple[str, str], list[Row]]:
        found: dict[tuple[str, str], list[Row]] = {}
        for row in self.ranked:
            if row["group_kind"] == "slice":
                found.setdefault((row["model"], row["class_name"]), []).append(row)
        return found

    def slices_of(self, finding: Row) -> list[Row]:
        """The slices within the class of a finding, by key and value; none for a slice itself."""
        if finding["group_kind"] != "class":
            return []
        rows = self._slices.get((finding["model"], finding["class_name"]), [])
        return sorted(rows, key=lambda row: (row["slice_key"], row["slice_value"]))
