"""Small files to be listed and read, and the settings that read them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import tensorflow as tf

from transforms.read import coco, tfrecord, voc
from transforms.read.settings import DataSettings
from transforms.read.wiring import LoadImages, ReadExamples
from transforms.records import Shard


def read_all(
    root: beam.Pipeline,
    shards: Sequence[Shard],
    settings: DataSettings,
    slices: Sequence[str] = (),
    **how: Any,
) -> Any:
    """Examples with their images, and all dead letters of reading."""
    records = root | ReadExamples(shards, settings, slices, **how)
    loaded = records["examples"] | LoadImages(settings)
    letters = (records["dead_letters"], loaded["dead_letters"]) | "Letters" >> beam.Flatten()
    return {"examples": loaded["examples"], "dead_letters": letters}


def coco_settings(folder: Path, annotations: str | list[str]) -> coco.CocoSettings:
    return coco.CocoSettings(format="coco", images=str(folder / "images"), annotations=annotations)


def tfrecord_settings(path: str | list[str]) -> tfrecord.TFRecordSettings:
    return tfrecord.TFRecordSettings(format="tfrecord", path=path)


def voc_settings(folder: Path) -> voc.VocSettings:
    return voc.VocSettings(format="voc", images=str(folder), annotations=str(folder / "*.xml"))


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
