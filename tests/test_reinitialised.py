"""Networks with weights drawn anew: equal to the same done by hand in Keras, for any kind of file."""

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from transforms.explain import load_engine
from transforms.explain.engine import Engine
from transforms.explain.explanations import Explanations
from transforms.explain.reinitialised import Part, shuffled

from .builders import make_transformer, save_model

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), np.uint8)
TARGETS = np.int32([[0], [1], [2]])
# The layers with kernels of `save_model(head="flat")`, by index.
FIRST, LAST, DENSE, SCORES = 2, 5, 7, 8


def engine_of(path: Path, batch_size: int = 4) -> Engine:
    return load_engine(str(path), ("gradcam", "hirescam"), batch_size=batch_size)


def maps_of(engine: Engine) -> NDArray[np.float32]:
    return engine(IMAGES, TARGETS).heatmaps["hirescam"]


def drawn(engine: Engine, part: Part, method: str = "hirescam", draw: int = 0) -> Explanations:
    """What the engine finds with its weights drawn anew."""
    control, program = engine.reinitialised(method)
    with program.drawn(part, draw):
        return control(IMAGES, TARGETS)


def by_hand(path: Path, layers: Sequence[int], folder: Path) -> Path:
    """The model saved again with the kernels of those layers shuffled."""
    model = keras.models.load_model(path, compile=False)
    for index in layers:
        kernel, *rest = model.layers[index].get_weights()
        model.layers[index].set_weights([shuffled(kernel, 0), *rest])
    model.save(folder / "by_hand.keras")
    return folder / "by_hand.keras"


@pytest.mark.parametrize(
    ("part", "layers"),
    [
        ("head", [DENSE, SCORES]),
        ("network", [FIRST, LAST, DENSE, SCORES]),
    ],
)
def test_kernels_are_shuffled_and_nothing_else(tmp_path: Path, part: Part, layers: Sequence[int]) -> None:
    path = save_model(tmp_path / "flat.keras", head="flat", seed=1)
    trained = engine_of(path)
    expected = engine_of(by_hand(path, layers, tmp_path))(IMAGES, TARGETS)
    found = drawn(trained, part)

    assert {"last": ["hirescam"]} == {layer: list(maps) for layer, maps in found.layers.items()}
    np.testing.assert_allclose(expected.logits, found.logits, rtol=1e-4, atol=1e-6)
    expected_maps, maps = expected.heatmaps["hirescam"], found.heatmaps["hirescam"]
    np.testing.assert_allclose(expected_maps, maps, rtol=1e-4, atol=1e-6)
    # Nothing of this changes the trained model, whose maps are others.
    np.testing.assert_array_equal(maps_of(engine_of(path)), maps_of(trained))
    assert np.abs(maps_of(trained) - maps).max() > 1e-3


def test_a_shuffled_weight_keeps_its_values_up_to_their_signs() -> None:
    weight = np.arange(1, 25, dtype=np.float32).reshape(2, 3, 4)
    found = shuffled(weight, 0)

    assert (np.float32, (2, 3, 4)) == (found.dtype, found.shape)
    np.testing.assert_array_equal(weight.ravel(), np.sort(np.abs(found.ravel())))
    assert {-1, 1} == set(np.sign(found.ravel()))
    np.testing.assert_array_equal(found, shuffled(weight, 0))
    assert (found != shuffled(weight, 1)).any()
    assert (found != -shuffled(-weight, 0)).any()


@pytest.mark.parametrize("part", ["head", "network"])
@pytest.mark.parametrize("kind", ["flat", "transformer"])
def test_a_saved_model_is_drawn_like_its_keras_file(tmp_path: Path, kind: str, part: Part) -> None:
    path = tmp_path / "m.keras"
    if kind == "flat":
        save_model(path, head="flat")
    else:
        make_transformer().save(path)
    keras.models.load_model(path, compile=False).export(tmp_path / "exported", verbose=False)
    file, folder = (drawn(engine_of(p), part).heatmaps["hirescam"] for p in (path, tmp_path / "exported"))

    assert file.any()
    np.testing.assert_allclose(file, folder, rtol=1e-3, atol=1e-6)


