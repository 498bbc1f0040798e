"""TFRecord shards of `tf.train.Example`, plain or gzip, with the TensorFlow object-detection keys.

Boxes are shares of width and height in [0, 1]. Slices are features of that name. A record whose
checksum fails costs itself; a broken frame costs the rest of its shard, since nothing says where the next
record begins.
"""

import gzip
import hashlib
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, BinaryIO, Literal

import google_crc32c
import numpy as np
import pydantic

from transforms.errors import DataError, RecordError
from transforms.read import tf_example
from transforms.read.common import Bad, Source, checked_box
from transforms.read.settings import ImagesWithin
from transforms.records import Box, Example, Slice
from transforms.settings import Settings

_GZIP_MAGIC = b"\x1f\x8b"
_LENGTH_BYTES, _CRC_BYTES = 8, 4
# No image record is near this size; a longer one is a frame that lies about its length.
_MAX_RECORD_BYTES = 2**30


class Features(Settings):
    """Names of the features that hold what the audit needs."""

    image: str = pydantic.Field("image/encoded", description="the encoded image")
    id: Annotated[tuple[str, ...], pydantic.Strict(False)] = pydantic.Field(
        ("image/source_id", "image/filename"),
        description="the first of these that is not empty is the example id; else the image's hash is",
    )
    xmin: str = pydantic.Field("image/object/bbox/xmin", description="left edges, shares of the width")
    ymin: str = pydantic.Field("image/object/bbox/ymin", description="top edges, shares of the height")
    xmax: str = pydantic.Field("image/object/bbox/xmax", description="right edges, shares of the width")
    ymax: str = pydantic.Field("image/object/bbox/ymax", description="bottom edges, shares of the height")
    name: Annotated[tuple[str, ...], pydantic.Strict(False)] = pydantic.Field(
        ("image/object/class/text", "image/object/class/label"),
        description="the boxes' class names; the first of these that is there",
    )
    image_name: Annotated[tuple[str, ...], pydantic.Strict(False)] = pydantic.Field(
        ("image/class/text", "image/class/label"),
        description="the image's class name, for boxes without names of their own and images without boxes",
    )


class TFRecordSettings(ImagesWithin):
    """`data` for TFRecord."""

    format: Literal["tfrecord"] = pydantic.Field(description="the dataset format")
    features: Features = pydantic.Field(
        default_factory=Features, description="feature names, where they differ from the defaults"
    )


def read(file: BinaryIO, source: Source, settings: TFRecordSettings) -> Iterator[Example | Bad]:
    """Reads one shard.

    Raises:
        DataError: the file does not begin with a TFRecord frame.
    """
    records = _Records(file, source.path)
    position = 0
    while True:
        try:
            record = next(records, None)
        except RecordError as error:
            yield Bad(position, None, error)
            if error.reason == "corrupt_shard":
                return
        else:
            if record is None:
                return
            try:
                yield _example(tf_example.parse(record), position, source, settings.features)
            except RecordError as error:
                yield Bad(position, None, error)
        position += 1


class _Records:
    """Iterates over the records of one open file; a bad checksum does not end the iteration."""

    def __init__(self, file: BinaryIO, path: str) -> None:
        stream: BinaryIO | gzip.GzipFile = file
        start = stream.read(_LENGTH_BYTES + _CRC_BYTES)
        stream.seek(0)
        if start.startswith(_GZIP_MAGIC) and not _is_header(start):
            stream = gzip.GzipFile(fileobj=file)
            try:
                start = stream.read(_LENGTH_BYTES + _CRC_BYTES)
                stream.seek(0)
            except (EOFError, OSError, zlib.error) as error:
                raise DataError(f"{path!r} is neither a TFRecord file nor a gzip one: {error}") from error
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
            return self._file.read(count)
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


def _example(features: Mapping[str, Sequence[Any]], position: int, source: Source, keys: Features) -> Example:
    image = features.get(keys.image)
    if not image or not isinstance(image[0], bytes):
        there = ", ".join(sorted(features)) or "none"
        raise RecordError(
            "malformed_record", f"there is no image in feature {keys.image!r}; features: {there}"
        )
    names = _first_of(features, keys.name)
    labels = [_text(value) for value in _first_of(features, keys.image_name)]
    boxes = _boxes(features, keys, [_text(name) for name in names], labels)
    ids = [_text(value) for value in _first_of(features, keys.id) if value != b""]
    return Example(
        example_id=ids[0] if ids else hashlib.sha256(image[0]).hexdigest()[:32],
        source=source.path,
        position=position,
        shard=source.shard,
        image=image[0],
        image_path="",
        boxes=boxes,
        labels=labels,
        relative=True,
        slices=[
            Slice(key, ",".join(_text(value) for value in features[key]))
            for key in source.slices
            if features.get(key)
        ],
    )


def _boxes(
    features: Mapping[str, Sequence[Any]], keys: Features, names: list[str], labels: list[str]
) -> list[Box]:
    edges = [features.get(key, ()) for key in (keys.xmin, keys.ymin, keys.xmax, keys.ymax)]
    count = len(edges[0])
    if not names and labels:
        names = labels[:1] * count  # one class for the whole image, as ImageNet's records have it
    lengths = [len(values) for values in (*edges, names)]
    if len(set(lengths)) > 1:
        raise RecordError(
            "malformed_record",
            "xmin, ymin, xmax, ymax and class have {}, {}, {}, {} and {} values".format(*lengths),
        )
    return [checked_box(name, *box) for name, *box in zip(names, *edges, strict=True)]


def _first_of(features: Mapping[str, Sequence[Any]], keys: Sequence[str]) -> Sequence[Any]:
    """The values of the first feature that is there and not empty text."""
    found = (features.get(key, ()) for key in keys)
    return next((values for values in found if len(values) and any(value != b"" for value in values)), ())


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    # A float feature is a float32; as one it reads 0.1, and not 0.10000000149011612.
    return str(np.float32(value) if isinstance(value, float) else value)
