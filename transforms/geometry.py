"""How an image becomes the model's view, and how boxes and heatmaps follow.

A view is two rectangles: the part of the image that is shown (`source`, in image pixels) and the part
of the model's input that shows it (`content`, in view pixels). Resize, crop and padding are all that.
Pixel edges are half-open: pixel i covers [i, i + 1), its centre stands at i + 0.5.
"""

import dataclasses
import functools
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Resize = Literal["stretch", "center_crop", "letterbox"]
Rectangle = tuple[float, float, float, float]
Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class View:
    """Where the image stands in the model's input.

    Attributes:
        width, height: size of the model's input in pixels.
        source: xmin, ymin, xmax, ymax of what is shown, in image pixels; may be fractional.
        content: xmin, ymin, xmax, ymax of where it is shown, in view pixels; whole numbers.
    """

    width: int
    height: int
    source: Rectangle
    content: Rectangle

    def to_view(self, xmin: float, ymin: float, xmax: float, ymax: float) -> Rectangle:
        """Maps a rectangle in image pixels to view pixels, without clipping."""
        return _moved((xmin, ymin, xmax, ymax), self.source, self.content)

    @property
    def in_image(self) -> Rectangle:
        """The whole view in image pixels; with padding it reaches beyond the image."""
        return _moved((0.0, 0.0, float(self.width), float(self.height)), self.content, self.source)


def _moved(rectangle: Rectangle, old: Rectangle, new: Rectangle) -> Rectangle:
    """A rectangle that stands to `new` as it stood to `old`."""
    xmin, ymin, xmax, ymax = rectangle
    left, top, right, bottom = old
    scale_x, scale_y = (new[2] - new[0]) / (right - left), (new[3] - new[1]) / (bottom - top)
    return (
        (xmin - left) * scale_x + new[0],
        (ymin - top) * scale_y + new[1],
        (xmax - left) * scale_x + new[0],
        (ymax - top) * scale_y + new[1],
    )


def turn(rectangle: Rectangle, orientation: int, width: float, height: float) -> Rectangle:
    """A rectangle on an image -> the same on the image turned upright by its EXIF orientation.

    Args:
        rectangle: in pixels of the image as stored.
        orientation: 1 to 8, as the EXIF standard (CIPA DC-008, tag 274) numbers them.
        width: of the image as stored.
        height: likewise.
    """
    xmin, ymin, xmax, ymax = rectangle
    if orientation in (2, 3, 7, 8):  # from the right
        xmin, xmax = width - xmax, width - xmin
    if orientation in (3, 4, 6, 7):  # from below
        ymin, ymax = height - ymax, height - ymin
    return (ymin, xmin, ymax, xmax) if orientation >= 5 else (xmin, ymin, xmax, ymax)


def plan_view(
    image_width: int, image_height: int, width: int, height: int, resize: Resize, crop: float = 1.0
) -> View:
    """Plans how an image is shown to a model.

    Args:
        image_width: width of the decoded image in pixels, at least 1.
        image_height: its height.
        width: width of the model's input in pixels.
        height: its height.
        resize: `stretch` shows the whole image and ignores its aspect ratio. `center_crop` shows the
            largest centred rectangle of the view's aspect ratio, shrunk by `crop`: resizing the short
            side to `size / crop` and cutting out the centre, without rounding in between. `letterbox`
            shows the whole image undistorted and centred, with padding around it.
        crop: share in (0, 1] of the rectangle's side that `center_crop` keeps; 224/256 = 0.875.

    Returns:
        The view.
    """
    whole = (0.0, 0.0, float(image_width), float(image_height))
    full = (0.0, 0.0, float(width), float(height))
    if resize == "stretch":
        return View(width, height, whole, full)
    if resize == "center_crop":
        scale = min(image_width / width, image_height / height) * crop
        half_width, half_height = width * scale / 2, height * scale / 2
        middle_x, middle_y = image_width / 2, image_height / 2
        source = (
            middle_x - half_width,
            middle_y - half_height,
            middle_x + half_width,
            middle_y + half_height,
        )
        return View(width, height, source, full)
    scale = min(width / image_width, height / image_height)
    shown_width = min(width, max(1, round(image_width * scale)))
    shown_height = min(height, max(1, round(image_height * scale)))
    left, top = (width - shown_width) // 2, (height - shown_height) // 2
    content = (float(left), float(top), float(left + shown_width), float(top + shown_height))
    return View(width, height, whole, content)


@functools.lru_cache(maxsize=64)
def resize_matrix(outputs: int, inputs: int) -> Floats:
    """The bilinear half-pixel resize as a matrix, as `tf.image.resize` computes it (antialias off).

    Returns:
        Weights of shape (outputs, inputs); every row sums to 1. Read-only, since it is shared.
    """
    centres = np.clip((np.arange(outputs) + 0.5) * inputs / outputs - 0.5, 0, inputs - 1)
    lower = np.floor(centres).astype(int)
    upper = np.minimum(lower + 1, inputs - 1)
    share = centres - lower
    matrix = np.zeros((outputs, inputs))
    rows = np.arange(outputs)
    np.add.at(matrix, (rows, lower), 1 - share)
    np.add.at(matrix, (rows, upper), share)
    matrix.flags.writeable = False
    return matrix


@functools.lru_cache(maxsize=64)
def _prefix_sums(outputs: int, inputs: int) -> Floats:
    """Row i is the sum of the first i rows of the resize matrix; shape (outputs + 1, inputs)."""
    sums = np.concatenate([np.zeros((1, inputs)), np.cumsum(resize_matrix(outputs, inputs), axis=0)])
    sums.flags.writeable = False
    return sums


def interval_weights(edges: Floats, outputs: int, inputs: int) -> Floats:
    """Weights that give the mass between neighbouring edges of an upsampled signal.

    For a signal `s` of `inputs` cells, `interval_weights(e, n, inputs) @ s` is, for each pair of
    neighbouring edges, the sum of the upsampled signal (`n` pixels) over [e[i], e[i + 1]); a pixel that
    an edge cuts counts by its covered share.

    Args:
        edges: ascending positions in [0, outputs], shape (k,).
        outputs: length of the upsampled signal in pixels.
        inputs: length of the signal.

    Returns:
        Weights of shape (k - 1, inputs), not negative.
    """
    sums = _prefix_sums(outputs, inputs)
    whole = np.minimum(edges.astype(int), outputs - 1)
    at_edges = sums[whole] + (edges - whole)[:, None] * resize_matrix(outputs, inputs)[whole]
    return np.asarray(at_edges[1:] - at_edges[:-1])
