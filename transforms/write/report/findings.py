"""What the page shows of each finding."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import PIL.Image

from transforms.regions import ALL_REGIONS, region_rectangles
from transforms.write.report.pictures import data_url, density, grey_url, heat_url
from transforms.write.report.tables import Row, Tables
from transforms.write.report.words import NEXT_STEPS, ROLES, SWAPPED, WHY, flagged, headline, where_sentence

# Slices of one finding that are listed.
_MOST_SLICES = 30
_BARS = 32


def show_findings(tables: Tables, photo_bytes: int, most: int) -> list[dict[str, Any]]:
    """The findings that have a part of the page of their own, in order of rank, ready for the template.

    Args:
        tables: of the run.
        photo_bytes: bytes of JPEG that the page takes; what is beyond stands in the table only.
        most: such findings at most.
    """
    left = photo_bytes
    shown: list[dict[str, Any]] = []
    for row in tables.ranked:
        if len(shown) == most:
            break
        if not row["exemplar_details"] and not flagged(row):
            continue
        photos = row["exemplars"] or []
        size = sum(map(len, photos))
        photos, left = (photos, left - size) if size <= left else ([], left)
        shown.append(_show(row, tables, photos))
    return shown


def _show(row: Row, tables: Tables, photos: Sequence[bytes]) -> dict[str, Any]:
    summary, slices = tables.summary_of(row), tables.slices_of(row)
    pictures = list(_pictures(row, photos))
    queries = tables.queries
    return {
        "row": row,
        "id": f"finding-{row['finding_id']}",
        "flagged": flagged(row),
        "headline": headline(row, summary),
        "waiver": tables.waivers.get(row["finding_id"]),
        "where": where_sentence(row),
        "groups": [
            (ROLES[role], WHY[role], of_role)
            for role in WHY
            if (of_role := [picture for picture in pictures if picture["role"] == role])
        ],
        "swapped": [picture for picture in pictures if picture["role"] in SWAPPED],
        "cover": next((picture for picture in pictures if picture["role"] == "worst"), None),
        "left_out": bool(row["exemplars"]) and not photos,
        "atlases": _atlases(row, summary, tables.summary_of_model(row["model"])),
        "summary": summary,
        "bars": _bars(summary),
        "slices": slices[:_MOST_SLICES],
        "slices_in_all": len(slices),
        "next_steps": NEXT_STEPS.get(row["verdict"], ()),
        "query": queries.finding(row) + ";\n" + queries.summary(row),
        "exemplars_query": queries.exemplars(row),
        "slices_query": queries.slices(row),
    }


def _pictures(row: Row, photos: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    for index, exemplar in enumerate(row["exemplar_details"] or []):
        heat = exemplar["heatmap"]
        photo = photos[index] if index < len(photos) else b""
        if not photo and heat is None:
            continue
        edges = exemplar["boxes"]
        width, height = _size(photo, exemplar)
        yield {
            **exemplar,
            "title": ROLES[exemplar["role"]],
            "width": width,
            "height": height,
            "photo": data_url(photo, "jpeg") if photo else None,
            "heat": heat_url(heat, exemplar["map_height"], exemplar["map_width"]) if heat else None,
            "boxes": [edges[at : at + 4] for at in range(0, len(edges), 4)],
        }


def _size(photo: bytes, exemplar: Row) -> tuple[int, int]:
    """Width and height of a photo in pixels; without one, of its map, enlarged in proportion."""
    if photo:
        return PIL.Image.open(io.BytesIO(photo)).size
    longest = max(exemplar["map_width"], exemplar["map_height"])
    return round(224 * exemplar["map_width"] / longest), round(224 * exemplar["map_height"] / longest)


def _atlases(row: Row, summary: Row | None, whole: Row | None) -> list[dict[str, Any]]:
    """The heat outside the boxes by place in the picture, of the class and of its model, alike in scale."""
    own, usual = (None if of is None else density(of["atlas"], of["atlas_area"]) for of in (summary, whole))
    if own is None:
        return []
    most = max(float(values.max()) for values in (own, usual) if values is not None)
    region = row["region"]
    outline = region_rectangles(region) if region in ALL_REGIONS else []
    atlases = [{"name": row["group_name"], "url": grey_url(own, most), "outline": outline, "most": most}]
    if usual is not None:
        atlases.append({"name": f"all of {row['model']}", "url": grey_url(usual, most), "outline": []})
    return atlases


def _bars(summary: Row | None) -> list[float]:
    """The histogram of the density share in 32 bars, the highest 1; empty where nothing was measured."""
    if summary is None or not summary["ok"]:
        return []
    counts = np.reshape(summary["density_share_histogram"], (_BARS, -1)).sum(axis=1)
    return [float(count / counts.max()) for count in counts]
