"""Who may compute: several passes side by side, or one alone that needs all the memory there is."""

import contextlib
import threading
from collections.abc import Iterator


class Turns:
    """Lets passes of several threads go on side by side, until one asks to be alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._going = 0

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


# The engines of a process share the memory.
TURNS = Turns()
