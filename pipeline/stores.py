"""Where data and runs are kept: any of Beam's filesystems, also outside a pipeline."""

from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions


def reach_stores(options: PipelineOptions | None = None) -> None:
    """Gives Beam's filesystems their options, which only a pipeline does of itself.

    Without, `s3://` cannot be reached at all, even where all options have their defaults.

    Args:
        options: of Beam; None leaves what was given before, or takes the defaults.
    """
    if options is not None or FileSystems._pipeline_options is None:
        FileSystems.set_options(options or PipelineOptions([]))
