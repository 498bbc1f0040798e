"""The engine against the model's own forward pass: what an explanation costs.

Both run in one process on the same images, in turn; the ratio of each pair is taken and the median of the
ratios is quoted, so that a machine whose speed drifts does not matter. Weights are random: they change no
cost. The precision is that of the whole process, the forward pass included: two precisions are two runs.

    python benchmarks/bench_explain.py [--models MobileNetV2 ResNet50] [--repeats 9] [--precision bfloat16]
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from transforms.explain import load_engine

METHODS = ("gradcam", "hirescam")
SIZE = 224


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", default=["MobileNetV2", "EfficientNetB0", "ResNet50"])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    arguments = parser.parse_args()
    results = [
        bench(name, arguments.batch_size, arguments.repeats, arguments.precision) for name in arguments.models
    ]
    print(
        f"{'model':18}{'forward img/s':>15}{'engine img/s':>15}{'engine / forward, median (min to max)':>42}"
    )
    for row in results:
        spread = f"{row['ratio']:.2f} ({row['ratio_min']:.2f} to {row['ratio_max']:.2f})"
        print(f"{row['model']:18}{row['forward']:15.1f}{row['engine']:15.1f}{spread:>42}")
    print(json.dumps(results))


def bench(name: str, batch_size: int, repeats: int, precision: str) -> dict[str, str | float]:
    """Throughput of the plain `tf.function` forward pass and of gradcam + hirescam, and their ratio."""
    model = getattr(keras.applications, name)(weights=None, input_shape=(SIZE, SIZE, 3))
    images = np.random.default_rng(0).integers(0, 256, (batch_size, SIZE, SIZE, 3), np.uint8)
    targets = np.zeros((batch_size, 1), np.int32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        engine = load_engine(str(path), METHODS, batch_size=batch_size, precision=precision)

    @tf.function
    def forward(batch: tf.Tensor) -> tf.Tensor:
        return model(tf.cast(batch, tf.float32), training=False)

    def run_forward() -> None:
        forward(tf.constant(images)).numpy()

    def run_engine() -> None:
        engine(images, targets)

    for run in (run_forward, run_engine):
        run()
    pairs = [(seconds(run_forward), seconds(run_engine)) for _ in range(repeats)]
    ratios = [forward_s / engine_s for forward_s, engine_s in pairs]
    return {
        "model": name,
        "forward": batch_size / float(np.median([pair[0] for pair in pairs])),
        "engine": batch_size / float(np.median([pair[1] for pair in pairs])),
        "ratio": float(np.median(ratios)),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
