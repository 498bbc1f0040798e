"""Which feature map is explained: heads, branches, channels first, tokens."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from transforms.errors import ModelError
from transforms.explain import load_engine
from transforms.explain.engine import Engine

from .builders import make_transformer

METHODS = ("gradcam", "hirescam")
layers = keras.layers


@pytest.fixture(autouse=True)
def _same_weights() -> None:
    """Random weights, but the same ones each time: with others a tiny network may be dead."""
    keras.utils.set_random_seed(1)


def engine_of(model: keras.Model, path: Path, **options: object) -> Engine:
    model.save(path / "m.keras")
    return load_engine(str(path / "m.keras"), METHODS, batch_size=2, **options)  # type: ignore[arg-type]


def head(x: object) -> object:
    return layers.Dense(3, name="scores")(layers.GlobalAveragePooling2D()(x))


def branches() -> keras.Model:
    """Two branches whose maps never meet: each is pooled for itself."""
    inputs = keras.Input((16, 16, 3))
    stem = layers.Conv2D(4, 3, strides=2, padding="same", name="stem")(inputs)
    left = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3, strides=2, name="left")(stem))
    right = layers.GlobalAveragePooling2D()(layers.Conv2D(5, 1, strides=2, name="right")(stem))
    return keras.Model(inputs, layers.Dense(3)(layers.Concatenate()([left, right])))


def raw_shortcut() -> keras.Model:
    """The head also reads the mean colour of the image: no layer separates image and logits."""
    inputs = keras.Input((16, 16, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3, strides=2, name="last")(inputs))
    return keras.Model(
        inputs, layers.Dense(3)(layers.Concatenate()([x, layers.GlobalAveragePooling2D()(inputs)]))
    )


def pooled() -> keras.Model:
    inputs = keras.Input((16, 16, 3))
    x = layers.MaxPool2D(2)(layers.Conv2D(3, 3, padding="same", activation="relu", name="last")(inputs))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def class_maps() -> keras.Model:
    """A head of 1x1 convolutions alone: scores for every place, averaged."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, strides=4, activation="relu")(inputs)
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 1, name="class_maps")(x))
    return keras.Model(inputs, layers.Softmax()(x))


