"""Listing: which files there are, in which shards, and an exact word for what is no data."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from transforms.errors import DataError
from transforms.read import tfrecord, voc
from transforms.read.files.wiring import list_shards

from .shards import coco_settings, tfrecord_settings, voc_settings, write_tfrecord, write_voc


@pytest.mark.usefixtures("no_answer")
@pytest.mark.parametrize("key", ["names", "metadata"])
def test_a_file_that_its_store_does_not_have_is_an_error_at_once(key: str, tmp_path: Path) -> None:
    write_tfrecord(tmp_path / "a.tfrecord", "a")
    given = {key: "gs://bucket/it.csv"}
    settings = tfrecord.TFRecordSettings(format="tfrecord", path=str(tmp_path / "*"), **given)
    with pytest.raises(DataError) as caught:
        list_shards(settings)

    assert f"data.{key}: 'gs://bucket/it.csv' cannot be read: 404 gs://bucket/it.csv" == str(caught.value)


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
