"""How far heatmaps by a model and its controls keep to the boxes, and how alike they are for two classes."""

from collections.abc import Iterator

import numpy as np

from transforms.geometry import Floats
from transforms.health import HealthMaps, HealthScore
from transforms.measure.ground import Allowed, layout_of
from transforms.measure.localization import Layout, density_share, status_of


def health_score(maps: HealthMaps, allowed: Allowed) -> Iterator[HealthScore]:
    """Measures the heatmaps of one image; nothing where its boxes leave nothing to measure.

    Args:
        maps: of the image.
        allowed: context that is neither inside nor outside.
    """
    layout = layout_of(maps.scene, allowed)
    trained = _heatmap(maps, maps.trained)
    if status_of(trained, layout) in ("no_box", "full_box"):
        return
    yield HealthScore(
        model=maps.model,
        example_id=maps.example_id,
        source=maps.source,
        position=maps.position,
        trained=_share(trained, layout),
        has_head=maps.head is not None,
        head=None if maps.head is None else _share(_heatmap(maps, maps.head), layout),
        networks=[_share(_heatmap(maps, network), layout) for network in maps.networks],
        similarity=None if maps.runner_up is None else similarity(trained, _heatmap(maps, maps.runner_up)),
    )


def similarity(one: Floats, other: Floats) -> float | None:
    """Pearson correlation of two heatmaps; None where one is the same everywhere or not finite."""
    deviations = [heatmap - heatmap.mean() for heatmap in (one, other)]
    norms = [float(np.linalg.norm(deviation)) for deviation in deviations]
    if not np.isfinite(norms).all() or min(norms) == 0:
        return None
    return float(np.clip(np.vdot(*deviations) / (norms[0] * norms[1]), -1, 1))


def _heatmap(maps: HealthMaps, data: bytes) -> Floats:
    return np.frombuffer(data, "<f4").reshape(maps.map_height, maps.map_width).astype(np.float64)


def _share(heatmap: Floats, layout: Layout) -> float | None:
    if status_of(heatmap, layout) != "ok":
        return None
    inside, _, total = layout.masses(heatmap)
    return density_share(min(1.0, max(0.0, inside / total)), layout.box_area)
