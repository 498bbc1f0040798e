"""Annotations in any order, against lists of them in dicts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.errors import RecordError
from transforms.read.gathering import Annotations, Gathering
from transforms.records import Box

NAMES = st.sampled_from(["cat", "dog", ""])
IMAGES = st.sampled_from(["a", "b", "c", "d"])
EDGES = st.tuples(*[st.floats(-9, 9)] * 4)


@given(st.lists(st.tuples(IMAGES, NAMES, EDGES | st.none())), st.lists(IMAGES))
def test_gathered_by_image_in_the_order_of_arrival(
    rows: list[tuple[str, str, tuple[float, ...] | None]], bare: list[str]
) -> None:
    gathering, expected = Gathering(), dict[str, Annotations]()
    for image, name, edges in rows:
        annotations = expected.setdefault(image, Annotations([], []))
        if edges is None:
            gathering.add_label(image, name)
            annotations.labels.append(name)
        else:
            gathering.add_box(image, Box(name, *edges))
            annotations.boxes.append(Box(name, *edges))
    for image in bare:
        gathering.add_image(image)
        expected.setdefault(image, Annotations([], []))
    found = gathering.gathered()

    assert expected == {image: found.of(image) for image in found}
    assert list(expected) == list(found)


def test_of_two_reasons_the_first_stays_and_the_neighbours_are_unharmed() -> None:
    gathering = Gathering()
    gathering.add_box("a", Box("cat", 0, 0, 1, 1))
    gathering.fail("b", RecordError("malformed_record", "first"))
    gathering.fail("b", RecordError("malformed_record", "second"))
    found = gathering.gathered()

    with pytest.raises(RecordError) as caught:
        found.of("b")
    assert "first" == caught.value.message
    assert Annotations([Box("cat", 0, 0, 1, 1)], []) == found.of("a")
    assert Annotations([], []) == found.of("never came")


def test_a_box_costs_its_numbers_and_no_objects() -> None:
    gathering = Gathering()
    for number in range(1000):
        gathering.add_box(str(number % 10), Box("cat", 0, 0, 1, 1))
    found = gathering.gathered()

    assert 1000 * (8 + 8 + 1 + 4 * 8) == sum(
        a.nbytes for a in (found.order, found.name_of, found.kind_of, found.edges)
    )
    assert np.all(np.diff(found.starts) == 100)