def test_a_nested_model_and_one_that_hides_its_layers_in_a_function(tmp_path: Path) -> None:
    """The first is a model in a model; the second calls its layers under tf.function."""
    inner = keras.models.load_model(save_model(tmp_path / "inner.keras", head="flat", seed=1), compile=False)
    pixels = keras.Input((16, 16, 3))
    keras.Model(pixels, inner(pixels)).save(tmp_path / "outer.keras")
    flat, nested = (engine_of(tmp_path / f"{name}.keras") for name in ("inner", "outer"))

    for part in ("head", "network"):
        np.testing.assert_allclose(
            drawn(flat, part).heatmaps["hirescam"],
            drawn(nested, part).heatmaps["hirescam"],
            rtol=1e-4,
            atol=1e-6,
        )


def test_the_loop_of_a_recurrent_head_gets_its_weights(tmp_path: Path) -> None:
    """They are read in another graph, that of the loop's body."""
    keras.utils.set_random_seed(0)
    pixels = keras.Input((16, 16, 3))
    maps = keras.layers.Conv2D(4, 4, strides=4, activation="relu", name="last")(pixels)
    rows = keras.layers.Reshape((4, 16))(maps)
    state = keras.layers.SimpleRNN(5, name="loop")(rows)
    path = tmp_path / "m.keras"
    keras.Model(pixels, keras.layers.Dense(3, name="scores")(state)).save(path)
    control, program = engine_of(path).reinitialised("hirescam")
    as_it_is = control(IMAGES, TARGETS).logits
    with program.drawn("head"):
        assert np.abs(control(IMAGES, TARGETS).logits - as_it_is).min() > 1e-6

    # The kernel of the inputs, that of the states, and the last layer's.
    assert {(16, 5), (5, 5), (5, 3)} == {tuple(program._trained[name].shape) for name in program._behind}


def test_a_control_without_any_gradient_has_maps_of_zeros(tmp_path: Path) -> None:
    """Half the sum of the activations is taken off: random signs do not reach so far."""
    path = save_model(tmp_path / "m.keras", head="flat", seed=1)
    model = keras.models.load_model(path, compile=False)
    features = keras.Model(model.input, model.get_layer("last").output)(IMAGES.astype(np.float32)).numpy()
    kernel, bias = model.layers[DENSE].get_weights()
    bias[:] = -0.5 * features.sum(axis=(1, 2, 3)).min()
    model.layers[DENSE].set_weights([np.ones_like(kernel), bias])
    model.save(path)
    trained = engine_of(path)

    assert maps_of(trained).any()
    assert not drawn(trained, "head").heatmaps["hirescam"].any()


def test_a_halved_batch_has_the_same_weights(tmp_path: Path) -> None:
    path = save_model(tmp_path / "m.keras", head="flat", seed=1)
    control, program = engine_of(path).reinitialised("hirescam")
    with program.drawn("network"):
        whole = maps_of(control)
    control._halve(4)

    assert 2 == control.batch_size
    with program.drawn("network"):
        np.testing.assert_allclose(whole, maps_of(control), rtol=1e-5, atol=1e-7)


def test_one_control_serves_every_draw_in_any_order(tmp_path: Path) -> None:
    trained = engine_of(save_model(tmp_path / "m.keras", head="flat", seed=1))
    control, program = trained.reinitialised("hirescam")
    for part, draw in (("network", 1), ("head", 0), ("network", 0), ("network", 1)):
        with program.drawn(part, draw):
            np.testing.assert_array_equal(
                drawn(trained, part, draw=draw).heatmaps["hirescam"], maps_of(control)
            )


@pytest.mark.parametrize("method", ["scorecam", "ablationcam", "eigencam", "gradcam++"])
def test_every_kind_of_method_has_controls(tmp_path: Path, method: str) -> None:
    path = save_model(tmp_path / "flat.keras", head="flat", seed=1)
    trained = load_engine(str(path), (method,), batch_size=4)
    same = load_engine(str(by_hand(path, [FIRST, LAST, DENSE, SCORES], tmp_path)), (method,), batch_size=4)
    expected = same(IMAGES, TARGETS).heatmaps[method]
    found = drawn(trained, "network", method).heatmaps[method]

    assert found.any()
    np.testing.assert_allclose(expected, found, rtol=1e-3, atol=1e-6)
