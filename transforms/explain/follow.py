"""What an operation of the traced graph does to the layout of a tensor.

What mixes positions, such as attention, ends a layout; a residual addition picks it up again from its other
side. `_RULES` has a function for each kind of operation; any other keeps the layout of an input of its shape.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from transforms.explain.layout import Axis, Layout, Part, format_of, grid_of, is_channels, map_of_shape, sizes

# What is done to feature maps and to nothing else: it says what the axes are, even after they were lost.
_MAPS_ONLY = {"Conv2D", "Conv2DBackpropInput", "DepthwiseConv2dNative", "MaxPool", "AvgPool"}


# Same shape out as in, and yet a position of the output is not that position of the input.
_MIXING = {"Roll", "Reverse", "ReverseV2", "ReverseSequence", "Cumsum", "GatherV2", "GatherNd", "ScatterNd"}


def follow(op: tf.Operation, layouts: dict[str, Layout]) -> Layout | None:
    """The layout of an operation's first output, from those of its inputs; None where positions are lost.

    Other outputs of the same shape have the same layout.
    """
    if not op.outputs or not op.outputs[0].shape.is_fully_defined():
        return None
    shape = op.outputs[0].shape.as_list()
    if op.type in _MAPS_ONLY and len(shape) == 4:
        return map_of_shape(shape, op.get_attr("data_format"))
    known = [tensor.name for tensor in op.inputs if tensor.name in layouts]
    rule = _RULES.get(op.type)
    if not known:
        return None
    if rule is not None:
        return rule(op, layouts, shape)
    if op.type in _MIXING:
        return None
    same = [layouts[name] for name in known if sizes(layouts[name]) == shape]
    return next((layout for layout in same if grid_of(layout)), same[0] if same else None)


def drops_the_map(op: tf.Operation, layout: Layout) -> bool:
    """Whether an operation takes only class tokens out of a tensor of that layout."""
    if op.type not in ("StridedSlice", "Slice", "GatherV2"):
        return False
    for index, axis in enumerate(layout):
        if len(axis) == 1 and axis[0].role == "token":
            token = axis[0]
            taken = _positions_taken(op, index, token.size)
            inside = range(token.skip, token.skip + math.prod(token.grid))
            return taken is not None and not any(position in inside for position in taken)
    return False


def _first(op: tf.Operation, layouts: dict[str, Layout]) -> Layout | None:
    return layouts.get(op.inputs[0].name)


def _convolved(op: tf.Operation, layouts: dict[str, Layout], shape: list[int]) -> Layout | None:
    """Pooling, resizing, patches: rows stay rows, in another number."""
    known = [layouts[tensor.name] for tensor in op.inputs if tensor.name in layouts]
    own = format_of(known[0])
    if len(shape) != 4 or own is None:
        return None
    return map_of_shape(shape, op.get_attr("data_format") if "data_format" in op.node_def.attr else own)


def _split(op: tf.Operation, layouts: dict[str, Layout], shape: list[int]) -> Layout | None:
    """The parts of a map that is split in its channels."""
    value, axis = (op.inputs[1], op.inputs[0]) if op.type == "Split" else (op.inputs[0], op.inputs[2])
    layout, index = layouts.get(value.name), tf.get_static_value(axis)
    if layout is None or index is None or not is_channels(layout[int(index)]):
        return None
    position = int(index) % len(layout)
    return (*layout[:position], (Part("channel", shape[position]),), *layout[position + 1 :])


def _reshaped(op: tf.Operation, layouts: dict[str, Layout], shape: list[int]) -> Layout | None:
    """Merges and splits axes in row-major order; the inner part of a split axis is taken for channels."""
    layout = _first(op, layouts)
    if layout is None:
        return None
    if sizes(layout) == shape:
        return layout
    left = [part for axis in layout for part in axis if part.size != 1]
    axes: list[Axis] = []
    for size in shape:
        axis: list[Part] = []
        missing = size
        while missing > 1:
            if not left:
                return None
            part = left.pop(0)
            if missing % part.size == 0:
                axis.append(part)
                missing //= part.size
            elif part.size % missing == 0 and part.role in ("row", "column", "channel"):
                axis.append(Part(part.role, missing))
                left.insert(0, Part("channel", part.size // missing))
                missing = 1
            else:
                return None
        axes.append(_merged(axis))
    return None if left else tuple(axes)


def _merged(axis: list[Part]) -> Axis:
    if len(axis) > 1 and all(part.role == "channel" for part in axis):
        return (Part("channel", math.prod(part.size for part in axis)),)
    return tuple(axis)


def _transposed(op: tf.Operation, layouts: dict[str, Layout], shape: list[int]) -> Layout | None:
    layout, order = _first(op, layouts), tf.get_static_value(op.inputs[1])
    return None if layout is None or order is None else tuple(layout[axis] for axis in order)


def _multiplied(op: tf.Operation, layouts: dict[str, Layout], shape: list[int]) -> Layout | None:
    """A product with weights changes the channels; a product of two things of the image mixes positions."""
    layout = _first(op, layouts)
    flipped = any(
        op.get_attr(name) for name in ("transpose_a", "adj_x", "transpose_x") if name in op.node_def.attr
    )
    if layout is None or flipped or op.inputs[1].name in layouts or not is_channels(layout[-1]):
        return None
    return (*layout[:-1], (Part("channel", shape[-1]),)) if len(shape) == len(layout) else None


def _reduced(op: tf.Operation, layouts: dict[str, Layout], shape: list[int]) -> Layout | None:
    """A sum or mean over channels, as in a normalisation, keeps positions; over positions it does not."""
    layout, axes = _first(op, layouts), tf.get_static_value(op.inputs[1])
    if layout is None or axes is None:
        return None
    gone = {int(axis) % len(layout) for axis in np.atleast_1d(axes)}
    if not all(is_channels(layout[axis]) for axis in gone):
        return None
    if op.get_attr("keep_dims"):
        return tuple(() if index in gone else axis for index, axis in enumerate(layout))
    return tuple(axis for index, axis in enumerate(layout) if index not in gone)


def _broadcast(op: tf.Operation, layouts: dict[str, Layout], shape: list[int]) -> Layout | None:
    """Elementwise with two inputs: each axis as in an input that has all of it, a new one is of channels."""
    known = [layouts[tensor.name] for tensor in op.inputs if tensor.name in layouts]
    known.sort(key=lambda layout: grid_of(layout) is None)
    axes: list[Axis] = []
    for index, size in enumerate(shape):
        aligned = [layout[index - len(shape)] for layout in known if len(shape) - index <= len(layout)]
        whole = [axis for axis in aligned if math.prod(part.size for part in axis) == size]
        axes.append(whole[0] if whole else (Part("channel", size),))
    return tuple(axes)


def _einsum(op: tf.Operation, layouts: dict[str, Layout], shape: list[int]) -> Layout | None:
    equation = op.get_attr("equation").decode()
    known = [index for index, tensor in enumerate(op.inputs) if tensor.name in layouts]
    if len(known) != 1 or "." in equation:
        return None
    terms, out = equation.split("->")
    axes = dict(zip(terms.split(",")[known[0]], layouts[op.inputs[known[0]].name], strict=True))
    if not all(is_channels(axis) for letter, axis in axes.items() if letter not in out):
        return None
    return tuple(axes.get(letter, (Part("channel", size),)) for letter, size in zip(out, shape, strict=True))


def _concatenated(op: tf.Operation, layouts: dict[str, Layout], shape: list[int]) -> Layout | None:
    """Maps side by side in their channels, or class tokens before or behind the tokens of a map."""
    parts, axis = list(op.inputs[:-1]), tf.get_static_value(op.inputs[-1])
    known = [index for index, tensor in enumerate(parts) if tensor.name in layouts]
    if axis is None or not known:
        return None
    index = int(axis) % len(shape)
    layout = layouts[parts[known[0]].name]
    if is_channels(layout[index]):
        joined: Axis = (Part("channel", shape[index]),)
    else:
        token = _as_token(layout[index])
        if len(known) > 1 or token is None:
            return None
        before = sum(int(tensor.shape[index]) for tensor in parts[: known[0]])
        joined = (dataclasses.replace(token, size=shape[index], skip=token.skip + before),)
    return (*layout[:index], joined, *layout[index + 1 :])


def _as_token(axis: Axis) -> Part | None:
    if len(axis) == 1 and axis[0].role == "token":
        return axis[0]
    if [part.role for part in axis] == ["row", "column"]:
        return Part("token", axis[0].size * axis[1].size, (axis[0].size, axis[1].size))
    return None


def _cropped(op: tf.Operation, layouts: dict[str, Layout], shape: list[int]) -> Layout | None:
    """A slice or padding that keeps every axis, with fewer or more rows, columns or class tokens."""
    layout = _first(op, layouts)
    if layout is None or len(layout) != len(shape):
        return None
    axes: list[Axis] = []
    for index, (axis, before, after) in enumerate(zip(layout, sizes(layout), shape, strict=True)):
        if before == after:
            axes.append(axis)
        elif is_channels(axis):
            axes.append((Part("channel", after),))
        elif len(axis) == 1 and axis[0].role in ("row", "column"):
            axes.append((Part(axis[0].role, after),))
        elif len(axis) == 1 and axis[0].role == "token":
            taken = _positions_taken(op, index, before)
            token = axis[0]
            if taken is None or taken.step != 1 or taken.start > token.skip:
                return None
            if taken.stop < token.skip + math.prod(token.grid):
                return None
            axes.append((dataclasses.replace(token, size=after, skip=token.skip - taken.start),))
        else:
            return None
    return tuple(axes)


def _positions_taken(op: tf.Operation, axis: int, size: int) -> range | None:
    """The positions along an axis that a slice or a gather takes, None where it is not known."""
    values = [tf.get_static_value(tensor) for tensor in op.inputs[1:]]
    if any(value is None for value in values):
        return None
    if op.type == "StridedSlice":
        return _strided(op, values, axis, size)
    if op.type == "Slice":
        begin, count = int(values[0][axis]), int(values[1][axis])
        return range(begin, size if count < 0 else begin + count)
    if op.type == "GatherV2" and int(values[1]) % op.inputs[0].shape.rank == axis:
        taken = np.atleast_1d(values[0])
        if taken.size == 1:
            return range(int(taken[0]) % size, int(taken[0]) % size + 1)
    return None


def _strided(op: tf.Operation, values: Sequence[Any], axis: int, size: int) -> range | None:
    if op.get_attr("new_axis_mask"):
        return None
    entry, ellipsis = axis, op.get_attr("ellipsis_mask").bit_length() - 1
    if 0 <= ellipsis <= axis:  # it stands for so many axes that the entries behind it are the last ones
        entry = axis - op.inputs[0].shape.rank + len(values[0])
        if entry <= ellipsis:
            return range(size)
    if entry >= len(values[0]):
        return range(size)
    begin, end, step = (int(value[entry]) for value in values)
    if op.get_attr("shrink_axis_mask") >> entry & 1:
        return range(begin % size, begin % size + 1)
    first = None if op.get_attr("begin_mask") >> entry & 1 else begin
    last = None if op.get_attr("end_mask") >> entry & 1 else end
    return range(size)[slice(first, last, step)]


_Rule = Callable[[tf.Operation, dict[str, Layout], list[int]], Layout | None]


_RULES: dict[str, _Rule] = {
    **dict.fromkeys(
        (
            "MaxPoolV2",
            "DepthToSpace",
            "SpaceToDepth",
            "ResizeBilinear",
            "ResizeBicubic",
            "ResizeNearestNeighbor",
            "ExtractImagePatches",
            "SpaceToBatchND",
            "BatchToSpaceND",
            # Keras calls a function for a convolution in groups.
            "PartitionedCall",
            "StatefulPartitionedCall",
        ),
        _convolved,
    ),
    **dict.fromkeys(("Reshape", "ExpandDims", "Squeeze"), _reshaped),
    **dict.fromkeys(("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), _multiplied),
    **dict.fromkeys(("StridedSlice", "Slice", "Pad", "PadV2", "MirrorPad"), _cropped),
    **dict.fromkeys(("Mean", "Sum", "Max", "Min", "Prod", "EuclideanNorm"), _reduced),
    **dict.fromkeys(
        ("Add", "AddV2", "Sub", "Mul", "RealDiv", "DivNoNan", "Maximum", "Minimum", "SquaredDifference"),
        _broadcast,
    ),
    **dict.fromkeys(("Split", "SplitV"), _split),
    "Transpose": _transposed,
    "Einsum": _einsum,
    "ConcatV2": _concatenated,
}
