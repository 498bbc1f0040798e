"""Small pictures of exemplars against pictures made one by one."""

import io

import numpy as np
import PIL.ExifTags
import PIL.Image

from transforms.exemplars import Exemplar, Showing
from transforms.explain.again.counterfactual import box_mask, on_background, without
from transforms.explain.again.illustrate import LONGEST_SIDE, Need, needs_of, picture_of, pieces_of
from transforms.explain.decode import Decoding
from transforms.explain.settings import Preprocess
from transforms.outlines import pack
from transforms.records import Box

from .builders import encode, make_example, make_image

AS_STORED = Decoding()
VIEWS = {"m": ((16, 16), Preprocess())}


def exemplar(role, example_id="a.png", background_id=None, background_class=None):
    return Exemplar(role, example_id, background_id, background_class, None, None, None, [], None, None, None)


def jpeg(pixels):
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "JPEG", quality=80)
    return file.getvalue()


def pieces(example, role, lends=False, class_name="cat", views=VIEWS, decoding=AS_STORED):
    need = Need("f", 0, role, lends, "m", class_name)
    return [piece for _, piece in pieces_of(example, [need], views, decoding)]


def test_every_example_is_needed_for_each_picture_it_has_a_part_in():
    shown = [exemplar("worst"), exemplar("other_background", "a.png", "b.png", "dog")]

    assert {
        "a.png": [
            Need("f", 0, "worst", False, "m", "cat"),
            Need("f", 1, "other_background", False, "m", "cat"),
        ],
        "b.png": [Need("f", 1, "other_background", True, "m", "dog")],
    } == needs_of([Showing("f", "m", "cat", shown)])


def test_a_photo_is_shown_as_the_model_sees_it():
    image = make_image(width=16, height=16, seed=3)

    assert jpeg(image) == picture_of(pieces(make_example(image=encode(image)), "worst"))


def test_a_large_view_is_made_smaller_and_keeps_its_shape():
    image = make_example(image=encode(make_image(width=40, height=40)))
    (piece,) = pieces(image, "worst", views={"m": ((300, 600), Preprocess(resize="letterbox"))})
    shown = PIL.Image.open(io.BytesIO(piece.image))

    assert (LONGEST_SIDE, LONGEST_SIDE // 2) == shown.size
    # The image is 300 pixels high, in the middle of 600; the box from 2/40 to 10/40 of it, by 224 / 600.
    mask = np.asarray(PIL.Image.open(io.BytesIO(piece.mask)))
    assert (112, 224) == mask.shape
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    assert (6, 27, 62, 83) == (rows[0], rows[-1], columns[0], columns[-1])


def test_a_photo_is_turned_as_for_the_explanation():
    image = make_image(seed=5)
    file, exif = io.BytesIO(), PIL.Image.Exif()
    exif[PIL.ExifTags.Base.Orientation] = 3
    PIL.Image.fromarray(image).save(file, "PNG", exif=exif)
    turned = make_example(image=file.getvalue())
    upright = Decoding(upright=True)

    assert jpeg(image) == picture_of(pieces(turned, "worst"))
    assert jpeg(image[::-1, ::-1]) == picture_of(pieces(turned, "worst", decoding=upright))
    mask = box_mask([Box("cat", 6.0, 6.0, 14.0, 14.0)], 16, 16)
    flipped = image[::-1, ::-1]
    assert jpeg(without(flipped, mask)) == picture_of(pieces(turned, "removed", decoding=upright))


def test_an_object_with_an_outline_is_cut_out_by_it():
    image = make_image(seed=6)
    outline = pack([[(2.0, 2.0), (12.0, 2.0), (2.0, 12.0)]])
    box = Box("cat", 2.0, 2.0, 12.0, 12.0, outline=outline)
    mask = box_mask([box], 16, 16)
    found = picture_of(pieces(make_example(image=encode(image), boxes=[box]), "removed"))

    assert 0 < mask.sum() < 100
    assert jpeg(without(image, mask)) == found


def test_an_object_stands_on_the_filled_background_of_its_donor():
    subject, donor = make_image(seed=1), make_image(seed=2)
    own = make_example(image=encode(subject))
    other = make_example(
        image=encode(donor), boxes=[Box("dog", 0.0, 0.0, 5.0, 9.0), Box("cat", 9.0, 9.0, 12.0, 12.0)]
    )
    mask = box_mask([Box("cat", 2.0, 2.0, 10.0, 10.0)], 16, 16)
    hole = box_mask([Box("dog", 0.0, 0.0, 5.0, 9.0)], 16, 16)
    expected = on_background(subject, mask, without(donor, hole))
    parts = [*pieces(other, "other_background", True, "dog"), *pieces(own, "other_background")]
    found = picture_of(parts)

    assert jpeg(expected) == found


def test_the_object_is_taken_out_of_its_own_picture():
    image = make_image(seed=4)
    mask = box_mask([Box("cat", 2.0, 2.0, 10.0, 10.0)], 16, 16)

    assert jpeg(without(image, mask)) == picture_of(pieces(make_example(image=encode(image)), "removed"))


def test_boxes_in_shares_and_in_pixels_are_the_same():
    pixels = make_example()
    shares = make_example(boxes=[Box("cat", 2 / 16, 2 / 16, 10 / 16, 10 / 16)], relative=True)

    assert pieces(pixels, "worst") == pieces(shares, "worst")


def test_without_its_donor_or_its_image_there_is_no_picture():
    assert None is picture_of(pieces(make_example(), "same_background"))
    assert None is picture_of(pieces(make_example(), "same_background", True))
    assert [] == pieces(make_example(image=b"broken"), "worst")


def test_pictures_are_small():
    noise = encode(make_image(width=500, height=400))
    picture = picture_of(pieces(make_example(image=noise), "worst", views={"m": ((224, 224), Preprocess())}))

    assert picture is not None
    assert (224, 224) == PIL.Image.open(io.BytesIO(picture)).size
    assert len(picture) < np.prod((224, 224))
