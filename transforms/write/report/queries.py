"""DuckDB queries that give the numbers of each table of the page, ready to be copied."""

import dataclasses
import posixpath
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class Queries:
    """The queries of one run.

    Attributes:
        output: the output directory, as it is to be read from.
        run_id, run_date: of the run.
        method: whose heatmaps the verdicts use.
        layers: model -> the layer that is judged.
    """

    output: str
    run_id: str
    run_date: str
    method: str
    layers: Mapping[str, str]

    def _from(self, table: str) -> str:
        path = f"{table}/run_date={self.run_date}/run_id={self.run_id}/*.parquet"
        return f"from read_parquet({quoted(posixpath.join(self.output, path))})"

    def _manifest(self, part: str) -> str:
        path = posixpath.join(self.output, "runs", self.run_id, "manifest.json")
        return f"from read_json({quoted(path)}, maximum_object_size = 1000000000), unnest({part}) as t(row)"

    def _judged(self, model: str) -> str:
        method, layer = quoted(self.method), quoted(self.layers[model])
        return f"model = {quoted(model)} and method = {method} and target_layer = {layer}"

    def finding(self, row: Mapping[str, Any]) -> str:
        """The row of one finding."""
        return f"select * {self._from('findings')}\nwhere finding_id = {quoted(row['finding_id'])}"

    def summary(self, row: Mapping[str, Any]) -> str:
        """The summary of the group of one finding."""
        return (
            f"select * {self._from('summaries')}\nwhere {self._judged(row['model'])}\n"
            f"  and group_kind = {quoted(row['group_kind'])} and group_name = {quoted(row['group_name'])}"
        )

    def exemplars(self, row: Mapping[str, Any]) -> str:
        """The images of one finding."""
        return (
            f"select e.row.role, e.row.example_id, e.row.background_id, e.row.predicted_name,\n"
            f"  e.row.probability, e.row.density_share\n"
            f"{self._from('findings')}, unnest(exemplar_details) as e(row)\n"
            f"where finding_id = {quoted(row['finding_id'])}"
        )

    def slices(self, row: Mapping[str, Any]) -> str:
        """The slices of one class."""
        return (
            "select slice_key, slice_value, verdict, n, density_share, swap_gap, region, message\n"
            f"{self._from('findings')}\nwhere group_kind = 'slice' and model = {quoted(row['model'])}\n"
            f"  and class_name = {quoted(row['class_name'])}\norder by slice_key, slice_value"
        )

    def classes(self, model: str) -> str:
        """All classes of a model."""
        return (
            "select f.group_name, f.verdict, f.n, s.accuracy, f.density_share, s.density_share_lower,\n"
            "  s.density_share_upper, s.energy_in_box, s.box_area, f.swap_gap, f.swap_gap_lower,\n"
            "  f.swap_gap_upper, f.detectable_density_share, f.detectable_gap, f.region\n"
            f"{self._from('findings')} f\n"
            f"left join (select * {self._from('summaries')}\n"
            f"  where {self._judged(model)} and group_kind = 'class') s using (model, group_name)\n"
            f"where f.model = {quoted(model)} and f.group_kind = 'class' order by f.group_name"
        )

    def statuses(self) -> str:
        """How many heatmaps have which status."""
        return (
            "select model, method, status, count(*) as rows\n"
            f"{self._from('scores')}\ngroup by all order by all"
        )

    def dead_letters(self) -> str:
        """Dead letters by reason."""
        return f"select error, count(*) as records\n{self._from('dead_letters')}\ngroup by all order by all"

    def dead_letter_rows(self) -> str:
        """Every dead letter."""
        return f"select * {self._from('dead_letters')}\norder by stage, source, example_id"

    def associations(self) -> str:
        """What the data themselves give away."""
        return f"select row.* {self._manifest('data.associations')}"


def quoted(text: str) -> str:
    """A string of SQL."""
    return "'" + text.replace("'", "''") + "'"
