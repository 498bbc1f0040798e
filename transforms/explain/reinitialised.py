"""Classifiers with weights drawn anew: the controls that a trained model's explanations must differ from.

The test is that of Adebayo et al., "Sanity Checks for Saliency Maps", NeurIPS 2018. Theirs draws weights as
before training; a model file does not say how that was. Here every weight keeps its own values, in random
order and with random signs: the same scale, for any kind of file. The order alone would not do: what a ReLU
lets through is positive, so a layer whose weights are negative on average is silent in any order.

Biases and normalisation, which are vectors, stay as they are.
"""

import contextlib
import threading
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from transforms.explain.model import Anatomy
from transforms.explain.program import Program, Trace

# The weights behind the explained layer only, or all.
Part = Literal["head", "network"]


class Reinitialised(Program):
    """A program that runs its classifier with weights drawn anew.

    The trace of the trained classifier is copied with other weights in their places; so the explained layers
    and the logits stand where those of the trained model do, whatever its file is. The copy reads its weights
    from variables, so that one serves every draw.

    Args:
        trained: the program of the trained model, which is left as it is.
        batch_size: images in one pass; others are traced when they come.
    """

    def __init__(self, trained: Program, batch_size: int) -> None:
        super().__init__(trained.classifier, trained.request)
        self._source = trained
        self._drawing = threading.Lock()
        # By the name of what they replace in every trace: the handle of a variable, or a constant.
        self._trained: dict[str, tf.Tensor] = {}
        self._behind: set[str] = set()
        for source, values, behind in _weights(trained.trace(batch_size)):
            self._trained[source.name] = tf.constant(values)
            if behind:
                self._behind.add(source.name)
        self._weights = {name: tf.Variable(values, trainable=False) for name, values in self._trained.items()}
        self._draws: dict[tuple[Part, int], dict[str, tf.Tensor]] = {}

    @contextlib.contextmanager
    def drawn(self, part: Part, draw: int = 0) -> Iterator[None]:
        """While this lasts, engines of this program compute with weights drawn anew, in one thread at a time.

        Args:
            part: `head` for the weights behind the first explained layer, `network` for all.
            draw: numbers the draws; each has other weights.
        """
        with self._drawing:
            if (part, draw) not in self._draws:
                self._draws[part, draw] = {
                    name: tf.constant(shuffled(values.numpy(), draw)) if self._is_in(part, name) else values
                    for name, values in self._trained.items()
                }
            for name, values in self._draws[part, draw].items():
                self._weights[name].assign(values)
            yield

    def _is_in(self, part: Part, name: str) -> bool:
        return part == "network" or name in self._behind

    def dissect(self, values: tf.Tensor, fed: Mapping[int, tf.Tensor] | None = None) -> Anatomy:
        """As for the trained model, in a copy of it with the drawn weights."""
        trace = self._source.trace(values.shape[0])
        given = {trace.images: values}
        for name, weight in self._weights.items():
            is_handle = trace.function.graph.get_tensor_by_name(name).dtype == tf.resource
            given[name] = weight.handle if is_handle else weight.read_value()
        return trace.copied(given, fed or {})


def shuffled(values: NDArray[Any], draw: int) -> NDArray[Any]:
    """The same values in random order and with random signs, drawn alike in any process and from any file."""
    random = np.random.default_rng((zlib.crc32(values.tobytes()), draw))
    order = random.permutation(values.ravel()).reshape(values.shape)
    return np.where(random.random(values.shape, np.float32) < 0.5, order, -order)


def _weights(trace: Trace) -> Iterator[tuple[tf.Tensor, NDArray[Any], bool]]:
    """The weights in a trace, their values, and whether each is used behind the first explained layer only.

    A weight is a variable or a constant that meets the image on its way, as the kernel of a convolution does.
    """
    sources = {source.name: (source, values) for source, values in _sources(trace.function.graph)}
    origins: dict[str, set[str]] = {name: {name} for name in sources}
    seen, behind = {trace.images}, {trace.anatomy.cuts[0].tensor.name}
    uses: dict[str, set[bool]] = {}
    for op in trace.function.graph.get_operations():  # in creation order, so inputs come before outputs
        inputs, outputs = ({tensor.name for tensor in tensors} for tensors in (op.inputs, op.outputs))
        used = set().union(*(origins.get(name, set()) for name in inputs))
        if inputs & behind:
            behind |= outputs
        if inputs & seen:
            seen |= outputs
            for name in used:
                uses.setdefault(name, set()).add(bool(inputs & behind))
        elif used:
            origins.update({name: origins.get(name, set()) | used for name in outputs})
    for name, (source, values) in sources.items():
        if name in uses:
            yield source, values, uses[name] == {True}


def _sources(graph: Any) -> Iterator[tuple[tf.Tensor, NDArray[Any]]]:
    """Variables and constants that may be weights, with their values: floating, or int8 where quantised."""
    variables = {id(variable.handle): variable for variable in graph.variables}
    for outside, inside in graph.captures:
        variable = variables.get(id(outside))
        if variable is not None and _is_weight(variable):
            yield inside, variable.numpy()
    for op in graph.get_operations():
        if op.type == "Const" and _is_weight(op.outputs[0]):
            values = tf.make_ndarray(op.get_attr("value"))
            # The same for every image is a constant input or the first state of a loop, but no weight.
            if (values != values[:1]).any():
                yield op.outputs[0], values


def _is_weight(values: tf.Variable | tf.Tensor) -> bool:
    shape = values.shape.as_list()
    return bool((values.dtype.is_floating or values.dtype == tf.int8) and np.prod(shape[:-1]) > 1)
