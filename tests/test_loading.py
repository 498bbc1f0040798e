"""The same weights as a .keras file, a legacy .h5 file and a SavedModel; and files that are none of these."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from transforms.errors import ModelError
from transforms.explain import load_engine
from transforms.explain.engine import Engine
from transforms.explain.loading import _KerasModel, content_hash, size_of
from transforms.explain.program import Program, Request

from .builders import save_model

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
TARGETS = np.int32([[0], [1], [2]])


def as_h5(model: keras.Model, path: Path) -> Path:
    file = path.with_suffix(".h5")
    model.save(file)
    return file


def as_exported(model: keras.Model, path: Path) -> Path:
    model.export(path, verbose=False)
    return path


def as_module(model: keras.Model, path: Path) -> Path:
    """What a team without Keras writes: a tf.Module with a signature of its own name."""
    module = tf.Module()
    module.model = model
    signature = tf.function(
        lambda pixels: {"p": model(pixels, training=False)},
        input_signature=[tf.TensorSpec((None, 16, 16, 3), tf.float32)],
    )
    tf.saved_model.save(module, str(path), signatures={"classify": signature})
    return path


@pytest.mark.parametrize("save", [as_h5, as_exported, as_module])
def test_the_same_weights_give_the_same_maps(
    tmp_path: Path, flat_model: Path, save: Callable[[keras.Model, Path], Path]
) -> None:
    model = keras.models.load_model(flat_model, compile=False)
    expected = load_engine(str(flat_model), ("gradcam", "hirescam"), batch_size=4)(IMAGES, TARGETS)
    engine = load_engine(str(save(model, tmp_path / "model")), ("gradcam", "hirescam"), batch_size=4)
    found = engine(IMAGES, TARGETS)

    assert ((4, 4), "softmax", 3) == (engine.map_size, engine.head, engine.classes)
    np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-5, atol=1e-6)
    for method, maps in expected.heatmaps.items():
        assert maps.max() > 0
        np.testing.assert_allclose(found.heatmaps[method], maps, atol=1e-5 * maps.max())


def test_a_saved_model_names_tensors_instead_of_layers(tmp_path: Path, tiny_model: Path) -> None:
    as_exported(keras.models.load_model(tiny_model, compile=False), tmp_path / "m")
    engine = load_engine(str(tmp_path / "m"), batch_size=1)
    other = list(engine.candidates)[-2]

    assert engine.target_layer in engine.candidates
    assert engine.target_layer.startswith("saved_model/")
    assert other == load_engine(str(tmp_path / "m"), batch_size=1, target_layer=other).target_layer


def test_a_keras_2_file_with_groups_in_its_depthwise_convolution_loads(tmp_path: Path) -> None:
    layers = keras.layers
    inputs = keras.Input((16, 16, 3))
    x = layers.DepthwiseConv2D(3, activation="relu", name="last")(inputs)
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    path = as_h5(model, tmp_path / "old")
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        (depthwise,) = [la for la in config["config"]["layers"] if la["class_name"] == "DepthwiseConv2D"]
        depthwise["config"]["groups"] = 1
        file.attrs["model_config"] = json.dumps(config)

    assert "last" == load_engine(str(path), batch_size=1).target_layer


def test_a_layer_kept_in_two_places_is_watched_once() -> None:
    class Twice(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = keras.layers.Conv2D(4, 3, name="last")
            self.all_layers = [self.convolution, keras.layers.Dense(2)]

        def call(self, pixels: tf.Tensor) -> tf.Tensor:
            return self.all_layers[1](tf.reduce_mean(self.convolution(pixels), axis=(1, 2)))

    model = Twice()
    model(np.zeros((1, 16, 16, 3), np.float32))
    engine = Engine(Program(_KerasModel(model), Request()), methods=["gradcam"], batch_size=1)

    assert ("last", (14, 14)) == (engine.target_layer, engine.map_size)
    assert "call" not in vars(model.convolution)


def test_the_content_hash_is_of_what_the_files_hold(tmp_path: Path) -> None:
    first, second = tmp_path / "a.keras", tmp_path / "b.keras"
    save_model(first)
    second.write_bytes(first.read_bytes())

    assert content_hash(str(first)) == content_hash(str(second))
    with second.open("ab") as file:
        file.write(b" ")
    assert content_hash(str(first)) != content_hash(str(second))


def test_the_size_of_a_model_is_that_of_its_files(tmp_path: Path) -> None:
    file, folder = save_model(tmp_path / "a.keras"), tmp_path / "saved"
    keras.models.load_model(file).export(folder, verbose=False)

    assert file.stat().st_size == size_of(str(file))
    parts = [folder / "saved_model.pb", folder / "fingerprint.pb", *(folder / "variables").iterdir()]
    assert sum(part.stat().st_size for part in parts) == size_of(str(folder))


def test_a_file_that_holds_a_layer_is_no_model(tmp_path: Path) -> None:
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    path = tmp_path / "layer.keras"
    keras.saving.save_model(layer, path)
    with pytest.raises(ModelError) as caught:
        load_engine(str(path))

    assert f"'{path}' holds a Dense, not a Keras model" == str(caught.value)


def test_loading_says_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    text, folder = tmp_path / "text.keras", tmp_path / "folder"
    text.write_text("not a model")
    folder.mkdir()
    unsigned = tmp_path / "unsigned"
    tf.saved_model.save(tf.Module(), str(unsigned))
    for path, message in [
        (tmp_path / "none.keras", "model file '{}' does not exist"),
        (text, "'{}' is no model: neither a .keras nor an .h5 file, nor a SavedModel folder"),
        (folder, "'{}' is a folder without saved_model.pb, so no SavedModel"),
        (unsigned, "SavedModel '{}' has no signature; export it with one, as model.export() does"),
    ]:
        with pytest.raises(ModelError) as caught:
            load_engine(str(path))

        assert message.format(path) == str(caught.value)


@keras.saving.register_keras_serializable("another name")
class Halved(keras.layers.Layer):
    """A layer of the user's own."""

    def call(self, values: tf.Tensor) -> tf.Tensor:
        return values / 2


