"""TFRecord shards, framed and filled by TensorFlow itself, then broken in every way a file can break."""

import dataclasses
import gzip
import hashlib
import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import google_crc32c
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from transforms.errors import DataError, RecordError
from transforms.read import tf_example, tfrecord
from transforms.read.common import Bad, Source
from transforms.read.inflated import Inflated
from transforms.records import Box, Example, Slice

SETTINGS = tfrecord.TFRecordSettings(format="tfrecord", path="*.tfrecord")


def feature(values: Sequence[Any]) -> tf.train.Feature:
    """Bytes, floats or ints, told apart by the first value."""
    if isinstance(values[0], bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
    if isinstance(values[0], float):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def message(features: Mapping[str, Sequence[Any]]) -> bytes:
    parts = {
        name: feature(values) if len(values) else tf.train.Feature() for name, values in features.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=parts)).SerializeToString()


def record(**features: Sequence[Any]) -> bytes:
    """A record with an image and an id; names of features have `__` for the slash."""
    given = {name.replace("__", "/"): values for name, values in features.items()}
    return message({"image/encoded": [b"pixels"], "image/source_id": [b"a"], **given})


def boxed(count: int, **features: Sequence[Any]) -> bytes:
    edges = {"xmin": 0.25, "ymin": 0.5, "xmax": 0.75, "ymax": 1.0}
    boxes = {f"image__object__bbox__{edge}": [value] * count for edge, value in edges.items()}
    return record(**{**boxes, **features})


def framed(folder: Path, *records: bytes, options: str = "") -> bytes:
    path = folder / "records"
    with tf.io.TFRecordWriter(str(path), options) as writer:
        for one in records:
            writer.write(one)
    return path.read_bytes()


def read(data: bytes, slices: Sequence[str] = (), **keys: Any) -> list[Example | Bad]:
    settings = SETTINGS.model_copy(update={"features": tfrecord.Features(**keys)})
    return list(tfrecord.read(io.BytesIO(data), Source("/data/s", "00000-s", slices), settings))


def only(data: bytes, slices: Sequence[str] = (), **keys: Any) -> Example:
    (found,) = read(data, slices, **keys)
    assert isinstance(found, Example), found
    return found


def example(**fields: Any) -> Example:
    usual = {"example_id": "a", "position": 0, "image": b"pixels", "boxes": [], "labels": [], "slices": []}
    return Example(source="/data/s", shard="00000-s", image_path="", relative=True, **{**usual, **fields})


def told(found: Example | Bad) -> tuple[int, str | None, str, str]:
    """What a bad record says: position, example id, reason and message."""
    assert isinstance(found, Bad)
    return found.position, found.example_id, found.error.reason, found.error.message


def test_the_object_detection_keys_become_an_example(tmp_path: Path) -> None:
    data = framed(tmp_path, boxed(2, image__object__class__text=[b"cat", b"dog"]))
    boxes = [Box("cat", 0.25, 0.5, 0.75, 1.0), Box("dog", 0.25, 0.5, 0.75, 1.0)]

    assert [example(boxes=boxes)] == read(data)


def test_records_keep_their_order_and_a_shard_may_be_gzip(tmp_path: Path) -> None:
    records = [record(image__source_id=[b"%d" % n]) for n in range(3)]
    expected = [example(example_id=str(n), position=n) for n in range(3)]

    assert expected == read(framed(tmp_path, *records))
    assert expected == read(framed(tmp_path, *records, options="GZIP"))


def test_an_empty_file_holds_no_record() -> None:
    assert [] == read(b"")


def test_labels_may_be_numbers(tmp_path: Path) -> None:
    found = only(framed(tmp_path, boxed(1, image__object__class__label=[7])))

    assert [Box("7", 0.25, 0.5, 0.75, 1.0)] == found.boxes


def test_names_come_before_numbers_unless_they_are_empty(tmp_path: Path) -> None:
    numbers = {"image__object__class__label": [7]}
    named = only(framed(tmp_path, boxed(1, image__object__class__text=[b"cat"], **numbers)))
    unnamed = only(framed(tmp_path, boxed(1, image__object__class__text=[b""], **numbers)))

    assert ["cat", "7"] == [named.boxes[0].name, unnamed.boxes[0].name]


