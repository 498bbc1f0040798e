"""Finding the cut and the logits in models of many kinds, and saying what is wrong with the others."""

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from transforms.errors import ModelError
from transforms.explain import load_engine
from transforms.explain.settings import Preprocess

from .builders import save_model


def test_a_nested_backbone_is_explained_inside(tmp_path: Path) -> None:
    backbone = keras.models.load_model(save_model(tmp_path / "b.keras"), compile=False)
    trunk = keras.Model(backbone.inputs, backbone.get_layer("last").output, name="backbone")
    model = keras.Sequential(
        [keras.Input((16, 16, 3)), trunk, keras.layers.GlobalAveragePooling2D(), backbone.get_layer("scores")]
    )
    model.save(tmp_path / "m.keras")
    nested, flat = (load_engine(str(tmp_path / f"{name}.keras"), batch_size=2) for name in ("m", "b"))
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    targets = np.int32([[0], [1]])

    assert "backbone/last" == nested.target_layer
    np.testing.assert_array_equal(
        flat(images, targets).heatmaps["gradcam"], nested(images, targets).heatmaps["gradcam"]
    )


def test_another_layer_can_be_named(tiny_model: Path) -> None:
    engine = load_engine(str(tiny_model), batch_size=1, target_layer="middle")

    assert ("middle", (8, 8)) == (engine.target_layer, engine.map_size)


def test_candidates_are_the_feature_maps_on_the_way_to_the_logits(tiny_model: Path) -> None:
    engine = load_engine(str(tiny_model), batch_size=1)

    expected = {
        "rescaling": (16, 16, 3),
        "first": (8, 8, 4),
        "norm": (8, 8, 4),
        "middle": (8, 8, 4),
        "last": (4, 4, 6),
    }
    assert expected == engine.candidates


def test_an_unknown_layer_names_the_nearest_and_lists_the_candidates(tiny_model: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_engine(str(tiny_model), batch_size=1, target_layer="midle")

    message = str(caught.value)
    assert message.startswith(
        "target_layer 'midle' is no layer of the model (did you mean 'middle'?); candidates: rescaling"
    )
    assert message.endswith("first 8x8x4, norm 8x8x4, middle 8x8x4, last 4x4x6")


def test_a_layer_that_is_no_feature_map_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_engine(str(tiny_model), batch_size=1, target_layer="scores")

    assert str(caught.value).startswith(
        "target_layer 'scores' has output shape (N, 3) and is no feature map on the way to the logits; "
        "candidates: "
    )


def inputs_and_output(kind: str) -> keras.Model:
    layers = keras.layers
    image = keras.Input((16, 16, 3))
    if kind == "segmenter":
        return keras.Model(image, layers.Conv2D(2, 1)(image))
    if kind == "grey":
        grey = keras.Input((16, 16, 1))
        return keras.Model(grey, layers.Dense(2)(layers.Flatten()(grey)))
    if kind == "tabular":
        table = keras.Input((5,))
        return keras.Model(table, layers.Dense(2)(table))
    if kind == "two inputs":
        left, right = keras.Input((16, 16, 3), name="left"), keras.Input((16, 16, 3), name="right")
        return keras.Model([left, right], layers.Dense(2)(layers.Flatten()(left + right)))
    if kind == "two outputs":
        flat = layers.Flatten()(layers.Conv2D(2, 3)(image))
        return keras.Model(image, [layers.Dense(2, name="small")(flat), layers.Dense(3, name="large")(flat)])
    if kind == "any size":
        any_size = keras.Input((None, None, 3))
        return keras.Model(
            any_size, layers.Dense(2)(layers.GlobalAveragePooling2D()(layers.Conv2D(4, 1)(any_size)))
        )
    raise ValueError(kind)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("segmenter", "the model's output has shape (N, 16, 16, 2); a classifier's is (N, classes)"),
        (
            "grey",
            "the model takes an input of shape (None, 16, 16, 1); "
            "one of (N, H, W, 3) or (N, 3, H, W) is needed",
        ),
        (
            "tabular",
            "the model takes an input of shape (None, 5); one of (N, H, W, 3) or (N, 3, H, W) is needed",
        ),
        (
            "two inputs",
            "the model takes 2 inputs: left (None, 16, 16, 3), right (None, 16, 16, 3); "
            "give each but the image a constant value under inputs",
        ),
        ("two outputs", "the model has 2 outputs: small (N, 2), large (N, 3); set output to one of them"),
        (
            "any size",
            "the model takes images of any size (None, None, None, 3); set preprocess.size: [height, width]",
        ),
    ],
)
def test_what_is_no_image_classifier_is_refused(tmp_path: Path, kind: str, message: str) -> None:
    inputs_and_output(kind).save(tmp_path / "m.keras")
    with pytest.raises(ModelError) as caught:
        load_engine(str(tmp_path / "m.keras"), batch_size=1)

    assert message == str(caught.value)


