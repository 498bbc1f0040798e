"""Computed slice columns: every bin on either side of its edges, on pictures drawn for it."""

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.columns import COMPUTED_COLUMNS, PHOTOGRAPHIC
from transforms.explain.appearance import describe
from transforms.records import Box, Slice

from .builders import encode, make_example, make_image
from .strategies import boxes


def value_of(column, pixels, example=None):
    """The value of one column for uint8 pixels of shape (height, width) or (height, width, 3)."""
    image = PIL.Image.fromarray(pixels).convert("RGB")
    [found] = describe(image, example or make_example(boxes=[]), [column])
    assert f"image.{column}" == found.key
    return found.value


def grey(level, width=64, height=64):
    return np.full((height, width), level, np.uint8)


def waves(period, width=128, height=128):
    """Brightness in waves from left to right; the Laplacian has (2 - 2 cos(2 pi / period))^2 its variance."""
    row = 127.5 + 100 * np.sin(2 * np.pi * np.arange(width) / period)
    return np.tile(np.rint(row).astype(np.uint8), (height, 1))


def checks(side):
    return np.indices((side, side)).sum(axis=0).astype(np.uint8) % 2 * 255


@pytest.mark.parametrize(
    ("level", "expected"), [(76, "dark"), (77, "normal"), (152, "normal"), (153, "bright"), (255, "bright")]
)
def test_brightness(level, expected):
    assert expected == value_of("brightness", grey(level))


@pytest.mark.parametrize(
    ("level", "expected"), [(102, "dark"), (103, "normal"), (153, "normal"), (154, "bright")]
)
def test_the_border_is_compared_with_the_rest(level, expected):
    pixels = grey(level)
    pixels[2:-2, 2:-2] = 128
    assert expected == value_of("border", pixels)


def test_bars_on_two_sides_are_a_dark_border():
    pixels = grey(128)
    pixels[:8] = pixels[-8:] = 0
    assert "dark" == value_of("border", pixels)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((125, 100, 75), "warm"),  # 50 of 300
        ((120, 100, 80), "neutral"),  # 40 of 300
        ((93, 100, 107), "neutral"),  # -14 of 300
        ((92, 100, 108), "cool"),  # -16 of 300
        ((100, 100, 102), "grey"),
        ((100, 100, 103), "neutral"),
        ((0, 0, 0), "grey"),
    ],
)
def test_colour_cast(colour, expected):
    assert expected == value_of("colour_cast", np.full((20, 30, 3), colour, np.uint8))


def test_colours_that_balance_are_no_cast_and_not_grey():
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, :16, 0] = pixels[:, 16:, 2] = 200
    assert "neutral" == value_of("colour_cast", pixels)


@pytest.mark.parametrize(
    ("period", "expected"),
    [(16, "blurred"), (12, "blurred"), (10, "normal"), (6, "normal"), (4, "sharp"), (2, "sharp")],
)
def test_blur(period, expected):
    assert expected == value_of("blur", waves(period) if period > 2 else checks(128))


def test_a_picture_without_any_edge_is_blurred():
    assert "blurred" == value_of("blur", grey(128))


def test_letters_in_a_corner_make_no_picture_sharp():
    pixels = waves(16)
    pixels[-24:, :24] = checks(24)
    assert "blurred" == value_of("blur", pixels)


def test_a_plain_background_makes_no_picture_blurred():
    pixels = grey(128, 128, 128)
    pixels[:64, :64] = waves(4, 64, 64)
    assert "sharp" == value_of("blur", pixels)


CORNERS = {
    "top_left": (slice(4, 12), slice(4, 12)),
    "top_right": (slice(4, 12), slice(52, 60)),
    "bottom_left": (slice(52, 60), slice(4, 12)),
    "bottom_right": (slice(52, 60), slice(52, 60)),
}


@pytest.mark.parametrize("corner", CORNERS)
def test_the_corner_with_the_edges_is_named(corner):
    pixels = grey(128)
    pixels[CORNERS[corner]] = checks(8)
    assert corner == value_of("corner_edges", pixels)


@pytest.mark.parametrize(("strength", "expected"), [(20, "top_left"), (17, "none")])
def test_a_corner_has_three_times_the_edge_energy_of_any_other(strength, expected):
    pixels = grey(100)
    for corner, place in CORNERS.items():
        pixels[place] += checks(8) // 255 * (strength if corner == "top_left" else 10)
    assert expected == value_of("corner_edges", pixels)


@pytest.mark.parametrize("pixels", [grey(128), grey(128) + checks(64) // 255], ids=["flat", "faint"])
def test_without_edges_no_corner_is_named(pixels):
    pixels[CORNERS["top_left"]] += checks(8) // 255
    assert "none" == value_of("corner_edges", pixels)


@pytest.mark.parametrize(
    ("width", "expected"), [(94, "portrait"), (95, "square"), (104, "square"), (105, "landscape")]
)
def test_aspect_ratio(width, expected):
    assert expected == value_of("aspect_ratio", grey(128, width, 100))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        *((kind, kind.lower()) for kind in ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP")),
        ("PPM", "other"),
    ],
)
def test_the_file_format_is_told_by_the_bytes(kind, expected):
    example = make_example(example_id="a.jpg", image=encode(make_image(), kind=kind))
    assert expected == value_of("file_format", make_image(), example)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((0, 0, 16, 15), "small"),
        ((0, 0, 16, 16), "medium"),  # a sixteenth of 64 x 64
        ((-9, -9, 32, 31), "medium"),
        ((-9, -9, 32, 32), "large"),  # a quarter, inside the picture
        ((64, 0, 80, 64), "none"),
    ],
)
@pytest.mark.parametrize("relative", [False, True])
def test_box_size_is_that_of_the_largest_box(box, expected, relative):
    edges = [edge / 64 for edge in box] if relative else box
    boxes = [Box("cat", 0, 0, 0, 0), Box("dog", *edges)]
    example = make_example(boxes=boxes, relative=relative)
    assert expected == value_of("box_size", grey(128), example)