def test_imagenet_layout_gives_every_box_the_class_of_the_image(tmp_path: Path) -> None:
    found = only(framed(tmp_path, boxed(2, image__class__text=[b"cat"], image__class__label=[3])))

    assert [Box("cat", 0.25, 0.5, 0.75, 1.0)] * 2 == found.boxes
    assert ["cat"] == found.labels


def test_a_class_without_boxes_is_a_label(tmp_path: Path) -> None:
    assert example(labels=["3"]) == only(framed(tmp_path, record(image__class__label=[3])))


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ({"image__filename": [b"a.jpg"]}, "a"),
        ({"image__source_id": [b""], "image__filename": [b"a.jpg"]}, "a.jpg"),
        ({"image__source_id": [], "image__filename": [b"a.jpg"]}, "a.jpg"),
        ({"image__source_id": [0]}, "0"),
        ({"image__source_id": [b""]}, hashlib.sha256(b"pixels").hexdigest()[:32]),
        ({"image__source_id": ["bär".encode()]}, "bär"),
    ],
)
def test_the_id_is_source_id_else_file_name_else_hash(
    tmp_path: Path, features: dict[str, Any], expected: str
) -> None:
    assert expected == only(framed(tmp_path, record(**features))).example_id


def test_slices_may_be_of_every_kind(tmp_path: Path) -> None:
    data = framed(tmp_path, record(camera=[b"A"], day=[3, 4], light=[0.5], empty=[]))
    found = only(data, slices=["light", "empty", "absent", "camera", "day"])

    assert [Slice("light", "0.5"), Slice("camera", "A"), Slice("day", "3,4")] == found.slices


def test_keys_can_be_mapped(tmp_path: Path) -> None:
    edges = {"l": [0.0], "t": [0.25], "r": [0.5], "b": [1.0]}
    data = framed(tmp_path, message({"img": [b"pixels"], "key": [b"a"], "what": [b"cat"], **edges}))
    keys = {"image": "img", "id": ["key"], "xmin": "l", "ymin": "t", "xmax": "r", "ymax": "b"}

    assert example(boxes=[Box("cat", 0.0, 0.25, 0.5, 1.0)]) == only(data, **keys, name=["what"])


NO_IMAGE = "there is no image in feature 'image/encoded' or 'image'; features: "
UNEQUAL = "xmin, ymin, xmax, ymax and class have "


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (b"garbage", "7 bytes are not a tf.train.Example"),
        (b"", NO_IMAGE + "none"),
        (message({"b": [1], "a": [1]}), NO_IMAGE + "a, b"),
        (message({"image/encoded": [1]}), NO_IMAGE + "image/encoded"),
        (message({"image/encoded": []}), NO_IMAGE + "image/encoded"),
        (boxed(2, image__object__class__text=[b"cat"]), UNEQUAL + "2, 2, 2, 2 and 1 values"),
        (boxed(1, image__object__bbox__xmax=[]), UNEQUAL + "1, 1, 0, 1 and 0 values"),
        (boxed(1), UNEQUAL + "1, 1, 1, 1 and 0 values"),
        (record(image__object__class__text=[b"cat"]), UNEQUAL + "0, 0, 0, 0 and 1 values"),
        (
            boxed(1, image__object__class__text=[b"cat"], image__object__bbox__ymin=[float("nan")]),
            "box of 'cat' has edges [0.25, nan, 0.75, 1.0], which are not finite",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",  # the bytes differ from process to process
)
def test_a_garbage_record_leaves_its_neighbours_unharmed(tmp_path: Path, bad: bytes, problem: str) -> None:
    found = read(framed(tmp_path, record(), bad, record()))

    assert [example(), example(position=2)] == [found[0], found[2]]
    assert (1, None, "malformed_record", problem) == told(found[1])


def test_edges_that_are_no_numbers_are_a_malformed_record(tmp_path: Path) -> None:
    texts = {f"image__object__bbox__{edge}": [b"0.5"] for edge in ("xmin", "ymin", "xmax", "ymax")}
    found = read(framed(tmp_path, record(**texts, image__object__class__text=[b"cat"]), record()))

    assert "malformed_record" == told(found[0])[2]
    assert example(position=1) == found[1]