def fully_convolutional() -> keras.Model:
    """The last activation stands on a tensor of shape (N, 1, 1, K)."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, strides=4, activation="relu", name="last")(inputs)
    x = layers.GlobalAveragePooling2D(keepdims=True)(x)
    return keras.Model(inputs, layers.Flatten()(layers.Conv2D(3, 1, activation="softmax")(x)))


@pytest.mark.parametrize(
    ("model", "layer", "size", "separates"),
    [
        (branches, "stem", (8, 8), True),
        (raw_shortcut, "last", (7, 7), False),
        (pooled, "last", (16, 16), True),
        (class_maps, "class_maps", (4, 4), True),
        (fully_convolutional, "last", (4, 4), True),
        (lambda: make_transformer(pool="mean"), "final", (4, 4), True),
        (lambda: make_transformer(pool="mean", patches="reshape"), "final", (4, 4), True),
        # Behind the last attention only the class token is read; what it attends to are the tokens of norm1.
        (lambda: make_transformer(pool="class"), "norm1", (4, 4), False),
        (lambda: make_transformer(pool="class", patches="reshape"), "norm1", (4, 4), False),
    ],
)
def test_the_cut_that_is_found(
    tmp_path: Path, model: Callable[[], keras.Model], layer: str, size: tuple[int, int], separates: bool
) -> None:
    engine = engine_of(model(), tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    maps = engine(images, np.tile(np.int32([[0, 1, 2]]), (2, 1))).heatmaps["hirescam"]

    assert (layer, size, {layer: separates}) == (engine.target_layer, engine.map_size, engine.separates)
    assert maps.any()


def test_a_convolutional_head_of_rank_4_has_its_classes(tmp_path: Path) -> None:
    engine = engine_of(fully_convolutional(), tmp_path)

    assert (3, "softmax") == (engine.classes, engine.head)


@pytest.mark.parametrize("pool", ["class", "mean"])
def test_a_transformer_is_explained_by_its_tokens_in_the_grid_of_the_image(tmp_path: Path, pool: str) -> None:
    model = make_transformer(pool=pool)
    engine = engine_of(model, tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    found = engine(images, np.int32([[0], [1]])).heatmaps
    cut = "norm1" if pool == "class" else "final"
    model.get_layer("scores").activation = None
    both = keras.Model(model.inputs[0], [model.get_layer(cut).output, model.outputs[0]])
    with tf.GradientTape() as tape:
        tokens, logits = both(images.astype(np.float32))
        chosen = tf.gather(logits, [0, 1], axis=1, batch_dims=1)
    gradients = tape.gradient(chosen, tokens)
    of_grid = slice(1, None) if pool == "class" else slice(None)
    weights = tf.reduce_mean(gradients[:, of_grid], axis=1, keepdims=True)
    expected = {
        "hirescam": tf.nn.relu(tf.reduce_sum(tokens * gradients, -1)[:, of_grid]),
        "gradcam": tf.nn.relu(tf.reduce_sum(tokens * weights, -1)[:, of_grid]),
    }

    for method, maps in expected.items():
        assert np.any(maps)
        np.testing.assert_allclose(found[method][:, 0].reshape(2, 16), maps, atol=1e-6)


def test_moving_the_patches_moves_the_heat(tmp_path: Path) -> None:
    """Without positions a transformer with mean pooling treats patches as a set, wherever they stand."""
    engine = engine_of(make_transformer(pool="mean"), tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3), np.uint8)
    moved = np.roll(image, (4, 8), axis=(1, 2))
    maps = [engine(pixels, np.int32([[0]])).heatmaps["hirescam"][0, 0] for pixels in (image, moved)]

    assert maps[0].any()
    np.testing.assert_allclose(np.roll(maps[0], (1, 2), axis=(0, 1)), maps[1], atol=1e-5)


def test_tokens_that_cannot_be_followed_need_their_grid(tmp_path: Path) -> None:
    inputs = keras.Input((16, 16, 3))
    # A gather in any order: nothing says which token stands where.
    patches = layers.Reshape((16, 48))(layers.Permute((2, 1, 3))(inputs))
    tokens = keras.ops.take(patches, list(range(16)), axis=1)
    x = layers.Dense(6, activation="relu", name="last")(tokens)
    model = keras.Model(inputs, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))
    with pytest.raises(ModelError) as caught:
        engine_of(model, tmp_path)

    assert str(caught.value) == (
        "the model has no feature map of shape (N, h, w, C) with h * w > 1 to explain; "
        "for a transformer whose tokens cannot be followed, give token_grid: [rows, columns]"
    )
    engine = engine_of(model, tmp_path, token_grid=(2, 8))
    assert ("last", (2, 8)) == (engine.target_layer, engine.map_size)


@pytest.mark.parametrize("flat", [False, True])
def test_channels_first_gives_the_map_of_the_same_weights_with_channels_last(
    tmp_path: Path, flat: bool
) -> None:
    def network(data_format: str) -> keras.Model:
        keras.utils.set_random_seed(0)
        first = data_format == "channels_first"
        inputs = keras.Input((3, 16, 20) if first else (16, 20, 3))
        x = layers.Conv2D(4, 3, strides=2, padding="same", data_format=data_format)(inputs)
        x = layers.ReLU()(layers.BatchNormalization(axis=1 if first else 3)(x))
        x = layers.Conv2D(6, 3, padding="same", activation="relu", data_format=data_format, name="last")(x)
        x = layers.MaxPool2D(data_format=data_format)(x)
        if flat:
            x = layers.Flatten()(layers.Permute((2, 3, 1))(x) if first else x)
        else:
            x = layers.GlobalAveragePooling2D(data_format=data_format)(x)
        return keras.Model(inputs, layers.Dense(3)(x))

    images = np.random.default_rng(0).integers(0, 256, (2, 16, 20, 3), np.uint8)
    targets = np.int32([[0], [1]])
    last, first = (engine_of(network(f"channels_{which}"), tmp_path) for which in ("last", "first"))
    expected, found = last(images, targets), first(images, targets)

    assert ((16, 20), (8, 10), "last") == (first.input_size, first.map_size, first.target_layer)
    for method in METHODS:
        assert expected.heatmaps[method].any()
        np.testing.assert_allclose(
            found.heatmaps[method], expected.heatmaps[method], atol=1e-5 * expected.heatmaps[method].max()
        )


def test_several_layers_come_out_of_one_pass_and_equal_each_alone(tmp_path: Path) -> None:
    model = make_transformer(pool="class")
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    targets = np.int32([[0, 1], [2, -1]])
    together = engine_of(model, tmp_path, target_layer=("auto", "tokens"))
    found = together(images, targets)

    assert {"norm1": (4, 4), "tokens": (4, 4)} == together.map_sizes
    assert {"norm1": False, "tokens": True} == together.separates
    assert found.heatmaps is found.layers["norm1"]
    for layer in ("norm1", "tokens"):
        alone = engine_of(model, tmp_path, target_layer=layer)(images, targets)
        for method in METHODS:
            maps = alone.heatmaps[method]
            np.testing.assert_allclose(found.layers[layer][method], maps, atol=1e-5 * maps.max())


def test_a_layer_that_is_asked_for_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        engine_of(pooled(), tmp_path, target_layer=("auto", "last"))

    assert "target_layer names a layer twice: last, last" == str(caught.value)


def test_a_layer_behind_which_only_the_class_token_is_read_is_refused_when_first_used(tmp_path: Path) -> None:
    engine = engine_of(make_transformer(pool="class"), tmp_path, target_layer="final")
    with pytest.raises(ModelError) as caught:
        engine(np.zeros((1, 16, 16, 3), np.uint8), np.int32([[0]]))

    assert str(caught.value).startswith(
        "the gradient of the logits with respect to target_layer 'final' is zero everywhere; candidates: "
    )


def test_an_output_that_does_not_see_the_image_is_refused(tmp_path: Path) -> None:
    inputs = keras.Input((16, 16, 3))
    nothing = keras.ops.zeros_like(layers.GlobalAveragePooling2D()(inputs))
    model = keras.Model(inputs, layers.Dense(3)(nothing))
    with pytest.raises(ModelError) as caught:
        engine_of(model, tmp_path)

    assert "the model's output does not depend on the image" == str(caught.value)
