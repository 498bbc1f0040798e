"""Load a classifier from a `.keras` or `.h5` file or a SavedModel, as something that can be traced."""

import contextlib
import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import keras
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from transforms.errors import ModelError

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_SAVED_MODEL = "saved_model.pb"


class Classifier(Protocol):
    """A loaded model.

    Attributes:
        input_shapes: shape of each input with None for what is open, or None where the model does not say.
        weight_bytes: size of its weights in bytes.
    """

    input_shapes: list[tuple[int | None, ...]] | None
    weight_bytes: int

    def trace(self, images: tf.Tensor) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """Calls the model on a symbolic tensor, inside a trace.

        Returns:
            Its outputs by name, in order, and the output of every layer by the layer's path.
        """


def load_classifier(path: str) -> Classifier:
    """Loads a model for inference.

    Raises:
        ModelError: there is no such file, or it is no model, or loading it would run code.
    """
    if _checked(path).is_dir():
        return _SavedModel(path)
    try:
        with _keras_2_layers() if path.endswith((".h5", ".hdf5")) else contextlib.nullcontext():
            model = keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises whatever the file makes it stumble over
        raise ModelError(f"{path!r} cannot be loaded as a Keras model: {_first_line(error)}") from error
    if not isinstance(model, keras.Model):
        raise ModelError(f"{path!r} holds a {type(model).__name__}, not a Keras model")
    return _KerasModel(model)


def content_hash(path: str) -> str:
    """SHA-256 of a model file, or of the listing of a SavedModel's files and theirs, as hexadecimal text.

    Raises:
        ModelError: there is no such file, or it can be no model.
    """
    file = _checked(path)
    if file.is_file():
        return _file_hash(file)
    parts = sorted(part for part in file.rglob("*") if part.is_file())
    listing = [f"{part.relative_to(file).as_posix()} {_file_hash(part)}\n" for part in parts]
    return hashlib.sha256("".join(listing).encode()).hexdigest()


class _KerasModel:
    def __init__(self, model: keras.Model) -> None:
        inputs = getattr(model, "inputs", None)
        self.input_shapes: list[tuple[int | None, ...]] | None = (
            None if inputs is None else [tuple(tensor.shape) for tensor in inputs]
        )
        self.weight_bytes = sum(v.shape.num_elements() * v.dtype.size for v in _variables(model))
        self._model = model

    def trace(self, images: tf.Tensor) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        with _recorded_outputs(self._model) as recorded:
            output = self._model(images, training=False)
        if isinstance(output, dict):
            return output, recorded
        tensors = tf.nest.flatten(output)
        names = getattr(self._model, "output_names", None) or [str(i) for i in range(len(tensors))]
        return dict(zip(names, tensors, strict=True)), recorded


class _SavedModel:
    """A SavedModel's signature: frozen, so that the trace holds its operations and not one opaque call."""

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
        frozen = convert_variables_to_constants_v2(signatures[name])
        self._graph = frozen.graph.as_graph_def()
        self._inputs = [tensor.name for tensor in frozen.inputs]
        self._outputs = [tensor.name for tensor in frozen.outputs]
        self._names = sorted(signatures[name].structured_outputs)  # the order in which a dict is flattened
        self._dtype = frozen.inputs[0].dtype if frozen.inputs else tf.float32
        self.input_shapes: list[tuple[int | None, ...]] | None = [
            tuple(tensor.shape.as_list()) for tensor in frozen.inputs
        ]
        self.weight_bytes = 0  # they are in the graph already

    def trace(self, images: tf.Tensor) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        taken = {self._inputs[0]: tf.cast(images, self._dtype)}
        outputs = tf.graph_util.import_graph_def(
            self._graph, input_map=taken, return_elements=self._outputs, name="saved_model"
        )
        return dict(zip(self._names, outputs, strict=True)), {}


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


@contextlib.contextmanager
def _keras_2_layers() -> Iterator[None]:
    """Within the context, files of Keras 2 load: their DepthwiseConv2D carries `groups`, always 1."""

    class DepthwiseConv2D(keras.layers.DepthwiseConv2D):
        def __init__(self, *args: Any, groups: int = 1, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)

    with keras.saving.custom_object_scope({"DepthwiseConv2D": DepthwiseConv2D}):
        yield


@contextlib.contextmanager
def _recorded_outputs(model: keras.Model) -> Iterator[dict[str, tf.Tensor]]:
    """Within the context, calls of the model record each inner layer's output under its path."""
    recorded: dict[str, tf.Tensor] = {}
    watched: dict[int, keras.Layer] = {}
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


def _variables(model: keras.Model) -> list[tf.Variable]:
    return [variable.value for variable in model.variables]


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0] or type(error).__name__
