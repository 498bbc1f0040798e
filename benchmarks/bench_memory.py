"""The engine's memory: above the plain forward pass, and over a long run.

    python benchmarks/bench_memory.py [--batches 2000]

1. Batch 32 at 224x224: peak resident memory of a process that loads a model and runs its `tf.function`
   forward pass, and of one that loads the engine and computes gradcam and hirescam. Each measurement has a
   process of its own, in turn, three times; medians. The peak is that of the process's whole life, and again
   of batches after the second. ResNet50 has much to fold, VGG16 nothing.
2. MobileNetV2 at 96x96, batch 32: resident memory while the engine explains many batches, every tenth of
   them short. A layer counts how often Python runs the model: never after loading, or it was traced again.

Linux only: the figures are the kernel's own (`VmHWM`, `VmRSS`).
"""

import argparse
import json
import multiprocessing
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

MODELS = ("ResNet50", "VGG16")
METHODS = ("gradcam", "hirescam")
BATCH = 32
REPEATS = 3
MIB = 2**20
STATUS = Path("/proc/self/status")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batches", type=int, default=2000)
    arguments = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.keras")
        print(f"{'MiB, batch 32':44}{'forward pass':>14}{'engine':>10}{'more':>8}")
        for name in MODELS:
            alone(save, name, path)
            runs = [(alone(forward, path), alone(engine, path)) for _ in range(REPEATS)]
            for what in runs[0][0]:
                plain, ours = (float(np.median([run[side][what] for run in runs])) for side in (0, 1))
                results[f"{name}, {what}"] = {"forward": plain, "engine": ours}
                print(f"{f'{name}, {what}':44}{plain:14.0f}{ours:10.0f}{ours - plain:8.0f}", flush=True)
        alone(save_counted, path)
        long = results["long"] = alone(many, path, arguments.batches)
    print(f"MobileNetV2 at 96x96, {long['batches']} batches of up to 32: resident MiB, medians")
    print(f"second tenth {long['early']:.1f}, last tenth {long['late']:.1f}, largest {long['largest']:.1f}")
    print(f"traces after loading: {long['traces']}")
    print(json.dumps(results))


def alone(function: Callable[..., Any], *arguments: object) -> Any:
    """What the function returns in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


@keras.saving.register_keras_serializable("benchmarks")
class Counter(keras.layers.Layer):
    """Passes its input on, and counts how often Python runs it: once for each trace."""

    runs = 0

    def call(self, inputs: Any) -> Any:
        """Returns the input."""
        Counter.runs += 1
        return inputs


def save(name: str, path: str) -> None:
    getattr(keras.applications, name)(weights=None).save(path)


def save_counted(path: str) -> None:
    trunk = keras.applications.MobileNetV2(weights=None, input_shape=(96, 96, 3), include_top=False)
    outputs = Counter()(keras.layers.GlobalAveragePooling2D()(trunk.output))
    keras.Model(trunk.input, keras.layers.Dense(10, "softmax")(outputs)).save(path)


def forward(path: str) -> dict[str, float]:
    """Peaks of a process that runs nothing but the model."""
    import tensorflow as tf

    model = keras.models.load_model(path, compile=False)

    @tf.function
    def run(batch: tf.Tensor) -> tf.Tensor:
        return model(tf.cast(batch, tf.float32), training=False)

    return peaks(lambda images: run(tf.constant(images)).numpy())


def engine(path: str) -> dict[str, float]:
    """Peaks of a process that runs the engine."""
    from transforms.explain import load_engine

    explain = load_engine(path, METHODS, batch_size=BATCH)
    return peaks(lambda images: explain(images, np.zeros((BATCH, 1), np.int32)))


def peaks(run: Callable[[np.ndarray], object]) -> dict[str, float]:
    images = np.random.default_rng(0).integers(0, 256, (BATCH, 224, 224, 3), np.uint8)
    for _ in range(2):
        run(images)
    whole = resident("VmHWM")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    for _ in range(3):
        run(images)
    return {"peak": max(whole, resident("VmHWM")), "peak of later batches": resident("VmHWM")}


def many(path: str, batches: int) -> dict[str, float]:
    """Resident memory after each of many batches: its median early and late in the run."""
    from transforms.explain import load_engine

    explain = load_engine(path, METHODS, batch_size=BATCH)
    generator = np.random.default_rng(0)
    traces, seen = Counter.runs, []
    for batch in range(batches):
        count = BATCH if batch % 10 else int(generator.integers(1, BATCH))
        images = generator.integers(0, 256, (count, 96, 96, 3), np.uint8)
        explain(images, generator.integers(0, 10, (count, 1), np.int32))
        seen.append(resident("VmRSS"))
    tenth = batches // 10
    return {
        "batches": batches,
        "early": float(np.median(seen[tenth : 2 * tenth])),
        "late": float(np.median(seen[-tenth:])),
        "largest": max(seen),
        "traces": Counter.runs - traces,
    }


def resident(field: str) -> float:
    """`VmRSS`, the resident memory of this process, or `VmHWM`, its peak; MiB."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return float(line.split()[1]) * 1024 / MIB


if __name__ == "__main__":
    main()