def test_a_bad_checksum_costs_its_record_only(tmp_path: Path) -> None:
    one = record()
    data = bytearray(framed(tmp_path, one, one, one))
    data[len(data) // 2] ^= 1
    found = read(bytes(data))
    problem = f"the checksum of a record of {len(one)} bytes does not match"

    assert [example(), example(position=2)] == [found[0], found[2]]
    assert (1, None, "malformed_record", problem) == told(found[1])


def lying_header(length: int) -> bytes:
    """A header whose checksum is right and whose length is not."""
    header = struct.pack("<Q", length)
    crc = google_crc32c.value(header)
    return header + struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


@pytest.mark.parametrize(
    ("tail", "problem"),
    [
        (lying_header(100) + b"short", "the file ends inside a record"),
        (lying_header(2**30 + 1) + b"short", f"a record claims {2**30 + 1} bytes"),
        (b"\0" * 40, "the record header is broken"),
        (b"\0" * 3, "the record header is broken"),
    ],
    ids=["length beyond the end", "length beyond reason", "no header", "part of a header"],
)
def test_a_broken_frame_costs_the_rest_of_its_shard(tmp_path: Path, tail: bytes, problem: str) -> None:
    data = framed(tmp_path, record())
    found = read(data + tail)
    told_of = (1, None, "corrupt_shard", f"{problem} at byte {len(data)}; the rest of the shard is lost")

    assert example() == found[0]
    assert [told_of] == [told(bad) for bad in found[1:]]


def test_a_truncated_gzip_file_gives_what_comes_before(tmp_path: Path) -> None:
    data = framed(tmp_path, record(), record(image__encoded=[bytes(range(256)) * 40]), options="GZIP")
    found = read(data[: len(data) - 30])

    assert example() == found[0]
    position, _, reason, problem = told(found[1])
    assert (1, "corrupt_shard") == (position, reason)
    assert problem.startswith("cannot be decompressed further (Compressed file ended before")
    assert 2 == len(found)


@pytest.mark.parametrize("data", [b"name,x,y\na.jpg,1,2\n", b"short", b"\x89PNG\r\n\x1a\n" + b"\0" * 30])
def test_a_file_that_is_no_tfrecord_is_a_data_error(data: bytes) -> None:
    with pytest.raises(DataError) as caught:
        read(data)

    expected = "'/data/s' is not a TFRecord file: it does not begin with a record header"
    assert expected == str(caught.value)


def test_a_gzip_file_of_something_else_is_a_data_error() -> None:
    with pytest.raises(DataError):
        read(gzip.compress(b"name,x,y\na.jpg,1,2\n"))


INTS = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4)
FLOATS = st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4)
BYTES = st.lists(st.binary(max_size=8), min_size=1, max_size=4)


@given(features=st.dictionaries(st.text(max_size=8), st.one_of(INTS, FLOATS, BYTES, st.just([])), max_size=4))
def test_parse_gives_what_tensorflow_put_in(features: dict[str, list[Any]]) -> None:
    parsed = tf_example.parse(message(features))

    assert features == {name: list(values) for name, values in parsed.items()}


@given(data=st.binary(max_size=60))
def test_parse_agrees_with_tensorflow_on_what_is_a_message(data: bytes) -> None:
    try:
        expected = set(tf.train.Example.FromString(data).features.feature)
    except Exception:
        with pytest.raises(RecordError):
            tf_example.parse(data)
    else:
        assert expected == set(tf_example.parse(data))


def test_the_raccoons_are_forty(real_data: Path) -> None:
    with (real_data / "tfrecords/raccoon_test.record").open("rb") as file:
        found = list(tfrecord.read(file, Source("raccoon_test.record", "00000", ()), SETTINGS))

    assert [Example] * 40 == [type(one) for one in found]
    assert list(range(40)) == [one.position for one in found]
    assert {"raccoon"} == {box.name for one in found if isinstance(one, Example) for box in one.boxes}


