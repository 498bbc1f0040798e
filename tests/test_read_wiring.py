"""Listing and reading on Beam: the same examples as a plain loop, and an exact word for all else."""

import dataclasses
import gzip
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
import tensorflow as tf
from apache_beam.io.filesystems import FileSystems
from apache_beam.testing.util import assert_that, equal_to

from transforms.errors import DataError
from transforms.labels import Labelling
from transforms.read import coco, tfrecord, voc
from transforms.read.common import Source
from transforms.read.settings import DataSettings
from transforms.read.wiring import (
    FindDuplicates,
    LabelExamples,
    ReadExamples,
    _LoadImage,
    first_records,
    list_shards,
)
from transforms.records import Box, DeadLetter, Example, Shard, Slice

from .builders import encode, make_example, make_image, write_coco

PICTURES = {name: encode(make_image(seed=seed)) for seed, name in enumerate(("a.png", "b.png", "c.png"))}


def coco_settings(folder: Path, annotations: str | list[str]) -> coco.CocoSettings:
    return coco.CocoSettings(format="coco", images=str(folder / "images"), annotations=annotations)


def tfrecord_settings(path: str | list[str]) -> tfrecord.TFRecordSettings:
    return tfrecord.TFRecordSettings(format="tfrecord", path=path)


def voc_settings(folder: Path) -> voc.VocSettings:
    return voc.VocSettings(format="voc", images=str(folder), annotations=str(folder / "*.xml"))


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


def write_tfrecord(path: Path, *ids: str, options: str = "") -> Path:
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for one in ids:
            values = {"image/encoded": b"pixels", "image/source_id": one.encode()}
            parts = {k: tf.train.Feature(bytes_list=tf.train.BytesList(value=[v])) for k, v in values.items()}
            writer.write(tf.train.Example(features=tf.train.Features(feature=parts)).SerializeToString())
    return path


def write_voc(path: Path) -> Path:
    path.write_text(f"<annotation><filename>{path.stem}.jpg</filename></annotation>")
    return path


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
        found = pipeline | ReadExamples(shards, settings, slices, limit=limit)
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


def test_only_wanted_images_are_loaded(two_sets: Path) -> None:
    """The image of d.png is missing, which nobody is told who did not ask for it."""
    settings = coco_settings(two_sets, str(two_sets / "*.json"))
    shards = list_shards(settings).shards
    expected = [example for example in plain_loop(shards, settings, []) if example.example_id == "b.png"]
    with beam.Pipeline("FnApiRunner") as pipeline:
        wanted = pipeline | "Wanted" >> beam.Create([{"b.png": True, "elsewhere.png": True}])
        found = pipeline | ReadExamples(shards, settings, [], wanted=wanted)
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
        found = pipeline | ReadExamples(list_shards(settings).shards, settings, ())
        counts = found["dead_letters"] | beam.combiners.Count.Globally()
        assert_that(counts, equal_to([1]))


class NotFoundError(Exception):
    """What the client library of a store raises; no OSError."""


