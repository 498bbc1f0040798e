"""Batches of examples through all models: dead letters, boxes that follow, targets and their names."""

import dataclasses
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from transforms.explain import explainer as explainer_module
from transforms.explain.engine import Engine
from transforms.explain.explainer import Explainer, ModelSpec, engine_of
from transforms.explain.explanations import Explanations
from transforms.explain.settings import ExplainSettings, ModelSettings, Preprocess
from transforms.explain.targets import ClassMap
from transforms.labels import Labelling
from transforms.records import Box, DeadLetter, Explanation, Slice

from .builders import encode, make_example, make_image

CLASS_MAP = ClassMap({"cat": [0], "dog": [1, 2]})
LABELS = ["tabby", "beagle", "husky"]


def spec(path: Path, name: str = "m", preprocess: Preprocess | None = None) -> ModelSpec:
    settings = ModelSettings(name=name, path=str(path), preprocess=preprocess or Preprocess())
    return ModelSpec(settings, "", LABELS, CLASS_MAP)


def explained(explainer: Explainer, *examples: object) -> list[Explanation | DeadLetter]:
    return list(explainer.explain(examples))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def explainer(tiny_model: Path) -> Explainer:
    return Explainer([spec(tiny_model)], ExplainSettings(batch_size=4, methods=("gradcam", "hirescam")))


