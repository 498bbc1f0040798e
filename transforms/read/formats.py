"""The dataset formats: what each takes from the config, and how it reads one file.

To add a format, write a module like `voc.py` and register it in `FORMATS`.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from transforms.read import (
    coco,
    csv_boxes,
    cvat,
    labelme,
    openimages,
    parquet,
    parquet_boxes,
    tfds,
    tfrecord,
    voc,
    webdataset,
    yolo,
)
from transforms.read.common import Bad, Source
from transforms.read.settings import DataSettings
from transforms.records import Example


@dataclasses.dataclass(frozen=True)
class Format:
    """One dataset format.

    Attributes:
        settings: its keys in the config, with the literal `format`.
        read: reads one open file into examples; raises DataError where the file is of another format.
        files_a_shard: how many files make a shard; more than one where a file is one small record.
    """

    settings: type[DataSettings]
    read: Callable[[BinaryIO, Source, Any], Iterator[Example | Bad]]
    files_a_shard: int = 1


FORMATS: dict[str, Format] = {
    "coco": Format(coco.CocoSettings, coco.read),
    "tfrecord": Format(tfrecord.TFRecordSettings, tfrecord.read),
    "voc": Format(voc.VocSettings, voc.read, files_a_shard=500),
    "csv": Format(csv_boxes.CsvSettings, csv_boxes.read),
    "parquet_boxes": Format(parquet_boxes.ParquetBoxesSettings, parquet_boxes.read),
    "parquet": Format(parquet.ParquetSettings, parquet.read),
    "webdataset": Format(webdataset.WebDatasetSettings, webdataset.read),
    "tfds": Format(tfds.TfdsSettings, tfds.read),
    "openimages": Format(openimages.OpenImagesSettings, openimages.read),
    "yolo": Format(yolo.YoloSettings, yolo.read, files_a_shard=500),
    "labelme": Format(labelme.LabelmeSettings, labelme.read, files_a_shard=500),
    "cvat": Format(cvat.CvatSettings, cvat.read),
}