def test_one_of_several_outputs_is_chosen_by_name_or_index(tmp_path: Path) -> None:
    inputs_and_output("two outputs").save(tmp_path / "m.keras")
    path = str(tmp_path / "m.keras")

    assert [2, 3, 3] == [load_engine(path, batch_size=1, output=output).classes for output in (0, 1, "large")]
    for wrong, shown in (("huge", "'huge'"), (2, "2")):
        with pytest.raises(ModelError) as caught:
            load_engine(path, batch_size=1, output=wrong)

        listed = "small (N, 2), large (N, 3)"
        assert f"output {shown} is none of the model's outputs: {listed}" == str(caught.value)


def test_a_size_that_contradicts_the_model_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_engine(str(tiny_model), batch_size=1, preprocess=Preprocess(size=(32, 16)))

    assert "preprocess.size is [32, 16], but the model takes [16, 16]" == str(caught.value)


def test_a_model_of_any_size_takes_the_size_it_is_told(tmp_path: Path) -> None:
    inputs_and_output("any size").save(tmp_path / "m.keras")
    engine = load_engine(str(tmp_path / "m.keras"), batch_size=1, preprocess=Preprocess(size=(8, 12)))

    assert ((8, 12), (8, 12)) == (engine.input_size, engine.map_size)


@pytest.mark.parametrize("activation", ["sigmoid", None])
def test_one_logit_is_two_classes(tmp_path: Path, activation: str | None) -> None:
    """Class 1 has the logit, class 0 its negative; what speaks for one speaks against the other."""
    path = save_model(tmp_path / "m.keras", classes=1, activation=activation)
    engine = load_engine(str(path), ("hirescam",), batch_size=2)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    found = engine(images, np.tile(np.int32([[0, 1, -1]]), (2, 1)))
    score = keras.models.load_model(path, compile=False)(images.astype(np.float32)).numpy()[:, 0]
    logit = score if activation is None else np.log(score / (1 - score))

    assert ("binary", 2) == (engine.head, engine.classes)
    np.testing.assert_allclose(found.logits, np.stack([-logit, logit], 1), rtol=1e-4)
    np.testing.assert_array_equal(found.targets[:, 2], logit > 0)
    probability = 1 / (1 + np.exp(-logit))
    np.testing.assert_allclose(
        engine.probabilities(found.logits), np.stack([1 - probability, probability], 1), rtol=1e-4
    )
    against, speaks_for = found.heatmaps["hirescam"][:, 0], found.heatmaps["hirescam"][:, 1]
    assert against.any()
    assert speaks_for.any()
    assert not (against * speaks_for).any()