def with_own_layer(path: Path) -> Path:
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="last")(Halved()(inputs))
    keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x))).save(path)
    return path


def in_another_process(code: str) -> str:
    """What Python prints where the layers of this module are not known."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    return done.stdout.strip()


def test_layers_of_ones_own_need_the_module_that_defines_them(tmp_path: Path) -> None:
    path = with_own_layer(tmp_path / "m.keras")
    load = f"from transforms.explain import load_engine; load_engine({str(path)!r}, batch_size=1"

    assert "last" == in_another_process(
        f"{load}, custom_objects='tests.test_loading').target_layer".replace("; ", "; print(", 1) + ")"
    )
    refused = in_another_process(f"try:\n    {load})\nexcept Exception as error: print(error)")
    assert refused == (
        f"'{path}' needs 'Halved', which is code of its own; "
        "name the module that defines it: custom_objects: package.module"
    )


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_file_that_carries_code_is_refused_until_it_is_trusted(tmp_path: Path, suffix: str) -> None:
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, name="last")(keras.layers.Lambda(lambda pixels: pixels * 2)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    path = tmp_path / f"m.{suffix}"
    model.save(path)
    with pytest.raises(ModelError) as caught:
        load_engine(str(path), batch_size=1)

    assert str(caught.value) == (
        f"'{path}' carries Python code, such as a Lambda layer, which loading it would run; "
        "if you trust the file, set safe_mode: false for this model"
    )
    assert "last" == load_engine(str(path), batch_size=1, safe_mode=False).target_layer


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    """A model of the user's own, whose `call` is a graph function of its own or not."""

    def __init__(self, compiled: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.convolution = keras.layers.Conv2D(4, 3, strides=2, activation="relu", name="last")
        self.scores = keras.layers.Dense(3)
        self.compiled = compiled
        self.forward = tf.function(self._forward) if compiled else self._forward

    def _forward(self, pixels: tf.Tensor) -> tf.Tensor:
        return self.scores(tf.reduce_mean(self.convolution(pixels), axis=(1, 2)))

    def call(self, pixels: tf.Tensor) -> tf.Tensor:
        return self.forward(pixels)

    def get_config(self) -> dict[str, Any]:
        return {"compiled": self.compiled}


def test_the_same_weights_in_every_kind_of_model_give_the_same_maps(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    convolution = keras.layers.Conv2D(4, 3, strides=2, activation="relu", name="last")
    scores = keras.layers.Dense(3)
    inputs = keras.Input((16, 16, 3))
    flat = keras.Model(inputs, scores(keras.layers.GlobalAveragePooling2D()(convolution(inputs))))
    sequential = keras.Sequential([convolution, keras.layers.GlobalAveragePooling2D(), scores])
    trunk = keras.Model(inputs, convolution(inputs), name="trunk")
    nested = keras.Model(inputs, scores(keras.layers.GlobalAveragePooling2D()(trunk(inputs))))
    subclassed, graph = Subclassed(), Subclassed(compiled=True)
    for model in (sequential, subclassed, graph):
        model(np.zeros((1, 16, 16, 3), np.float32))
        model.set_weights(flat.get_weights())
    expected = None
    for name, model in {
        "flat": flat,
        "sequential": sequential,
        "nested": nested,
        "subclassed": subclassed,
        "graph": graph,
    }.items():
        saved = tmp_path / f"{name}.keras"
        model.save(saved)
        exported = as_exported(model, tmp_path / name)
        for path in (saved, exported):
            engine = load_engine(str(path), ("gradcam", "hirescam"), batch_size=4)
            found = engine(IMAGES, TARGETS).heatmaps
            expected = expected or found
            for method in found:
                assert expected[method].any()
                np.testing.assert_allclose(found[method], expected[method], atol=1e-6, err_msg=str(path))


def test_threads_of_one_worker_trace_a_model_at_the_same_time(tiny_model: Path) -> None:
    """Recording covers the layers of a model that all of them share."""
    model = _KerasModel(keras.models.load_model(tiny_model, compile=False))
    (name,) = model.input_shapes or ()
    start = threading.Barrier(4)

    def layers(_: int) -> list[str]:
        found: list[str] = []

        def trace(images: tf.Tensor) -> list[tf.Tensor]:
            found.extend(model.trace({name: images})[1])
            return []

        start.wait()
        tf.function(trace, autograph=False).get_concrete_function(tf.TensorSpec((1, 16, 16, 3)))
        return found

    with ThreadPoolExecutor(4) as threads:
        first, *others = [found for _ in range(5) for found in threads.map(layers, range(4))]

    assert first
    assert all(first == other for other in others)
