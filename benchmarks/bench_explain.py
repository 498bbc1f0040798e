"""What an explanation costs: against the model's own forward pass and, with --peers, against other libraries.

All run in one process on the same model and images, in turn; the ratio is taken within each turn and the
median of the ratios is quoted, so that a machine whose speed drifts does not matter. Weights and images are
random: they change no cost. The precision is that of the whole process, the forward pass included: two
precisions are two runs.

    python benchmarks/bench_explain.py [--models MobileNetV2 ResNet50] [--repeats 9] [--precision bfloat16]
    make bench-peers        # the same with --peers, in an environment that has them

Against the forward pass (the preprocessing inside its `tf.function`) the engine computes gradcam and
hirescam, against a peer gradcam only, as the peer does. `peers.py` describes the peers. They have to agree
too: "differ" is the largest between a peer's map and the engine's, each divided by its maximum.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import peers
import tensorflow as tf

from transforms.explain import Engine, load_engine

SIZE = 224
# How Keras prepares pixels for the family, and the same as a config says it.
FAMILIES = {
    "MobileNetV2": (keras.applications.mobilenet_v2, {"scale": [-1, 1]}),
    "EfficientNetB0": (keras.applications.efficientnet, {}),
    "ResNet50": (keras.applications.resnet50, {"channels": "bgr", "mean": [103.939, 116.779, 123.68]}),
}
# The recipe takes one image at a time, so a few images are enough to time one.
FEW = 8


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--peers", action="store_true")
    arguments = parser.parse_args()
    rows, load = [], os.getloadavg()[0]
    print(
        f"{'model':16}{'against':22}{'its img/s':>11}{'engine':>9}{'engine / it, median (range)':>29}  differ"
    )
    for name in arguments.models:
        for row in bench(name, arguments.batch_size, arguments.repeats, arguments.precision, arguments.peers):
            spread = f"{row['ratio']:.2f} ({row['ratio_min']:.2f} to {row['ratio_max']:.2f})"
            difference = f"{row['difference']:8.1g}" if "difference" in row else ""
            rates = f"{row['theirs']:11.1f}{row['engine']:9.1f}"
            print(f"{name:16}{row['against']:22}{rates}{spread:>29}{difference}", flush=True)
            rows.append({"model": name, **row})
        keras.backend.clear_session()
    print(json.dumps({"load_before": load, "rows": rows}))


def bench(name: str, batch_size: int, repeats: int, precision: str, with_peers: bool) -> Iterator[dict]:
    """For each rival its throughput, the engine's in the same turns, their ratio and their difference."""
    family, preprocess = FAMILIES[name]
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(SIZE, SIZE, 3), classifier_activation=None
    )
    # Blocks of colour rather than noise, of which every cell of the map would look the same.
    blocks = np.random.default_rng(0).integers(0, 256, (batch_size, 7, 7, 3), np.uint8)
    images = blocks.repeat(SIZE // 7, 1).repeat(SIZE // 7, 2)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model.keras")
        model.save(path)
        both, gradcam = (
            load_engine(path, methods, batch_size=batch_size, precision=precision, preprocess=preprocess)
            for methods in (("gradcam", "hirescam"), ("gradcam",))
        )

    @tf.function
    def forward(batch: tf.Tensor) -> tf.Tensor:
        return model(family.preprocess_input(tf.cast(batch, tf.float32)), training=False)

    def run_forward(images: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return forward(tf.constant(images)).numpy()

    targets = run_forward(images, np.zeros(0)).argmax(-1).astype(np.int32)
    yield {"against": "forward pass", **raced(run_forward, images, both, images, targets, repeats)}
    if with_peers:
        common = (model, gradcam.target_layer, family.preprocess_input)
        for against, explain, theirs in [
            ("xplique", peers.xplique(*common, batch_size), images),
            ("tf-keras-vis", peers.tf_keras_vis(*common), images),
            ("keras.io recipe", peers.keras_io(*common), images[:FEW]),
            ("keras.io, model kept", peers.keras_io(*common, rebuild=False), images[:FEW]),
        ]:
            row = raced(explain, theirs, gradcam, images, targets, repeats)
            maps = gradcam(images, targets[:, None]).heatmaps["gradcam"][: len(theirs), 0]
            row["difference"] = difference(maps, explain(theirs, targets[: len(theirs)]))
            yield {"against": against, **row}


def raced(
    rival: peers.Explain,
    theirs: np.ndarray,
    engine: Engine,
    images: np.ndarray,
    targets: np.ndarray,
    repeats: int,
) -> dict[str, float]:
    """Images per second of the rival on `theirs` and of the engine on `images`, in turn."""

    def run_rival() -> None:
        rival(theirs, targets[: len(theirs)])

    def run_engine() -> None:
        engine(images, targets[:, None])

    for run in (run_rival, run_engine):
        run()
    pairs = [(len(theirs) / seconds(run_rival), len(images) / seconds(run_engine)) for _ in range(repeats)]
    ratios = [ours / its for its, ours in pairs]
    return {
        "theirs": float(np.median([its for its, _ in pairs])),
        "engine": float(np.median([ours for _, ours in pairs])),
        "ratio": float(np.median(ratios)),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
    }


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference between maps that have any heat, each divided by its maximum.

    The engine's are brought to the size of the rival's in the way that the rival brings its own there.
    """
    hot = ours.max((1, 2)) > 0
    assert hot.any(), "every map is zero: nothing was compared"
    ours = tf.image.resize(ours[hot][..., None], theirs.shape[1:], "bicubic").numpy()[..., 0]
    ours, theirs = (maps / maps.max((1, 2), keepdims=True) for maps in (ours, theirs[hot]))
    return float(np.abs(ours - theirs).max())


def seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