@pytest.fixture
def no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store in which nothing can be opened."""

    def lost(path: str, **_: Any) -> Any:
        raise NotFoundError(f"404 {path}")

    monkeypatch.setattr(FileSystems, "open", lost)


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


@pytest.mark.usefixtures("no_answer")
@pytest.mark.parametrize("key", ["names", "metadata"])
def test_a_file_that_its_store_does_not_have_is_an_error_at_once(key: str, tmp_path: Path) -> None:
    write_tfrecord(tmp_path / "a.tfrecord", "a")
    given = {key: "gs://bucket/it.csv"}
    settings = tfrecord.TFRecordSettings(format="tfrecord", path=str(tmp_path / "*"), **given)
    with pytest.raises(DataError) as caught:
        list_shards(settings)

    assert f"data.{key}: 'gs://bucket/it.csv' cannot be read: 404 gs://bucket/it.csv" == str(caught.value)


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


def test_a_glob_that_matches_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as of_path:
        list_shards(tfrecord_settings(f"{tmp_path}/*.tfrecord"))
    write_voc(tmp_path / "a.xml")
    with pytest.raises(DataError) as of_annotations:
        list_shards(coco_settings(tmp_path, [f"{tmp_path}/a.xml", f"{tmp_path}/*.json"]))

    assert f"data.path: '{tmp_path}/*.tfrecord' matches no file" == str(of_path.value)
    assert f"data.annotations: '{tmp_path}/*.json' matches no file" == str(of_annotations.value)


def test_a_folder_of_images_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "set.json").write_text('{"images": [], "annotations": [], "categories": []}')
    with pytest.raises(DataError) as caught:
        list_shards(coco_settings(tmp_path, str(tmp_path / "set.json")))

    assert f"data.images: folder '{tmp_path}/images' does not exist" == str(caught.value)


def test_a_folder_is_no_annotation_file(tmp_path: Path) -> None:
    write_voc(tmp_path / "a.xml")
    with pytest.raises(DataError):
        list_shards(voc.VocSettings(format="voc", images="x", annotations=str(tmp_path)))


def test_a_scheme_without_its_filesystem_is_a_data_error() -> None:
    with pytest.raises(DataError):
        list_shards(tfrecord_settings("nowhere://bucket/*.tfrecord"))


def test_files_of_several_globs_are_sorted_and_taken_once(tmp_path: Path) -> None:
    sizes = {
        name: write_tfrecord(tmp_path / name, name).stat().st_size for name in ("c.rec", "a.rec", "b.rec")
    }
    found = list_shards(tfrecord_settings([f"{tmp_path}/c.rec", f"{tmp_path}/*.rec"]))
    paths = [f"{tmp_path}/{name}" for name in ("a.rec", "b.rec", "c.rec")]

    assert [(path, sizes[Path(path).name]) for path in paths] == found.files
    assert [(f"0000{n}-{Path(p).name}", [p]) for n, p in enumerate(paths)] == [
        (shard.name, shard.paths) for shard in found.shards
    ]


def test_a_shard_name_is_fit_for_a_file_name(tmp_path: Path) -> None:
    path = write_tfrecord(tmp_path / "tag der katze+hund.rec", "a")

    assert ["00000-tag_der_katze_hund.rec"] == [
        s.name for s in list_shards(tfrecord_settings(str(path))).shards
    ]


def test_gzip_shards_are_read_whatever_their_name(tmp_path: Path) -> None:
    names = ("a.gz", "b.tfrecord")
    paths = [write_tfrecord(tmp_path / name, name, options="GZIP") for name in names]
    settings = tfrecord_settings([str(path) for path in paths])
    expected = [tf_example(p.name, str(p), f"0000{n}-{p.name}") for n, p in enumerate(paths)]

    assert_read(list_shards(settings).shards, settings, examples=expected)


def test_voc_files_are_grouped_into_shards(tmp_path: Path) -> None:
    for number in range(501):
        write_voc(tmp_path / f"{number:03d}.xml")
    found = list_shards(voc_settings(tmp_path)).shards

    assert [("00000", 500), ("00001", 1)] == [(s.name, len(s.paths)) for s in found]
    assert [str(tmp_path / "500.xml")] == found[1].paths


def test_a_file_of_another_format_is_found_before_the_run(tmp_path: Path) -> None:
    for name, data in {"a.json": b"<annotation/>", "a.xml": b"{}", "a.rec": b"{}", "b.json": b"{}"}.items():
        (tmp_path / name).write_bytes(data)
    expected = {
        "a.json": "is not COCO JSON: Expecting an object at character 0",
        "b.json": "is not COCO JSON: it needs the lists 'images', 'annotations' and 'categories'",
        "a.rec": "is not a TFRecord file: it does not begin with a record header",
        "a.xml": "is not of format 'voc': not XML that can be read safely: "
        "not well-formed (invalid token): line 1, column 0",
    }
    settings: dict[str, Any] = {
        "a.json": coco_settings(tmp_path, f"{tmp_path}/a.json"),
        "b.json": coco_settings(tmp_path, f"{tmp_path}/b.json"),
        "a.rec": tfrecord_settings(f"{tmp_path}/a.rec"),
        "a.xml": voc_settings(tmp_path),
    }
    for name, problem in expected.items():
        with pytest.raises(DataError) as caught:
            list_shards(settings[name])

        assert f"'{tmp_path}/{name}' {problem}" == str(caught.value)


def test_one_bad_voc_file_is_no_reason_to_doubt_the_format(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text("broken")
    write_voc(tmp_path / "b.xml")

    assert 1 == len(list_shards(voc_settings(tmp_path)).shards)


def test_a_compressed_annotation_file_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "set.json.gz"
    path.write_bytes(gzip.compress(b"{}"))
    with pytest.raises(DataError, match="is not COCO JSON: 'utf-8' codec can't decode byte 0x8b"):
        list_shards(coco_settings(tmp_path, str(path)))


def test_of_duplicates_the_smallest_source_and_position_survives_in_any_order() -> None:
    places = [("1.rec", 7), ("1.rec", 30), ("2.rec", 0)]
    arrivals = {f"id{n}": order for n, order in enumerate(itertools.permutations(places))}
    alone = make_example(example_id="alone", source="1.rec", position=7)
    bundles: list[list[Example]] = [[alone], [], []]
    for example_id, order in arrivals.items():
        for bundle, (source, position) in zip(bundles, order, strict=True):
            bundle.append(make_example(example_id=example_id, source=source, position=position))
    letters = [
        DeadLetter("read", s, example_id, "duplicate_id", f"record {n}: an earlier record has the same id", n)
        for example_id in arrivals
        for s, n in places[1:]
    ]
    with beam.Pipeline("FnApiRunner") as pipeline:
        parts = [pipeline | f"Bundle{n}" >> beam.Create(bundle) for n, bundle in enumerate(bundles)]
        found = parts | beam.Flatten() | FindDuplicates()
        keys = [(example_id, s, n) for example_id in arrivals for s, n in places[1:]]
        assert_that(found["keys"], equal_to(keys), label="keys")
        assert_that(found["dead_letters"], equal_to(letters), label="letters")


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
