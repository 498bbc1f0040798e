"""One small data set in every format, under the paths that docs/formats.md shows.

Photo `a` of 40 x 20 pixels holds a cat and a dog, photo `b` of 20 x 40 a cat.
"""

import csv
import io
import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from .builders import encode, make_image

SIZES = {"a": (40, 20), "b": (20, 40)}
Boxes = Sequence[tuple[str, tuple[float, float, float, float]]]
BOXES: Mapping[str, Boxes] = {
    "a": [("cat", (4.0, 2.0, 20.0, 10.0)), ("dog", (10.0, 5.0, 30.0, 15.0))],
    "b": [("cat", (5.0, 10.0, 15.0, 40.0))],
}
CLASSES = ["cat", "dog"]
SITES = {"a": "north", "b": "south"}


def photo(key: str, kind: str = "JPEG") -> bytes:
    width, height = SIZES[key]
    return encode(make_image(width=width, height=height, seed=ord(key)), kind=kind)


def write_photos(folder: Path) -> None:
    folder.mkdir(parents=True)
    for key in SIZES:
        (folder / f"{key}.jpg").write_bytes(photo(key))


def shares(key: str, edges: Sequence[float]) -> tuple[float, ...]:
    return tuple(edge / size for edge, size in zip(edges, SIZES[key] * 2, strict=True))


def objects(key: str) -> dict[str, Any]:
    """The boxes as COCO has them, in columns, with class numbers."""
    boxes = [[x, y, right - x, bottom - y] for _, (x, y, right, bottom) in BOXES[key]]
    return {"bbox": boxes, "category": [CLASSES.index(name) for name, _ in BOXES[key]]}


def coco(root: Path) -> None:
    write_photos(root / "photos")
    numbered = [(key, box, name) for key in SIZES for name, box in BOXES[key]]
    document = {
        "images": [{"id": key, "file_name": f"{key}.jpg", "site": SITES[key]} for key in SIZES],
        "categories": [{"id": number, "name": name} for number, name in enumerate(CLASSES)],
        "annotations": [
            {"id": n, "image_id": key, "category_id": CLASSES.index(name), "bbox": [x, y, r - x, b - y]}
            for n, (key, (x, y, r, b), name) in enumerate(numbered)
        ],
    }
    (root / "instances.json").write_text(json.dumps(document))


def voc(root: Path) -> None:
    write_photos(root / "JPEGImages")
    (root / "Annotations").mkdir()
    for key in SIZES:
        found = "".join(
            f"<object><name>{name}</name><bndbox><xmin>{x + 1:.0f}</xmin><ymin>{y + 1:.0f}</ymin>"
            f"<xmax>{r:.0f}</xmax><ymax>{b:.0f}</ymax></bndbox></object>"
            for name, (x, y, r, b) in BOXES[key]
        )
        text = f"<annotation><filename>{key}.jpg</filename><site>{SITES[key]}</site>{found}</annotation>"
        (root / "Annotations" / f"{key}.xml").write_text(text)


def imagenet(root: Path) -> None:
    voc(root)
    (root / "JPEGImages").rename(root / "images")
    (root / "images/train").mkdir()
    for key in SIZES:
        (root / "images" / f"{key}.jpg").rename(root / "images/train" / f"{key}.jpg")
        path = root / "Annotations" / f"{key}.xml"
        text = (
            path.read_text().replace(".jpg<", "<").replace("<filename>", "<folder>train</folder><filename>")
        )
        path.write_text(text.replace("<xmax>", "<xmax> ").replace("</ymin>", ",0</ymin>"))


def table() -> list[dict[str, Any]]:
    return [
        dict(zip(("file", "kind", "left", "top", "right", "bottom", "site"), row, strict=True))
        for key in SIZES
        for row in [(f"{key}.jpg", name, *edges, SITES[key]) for name, edges in BOXES[key]]
    ]


