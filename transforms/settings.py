"""The base of every settings model: strict, frozen, and closed to unknown keys."""

from typing import Annotated

import pydantic


class Settings(pydantic.BaseModel):
    """Settings of one room. Unknown keys and wrong types are errors, never guesses."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)


# YAML knows lists, not tuples: these take a list of exactly that length.
Pair = Annotated[tuple[float, float], pydantic.Strict(False)]
Triple = Annotated[tuple[float, float, float], pydantic.Strict(False)]
Size = Annotated[
    tuple[pydantic.PositiveInt, pydantic.PositiveInt],
    pydantic.Strict(False),
]
