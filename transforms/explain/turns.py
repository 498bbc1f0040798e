"""Who may compute: several passes side by side, or one alone that needs all the memory there is."""

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from transforms.explain.devices import passes_side_by_side


class Turns:
    """Lets a few passes go on side by side, however many threads ask for them, until one has to be alone.

    Args:
        most: passes at a time.
    """

    def __init__(self, most: int) -> None:
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="compute")
        self._changed = threading.Condition()
        self._going = 0

    def map(self, work: Callable[[Any], Any], parts: Iterable[Any]) -> list[Any]:
        """What `work` makes of each part, in their order; parts that were asked for earlier go first.

        `work` must not ask for more.
        """
        return list(self._pool.map(work, parts))

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """While this lasts, others may compute too."""
        with self._changed:
            self._going += 1
        try:
            yield
        finally:
            with self._changed:
                self._going -= 1
                self._changed.notify_all()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Waits for all others; while this lasts, none begins."""
        with self._changed:
            self._changed.wait_for(lambda: not self._going)
            yield


@functools.cache
def turns() -> Turns:
    """Those that the engines of a process take: they share its cores and the memory."""
    return Turns(passes_side_by_side())
