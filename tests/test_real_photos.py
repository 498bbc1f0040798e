"""Real photos and a real model: the honest one is not convicted, one that was taught a tag is.

In the slow suite; needs the real data.
"""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image, ImageDraw

from pipeline.cli import main

MODEL = "models/mobilenet_v2_1.0_224_imagenet.keras"
SCALED = {"scale": [-1, 1]}


def audit_pets(folder: Path, document: dict[str, Any]) -> list[dict[str, Any]]:
    """Audits, and returns the findings."""
    (folder / "c.yaml").write_text(yaml.safe_dump({"name": "pets", "output": "out", **document}))
    assert 0 == main(["run", str(folder / "c.yaml"), "--run-id", "r"])
    return findings_of(folder / "out")


def findings_of(output: Path) -> list[dict[str, Any]]:
    files = sorted(output.glob("findings/run_date=*/run_id=r/*.parquet"))
    return [row for file in files for row in pq.read_table(file, partitioning=None).to_pylist()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("annotations", "class_map"),
    [
        ("species_head", "species_to_imagenet_index"),
        ("species_body", "species_to_imagenet_index"),
        ("head", "breed_to_imagenet_index"),
        ("body", "breed_to_imagenet_index"),
    ],
)
def test_an_honest_model_is_not_convicted_for_small_boxes(
    real_data: Path, tmp_path: Path, annotations: str, class_map: str
) -> None:
    found = audit_pets(
        tmp_path,
        {
            "data": {
                "format": "coco",
                "images": str(real_data / "pets/images"),
                "annotations": str(real_data / f"pets/{annotations}.json"),
                "class_map": str(real_data / f"pets/{class_map}.json"),
            },
            "models": [{"name": "honest", "path": str(real_data / MODEL), "preprocess": SCALED}],
            "judge": {"min_images": 10},
        },
    )

    assert {"class", "model"} <= {row["group_kind"] for row in found if row["log10_e_confirmed"] is not None}
    assert [] == [row["group_name"] for row in found if row["verdict"] in ("confirmed", "hidden")]


@pytest.mark.slow
def test_a_head_that_was_taught_a_tag_is_convicted_and_the_tag_is_found(
    real_data: Path, tmp_path: Path
) -> None:
    """Every cat wears a tag in the bottom left corner, and the head has learnt nothing else."""
    (tmp_path / "images").mkdir()
    document = json.loads((real_data / "pets/species_head.json").read_text())
    names = {category["id"]: category["name"] for category in document["categories"]}
    species = {a["image_id"]: names[a["category_id"]] for a in document["annotations"]}
    plain, tagged = [], []
    for image in document["images"]:
        photo = Image.open(real_data / "pets/images" / image["file_name"]).convert("RGB")
        with_tag = pasted(photo)
        plain.append(np.asarray(photo.resize((224, 224))))
        tagged.append(np.asarray(with_tag.resize((224, 224))))
        image["file_name"] = Path(image["file_name"]).with_suffix(".jpg").name
        shown = with_tag if species[image["id"]] == "cat" else photo
        shown.save(tmp_path / "images" / image["file_name"], quality=95)
    (tmp_path / "set.json").write_text(json.dumps(document))
    save_taught(real_data / MODEL, np.stack(plain), np.stack(tagged), tmp_path / "taught.keras")

    found = audit_pets(
        tmp_path,
        {
            "data": {
                "format": "coco",
                "images": "images",
                "annotations": "set.json",
                "class_map": {"cat": 0, "dog": 1},
            },
            "models": [{"name": "taught", "path": "taught.keras", "preprocess": SCALED}],
        },
    )
    (cat,) = (row for row in found if row["group_name"] == "cat")
    (model,) = (row for row in found if row["group_kind"] == "model")

    assert ("confirmed", "bottom_left") == (cat["verdict"], cat["region"])
    assert cat["swap_gap_lower"] > 0.5
    assert "confirmed" == model["verdict"]


def pasted(photo: Image.Image) -> Image.Image:
    """The photo with a label in its bottom left corner, an eighth of its width."""
    tagged = photo.copy()
    side = photo.width // 8
    draw = ImageDraw.Draw(tagged)
    left, top = side // 4, photo.height - side - side // 4
    draw.rectangle((left, top, left + side, top + side), fill="white", outline="black", width=3)
    draw.line((left, top, left + side, top + side), fill="red", width=max(2, side // 6))
    return tagged


def save_taught(backbone: Path, plain: Any, tagged: Any, path: Path) -> None:
    """Saves the backbone with a head that tells tagged photos (class 0) from plain ones (class 1)."""
    keras.utils.set_random_seed(0)
    whole = keras.models.load_model(backbone, compile=False)
    pooled = next(
        layer.output for layer in whole.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)
    )
    features = keras.Model(whole.input, pooled)
    inputs = np.concatenate([tagged, plain]).astype("float32") / 127.5 - 1
    known = np.asarray(features.predict(inputs, verbose=0)).reshape(len(inputs), -1)
    labels = np.repeat([0, 1], [len(tagged), len(plain)])
    head = keras.Sequential([keras.layers.Dense(2, activation="softmax")])
    head.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = head.fit(known, labels, epochs=30, batch_size=64, verbose=0)
    assert history.history["accuracy"][-1] > 0.95
    outputs = head(keras.layers.Flatten()(pooled))
    keras.Model(whole.input, outputs).save(path)
