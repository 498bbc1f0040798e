"""Which place is named: each by its own heat, none by chance, the smallest that explains the heat."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.judge.heat import MASKS, PLACES, Heat
from transforms.judge.places import divergence, name_place, ratio_error, stands_out
from transforms.judge.usual import usual_of, usual_of_others
from transforms.regions import ALL_REGIONS

from .builders import make_outside
from .test_heat import heat_of

IMAGES = 40


def uniform(share=0.3, images=IMAGES):
    """Images with the same heat everywhere in the picture and around the box."""
    cells = {(row, column): share / 256 for row in range(16) for column in range(16)}
    around = {(row, column): share / 576 for row in range(24) for column in range(24)}
    distances = [share / 8] * 8
    return [make_outside(cells=cells, box_cells=around, distances=distances)] * images


def plus(place, share=0.6):
    """Images with `share` of heat in a place beside a uniform 0.3."""
    [plain] = uniform(images=1)
    added = {}
    for name, masks in MASKS.items():
        first = {"picture": 0, "box": len(ALL_REGIONS), "distance": len(PLACES) - 1}[name]
        slot = PLACES.index(place) - first
        values = np.frombuffer(getattr(plain, f"{name}_heat"))
        if 0 <= slot < len(masks):
            added[name] = values + share * masks[slot] / masks[slot].sum()
        else:  # the other maps see the same heat in no particular place
            added[name] = values + share / len(values)
    heats = {f"{name}_heat": values.tobytes() for name, values in added.items()}
    return [type(plain)(**{**vars(plain), **heats})] * IMAGES


OTHERS = usual_of(heat_of(uniform()))


@pytest.mark.parametrize("place", PLACES)
def test_heat_in_a_place_names_that_place(place):
    found = name_place(heat_of(plus(place)), OTHERS, 30)
    assert place == found.name
    slot = PLACES.index(place)
    name = "picture" if slot < 14 else "box" if slot < 18 else "distance"
    mask = MASKS[name][slot - {"picture": 0, "box": 14, "distance": 18}[name]]
    assert (0.6 + 0.3 * mask.mean()) / 0.9 == pytest.approx(found.share, abs=1e-6)
    assert mask.mean() == pytest.approx(found.area, abs=1e-6)


@pytest.mark.parametrize("place", ALL_REGIONS)
def test_against_chance_a_place_is_named_too(place):
    assert place == name_place(heat_of(plus(place)), None, 30).name


def test_what_everybody_does_is_not_named():
    corner = heat_of(plus("bottom_left"))
    assert None is name_place(corner, usual_of(corner), 30)
    assert None is name_place(heat_of(uniform()), OTHERS, 30)


def test_two_of_six_classes_with_the_same_tag_are_both_named():
    classes = {name: heat_of(uniform()) for name in "abcd"}
    classes |= {name: heat_of(plus("bottom_left")) for name in "xy"}
    usual = usual_of_others(classes)
    named = {name: name_place(heat, usual[name], 30) for name, heat in classes.items()}
    assert {"x": "bottom_left", "y": "bottom_left"} == {
        name: place.name for name, place in named.items() if place
    }


@pytest.mark.parametrize(("images", "named"), [(29, False), (30, True)])
def test_with_too_few_images_nothing_is_named(images, named):
    own = heat_of(plus("top")[:images])
    assert named == (name_place(own, OTHERS, 30) is not None)


def test_without_heat_outside_nothing_is_named():
    own = heat_of([make_outside(cells={}, distances=[0.0] * 8)] * IMAGES)
    assert None is name_place(own, OTHERS, 30)
    assert None is name_place(Heat.zero(), OTHERS, 0)


HALO = [0.4, 0.2, 0.1, 0.05, 0.02, 0.01, 0.0, 0.0]


@pytest.mark.parametrize(
    ("distances", "expected"),
    [
        pytest.param(HALO, "halo", id="fades"),
        pytest.param([0.1] * 8, None, id="everywhere"),
        pytest.param([0.3, 0.2, 0.0, 0.0, 0.3, 0.0, 0.0, 0.0], None, id="second bump"),
        pytest.param([0.4, 0.2, 0.0, 0.02, 0.0, 0.0, 0.0, 0.0], "halo", id="a bump of no weight"),
    ],
)
def test_heat_that_fades_with_distance_is_a_halo(distances, expected):
    cells = {(row, column): sum(distances) / 256 for row in range(16) for column in range(16)}
    own = heat_of([make_outside(cells=cells, distances=distances)] * IMAGES)
    for others in (usual_of(own), None):
        found = name_place(own, others, 30)
        if expected or others:
            assert expected == (found.name if found else None)
    if expected:
        near = sum(distances[:2]) / sum(distances)
        assert (near, 0.25) == pytest.approx((found.share, found.area), abs=1e-6)


def test_a_place_that_stands_out_comes_before_the_halo():
    cells = {(row, column): 0.48 / 256 for row in range(16) for column in range(16)}
    own = heat_of([make_outside(cells={**cells, (15, 0): 0.3}, distances=HALO)] * IMAGES)
    assert "bottom_left" == name_place(own, OTHERS, 30).name
    # Against chance the halo itself would stand out as wherever the objects are.
    assert "halo" == name_place(own, None, 30).name


def test_few_images_that_shout_name_no_place():
    # A tenth of the images has all its heat in a corner: 3.2 % of 40 images, within what images differ by.
    rows = [*uniform()[:37], *[make_outside(cells={(15, 0): 0.9}, distances=[0.1] * 8)] * 3]
    assert None is name_place(heat_of(rows), OTHERS, 30)


def test_random_heat_is_hardly_ever_named():
    random = np.random.default_rng(0)
    named = 0
    for _ in range(60):
        groups = {}
        for name in "abcdef":
            rows = []
            for _ in range(IMAGES):
                # One blob of heat at a random place, as a distractor would draw it.
                row, column = random.integers(0, 15, 2)
                blob = {(row + r, column + c): random.uniform(0, 0.2) for r in (0, 1) for c in (0, 1)}
                rows.append(make_outside(cells=blob, distances=random.dirichlet([1] * 8).tolist()))
            groups[name] = heat_of(rows)
        usual = usual_of_others(groups)
        named += sum(name_place(heat, usual[name], 30) is not None for name, heat in groups.items())
    assert named <= 0.05 * 360


@pytest.mark.parametrize(
    ("share", "usual", "error", "expected"),
    [
        (0.41, 0.06, 0.05, True),
        (0.15, 0.06, 0.001, False),  # by 0.09
        (0.6, 0.52, 0.001, False),  # odds of 1.5 against 1.08
        (0.6, 0.45, 0.001, True),
        (0.41, 0.06, 0.12, False),  # by 2.9 standard errors
        (0.06, 0.41, 0.001, False),
    ],
)
def test_what_stands_out(share, usual, error, expected):
    assert expected is stands_out(share, usual, error)


def test_divergence_by_hand():
    assert 0.5 * math.log(2) + 0.5 * math.log(2 / 3) == pytest.approx(divergence(0.5, 0.25))
    assert 0 == divergence(0.25, 0.25)
    assert math.log(2) == pytest.approx(divergence(1.0, 0.5))


def test_divergence_is_finite_where_nothing_was_expected():
    assert math.isfinite(divergence(0.5, 0.0))
    assert math.isfinite(divergence(0.5, 1.0))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=20))
def test_the_error_of_a_ratio_is_that_of_its_residuals(pairs):
    inside, outside = (np.array(values) for values in zip(*((a * b, b) for a, b in pairs), strict=True))
    if outside.sum() < 1e-3:
        return
    share = inside.sum() / outside.sum()
    residuals = inside - share * outside
    expected = np.std(residuals, ddof=1) * math.sqrt(len(pairs)) / outside.sum()
    sums = np.array([outside.sum(), (outside**2).sum()])
    found = ratio_error(share, (inside**2).sum(), (inside * outside).sum(), sums, len(pairs))
    assert expected == pytest.approx(found, abs=1e-4)


def test_one_image_has_no_error_that_could_be_trusted():
    assert math.inf == ratio_error(0.5, 0.25, 0.5, np.array([1.0, 1.0]), 1)


def test_far_heat_must_lie_somewhere_and_is_not_named_by_that():
    far = heat_of(plus("far_from_box", share=1.5))
    # Far heat is more often in the frame than heat by the objects is.
    both = far + heat_of(plus("frame", share=0.5))
    shares = both.sums("places") / both.sums("outside")[0]
    frame, distant = (float(shares[PLACES.index(name)]) for name in ("frame", "far_from_box"))
    assert divergence(frame, 112 / 256) < 0.3 * divergence(distant, 0.5)
    assert "far_from_box" == name_place(both, OTHERS, 30).name


def test_heat_at_a_fixed_place_is_far_from_most_boxes_and_named_by_the_place():
    far = heat_of(plus("far_from_box", share=0.9))
    assert "far_from_box" == name_place(far, OTHERS, 30).name
    both = far + heat_of(plus("frame"))
    found = name_place(both, OTHERS, 30)
    by_distance = both.sums("places")[PLACES.index("far_from_box")] / both.sums("outside")[0]
    assert divergence(by_distance, 0.5) > found.evidence
    assert "frame" == found.name