@pytest.mark.parametrize(
    ("count", "expected"), [(0, "none"), (1, "one"), (2, "few"), (4, "few"), (5, "many"), (50, "many")]
)
def test_objects(count, expected):
    example = make_example(boxes=[Box("cat", 1, 1, 2, 2)] * count)
    assert expected == value_of("objects", grey(128), example)


def test_what_is_to_be_ignored_is_no_object_and_no_background_either():
    crowd = Box("cat", 16, 16, 48, 48, ignored=True)
    example = make_example(boxes=[crowd])
    pixels = grey(20)
    pixels[16:48, 16:48] = 255
    assert "none" == value_of("objects", pixels, example)
    assert "none" == value_of("box_size", pixels, example)
    assert "dark" == value_of("brightness", pixels, example)


def test_a_large_picture_is_described_as_its_small_copy():
    small = np.random.default_rng(0).integers(0, 256, (144, 192, 3), np.uint8)
    small[:, :, 0] //= 2
    large = small.repeat(3, axis=0).repeat(3, axis=1)
    columns = ("brightness", "border", "colour_cast", "blur", "corner_edges")
    images = (PIL.Image.fromarray(pixels) for pixels in (small, large))
    one, other = (describe(image, make_example(boxes=[]), columns) for image in images)
    assert one == other


def test_columns_come_in_the_order_asked_for():
    image = PIL.Image.fromarray(make_image())
    assert [Slice("image.objects", "one"), Slice("image.file_format", "png")] == describe(
        image, make_example(), ["objects", "file_format"]
    )
    assert [] == describe(image, make_example(), [])


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 300), (300, 1), (2, 2), (5, 4), (6, 6)])
def test_a_tiny_picture_has_every_column(width, height):
    image = PIL.Image.fromarray(make_image(width=width, height=height))
    assert len(COMPUTED_COLUMNS) == len(describe(image, make_example(), COMPUTED_COLUMNS))


def test_size_and_number_of_objects_are_computed_on_request_only():
    assert ("box_size", "objects") == tuple(c for c in COMPUTED_COLUMNS if c not in PHOTOGRAPHIC)


AROUND = Box("cat", 8, 8, 56, 56)


@pytest.mark.parametrize(
    ("column", "inside", "expected"),
    [
        ("brightness", 255, "dark"),
        ("border", 255, "normal"),
        ("colour_cast", (0, 0, 255), "grey"),
        ("blur", "checks", "blurred"),
        ("corner_edges", "checks", "none"),
    ],
)
def test_pixels_are_looked_at_outside_the_boxes(column, inside, expected):
    pixels = np.full((64, 64, 3), 50, np.uint8)
    # In the box, and in the top left corner of the picture too.
    pixels[8:56, 8:56] = checks(48)[..., None] if inside == "checks" else inside
    whole = value_of(column, pixels)
    assert (expected, True) == (
        value_of(column, pixels, make_example(boxes=[AROUND])),
        whole != expected or column == "corner_edges",
    )


def test_a_picture_that_is_all_object_is_looked_at_whole():
    boxes = [Box("cat", 0.0, 0.0, 1.0, 0.94)]
    example = make_example(boxes=boxes, relative=True)
    pixels = grey(255, 100, 100)
    pixels[94:] = 0
    assert "bright" == value_of("brightness", pixels, example)
    boxes[0] = Box("cat", 0.0, 0.0, 1.0, 0.93)
    assert "dark" == value_of(
        "brightness",
        np.where(np.arange(100)[:, None] < 93, 255, pixels * 0),
        make_example(boxes=boxes, relative=True),
    )


def test_a_corner_that_is_in_a_box_is_no_corner():
    pixels = grey(128)
    pixels[CORNERS["top_left"]] = checks(8)
    in_box = [Box("cat", 0, 0, 16, 16)]
    assert "none" == value_of("corner_edges", pixels, make_example(boxes=in_box))
    pixels[CORNERS["bottom_left"]] = checks(8)
    assert "none" == value_of("corner_edges", pixels)
    assert "bottom_left" == value_of("corner_edges", pixels, make_example(boxes=in_box))
    # One corner is not compared with itself.
    others = [Box("cat", 0, 0, 64, 32), Box("cat", 32, 32, 64, 64)]
    assert "none" == value_of("corner_edges", pixels, make_example(boxes=others))


VALUES = {
    "brightness": {"dark", "normal", "bright"},
    "border": {"dark", "normal", "bright"},
    "colour_cast": {"grey", "cool", "neutral", "warm"},
    "blur": {"blurred", "normal", "sharp"},
    "corner_edges": {"none", *CORNERS},
    "aspect_ratio": {"portrait", "square", "landscape"},
    "file_format": {"png"},
    "box_size": {"none", "small", "medium", "large"},
    "objects": {"none", "one", "few", "many"},
}


@given(st.integers(1, 40), st.integers(1, 40), st.lists(boxes(40, 40), max_size=3), st.integers(0, 9))
def test_every_picture_and_every_box_has_a_word_of_the_documentation(width, height, edges, seed):
    image = PIL.Image.fromarray(make_image(width=width, height=height, seed=seed))
    example = make_example(boxes=[Box("cat", *box) for box in edges])
    found = describe(image, example, COMPUTED_COLUMNS)
    assert all(entry.value in VALUES[entry.key.removeprefix("image.")] for entry in found)
