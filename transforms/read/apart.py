"""Examples of formats whose annotations stand beside the images: what all of them do alike."""

from collections.abc import Sequence

from transforms.read.common import Source, image_path
from transforms.read.gathering import Annotations
from transforms.read.settings import ImagesApart
from transforms.records import Example, Slice


def example_of(
    file_name: str,
    annotations: Annotations,
    slices: Sequence[Slice],
    *,
    position: int,
    part: str,
    source: Source,
    settings: ImagesApart,
    relative: bool = False,
) -> Example:
    """The example of an image that an annotation file names; its id is the name of the image.

    Raises:
        RecordError: `unsafe_path`, the name leads out of the images folder.
    """
    file_name = full_name(file_name, settings)
    return Example(
        example_id=file_name,
        source=source.path,
        position=position,
        shard=part,
        image=b"",
        image_path=image_path(settings.images, file_name),
        boxes=annotations.boxes,
        labels=annotations.labels,
        relative=relative,
        slices=list(slices),
    )


def full_name(file_name: str, settings: ImagesApart) -> str:
    """The name of an image with its extension, where the config adds one."""
    has_it = file_name.lower().endswith(settings.extension.lower())
    return file_name if has_it else file_name + settings.extension