def mean_of_boxes(outputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """What a detector's user may ask: the mean score of a class over all boxes, of shape (N, 3)."""
    return tf.reduce_mean(outputs["boxes"], axis=1)


def sharpness(outputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """One scalar an image."""
    return tf.reduce_max(outputs["boxes"], axis=(1, 2))


def integers(outputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
    return tf.argmax(outputs["boxes"], axis=1)


def failing(outputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
    return outputs["scores"]


def detector(path: Path) -> str:
    """Four boxes with scores of three classes for each image, and a second output beside them."""
    keras.utils.set_random_seed(0)
    image = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(5, 3, strides=4, activation="relu", name="last")(image)
    flat = keras.layers.Flatten()(x)
    boxes = keras.layers.Reshape((4, 3))(keras.layers.Dense(12)(flat))
    keras.Model(image, {"boxes": boxes, "other": keras.layers.Dense(2)(flat)}).save(path)
    return str(path)


def test_a_function_of_the_user_is_explained_instead_of_the_logits(tmp_path: Path) -> None:
    path = detector(tmp_path / "m.keras")
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    scores = keras.models.load_model(path, compile=False)(images.astype(np.float32))["boxes"].numpy()
    several = load_engine(path, ("hirescam",), batch_size=2, score="tests.test_model:mean_of_boxes")
    single = load_engine(path, ("hirescam",), batch_size=2, score="tests.test_model:sharpness")

    assert ("function", 3, 1) == (several.head, several.classes, single.classes)
    found = several(images, np.int32([[0, 2], [1, -1]]))
    np.testing.assert_allclose(found.logits, scores.mean(axis=1), rtol=1e-4)
    assert found.heatmaps["hirescam"].any()
    alone = single(images, np.int32([[0], [0]]))
    np.testing.assert_allclose(alone.logits[:, 0], scores.max(axis=(1, 2)), rtol=1e-4)
    assert alone.heatmaps["hirescam"].any()


@pytest.mark.parametrize(
    ("score", "message"),
    [
        ("tests.test_model", "'tests.test_model' names no function; module:function is needed"),
        (
            "tests.test_model:mean_of_boxs",
            "module 'tests.test_model' has no function 'mean_of_boxs' (did you mean 'mean_of_boxes'?)",
        ),
        (
            "tests.no_such_module:f",
            "module 'tests.no_such_module' cannot be imported: ModuleNotFoundError: "
            "No module named 'tests.no_such_module'; it must be installed, or its folder be on PYTHONPATH, "
            "here and on every worker",
        ),
        (
            "tests.test_model:integers",
            "score returned int64 of shape (N, 3); a floating tensor of shape (N,) or (N, K) is needed",
        ),
        (
            "tests.test_model:failing",
            "score failed on the outputs boxes (N, 4, 3), other (N, 2): KeyError: 'scores'",
        ),
    ],
)
def test_functions_that_cannot_be_used_are_refused(tmp_path: Path, score: str, message: str) -> None:
    path = detector(tmp_path / "m.keras")
    with pytest.raises(ModelError) as caught:
        load_engine(path, batch_size=1, score=score)

    assert message == str(caught.value)


def test_cam_is_made_of_the_weights_of_the_head(tiny_model: Path, flat_model: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    model = keras.models.load_model(tiny_model, compile=False)
    kernel, _ = model.get_layer("scores").get_weights()
    activations = keras.Model(model.inputs[0], model.get_layer("last").output)(images.astype(np.float32))
    found = load_engine(str(tiny_model), ("cam",), batch_size=2)(images, np.int32([[0], [2]]))
    expected = np.einsum("nhwk,kn->nhw", activations, kernel[:, [0, 2]])

    np.testing.assert_allclose(found.heatmaps["cam"][:, 0], np.maximum(expected, 0), atol=1e-5)
    with pytest.raises(ModelError) as caught:
        load_engine(str(flat_model), ("cam",))
    assert str(caught.value) == (
        "method cam needs a head of global average pooling and linear layers; behind 'last' there is Reshape"
    )


AVERAGE = keras.layers.GlobalAveragePooling2D()
COLUMNS = np.linspace(0, 1, 8, dtype=np.float32)[:, None]
# What stands between the explained map (4 channels, 8 x 8 positions) and a dense layer, and what of it
# treats positions differently.
AVERAGING = {
    "average": (lambda x: AVERAGE(x), None),
    "every position alike": (
        lambda x: AVERAGE(keras.layers.Conv2D(5, 1)(x) * np.float32([1, 2, 3, 4, 5])),
        None,
    ),
    "a border": (lambda x: AVERAGE(keras.layers.Conv2D(5, 3, padding="same")(x)), "Conv2D"),
    "every other position": (lambda x: AVERAGE(keras.layers.Conv2D(5, 1, strides=2)(x)), "Conv2D"),
    "weighted columns": (lambda x: AVERAGE(x * COLUMNS), "Mul"),
    "rows only": (lambda x: keras.layers.Flatten()(keras.ops.mean(x, axis=1)), "Mean"),
    "the largest": (lambda x: keras.layers.GlobalMaxPooling2D()(x), "Max"),
}


@pytest.mark.parametrize("name", AVERAGING)
def test_a_head_averages_if_it_treats_all_positions_alike(tmp_path: Path, name: str) -> None:
    """Else its gradient is not the same everywhere: there is no CAM, and HiResCAM is not Grad-CAM."""
    head, problem = AVERAGING[name]
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    last = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="last")(inputs)
    path = str(tmp_path / "m.keras")
    keras.Model(inputs, keras.layers.Dense(3)(head(last))).save(path)
    how = {"batch_size": 2, "target_layer": "last"}
    if problem is not None:
        with pytest.raises(ModelError, match=f"behind 'last' there is {problem}$"):
            load_engine(path, ("cam",), **how)
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    maps = load_engine(path, ("gradcam", "hirescam"), **how)(images, np.int32([[0], [1]])).heatmaps

    assert (problem is None) == np.array_equal(maps["gradcam"], maps["hirescam"])
    if problem is None:
        alone = load_engine(path, ("cam",), **how)(images, np.int32([[0], [1]])).heatmaps["cam"]
        np.testing.assert_allclose(maps["gradcam"], alone / 64, rtol=1e-4, atol=1e-6)


def test_a_mixed_precision_model_gives_nearly_the_maps_of_float32(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
    found = {}
    for policy in ("float32", "mixed_bfloat16", "mixed_float16"):
        keras.config.set_dtype_policy(policy)
        try:
            path = save_model(tmp_path / f"{policy}.keras", activation=None)
        finally:
            keras.config.set_dtype_policy("float32")
        engine = load_engine(str(path), ("hirescam",), batch_size=2)
        found[policy] = engine(images, np.int32([[0], [1]])).heatmaps["hirescam"]

    assert np.float32 == found["mixed_bfloat16"].dtype
    largest = found["float32"].max()
    np.testing.assert_allclose(found["mixed_bfloat16"], found["float32"], atol=0.05 * largest)
    np.testing.assert_allclose(found["mixed_float16"], found["float32"], atol=0.01 * largest)
