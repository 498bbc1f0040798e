"""Sampled images by a model and by its controls; a model that sees its objects stands above them."""

from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from transforms.explain.again.controls import Controls, compared_name
from transforms.explain.again.sampling import rank
from transforms.explain.again.wiring import _FirstOfUnits
from transforms.explain.explainer import Explainer, ModelSpec, engine_of
from transforms.explain.reinitialised import Part
from transforms.explain.settings import ExplainSettings, ModelSettings
from transforms.explain.targets import ClassMap
from transforms.health import HealthMaps
from transforms.judge.health import HealthTally, judge_health
from transforms.judge.settings import JudgeSettings
from transforms.judge.statistics import Tally
from transforms.judge.verdicts import finding
from transforms.measure.ground import Allowed
from transforms.measure.health import health_score
from transforms.records import Box, Example, Explanation

from .builders import encode, make_example, make_group, make_image

CLASSES = {"cat": [0], "dog": [1, 2], "husky": [2]}
SETTINGS = ExplainSettings(batch_size=4)
EVERY = {"m": [rank(f"{i}.png") for i in range(60)]}


def spec_of(path: Path, classes: dict[str, list[int]] | None = None) -> ModelSpec:
    return ModelSpec(ModelSettings(name="m", path=str(path)), "", [], ClassMap(classes or CLASSES))


def controls_of(path: Path, drawn: dict[str, list[int]] | None = None) -> Controls:
    return Controls(Explainer([spec_of(path)], SETTINGS), "hirescam", EVERY if drawn is None else drawn)


def example(index: int, name: str = "cat", image: bytes | None = None) -> Example:
    data = encode(make_image(seed=index)) if image is None else image
    return make_example(example_id=f"{index}.png", image=data, boxes=[Box(name, 2, 2, 10, 12)])


def heatmap(data: bytes | None, size: int = 4) -> NDArray[np.float32]:
    assert data is not None
    return np.frombuffer(data, "<f4").reshape(size, size)


def test_maps_are_those_of_the_engine_and_its_controls(flat_model: Path) -> None:
    examples = [example(i, name) for i, name in enumerate(["cat", "dog", "cat", "husky", "dog"])]
    found = list(controls_of(flat_model).compare(examples))
    explainer = Explainer([spec_of(flat_model)], SETTINGS.model_copy(update={"targets": ("annotated",)}))
    trained = [row for row in explainer.explain(examples) if isinstance(row, Explanation)]
    engine = engine_of(spec_of(flat_model), SETTINGS)
    pixels = np.stack([make_image(seed=i) for i in range(5)])
    targets = np.int32([[row.target_class] for row in trained])

    assert [one.example_id for one in examples] == [maps.example_id for maps in found]
    control, program = engine.reinitialised("hirescam")
    draws: list[tuple[Part, int]] = [("head", 0), *(("network", draw) for draw in range(3))]
    for number, (part, draw) in enumerate(draws):
        with program.drawn(part, draw):
            expected = control(pixels, targets).heatmaps["hirescam"][:, 0]
        for row, maps in zip(expected, found, strict=True):
            drawn = [maps.head, *maps.networks][number]
            np.testing.assert_allclose(row, heatmap(drawn), rtol=1e-4, atol=1e-6)
    for one, maps in zip(trained, found, strict=True):
        np.testing.assert_allclose(heatmap(one.heatmaps[1]), heatmap(maps.trained), rtol=1e-4, atol=1e-6)
        assert (one.target_boxes, one.other_boxes) == (maps.scene.target_boxes, maps.scene.other_boxes)
        assert ("m", one.source, 4, 4) == (maps.model, maps.source, maps.map_height, maps.map_width)


def test_a_runner_up_is_another_class_than_the_annotated_one_which_is_predicted(flat_model: Path) -> None:
    examples = {
        f"{index} {name}": make_example(
            example_id=f"{index} {name}",
            image=encode(make_image(seed=index)),
            boxes=[Box(name, 2, 2, 10, 12)],
        )
        for index in range(6)
        for name in CLASSES
    }
    controls = controls_of(flat_model, {"m": [rank(identity) for identity in examples]})
    found = {maps.example_id: maps for maps in controls.compare(list(examples.values()))}
    engine = engine_of(spec_of(flat_model), SETTINGS)
    rivals = 0
    for identity in examples:
        index, name = identity.split()
        image, own = make_image(seed=int(index))[None], CLASSES[name]
        first, second = np.argsort(engine(image, np.int32([[-1]])).logits[0])[:-3:-1]
        runner_up = found[identity].runner_up
        if first in own and second not in own:
            rivals += 1
            expected = engine(image, np.int32([[second]])).heatmaps["hirescam"][0, 0]
            np.testing.assert_allclose(expected, heatmap(runner_up), rtol=1e-4, atol=1e-6)
        else:
            assert runner_up is None

    assert 0 < rivals < len(examples)


