"""How passes share the cores of a CPU, which a process decides once, before TensorFlow computes anything."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORES = os.cpu_count() or 1
ASKED = ("images_in_a_pass(32, 0)", "images_in_a_pass(3, 2**30)", "images_in_a_pass(32, 2**30)")
SHOWN = ", ".join((*ASKED, "passes_side_by_side()"))
# Passes on all cores, and on one core each.
ON_ALL = (min(32, 4 * CORES), 3, 32 if CORES > 1 else 16, 2)
ON_ONE = (4, 3, max(4, min(16, 64 // max(2, CORES))), max(2, CORES))


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("one_thread_a_pass()", ON_ONE),
        ("pass", ON_ALL),
        ("tf.ones(1) + 1; one_thread_a_pass()", ON_ALL),
    ],
    ids=["a run", "one image", "TensorFlow has computed already"],
)
def test_a_run_computes_a_pass_on_each_core(before: str, expected: tuple[int, int, int, int]) -> None:
    code = f"import tensorflow as tf; from transforms.explain.devices import *; {before}; print(({SHOWN}))"
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert str(expected) == done.stdout.strip()
