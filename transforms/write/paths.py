"""Where a run's files stand below the output directory.

OUTPUT/<table>/run_date=YYYY-MM-DD/run_id=<id>/part-*.parquet
OUTPUT/runs/<id>/{started.json, config.yaml, report.html, manifest.json}
OUTPUT/runs/<id>/staging/<table>/part-*.parquet        gone once the run is complete
OUTPUT/runs/<id>/staging/explained/*.kept              likewise; what `--resume` goes on from
"""

import dataclasses
import posixpath


@dataclasses.dataclass(frozen=True)
class RunPaths:
    """The paths of one run.

    Attributes:
        output: output directory, local or on any Beam filesystem.
        run_id: unique below that directory.
        run_date: UTC day on which the run started, YYYY-MM-DD.
    """

    output: str
    run_id: str
    run_date: str

    def part(self, table: str, name: str) -> str:
        """A part of a table in its place."""
        partition = f"run_date={self.run_date}/run_id={self.run_id}"
        return posixpath.join(self.output, table, partition, f"part-{name}.parquet")

    def staged(self, table: str, name: str) -> str:
        """The same part before the run is complete."""
        return posixpath.join(self.staging, table, f"part-{name}.parquet")

    @property
    def staging(self) -> str:
        """Directory of the staged parts; no table root, so that nothing half-written is ever queried."""
        return self.record("staging")

    @property
    def kept(self) -> str:
        """Directory of what was explained, from which another run can resume; staged likewise."""
        return posixpath.join(self.staging, "explained")

    def record(self, name: str) -> str:
        """A file of the run's own directory, such as `manifest.json`."""
        return posixpath.join(self.output, "runs", self.run_id, name)
