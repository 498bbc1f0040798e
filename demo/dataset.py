"""Writes the audit set: pictures and COCO annotations, as a team would hand them to the audit."""

import json
from pathlib import Path
from typing import Any, Final

from PIL import Image

from demo import world

AUDIT_IMAGES_PER_CLASS: Final = 90
AUDIT_SEED: Final = 20_240_607
"""Unlike any training seed, so that the models have seen none of these pictures."""

TAG_SHARE_IN_TAGGED_CLASS: Final = 0.95
TAG_SHARE_ELSEWHERE: Final = 0.02


def write_audit_set(
    folder: Path, *, images_per_class: int = AUDIT_IMAGES_PER_CLASS, seed: int = AUDIT_SEED
) -> None:
    """Draws the audit set and writes it with everything an audit asks for.

    Writes `images/*.jpg`; `annotations.json` (COCO, each image with the extra field `tag`, "yes" or
    "no"); `class_map.json` (category name to class index) and `labels.txt` (a name a line).

    Args:
        folder: made if missing; files of the same name are replaced.
        images_per_class: how many pictures of each class.
        seed: fixes the pictures and which of them carry the tag.
    """
    pictures = world.draw_pictures(images_per_class, seed=seed)
    tagged = world.choose_tagged(
        pictures.labels,
        share_in_tagged_class=TAG_SHARE_IN_TAGGED_CLASS,
        share_elsewhere=TAG_SHARE_ELSEWHERE,
        seed=seed,
    )
    names = [f"{number:04d}.jpg" for number in range(1, len(tagged) + 1)]

    (folder / "images").mkdir(parents=True, exist_ok=True)
    for name, image in zip(names, world.plant_tag(pictures.images, tagged), strict=True):
        # Colour at full resolution keeps the models' view close to the pixels they were trained on.
        Image.fromarray(image).save(folder / "images" / name, quality=95, subsampling=0)
    _write_json(folder / "annotations.json", _coco(names, pictures, tagged.tolist()))
    _write_json(folder / "class_map.json", {name: index for index, name in enumerate(world.CLASSES)})
    (folder / "labels.txt").write_text("\n".join(world.CLASSES) + "\n", encoding="utf-8")


def _coco(names: list[str], pictures: world.Pictures, tagged: list[bool]) -> dict[str, Any]:
    """The COCO document; image, annotation and category ids count from 1, as COCO's own do."""
    size = world.IMAGE_SIZE
    images = [
        {"id": number, "file_name": name, "width": size, "height": size, "tag": "yes" if has_tag else "no"}
        for number, (name, has_tag) in enumerate(zip(names, tagged, strict=True), start=1)
    ]
    annotations = [
        {
            "id": number,
            "image_id": number,
            "category_id": label + 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "area": (x1 - x0) * (y1 - y0),
            "iscrowd": 0,
        }
        for number, (label, (x0, y0, x1, y1)) in enumerate(
            zip(pictures.labels.tolist(), pictures.boxes.tolist(), strict=True), start=1
        )
    ]
    categories = [{"id": index + 1, "name": name} for index, name in enumerate(world.CLASSES)]
    return {"images": images, "annotations": annotations, "categories": categories}


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
