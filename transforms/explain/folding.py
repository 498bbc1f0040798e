"""What weights alone decide is computed once, and batch normalisation goes into the convolution before it.

TensorFlow does both by itself where weights are constants of the graph, but copies them about ten times on
the way: of ResNet50 that takes some 12 s and 2 GB. Here variables stay outside of the graph, and so does
what is computed of them where it is large.
"""

import collections
import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from transforms.explain.graphs import copied

# A scale or a shift of each channel, by what it does to the output of a convolution.
_STEPS = {"Mul": "scale", "Add": "shift", "AddV2": "shift", "BiasAdd": "shift", "Sub": "shift back"}
_CONVOLUTIONS = ("Conv2D", "DepthwiseConv2dNative")
# What costs nothing each time.
_AT_HAND = ("Const", "Placeholder", "ReadVariableOp")

# Bytes of what is computed that may become constants: oneDNN keeps those in a layout of its own, which makes
# EfficientNetB0 quicker by 9 %.
_MOST_CONSTANT = 2**26

_Values = Mapping[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class _Fold:
    """A convolution and what follows it, which come to another convolution and a bias.

    Attributes:
        convolution: the first operation.
        steps: what is done to its output, one after the other: a value of `_STEPS`, and the name of the
            tensor of as many numbers as there are channels, or of one.
        last: the operation that takes the last step.
    """

    convolution: tf.Operation
    steps: list[tuple[str, str]]
    last: tf.Operation

    @property
    def kernel(self) -> str:
        """The name of the kernel as it was."""
        return str(self.convolution.inputs[1].name)

    @property
    def folded_kernel(self) -> str:
        """The name of the kernel in which every scale is."""
        return f"{self.convolution.name}/folded_kernel:0"

    @property
    def folded_bias(self) -> str:
        """The name of what is added to each channel in the end."""
        return f"{self.convolution.name}/folded_bias:0"

    def compute(self, values: _Values) -> Iterator[tuple[str, tf.Tensor]]:
        """The folded kernel and bias by their names."""
        kernel = values[self.kernel]
        # Channels are the last axis, or the last two: of what they are made, and how many of each.
        axes = kernel.shape[3:] if self.convolution.type == "Conv2D" else kernel.shape[2:]
        scale, shift = tf.ones(axes, kernel.dtype), tf.zeros(axes, kernel.dtype)
        for step, name in self.steps:
            value = tf.reshape(values[name], axes if values[name].shape.num_elements() > 1 else [])
            if step == "scale":
                scale, shift = scale * value, shift * value
            else:
                shift = shift + value if step == "shift" else shift - value
        yield self.folded_kernel, kernel * scale
        yield self.folded_bias, tf.reshape(shift, [-1])


def folded(concrete: Any) -> Any:
    """A traced function, made quicker on the condition that its weights change no more.

    Args:
        concrete: a concrete function from tensors to a list of tensors.

    Returns:
        A concrete function that does the same.
    """
    read = _Reading(concrete)
    folds = list(read.folds())
    weights = _computed(concrete.graph, folds, read.decided_by_weights())
    if not weights:
        return concrete
    definition = _rewritten(concrete.graph.as_graph_def(), folds)
    # What a traced function returns waits for all its weights to be read; what it is a copy of does not.
    outputs = [tensor.op.inputs[0].name for tensor in concrete.outputs]

    size = sum(value.shape.num_elements() * value.dtype.size for value in weights.values())

    def run(*given: tf.Tensor) -> list[tf.Tensor]:
        known = {tensor.name: value for tensor, value in zip(read.inputs, given, strict=True)}
        for name, value in weights.items():
            known[name] = tf.constant(value.numpy()) if size <= _MOST_CONSTANT else value
        return copied(concrete.graph, outputs, known, definition)

    specs = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in read.inputs]
    return tf.function(run, autograph=False).get_concrete_function(*specs)


