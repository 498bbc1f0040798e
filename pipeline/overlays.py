"""Photos and a model -> the heatmaps to draw over them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from transforms.errors import DataError, RecordError, UsageError, did_you_mean
from transforms.explain.decode import decode, show
from transforms.explain.engine import Engine
from transforms.explain.settings import PIXEL_METHODS, Preprocess
from transforms.explain.targets import NO_TARGET, find_label
from transforms.geometry import plan_view
from transforms.write.overlay import OverlayRow


def overlays(
    engine: Engine,
    preprocess: Preprocess,
    photos: Mapping[str, bytes],
    *,
    methods: Sequence[str],
    classes: Sequence[str],
    top: int,
    labels: Sequence[str],
) -> list[OverlayRow]:
    """Explains photos, one row for each photo, class and layer.

    Args:
        engine: computes those of the methods that are no pixel methods.
        preprocess: how photos are shown to the model.
        photos: path -> encoded image.
        methods: in the order of the columns.
        classes: class indexes or labels; none for the most likely ones.
        top: how many of the most likely classes.
        labels: name of each class, or none.

    Raises:
        DataError: a photo cannot be decoded.
        UsageError: a class is unknown, or the labels are of another number than the classes.
    """
    if labels and len(labels) != engine.classes:
        raise UsageError(f"--labels names {len(labels)} classes, the model has {engine.classes}")
    chosen = [_class_index(name, labels, engine.classes) for name in classes]
    height, width = engine.input_size
    rows = []
    for path, data in photos.items():
        try:
            image = decode(data)
        except RecordError as error:
            raise DataError(f"image {path!r} cannot be decoded: {error.message}") from error
        view = plan_view(image.width, image.height, width, height, preprocess.resize, preprocess.crop)
        pixels = show(image, view, preprocess.interpolation, preprocess.padding)[None]
        logits = engine(pixels, np.full((1, 1), NO_TARGET, np.int32)).logits
        likely = np.argsort(-logits[0], kind="stable")[:top].tolist()
        targets = np.array([chosen or likely], np.int32)
        found = engine(pixels, targets)
        by_pixel = {}
        if set(methods) & set(PIXEL_METHODS):
            by_pixel = {method: _clipped(maps) for method, maps in engine.pixels(pixels, targets).items()}
        probabilities = engine.probabilities(logits)[0]
        for column, target in enumerate(targets[0].tolist()):
            for layer, maps in found.layers.items():
                name = labels[target] if labels else f"class {target}"
                title = f"{Path(path).name}\n{name} {probabilities[target]:.2f}"
                every = {**maps, **by_pixel}
                rows.append(
                    OverlayRow(
                        photo=np.asarray(image),
                        title=title + (f"\n{layer}" if len(found.layers) > 1 else ""),
                        heatmaps={method: every[method][0, column] for method in methods},
                        extent=view.in_image,
                    )
                )
    return rows


def _clipped(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Maps of pixels without their highest percent, single pixels beside which nothing else would be seen."""
    return np.minimum(maps, np.percentile(maps, 99, axis=(2, 3), keepdims=True)).astype(np.float32)


def _class_index(name: str, labels: Sequence[str], classes: int) -> int:
    index = find_label(name, labels)
    if index is not None:
        return index
    if name.isdecimal() and int(name) < classes:
        return int(name)
    if name.isdecimal() or not labels:
        raise UsageError(
            f"--class {name!r} is no class of the model, which has the classes 0 to {classes - 1}"
        )
    raise UsageError(f"--class {name!r} is no label of the model{did_you_mean(name, labels)}")
