"""TensorFlow is imported quietly, and only by the commands that need it."""

import atexit
import contextlib
import gc
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Keeps off the terminal what TensorFlow's C++ libraries print while they are loaded.

    They write past Python to the file descriptor, before any setting of theirs is read; an import that
    fails still raises. The first look for a GPU is as loud as the imports.

    Half a million objects are made meanwhile, which stay: none is looked at as garbage, then or later.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    gc.disable()
    try:
        os.dup2(nowhere, 2)
        yield
        from transforms.explain.devices import devices

        devices()
    finally:
        gc.freeze()
        atexit.register(gc.unfreeze)  # else some libraries call them leaked
        gc.enable()
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
