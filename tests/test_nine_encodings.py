"""The same 273 boxes on the same 100 photos, as nine tools write them, through our readers."""

import io
import xml.etree.ElementTree
from collections.abc import Iterable, Mapping
from pathlib import Path

import apache_beam as beam
import PIL.Image
import pytest
from apache_beam.testing.util import assert_that, equal_to

from transforms.read.files.wiring import list_shards
from transforms.read.formats import FORMATS
from transforms.records import Example

from .shards import read_all

ENCODINGS: Mapping[str, Mapping[str, str]] = {
    "PASCAL VOC": {"format": "voc", "annotations": "pascalvoc_format/*.xml"},
    "ImageNet": {"format": "voc", "annotations": "imagenet_format/Annotations/*.xml"},
    "COCO": {"format": "coco", "annotations": "coco_format_v1/instances_default.json"},
    "COCO with polygons": {"format": "coco", "annotations": "coco_format_v2/instances_v2.json"},
    "YOLO": {
        "format": "yolo",
        "annotations": "yolo_format/obj_train_data/*.txt",
        "names": "yolo_format/obj.names",
    },
    "LabelMe": {"format": "labelme", "annotations": "labelme_format/*.json"},
    "CVAT": {"format": "cvat", "annotations": "cvat_format/annotations.xml"},
    "Open Images": {"format": "openimages", "annotations": "openimages_format/all_bounding_boxes.csv"},
    "TFRecord": {
        "format": "tfrecord",
        "path": "tfrecord_format/default.tfrecord",
        "names": "tfrecord_format/label_map.pbtxt",
    },
}


def boxes_of(example: Example) -> list[tuple[str, str, list[float]]]:
    """(photo, class, edges in pixels) of every box."""
    with PIL.Image.open(io.BytesIO(example.image)) as image:
        across, down = image.size if example.relative else (1, 1)
    return [
        (example.example_id, b.name, [b.xmin * across, b.ymin * down, b.xmax * across, b.ymax * down])
        for b in example.boxes
    ]


def truth(voc100: Path) -> list[tuple[str, str, list[float]]]:
    """The same from the VOC files by the standard library alone."""
    found = []
    for path in (voc100 / "gts/pascalvoc_format").glob("*.xml"):
        root = xml.etree.ElementTree.parse(path).getroot()
        for element in root.iter("object"):
            edges = [float(element.findtext(f"bndbox/{e}", "")) for e in ("xmin", "ymin", "xmax", "ymax")]
            found.append((root.findtext("filename", ""), element.findtext("name", ""), edges))
    return ordered(found)


def ordered(boxes: Iterable[tuple[str, str, list[float]]]) -> list[tuple[str, str, list[float]]]:
    return sorted(boxes, key=lambda box: (box[0], box[1], [round(edge) for edge in box[2]]))


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_gives_the_same_273_boxes_to_a_twentieth_of_a_pixel(
    encoding: str, real_data: Path
) -> None:
    voc100, config = real_data / "voc100", ENCODINGS[encoding]
    paths = {key: str(voc100 / "gts" / value) for key, value in config.items() if key != "format"}
    settings = FORMATS[config["format"]].settings.model_validate(
        {"format": config["format"], "images": str(voc100 / "images"), **paths}
    )
    expected = truth(voc100)

    def check(found: list[tuple[str, str, list[float]]]) -> None:
        assert 273 == len(expected) == len(found)
        for (photo, name, edges), box in zip(expected, ordered(found), strict=True):
            assert (photo, name, pytest.approx(edges, abs=0.05)) == box

    with beam.Pipeline("FnApiRunner") as pipeline:
        read = read_all(pipeline, list_shards(settings).shards, settings)
        assert_that(read["examples"] | beam.FlatMap(boxes_of), check, label="boxes")
        assert_that(read["dead_letters"], equal_to([]), label="letters")
