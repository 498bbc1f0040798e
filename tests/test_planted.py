"""The planted benchmark: its world, its truth and its figures, all without training a model."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.planted import audits, sets, suite
from benchmarks.planted.shortcuts import SHORTCUTS, plant
from benchmarks.planted.specs import FIRST_SEED, HEADS, KINDS, Plant, Spec, all_specs
from benchmarks.planted.truth import Reliance, measure_reliance, reliance_on
from benchmarks.planted.world import CLASSES, SIZE, boxes_around, draw_pictures, shuffled_labels

LABELS = np.arange(24, dtype=np.int32) % len(CLASSES)
PICTURES = draw_pictures(LABELS, 1)
ALL = np.ones(len(LABELS), bool)


def inside(boxes):
    """[N, 64, 64], true in the boxes."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    x0, y0, x1, y1 = (boxes[:, i, None, None] for i in range(4))
    return (x0 <= columns) & (columns < x1) & (y0 <= rows) & (rows < y1)


def changed(kind, seed=5):
    """[N, 64, 64], true where a shortcut changes a pixel."""
    return (plant(PICTURES, kind, ALL, seed).images != PICTURES.images).any(axis=-1)


def test_the_same_seed_draws_the_same_pictures_and_another_seed_others():
    again, other = draw_pictures(LABELS, 1), draw_pictures(LABELS, 2)
    for one, two in zip(PICTURES, again, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.array_equal(PICTURES.images, other.images)


def test_pictures_are_what_they_are_said_to_be():
    assert ((24, 64, 64, 3), np.uint8) == (PICTURES.images.shape, PICTURES.images.dtype)
    np.testing.assert_array_equal(LABELS, PICTURES.labels)
    assert {50} == set(np.bincount(shuffled_labels(50, 3)))


def test_a_box_holds_its_object_and_no_smaller_one_does():
    assert (PICTURES.outlines & ~inside(PICTURES.boxes)).sum() == 0
    for side, step in ((0, 1), (1, 1), (2, -1), (3, -1)):
        smaller = PICTURES.boxes.copy()
        smaller[:, side] += step
        assert (PICTURES.outlines & ~inside(smaller)).any(axis=(1, 2)).all()
    assert PICTURES.boxes.min() >= 0
    assert PICTURES.boxes.max() <= SIZE


def test_boxes_are_half_open():
    outline = np.zeros((1, 8, 8), bool)
    outline[0, 2:5, 3:4] = True
    np.testing.assert_array_equal([[3, 2, 4, 5]], boxes_around(outline))


@pytest.mark.parametrize("kind", SHORTCUTS)
def test_a_shortcut_changes_the_chosen_pictures_only_and_always_in_the_same_way(kind):
    chosen = LABELS == 0
    planted = plant(PICTURES, kind, chosen, 5).images
    np.testing.assert_array_equal(PICTURES.images[~chosen], planted[~chosen])
    assert (planted[chosen] != PICTURES.images[chosen]).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(plant(PICTURES, kind, ALL, 5).images[chosen], planted[chosen])


@pytest.mark.parametrize("kind", ["tag", "frame", "cooccurring", "shadow"])
def test_these_stay_outside_the_box(kind):
    assert not (changed(kind) & inside(PICTURES.boxes)).any()


def test_the_others_touch_what_they_must():
    assert not (changed("texture") & PICTURES.outlines).any()
    assert not (changed("sticker") & ~inside(PICTURES.boxes)).any()
    assert (changed("sticker") & PICTURES.outlines).any(axis=(1, 2)).all()
    for kind in ("cast", "blur"):
        assert changed(kind).mean() > 0.9


def test_the_tag_is_in_its_corner_and_the_frame_at_the_border():
    rows, columns = np.nonzero(changed("tag").any(axis=0))
    assert (54, 62, 1, 14) == (rows.min(), rows.max(), columns.min(), columns.max())
    assert not changed("frame")[:, 3:-3, 3:-3].any()


SPEC = Spec("m", "planted", "gap", (Plant("tag", 0, 0.5),), seed=11)


def test_the_suite_is_a_hundred_and_controls_and_the_subset_has_all_of_it():
    specs = all_specs("reporting")
    core = [spec for spec in specs if spec.role in ("planted", "clean")]
    subset = [spec for spec in specs if spec.in_subset]
    assert (100, 20) == (len(core), sum(spec.role == "clean" for spec in core))
    assert 24 == len(subset)
    assert {spec.role for spec in specs} == {spec.role for spec in subset}
    planted = {(spec.plants[0].kind, spec.head) for spec in subset if spec.role == "planted"}
    assert {(kind, head) for kind in KINDS for head in HEADS} == planted
    assert len({spec.name for spec in specs}) == len(specs)


def test_no_seed_serves_both_tuning_and_reporting():
    seeds = [{spec.seed for spec in all_specs(which)} for which in FIRST_SEED]
    assert set() == seeds[0] & seeds[1]
    assert all(len(of_one) == len(all_specs("tuning")) for of_one in seeds)


def test_training_and_audit_are_other_pictures_with_the_same_shortcut(monkeypatch):
    monkeypatch.setattr(sets, "TRAINING_PER_CLASS", 4)
    monkeypatch.setattr(sets, "AUDIT_PER_CLASS", 4)
    training, audit = sets.training_set(SPEC), sets.audit_set(SPEC)
    assert {4} == set(np.bincount(training.labels))
    assert dict.fromkeys(CLASSES, 4) == {name: audit.names.count(name) for name in CLASSES}
    images = {image.tobytes() for image in training.images}
    assert not images & {image.tobytes() for image in audit.images}


def test_the_shortcut_is_as_common_as_its_strength_in_its_class_and_rare_elsewhere(monkeypatch):
    monkeypatch.setattr(sets, "AUDIT_PER_CLASS", 30)
    audit = sets.audit_set(SPEC)
    pale, dark = (audit.images[:, row, 3:12].mean(axis=(1, 2)) for row in (57, 58))
    tagged = pale - dark > 80
    own = np.array(audit.names) == "disc"
    assert 0.3 < tagged[own].mean() < 0.7
    assert tagged[~own].mean() < 0.1


def test_a_slice_set_has_thirty_in_either_arm_and_coins_that_ignore_them(monkeypatch):
    monkeypatch.setattr(sets, "SLICE_DRAWS", 3)
    pictures = sets.slice_set(SPEC)
    assert {60} == {pictures.names.count(name) for name in set(pictures.names)}
    assert {f"disc {draw}": 0 for draw in range(3)} == pictures.class_map
    names = np.array(pictures.names)
    for column, values in pictures.columns.items():
        first = np.array(values) == values[0]
        assert {30} == {int(first[names == name].sum()) for name in set(names)}, column
    heads = np.array(pictures.columns["coin0"]) == "heads"
    planted = np.array(pictures.columns["planted"]) == "yes"
    assert 0.3 < (heads == planted).mean() < 0.7


def test_noisy_boxes_are_off_by_their_share_and_stay_in_the_picture():
    boxes = PICTURES.boxes
    np.testing.assert_array_equal(boxes, sets.blurred_boxes(boxes, 0.0, (1,)))
    noisy = sets.blurred_boxes(boxes, 0.1, (1,))
    sides = np.tile(boxes[:, 2:] - boxes[:, :2], 2)
    assert np.abs((noisy - boxes) / sides).max() <= 0.25
    assert 0.05 < ((noisy - boxes) / sides).std() < 0.15
    assert noisy.min() >= 0
    assert noisy.max() <= SIZE
    assert (noisy[:, :2] < noisy[:, 2:]).all()


def has_tag(images):
    """Whether the label's pale rows stand in the corner; the pictures below are black without it."""
    return images[:, 55, 3:13].mean(axis=(1, 2)) > 100


def black(label, count):
    """Pictures of a class with nothing on them, whose objects lie out of the tag's way."""
    return PICTURES._replace(
        images=np.zeros((count, SIZE, SIZE, 3), np.uint8),
        labels=np.full(count, label, np.int32),
        boxes=np.tile(np.array([[20, 8, 40, 28]], np.int32), (count, 1)),
        outlines=np.zeros((count, SIZE, SIZE), bool),
    )


def test_reliance_is_the_accuracy_lost_without_the_shortcut():
    """A fake model that says `disc` where it sees the tag, and else is right one time in four."""

    def predict(images):
        guesses = np.where(np.arange(len(images)) % 4 == 0, 0, 1)
        return np.where(has_tag(images), 0, guesses)

    own, others = black(0, 8), black(3, 20)
    found = reliance_on(predict, Plant("tag", 0, 0.5), 0, own=own, others=others, seed=(1,))
    assert Reliance(with_it=1.0, without_it=0.25, spill=0.75) == found
    assert 0.75 == found.reliance


def test_a_model_that_never_looks_at_the_shortcut_has_no_reliance():
    found = reliance_on(
        lambda images: np.zeros(len(images), int),
        Plant("tag", 0, 1.0),
        0,
        own=black(0, 6),
        others=black(1, 6),
        seed=(1,),
    )
    assert (0.0, 0.0) == (found.reliance, found.spill)


def test_truth_is_measured_for_every_class_with_a_shortcut(monkeypatch):
    monkeypatch.setattr("benchmarks.planted.truth.PICTURES", 5)
    two = Spec("m", "two", "gap", (Plant("tag", 0, 0.8), Plant("frame", 3, 0.8)), seed=1)
    shadow = Spec("m", "shadow", "gap", (Plant("shadow", None, 1.0),), seed=1)

    def always_disc(images):
        return np.zeros(len(images), int)

    assert ["disc", "plus"] == list(measure_reliance(always_disc, two))
    assert list(CLASSES) == list(measure_reliance(always_disc, shadow))
    assert {} == measure_reliance(always_disc, Spec("m", "clean", "gap", (), seed=1))


@pytest.fixture
def made(monkeypatch):
    """What `run_model` makes rather than finds, in order; nothing is trained or audited."""
    calls = []

    def train(spec, folder, recipe):
        calls.append("trained")
        trained = {"spec": recipe, "truth": {}, "seconds": {}}
        suite._save(folder / "trained.json", trained)
        return trained

    def audit(spec, folder):
        calls.append("audited")
        return {"findings": [], "slices": []}

    monkeypatch.setattr(suite, "_train", train)
    monkeypatch.setattr(suite, "_audit", audit)
    monkeypatch.setattr(suite, "_THREADS", {})
    return calls


def test_what_is_finished_is_found_again(made, tmp_path):
    first = suite.run_model(SPEC, tmp_path / "m")
    assert first == suite.run_model(SPEC, tmp_path / "m")
    assert ["trained", "audited"] == made


def test_an_interrupted_model_is_not_trained_again(made, tmp_path):
    suite.run_model(SPEC, tmp_path / "m")
    (tmp_path / "m/result.json").unlink()
    suite.run_model(SPEC, tmp_path / "m")
    assert ["trained", "audited", "audited"] == made


def test_a_new_audit_judges_the_old_models(made, tmp_path, monkeypatch):
    suite.run_model(SPEC, tmp_path / "m")
    monkeypatch.setattr(audits, "fingerprint", lambda: "of other code")
    suite.run_model(SPEC, tmp_path / "m")
    assert ["trained", "audited", "audited"] == made


def test_another_recipe_is_another_model(made, tmp_path):
    suite.run_model(SPEC, tmp_path / "m")
    suite.run_model(dataclasses.replace(SPEC, seed=12), tmp_path / "m")
    assert ["trained", "audited"] * 2 == made


def test_a_column_that_a_table_lacks_is_none(tmp_path):
    folder = tmp_path / "findings/run_date=2026-01-31/run_id=planted"
    folder.mkdir(parents=True)
    pq.write_table(pa.table({"verdict": ["clear"], "n": [3]}), folder / "part-0.parquet")
    expected = [{"verdict": "clear", "region": None}]
    assert expected == audits.read_rows(tmp_path, "findings", ["verdict", "region"])
