"""The engine against a GradientTape, against itself in other batches, and against hand-set weights."""

import functools
import re
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from numpy.typing import NDArray

from transforms.errors import ModelError
from transforms.explain import engine as engine_module
from transforms.explain import load_engine
from transforms.explain.devices import compiled
from transforms.explain.engine import Engine
from transforms.explain.program import Program
from transforms.explain.settings import Preprocess
from transforms.explain.targets import NO_TARGET

from .builders import save_model

METHODS = ("gradcam", "hirescam")


def images_of(count: int, size: int = 16, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def column(*targets: int) -> NDArray[np.int32]:
    return np.array(targets, np.int32)[:, None]


def tape_heatmaps(
    path: Path, images: NDArray[np.uint8], classes: list[int]
) -> dict[str, NDArray[np.float32]]:
    """The textbook way: a model that also returns the last feature map, one image at a time."""
    model = keras.models.load_model(path, compile=False)
    model.layers[-1].activation = None
    both = keras.Model(model.inputs, [model.get_layer("last").output, model.outputs[0]])
    maps: dict[str, list[NDArray[np.float32]]] = {method: [] for method in METHODS}
    for image, target in zip(images, classes, strict=True):
        with tf.GradientTape() as tape:
            activations, logits = both(tf.cast(image[None], tf.float32), training=False)
            logit = logits[0, target]
        gradients = tape.gradient(logit, activations)[0]
        weights = tf.reduce_mean(gradients, axis=(0, 1))
        maps["gradcam"].append(tf.nn.relu(tf.reduce_sum(activations[0] * weights, -1)).numpy())
        maps["hirescam"].append(tf.nn.relu(tf.reduce_sum(activations[0] * gradients, -1)).numpy())
    return {method: np.stack(values) for method, values in maps.items()}


def assert_close(expected: NDArray[np.float32], actual: NDArray[np.float32], relative: float = 1e-5) -> None:
    """Equal up to a share of the largest value: single small cells cancel and have no relative accuracy."""
    np.testing.assert_allclose(actual, expected, atol=relative * np.abs(expected).max(), rtol=0)


@pytest.fixture(scope="module")
def engine(tiny_model: Path) -> Engine:
    return load_engine(str(tiny_model), METHODS, batch_size=4)


@pytest.mark.parametrize("fixture", ["tiny_model", "flat_model"])
def test_heatmaps_equal_the_gradient_tape(fixture: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(fixture)
    images, classes = images_of(7), [0, 1, 2, 0, 1, 2, 0]
    expected = tape_heatmaps(path, images, classes)
    found = load_engine(str(path), METHODS, batch_size=4)(images, column(*classes))

    for method in METHODS:
        assert expected[method].max() > 0
        assert_close(expected[method], found.heatmaps[method][:, 0])


def test_the_real_model_equals_the_gradient_tape_and_batches_do_not_matter(real_data: Path) -> None:
    path = real_data / "models/mobilenet_v2_1.0_224_imagenet.keras"
    images = images_of(32, size=224)
    engine = load_engine(str(path), METHODS, batch_size=32, preprocess=Preprocess(scale=(-1, 1)))
    together = engine(images, np.full((32, 1), 281, np.int32))
    model = keras.models.load_model(path, compile=False)
    model.layers[-1].activation = None
    both = keras.Model(model.inputs, [model.get_layer("out_relu").output, model.outputs[0]])
    for row in range(0, 32, 8):
        with tf.GradientTape() as tape:
            x = tf.cast(images[row : row + 1], tf.float32) / 127.5 - 1
            activations, logits = both(x, training=False)
            logit = logits[0, 281]
        gradients = tape.gradient(logit, activations)
        expected = tf.nn.relu(tf.reduce_sum(activations * gradients, -1))[0].numpy()

        assert_close(expected, together.heatmaps["hirescam"][row, 0])
        alone = engine(images[row : row + 1], column(281))
        np.testing.assert_array_equal(alone.heatmaps["hirescam"][0], together.heatmaps["hirescam"][row])


def test_a_batch_equals_its_images_one_by_one(engine: Engine) -> None:
    images, targets = images_of(9), column(0, 1, 2, -1, -2, 0, 1, 2, -1)
    together = engine(images, targets)
    for row in range(9):
        alone = engine(images[row : row + 1], targets[row : row + 1])

        assert together.targets[row] == alone.targets[0]
        np.testing.assert_array_equal(together.logits[row], alone.logits[0])
        for method in METHODS:
            np.testing.assert_array_equal(together.heatmaps[method][row], alone.heatmaps[method][0])


def test_shapes_and_types(engine: Engine) -> None:
    found = engine(images_of(5), np.zeros((5, 3), np.int32))

    assert ((5, 3), np.int32) == (found.targets.shape, found.targets.dtype)
    assert ((5, 3), np.float32) == (found.logits.shape, found.logits.dtype)
    assert dict.fromkeys(METHODS, (5, 3, 4, 4)) == {m: h.shape for m, h in found.heatmaps.items()}
    assert {np.dtype(np.float32)} == {h.dtype for h in found.heatmaps.values()}


def test_no_images_give_empty_arrays(engine: Engine) -> None:
    found = engine(images_of(0), np.zeros((0, 1), np.int32))

    assert (0, 1) == found.targets.shape
    assert (0, 1, 4, 4) == found.heatmaps["gradcam"].shape


def test_codes_resolve_to_predicted_runner_up_none_and_best_of_a_group(tiny_model: Path) -> None:
    engine = load_engine(str(tiny_model), batch_size=4, groups=[(0, 1), (1, 2)])
    images = images_of(6)
    logits = engine(images, column(*[0] * 6)).logits
    found = engine(images, np.tile(np.int32([-1, -2, -3, -10, -11, 2]), (6, 1)))

    order = np.argsort(-logits, axis=1)
    np.testing.assert_array_equal(order[:, 0], found.targets[:, 0])
    np.testing.assert_array_equal(order[:, 1], found.targets[:, 1])
    np.testing.assert_array_equal([-3] * 6, found.targets[:, 2])
    np.testing.assert_array_equal(logits[:, :2].argmax(1), found.targets[:, 3])
    np.testing.assert_array_equal(1 + logits[:, 1:].argmax(1), found.targets[:, 4])
    np.testing.assert_array_equal([2] * 6, found.targets[:, 5])
    assert not found.heatmaps["gradcam"][:, 2].any()


def test_more_targets_than_one_pass_takes(engine: Engine) -> None:
    images = images_of(2)
    targets = np.tile(np.arange(11, dtype=np.int32) % 3, (2, 1))
    found = engine(images, targets)
    one = engine(images, np.tile(np.int32([0, 1, 2]), (2, 1)))

    np.testing.assert_array_equal(targets, found.targets)
    for index in range(11):
        for method in METHODS:
            assert_close(one.heatmaps[method][:, index % 3], found.heatmaps[method][:, index])


@pytest.mark.parametrize(
    ("activation", "head"), [("softmax", "softmax"), ("sigmoid", "sigmoid"), (None, "linear")]
)
def test_logits_are_found_behind_any_activation(tmp_path: Path, activation: str | None, head: str) -> None:
    engine = load_engine(str(save_model(tmp_path / "m.keras", activation=activation)), batch_size=2)
    plain = load_engine(str(save_model(tmp_path / "p.keras", activation=None)), batch_size=2)
    found, expected = engine(images_of(2), column(0, 1)), plain(images_of(2), column(0, 1))

    assert head == engine.head
    np.testing.assert_allclose(found.logits, expected.logits, rtol=1e-6)
    assert_close(expected.heatmaps["gradcam"], found.heatmaps["gradcam"])


def test_probabilities_are_what_the_model_returns(tmp_path: Path) -> None:
    for activation in ("softmax", "sigmoid"):
        path = save_model(tmp_path / f"{activation}.keras", activation=activation)
        engine = load_engine(str(path), batch_size=2)
        images = images_of(2)
        expected = keras.models.load_model(path, compile=False)(images.astype(np.float32)).numpy()

        np.testing.assert_allclose(
            engine.probabilities(engine(images, column(0, 0)).logits), expected, rtol=1e-5
        )


def test_many_threads_get_the_same_answers_as_one(engine: Engine) -> None:
    images = [images_of(3, seed=seed) for seed in range(8)]
    expected = [engine(batch, column(0, 1, 2)).heatmaps["gradcam"] for batch in images]
    found: dict[int, NDArray[np.float32]] = {}

    def explain(index: int) -> None:
        found[index] = engine(images[index], column(0, 1, 2)).heatmaps["gradcam"]

    threads = [threading.Thread(target=explain, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    for index in range(8):
        np.testing.assert_array_equal(expected[index], found[index])


def test_weights_that_are_not_finite_show_in_the_map(tmp_path: Path) -> None:
    path = save_model(tmp_path / "m.keras")
    model = keras.models.load_model(path, compile=False)
    kernel, bias = model.get_layer("scores").get_weights()
    kernel[0, 0] = np.nan
    model.get_layer("scores").set_weights([kernel, bias])
    model.save(path)
    found = load_engine(str(path), METHODS, batch_size=2)(images_of(2), column(0, 1))

    for method in METHODS:
        assert np.isnan(found.heatmaps[method][0]).all()


@pytest.mark.parametrize(
    ("images", "targets", "message"),
    [
        (
            np.zeros((1, 16, 16, 3), np.float32),
            column(0),
            "images are float32 of shape (1, 16, 16, 3); uint8 of shape (N, 16, 16, 3) is needed",
        ),
        (
            np.zeros((1, 8, 16, 3), np.uint8),
            column(0),
            "images are uint8 of shape (1, 8, 16, 3); uint8 of shape (N, 16, 16, 3) is needed",
        ),
        (
            np.zeros((2, 16, 16, 3), np.uint8),
            column(0),
            "targets are int32 of shape (1, 1); int32 of shape (2, T) is needed",
        ),
        (
            np.zeros((1, 16, 16, 3), np.uint8),
            column(3),
            "target 3 is neither a class in 0..2, nor -1 (predicted), -2 (runner-up) or -3 (none), "
            "nor one of 0 groups from -10 down",
        ),
    ],
)
def test_wrong_arguments_are_refused(
    engine: Engine, images: NDArray[np.uint8], targets: NDArray[np.int32], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        engine(images, targets)

    assert message == str(caught.value)


def test_preprocessing_may_be_given_as_a_config_says_it(tiny_model: Path) -> None:
    images, targets = images_of(2), column(0, 1)
    given = {"scale": [0, 1], "channels": "bgr"}
    as_mapping = load_engine(str(tiny_model), batch_size=2, preprocess=given)(images, targets)
    as_settings = load_engine(
        str(tiny_model), batch_size=2, preprocess=Preprocess(scale=(0, 1), channels="bgr")
    )(images, targets)

    np.testing.assert_array_equal(as_settings.logits, as_mapping.logits)


def test_an_unknown_method_is_refused(tiny_model: Path) -> None:
    with pytest.raises(ModelError) as caught:
        load_engine(str(tiny_model), ("gradcam+",))

    methods = "cam, gradcam, gradcam++, hirescam, xgradcam, layercam, eigencam, scorecam, ablationcam"
    assert f"method 'gradcam+' is unknown; methods: {methods}" == str(caught.value)


class SmallMemory:
    """Stands for a device that takes only so many images: calls of an engine's graph fail beyond that."""

    def __init__(self, engine: Engine, most: int, poison: int | None = None) -> None:
        self.batches: list[int] = []
        traced = engine._function

        def function(columns: int, batch: int) -> object:
            def run(images: tf.Tensor, targets: tf.Tensor) -> object:
                self.batches.append(batch)
                if batch > most or (poison is not None and bool(tf.reduce_any(images == poison))):
                    raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating a tensor")
                return traced(columns, batch)(images, targets)

            return run

        engine._function = function  # type: ignore[method-assign]


def test_a_batch_that_does_not_fit_is_halved_once_and_for_all(tiny_model: Path) -> None:
    images, targets = images_of(10), column(*[0, 1, 2, -1, -2] * 2)
    expected = load_engine(str(tiny_model), METHODS, batch_size=8)(images, targets)
    engine = load_engine(str(tiny_model), METHODS, batch_size=8)
    device = SmallMemory(engine, most=3)
    found = engine(images, targets)
    engine(images, targets)

    assert 2 == engine.batch_size
    # Two passes may go on side by side, and both not fit.
    assert [8, 4, 2] == list(dict.fromkeys(device.batches))
    assert 10 == device.batches.count(2)
    assert () == found.out_of_memory
    np.testing.assert_array_equal(expected.targets, found.targets)
    for method in METHODS:
        assert_close(expected.heatmaps[method], found.heatmaps[method])


def test_an_image_that_does_not_fit_alone_is_named_and_the_others_go_on(tiny_model: Path) -> None:
    images = np.minimum(images_of(5), 250)
    images[3, 0, 0] = 255
    targets = column(0, 1, 2, 0, 1)
    expected = load_engine(str(tiny_model), METHODS, batch_size=4)(images, targets)
    engine = load_engine(str(tiny_model), METHODS, batch_size=4)
    SmallMemory(engine, most=4, poison=255)
    found = engine(images, targets)

    assert ((3,), 1) == (found.out_of_memory, engine.batch_size)
    assert not found.heatmaps["gradcam"][3].any()
    others = [0, 1, 2, 4]
    assert_close(expected.heatmaps["gradcam"][others], found.heatmaps["gradcam"][others])


def test_of_an_image_whose_ninth_target_does_not_fit_nothing_is_kept(tiny_model: Path) -> None:
    """Eight targets go into one pass, the others into the next."""
    engine = load_engine(str(tiny_model), METHODS, batch_size=1)
    traced = engine._function

    def function(columns: int, batch: int) -> object:
        if columns == 1:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating a tensor")
        return traced(columns, batch)

    engine._function = function  # type: ignore[method-assign]
    found = engine(images_of(1), np.int32([[0, 1, 2] * 3]))

    assert (0,) == found.out_of_memory
    assert [[NO_TARGET] * 9] == found.targets.tolist()
    assert not found.logits.any()
    assert not any(values.any() for values in found.heatmaps.values())


def test_one_trace_serves_every_batch(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    traces = []
    dissect = Program.dissect
    monkeypatch.setattr(Program, "dissect", lambda *args: traces.append(1) or dissect(*args))
    engine = load_engine(str(tiny_model), METHODS, batch_size=4)
    for count in (4, 1, 3, 9, 0, 4):
        engine(images_of(count), np.zeros((count, 1), np.int32))

    assert [1] == traces
    assert 1 == len(engine._functions)


def test_xla_changes_no_map(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a GPU would be given, compiled for this machine."""
    images, targets = images_of(3), column(0, 1, -1)
    methods = ("gradcam", "hirescam", "gradcam++", "xgradcam", "layercam")
    expected = load_engine(str(tiny_model), methods, batch_size=4)(images, targets)
    monkeypatch.setattr(engine_module, "compiled", functools.partial(compiled, xla=True))
    found = load_engine(str(tiny_model), methods, batch_size=4)(images, targets)

    np.testing.assert_array_equal(expected.targets, found.targets)
    for method in methods:
        assert_close(expected.heatmaps[method], found.heatmaps[method])


def test_a_first_batch_without_heat_is_no_reason_to_refuse_a_model(tiny_model: Path) -> None:
    """Where the gradients of random images are not zero, a batch of empty maps is what it is."""
    engine = load_engine(str(tiny_model), METHODS, batch_size=2)
    engine._expect_gradients(seen=False)

    assert engine._seen_gradients
