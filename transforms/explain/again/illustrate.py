"""Small pictures of the images that findings show, in the model's view.

A picture of an object on another background is made again from the two examples, as the counterfactual stage
made it; no model is asked.
"""

import dataclasses
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import PIL.Image

from transforms.errors import RecordError
from transforms.exemplars import Showing
from transforms.explain.again.counterfactual import Mask, Pixels, box_mask, on_background, without
from transforms.explain.decode import Decoding, decode_as, show, with_boxes_of
from transforms.explain.explainer import Pictured
from transforms.explain.settings import Preprocess
from transforms.geometry import plan_view
from transforms.records import Example

# Pixels of the longer side of a picture, and its JPEG quality.
LONGEST_SIDE, _QUALITY = 224, 80


@dataclasses.dataclass(frozen=True)
class Need:
    """What an example is needed for.

    Attributes:
        finding_id, index: the picture: its finding, and its position among the finding's exemplars.
        role: of the picture.
        lends: whether the example lends the background only.
        model, class_name: whose view, and the class of the object.
    """

    finding_id: str
    index: int
    role: str
    lends: bool
    model: str
    class_name: str


@dataclasses.dataclass(frozen=True)
class Piece:
    """An example as a part of a picture: as PNG, no larger than the picture, with the mask of its object."""

    role: str
    lends: bool
    image: bytes
    mask: bytes


Key = tuple[str, int]


def needs_of(showings: Iterable[Showing]) -> dict[str, list[Need]]:
    """Example id -> what it is needed for."""
    needs: dict[str, list[Need]] = {}
    for showing in showings:
        for index, exemplar in enumerate(showing.exemplars):
            subject = (exemplar.example_id, showing.class_name, False)
            donor = (exemplar.background_id, exemplar.background_class, True)
            for example_id, class_name, lends in (subject, donor):
                if example_id is not None:
                    need = Need(
                        *(showing.finding_id, index, exemplar.role, lends), showing.model, str(class_name)
                    )
                    needs.setdefault(example_id, []).append(need)
    return needs


def pieces_of(
    example: Example,
    needs: Sequence[Need],
    views: Mapping[str, tuple[tuple[int, int], Preprocess]],
    decoding: Decoding,
) -> Iterator[tuple[Key, Piece]]:
    """An example as the pieces that are needed of it; none where it cannot be decoded.

    Args:
        example: with its image.
        needs: of this example.
        views: model -> (height, width) of its input, and how images are shown to it.
        decoding: how image files are read, as for the explanations.
    """
    try:
        decoded = decode_as(example.image, decoding)
    except RecordError:
        return
    image = decoded.image
    picture = Pictured(with_boxes_of(decoded, example), image.width, image.height, {})
    for need in needs:
        (height, width), how = views[need.model]
        view = plan_view(image.width, image.height, width, height, how.resize, how.crop)
        boxes = [picture.shown(box, view) for box in picture.example.boxes if box.name == need.class_name]
        shown = PIL.Image.fromarray(show(image, view, how.interpolation, how.padding))
        shown.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        mask = PIL.Image.fromarray(box_mask(boxes, width, height)).resize(shown.size)
        piece = Piece(need.role, need.lends, _encoded(shown, "PNG"), _encoded(mask, "PNG"))
        yield (need.finding_id, need.index), piece


def picture_of(pieces: Iterable[Piece]) -> bytes | None:
    """The JPEG of one picture from its pieces; None where one of the two that it takes is missing."""
    parts = {piece.lends: piece for piece in pieces}
    subject, donor = parts.get(False), parts.get(True)
    if subject is None or (donor is None and subject.role in ("same_background", "other_background")):
        return None
    pixels, mask = _pixels(subject)
    if donor is not None:
        background, own = _pixels(donor)
        pixels = on_background(pixels, mask, without(background, own))
    elif subject.role == "removed":
        pixels = without(pixels, mask)
    return _encoded(PIL.Image.fromarray(pixels), "JPEG", quality=_QUALITY)


def _pixels(piece: Piece) -> tuple[Pixels, Mask]:
    image, mask = (np.asarray(PIL.Image.open(io.BytesIO(data))) for data in (piece.image, piece.mask))
    return image, mask


def _encoded(image: PIL.Image.Image, kind: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
