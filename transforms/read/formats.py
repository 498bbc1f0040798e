"""The dataset formats: what each takes from the config, and how it reads one file.

To add a format, write a module like `voc.py` and register it in `FORMATS`.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from transforms.read import coco, tfrecord, voc
from transforms.read.common import Bad, Source
from transforms.read.settings import DataSettings
from transforms.records import Example


@dataclasses.dataclass(frozen=True)
class Format:
    """One dataset format.

    Attributes:
        settings: its keys in the config, with the literal `format`.
        read: reads one open file into examples; raises DataError where the file is of another format.
        holds_images: whether the records hold the image bytes, or only name image files.
        files_a_shard: how many files make a shard; more than one where a file is one small record.
    """

    settings: type[DataSettings]
    read: Callable[[BinaryIO, Source, Any], Iterator[Example | Bad]]
    holds_images: bool
    files_a_shard: int = 1


FORMATS: dict[str, Format] = {
    "coco": Format(coco.CocoSettings, coco.read, holds_images=False),
    "tfrecord": Format(tfrecord.TFRecordSettings, tfrecord.read, holds_images=True),
    "voc": Format(voc.VocSettings, voc.read, holds_images=False, files_a_shard=500),
}
