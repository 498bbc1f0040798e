"""The same weights as a .keras file, a legacy .h5 file and a SavedModel; and files that are none of these."""

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from transforms.errors import ModelError
from transforms.explain import load_engine
from transforms.explain.engine import Engine
from transforms.explain.loading import _KerasModel, content_hash
from transforms.explain.settings import Preprocess

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
    arguments = {"methods": ["gradcam"], "target_layer": "auto", "batch_size": 1, "groups": ()}
    engine = Engine(_KerasModel(model), preprocess=Preprocess(size=(16, 16)), **arguments)

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
