"""Writes an audit set as a TFRecord shard with the TensorFlow object-detection keys, and its config."""

import io
from pathlib import Path
from typing import Any, Final

import PIL.Image
import tensorflow as tf
import yaml

from benchmarks.planted.sets import AuditSet
from benchmarks.planted.world import SIZE

EPSILON: Final = 0.02
"""What the counterfactual stage tolerates: nothing in this world is legitimate context but the shadow."""

_EDGES: Final = ("xmin", "ymin", "xmax", "ymax")


def write_shard(path: Path, pictures: AuditSet) -> None:
    """One record for each picture; PNG keeps the pixels as the model was trained on them."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for index, image in enumerate(pictures.images):
            file = io.BytesIO()
            PIL.Image.fromarray(image).save(file, "PNG")
            features = {
                "image/encoded": _bytes(file.getvalue()),
                "image/source_id": _bytes(f"{path.stem}-{index:05d}".encode()),
                "image/object/class/text": _bytes(pictures.names[index].encode()),
                **{column: _bytes(values[index].encode()) for column, values in pictures.columns.items()},
            }
            for edge, position in zip(_EDGES, pictures.boxes[index] / SIZE, strict=True):
                value = tf.train.FloatList(value=[position])
                features[f"image/object/bbox/{edge}"] = tf.train.Feature(float_list=value)
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())


def write_config(
    path: Path, *, shard: Path, model: str, model_path: Path, pictures: AuditSet, judge: dict[str, Any]
) -> None:
    """The audit's YAML, as a user would write it."""
    config = {
        "name": "planted",
        "data": {"format": "tfrecord", "path": str(shard), "class_map": pictures.class_map},
        "models": [{"name": model, "path": str(model_path)}],
        "slices": list(pictures.columns),
        "judge": judge,
        "output": path.stem,
    }
    path.write_text(yaml.safe_dump(config, sort_keys=False))


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