def test_threads_that_begin_together_load_a_model_once(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads, usual = [], explainer_module.load_engine

    def slowly(*arguments: Any, **named: Any) -> Engine:
        loads.append(arguments)
        time.sleep(0.2)
        return usual(*arguments, **named)

    monkeypatch.setattr(explainer_module, "load_engine", slowly)
    settings = ExplainSettings(batch_size=3)  # of no other test, whose engine would be there already
    with ThreadPoolExecutor(4) as threads:
        engines = list(threads.map(lambda _: engine_of(spec(tiny_model), settings), range(4)))

    assert 1 == len(loads)
    assert [engines[0]] * 4 == engines


def test_one_bad_image_costs_one_dead_letter_and_nothing_else(explainer: Explainer) -> None:
    good = [make_example(example_id=f"{i}.png", image=encode(make_image(seed=i))) for i in range(3)]
    bad = make_example(example_id="bad.png", image=b"not an image")
    alone = explained(explainer, *good)
    together = explained(explainer, good[0], bad, good[1], good[2])

    assert alone == [found for found in together if isinstance(found, Explanation)]
    assert [
        DeadLetter(
            "explain", "set.json", "bad.png", "undecodable_image", "12 bytes, cannot identify image file", 0
        )
    ] == [found for found in together if isinstance(found, DeadLetter)]


def test_a_batch_of_only_bad_images_is_only_dead_letters(explainer: Explainer) -> None:
    assert ["undecodable_image"] * 2 == [
        found.error
        for found in explained(explainer, *[make_example(image=b"x")] * 2)  # type: ignore[union-attr]
    ]


def test_boxes_follow_the_image_into_the_view(explainer: Explainer) -> None:
    pixels = encode(make_image(width=32, height=64))
    boxes = [Box("cat", 8, 16, 16, 32), Box("dog", 0, 0, 32, 64)]
    (cat, dog) = explained(explainer, make_example(image=pixels, boxes=boxes))

    assert isinstance(cat, Explanation)
    assert isinstance(dog, Explanation)
    assert [Box("cat", 4, 4, 8, 8)] == cat.target_boxes
    assert [Box("dog", 0, 0, 16, 16)] == cat.other_boxes
    assert [Box("dog", 0, 0, 16, 16)] == dog.target_boxes
    assert [Box("cat", 4, 4, 8, 8)] == dog.other_boxes
    assert (16, 16, [0, 0, 16, 16]) == (cat.view_width, cat.view_height, cat.content)


def test_relative_boxes_are_shares_of_the_decoded_image(explainer: Explainer) -> None:
    example = make_example(
        image=encode(make_image(width=40, height=20)), boxes=[Box("cat", 0.25, 0.5, 0.5, 1)], relative=True
    )
    (found,) = explained(explainer, example)

    assert isinstance(found, Explanation)
    assert [Box("cat", 4, 8, 8, 16)] == found.target_boxes


def test_a_name_of_several_classes_is_explained_for_the_one_with_the_highest_logit(tiny_model: Path) -> None:
    explainer = Explainer(
        [spec(tiny_model)], ExplainSettings(batch_size=4, targets=("annotated", "predicted"))
    )
    examples = [
        make_example(image=encode(make_image(seed=i)), boxes=[Box("dog", 0, 0, 8, 8)]) for i in range(6)
    ]
    found = explained(explainer, *examples)
    annotated, predicted = found[::2], found[1::2]

    for a, p in zip(annotated, predicted, strict=True):
        assert isinstance(a, Explanation)
        assert isinstance(p, Explanation)
        assert ("annotated", "dog") == (a.target_rule, a.target_name)
        assert a.target_class in (1, 2)
        assert ("predicted", LABELS[p.predicted_class]) == (p.target_rule, p.target_name)
        assert p.predicted_class == p.target_class
        assert (p.predicted_class in (1, 2)) == a.correct == p.correct
        # A prediction of another class has no box in the image.
        assert (p.predicted_class in (1, 2)) == bool(p.target_boxes)
        if a.correct:
            assert a.target_class == p.target_class
            assert a.heatmaps == p.heatmaps


def test_images_without_names_or_with_unmapped_names(explainer: Explainer) -> None:
    unnamed, unmapped = make_example(boxes=[]), make_example(boxes=[Box("ufo", 0, 0, 4, 4)])
    (found,) = explained(explainer, unnamed, unmapped)

    assert isinstance(found, Explanation)
    assert (None, None, None, None) == (
        found.target_class,
        found.target_name,
        found.target_logit,
        found.correct,
    )
    assert not np.frombuffer(found.heatmaps[0], "<f4").any()


def test_models_with_other_views_see_each_image_their_own_way(tiny_model: Path) -> None:
    whole, boxed = spec(tiny_model, "whole"), spec(tiny_model, "boxed", Preprocess(resize="letterbox"))
    settings = ExplainSettings(batch_size=4)
    example = make_example(image=encode(make_image(width=32, height=16)), boxes=[Box("cat", 0, 0, 32, 16)])
    together = explained(Explainer([whole, boxed], settings), example)

    assert explained(Explainer([whole], settings), example) == together[:1]
    assert explained(Explainer([boxed], settings), example) == together[1:]
    assert [[0, 0, 16, 16], [0, 4, 16, 12]] == [found.content for found in together]  # type: ignore[union-attr]


def test_probability_and_logit_belong_to_the_target(explainer: Explainer) -> None:
    (found,) = explained(explainer, make_example(boxes=[Box("cat", 0, 0, 8, 8)]))

    assert isinstance(found, Explanation)
    assert found.target_probability is not None
    assert 0 < found.target_probability < 1
    assert (found.target_probability > 0.5) <= (found.predicted_class == 0)


def test_every_layer_has_its_row_and_listed_classes_are_explained_on_every_image(tiny_model: Path) -> None:
    settings = ModelSettings(name="m", path=str(tiny_model), target_layer=("last", "middle"))
    listing = ModelSpec(settings, "", LABELS, CLASS_MAP, listed=(2, 0))
    explainer = Explainer([listing], ExplainSettings(batch_size=4))
    found = explained(explainer, make_example(boxes=[Box("dog", 0, 0, 8, 8)]))

    assert [
        (rule, name, layer, size)
        for rule, name in (("annotated", "dog"), ("listed", "husky"), ("listed", "tabby"))
        for layer, size in (("last", 4), ("middle", 8))
    ] == [(f.target_rule, f.target_name, f.target_layer, f.map_height) for f in found]  # type: ignore[union-attr]
    assert (
        [(2, [Box("dog", 0, 0, 8, 8)]), (0, [])]
        == [
            (f.target_class, f.target_boxes)  # type: ignore[union-attr]
            for f in found[2::2]
        ]
    )


def test_an_image_that_does_not_fit_into_memory_is_a_dead_letter(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    explainer = Explainer([spec(tiny_model)], ExplainSettings(batch_size=4))
    examples = [make_example(example_id=f"{i}.png", image=encode(make_image(seed=i))) for i in range(3)]
    call = Engine.__call__

    def full(engine: Engine, images: NDArray[np.uint8], targets: NDArray[np.int32]) -> Explanations:
        return dataclasses.replace(call(engine, images, targets), out_of_memory=(1,))

    monkeypatch.setattr(Engine, "__call__", full)
    found = explained(explainer, *examples)

    letter = DeadLetter("explain", "set.json", "1.png", "out_of_memory", "model m, batch size 1", 0)
    assert ["0.png", letter, "2.png"] == [
        row if isinstance(row, DeadLetter) else row.example_id for row in found
    ]


def test_computed_slices_follow_the_given_ones_and_label_each_example_once(tiny_model: Path) -> None:
    computed = Explainer(
        [spec(tiny_model), spec(tiny_model, "n")], ExplainSettings(), ["objects", "aspect_ratio"]
    )
    boxes = [Box("cat", 1, 1, 5, 5), Box("dog", 2, 2, 9, 9)]
    good = make_example(boxes=boxes, labels=["cow"], slices={"camera": "A"})
    found = explained(computed, good, make_example(example_id="bad.png", image=b"x"))

    looks = [Slice("image.objects", "few"), Slice("image.aspect_ratio", "square")]
    assert [Labelling("a.png", "set.json", 0, ["cat", "dog", "cow"], looks, None)] == [
        row for row in found if isinstance(row, Labelling)
    ]
    explanations = [row for row in found if isinstance(row, Explanation)]
    assert 4 == len(explanations)
    assert [[Slice("camera", "A"), *looks]] * 4 == [row.slices for row in explanations]
    assert ["bad.png"] == [row.example_id for row in found if isinstance(row, DeadLetter)]


def test_without_computed_columns_nothing_is_labelled(explainer: Explainer) -> None:
    (found,) = explained(explainer, make_example(slices={"camera": "A"}))

    assert isinstance(found, Explanation)
    assert [Slice("camera", "A")] == found.slices
