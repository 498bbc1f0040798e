"""Work in threads beside a bundle: the same outputs in the same order, however long each takes."""

import threading
import time

import apache_beam as beam
import pytest
from apache_beam.testing import test_pipeline as beam_testing
from apache_beam.testing.util import assert_that

from transforms.explain.behind import Behind


class Slow(Behind):
    """Twice each number, the even ones late."""

    def work(self, element: int) -> list[int]:
        time.sleep(0.02 * (element % 2 == 0))
        return [element, -element]


class Scaled(Behind):
    def work(self, element: int, factor: int) -> list[int]:
        return [element * factor]


class Meeting(Behind):
    """Ends only where as many elements as there are threads are worked on at a time."""

    def setup(self) -> None:
        super().setup()
        self._meeting = threading.Barrier(self._threads, timeout=30)

    def work(self, element: int) -> list[int]:
        self._meeting.wait()
        return [element]


class Failing(Behind):
    def work(self, element: int) -> list[int]:
        if element == 2:
            raise RuntimeError("two")
        return [element]


def in_order(expected: list[int]):
    def check(found: list[int]) -> None:
        assert expected == found

    return check


@pytest.mark.parametrize(("threads", "most"), [(1, 0), (1, 1), (2, 3), (3, 100)])
def test_outputs_keep_the_order_of_the_elements(threads: int, most: int) -> None:
    with beam_testing.TestPipeline(runner="FnApiRunner") as root:
        found = root | beam.Create(range(7), reshuffle=False) | beam.ParDo(Slow(threads, most))
        assert_that(found, in_order([sign * number for number in range(7) for sign in (1, -1)]))


def test_work_is_given_the_side_inputs() -> None:
    with beam_testing.TestPipeline(runner="FnApiRunner") as root:
        factor = beam.pvalue.AsSingleton(root | "Factor" >> beam.Create([10]))
        found = root | beam.Create(range(3), reshuffle=False) | beam.ParDo(Scaled(2, 2), factor)
        assert_that(found, in_order([0, 10, 20]))


def test_as_many_elements_as_threads_are_worked_on_at_a_time() -> None:
    with beam_testing.TestPipeline(runner="FnApiRunner") as root:
        found = root | beam.Create(range(6), reshuffle=False) | beam.ParDo(Meeting(3, 4))
        assert_that(found, in_order([*range(6)]))


@pytest.mark.parametrize("most", [0, 100])
def test_what_fails_in_a_thread_fails_the_bundle_after_what_came_before(most: int) -> None:
    """Whether it is found with the element, or when the bundle ends."""
    before: list[int] = []
    failing = Failing(1, most)
    failing.setup()
    failing.start_bundle()

    with pytest.raises(RuntimeError, match="two"):
        for element in range(4):
            before.extend(failing.process(element))
        before.extend(windowed.value for windowed in failing.finish_bundle())
    failing.teardown()

    assert [0, 1] == before
