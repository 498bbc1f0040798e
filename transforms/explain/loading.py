"""Load a classifier from a `.keras` or `.h5` file or a SavedModel, as something that can be traced."""

import contextlib
import hashlib
import re
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from transforms.errors import ModelError
from transforms.explain.graphs import CALLS, CONTROL_FLOW, ensured
from transforms.explain.userobjects import import_module, objects_of

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_SAVED_MODEL = "saved_model.pb"
_LOSING_BATCH = (*CONTROL_FLOW, "TensorListStack")
_UNKNOWN_OBJECT = re.compile(r"(?:Could not locate|Unknown) (?:class|layer|function|\w+):? '([^']+)'")

# Threads of one worker share the model, and would take each other's recorders for its own.
_RECORDING = threading.RLock()

Inputs = Mapping[str | None, tf.Tensor]
Traced = tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]


class Classifier(Protocol):
    """A loaded model.

    Attributes:
        input_shapes: name -> shape of each input, with None for what is open; None where the model does not
            say what it takes.
    """

    input_shapes: dict[str, tuple[int | None, ...]] | None

    def trace(self, inputs: Inputs) -> Traced:
        """Calls the model on symbolic tensors by name, inside a trace.

        Returns:
            Its outputs by name, in order, and the output of every layer by the layer's path.
        """


def load_classifier(path: str, *, safe_mode: bool = True, custom_objects: str | None = None) -> Classifier:
    """Loads a model for inference.

    Args:
        path: a `.keras` or `.h5` file, or a SavedModel folder.
        safe_mode: refuse a file that carries Python code, which loading would run.
        custom_objects: dotted name of a module that defines the model's own layers; it is imported.

    Raises:
        ModelError: there is no such file, or it is no model, or loading it would run code.
    """
    if _checked(path).is_dir():
        return _SavedModel(path)
    objects = objects_of(import_module(custom_objects)) if custom_objects else {}
    keras_2 = path.endswith((".h5", ".hdf5"))
    with keras.saving.custom_object_scope({**(_keras_2_layers() if keras_2 else {}), **objects}):
        try:
            model = keras.models.load_model(path, compile=False, safe_mode=safe_mode)
        except Exception as error:  # Keras raises whatever the file makes it stumble over
            raise ModelError(_why(path, error)) from error
    if not isinstance(model, keras.Model):
        raise ModelError(f"{path!r} holds a {type(model).__name__}, not a Keras model")
    return _KerasModel(model)


def _why(path: str, error: Exception) -> str:
    """What a user can do about an error of Keras."""
    text = str(error)
    if "safe_mode=False" in text:
        return (
            f"{path!r} carries Python code, such as a Lambda layer, which loading it would run; "
            "if you trust the file, set safe_mode: false for this model"
        )
    unknown = _UNKNOWN_OBJECT.search(text)
    if unknown:
        return (
            f"{path!r} needs {unknown[1]!r}, which is code of its own; "
            "name the module that defines it: custom_objects: package.module"
        )
    return f"{path!r} cannot be loaded as a Keras model: {_first_line(error)}"


def content_hash(path: str) -> str:
    """SHA-256 of a model file, or of the listing of a SavedModel's files and theirs, as hexadecimal text.

    Raises:
        ModelError: there is no such file, or it can be no model.
    """
    file = _checked(path)
    if file.is_file():
        return _file_hash(file)
    listing = [f"{part.relative_to(file).as_posix()} {_file_hash(part)}\n" for part in _parts(file)]
    return hashlib.sha256("".join(listing).encode()).hexdigest()


def size_of(path: str) -> int:
    """Bytes of a model file, or of all files of a SavedModel.

    Raises:
        ModelError: as `content_hash`.
    """
    file = _checked(path)
    return sum(part.stat().st_size for part in ([file] if file.is_file() else _parts(file)))


def _parts(folder: Path) -> list[Path]:
    """The files of a SavedModel."""
    return sorted(part for part in folder.rglob("*") if part.is_file())


class _KerasModel:
    def __init__(self, model: keras.Model) -> None:
        inputs = getattr(model, "inputs", None)
        self.input_shapes = None if inputs is None else {t.name: tuple(t.shape) for t in inputs}
        if inputs is None and isinstance(
            built := (model.get_build_config() or {}).get("input_shape"), list | tuple
        ):
            # A subclass says no more than what it was built on; of that the batch size means nothing.
            self.input_shapes = {"images": (None, *built[1:])}
        self._model = model
        self._inlined: _Frozen | None = None

    def trace(self, inputs: Inputs) -> Traced:
        if self._inlined is not None:
            return self._inlined.trace(inputs)
        graph = next(iter(inputs.values())).graph
        before = len(graph.get_operations())
        with _recorded_outputs(self._model) as recorded:
            outputs = self._call(inputs)
        if any(_hides_layers(op) for op in graph.get_operations()[before:]):
            self._inlined = self._inline(inputs)
            return self._inlined.trace(inputs)
        return outputs, recorded

    def _call(self, inputs: Inputs) -> dict[str, tf.Tensor]:
        structure = getattr(self._model, "input", None)
        if structure is None:
            (arguments,) = inputs.values()
        else:
            flat = [inputs[t.name] for t in self._model.inputs]
            arguments = tf.nest.pack_sequence_as(structure, flat)
        output = self._model(arguments, training=False)
        if isinstance(output, dict):
            return output
        flat = tf.nest.flatten(output)
        names = getattr(self._model, "output_names", None) or [str(i) for i in range(len(flat))]
        return dict(zip(names, flat, strict=True))

    def _inline(self, inputs: Inputs) -> "_Frozen":
        """The model with every function call in it dissolved into its operations."""
        names = list(inputs)
        specs = [tf.TensorSpec(t.shape, t.dtype, name=f"input_{i}") for i, t in enumerate(inputs.values())]
        with tf.init_scope():
            function = tf.function(lambda *tensors: self._call(dict(zip(names, tensors, strict=True))))
            return _Frozen(
                function.get_concrete_function(*specs), dict(zip((s.name for s in specs), names, strict=True))
            )


