"""TensorFlow Datasets: TFRecord shards of a prepared directory, read as the directory itself declares them.

`tensorflow_datasets` (optional) reads `features.json` beside the shards and parses the records, without
TensorFlow: features at any depth, and class names in place of numbers. Images stay encoded. Slices are
features of the example.
"""

import functools
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Literal

import numpy as np
import pydantic

from transforms.errors import DataError, RecordError
from transforms.read.common import Bad, Source, as_text, content_id, image_path
from transforms.read.objects import NestedSettings, annotations_of, first_of
from transforms.read.settings import ImagesWithin, Layout, Unit, layout_field, unit_field
from transforms.read.tfrecord import frames
from transforms.records import Example, Slice


class TfdsSettings(ImagesWithin, NestedSettings):
    """`data` for TensorFlow Datasets."""

    format: Literal["tfds"] = pydantic.Field(description="the dataset format")
    layout: Layout = layout_field("yxyx")
    unit: Unit = unit_field("shares")


def read(file: BinaryIO, source: Source, settings: TfdsSettings) -> Iterator[Example | Bad]:
    """Reads one shard.

    Raises:
        DataError: the library is not there, the directory does not say what its records hold, or the file
            does not begin with a TFRecord frame.
    """
    features, decoders = _declared(posixpath.dirname(source.path))
    for position, frame in enumerate(frames(file, source.path)):
        if isinstance(frame, RecordError):
            yield Bad(position, None, frame)
            continue
        try:
            yield _example(_parsed(frame, features, decoders), position, source, settings)
        except RecordError as error:
            yield Bad(position, None, error)


@functools.cache
def _declared(folder: str) -> tuple[Any, dict[str, Any]]:
    """What the records of a directory hold, and how to leave their images encoded.

    Raises:
        DataError: see `read`.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise DataError(
            "data.format: 'tfds' needs tensorflow_datasets, pip install 'gradcam-audit[tfds]'; the format "
            "'tfrecord' reads most such directories without it"
        ) from error
    try:
        features = tfds.features.FeaturesDict.from_config(folder)
    except Exception as error:  # whatever stands in that file
        raise DataError(f"{folder!r} has no features.json that can be read: {error}") from error
    images = [name for name, feature in features.items() if isinstance(feature, tfds.features.Image)]
    return features, {name: tfds.decode.SkipDecoding() for name in images}


def _parsed(record: bytes, features: Any, decoders: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found: dict[str, Any] = _plain(features.deserialize_example_np(record, decoders=decoders), features)
    except Exception as error:  # of protobuf, NumPy, and the library's own
        message = f"{len(record)} bytes are no example as features.json declares it: {error}"
        raise RecordError("malformed_record", message) from error
    return found


def _plain(value: Any, feature: Any) -> Any:
    """A feature's value as plain Python, class numbers as names; None for a number without a name."""
    inner = getattr(feature, "feature", feature)  # of a sequence
    if isinstance(value, dict):
        return {key: _plain(part, inner[key]) for key, part in value.items()}
    if isinstance(value, (list, np.ndarray)) and np.ndim(value):
        return [_plain(part, inner) for part in value]
    if hasattr(inner, "int2str"):
        return inner.int2str(int(value)) if 0 <= value < inner.num_classes else None
    return value.item() if isinstance(value, (np.generic, np.ndarray)) else value


def _example(row: Mapping[str, Any], position: int, source: Source, settings: TfdsSettings) -> Example:
    keys = settings.keys
    texts = {key: _text(value) for key, value in row.items() if key not in keys.image}
    named = first_of(texts, keys.id)
    image, path = first_of(row, keys.image), ""
    if settings.images is not None and named is not None:
        image, path = b"", image_path(settings.images, as_text(named))
    elif settings.images is not None:
        raise RecordError("malformed_record", f"none of the features {', '.join(keys.id)} names the image")
    elif not isinstance(image, bytes):
        raise RecordError("malformed_record", f"there is no image in feature {' or '.join(keys.image)}")
    annotations = annotations_of(texts, settings)
    return Example(
        example_id=content_id(image) if named is None else as_text(named),
        source=source.path,
        position=position,
        shard=source.shard,
        image=image,
        image_path=path,
        boxes=annotations.boxes,
        labels=annotations.labels,
        relative=settings.unit == "shares",
        slices=[Slice(key, as_text(texts[key])) for key in source.slices if texts.get(key) is not None],
    )


def _text(value: Any) -> Any:
    """The same value with bytes as text, at any depth."""
    if isinstance(value, dict):
        return {key: _text(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_text(part) for part in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
