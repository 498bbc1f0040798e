"""Every Hypothesis strategy of the tests, and the brute-force oracles that more than one test asks."""

import dataclasses
from collections.abc import Iterable, Sequence

import hypothesis
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st
from numpy.typing import NDArray

from transforms.geometry import Floats, Rectangle, View, plan_view
from transforms.judge.clusters import ClusterKey, ClusterShares, clustered
from transforms.judge.groups import groups_of
from transforms.judge.statistics import STATUSES, Tally
from transforms.records import Company, Group, Outside, Score
from transforms.regions import REGIONS

from .builders import make_score

# A slow machine is no failed test.
hypothesis.settings.register_profile("audit", deadline=None)
hypothesis.settings.load_profile("audit")

view_sizes = st.integers(1, 64)
map_sizes = st.integers(1, 12)
image_sizes = st.integers(1, 2000)
shares = st.integers(0, 256).map(lambda edge: edge / 256) | st.floats(0, 1)
heat = st.just(0.0) | st.floats(2**-10, 2**10)

planned_views = st.builds(
    plan_view,
    image_sizes,
    image_sizes,
    view_sizes,
    view_sizes,
    st.sampled_from(["stretch", "center_crop", "letterbox"]),
    st.floats(0.1, 1),
)


def heatmaps() -> st.SearchStrategy[Floats]:
    """Maps of 1 to 12 cells a side, float64, not negative, with some heat somewhere."""
    shapes = st.tuples(map_sizes, map_sizes)
    return np_st.arrays(np.float64, shapes, elements=heat).filter(lambda heatmap: bool(heatmap.any()))


@st.composite
def views(draw: st.DrawFn) -> View:
    """Views of 1 to 64 pixels a side; the picture fills them, or leaves padding on any side."""
    width, height = draw(view_sizes), draw(view_sizes)
    padded = draw(st.booleans())
    left, right = draw(spans(width)) if padded else (0, width)
    top, bottom = draw(spans(height)) if padded else (0, height)
    source = (0.0, 0.0, float(draw(image_sizes)), float(draw(image_sizes)))
    return View(width, height, source, (float(left), float(top), float(right), float(bottom)))


def spans(size: int) -> st.SearchStrategy[tuple[int, int]]:
    """Whole pixels [start, end) inside [0, size), at least one."""
    starts = st.integers(0, size - 1)
    return starts.flatmap(lambda start: st.tuples(st.just(start), st.integers(start + 1, size)))


@st.composite
def boxes(draw: st.DrawFn, width: int = 64, height: int = 64) -> Rectangle:
    """Boxes that begin and end at quarters of a pixel, in a picture and up to two pixels around it."""

    def edges(size: int) -> st.SearchStrategy[list[int]]:
        return st.lists(st.integers(-8, 4 * size + 8), min_size=2, max_size=2, unique=True).map(sorted)

    (xmin, xmax), (ymin, ymax) = draw(edges(width)), draw(edges(height))
    return xmin / 4, ymin / 4, xmax / 4, ymax / 4


@st.composite
def scenes(draw: st.DrawFn) -> tuple[View, list[Rectangle], list[Rectangle]]:
    """A view, one to three target boxes and up to two other boxes in view pixels, not clipped."""
    view = draw(views())
    around = boxes(view.width, view.height)
    return view, draw(st.lists(around, min_size=1, max_size=3)), draw(st.lists(around, max_size=2))


@st.composite
def outsides(draw: st.DrawFn) -> Outside:
    """Heat outside the boxes of any picture, with or without a single box, and up to two companions."""

    def values(size: int) -> bytes:
        seed = draw(st.integers(0, 2**16))
        drawn = np.random.default_rng(seed).uniform(0, 1, size) ** 4
        return (drawn / max(1.0, drawn.sum())).tobytes()

    boxed = draw(st.booleans())
    return Outside(
        picture_heat=values(256),
        picture_area=values(256),
        box_heat=values(576) if boxed else b"",
        box_area=values(576) if boxed else b"",
        distance_heat=values(8),
        distance_area=values(8),
        company=[Company(name, draw(shares), draw(shares)) for name in draw(st.sets(st.sampled_from("ab")))],
    )


@st.composite
def scores(draw: st.DrawFn) -> Score:
    """Scores of every status; the measures of those with status `ok` are drawn."""
    score = make_score(
        status=draw(st.sampled_from(STATUSES)),
        density_share=draw(shares),
        correct=draw(st.none() | st.booleans()),
    )
    if score.status != "ok":
        return score
    return dataclasses.replace(
        score,
        box_area=draw(shares),
        energy_in_box=draw(shares),
        peak_in_box=draw(st.booleans()),
        rank_accuracy=draw(st.none() | shares),
        energy_in_other_boxes=draw(shares),
        energy_by_region=[draw(shares)] * len(REGIONS),
        outside=draw(st.none() | outsides()),
    )


def tally_of(of_scores: Iterable[Score]) -> Tally:
    """The tally of scores, one after the other."""
    tally = Tally.zero()
    for score in of_scores:
        tally.add(score)
    return tally


def tallies_of(of_scores: Iterable[Score]) -> dict[Group, Tally]:
    """The direct loop that the pipeline must equal: every score added to its groups, then its cluster."""
    by_group: dict[Group, Tally] = {}
    of_clusters: dict[ClusterKey, ClusterShares] = {}
    for score in of_scores:
        for group in groups_of(score):
            by_group.setdefault(group, Tally.zero()).add(score)
        for key, member in clustered(score):
            of_clusters.setdefault(key, ClusterShares.zero()).add(member)
    for (group, _), shares_ in of_clusters.items():
        for own, unit in shares_.units(group):
            by_group[own] += unit
    return by_group


def tallies() -> st.SearchStrategy[Tally]:
    """Tallies of up to 8 scores."""
    return st.lists(scores(), max_size=8).map(tally_of)


def contents(tally: Tally) -> tuple[list[int], list[int], list[int]]:
    """A tally as plain lists, for strict equality."""
    return tally.numbers.tolist(), tally.histogram.tolist(), tally.heat.numbers.tolist()


def histograms(max_count: int = 40) -> st.SearchStrategy[NDArray[np.int64]]:
    """Histograms of 1 to `max_count` values over 256 bins."""
    values = st.lists(st.integers(0, 255), min_size=1, max_size=max_count)
    return values.map(lambda filled: np.bincount(filled, minlength=256))


def upsampled(heatmap: Floats, width: int, height: int) -> Floats:
    """The oracle of bilinear half-pixel upsampling: NumPy's interpolation along one axis, then the other."""

    def along(signal: Floats, outputs: int) -> Floats:
        cells = len(signal)
        return np.interp((np.arange(outputs) + 0.5) * cells / outputs - 0.5, np.arange(cells), signal)

    return np.apply_along_axis(along, 0, np.apply_along_axis(along, 1, heatmap, width), height)


def inside_any(boxes_: Sequence[Rectangle], width: int, height: int, parts: int) -> NDArray[np.bool_]:
    """The oracle of union: which of `parts` x `parts` dots in every pixel lie in any box.

    Returns:
        Shape (height * parts, width * parts); exact where edges stand at multiples of 1 / `parts`.
    """
    x = (np.arange(width * parts) + 0.5) / parts
    y = ((np.arange(height * parts) + 0.5) / parts)[:, None]
    inside = np.zeros((height * parts, width * parts), dtype=bool)
    for xmin, ymin, xmax, ymax in boxes_:
        inside |= (xmin <= x) & (x < xmax) & (ymin <= y) & (y < ymax)
    return inside
