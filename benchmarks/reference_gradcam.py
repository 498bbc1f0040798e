"""What a plain script says of the same photos: one image at a time, GradientTape, upsampled, summed.

It shares no code with the audit. Nothing is batched, frozen or in closed form: the image is resized with
Pillow, the model is rebuilt to return its last feature map, the heatmap is blown up with
`tf.image.resize` and the pixels inside the box are added up. The audit's own figures for the same config
stand beside its own.

    python benchmarks/reference_gradcam.py SHARED_DATA [--annotations body.json]

SHARED_DATA is a folder with `pets/` and `models/` as the tests use it.
"""

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import PIL.Image
import tensorflow as tf
from audits import MODEL, audited, class_map

SIZE = 224


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--annotations", default="body.json")
    arguments = parser.parse_args()
    indexes = json.loads((arguments.data / "pets" / class_map(arguments.annotations)).read_text())
    scores, _ = audited(arguments.data, arguments.annotations)
    ours = {(row["example_id"], row["method"]): row for row in scores if row["status"] == "ok"}
    plain = reference(arguments.data, arguments.annotations, indexes)
    print(f"{arguments.annotations}, {len(plain)} photos with boxes below 95 % of the picture")
    print(f"{'':24}{'plain script':>14}{'audit':>14}{'largest difference':>22}")
    for method in ("gradcam", "hirescam"):
        for measure in ("energy_in_box", "peak_in_box"):
            a = np.array([float(plain[key][method][measure]) for key in sorted(plain)])
            b = np.array([float(ours[key, method][measure]) for key in sorted(plain)])
            print(f"{method + ' ' + measure:24}{a.mean():14.6f}{b.mean():14.6f}{np.abs(a - b).max():22.2g}")


def reference(data: Path, annotations: str, classes: dict[str, list[int]]) -> dict[str, dict[str, Any]]:
    """For each photo with a mapped class: measures of both methods, by brute force."""
    model = keras.models.load_model(data / MODEL, compile=False)
    model.layers[-1].activation = keras.activations.linear
    both = keras.Model(model.inputs, [model.get_layer("out_relu").output, model.outputs[0]])
    document = json.loads((data / "pets" / annotations).read_text())
    names = {category["id"]: category["name"] for category in document["categories"]}
    files = {image["id"]: image["file_name"] for image in document["images"]}
    found = {}
    for annotation in document["annotations"]:
        name = names[annotation["category_id"]]
        if name not in classes:
            continue
        image = PIL.Image.open(data / "pets/images" / files[annotation["image_id"]]).convert("RGB")
        x, y, width, height = annotation["bbox"]
        mask = coverage(y, y + height, image.height)[:, None] * coverage(x, x + width, image.width)
        if mask.mean() >= 0.95:
            continue
        inside = centred(y, y + height, image.height)[:, None] & centred(x, x + width, image.width)
        pixels = np.asarray(image.resize((SIZE, SIZE), PIL.Image.Resampling.BILINEAR), np.float32)
        with tf.GradientTape() as tape:
            activations, logits = both(pixels[None] / 127.5 - 1, training=False)
            indexes = classes[name]
            logit = logits[0, indexes[int(np.argmax(logits.numpy()[0, indexes]))]]
        gradients = tape.gradient(logit, activations)
        maps = {
            "gradcam": tf.nn.relu(tf.reduce_sum(activations * tf.reduce_mean(gradients, (1, 2)), -1)),
            "hirescam": tf.nn.relu(tf.reduce_sum(activations * gradients, -1)),
        }
        found[files[annotation["image_id"]]] = {m: measured(maps[m][0].numpy(), mask, inside) for m in maps}
    return found


def coverage(start: float, stop: float, length: int) -> np.ndarray:
    """Share of each of the view's pixels that [start, stop) of an image axis covers."""
    edges = np.arange(SIZE + 1) * length / SIZE
    return np.clip(np.minimum(edges[1:], stop) - np.maximum(edges[:-1], start), 0, None) * SIZE / length


def centred(start: float, stop: float, length: int) -> np.ndarray:
    """Which of the view's pixels have their centre in [start, stop) of an image axis."""
    centres = (np.arange(SIZE) + 0.5) * length / SIZE
    return (centres >= start) & (centres < stop)


def measured(heatmap: np.ndarray, mask: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """Energy-based pointing game and pointing game on the upsampled map.

    Where the hottest cell lies at the border, upsampling makes it a plateau of tied maxima: at least half
    of it must lie inside.
    """
    upsampled = tf.image.resize(heatmap[..., None], (SIZE, SIZE)).numpy()[..., 0].astype(np.float64)
    tied = upsampled >= upsampled.max() * (1 - 1e-6)
    return {
        "energy_in_box": float((upsampled * mask).sum() / upsampled.sum()),
        "peak_in_box": float(inside[tied].mean() >= 0.5),
    }


if __name__ == "__main__":
    main()
