"""Which axes of a tensor in the traced graph are rows, columns, tokens and channels of the image.

A rank-4 tensor may be a feature map, channels last or first, or the attention of a transformer; a rank-3
tensor may be the same map as a row of tokens. Shapes alone do not tell, so the layout of the image is
followed through the graph (`follow.py`).
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import tensorflow as tf

Role = Literal["batch", "row", "column", "token", "channel"]


@dataclasses.dataclass(frozen=True)
class Part:
    """What an axis runs over, or one factor of it where reshaping has merged several.

    Attributes:
        role: its meaning.
        size: how many.
        grid: tokens only: rows and columns of the map that they are.
        skip: tokens only: class and register tokens that stand before the map's own.
    """

    role: Role
    size: int
    grid: tuple[int, int] = (0, 0)
    skip: int = 0


Axis = tuple[Part, ...]
Layout = tuple[Axis, ...]

_MAP_ORDER: dict[bytes, tuple[Role, ...]] = {
    b"NHWC": ("batch", "row", "column", "channel"),
    b"NCHW": ("batch", "channel", "row", "column"),
}
_MOST_CLASS_TOKENS = 16


def of_image(images: tf.Tensor, data_format: bytes = b"NHWC") -> Layout:
    """The layout of the model's input, of shape (N, H, W, 3), or (N, 3, H, W) where that is its format."""
    return map_of_shape(images.shape.as_list(), data_format)


def of_tokens(tensor: tf.Tensor, grid: tuple[int, int]) -> Layout | None:
    """The layout of a tensor of shape (N, tokens, C) for a grid that the user gives; None if it cannot be.

    What the tokens are more than the grid's cells are taken for class tokens, which stand first.
    """
    if tensor.shape.rank != 3 or not tensor.shape.is_fully_defined():
        return None
    batch, count, channels = (int(size) for size in tensor.shape)
    if not 0 <= count - math.prod(grid) <= _MOST_CLASS_TOKENS:
        return None
    tokens = Part("token", count, grid, count - math.prod(grid))
    return ((Part("batch", batch),), (tokens,), (Part("channel", channels),))


def grid_of(layout: Layout) -> tuple[int, int] | None:
    """Rows and columns of the feature map that a tensor of this layout is, None if it is none.

    A feature map has one axis of channels, one of the batch, and rows and columns or their tokens.
    """
    roles = [tuple(part.role for part in axis) for axis in layout]
    if not roles or roles[0] not in ((), ("batch",)) or roles.count(("channel",)) != 1:
        return None
    rest = [axis for axis, role in zip(layout[1:], roles[1:], strict=True) if role != ("channel",)]
    parts = [part for axis in rest for part in axis]
    if len(rest) == 1 and len(parts) == 1 and parts[0].role == "token":
        return parts[0].grid
    if len(rest) <= 2 and [part.role for part in parts] == ["row", "column"]:
        return parts[0].size, parts[1].size
    return None


def as_map(tensor: tf.Tensor, layout: Layout) -> tf.Tensor:
    """A feature map of any layout as (N, h, w, C); class tokens are dropped.

    Args:
        tensor: of that layout, or the gradient with respect to such a tensor.
        layout: one for which `grid_of` finds a grid.
    """
    grid = grid_of(layout)
    assert grid is not None
    channel = next(i for i, axis in enumerate(layout) if axis and axis[0].role == "channel")
    rest = [i for i in range(1, len(layout)) if i != channel]
    tensor = tf.transpose(tensor, [0, *rest, channel])
    token = next((part for axis in layout for part in axis if part.role == "token"), None)
    if token is not None:
        tensor = tensor[:, token.skip : token.skip + math.prod(grid)]
    return tf.reshape(tensor, (-1, *grid, tensor.shape[-1]))


def sizes(layout: Layout) -> list[int]:
    """The shape of a tensor of that layout."""
    return [math.prod(part.size for part in axis) for axis in layout]


def map_of_shape(shape: Sequence[int], data_format: bytes) -> Layout:
    """The layout of a feature map of that shape, of rank 4, in NHWC or NCHW."""
    order = _MAP_ORDER[data_format]
    return tuple((Part(role, size),) if size != 1 else () for role, size in zip(order, shape, strict=True))


def format_of(layout: Layout) -> bytes | None:
    """NHWC or NCHW if the layout is that of a plain map, else None."""
    for name, order in _MAP_ORDER.items():
        axes = zip(layout, order, strict=False)
        if len(layout) == 4 and all(
            axis == () or [part.role for part in axis] == [role] for axis, role in axes
        ):
            return name
    return None


def is_channels(axis: Axis) -> bool:
    """Whether an axis runs over channels and nothing else."""
    return all(part.role == "channel" for part in axis)


def has_places(axis: Axis) -> bool:
    """Whether an axis runs over positions of the image, be it among others."""
    return any(part.role in ("row", "column", "token") for part in axis)
