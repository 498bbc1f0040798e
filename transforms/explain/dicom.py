"""DICOM images by pydicom, which is optional: `pip install gradcam-audit[dicom]`.

The picture is what a viewer shows first: the values of the modality (rescale slope and intercept, or its
table) within the first window of the file, or from the smallest to the largest value where it has none,
inverted where high values are dark. Of a sequence it is the first frame. Source: DICOM PS3.3, C.7.6.3.1.2,
C.11.1 and C.11.2.1.2.1.
"""

import io
from typing import Any

import numpy as np
import PIL.Image

from transforms.errors import RecordError

_MAGIC_AT, _MAGIC = 128, b"DICM"


def is_dicom(data: bytes) -> bool:
    """Whether the bytes begin as a DICOM file does."""
    return data[_MAGIC_AT : _MAGIC_AT + len(_MAGIC)] == _MAGIC


def check_size(width: int, height: int, most: int) -> None:
    """Refuses an image before its pixels are unpacked.

    Raises:
        RecordError: `too_many_pixels`.
    """
    if width * height > most:
        raise RecordError(
            "too_many_pixels", f"{width} x {height} pixels are more than explain.max_pixels, {most}"
        )


def decode_dicom(data: bytes, max_pixels: int) -> PIL.Image.Image:
    """The first frame of a DICOM file as RGB, 8 bits a channel.

    Raises:
        RecordError: `undecodable_image`, pydicom is not installed; `too_many_pixels`.
        Exception: anything that pydicom raises on what it cannot read.
    """
    try:
        import pydicom
        from pydicom import config, pixels
    except ImportError as error:
        message = "a DICOM file; reading it needs pydicom: pip install gradcam-audit[dicom]"
        raise RecordError("undecodable_image", message) from error
    # Values that break the standard in ways that do not matter here are no reason to warn.
    config.settings.reading_validation_mode = config.IGNORE
    dataset = pydicom.dcmread(io.BytesIO(data))
    check_size(int(dataset.Columns), int(dataset.Rows), max_pixels)
    stored = pixels.pixel_array(dataset, index=0)
    if stored.ndim == 3:
        return PIL.Image.fromarray(stored.astype(np.uint8)).convert("RGB")
    values = np.asarray(pixels.apply_modality_lut(stored, dataset), np.float64)
    low, high = _window(dataset) or (float(values.min()), float(values.max()))
    shares = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shares = 1 - shares
    return PIL.Image.fromarray(np.rint(255 * shares).astype(np.uint8)).convert("RGB")


def _window(dataset: Any) -> tuple[float, float] | None:
    """The values that become black and white, by the first window of the file (C.11.2.1.2.1)."""
    centre, width = (_first(dataset.get(key)) for key in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or width < 1:
        return None
    return centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2


def _first(value: Any) -> float | None:
    """The first of one or many numbers, or None."""
    if value is None or value == "":
        return None
    return float(value if isinstance(value, (str, float, int)) else value[0])
