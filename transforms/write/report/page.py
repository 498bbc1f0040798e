"""Tables of a run -> report.html: one page that needs nothing else, not even a network."""

import base64
import dataclasses
import functools
import hashlib
import json
from pathlib import Path

import jinja2

from transforms.write.report.findings import show_findings
from transforms.write.report.models import show_data, show_models
from transforms.write.report.pictures import COLORMAPS, channel_tables
from transforms.write.report.tables import Tables
from transforms.write.report.words import MEANINGS, flagged, number

_TEMPLATES = Path(__file__).parent / "templates"
# Findings on the first screen; the others follow below it.
_MOST_CARDS = 12
# Bytes of JSON up to which the page holds the manifest as well.
_MOST_MANIFEST = 500_000
MOST_BYTES = 10_000_000


@dataclasses.dataclass(frozen=True)
class Room:
    """How much of a run one page shows; in order of rank, and what is left out is said.

    Attributes:
        photos: bytes of JPEG.
        findings: those that have a part of the page of their own.
        classes: rows of the tables of all models together.
    """

    photos: int
    findings: int
    classes: int


# The first of these with which the page stays below MOST_BYTES is taken, or else the last.
ROOMS = (Room(4_000_000, 200, 10_000), Room(2_000_000, 100, 6_000), Room(0, 20, 2_000))


def render_report(tables: Tables) -> str:
    """The report as HTML of at most MOST_BYTES. The same tables give the same text.

    Args:
        tables: of one run, complete or not.
    """
    page = ""
    for room in ROOMS:
        page = _render(tables, room)
        if len(page.encode()) <= MOST_BYTES:
            break
    return page


def _render(tables: Tables, room: Room) -> str:
    findings = show_findings(tables, room.photos, room.findings)
    shown = {finding["row"]["finding_id"] for finding in findings}
    alarming = [finding for finding in findings if finding["flagged"]]
    script = (_TEMPLATES / "page.js").read_text(encoding="utf-8")
    manifest = tables.manifest
    manifest_json = json.dumps(manifest, indent=2, ensure_ascii=False)
    flags = sum(flagged(row) for row in tables.ranked)
    return (
        _environment()
        .get_template("page.html")
        .render(
            manifest=manifest,
            manifest_json=manifest_json if len(manifest_json) <= _MOST_MANIFEST else None,
            report=tables.report,
            judge=manifest["config"]["judge"],
            findings=findings,
            cards=(alarming or findings)[:_MOST_CARDS],
            alarming=alarming,
            left_out=flags - len(alarming),
            models=show_models(tables, shown, room.classes),
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
