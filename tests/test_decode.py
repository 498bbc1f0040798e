"""Decoding, and resampling as Pillow and as TensorFlow do it."""

import io
from typing import get_args

import keras
import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from transforms.errors import RecordError
from transforms.explain.decode import decode, show
from transforms.explain.program import normalised
from transforms.explain.settings import Interpolation, Preprocess
from transforms.geometry import plan_view

from .builders import encode, make_image


def test_png_pixels_come_out_as_they_went_in() -> None:
    pixels = make_image(width=5, height=3)

    np.testing.assert_array_equal(pixels, np.asarray(decode(encode(pixels))))


def test_grey_and_palette_images_become_rgb() -> None:
    for mode in ("L", "P", "RGBA", "1"):
        image = PIL.Image.fromarray(make_image()).convert(mode)
        file = io.BytesIO()
        image.save(file, "PNG")

        assert "RGB" == decode(file.getvalue()).mode


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the image is empty (0 bytes)"),
        (b"not an image", "12 bytes, cannot identify image file"),
        (encode(make_image(width=64, height=64), kind="JPEG")[:1500], "1500 bytes, image file is truncated"),
    ],
)
def test_what_cannot_be_decoded_is_a_bad_record(data: bytes, message: str) -> None:
    with pytest.raises(RecordError) as caught:
        decode(data)

    assert "undecodable_image" == caught.value.reason
    # Pillow counts the missing bytes behind its message.
    assert message == caught.value.message.split(" (", 1)[0] or message == caught.value.message


def test_sixteen_bits_keep_their_high_byte() -> None:
    levels = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    file = io.BytesIO()
    PIL.Image.fromarray(levels).save(file, "PNG")

    np.testing.assert_array_equal(levels >> 8, np.asarray(decode(file.getvalue()))[..., 0])
    expected = tf.io.decode_png(file.getvalue(), channels=3, dtype=tf.uint8)
    np.testing.assert_array_equal(expected, np.asarray(decode(file.getvalue())))


@pytest.mark.parametrize("mode", ["I", "F"])
def test_levels_without_a_white_are_refused(mode: str) -> None:
    file = io.BytesIO()
    PIL.Image.fromarray(make_image()[..., 0]).convert(mode).save(file, "TIFF")
    with pytest.raises(RecordError) as caught:
        decode(file.getvalue())

    assert f"ValueError: mode {mode} does not say what is black and what is white" in caught.value.message


@pytest.mark.parametrize(("width", "height"), [(500, 375), (20, 31), (224, 224)])
def test_tf_filters_equal_tensorflow_rounded(width: int, height: int) -> None:
    pixels = make_image(width=width, height=height)
    view = plan_view(width, height, 48, 40, "stretch")
    for name, method in (("tf_bilinear", "bilinear"), ("tf_nearest", "nearest")):
        expected = tf.image.resize(pixels, (40, 48), method=method, antialias=False).numpy()
        found = show(PIL.Image.fromarray(pixels), view, name)

        # Half a level for rounding; positions near 500 are exact to 3e-5 in float32, times 255 levels.
        assert np.abs(found - expected).max() <= 0.5 + 0.01, name


def test_pillow_filters_equal_pillow() -> None:
    image = PIL.Image.fromarray(make_image(width=50, height=37))
    view = plan_view(50, 37, 24, 20, "stretch")
    for name in ("nearest", "bilinear", "bicubic", "lanczos"):
        expected = image.resize((24, 20), PIL.Image.Resampling[name.upper()])

        np.testing.assert_array_equal(np.asarray(expected), show(image, view, f"pillow_{name}"))


def test_a_centre_crop_is_the_middle_of_the_resized_image() -> None:
    """Where nothing has to be rounded: 64x48 to height 24, then the 16x16 in the middle."""
    image = PIL.Image.fromarray(make_image(width=64, height=48))
    view = plan_view(64, 48, 16, 16, "center_crop", crop=16 / 24)
    expected = np.asarray(image.resize((32, 24), PIL.Image.Resampling.BILINEAR))[4:20, 8:24]

    assert np.abs(show(image, view, "pillow_bilinear").astype(int) - expected).max() <= 1


def test_a_letterbox_pads_with_the_level_it_is_given() -> None:
    image = PIL.Image.fromarray(make_image(width=20, height=10))
    for interpolation in get_args(Interpolation):
        shown = show(image, plan_view(20, 10, 10, 10, "letterbox"), interpolation, padding=114)

        assert (10, 10, 3) == shown.shape
        assert (shown[:2] == 114).all()
        assert (shown[7:] == 114).all()
        assert (shown[2:7] != 114).any()


# What each family's `preprocess_input` does, as a config says it.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TF_STYLE = Preprocess(scale=(-1, 1))
TORCH_STYLE = Preprocess(scale=(0, 1), mean=IMAGENET_MEAN, std=IMAGENET_STD)
CAFFE_STYLE = Preprocess(channels="bgr", mean=(103.939, 116.779, 123.68))
AS_IS = Preprocess()


@pytest.mark.parametrize(
    ("family", "preprocess"),
    [
        ("convnext", AS_IS),
        ("densenet", TORCH_STYLE),
        ("efficientnet", AS_IS),
        ("efficientnet_v2", AS_IS),
        ("inception_resnet_v2", TF_STYLE),
        ("inception_v3", TF_STYLE),
        ("mobilenet", TF_STYLE),
        ("mobilenet_v2", TF_STYLE),
        ("mobilenet_v3", AS_IS),
        ("nasnet", TF_STYLE),
        ("resnet", CAFFE_STYLE),
        ("resnet_v2", TF_STYLE),
        ("vgg16", CAFFE_STYLE),
        ("vgg19", CAFFE_STYLE),
        ("xception", TF_STYLE),
    ],
)
def test_every_family_of_keras_applications_can_be_written(family: str, preprocess: Preprocess) -> None:
    images = make_image()[None]
    expected = getattr(keras.applications, family).preprocess_input(images.astype(np.float32))

    np.testing.assert_allclose(
        normalised(tf.constant(images), preprocess).numpy(), expected, rtol=1e-5, atol=1e-4
    )
