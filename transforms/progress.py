"""Counts of what this process has done, for a person who watches a local run.

Workers that share the launcher's process add to it and the launcher draws it. It is no total: with
remote workers it stays at zero, and what the reports say is counted in the pipeline itself.
"""

import threading


class Progress:
    """Images found, images explained and channels tried by this process. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.found = 0
        self.images = 0
        self.channels = 0

    def add_images(self, count: int) -> None:
        """Counts images that were explained or turned out to be dead letters."""
        with self._lock:
            self.images += count

    def add_found(self, count: int) -> None:
        """Counts images of a shard that was read to its end for the first time."""
        with self._lock:
            self.found += count

    def add_channels(self, count: int) -> None:
        """Counts channels that Score-CAM or Ablation-CAM tried in a forward pass."""
        with self._lock:
            self.channels += count

    def reset(self) -> None:
        """Starts from zero, for the next run in this process."""
        with self._lock:
            self.found = self.images = self.channels = 0


PROGRESS = Progress()
