"""Small files to be listed and read, and the settings that read them."""

from pathlib import Path

import tensorflow as tf

from transforms.read import coco, tfrecord, voc


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
