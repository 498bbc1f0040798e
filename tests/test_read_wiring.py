"""Listing and reading on Beam: the same examples as a plain loop, and an exact word for all else."""

import dataclasses
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.testing.util import assert_that, equal_to

from transforms.labels import Labelling
from transforms.read import coco
from transforms.read.common import Source
from transforms.read.files.wiring import first_records, list_shards
from transforms.read.settings import DataSettings
from transforms.read.wiring import FindDuplicates, LabelExamples, LoadImages, ReadExamples, _LoadImage
from transforms.records import Box, DeadLetter, Example, Shard, Slice

from .builders import encode, make_example, make_image, write_coco
from .conftest import NotFoundError
from .shards import coco_settings, read_all, tfrecord_settings, write_tfrecord

PICTURES = {name: encode(make_image(seed=seed)) for seed, name in enumerate(("a.png", "b.png", "c.png"))}


@pytest.fixture
def two_sets(tmp_path: Path) -> Path:
    """Two COCO files over one folder of images: a and b in the first, c and a missing d in the second."""
    box = [("cat", [1, 2, 3, 4])]
    write_coco(tmp_path, images=PICTURES, boxes={"a.png": box, "b.png": box}).rename(tmp_path / "one.json")
    write_coco(tmp_path, images=PICTURES, boxes={"c.png": box}).rename(tmp_path / "two.json")
    for name, files in {"one.json": ("a.png", "b.png"), "two.json": ("c.png", "d.png")}.items():
        document = json.loads((tmp_path / name).read_text())
        ids = {entry["file_name"]: entry["id"] for entry in document["images"]}
        document["images"] = [{"id": ids.get(file, 9), "file_name": file, "camera": "A"} for file in files]
        (tmp_path / name).write_text(json.dumps(document))
    return tmp_path


def assert_read(
    shards: Sequence[Shard],
    settings: DataSettings,
    *,
    examples: Sequence[Example],
    dead_letters: Sequence[DeadLetter] = (),
    slices: Sequence[str] = (),
    limit: int | None = None,
) -> None:
    with beam.Pipeline("FnApiRunner") as pipeline:
        found = read_all(pipeline, shards, settings, slices, limit=limit)
        assert_that(found["examples"], equal_to(list(examples)), label="examples")
        assert_that(found["dead_letters"], equal_to(list(dead_letters)), label="dead letters")


def plain_loop(shards: Sequence[Shard], settings: coco.CocoSettings, slices: Sequence[str]) -> list[Example]:
    """The examples whose image is there, without Beam."""
    found = []
    for name, path in [(shard.name, path) for shard in shards for path in shard.paths]:
        with Path(path).open("rb") as file:
            for record in coco.read(file, Source(path, name, slices), settings):
                image = Path(record.image_path) if isinstance(record, Example) else None
                if image and image.exists():
                    found.append(dataclasses.replace(record, image=image.read_bytes()))
    return found


def test_reading_on_beam_equals_a_plain_loop_and_a_missing_image_is_a_dead_letter(two_sets: Path) -> None:
    settings = coco_settings(two_sets, str(two_sets / "*.json"))
    shards = list_shards(settings).shards
    expected = plain_loop(shards, settings, ["camera"])
    missing = DeadLetter(
        stage="read",
        source=str(two_sets / "two.json"),
        example_id="d.png",
        error="missing_image",
        message=f"record 1: image file '{two_sets}/images/d.png' cannot be read",
        position=1,
    )

    assert (2, 3) == (len(shards), len(expected))
    assert PICTURES == {example.example_id: example.image for example in expected}
    assert_read(shards, settings, examples=expected, dead_letters=[missing], slices=["camera"])


def test_only_what_is_picked_is_loaded(two_sets: Path) -> None:
    """The image of d.png is missing, which nobody is told who did not ask for it."""
    settings = coco_settings(two_sets, str(two_sets / "*.json"))
    shards = list_shards(settings).shards
    expected = [example for example in plain_loop(shards, settings, []) if example.example_id == "b.png"]
    with beam.Pipeline("FnApiRunner") as pipeline:
        records = pipeline | ReadExamples(shards, settings, [])
        picked = records["examples"] | beam.Filter(lambda example: example.example_id == "b.png")
        found = picked | LoadImages(settings)
        assert_that(found["examples"], equal_to(expected), label="examples")
        assert_that(found["dead_letters"], equal_to([]), label="dead letters")

    assert 1 == len(expected)


