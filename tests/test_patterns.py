"""Patterns of single maps, and clusters of them that others are assigned to."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from transforms.judge.patterns import Clusters, Maps
from transforms.judge.sightings import Sightings

from .builders import make_outside, make_score


def maps_of(*cells):
    sightings = Sightings()
    for number, of in enumerate(cells):
        outside = make_outside(cells=of)
        sightings.add(make_score(example_id=f"{number}.png", density_share=number / 10, outside=outside))
    return Maps.of(sightings)


def patterns_of(seed, count):
    """Random patterns of length 1 near the four corners of the picture, one of ten without any heat."""
    random = np.random.default_rng(seed)
    heats = random.exponential(0.1, (count, 64))
    heats[np.arange(count), random.choice([0, 7, 56, 63], count)] += 3
    patterns = np.sqrt(heats / heats.sum(axis=1, keepdims=True))
    patterns[random.random(count) < 0.1] = 0
    return patterns


def test_a_pattern_is_where_the_heat_lies_and_not_how_much():
    maps = maps_of({(0, 0): 0.01, (15, 15): 0.03}, {(0, 0): 0.2, (15, 15): 0.6}, {})
    order = [int(name[0]) for name in maps.ids]
    one, other, nothing = (maps.patterns[order.index(number)] for number in range(3))
    expected = np.zeros(64)
    expected[0], expected[63] = 0.5, np.sqrt(0.75)
    assert np.allclose(expected, one, atol=1e-6)
    assert np.allclose(expected, other, atol=1e-6)
    assert not nothing.any()
    assert [number / 10 for number in order] == maps.shares.tolist()


def test_a_part_of_the_maps_has_the_same_rows():
    maps = maps_of(*({(0, column): 0.5} for column in range(6)))
    part = maps[2:5]
    assert (3, maps.ids[2:5]) == (len(part), part.ids)
    assert np.array_equal(maps.patterns[2:5], part.patterns)
    assert np.array_equal(maps.heats[2:5], part.heats)


def test_a_cluster_reaches_as_far_as_its_members_lie_from_the_others():
    # Three on a line, each a unit from the next, and one far away.
    patterns = np.zeros((4, 64))
    patterns[:3, 0] = [10, 11, 12]
    patterns[3, 1] = 1000
    assert 4 == len(Clusters.of(patterns).centres)
    many = np.concatenate([patterns[:3] / 1000 + np.eye(64)[number] for number in range(8)])
    clusters = Clusters.of(many)
    assert 8 == len(clusters.centres)
    # The outer two lie 1.5 units from the middle of the others, of which 0.95 is interpolated.
    assert np.allclose(1.5**2 / 1e6, clusters.reaches)
    centre = clusters.centres[0]
    for away, expected in ((1.4, 0), (1.6, -1)):
        moved = centre.copy()
        moved[0] += away / 1000
        assert expected == clusters.assign(moved[None])[0]


def test_equal_patterns_are_one_cluster():
    patterns = np.repeat(np.sqrt(np.full((2, 64), 1 / 64)) * [[1], [0.9]], 5, axis=0)
    clusters = Clusters.of(patterns)
    assert 2 == len(clusters.centres)
    assert [0] * 5 + [1] * 5 == sorted(clusters.assign(patterns).tolist())


@given(st.integers(0, 99), st.integers(2, 40), st.integers(1, 40))
def test_assigning_equals_a_loop_over_centres(seed, count, more):
    clusters = Clusters.of(patterns_of(seed, count))
    others = patterns_of(seed + 100, more)
    expected = []
    for pattern in others:
        distances = [float(((pattern - centre) ** 2).sum()) for centre in clusters.centres]
        nearest = int(np.argmin(distances))
        near = distances[nearest] <= clusters.reaches[nearest] and pattern.any()
        expected.append(nearest if near else -1)
    assert expected == clusters.assign(others).tolist()
    assert len(clusters.centres) <= 8