def csv_boxes(root: Path) -> None:
    write_photos(root / "photos")
    with (root / "boxes.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table()[0]))
        writer.writeheader()
        writer.writerows(table())


def parquet_boxes(root: Path) -> None:
    write_photos(root / "photos")
    pq.write_table(pa.Table.from_pylist(table()), root / "boxes.parquet")


def openimages(root: Path) -> None:
    write_photos(root / "photos")
    lines = ["ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsGroupOf,site"]
    for key in SIZES:
        for name, edges in BOXES[key]:
            x, y, r, b = shares(key, edges)
            lines.append(f"{key},x,/m/0{CLASSES.index(name)},1,{x},{r},{y},{b},0,{SITES[key]}")
    (root / "train-bbox.csv").write_text("\n".join(lines))
    (root / "classes.csv").write_text("/m/00,cat\n/m/01,dog\n")


def yolo(root: Path) -> None:
    write_photos(root / "images/train")
    (root / "labels/train").mkdir(parents=True)
    for key in SIZES:
        lines = []
        for name, edges in BOXES[key]:
            x, y, r, b = shares(key, edges)
            lines.append(f"{CLASSES.index(name)} {(x + r) / 2} {(y + b) / 2} {r - x} {b - y}")
        (root / "labels/train" / f"{key}.txt").write_text("\n".join(lines))
    (root / "data.yaml").write_text("path: .\nnames: [cat, dog]\n")


def labelme(root: Path) -> None:
    write_photos(root / "photos")
    for key in SIZES:
        shapes = [
            {"label": name, "points": [[x, y], [r, b]], "shape_type": "rectangle"}
            for name, (x, y, r, b) in BOXES[key]
        ]
        document = {"imagePath": f"..\\photos\\{key}.jpg", "shapes": shapes, "site": SITES[key]}
        (root / "photos" / f"{key}.json").write_text(json.dumps(document))


def cvat(root: Path) -> None:
    write_photos(root / "photos")
    lines = ["<annotations>"]
    for key in SIZES:
        lines.append(f'<image name="{key}.jpg" site="{SITES[key]}">')
        for name, (x, y, r, b) in BOXES[key]:
            lines.append(f'<box label="{name}" xtl="{x}" ytl="{y}" xbr="{r}" ybr="{b}"/>')
        lines.append("</image>")
    (root / "annotations.xml").write_text("\n".join([*lines, "</annotations>"]))


def parquet(root: Path) -> None:
    rows = [
        {"image": {"bytes": photo(key), "path": f"{key}.jpg"}, "objects": objects(key), "site": SITES[key]}
        for key in SIZES
    ]
    names = {"names": CLASSES, "_type": "ClassLabel"}
    features = {"objects": {"category": {"feature": names, "_type": "Sequence"}}}
    note = {"huggingface": json.dumps({"info": {"features": features}})}
    (root / "data").mkdir()
    found = pa.Table.from_pylist(rows).replace_schema_metadata(note)
    pq.write_table(found, root / "data/train-00000-of-00001.parquet")


def webdataset(root: Path) -> None:
    with tarfile.open(root / "shard-000000.tar", "w") as archive:
        for key in SIZES:
            record = {"objects": objects(key), "site": SITES[key], "file_name": f"{key}.jpg"}
            for name, data in ((f"{key}.jpg", photo(key)), (f"{key}.json", json.dumps(record).encode())):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    (root / "classes.txt").write_text("cat\ndog\n")


def message(features: Mapping[str, Sequence[Any]]) -> bytes:
    """A serialised `tf.train.Example`."""

    def feature(values: Sequence[Any]) -> Any:
        if values and isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if values and isinstance(values[0], int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    found = {name: feature(list(values)) for name, values in features.items()}
    return tf.train.Example(features=tf.train.Features(feature=found)).SerializeToString()


def tfrecord(root: Path, text: str = "image/object/class/text") -> None:
    with tf.io.TFRecordWriter(str(root / "train-00000-of-00001.tfrecord")) as writer:
        for key in SIZES:
            edges = [shares(key, box) for _, box in BOXES[key]]
            corners = zip(("xmin", "ymin", "xmax", "ymax"), zip(*edges, strict=True), strict=True)
            features = {
                "image/encoded": [photo(key)],
                "image/filename": [f"{key}.jpg".encode()],
                "site": [SITES[key].encode()],
                text: [name.encode() for name, _ in BOXES[key]],
                **{f"image/object/bbox/{edge}": values for edge, values in corners},
            }
            writer.write(message(features))


def ssd(root: Path) -> None:
    tfrecord(root, "image/object/bbox/label_text")


def tfds(root: Path) -> None:
    """What the library makes of images, their names, sites and objects, but for its record of the whole."""
    with tf.io.TFRecordWriter(str(root / "pets-train.tfrecord-00000-of-00001")) as writer:
        for key in SIZES:
            flat = [shares(key, edges)[at] for _, edges in BOXES[key] for at in (1, 0, 3, 2)]
            numbers = [CLASSES.index(name) for name, _ in BOXES[key]]
            features = {
                "image": [photo(key)],
                "image/filename": [f"{key}.jpg".encode()],
                "site": [SITES[key].encode()],
                "objects/bbox": flat,
                "objects/label": numbers,
            }
            writer.write(message(features))
    (root / "objects-label.labels.txt").write_text("cat\ndog\n")


def tfds_directory(root: Path) -> None:
    pytest.importorskip("tensorflow_datasets", reason="format tfds needs the extra tfds")
    (root / "pets/1.0.0").mkdir(parents=True)
    tfds(root / "pets/1.0.0")
    (root / "pets/1.0.0/features.json").write_text(json.dumps(_feature("features_dict.FeaturesDict", TFDS)))


def _feature(kind: str, content: dict[str, Any]) -> dict[str, Any]:
    """A feature as `features.json` declares it."""
    return {"pythonClassName": f"tensorflow_datasets.core.features.{kind}", **content}


_TEXT = _feature("text_feature.Text", {"text": {}})
_OBJECT = {
    "bbox": _feature(
        "bounding_boxes.BBoxFeature",
        {"boundingBox": {"bboxFormat": "REL_YXYX", "dtype": "float32", "shape": {"dimensions": ["4"]}}},
    ),
    "label": _feature("class_label_feature.ClassLabel", {"classLabel": {"numClasses": "2"}}),
}
_OBJECTS = {
    "length": "-1",
    "feature": _feature("features_dict.FeaturesDict", {"featuresDict": {"features": _OBJECT}}),
}
TFDS = {
    "featuresDict": {
        "features": {
            "image": _feature(
                "image_feature.Image",
                {"image": {"dtype": "uint8", "shape": {"dimensions": ["-1", "-1", "3"]}}},
            ),
            "image/filename": _TEXT,
            "site": _TEXT,
            "objects": _feature("sequence_feature.Sequence", {"sequence": _OBJECTS}),
        }
    }
}


# The title of the section of docs/formats.md -> what writes the data that it shows.
WRITERS: Mapping[str, Callable[[Path], None]] = {
    "COCO": coco,
    "PASCAL VOC": voc,
    "ImageNet": imagenet,
    "CSV": csv_boxes,
    "Parquet of boxes": parquet_boxes,
    "Open Images": openimages,
    "YOLO": yolo,
    "LabelMe": labelme,
    "CVAT": cvat,
    "Parquet with images (Hugging Face)": parquet,
    "WebDataset": webdataset,
    "TFRecord": tfrecord,
    "SSD-TensorFlow": ssd,
    "TensorFlow Datasets": tfds,
    "TensorFlow Datasets, by their library": tfds_directory,
}
