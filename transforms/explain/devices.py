"""What TensorFlow computes on, and how a graph is compiled for it."""

import contextlib
import functools
import os
from collections.abc import Callable
from typing import Any

import tensorflow as tf

# Of each thread of a CPU; more at once take longer for each, and more memory. But weights that no cache holds
# are read once a pass.
_IMAGES_OF_THREAD, _IMAGES_OF_HEAVY = 4, 16
_HEAVY = 64 * 2**20
# A single pass leaves a device idle between its operations.
_LEAST_SIDE_BY_SIDE = 2


@functools.cache
def prepare() -> None:
    """Lets GPU memory grow as it is needed, which must be said before a GPU is first used."""
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)


@functools.cache
def one_thread_a_pass() -> None:
    """Lets a pass compute on one core of a CPU, and as many passes go on at a time as there are cores.

    That is quicker for many images, as no core waits for the others after each operation, and slower for a
    single one. It must be said before TensorFlow computes anything; else all stays as it is.
    """
    if not tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(1)


def devices() -> list[str]:
    """What TensorFlow can compute on, such as `CPU:0` and `GPU:0 NVIDIA A100`."""
    names = []
    for device in tf.config.list_physical_devices():
        details = tf.config.experimental.get_device_details(device) if device.device_type == "GPU" else {}
        name = device.name.removeprefix("/physical_device:")
        names.append(f"{name} {details.get('device_name', '')}".strip())
    return names


def images_in_a_pass(batch_size: int, model_size: int) -> int:
    """How many of a batch are computed at once: all on a GPU; on a CPU fewer, with passes side by side.

    Args:
        batch_size: images of a batch. Twice as many at most are computed at a time because of a heavy model.
        model_size: bytes of the model's files, most of which are weights.
    """
    if tf.config.list_physical_devices("GPU"):
        return batch_size
    threads = _threads_of_a_pass()
    images = _IMAGES_OF_THREAD * threads
    if model_size > _HEAVY:
        images = max(images, min(_IMAGES_OF_HEAVY * threads, 2 * batch_size // passes_side_by_side()))
    return min(batch_size, images)


def passes_side_by_side() -> int:
    """How many passes are computed at a time."""
    if tf.config.list_physical_devices("GPU"):
        return _LEAST_SIDE_BY_SIDE
    return max(_LEAST_SIDE_BY_SIDE, _cores() // _threads_of_a_pass())


def _threads_of_a_pass() -> int:
    return tf.config.threading.get_intra_op_parallelism_threads() or _cores()


def _cores() -> int:
    return os.cpu_count() or 1


def compiled(function: Callable[..., Any], specs: list[tf.TensorSpec], xla: bool | None = None) -> Any:
    """Traces a function once.

    Args:
        function: tensors in, a list of tensors out.
        specs: shape and type of each input.
        xla: compile by XLA; None does so where there is a GPU, as on a CPU it is 2 to 20 times slower.

    Returns:
        A function of such tensors, which traces no more.
    """
    concrete = tf.function(function, autograph=False).get_concrete_function(*specs)
    if xla is None:
        xla = bool(tf.config.list_physical_devices("GPU"))
    if not xla:
        return concrete
    return tf.function(lambda *inputs: concrete(*inputs), jit_compile=True)
