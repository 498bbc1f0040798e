"""What the four numbers of a box mean, for the formats that leave it open.

`layout` says in which order they stand, `unit` whether they are pixels or shares, `edges` whether the last
pixel belongs to the box and which number the first pixel has.
"""

from collections.abc import Sequence
from typing import Any

from transforms.errors import RecordError
from transforms.read.common import checked_box
from transforms.read.settings import BoxNumbers, EdgeRule
from transforms.records import Box

# What is added to xmin, ymin, xmax, ymax to make edges half-open and from 0.
_SHIFTS: dict[EdgeRule, tuple[int, int]] = {"half_open": (0, 0), "inclusive": (0, 1), "one_based": (-1, 0)}


def number(value: Any) -> float:
    """A number, or text of one, perhaps with a decimal comma.

    Raises:
        ValueError, TypeError, OverflowError: it is neither.
    """
    if isinstance(value, bytes):
        raise TypeError("bytes are no number")
    return float(value.replace(",", ".", 1) if isinstance(value, str) else value)


def make_box(name: str, numbers: Sequence[Any], how: BoxNumbers, ignored: bool = False) -> Box:
    """The box that four numbers in the declared layout stand for, as half-open edges.

    Raises:
        RecordError: `malformed_record`, they are not four finite numbers; `wrong_unit`, the unit is another.
    """
    edges = corners(name, numbers, how.layout)
    if how.unit == "pixels" and how.layout in ("xyxy", "yxyx"):
        edges = shifted(edges, how.edges)
    return checked_box(name, *edges, relative=how.unit == "shares", ignored=ignored)


def shifted(edges: Sequence[float], rule: EdgeRule) -> tuple[float, float, float, float]:
    """Corners as annotated -> half-open edges from 0."""
    xmin, ymin, xmax, ymax = edges
    low, high = _SHIFTS[rule]
    return xmin + low, ymin + low, xmax + high, ymax + high


def corners(name: str, numbers: Sequence[Any], layout: str = "xyxy") -> tuple[float, float, float, float]:
    """(xmin, ymin, xmax, ymax) from four numbers in a layout.

    Args:
        name: the class, for the message.
        numbers: numbers, or texts of them.
        layout: xyxy, yxyx, xywh or cxcywh.

    Raises:
        RecordError: `malformed_record`, they are not four numbers.
    """
    try:
        if isinstance(numbers, (str, bytes)):
            raise TypeError("text is no list of numbers")
        a, b, c, d = (number(value) for value in numbers)
    except (TypeError, ValueError, OverflowError) as error:
        raise RecordError(
            "malformed_record", f"box of {name!r} is {_shown(numbers)}, not four numbers {layout}"
        ) from error
    if layout == "yxyx":
        return b, a, d, c
    if layout == "xywh":
        return a, b, a + c, b + d
    if layout == "cxcywh":
        return a - c / 2, b - d / 2, a + c / 2, b + d / 2
    return a, b, c, d


def around(points: Sequence[Sequence[float]]) -> tuple[float, float, float, float]:
    """The smallest edges that hold all points, of which there is at least one."""
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def _shown(value: Any) -> str:
    text = repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 200 else text[:197] + "..."
