"""What a person who watches a local run is told."""

import pytest

from pipeline.launch import described
from transforms.progress import Progress


@pytest.mark.parametrize(
    ("found", "explained", "channels", "words"),
    [
        (0, 0, 0, "running"),
        (1200, 0, 0, "1,200 images found"),
        (1200, 0, 64, "1,200 images found, 64 channels tried"),
        (1200, 1184, 0, "1,184 of 1,200 images"),
        (1200, 1184, 2048, "1,184 of 1,200 images, 2,048 channels tried"),
        (1200, 1200, 0, "all 1,200 images, judging"),
    ],
)
def test_what_is_done_is_said_in_words(found: int, explained: int, channels: int, words: str) -> None:
    progress = Progress()
    progress.add_found(found)
    progress.add_images(explained)
    progress.add_channels(channels)

    assert words == described(progress)

    progress.reset()
    assert "running" == described(progress)
