"""The cut: which feature map on the way from the image to the logits is explained."""

import functools
from collections.abc import Callable, Iterable
from typing import Literal

import tensorflow as tf

from transforms.explain.follow import drops_the_map, follow
from transforms.explain.layout import Layout, grid_of, has_places, of_image, of_tokens

# Paths are counted modulo this prime, as their number doubles with every residual block.
_PRIME = 2**61 - 1
_LOCAL_POOLING = {"MaxPool", "AvgPool", "MaxPoolV2"}
# What depends on a tensor's shape only carries nothing of the image.
_SHAPES = {"Shape", "ShapeN", "Size", "Rank", "ZerosLike", "OnesLike"}
_WEIGHTED = {"MatMul", "BatchMatMulV2", "Einsum", "Conv2D", "DepthwiseConv2dNative"}
# Linear in the image as long as only one of their inputs depends on it.
_LINEAR = {"MatMul", "BatchMatMulV2", "Einsum", "Conv2D", "BiasAdd", "AddV2", "Add", "Sub", "Mul"}
_RESHAPING = {"Reshape", "Squeeze", "ExpandDims", "Transpose", "Identity", "Cast"}
# What may lie around a pooling where channels stand first.
_COPIES = {"Identity", "Transpose"}
# A tensor and what of it is meant: the positions of its map, or anything, a class token included.
_Node = tuple[str, Literal["map", "any"]]
_Edges = Callable[[tf.Operation], Iterable[tuple[_Node, _Node]]]


