"""Finding the cut and the logits in models of many kinds, and saying what is wrong with the others."""

from pathlib import Path

import keras
import numpy as np
import pytest

from transforms.errors import ModelError
from transforms.explain import load_engine
from transforms.explain.settings import Preprocess

from .builders import save_model

# The cut of each family as `cam_libraries` measured it: layer, map size. Names that Keras counts up within
# a process (`activation_17`) are not compared. A few families; the rest differ from these in depth only.
FAMILIES = [
    ("MobileNet", "conv_pw_13_relu", (7, 7)),
    ("MobileNetV2", "out_relu", (7, 7)),
    ("MobileNetV3Small", None, (7, 7)),
    ("ResNet50V2", "post_relu", (7, 7)),
    ("DenseNet121", "relu", (7, 7)),
    ("EfficientNetB0", "top_activation", (7, 7)),
    ("VGG16", "block5_conv3", (14, 14)),
]


@pytest.mark.parametrize(("family", "layer", "size"), FAMILIES)
def test_the_cut_of_a_family_of_keras_applications(
    tmp_path: Path, family: str, layer: str | None, size: tuple[int, int]
) -> None:
    model = getattr(keras.applications, family)(weights=None)
    model.save(tmp_path / "m.keras")
    engine = load_engine(str(tmp_path / "m.keras"), batch_size=1, preprocess=Preprocess(size=(224, 224)))

    assert (size, "softmax", 1000) == (engine.map_size, engine.head, engine.classes)
    if layer is not None:
        assert layer == engine.target_layer


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
        "target_layer 'scores' has output shape (1, 3) and is no feature map on the way to the logits; "
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
        other = keras.Input((16, 16, 3))
        return keras.Model([image, other], layers.Dense(2)(layers.Flatten()(image + other)))
    if kind == "two outputs":
        flat = layers.Flatten()(layers.Conv2D(2, 3)(image))
        return keras.Model(image, [layers.Dense(2, name="small")(flat), layers.Dense(3, name="large")(flat)])
    if kind == "one logit":
        return keras.Model(image, layers.Dense(1, activation="sigmoid")(layers.Flatten()(image)))
    if kind == "any size":
        any_size = keras.Input((None, None, 3))
        return keras.Model(
            any_size, layers.Dense(2)(layers.GlobalAveragePooling2D()(layers.Conv2D(4, 1)(any_size)))
        )
    raise ValueError(kind)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("segmenter", "the model's output has shape (1, 16, 16, 2); a classifier's is (N, classes)"),
        ("grey", "the model takes an input of shape (None, 16, 16, 1); one of (N, H, W, 3) is needed"),
        ("tabular", "the model takes an input of shape (None, 5); one of (N, H, W, 3) is needed"),
        ("two inputs", "the model takes 2 inputs; one image input of shape (N, H, W, 3) is needed"),
        ("two outputs", "the model has 2 outputs: small (1, 2), large (1, 3); set output to one of them"),
        ("one logit", "the model has a single logit; scores of two classes or more are needed"),
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

        listed = "small (1, 2), large (1, 3)"
        assert f"output {shown} is none of the model's outputs: {listed}" == str(caught.value)


def test_a_size_that_contradicts_the_model_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_engine(str(tiny_model), batch_size=1, preprocess=Preprocess(size=(32, 16)))

    assert "preprocess.size is [32, 16], but the model takes [16, 16]" == str(caught.value)


def test_a_model_of_any_size_takes_the_size_it_is_told(tmp_path: Path) -> None:
    inputs_and_output("any size").save(tmp_path / "m.keras")
    engine = load_engine(str(tmp_path / "m.keras"), batch_size=1, preprocess=Preprocess(size=(8, 12)))

    assert ((8, 12), (8, 12)) == (engine.input_size, engine.map_size)
