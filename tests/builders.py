"""Everything the tests are made of: records, images, data sets, models. Keyword-only, small defaults."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from transforms.health import HealthScore
from transforms.judge.settings import JudgeSettings
from transforms.records import Box, Company, Example, Explanation, Group, Outside, Score, Slice, Swap
from transforms.regions import REGIONS
from transforms.write.settings import ReportSettings


def make_image(*, width: int = 16, height: int = 16, seed: int = 0) -> NDArray[np.uint8]:
    """Random pixels, uint8 of shape (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def encode(pixels: NDArray[np.uint8], *, kind: str = "PNG") -> bytes:
    """An image file; PNG keeps the pixels exactly."""
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def make_example(
    *,
    example_id: str = "a.png",
    source: str = "set.json",
    position: int = 0,
    shard: str = "00000",
    image: bytes | None = None,
    boxes: Sequence[Box] = (Box("cat", 2.0, 2.0, 10.0, 10.0),),
    labels: Sequence[str] = (),
    relative: bool = False,
    slices: Mapping[str, str] | None = None,
) -> Example:
    return Example(
        example_id=example_id,
        source=source,
        position=position,
        shard=shard,
        image=encode(make_image()) if image is None else image,
        image_path="",
        boxes=list(boxes),
        labels=list(labels),
        relative=relative,
        slices=[Slice(key, value) for key, value in (slices or {}).items()],
    )


def make_explanation(
    *,
    heatmap: Sequence[Sequence[float]] = ((1.0, 0.0), (0.0, 0.0)),
    target_boxes: Sequence[Box] = (Box("cat", 0.0, 0.0, 4.0, 4.0),),
    other_boxes: Sequence[Box] = (),
    size: int = 8,
    target_class: int | None = 0,
    target_rule: str = "annotated",
    methods: Sequence[str] = ("gradcam",),
) -> Explanation:
    """An explanation whose methods all have the same heatmap, in a square view of `size` pixels."""
    values = np.asarray(heatmap, "<f4")
    return Explanation(
        example_id="a.png",
        source="set.json",
        position=0,
        shard="00000",
        model="m",
        target_layer="last",
        target_rule=target_rule,
        target_class=target_class,
        target_name="cat" if target_class is not None else None,
        predicted_class=0,
        predicted_name="cat",
        target_logit=1.0,
        target_probability=0.5,
        correct=True,
        view_width=size,
        view_height=size,
        content=[0.0, 0.0, float(size), float(size)],
        target_boxes=list(target_boxes),
        other_boxes=list(other_boxes),
        methods=list(methods),
        heatmaps=[values.tobytes() for _ in methods],
        map_height=values.shape[0],
        map_width=values.shape[1],
        slices=[],
        cluster=None,
    )


def make_score(
    *,
    density_share: float | None = 0.75,
    status: str = "ok",
    model: str = "m",
    method: str = "hirescam",
    example_id: str = "a.png",
    source: str = "set.json",
    position: int = 0,
    target_name: str | None = "cat",
    target_rule: str = "annotated",
    correct: bool | None = True,
    slices: Mapping[str, str] | None = None,
    outside: Outside | None = None,
    cluster: str | None = None,
) -> Score:
    """A score; without status `ok` its measures are None, as they must be."""
    measured = status == "ok"
    return Score(
        model=model,
        example_id=example_id,
        source=source,
        method=method,
        target_layer="last",
        target_rule=target_rule,
        target_class=0,
        target_name=target_name,
        predicted_class=0,
        predicted_name="cat",
        target_logit=1.0,
        target_probability=0.5,
        correct=correct,
        status=status,
        box_count=1,
        box_area=0.25,
        energy_in_box=0.5 if measured else None,
        density_share=density_share if measured else None,
        peak_in_box=True if measured else None,
        rank_accuracy=0.5 if measured else None,
        energy_in_other_boxes=0.0 if measured else None,
        energy_by_region=[0.1] * len(REGIONS) if measured else None,
        swap_gap=None,
        residual=None,
        cluster=cluster,
        map_height=1,
        map_width=1,
        heatmap=np.float32([1.0]).tobytes(),
        slices=[Slice(key, value) for key, value in (slices or {}).items()],
        position=position,
        shard="00000",
        other_background_probability=None,
        donor_class=None,
        scene=None,
        outside=outside if measured else None,
    )


def make_outside(
    *,
    cells: Mapping[tuple[int, int], float],
    area: float = 0.75,
    box_cells: Mapping[tuple[int, int], float] | None = None,
    distances: Sequence[float] = (),
    company: Sequence[Company] = (),
) -> Outside:
    """Heat outside the boxes of a picture of which every cell is outside by `area`.

    Args:
        cells: (row, column) of the picture's 16 x 16 cells -> share of the heat; none elsewhere.
        area: share of each cell, of the 24 x 24 cells around the box and of all distances alike.
        box_cells: likewise around the box; None where there are several boxes.
        distances: share of the heat at each of the 8 distances; default: all in the last.
        company: other annotated classes.
    """

    def grid(size: int, heats: Mapping[tuple[int, int], float]) -> bytes:
        values = np.zeros((size, size))
        for place, share in heats.items():
            values[place] = share
        return values.tobytes()

    by_distance = list(distances) or [0.0] * 7 + [sum(cells.values())]
    return Outside(
        picture_heat=grid(16, cells),
        picture_area=np.full(256, area).tobytes(),
        box_heat=b"" if box_cells is None else grid(24, box_cells),
        box_area=b"" if box_cells is None else np.full(576, area).tobytes(),
        distance_heat=np.array(by_distance).tobytes(),
        distance_area=np.full(8, area / 8).tobytes(),
        company=list(company),
    )


def make_swap(
    *,
    model: str = "m",
    class_name: str = "cat",
    example_id: str = "a.png",
    donor_class: str = "dog",
    gap: float = 0.0,
    own: float = 0.5,
    other: float = 0.5,
    residual: float = 0.5,
    slices: Mapping[str, str] | None = None,
    cluster: str | None = None,
) -> Swap:
    return Swap(
        model=model,
        class_name=class_name,
        example_id=example_id,
        source="set.json",
        position=0,
        donor_class=donor_class,
        gap=gap,
        own=own,
        other=other,
        residual=residual,
        slices=[Slice(key, value) for key, value in (slices or {}).items()],
        cluster=cluster,
        same_id="same.png",
        other_id="other.png",
    )


def make_health_score(
    *,
    trained: float | None = 0.85,
    head: float | None = 0.5,
    networks: Sequence[float | None] = (0.5, 0.5, 0.5),
    similarity: float | None = None,
    has_head: bool = True,
    model: str = "m",
) -> HealthScore:
    kept = head if has_head else None
    return HealthScore(model, "a.png", "set.json", 0, trained, has_head, kept, list(networks), similarity)


def make_details(*models: str, report: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What a manifest says before its run starts; of one model `m` unless others are named."""
    return {
        "tool": {"name": "gradcam-audit", "version": "9.9"},
        "libraries": {"numpy": "2.0"},
        "python": "3.11",
        "devices": ["CPU:0"],
        "runner": "FnApiRunner",
        "limit": None,
        "config": {
            "name": "test",
            "data": {"max_bad_fraction": 0.01},
            "judge": JudgeSettings().model_dump(mode="json"),
            "report": ReportSettings(**(report or {})).model_dump(mode="json"),
        },
        "config_sha256": "abc",
        "verdict_method": "hirescam",
        "models": [
            {
                "name": model,
                "path": f"{model}.keras",
                "sha256": "0123",
                "input_size": [8, 8],
                "target_layer": "last",
                "map_size": [2, 2],
                "layers": [{"name": "last", "map_size": [2, 2], "separates": True}],
                "logits_tensor": "logits",
                "head": "softmax",
                "classes": 3,
            }
            for model in models or ("m",)
        ],
        "data": {"format": "coco", "files": 1, "shards": 1, "bytes": 10, "listing_sha256": "4567"},
    }


def make_group(
    *,
    kind: str = "class",
    class_name: str | None = "cat",
    slice_key: str | None = None,
    slice_value: str | None = None,
    model: str = "m",
) -> Group:
    return Group(model, "hirescam", "last", kind, class_name, slice_key, slice_value)


def save_model(
    path: Path,
    *,
    size: int = 16,
    classes: int = 3,
    head: str = "gap",
    activation: str | None = "softmax",
    seed: int = 0,
    name: str = "tiny",
) -> Path:
    """A tiny random CNN with BatchNormalization, saved as .keras; heads `gap` or `flat`.

    Its last feature map is the output of the layer `last`, of shape (size / 4, size / 4, 6).
    """
    import keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    inputs = layers.Input((size, size, 3))
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescaling")(inputs)
    x = layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False, name="first")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.ReLU(name="middle")(x)
    x = layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="last")(x)
    if head == "gap":
        x = layers.GlobalAveragePooling2D()(x)
    else:
        x = layers.Flatten()(x)
        x = layers.Dense(8, activation="relu")(x)
    model = keras.Model(inputs, layers.Dense(classes, activation=activation, name="scores")(x), name=name)
    random = np.random.default_rng(seed)
    norm = model.get_layer("norm")
    norm.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in norm.get_weights()])
    model.save(path)
    return path


def write_coco(
    folder: Path,
    *,
    images: Mapping[str, bytes],
    boxes: Mapping[str, Sequence[tuple[str, Sequence[float]]]],
    fields: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """A COCO data set: `folder/images/*` and `folder/set.json`.

    Args:
        folder: where to write; made if missing.
        images: file name -> bytes.
        boxes: file name -> (class name, [x, y, width, height]) of each box.
        fields: file name -> extra fields of the image's entry.

    Returns:
        The annotation file.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for file_name, data in images.items():
        (folder / "images" / file_name).write_bytes(data)
    names = sorted({name for of_image in boxes.values() for name, _ in of_image})
    ids = {file_name: index for index, file_name in enumerate(images)}
    document = {
        "images": [
            {"id": index, "file_name": file_name, **(fields or {}).get(file_name, {})}
            for file_name, index in ids.items()
        ],
        "categories": [{"id": index, "name": name} for index, name in enumerate(names)],
        "annotations": [
            {"id": number, "image_id": ids[file_name], "category_id": names.index(name), "bbox": list(bbox)}
            for number, (file_name, name, bbox) in enumerate(
                (file_name, name, bbox) for file_name, of_image in boxes.items() for name, bbox in of_image
            )
        ],
    }
    path = folder / "set.json"
    path.write_text(json.dumps(document))
    return path


def make_transformer(
    *, pool: str = "class", grid: int = 4, dim: int = 12, blocks: int = 2, patches: str = "convolution"
) -> Any:
    """A tiny vision transformer on images of 4 * grid pixels; `norm1` stands before its last attention.

    Args:
        pool: what the head reads: `class`, a class token that stands first, or `mean`, all tokens.
        grid: rows and columns of tokens.
        dim: channels.
        blocks: transformer blocks; only layers of the last have names.
        patches: how the image becomes tokens: by `convolution`, or by a `reshape` of the image itself.
    """
    import keras

    keras.utils.set_random_seed(0)
    layers, size = keras.layers, 4 * grid
    inputs = keras.Input((size, size, 3))
    if patches == "convolution":
        x = layers.Conv2D(dim, 4, strides=4)(inputs)
        x = layers.Reshape((grid * grid, dim), name="tokens")(x)
    else:
        x = layers.Reshape((grid, 4, grid, 4, 3))(inputs)
        x = layers.Permute((1, 3, 2, 4, 5))(x)
        x = layers.Dense(dim, name="tokens")(layers.Reshape((grid * grid, 48))(x))
    if pool == "class":
        token = layers.Dense(dim, name="class_token")(keras.ops.zeros_like(x[:, :1, :]))
        x = layers.Concatenate(axis=1)([token, x])
    for block in reversed(range(blocks)):
        last = block == 0
        y = layers.LayerNormalization(name="norm1" if last else None)(x)
        x = layers.Add(name="attended" if last else None)([x, layers.MultiHeadAttention(2, dim // 2)(y, y)])
        y = layers.Dense(2 * dim, activation="gelu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(dim)(y)])
    x = layers.LayerNormalization(name="final")(x)
    x = x[:, 0] if pool == "class" else layers.GlobalAveragePooling1D()(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="scores")(x))
