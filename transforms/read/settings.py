"""What every format's part of the config has in common."""

from typing import Annotated

import pydantic

from transforms.settings import Settings

Globs = str | Annotated[list[str], pydantic.Field(min_length=1)]


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
    max_bad_fraction: float = pydantic.Field(
        0.01, ge=0, le=1, description="share of records that may be dead letters before the run fails"
    )


class ImagesApart(DataSettings):
    """Keys of formats whose annotations stand in files beside the images."""

    images: str = pydantic.Field(description="folder that the file names in the annotations are relative to")
    annotations: Globs = pydantic.Field(description="annotation files; a glob or a list of globs")


class ImagesWithin(DataSettings):
    """Keys of formats whose files hold the images."""

    path: Globs = pydantic.Field(description="data files; a glob or a list of globs")