@pytest.mark.parametrize("name", ["\0.png", "x" * 5000 + ".png", "\ud800.png", "."])
def test_an_image_name_that_no_file_can_have_is_a_dead_letter(tmp_path: Path, name: str) -> None:
    document = {"images": [{"id": 1, "file_name": name}], "annotations": [], "categories": []}
    (tmp_path / "set.json").write_text(json.dumps(document))
    (tmp_path / "images").mkdir()
    settings = coco_settings(tmp_path, str(tmp_path / "set.json"))
    with beam.Pipeline("FnApiRunner") as pipeline:
        found = read_all(pipeline, list_shards(settings).shards, settings)
        counts = found["dead_letters"] | beam.combiners.Count.Globally()
        assert_that(counts, equal_to([1]))


@pytest.mark.usefixtures("no_answer")
@pytest.mark.parametrize("there", [False, True])
def test_an_image_that_its_store_does_not_have_costs_itself_and_one_that_it_has_the_run(
    there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FileSystems, "exists", lambda path: there)
    example = dataclasses.replace(make_example(image=b""), image_path="gs://bucket/a.png")
    loading = _LoadImage().process(example)
    if there:
        with pytest.raises(NotFoundError):
            next(loading)
    else:
        (lost,) = loading
        assert ("missing_image", "record 0: image file 'gs://bucket/a.png' cannot be read") == (
            lost.value.error,
            lost.value.message,
        )


def test_text_that_no_row_can_hold_is_told_all_the_same(tmp_path: Path) -> None:
    """Half a surrogate pair, which JSON lets through, in an annotation whose image is not listed."""
    (tmp_path / "images").mkdir()
    lost = '{"id": "\\ud800", "image_id": "\\ud800", "category_id": 1, "bbox": [0, 0, 1, 1]}'
    (tmp_path / "set.json").write_text(f'{{"images": [], "annotations": [{lost}], "categories": []}}')
    settings = coco_settings(tmp_path, str(tmp_path / "set.json"))
    message = "record 0: 1 annotation is of image ?, which the file does not list"

    letter = DeadLetter("read", str(tmp_path / "set.json"), None, "missing_image", message, 0)
    assert_read(list_shards(settings).shards, settings, examples=[], dead_letters=[letter])


def test_a_bad_record_becomes_a_dead_letter_of_the_read_stage(tmp_path: Path) -> None:
    path = write_tfrecord(tmp_path / "a.tfrecord", "a", "b")
    path.write_bytes(path.read_bytes()[:-1])
    settings = tfrecord_settings(str(path))
    at = 16 + int.from_bytes(path.read_bytes()[:8], "little")
    message = f"record 1: the file ends inside a record at byte {at}; the rest of the shard is lost"

    assert_read(
        list_shards(settings).shards,
        settings,
        examples=[tf_example("a", str(path), "00000-a.tfrecord")],
        dead_letters=[DeadLetter("read", str(path), None, "corrupt_shard", message, 1)],
    )


def tf_example(example_id: str, source: str, shard: str, position: int = 0) -> Example:
    return dataclasses.replace(
        make_example(example_id=example_id, source=source, position=position, shard=shard, image=b"pixels"),
        boxes=[],
        relative=True,
    )


def test_a_limit_takes_the_first_records_over_all_files(tmp_path: Path) -> None:
    first = write_tfrecord(tmp_path / "1.tfrecord", "a", "b")
    second = write_tfrecord(tmp_path / "2.tfrecord", "c", "d")
    settings = tfrecord_settings(str(tmp_path / "*.tfrecord"))
    expected = [
        tf_example("a", str(first), "00000-first", 0),
        tf_example("b", str(first), "00000-first", 1),
        tf_example("c", str(second), "00000-first", 0),
    ]

    assert_read(first_records(list_shards(settings)).shards, settings, examples=expected, limit=3)


