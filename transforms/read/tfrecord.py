"""TFRecord shards of `tf.train.Example`, plain, gzip or zlib, in any layout of features.

Known are the keys of TensorFlow's object detection API, TensorFlow Datasets (`image`, `objects/bbox`) and
SSD-TensorFlow (`image/object/bbox/label_text`); `features` names others. Slices are features. A record whose
checksum fails costs itself; a broken frame costs the rest of its shard, since nothing says where the next
record begins.
"""

import gzip
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Literal

import google_crc32c
import numpy as np
import pydantic

from transforms.errors import DataError, RecordError
from transforms.read import tf_example
from transforms.read.boxes import make_box
from transforms.read.common import Bad, Source, content_id, image_path, is_true
from transforms.read.inflated import Inflated
from transforms.read.settings import (
    BoxNumbers,
    ImagesWithin,
    Layout,
    Names,
    Unit,
    layout_field,
    unit_field,
)
from transforms.records import Box, Example, Slice
from transforms.settings import Settings

_GZIP_MAGIC, _ZLIB_MAGIC = b"\x1f\x8b", b"\x78"
_LENGTH_BYTES, _CRC_BYTES = 8, 4
# No image record is near this size; a longer one is a frame that lies about its length.
_MAX_RECORD_BYTES = 2**30


class Features(Settings):
    """Names of the features that hold what the audit needs."""

    image: Names = pydantic.Field(
        ("image/encoded", "image"), description="the encoded image; the first of these that is there"
    )
    id: Names = pydantic.Field(
        ("image/source_id", "image/filename", "image/id", "file_name"),
        description="the first of these that is not empty is the example id; else the image's hash is",
    )
    xmin: str = pydantic.Field("image/object/bbox/xmin", description="left edges, shares of the width")
    ymin: str = pydantic.Field("image/object/bbox/ymin", description="top edges, shares of the height")
    xmax: str = pydantic.Field("image/object/bbox/xmax", description="right edges, shares of the width")
    ymax: str = pydantic.Field("image/object/bbox/ymax", description="bottom edges, shares of the height")
    box: str = pydantic.Field(
        "objects/bbox",
        description="else: all boxes in one feature, four numbers each in the order of layout",
    )
    name: Names = pydantic.Field(
        (
            "image/object/class/text",
            "image/object/bbox/label_text",
            "image/object/class/label",
            "image/object/bbox/label",
            "objects/label",
        ),
        description="the boxes' class names; the first of these that is there",
    )
    image_name: Names = pydantic.Field(
        ("image/class/text", "image/class/label", "label"),
        description="the image's class name, for boxes without names of their own and images without boxes",
    )
    ignored: Names = pydantic.Field(
        (
            "image/object/is_crowd",
            "image/object/group_of",
            "image/object/difficult",
            "objects/is_crowd",
            "objects/is_difficult",
            "objects/is_group_of",
        ),
        description="1 for each box that is an ignore region; the first of these that is there, if any",
    )


class TFRecordSettings(ImagesWithin, BoxNumbers):
    """`data` for TFRecord."""

    format: Literal["tfrecord"] = pydantic.Field(description="the dataset format")
    layout: Layout = layout_field("yxyx")
    unit: Unit = unit_field("shares")
    features: Features = pydantic.Field(
        default_factory=Features, description="feature names, where they differ from the defaults"
    )


def read(file: BinaryIO, source: Source, settings: TFRecordSettings) -> Iterator[Example | Bad]:
    """Reads one shard.

    Raises:
        DataError: the file does not begin with a TFRecord frame.
    """
    for position, frame in enumerate(frames(file, source.path)):
        if isinstance(frame, RecordError):
            yield Bad(position, None, frame)
            continue
        try:
            yield _example(tf_example.parse(frame), position, source, settings)
        except RecordError as error:
            yield Bad(position, None, error)


def frames(file: BinaryIO, path: str) -> Iterator[bytes | RecordError]:
    """The records of one file as bytes, or what is wrong with one; behind a broken frame nothing comes.

    Raises:
        DataError: the file does not begin with a TFRecord frame.
    """
    records = _Records(file, path)
    while True:
        try:
            record = next(records, None)
        except RecordError as error:
            yield error
            if error.reason == "corrupt_shard":
                return
        else:
            if record is None:
                return
            yield record


