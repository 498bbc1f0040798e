"""TensorFlow Datasets: what the library prepares is read as it was written; skipped where it is not there."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transforms.errors import DataError
from transforms.read import tfds as reader
from transforms.read.common import Bad, Source
from transforms.records import Example

from .builders import encode, make_image

TFDS: Any = pytest.importorskip("tensorflow_datasets", reason="format tfds needs the extra tfds")
SETTINGS = reader.TfdsSettings(format="tfds", path="*", keys={"objects": "faces", "name": "animal"})
PHOTOS = [encode(make_image(seed=seed)) for seed in range(3)]


class Zoo(TFDS.core.GeneratorBasedBuilder):  # type: ignore[misc]
    """Faces with a class, a flag and a mask that nobody asked for; the last photo has none."""

    VERSION = TFDS.core.Version("1.0.0")
    code_path = None  # where checksums of downloads would stand

    def _info(self) -> Any:
        face = {
            "animal": TFDS.features.ClassLabel(names=["cat", "dog"]),
            "bbox": TFDS.features.BBoxFeature(),
            "is_crowd": np.bool_,
        }
        features = {
            "image": TFDS.features.Image(),
            "image/filename": TFDS.features.Text(),
            "label": TFDS.features.ClassLabel(names=["inside", "outside"]),
            "camera": np.int64,
            "segmentation": TFDS.features.Image(shape=(None, None, 1)),
            "faces": TFDS.features.Sequence(face),
        }
        return TFDS.core.DatasetInfo(builder=self, features=TFDS.features.FeaturesDict(features))

    def _split_generators(self, _: Any) -> Any:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[str, dict[str, Any]]]:
        box = TFDS.features.BBox(ymin=0.125, xmin=0.25, ymax=0.5, xmax=0.75)
        for number, photo in enumerate(PHOTOS):
            faces = [
                {"animal": "dog", "bbox": box, "is_crowd": True},
                {"animal": 0, "bbox": box, "is_crowd": False},
            ]
            yield (
                str(number),
                {
                    "image": photo,
                    "image/filename": f"{number}.png",
                    "label": "outside",
                    "camera": number,
                    "segmentation": np.ones((4, 4, 1), np.uint8),
                    "faces": faces[:number] if number < 2 else [],
                },
            )


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", str(folder))
        Zoo(data_dir=str(folder)).download_and_prepare()
    (found,) = folder.glob("**/zoo-train.tfrecord-*")
    return found


def read(shard: Path, slices: Sequence[str] = (), **changes: Any) -> list[Example | Bad]:
    with shard.open("rb") as file:
        settings = SETTINGS.model_copy(update=changes)
        return list(reader.read(file, Source(str(shard), "00000", slices), settings))


def test_what_the_library_prepared_is_read_as_it_was_written(shard: Path) -> None:
    found = {
        record.example_id: record
        for record in read(shard, ["camera", "label"])
        if isinstance(record, Example)
    }

    assert {"0.png", "1.png", "2.png"} == set(found)
    assert PHOTOS == [found[f"{number}.png"].image for number in range(3)]
    (box,) = found["1.png"].boxes
    assert ("dog", 0.25, 0.125, 0.75, 0.5, True) == (
        box.name,
        box.xmin,
        box.ymin,
        box.xmax,
        box.ymax,
        box.ignored,
    )
    assert [["outside"]] * 3 == [found[name].labels for name in found]
    assert [("camera", "1"), ("label", "outside")] == [(s.key, s.value) for s in found["1.png"].slices]
    assert all(example.relative for example in found.values())


def test_images_may_stand_elsewhere(shard: Path) -> None:
    found = read(shard, images="/photos")
    bad = read(shard, images="/photos", keys=SETTINGS.keys.model_copy(update={"id": ("nothing",)}))

    assert {
        ("0.png", b"", "/photos/0.png"),
        ("1.png", b"", "/photos/1.png"),
        ("2.png", b"", "/photos/2.png"),
    } == {(one.example_id, one.image, one.image_path) for one in found if isinstance(one, Example)}
    assert ["none of the features nothing names the image"] * 3 == [
        one.error.message for one in bad if isinstance(one, Bad)
    ]


def test_a_directory_that_does_not_declare_itself_is_an_error(shard: Path, tmp_path: Path) -> None:
    lost = tmp_path / shard.name
    lost.write_bytes(shard.read_bytes())

    with pytest.raises(DataError, match=r"has no features\.json that can be read: "):
        read(lost)


def test_a_record_of_another_kind_costs_itself(shard: Path, tmp_path: Path) -> None:
    import tensorflow as tf

    from .writers import message

    (tmp_path / "features.json").write_bytes((shard.parent / "features.json").read_bytes())
    other = tmp_path / "zoo-train.tfrecord-00000-of-00001"
    with tf.io.TFRecordWriter(str(other)) as writer:
        writer.write(b"\xff\xff")
        writer.write(message({"image": [PHOTOS[0]]}))
    found = read(other)

    assert ["malformed_record"] * 2 == [bad.error.reason for bad in found if isinstance(bad, Bad)]
    assert [True, True] == [
        bad.error.message.split(" bytes ")[1].startswith("are no example as features.json declares it: ")
        for bad in found
        if isinstance(bad, Bad)
    ]
