"""Behind: a DoFn that works in threads of its own, while its bundle goes on."""

import collections
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows


class Behind(beam.DoFn):
    """Elements -> what `work` makes of each, in the order of the elements; to be used in the global window.

    What is ready is handed on with the next element, the rest when the bundle ends.

    Args:
        threads: elements that are worked on at a time.
        most: elements that may have been begun; for more the bundle waits.
    """

    def __init__(self, threads: int, most: int) -> None:
        self._threads, self._most = threads, most

    def work(self, element: Any, *sides: Any) -> Sequence[Any]:
        """All outputs of an element, given the side inputs; called in several threads at once."""
        raise NotImplementedError

    def setup(self) -> None:
        """Starts the threads."""
        self._pool = ThreadPoolExecutor(self._threads)

    def start_bundle(self) -> None:
        """Forgets what a failed bundle left."""
        self._begun: collections.deque[Future[Sequence[Any]]] = collections.deque()

    def process(self, element: Any, *sides: Any) -> Iterator[Any]:
        """Begins an element and yields what is ready."""
        self._begun.append(self._pool.submit(self.work, element, *sides))
        while self._begun and (self._begun[0].done() or len(self._begun) > self._most):
            yield from self._begun.popleft().result()

    def finish_bundle(self) -> Iterator[Any]:
        """Waits for the rest."""
        while self._begun:
            yield from map(GlobalWindows.windowed_value, self._begun.popleft().result())

    def teardown(self) -> None:
        """Ends the threads."""
        self._pool.shutdown(cancel_futures=True)