class _Reading:
    """Which operations of a traced function depend on its inputs, and which on weights alone."""

    def __init__(self, concrete: Any) -> None:
        self._operations = concrete.graph.get_operations()  # in creation order: inputs come before outputs
        outside = {inside.name for _, inside in concrete.graph.captures}
        self.inputs = [tensor for tensor in concrete.inputs if tensor.name not in outside]
        self._moving = {tensor.op.name for tensor in self.inputs}
        self._users: dict[str, list[tf.Operation]] = collections.defaultdict(list)
        for op in self._operations:
            for tensor in op.inputs:
                self._users[tensor.name].append(op)
            before = {other.name for other in (*(tensor.op for tensor in op.inputs), *op.control_inputs)}
            if before & self._moving or (op.op_def.is_stateful and op.type not in _AT_HAND):
                self._moving.add(op.name)
        self._outputs = {tensor.name for tensor in concrete.outputs}

    def decided_by_weights(self) -> Iterator[str]:
        """The tensors in which what depends on weights alone meets what does not, where it is computed."""
        for op in self._operations:
            if op.name in self._moving:
                for tensor in op.inputs:
                    if self._is_fixed(tensor) and not _is_at_hand(tensor) and tensor.dtype.is_floating:
                        yield tensor.name

    def folds(self) -> Iterator[_Fold]:
        """Every convolution whose output is scaled, by itself and used for nothing else."""
        for op in self._operations:
            if op.type in _CONVOLUTIONS and op.get_attr("data_format") == b"NHWC":
                steps, last = self._steps(op)
                if self._is_fixed(op.inputs[1]) and any(step == "scale" for step, _ in steps):
                    yield _Fold(op, steps, last)

    def _is_fixed(self, tensor: tf.Tensor) -> bool:
        return tensor.op.name not in self._moving

    def _steps(self, last: tf.Operation) -> tuple[list[tuple[str, str]], tf.Operation]:
        steps: list[tuple[str, str]] = []
        while True:
            output = last.outputs[0]
            op, *others = self._users[output.name] or [None]
            if op is None or others or output.name in self._outputs or op.type not in _STEPS:
                return steps, last
            operand = op.inputs[1] if op.inputs[0] is output else op.inputs[0]
            taken_away = op.type == "Sub" and op.inputs[1] is output
            fits = self._is_fixed(operand) and _is_by_channel(operand.shape, output.shape)
            if taken_away or not fits:
                return steps, last
            steps.append((_STEPS[op.type], operand.name))
            last = op


def _is_at_hand(tensor: tf.Tensor) -> bool:
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor.op.type in _AT_HAND


def _is_by_channel(shape: tf.TensorShape, whole: tf.TensorShape) -> bool:
    """Whether a tensor is one number, or one for each channel, of another of shape (N, H, W, C)."""
    if not shape.is_fully_defined() or shape.rank > whole.rank:
        return False
    count = int(shape.num_elements())
    return count == 1 or count == whole[-1] == shape[-1]


def _computed(graph: Any, folds: Iterable[_Fold], names: Iterable[str]) -> dict[str, tf.Tensor]:
    """The values of tensors that weights alone decide, and the folded kernels and biases, by name."""
    names = list(dict.fromkeys(names))
    operands = {name for fold in folds for name in (fold.kernel, *(name for _, name in fold.steps))}
    wanted = list(dict.fromkeys([*names, *sorted(operands)]))

    def compute() -> dict[str, tf.Tensor]:
        values = dict(zip(wanted, copied(graph, wanted, {}), strict=True))
        computed = {name: values[name] for name in names}
        for fold in folds:
            computed.update(fold.compute(values))
        return computed

    return dict(tf.function(compute, autograph=False)()) if wanted else {}


def _rewritten(definition: Any, folds: Iterable[_Fold]) -> Any:
    """A graph with folded kernels and biases; what they replace is left in it without a use."""
    nodes = {node.name: node for node in definition.node}
    for fold in folds:
        nodes[fold.convolution.name].input[1] = fold.folded_kernel
        last = nodes[fold.last.name]
        kind = last.attr["T"].type
        last.Clear()
        last.name, last.op = fold.last.name, "BiasAdd"
        last.input.extend([fold.convolution.name, fold.folded_bias])
        last.attr["T"].type = kind
        last.attr["data_format"].s = b"NHWC"
    return definition
