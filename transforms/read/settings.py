"""What every format's part of the config has in common."""

from typing import Annotated, Any, Literal

import pydantic

from transforms.settings import Settings

Globs = str | Annotated[list[str], pydantic.Field(min_length=1)]


# One name, or several of which the first that is there counts.
Names = Annotated[
    tuple[str, ...],
    pydantic.Strict(False),
    pydantic.BeforeValidator(
        lambda value: (value,) if isinstance(value, str) else value,
        json_schema_input_type=str | tuple[str, ...],
    ),
    pydantic.Field(min_length=1),
]
FourNames = Annotated[tuple[str, str, str, str], pydantic.Strict(False)]


EdgeRule = Literal["half_open", "inclusive", "one_based"]
EDGES = (
    "what corners in pixels mean: half_open (the last pixel is right before xmax), inclusive (it is xmax), "
    "or one_based (inclusive, and the first pixel is 1, as in the original PASCAL VOC)"
)


class DataSettings(Settings):
    """Keys of `data` that mean the same for every format."""

    class_map: str | dict[str, int | Annotated[list[int], pydantic.Field(min_length=1)]] | None = (
        pydantic.Field(
            None,
            description="annotated name -> model class index, or a list of them (the target is then the "
            "one with the highest logit); a JSON or YAML file, or the mapping itself; default: the "
            "model's labels",
        )
    )
    names: str | list[str] | dict[str, str] | None = pydantic.Field(
        None,
        description="class names, where annotations have numbers or codes: a text file whose line i names "
        "class i, a CSV of code and name, a label map (.pbtxt), a YAML or JSON file with `names`, or the "
        "list or mapping itself",
    )
    metadata: str | None = pydantic.Field(
        None, description="table with more columns for slices, joined by example id: CSV, or .parquet"
    )
    metadata_id: str = pydantic.Field(
        "example_id", description="the column of metadata that holds example ids"
    )
    max_bad_fraction: float = pydantic.Field(
        0.01, ge=0, le=1, description="share of records that may be dead letters before the run fails"
    )


def extension_field(default: str) -> Any:
    """The key `extension` with a format's own default."""
    return pydantic.Field(
        default,
        pattern=r"^(\.[A-Za-z0-9.]+)?$",
        description="added to the names of images, where annotations name them without it, such as .jpg, "
        "which openimages and yolo take by default",
    )


class ImagesApart(DataSettings):
    """Keys of formats whose annotations stand in files beside the images."""

    images: str = pydantic.Field(description="folder that the file names in the annotations are relative to")
    extension: str = extension_field("")
    annotations: Globs = pydantic.Field(description="annotation files; a glob or a list of globs")


class ImagesWithin(DataSettings):
    """Keys of formats whose files hold the images."""

    path: Globs = pydantic.Field(description="data files; a glob or a list of globs")
    images: str | None = pydantic.Field(
        None, description="folder of the images, where the data files only name them"
    )


class Outlined(ImagesApart):
    """Keys of formats that may have outlines of objects, and not only boxes."""

    region: Literal["box", "mask"] = pydantic.Field(
        "box", description="what is measured: the boxes, or, where an object has one, its polygon or mask"
    )


Layout = Literal["xyxy", "yxyx", "xywh", "cxcywh"]
Unit = Literal["pixels", "shares"]


def layout_field(default: Layout) -> Any:
    """The key `layout` with a format's own default."""
    return pydantic.Field(
        default,
        description="order of a box's numbers: two corners, a corner and size, or centre and size; "
        "tfrecord and tfds: yxyx, csv and parquet_boxes: xyxy, parquet and webdataset: xywh",
    )


def unit_field(default: Unit) -> Any:
    """The key `unit` with a format's own default."""
    return pydantic.Field(
        default,
        description="boxes in pixels, or in shares of width and height; tfrecord and tfds: shares, "
        "others: pixels",
    )


class BoxNumbers(Settings):
    """Keys of formats that leave open what the four numbers of a box mean."""

    layout: Layout = layout_field("xyxy")
    unit: Unit = unit_field("pixels")
    edges: EdgeRule = pydantic.Field("half_open", description=EDGES)
