"""The slice columns that no metadata hold: computed ones, and the modes of heatmaps; and their keys.

A key here is never that of a metadata column: the config refuses such a name.
"""

import typing
from typing import Literal

ComputedColumn = Literal[
    "brightness",
    "border",
    "colour_cast",
    "blur",
    "corner_edges",
    "aspect_ratio",
    "file_format",
    "box_size",
    "objects",
]
COMPUTED_COLUMNS: tuple[ComputedColumn, ...] = typing.get_args(ComputedColumn)
# What names a trace of how a picture was taken, stored or marked. The size and the number of objects belong
# to the subject: any model looks less at small objects, so these two are computed on request only.
PHOTOGRAPHIC = COMPUTED_COLUMNS[:7]


def computed_key(column: str) -> str:
    """The slice key of a computed column: `image.brightness`."""
    return f"image.{column}"


COMPUTED_KEYS = tuple(computed_key(column) for column in COMPUTED_COLUMNS)
# The key of slices that are found by where their heat lies (`transforms.judge.modes`).
MODE_KEY = "mode"