def test_only_what_was_drawn_and_can_be_decoded_is_compared(tiny_model: Path) -> None:
    examples = [example(i) for i in range(6)] + [example(6, image=b"broken"), example(7, "ufo")]
    drawn = [rank(f"{i}.png") for i in (1, 3, 6, 7)]
    found = list(controls_of(tiny_model, {"m": drawn, "n": [rank("2.png")]}).compare(examples))

    assert ["1.png", "3.png"] == [maps.example_id for maps in found]
    assert [] == list(controls_of(tiny_model, {}).compare(examples))
    assert compared_name(example(7, "ufo"), spec_of(tiny_model), EVERY) is None


def test_batches_change_nothing(tiny_model: Path) -> None:
    examples = [example(i, name) for i, name in enumerate(["cat", "dog"] * 4)]
    controls = controls_of(tiny_model)

    assert list(controls.compare(examples)) == [maps for one in examples for maps in controls.compare([one])]


def save_colours(path: Path, seed: int | None) -> Path:
    """Three classes, red, green and blue, told by what they are; or the same network with random weights.

    There are no weights behind its last map, whose average is the answer.
    """
    keras.utils.set_random_seed(seed or 0)
    pixels = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 255)(pixels)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(x)
    x = keras.layers.Conv2D(3, 3, padding="same", activation="relu", name="last")(x)
    model = keras.Model(pixels, keras.layers.Softmax()(keras.layers.GlobalAveragePooling2D()(x)))
    if seed is None:
        for name in ("first", "last"):
            kernel, bias = model.get_layer(name).get_weights()
            kernel[:] = 0
            kernel[1, 1, range(3), range(3)] = 1
            model.get_layer(name).set_weights([kernel, bias])
    model.save(path)
    return path


def coloured(index: int) -> Example:
    """A bright square of one colour on dim noise."""
    random = np.random.default_rng(index)
    pixels = random.integers(0, 60, (16, 16, 3), np.uint8)
    x, y = random.integers(0, 10, 2)
    pixels[y : y + 6, x : x + 6, index % 3] = 250
    name = ("red", "green", "blue")[index % 3]
    box = Box(name, float(x), float(y), x + 6.0, y + 6.0)
    return make_example(example_id=f"{index}.png", image=encode(pixels), boxes=[box])


@pytest.mark.parametrize(
    ("seed", "verdict"), [(None, "trusted"), *((seed, "not_trusted") for seed in range(12))]
)
def test_a_network_that_sees_its_objects_is_trusted_and_random_ones_are_not(
    tmp_path: Path, seed: int | None, verdict: str
) -> None:
    spec = spec_of(save_colours(tmp_path / "m.keras", seed), {"red": [0], "green": [1], "blue": [2]})
    found: list[HealthMaps] = list(
        Controls(Explainer([spec], SETTINGS), "hirescam", EVERY).compare([coloured(i) for i in range(60)])
    )
    tally = HealthTally.zero()
    for maps in found:
        for score in health_score(maps, Allowed()):
            tally.add(score)
    whole = finding(make_group(kind="model", class_name=None), Tally.zero(), "insufficient", "")

    assert (60, verdict) == (tally.images, judge_health([whole], tally, JudgeSettings()).verdict)
    assert {None} == {maps.head for maps in found}


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(0, 50)), max_size=40),
    st.integers(1, 5),
    st.integers(1, 10),
)
def test_of_every_unit_the_first_image_is_drawn(ranked: list[tuple[str, int]], count: int, size: int) -> None:
    drawn = _FirstOfUnits(count)
    parts = []
    for first in range(0, len(ranked), size):
        part = drawn.create_accumulator()
        for unit in ranked[first : first + size]:
            part = drawn.add_input(part, unit)
        parts.append(part)
    found = drawn.extract_output(drawn.merge_accumulators(parts))

    firsts = {unit: min(rank for other, rank in ranked if other == unit) for unit, _ in ranked}
    assert sorted(firsts.values())[:count] == found
