"""Images as they are: every kind of file that cameras, browsers and people make, and boxes that follow."""

import io
import itertools
import sys
import zlib
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
import pydicom
import pytest
import tensorflow as tf
from numpy.typing import NDArray
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from transforms.errors import RecordError
from transforms.explain.decode import Decoding, boxed_size, decode, decode_as, with_boxes_of
from transforms.geometry import turn
from transforms.records import Box

from .builders import encode, make_example, make_image

# Smooth, so that lossy files come back nearly as they were.
SLOPE = np.dstack([np.tile(np.linspace(40, 200, 24, dtype=np.uint8), (16, 1))] * 3)
ORIENTATIONS = range(1, 9)


def saved(
    pixels: NDArray[Any] | PIL.Image.Image, kind: str, mode: str | None = None, **options: Any
) -> bytes:
    image = pixels if isinstance(pixels, PIL.Image.Image) else PIL.Image.fromarray(pixels)
    file = io.BytesIO()
    (image.convert(mode) if mode else image).save(file, kind, **options)
    return file.getvalue()


def oriented(pixels: NDArray[Any], orientation: int, kind: str = "PNG") -> bytes:
    exif = PIL.Image.Exif()
    exif[PIL.ExifTags.Base.Orientation] = orientation
    return saved(pixels, kind, exif=exif)


def refusal(data: bytes, **how: Any) -> tuple[str, str]:
    with pytest.raises(RecordError) as caught:
        decode_as(data, Decoding(**how))
    return caught.value.reason, caught.value.message


FILES = {
    "jpeg": saved(SLOPE, "JPEG", quality=95),
    "progressive": saved(SLOPE, "JPEG", quality=95, progressive=True),
    "grey jpeg": saved(SLOPE, "JPEG", "L", quality=95),
    "cmyk jpeg": saved(SLOPE, "JPEG", "CMYK", quality=95),
    "webp": saved(SLOPE, "WEBP", quality=95),
    "lossless webp": saved(SLOPE, "WEBP", lossless=True),
    "grey": saved(SLOPE, "PNG", "L"),
    "grey alpha": saved(SLOPE, "PNG", "LA"),
    "rgba": saved(SLOPE, "PNG", "RGBA"),
    "palette": saved(PIL.Image.fromarray(SLOPE).quantize(256), "PNG"),
    "gif": saved(PIL.Image.fromarray(SLOPE).quantize(256), "GIF"),
    "bmp": saved(SLOPE, "BMP"),
    "cmyk tiff": saved(SLOPE, "TIFF", "CMYK"),
    "jpeg2000": saved(SLOPE, "JPEG2000"),
    "sixteen bits": saved(SLOPE[..., 0].astype(np.uint16) << 8, "PNG"),
}


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_of_file_shows_the_same_picture(kind: str) -> None:
    np.testing.assert_allclose(np.asarray(decode(FILES[kind]), int), SLOPE.astype(int), atol=6)


def test_transparent_pixels_are_what_is_stored_in_them_as_tensorflow_takes_them() -> None:
    pixels = np.dstack([make_image(), np.arange(256, dtype=np.uint8).reshape(16, 16)])
    data = saved(pixels, "PNG")

    np.testing.assert_array_equal(tf.io.decode_image(data, channels=3), np.asarray(decode(data)))
    np.testing.assert_array_equal(pixels[..., :3], np.asarray(decode(data)))


def test_an_animation_is_its_first_frame() -> None:
    frames = [PIL.Image.fromarray(np.full((4, 4, 3), level, np.uint8)) for level in (10, 200)]
    for kind in ("GIF", "WEBP"):
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)

        assert 10 == np.asarray(decode(data)).max()


def test_a_picture_of_one_pixel() -> None:
    pixels = make_image(width=1, height=1)

    np.testing.assert_array_equal(pixels, np.asarray(decode(encode(pixels))))


def test_every_cut_of_a_file_is_refused_or_whole() -> None:
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP"):
        data = saved(make_image(width=40, height=40), kind)
        for kept in range(0, len(data) - 40, 97):
            assert "undecodable_image" == refusal(data[:kept])[0]