class _Records:
    """Iterates over the records of one open file; a bad checksum does not end the iteration."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        stream: Any = file
        start = stream.read(_LENGTH_BYTES + _CRC_BYTES)
        stream.seek(0)
        if start.startswith((_GZIP_MAGIC, _ZLIB_MAGIC)) and not _is_header(start):
            packed = "gzip" if start.startswith(_GZIP_MAGIC) else "zlib"
            stream = gzip.GzipFile(fileobj=file) if packed == "gzip" else Inflated(file)
            try:
                start = stream.read(_LENGTH_BYTES + _CRC_BYTES)
                stream.seek(0)
            except (EOFError, OSError, zlib.error) as error:
                raise DataError(f"{path!r} is neither a TFRecord file nor a {packed} one: {error}") from error
        if start and not _is_header(start):
            raise DataError(f"{path!r} is not a TFRecord file: it does not begin with a record header")
        self._file = stream
        self._at = 0

    def __iter__(self) -> "_Records":
        return self

    def __next__(self) -> bytes:
        header = self._read(_LENGTH_BYTES + _CRC_BYTES)
        if not header:
            raise StopIteration
        if not _is_header(header):
            raise self._corrupt("the record header is broken")
        (length,) = struct.unpack("<Q", header[:_LENGTH_BYTES])
        if length > _MAX_RECORD_BYTES:
            raise self._corrupt(f"a record claims {length} bytes")
        body = self._read(length + _CRC_BYTES)
        if len(body) < length + _CRC_BYTES:
            raise self._corrupt("the file ends inside a record")
        self._at += len(header) + len(body)
        record, (crc,) = body[:length], struct.unpack("<I", body[length:])
        if _masked_crc(record) != crc:
            raise RecordError(
                "malformed_record", f"the checksum of a record of {length} bytes does not match"
            )
        return record

    def _read(self, count: int) -> bytes:
        try:
            return bytes(self._file.read(count))
        except (EOFError, OSError, zlib.error) as error:
            raise self._corrupt(f"cannot be decompressed further ({error})") from error

    def _corrupt(self, what: str) -> RecordError:
        return RecordError("corrupt_shard", f"{what} at byte {self._at}; the rest of the shard is lost")


def _is_header(header: bytes) -> bool:
    if len(header) < _LENGTH_BYTES + _CRC_BYTES:
        return False
    (crc,) = struct.unpack("<I", header[_LENGTH_BYTES:])
    return _masked_crc(header[:_LENGTH_BYTES]) == int(crc)


def _masked_crc(data: bytes) -> int:
    """CRC-32C, rotated and offset as the TFRecord format asks (tensorflow/core/lib/hash/crc32c.h)."""
    crc = int(google_crc32c.value(data))
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _example(
    features: Mapping[str, Sequence[Any]], position: int, source: Source, settings: TFRecordSettings
) -> Example:
    keys = settings.features
    ids = [_text(value) for value in _first_of(features, keys.id) if value != b""]
    image, path = b"", ""
    if settings.images is None:
        image = _image(features, keys)
    elif ids:
        path = image_path(settings.images, ids[0])
    else:
        raise RecordError("malformed_record", f"none of the features {', '.join(keys.id)} names the image")
    labels = [_text(value) for value in _first_of(features, keys.image_name)]
    names = [_text(name) for name in _first_of(features, keys.name)]
    return Example(
        example_id=ids[0] if ids else content_id(image),
        source=source.path,
        position=position,
        shard=source.shard,
        image=image,
        image_path=path,
        boxes=_boxes(features, settings, names, labels),
        labels=labels,
        relative=settings.unit == "shares",
        slices=[
            Slice(key, ",".join(_text(value) for value in features[key]))
            for key in source.slices
            if features.get(key)
        ],
    )


def _image(features: Mapping[str, Sequence[Any]], keys: Features) -> bytes:
    for key in keys.image:
        values = features.get(key)
        image = values[0] if values else None
        if isinstance(image, bytes):
            return image
    wanted = " or ".join(repr(key) for key in keys.image)
    there = ", ".join(sorted(features)) or "none"
    raise RecordError("malformed_record", f"there is no image in feature {wanted}; features: {there}")


def _boxes(
    features: Mapping[str, Sequence[Any]], settings: TFRecordSettings, names: list[str], labels: list[str]
) -> list[Box]:
    keys, numbers = settings.features, settings
    edges = [features.get(key, ()) for key in (keys.xmin, keys.ymin, keys.xmax, keys.ymax)]
    flat = features.get(keys.box, ())
    if flat and not any(len(values) for values in edges):
        if len(flat) % 4:
            raise RecordError(
                "malformed_record", f"{keys.box!r} has {len(flat)} values, not four for each box"
            )
        edges = [flat[first::4] for first in range(4)]
    else:
        numbers = settings.model_copy(update={"layout": "xyxy"})
    if not names and labels:
        names = labels[:1] * len(edges[0])  # one class for the whole image, as ImageNet's records have it
    lengths = [len(values) for values in (*edges, names)]
    if len(set(lengths)) > 1:
        raise RecordError(
            "malformed_record",
            "xmin, ymin, xmax, ymax and class have {}, {}, {}, {} and {} values".format(*lengths),
        )
    ignored = list(_first_of(features, keys.ignored)) or [0] * len(names)
    if len(ignored) != len(names):
        raise RecordError(
            "malformed_record", f"{len(names)} boxes have {len(ignored)} flags that say which to ignore"
        )
    return [
        make_box(name, box, numbers, is_true(flag))
        for name, flag, *box in zip(names, ignored, *edges, strict=True)
    ]


def _first_of(features: Mapping[str, Sequence[Any]], keys: Sequence[str]) -> Sequence[Any]:
    """The values of the first feature that is there and not empty text."""
    found = (features.get(key, ()) for key in keys)
    return next((values for values in found if len(values) and any(value != b"" for value in values)), ())


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    # A float feature is a float32; as one it reads 0.1, and not 0.10000000149011612.
    return str(np.float32(value) if isinstance(value, float) else value)