class Route:
    """Everything between the image and the logits in a traced graph, with the layout of each tensor.

    Args:
        images: what the model is called on, shape (N, H, W, 3) or (N, 3, H, W).
        logits: what is explained, shape (N, K).
        data_format: NHWC or NCHW, that of `images`.
        token_grid: rows and columns of the model's tokens, where they cannot be followed from the image.

    Attributes:
        maps: the feature maps that the logits depend on, from image to logits.
        layouts: tensor name -> layout, for every tensor whose layout is known.
    """

    def __init__(
        self,
        images: tf.Tensor,
        logits: tf.Tensor,
        data_format: bytes = b"NHWC",
        token_grid: tuple[int, int] | None = None,
    ) -> None:
        self._images, self._logits = images, logits
        self.layouts: dict[str, Layout] = {images.name: of_image(images, data_format)}
        upstream = _upstream(logits)
        reached = {images.name}
        self._ops: list[tf.Operation] = []
        maps: list[tf.Tensor] = []
        for op in images.graph.get_operations():  # in creation order, so inputs come before outputs
            if op is images.op or op.type in _SHAPES:
                continue
            if not any(tensor.name in reached for tensor in op.inputs):
                continue
            reached.update(tensor.name for tensor in op.outputs)
            used = [tensor for tensor in op.outputs if tensor.name in upstream]
            if not used:
                continue
            self._ops.append(op)
            layout = follow(op, self.layouts)
            for tensor in used:
                found = layout
                if tensor.shape != op.outputs[0].shape:
                    found = None
                if found is None and token_grid is not None:
                    found = of_tokens(tensor, token_grid)
                if found is None:
                    continue
                self.layouts[tensor.name] = found
                if self._explainable(tensor, found):
                    maps.append(tensor)
        self.maps = maps
        self.reached = logits.name in reached

    def separates(self, tensor: tf.Tensor) -> bool:
        """Whether the image reaches the logits through that tensor only."""
        return (tensor.name, "any") in self._passed_by_all

    def choose(self) -> tf.Tensor | None:
        """The last map from which the logits learn where things are; None where there is no map.

        Where the last map is not the only way from the image to the logits, as with parallel branches,
        the last one that is, if it is coarser than the image. Where the head reads a class token, the
        map behind the last attention is unused: then the last tensor that all its positions go through.
        Before a local pooling, its input, which is finer and holds the same evidence.
        """
        alive = self._used_positions()
        used = [tensor for tensor in self.maps if tensor.name in alive]
        if not used:
            return None
        cut = used[-1]
        if not self.separates(cut):
            ways = [t for t in used if self.separates(t) and self.grid(t) != self.grid(self._images)]
            if ways:
                cut = ways[-1]
                through = self._necessary((cut.name, "map"), self._map_edges)
                # Of the same shape: the normalised tokens, but not what attention projects them to.
                cut = [t for t in used if (t.name, "map") in through and t.shape == cut.shape][-1]
        source = _original(cut)
        if source.op.type in _LOCAL_POOLING and self.grid(source.op.inputs[0]) != (0, 0):
            return _original(source.op.inputs[0])
        return cut

    def behind(self, cut: tf.Tensor) -> int:
        """How many operations with weights lie between a map and the logits."""
        reached, count = {cut.name}, 0
        for op in self._ops:
            inputs = [tensor for tensor in op.inputs if tensor.name in reached]
            reached.update(tensor.name for tensor in op.outputs if inputs)
            count += op.type in _WEIGHTED and len(inputs) == 1
        return count

    def after_the_average(self, cut: tf.Tensor) -> str | None:
        """What keeps the head behind a map from being global average pooling and linear layers.

        Returns:
            The type of the first operation that is neither, or None for such a head.
        """
        reached = {cut.name}
        for op in self._ops:
            inputs = [tensor for tensor in op.inputs if tensor.name in reached]
            if not inputs:
                continue
            reached.update(tensor.name for tensor in op.outputs)
            linear = op.type in _RESHAPING or (op.type in _LINEAR and len(inputs) == 1)
            if any(self.grid(tensor) != (0, 0) for tensor in inputs):
                pooled = all(self.grid(tensor) == (0, 0) for tensor in op.outputs)
                linear = (
                    self._is_average(op, inputs[0]) if pooled else linear and self._is_alike(op, inputs[0])
                )
            if not linear:
                return str(op.type)
        return None

    def _is_average(self, op: tf.Operation, values: tf.Tensor) -> bool:
        """Whether an operation averages over all positions of a map."""
        if op.type != "Mean" or (axes := tf.get_static_value(op.inputs[1])) is None:
            return False
        layout = self.layouts[values.name]
        gone = {int(axis) % len(layout) for axis in axes.ravel()}
        return all(axis in gone for axis in range(len(layout)) if has_places(layout[axis]))

    def _is_alike(self, op: tf.Operation, values: tf.Tensor) -> bool:
        """Whether a linear operation does the same at every position of a map."""
        if op.type == "Conv2D":
            return op.inputs[1].shape[:2] == (1, 1) and self.grid(values) == self.grid(op.outputs[0])
        if op.type == "Mul":
            (factor,) = (tensor for tensor in op.inputs if tensor.name != values.name)
            if factor.shape.rank is None:
                return False
            axes = reversed(self.layouts[values.name])
            sides = reversed(factor.shape.as_list())
            return all(side == 1 or not has_places(axis) for axis, side in zip(axes, sides, strict=False))
        return True

    def grid(self, tensor: tf.Tensor) -> tuple[int, int]:
        """Rows and columns of a feature map; (0, 0) where it is none."""
        layout = self.layouts.get(tensor.name)
        return (layout and grid_of(layout)) or (0, 0)

    def channels(self, tensor: tf.Tensor) -> int:
        """The number of channels of a feature map."""
        axes = self.layouts[tensor.name]
        return next(axis[0].size for axis in axes if axis and axis[0].role == "channel")

    def _explainable(self, tensor: tf.Tensor, layout: Layout) -> bool:
        rows, columns = grid_of(layout) or (0, 0)
        return tensor.dtype.is_floating and rows * columns > 1 and tensor.shape[0] == self._images.shape[0]

    def _used_positions(self) -> set[str]:
        """Names of the tensors of which the map, not only a class token, has a way to the logits."""
        alive: set[_Node] = {(self._logits.name, "any"), (self._logits.name, "map")}
        for op in reversed(self._ops):
            for source, sink in self._map_edges(op):
                if sink in alive:
                    alive.add(source)
        return {name for name, meant in alive if meant == "map"}

    def _edges(self, op: tf.Operation) -> Iterable[tuple[_Node, _Node]]:
        for source in op.inputs:
            for sink in op.outputs:
                yield (source.name, "any"), (sink.name, "any")

    def _map_edges(self, op: tf.Operation) -> Iterable[tuple[_Node, _Node]]:
        """Also the ways of a map's positions: they stay positions, are mixed, or are dropped."""
        yield from self._edges(op)
        for source in op.inputs:
            layout = self.layouts.get(source.name)
            if layout is None or drops_the_map(op, layout):
                continue
            for sink in op.outputs:
                kept: Literal["map", "any"] = "map" if sink.name in self.layouts else "any"
                yield (source.name, "map"), (sink.name, kept)

    @functools.cached_property
    def _passed_by_all(self) -> set[_Node]:
        return self._necessary((self._images.name, "any"), self._edges)

    def _necessary(self, start: _Node, edges: _Edges) -> set[_Node]:
        """What every path from a node to the logits passes: paths there times paths on are all paths."""
        there: dict[_Node, int] = {start: 1}
        for op in self._ops:
            for source, sink in edges(op):
                if source in there and sink != start:
                    there[sink] = (there.get(sink, 0) + there[source]) % _PRIME
        name = self._logits.name
        onward: dict[_Node, int] = {(name, "map"): 1, (name, "any"): 1}
        for op in reversed(self._ops):
            for source, sink in edges(op):
                if sink in onward and sink != start:
                    onward[source] = (onward.get(source, 0) + onward[sink]) % _PRIME
        total = onward.get(start, 0)
        return {node for node, paths in there.items() if paths * onward.get(node, 0) % _PRIME == total}


def _original(tensor: tf.Tensor) -> tf.Tensor:
    while tensor.op.type in _COPIES:
        tensor = tensor.op.inputs[0]
    return tensor


def _upstream(tensor: tf.Tensor) -> set[str]:
    names, stack = {tensor.name}, [tensor]
    while stack:
        for source in stack.pop().op.inputs:
            if source.name not in names:
                names.add(source.name)
                stack.append(source)
    return names
