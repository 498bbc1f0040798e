"""The sample of maps: the smallest hashes, one of a cluster, the same in any order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.judge import sightings
from transforms.judge.sightings import Sightings, hash_of

from .builders import make_outside, make_score

MOST = 4


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(sightings, "MOST_MAPS", MOST)


def score_of(number, cluster=None):
    outside = make_outside(cells={(number % 16, 3): 0.25})
    share = number / 100
    return make_score(example_id=f"{number}.png", density_share=share, outside=outside, cluster=cluster)


def sampled(rows):
    found = Sightings()
    for row in rows:
        found.add(row)
    return found


rows_of_clusters = st.lists(
    st.builds(score_of, st.integers(0, 30), st.none() | st.sampled_from(["a", "b", "c"])),
    unique_by=lambda row: row.example_id,
    max_size=15,
)


@given(rows_of_clusters, st.randoms(use_true_random=False))
def test_the_smallest_hashes_are_kept_in_any_order_of_adding_and_merging(rows, random):
    units = {}
    for row in sorted(rows, key=lambda row: row.example_id):
        units.setdefault(hash_of(row.cluster or row.example_id), row)
    expected = [(order, units[order].example_id) for order in sorted(units)[:MOST]]
    random.shuffle(rows)
    parts = [sampled(rows[start::3]) for start in range(3)]
    random.shuffle(parts)
    merged = sum(parts, start=Sightings())
    assert expected == [(kept.order, kept.example_id) for kept in merged.kept]
    assert sampled(rows) == merged


def test_cells_of_the_atlas_are_joined_four_by_four():
    cells = {(0, 0): 0.125, (1, 1): 0.25, (2, 0): 0.0625, (15, 15): 0.5}
    found = sampled([make_score(density_share=0.5, outside=make_outside(cells=cells))])
    expected = np.zeros((8, 8))
    expected[0, 0], expected[1, 0], expected[7, 7] = 0.375, 0.0625, 0.5
    assert np.array_equal(expected.ravel()[None], found.heats)
    assert [0.5] == found.density_shares.tolist()


def test_what_was_not_measured_is_not_sampled():
    rows = [make_score(status="zero_map", outside=make_outside(cells={})), make_score(outside=None)]
    assert Sightings() == sampled(rows)
    assert (0, 64) == Sightings().heats.shape


def test_a_hash_depends_on_the_name_alone():
    assert 0x559AEAD08264D579 == hash_of("A")
    assert hash_of("a.png") != hash_of("b.png")
