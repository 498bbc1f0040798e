"""Tables of a run -> report.html: one page that needs nothing else, not even a network."""

import base64
import functools
import hashlib
import json
from pathlib import Path

import jinja2

from transforms.write.report.findings import show_findings
from transforms.write.report.models import show_data, show_models
from transforms.write.report.pictures import COLORMAPS, channel_tables
from transforms.write.report.tables import Tables
from transforms.write.report.words import MEANINGS, number

_TEMPLATES = Path(__file__).parent / "templates"
# Findings on the first screen; the others follow below it.
_MOST_CARDS = 12


def render_report(tables: Tables) -> str:
    """The report as HTML. The same tables give the same text.

    Args:
        tables: of one run, complete or not.
    """
    findings = show_findings(tables)
    shown = {finding["row"]["finding_id"] for finding in findings}
    alarming = [finding for finding in findings if finding["flagged"]]
    script = (_TEMPLATES / "page.js").read_text(encoding="utf-8")
    manifest = tables.manifest
    return (
        _environment()
        .get_template("page.html")
        .render(
            manifest=manifest,
            manifest_json=json.dumps(manifest, indent=2, ensure_ascii=False),
            report=tables.report,
            judge=manifest["config"]["judge"],
            findings=findings,
            cards=(alarming or findings)[:_MOST_CARDS],
            alarming=alarming,
            models=show_models(tables, shown),
            data=show_data(tables),
            meanings=MEANINGS,
            filters={name: channel_tables(name) for name in COLORMAPS},
            style=(_TEMPLATES / "page.css").read_text(encoding="utf-8"),
            script=script,
            # Only this script may run, whatever a name in the data says.
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        )
    )


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = number
    return environment
