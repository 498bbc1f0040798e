"""Objects on other backgrounds: masks, filling, composites, and the choice of images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.explain.again.counterfactual import box_mask, on_background, without
from transforms.explain.again.sampling import Donors, Sample, budget_of, names_with_boxes, plan_samples, rank
from transforms.records import Box

from .builders import make_example, make_image


def test_a_mask_is_the_union_of_boxes_with_edges_outward() -> None:
    boxes = [Box("cat", 0.5, 1.0, 2.0, 2.5), Box("cat", 1, 1, 3, 2), Box("cat", -5, 3, 1, 9)]

    expected = np.array([[0, 0, 0, 0], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]], bool)
    np.testing.assert_array_equal(expected, box_mask(boxes, 4, 4))
    assert not box_mask([Box("cat", 5, 5, 9, 9), Box("cat", -3, -3, 0, 0)], 4, 4).any()


def test_what_is_filled_does_not_depend_on_what_was_there() -> None:
    pixels = make_image(width=37, height=21)
    mask = box_mask([Box("cat", 5, 3, 30, 15)], 37, 21)
    other = pixels.copy()
    other[mask] = 255 - other[mask]

    np.testing.assert_array_equal(without(pixels, mask), without(other, mask))


def test_the_rest_stays_and_flat_surroundings_continue() -> None:
    pixels = np.full((16, 24, 3), (10, 120, 250), np.uint8)
    mask = box_mask([Box("cat", 4, 4, 20, 12)], 24, 16)
    marked = pixels.copy()
    marked[mask] = 0

    np.testing.assert_array_equal(pixels, without(marked, mask))
    noisy = make_image(width=24, height=16)
    np.testing.assert_array_equal(noisy[~mask], without(noisy, mask)[~mask])


@given(st.integers(1, 20), st.integers(1, 20), st.randoms(use_true_random=False))
def test_filled_values_stay_within_those_of_the_surroundings(width: int, height: int, random: object) -> None:
    generator = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    pixels = generator.integers(0, 256, (height, width, 3), np.uint8)
    mask = generator.random((height, width)) < 0.6
    filled = without(pixels, mask)
    if mask.all():
        assert (128 == filled).all()
    elif mask.any():
        low, high = pixels[~mask].min(axis=0), pixels[~mask].max(axis=0)
        assert ((filled >= low) & (filled <= high)).all()


def pull_push(values, known):
    """Pull-push as defined: every scale whole, pixel by pixel, 3/4 of the nearest and 1/4 of the next."""
    height, width = known.shape
    if known.all():
        return values
    if height == width == 1:
        return np.full_like(values, 127.5)
    coarse = np.zeros((-(-height // 2), -(-width // 2), 3), np.float32)
    some = np.zeros(coarse.shape[:2], bool)
    for y, x in np.ndindex(some.shape):
        shown = known[2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        some[y, x] = shown.any()
        if some[y, x]:
            coarse[y, x] = values[2 * y : 2 * y + 2, 2 * x : 2 * x + 2][shown].mean(axis=0)
    coarse, filled = pull_push(coarse, some), values.copy()
    for y, x in zip(*np.nonzero(~known), strict=True):
        rows, columns = (
            [i // 2, min(max(i // 2 + i % 2 * 2 - 1, 0), n - 1)]
            for i, n in zip((y, x), some.shape, strict=True)
        )
        filled[y, x] = sum(
            (0.75, 0.25)[i] * (0.75, 0.25)[j] * coarse[rows[i], columns[j]] for i in (0, 1) for j in (0, 1)
        )
    return filled


@given(st.integers(1, 13), st.integers(1, 13), st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_filling_equals_its_definition(width: int, height: int, seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (height, width, 3), np.uint8)
    mask = random.random((height, width)) < share
    expected = pull_push(np.where(mask[..., None], 0, pixels).astype(np.float32), ~mask)

    # A value halfway between two levels may be rounded either way.
    assert np.abs(without(pixels, mask) - expected.astype(float)).max() < 0.501


def test_a_ramp_is_continued_between_its_ends() -> None:
    ramp = np.tile(np.arange(0, 256, 4, dtype=np.uint8)[None, :, None], (64, 1, 3))
    mask = box_mask([Box("cat", 16, 16, 48, 48)], 64, 64)
    filled = without(ramp, mask).astype(int)

    assert (np.diff(filled[32, 16:48, 0]) >= -2).all()
    assert np.abs(filled - ramp.astype(int)).max() < 64


def test_an_object_stands_on_another_background() -> None:
    pixels, background = make_image(seed=0), make_image(seed=1)
    mask = box_mask([Box("cat", 4, 4, 12, 12)], 16, 16)
    found = on_background(pixels, mask, background)

    np.testing.assert_array_equal(pixels[4:12, 4:12], found[4:12, 4:12])
    np.testing.assert_array_equal(background[~mask], found[~mask])


def test_ranks_are_stable_and_samples_are_bounded() -> None:
    assert rank("a") == rank("a") != rank("b")
    assert 0 <= rank("a") < 2**63
    ranks = {"cat": list(range(0, 1000, 10)), "dog": [5]}

    assert {"cat": Sample(20, 630), "dog": Sample(5, 5)} == plan_samples(ranks, 3, 100, {}, least=1)
    # Two classes share a budget of four.
    assert {"cat": Sample(10, 630), "dog": Sample(5, 5)} == plan_samples(ranks, 30, 4, {}, least=1)
    assert {} == plan_samples({}, 3, 100, {})


def test_where_the_budget_is_short_the_most_suspicious_classes_get_it() -> None:
    many = {str(i): list(range(100)) for i in range(512)}
    found = plan_samples(many, 300, 150, {"7": 3.0, "9": 2.0, "8": 1.0, "6": 0.5})

    assert {"7": Sample(49, 1), "8": Sample(49, 1), "9": Sample(49, 1)} == {
        name: sample for name, sample in found.items() if sample.tested >= 0
    }
    # All of them lend their backgrounds.
    assert {Sample(-1, 1)} == {sample for name, sample in found.items() if name not in "789"}


def test_a_run_tests_a_twenty_fifth_of_its_images_and_2000_at_least() -> None:
    assert [2000, 2000, 40_000] == [budget_of(images) for images in (10, 50_000, 1_000_000)]


def example(name: str, *classes: str) -> object:
    return make_example(example_id=name, boxes=[Box(c, 0, 0, 4, 4) for c in classes])


def test_donors_are_of_the_class_and_of_another_and_never_the_image_itself() -> None:
    pool = [example("c1", "cat"), example("c2", "cat", "dog"), example("d1", "dog"), example("e1", "emu")]
    everything = Sample(2**63, 2**63)
    donors = Donors.among([*pool, *pool[::-1]], dict.fromkeys(("cat", "dog", "emu"), everything))  # type: ignore[list-item]

    assert ["cat", "dog"] == names_with_boxes(pool[1])  # type: ignore[arg-type]
    assert {"cat": 2, "dog": 2, "emu": 1} == {name: len(of) for name, of in donors.of_class.items()}
    seen = set()
    for index in range(40):
        subject = example(f"s{index}", "cat")
        name, others = donors.others(subject, "cat", ["dog", "emu"])  # type: ignore[arg-type]
        # c2 shows a cat too and lends no background as a dog.
        assert (name, [donor.example_id for donor in others]) in (("dog", ["d1"]), ("emu", ["e1"]))
        order = tuple(donor.example_id for donor in donors.same(subject, "cat"))  # type: ignore[arg-type]
        assert {"c1", "c2"} == set(order)
        seen.add((order, name))
    assert 4 == len(seen)
    assert ["c2"] == [donor.example_id for donor in donors.same(pool[0], "cat")]  # type: ignore[arg-type]


def test_a_donor_that_is_lacking_changes_nothing_for_the_others() -> None:
    everything = Sample(2**63, 2**63)
    pool = [example(f"c{i}", "cat") for i in range(8)]
    whole = Donors.among(pool, {"cat": everything})  # type: ignore[list-item]
    part = Donors.among(pool[1:], {"cat": everything})  # type: ignore[list-item]
    for index in range(20):
        subject = example(f"s{index}", "cat")
        drawn = [donor.example_id for donor in whole.same(subject, "cat")]  # type: ignore[arg-type]
        left = [donor.example_id for donor in part.same(subject, "cat")]  # type: ignore[arg-type]
        assert [name for name in drawn if name != "c0"] == left


@pytest.mark.parametrize("strangers", [[], ["cat"], ["emu"]])
def test_without_a_donor_there_is_none(strangers: list[str]) -> None:
    everything = Sample(2**63, 2**63)
    donors = Donors.among([example("c1", "cat")], {"cat": everything})  # type: ignore[list-item]

    assert ("", []) == donors.others(example("x", "cat"), "cat", strangers)  # type: ignore[arg-type]
    assert [] == donors.same(example("c1", "cat"), "cat")  # type: ignore[arg-type]