def test_gzip_shards_are_read_whatever_their_name(tmp_path: Path) -> None:
    names = ("a.gz", "b.tfrecord")
    paths = [write_tfrecord(tmp_path / name, name, options="GZIP") for name in names]
    settings = tfrecord_settings([str(path) for path in paths])
    expected = [tf_example(p.name, str(p), f"0000{n}-{p.name}") for n, p in enumerate(paths)]

    assert_read(list_shards(settings).shards, settings, examples=expected)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_of_duplicates_the_smallest_source_and_position_survives_in_any_order(
    tmp_path: Path, order: tuple[int, ...]
) -> None:
    records = {"1.rec": ["a", "alone", "a", "b"], "2.rec": ["c", "a"], "3.rec": ["b", "b", "c"]}
    for name, ids in records.items():
        write_tfrecord(tmp_path / name, *ids)
    settings = tfrecord_settings(str(tmp_path / "*.rec"))
    listed = list_shards(settings).shards
    shards = [listed[index] for index in order]
    duplicates = [
        ("a", "1.rec", 2),
        ("a", "2.rec", 1),
        ("b", "3.rec", 0),
        ("b", "3.rec", 1),
        ("c", "3.rec", 2),
    ]
    keys = [(example_id, str(tmp_path / name), position) for example_id, name, position in duplicates]
    letters = [
        DeadLetter("read", s, example_id, "duplicate_id", f"record {n}: an earlier record has the same id", n)
        for example_id, s, n in keys
    ]
    survivors = [("a", "1.rec", 0), ("alone", "1.rec", 1), ("b", "1.rec", 3), ("c", "2.rec", 0)]
    with beam.Pipeline("FnApiRunner") as pipeline:
        found = pipeline | FindDuplicates(shards, settings)
        read = read_all(pipeline, shards, settings, duplicates=found["keys"])
        places = read["examples"] | beam.Map(
            lambda one: (one.example_id, Path(one.source).name, one.position)
        )
        assert_that(found["keys"], equal_to(keys), label="keys")
        assert_that(found["dead_letters"], equal_to(letters), label="letters")
        assert_that(places, equal_to(survivors), label="survivors")
        assert_that(read["dead_letters"], equal_to([]), label="nothing else")


def test_records_beyond_the_limit_are_no_duplicates(tmp_path: Path) -> None:
    settings = tfrecord_settings(str(write_tfrecord(tmp_path / "1.rec", "a", "b", "a")))
    with beam.Pipeline("FnApiRunner") as pipeline:
        found = pipeline | FindDuplicates(list_shards(settings).shards, settings, limit=2)
        assert_that(found["keys"], equal_to([]))


def test_the_image_of_a_duplicate_is_not_looked_for(two_sets: Path) -> None:
    """The second d.png would be a missing image too; a broken record has no id to be a duplicate by."""
    (two_sets / "zwei.json").write_text((two_sets / "two.json").read_text())
    (two_sets / "z.json").write_text("broken")
    settings = coco_settings(two_sets, str(two_sets / "*.json"))
    shards = list_shards(settings).shards
    with beam.Pipeline("FnApiRunner") as pipeline:
        found = pipeline | FindDuplicates(shards, settings)
        read = read_all(pipeline, shards, settings, duplicates=found["keys"])
        letters = (found["dead_letters"], read["dead_letters"]) | beam.Flatten()
        named = letters | beam.Map(lambda one: (one.error, Path(one.source).name, one.example_id))
        expected = [
            ("duplicate_id", "zwei.json", "c.png"),
            ("duplicate_id", "zwei.json", "d.png"),
            ("missing_image", "two.json", "d.png"),
            ("corrupt_shard", "z.json", None),
        ]
        assert_that(named, equal_to(expected))


def test_a_labelling_names_each_class_once_with_or_without_a_box() -> None:
    boxes = [Box("dog", 0, 0, 1, 1), Box("cat", 0, 0, 1, 1), Box("dog", 1, 1, 2, 2)]
    examples = [
        make_example(boxes=boxes, labels=["cow", "cat"], slices={"camera": "A"}, position=3),
        make_example(example_id="b.png", boxes=[]),
    ]
    expected = [
        Labelling("a.png", "set.json", 3, ["dog", "cat", "cow"], [Slice("camera", "A")], None),
        Labelling("b.png", "set.json", 0, [], [], None),
    ]
    with beam.Pipeline("FnApiRunner") as pipeline:
        assert_that(pipeline | beam.Create(examples) | LabelExamples(), equal_to(expected))