class _Frozen:
    """A concrete function whose operations can be copied into a trace, where it would be one opaque call.

    Args:
        function: to be frozen.
        names: name of its input tensors -> name by which the input is given; default: the same.
    """

    def __init__(self, function: Any, names: Mapping[str, str | None] | None = None) -> None:
        # A loop stays one operation: taken apart it could neither be followed nor differentiated.
        frozen = convert_variables_to_constants_v2(function, lower_control_flow=False)
        self._graph, self._without_batch = frozen.graph.as_graph_def(), _without_batch(frozen.graph)
        self._inputs = {(names or {}).get(t.op.name, t.op.name): t for t in frozen.inputs}
        self._outputs = [tensor.name for tensor in frozen.outputs]
        self._names = sorted(function.structured_outputs)  # the order in which a dict is flattened
        self.input_shapes: dict[str, tuple[int | None, ...]] | None = {
            str(name): tuple(t.shape.as_list()) for name, t in self._inputs.items()
        }

    def trace(self, inputs: Inputs) -> Traced:
        taken = {t.name: tf.cast(inputs[name], t.dtype) for name, t in self._inputs.items() if name in inputs}
        size = next(iter(taken.values())).shape[0]
        sized = {t.name: tf.TensorSpec([size, *t.shape[1:]], t.dtype) for t in self._without_batch}
        outputs = tf.graph_util.import_graph_def(
            ensured(self._graph, sized), input_map=taken, return_elements=self._outputs, name="saved_model"
        )
        return dict(zip(self._names, outputs, strict=True)), {}


def _without_batch(graph: Any) -> list[tf.Tensor]:
    """The tensors with which a graph loses the number of images: what loops and branches make of them."""
    made = [t for op in graph.get_operations() if op.type in _LOSING_BATCH for t in op.outputs]
    return [
        t
        for t in made
        if t.dtype.is_floating and t.shape.rank and t.shape[0] is None and t.shape[1:].is_fully_defined()
    ]


class _SavedModel(_Frozen):
    """A SavedModel's signature."""

    def __init__(self, path: str) -> None:
        try:
            loaded = tf.saved_model.load(path)
        except Exception as error:  # what a broken protobuf or checkpoint raises is not documented
            raise ModelError(f"{path!r} cannot be loaded as a SavedModel: {_first_line(error)}") from error
        signatures = dict(loaded.signatures)
        name = "serving_default" if "serving_default" in signatures else next(iter(signatures), None)
        if name is None:
            raise ModelError(
                f"SavedModel {path!r} has no signature; export it with one, as model.export() does"
            )
        super().__init__(signatures[name])


def _checked(path: str) -> Path:
    file = Path(path)
    if not file.exists():
        raise ModelError(f"model file {path!r} does not exist")
    if file.is_dir():
        if not (file / _SAVED_MODEL).is_file():
            raise ModelError(f"{path!r} is a folder without {_SAVED_MODEL}, so no SavedModel")
    elif not zipfile.is_zipfile(path) and not _begins_with(file, _HDF5_MAGIC):
        raise ModelError(f"{path!r} is no model: neither a .keras nor an .h5 file, nor a SavedModel folder")
    return file


def _file_hash(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _begins_with(file: Path, magic: bytes) -> bool:
    with file.open("rb") as stream:
        return stream.read(len(magic)) == magic


def _keras_2_layers() -> dict[str, Any]:
    """What files of Keras 2 need to load: their DepthwiseConv2D carries `groups`, always 1."""

    class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
        def __init__(self, *args: Any, groups: int = 1, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)

    return {"DepthwiseConv2D": DepthwiseConv2D}


def _hides_layers(op: tf.Operation) -> bool:
    """Whether an operation is a call of a function that does more than make one feature map of another.

    Keras calls a function for a convolution in groups; a model's `call` under tf.function is one altogether.
    """
    return op.type in CALLS and any(tensor.shape.rank != 4 for tensor in op.outputs)


@contextlib.contextmanager
def _recorded_outputs(model: keras.Model) -> Iterator[dict[str, tf.Tensor]]:
    """Within the context, calls of the model record each inner layer's output under its path."""
    recorded: dict[str, tf.Tensor] = {}
    watched: dict[int, keras.Layer] = {}
    with _RECORDING:
        for path, layer in _paths(model, ""):
            if id(layer) not in watched:  # a layer may be kept in two places
                watched[id(layer)] = layer
                layer.call = _recording(layer.call, path, recorded)
        try:
            yield recorded
        finally:
            for layer in watched.values():
                del layer.call  # uncovers the method of the class


def _recording(call: Any, path: str, recorded: dict[str, tf.Tensor]) -> Any:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        output = call(*args, **kwargs)
        if isinstance(output, tf.Tensor):
            recorded[path] = output
        return output

    return wrapped


def _paths(layer: keras.Layer, prefix: str) -> Iterator[tuple[str, keras.Layer]]:
    for inner in layer._layers:  # `Model.layers` misses what a subclass keeps in plain attributes
        path = prefix + inner.name
        yield path, inner
        yield from _paths(inner, path + "/")


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__
