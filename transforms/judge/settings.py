"""What a config may say about verdicts."""

from typing import Annotated

import pydantic

from transforms.regions import Region
from transforms.settings import Settings


class JudgeSettings(Settings):
    """When a class or slice is flagged."""

    fdr: float = pydantic.Field(
        0.1,
        gt=0,
        lt=1,
        description="expected share of false flags among the flags of one model, its references taken as "
        "given (e-BH)",
    )
    suspect_margin: float = pydantic.Field(
        0.1,
        ge=0,
        lt=1,
        description="how far the mean density share must lie below the median of the model's other classes",
    )
    min_images: int = pydantic.Field(
        30, ge=2, description="measured images below which a class or slice is insufficient"
    )
    confirm: bool = pydantic.Field(
        False,
        description="ask for the counterfactual stage; this version has none and says so: verdicts stay "
        "suspect, unsuspected and insufficient",
    )
    epsilon: float = pydantic.Field(
        0.1, ge=0, lt=1, description="background swap gap that the counterfactual stage tolerates"
    )
    allowed_regions: Annotated[tuple[Region, ...], pydantic.Strict(False)] = pydantic.Field(
        (),
        description="parts of the picture that are accepted context: outside the boxes, heat there counts "
        "neither as inside nor as outside",
    )
    allowed_classes: Annotated[tuple[str, ...], pydantic.Strict(False)] = pydantic.Field(
        (), description="annotated names whose boxes are accepted context of every other class, likewise"
    )