def test_tensorflow_datasets_layout(tmp_path: Path) -> None:
    """`image`, and `objects/bbox` as ymin, xmin, ymax, xmax one after the other."""
    features: Mapping[str, Sequence[Any]] = {
        "image": [b"pixels"],
        "image/filename": [b"a"],
        "objects/bbox": [0.5, 0.25, 1.0, 0.75, 0.0, 0.0, 0.5, 1.0],
        "objects/label": [3, 5],
    }
    boxes = [Box("3", 0.25, 0.5, 0.75, 1.0), Box("5", 0.0, 0.0, 1.0, 0.5)]
    empty = {**features, "objects/bbox": (), "objects/label": ()}

    assert [example(boxes=boxes), example(position=1)] == read(
        framed(tmp_path, message(features), message(empty))
    )


def test_a_list_of_boxes_that_is_no_multiple_of_four(tmp_path: Path) -> None:
    (found,) = read(framed(tmp_path, record(objects__bbox=[0.5] * 7, objects__label=[3])))

    assert "'objects/bbox' has 7 values, not four for each box" == told(found)[3]


def test_ssd_tensorflow_layout(tmp_path: Path) -> None:
    names = {"image__object__bbox__label_text": [b"cat"], "image__object__bbox__label": [8]}

    assert [example(boxes=[Box("cat", 0.25, 0.5, 0.75, 1.0)])] == read(framed(tmp_path, boxed(1, **names)))


def test_boxes_may_be_pixels(tmp_path: Path) -> None:
    settings = tfrecord.TFRecordSettings(format="tfrecord", path="x", unit="pixels", edges="inclusive")
    edges = {"xmin": [1.0], "ymin": [2.0], "xmax": [3.0], "ymax": [4.0]}
    numbers = {f"image__object__bbox__{edge}": values for edge, values in edges.items()}
    data = framed(tmp_path, record(**numbers, image__object__class__text=[b"cat"]))
    found = list(tfrecord.read(io.BytesIO(data), Source("/data/s", "00000-s", ()), settings))

    assert [dataclasses.replace(example(boxes=[Box("cat", 1.0, 2.0, 4.0, 5.0)]), relative=False)] == found


def test_pixels_where_shares_are_declared_are_told(tmp_path: Path) -> None:
    data = framed(tmp_path, boxed(1, image__object__class__text=[b"cat"], image__object__bbox__ymax=[230.0]))
    (found,) = read(data)

    assert "wrong_unit" == told(found)[2]


def test_images_may_stand_beside_records_that_name_them(tmp_path: Path) -> None:
    settings = tfrecord.TFRecordSettings(format="tfrecord", path="x", images="/photos")
    nameless = message({"image/encoded": [b"pixels"]})
    data = framed(tmp_path, record(image__encoded=[b""]), record(image__source_id=[b"../a"]), nameless)
    good, *bad = tfrecord.read(io.BytesIO(data), Source("/data/s", "00000-s", ()), settings)

    assert dataclasses.replace(example(image=b""), image_path="/photos/a") == good
    assert ["unsafe_path", "malformed_record"] == [told(one)[2] for one in bad]


def test_zlib_shards_are_read_and_their_breaks_are_told(tmp_path: Path) -> None:
    records = [
        record(image__source_id=[b"%d" % n], image__encoded=[bytes(range(256)) * 99]) for n in range(3)
    ]
    plain = read(framed(tmp_path, *records))
    data = framed(tmp_path, *records, options="ZLIB")
    cut = read(data[:-9])

    assert plain == read(data)
    assert plain[:2] == cut[:2]
    assert "corrupt_shard" == told(cut[-1])[2]
    assert "cannot be decompressed further (the compressed stream has no end)" in told(cut[-1])[3]


def test_what_only_looks_like_zlib_is_a_data_error() -> None:
    with pytest.raises(DataError, match="is neither a TFRecord file nor a zlib one: Error "):
        read(b"x is the first letter")


@given(st.binary(max_size=2000), st.lists(st.integers(1, 700), min_size=1, max_size=20))
def test_an_inflated_stream_is_the_stream(content: bytes, counts: list[int]) -> None:
    stream, plain = Inflated(io.BytesIO(zlib.compress(content))), io.BytesIO(content)

    assert [plain.read(count) for count in counts] == [stream.read(count) for count in counts]
