"""Background swaps of a batch against composites made one by one and shown to the model itself."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from transforms.explain.again import swapper as swapping
from transforms.explain.again.counterfactual import without
from transforms.explain.again.sampling import Donors, Sample
from transforms.explain.again.swapper import Swapper
from transforms.explain.explainer import Explainer, ModelSpec
from transforms.explain.settings import ExplainSettings, ModelSettings
from transforms.explain.targets import ClassMap
from transforms.records import Box, Example, Slice, Swap

from .builders import encode, make_example, make_image

CLASSES = {"cat": [0], "dog": [1, 2], "husky": [2]}
SAMPLES = dict.fromkeys(CLASSES, Sample(2**63, 2**63))
BOX = (4, 6, 12, 14)


def example(index: int, name: str, data: bytes | None = None) -> Example:
    image = encode(make_image(seed=index)) if data is None else data
    return make_example(example_id=f"{name}{index}.png", image=image, boxes=[Box(name, *BOX)])


def swapper(path: Path, examples: list[Example], samples: dict[str, Sample] | None = None) -> Swapper:
    spec = ModelSpec(ModelSettings(name="m", path=str(path)), "", [], ClassMap(CLASSES))
    explainer = Explainer([spec], ExplainSettings(batch_size=4, methods=("gradcam",)))
    return Swapper(explainer, Donors.among(examples, samples or SAMPLES), samples or SAMPLES)


def pixels_of(subject: Example) -> NDArray[np.uint8]:
    import io

    return np.asarray(PIL.Image.open(io.BytesIO(subject.image)).convert("RGB"))


def filled(subject: Example) -> NDArray[np.uint8]:
    mask = np.zeros((16, 16), bool)
    mask[BOX[1] : BOX[3], BOX[0] : BOX[2]] = True
    return without(pixels_of(subject), mask)


def pasted(subject: Example, background: NDArray[np.uint8]) -> NDArray[np.uint8]:
    found = background.copy()
    inside = (slice(BOX[1], BOX[3]), slice(BOX[0], BOX[2]))
    found[inside] = pixels_of(subject)[inside]
    return found


def test_gap_and_residual_are_those_of_the_composites(tiny_model: Path) -> None:
    cats, dogs = [example(i, "cat") for i in range(3)], [example(i, "dog") for i in range(3, 6)]
    found = list(swapper(tiny_model, [*cats, *dogs]).swap([*cats, *dogs]))
    model = keras.models.load_model(tiny_model, compile=False)

    def p(image: NDArray[np.uint8], name: str) -> float:
        return float(model(image[None].astype(np.float32)).numpy()[0, CLASSES[name]].sum())

    assert [e.example_id for e in (*cats, *dogs)] == [swap.example_id for swap in found]
    donors = Donors.among([*cats, *dogs], SAMPLES)
    for subject, swap in zip([*cats, *dogs], found, strict=True):
        name = swap.class_name
        other_name, others = donors.others(subject, name, ["dog"] if name == "cat" else ["cat"])
        same = pasted(subject, filled(donors.same(subject, name)[0]))
        other = pasted(subject, filled(others[0]))

        assert other_name == swap.donor_class
        assert swap.gap == pytest.approx(p(same, name) - p(other, name), abs=1e-5)
        assert swap.residual == pytest.approx(p(filled(subject), name), abs=1e-5)
    assert any(abs(swap.gap) > 1e-3 for swap in found)


def test_batches_change_nothing(tiny_model: Path) -> None:
    examples = [example(i, name) for i, name in enumerate(["cat", "dog"] * 4)]
    tested = swapper(tiny_model, examples)
    together = list(tested.swap(examples))

    assert together == [swap for one in examples for swap in tested.swap([one])]


def test_threads_change_nothing(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where there is room for one prepared background, which they take from each other."""
    examples = [example(i, name) for i, name in enumerate(["cat", "dog"] * 4)]
    expected = list(swapper(tiny_model, examples).swap(examples))
    monkeypatch.setattr(swapping, "_BACKGROUND_BYTES", 3 * 16 * 16)
    tested = swapper(tiny_model, examples)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda subject: list(tested.swap([subject])), examples))

    assert expected == [swap for swaps in found for swap in swaps]


def test_a_name_that_means_the_same_class_lends_no_other_background(tiny_model: Path) -> None:
    """A husky is one of the classes that stand for a dog."""
    examples = [example(0, "dog"), example(1, "dog"), example(2, "husky"), example(3, "husky")]

    assert [] == list(swapper(tiny_model, examples).swap(examples))


def test_images_beyond_the_sample_are_not_tested(tiny_model: Path) -> None:
    examples = [example(i, name) for i, name in enumerate(["cat", "dog"] * 3)]
    samples = {"cat": Sample(2**63, 2**63), "dog": Sample(-1, 2**63)}
    found = list(swapper(tiny_model, examples, samples).swap(examples))

    assert {"cat"} == {swap.class_name for swap in found}
    assert 3 == len(found)


def test_a_donor_that_cannot_be_decoded_gives_way_to_the_next(tiny_model: Path) -> None:
    good = [example(i, name) for i, name in enumerate(["cat", "dog"] * 3)]
    bad = [example(9, "cat", b"broken"), example(10, "dog", b"broken")]
    found = list(swapper(tiny_model, [*good, *bad]).swap([*good, *bad]))

    assert [one.example_id for one in good] == [swap.example_id for swap in found]


def test_an_object_without_a_background_is_passed_over(tiny_model: Path) -> None:
    whole = make_example(example_id="whole.png", boxes=[Box("cat", 0, 0, 16, 16)])
    gone = make_example(example_id="gone.png", boxes=[Box("cat", 20, 20, 30, 30)])
    others = [example(1, "cat"), example(2, "dog")]
    found: list[Swap] = list(swapper(tiny_model, [whole, gone, *others]).swap([whole, gone]))

    assert [] == found


def test_a_swap_has_the_computed_slices_of_its_image(tiny_model: Path) -> None:
    examples = [example(i, name) for i, name in enumerate(["cat", "dog"] * 3)]
    spec = ModelSpec(ModelSettings(name="m", path=str(tiny_model)), "", [], ClassMap(CLASSES))
    explainer = Explainer([spec], ExplainSettings(batch_size=4, methods=("gradcam",)), ["file_format"])
    found = list(Swapper(explainer, Donors.among(examples, SAMPLES), SAMPLES).swap(examples))

    assert 6 == len(found)
    assert all([Slice("image.file_format", "png")] == swap.slices for swap in found)
