"""Parquet of the Hugging Face kind, with the images inside: `image` is {bytes, path}.

Class numbers get the names that the file's own `ClassLabel` says. Slices are columns.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pydantic

from transforms.errors import DataError, RecordError
from transforms.read.common import Bad, Source, as_text, clean, content_id, image_path, part_of
from transforms.read.names import enumerated, renamed
from transforms.read.objects import Keys, NestedSettings, annotations_of, first_of
from transforms.read.settings import ImagesWithin
from transforms.records import Example, Slice

# What Arrow raises on broken files, text that is no UTF-8 and lengths that lie.
UNREADABLE = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)
_ROWS_A_BATCH = 64


class ParquetSettings(ImagesWithin, NestedSettings):
    """`data` for Parquet with images."""

    format: Literal["parquet"] = pydantic.Field(description="the dataset format")


def read(file: BinaryIO, source: Source, settings: ParquetSettings) -> Iterator[Example | Bad]:
    """Reads one Parquet file: an example for each row.

    Raises:
        DataError: the file is not Parquet, or has no column of images.
    """
    keys = settings.keys
    wanted = {*keys.image, *keys.id, *keys.objects, *keys.label, *source.slices}
    position = 0
    try:
        table = pq.ParquetFile(file)
        header = [name for name in table.schema_arrow.names if name in wanted]
        if settings.images is None and not any(name in header for name in keys.image):
            there = ", ".join(table.schema_arrow.names[:20])
            raise DataError(
                f"{source.path!r} has no column {' or '.join(map(repr, keys.image))} of images; "
                f"its columns: {there}"
            )
        names, label_names = _class_names(table, keys)
        for batch in table.iter_batches(_ROWS_A_BATCH, columns=header):
            for row in batch.to_pylist():
                try:
                    yield renamed(_example(row, position, source, settings), names, label_names)
                except RecordError as error:
                    yield Bad(position, None, error)
                position += 1
    except UNREADABLE as error:
        raise DataError(f"{source.path!r} is not Parquet that can be read: {error}") from error


def _example(row: Mapping[str, Any], position: int, source: Source, settings: ParquetSettings) -> Example:
    keys = settings.keys
    data, path = _image(first_of(row, keys.image))
    named = first_of(row, keys.id)
    example_id = as_text(named) if named is not None else clean(path or "")
    stands_at = ""
    if settings.images is not None:
        data, stands_at = b"", image_path(settings.images, path or example_id)
    elif data is None:
        raise RecordError("malformed_record", f"row {position} holds no image")
    annotations = annotations_of(row, settings)
    return Example(
        example_id=example_id or content_id(data),
        source=source.path,
        position=position,
        shard=part_of(source, position),
        image=data,
        image_path=stands_at,
        boxes=annotations.boxes,
        labels=annotations.labels,
        relative=settings.unit == "shares",
        slices=[Slice(key, as_text(row[key])) for key in source.slices if row.get(key) is not None],
    )


def _image(value: Any) -> tuple[bytes | None, str | None]:
    """(bytes, path) of an image column's value, either of which may be missing."""
    data, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    if isinstance(data, str):
        data, path = None, data
    return (data if isinstance(data, bytes) else None), (path if isinstance(path, str) else None)


def _class_names(table: pq.ParquetFile, keys: Keys) -> tuple[dict[str, str], dict[str, str]]:
    """Names of the class numbers of objects and of images, where the `datasets` library wrote them down."""
    try:
        features: Any = json.loads(table.schema_arrow.metadata[b"huggingface"])["info"]["features"]
        of_objects = [_find(features.get(key), keys.name) for key in keys.objects]
        of_images = [_find({key: features.get(key)}, (key,)) for key in keys.label]
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}, {}
    return next(filter(None, of_objects), {}), next(filter(None, of_images), {})


def _find(feature: Any, keys: Sequence[str]) -> dict[str, str]:
    """The names of the first `ClassLabel` under one of these keys, however deep in lists."""
    if isinstance(feature, list):
        parts = feature
    elif isinstance(feature, dict):
        for key in keys:
            label = feature.get(key)
            while isinstance(label, (list, dict)) and label and "names" not in label:
                label = label[0] if isinstance(label, list) else label.get("feature")
            if isinstance(label, dict) and isinstance(label["names"], list):
                return enumerated([str(name) for name in label["names"]])
        parts = list(feature.values())
    else:
        return {}
    return next(filter(None, (_find(part, keys) for part in parts)), {})