@pytest.mark.parametrize("data", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"8BPS\x00\x01"])
def test_formats_that_start_programs_are_not_known(data: bytes) -> None:
    assert ("undecodable_image", f"{len(data)} bytes, cannot identify image file") == refusal(data)


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims a size."""
    data = bytearray(encode(make_image(width=1, height=1)))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    message = "60000 x 60000 pixels are more than explain.max_pixels, 178956970"

    assert ("too_many_pixels", message) == refusal(bomb(60000, 60000))
    assert "too_many_pixels" == refusal(encode(make_image(width=5, height=5)), max_pixels=24)[0]
    assert (
        25
        == np.asarray(decode_as(encode(make_image(width=5, height=5)), Decoding(max_pixels=25)).image).size
        / 3
    )


def test_fast_shrinks_a_jpeg_while_it_is_read_and_boxes_stay_where_they_were() -> None:
    data = saved(np.tile(SLOPE, (50, 50, 1)), "JPEG")
    decoded = decode_as(data, Decoding(shrink_to=(200, 200)))
    example = make_example(boxes=[Box("cat", 300, 200, 600, 400)])

    assert (1200, 800, (300, 200)) == (decoded.width, decoded.height, decoded.image.size)
    assert [Box("cat", 0.25, 0.25, 0.5, 0.5)] == with_boxes_of(decoded, example).boxes
    assert (1200, 800) == decode_as(data, Decoding(shrink_to=(700, 700))).image.size
    assert (1200, 800) == decode_as(
        saved(np.tile(SLOPE, (50, 50, 1)), "PNG"), Decoding(shrink_to=(9, 9))
    ).image.size


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientation_is_ignored_or_applied(orientation: int, kind: str) -> None:
    quarters = np.zeros((32, 48, 3), np.uint8)
    quarters[:16, :24], quarters[:16, 24:], quarters[16:, :24] = 60, 120, 180
    data = oriented(quarters, orientation, kind)
    upright = np.asarray(
        PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(oriented(quarters, orientation))))
    )

    np.testing.assert_allclose(np.asarray(decode(data), int), quarters.astype(int), atol=25)
    found = decode_as(data, Decoding(upright=True)).image
    np.testing.assert_allclose(np.asarray(found, int), upright.astype(int), atol=25)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_boxes_follow_the_orientation(orientation: int, fast: bool, relative: bool) -> None:
    """The boxed pixels are the white ones, on whichever of the two pictures the box was drawn."""
    stored = np.zeros((64, 96, 3), np.uint8)
    stored[8:24, 16:56] = 255
    drawn = {False: (16.0, 8.0, 56.0, 24.0), True: turn((16, 8, 56, 24), orientation, 96, 64)}
    data = oriented(stored, orientation, "JPEG")
    for seen, boxes in itertools.product([False, True], repeat=2):
        width, height = (64, 96) if boxes and orientation >= 5 else (96, 64)
        scale = (width, height, width, height) if relative else (1, 1, 1, 1)
        box = Box("cat", *(edge / size for edge, size in zip(drawn[boxes], scale, strict=True)))
        decoded = decode_as(data, Decoding(seen, boxes, shrink_to=(48, 48) if fast else None))
        (found,) = with_boxes_of(decoded, example := make_example(boxes=[box], relative=relative)).boxes
        pixels = np.asarray(decoded.image)[..., 0] > 128
        down, across = pixels.shape
        if not with_boxes_of(decoded, example).relative:
            across = down = 1
        inside = np.zeros_like(pixels)
        inside[
            round(found.ymin * down) : round(found.ymax * down),
            round(found.xmin * across) : round(found.xmax * across),
        ] = True

        np.testing.assert_array_equal(inside, pixels)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_size_that_boxes_stand_in_is_read_from_the_header(orientation: int, kind: str) -> None:
    data = oriented(make_image(width=6, height=4), orientation, kind)
    for how in (Decoding(), Decoding(boxes_upright=True)):
        decoded = decode_as(data, how)

        assert (decoded.width, decoded.height) == boxed_size(data, how)
    assert (6, 4) == boxed_size(data, Decoding())
    assert boxed_size(b"no image", Decoding()) is None


@pytest.mark.parametrize("exif", [b"", b"Exif\x00\x00broken", b"Exif\x00\x00MM\x00*\x00\x00\x00\xff"])
def test_an_orientation_that_cannot_be_read_is_upright(exif: bytes) -> None:
    data = saved(SLOPE, "PNG", exif=exif) if exif else oriented(SLOPE, 9)

    np.testing.assert_array_equal(SLOPE, np.asarray(decode_as(data, Decoding(upright=True)).image))


def dicom(pixels: NDArray[Any], **fields: Any) -> bytes:
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if pixels.ndim == 3 else "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PixelData = pixels.tobytes()
    for name, value in fields.items():
        setattr(dataset, name, value)
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


XRAY = np.array([[0, 1000], [2000, 4000]], np.uint16)


@pytest.mark.parametrize(
    ("fields", "levels"),
    [
        ({}, [[0, 64], [128, 255]]),
        ({"PhotometricInterpretation": "MONOCHROME1"}, [[255, 191], [128, 0]]),
        ({"WindowCenter": 1000.5, "WindowWidth": 2001}, [[0, 128], [255, 255]]),
        ({"WindowCenter": ["1000.5", "7"], "WindowWidth": ["2001", "7"]}, [[0, 128], [255, 255]]),
        (
            {"RescaleSlope": 2, "RescaleIntercept": -1000, "WindowCenter": 1000.5, "WindowWidth": 2001},
            [[0, 128], [255, 255]],
        ),
    ],
    ids=["from the smallest to the largest", "inverted", "window", "first window", "rescaled"],
)
def test_dicom_is_what_a_viewer_shows(fields: dict[str, Any], levels: list[list[int]]) -> None:
    found = np.asarray(decode(dicom(XRAY, **fields)))

    np.testing.assert_array_equal(np.dstack([levels] * 3), found)


def test_dicom_in_colour_and_its_limits() -> None:
    pixels = make_image(width=4, height=2)

    np.testing.assert_array_equal(pixels, np.asarray(decode(dicom(pixels))))
    assert "too_many_pixels" == refusal(dicom(pixels, Rows=60000, Columns=60000))[0]
    assert "undecodable_image" == refusal(dicom(pixels)[:-9])[0]
    assert "undecodable_image" == refusal(dicom(pixels)[:140])[0]


def test_dicom_without_pydicom_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    message = "a DICOM file; reading it needs pydicom: pip install gradcam-audit[dicom]"

    assert ("undecodable_image", message) == refusal(dicom(XRAY))
