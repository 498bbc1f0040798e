"""How passes share the cores of a CPU, which a process decides once, before TensorFlow computes anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORES = os.cpu_count() or 1
SHOWN = "images_in_a_pass(32), images_in_a_pass(3), passes_side_by_side()"


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("one_thread_a_pass()", (4, 3, max(2, CORES))),
        ("pass", (min(32, 4 * CORES), 3, 2)),
        ("tf.ones(1) + 1; one_thread_a_pass()", (min(32, 4 * CORES), 3, 2)),
    ],
    ids=["a run", "one image", "TensorFlow has computed already"],
)
def test_a_run_computes_a_pass_on_each_core(before: str, expected: tuple[int, int, int]) -> None:
    code = f"import tensorflow as tf; from transforms.explain.devices import *; {before}; print(({SHOWN}))"
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert str(expected) == done.stdout.strip()
