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
    reference_model: str | None = pydantic.Field(
        None,
        min_length=1,
        description="name of a trusted model of this run: a class of another model is compared with the same "
        "class of this one rather than with its own model's other classes",
    )
    min_images: int = pydantic.Field(
        30, ge=2, description="measured images or clusters below which a class or slice is insufficient"
    )
    confirm: bool = pydantic.Field(
        True,
        description="test sampled images on other backgrounds; without it verdicts are suspect, unsuspected "
        "and insufficient",
    )
    epsilon: float = pydantic.Field(
        0.1,
        ge=0,
        lt=1,
        description="mean change of the class's probability by another background that is tolerated; 0.1 for "
        "photographs, where context is legitimate, 0.02 where it is not",
    )
    images_per_class: int = pydantic.Field(
        300, ge=2, description="images of a class that are tested on other backgrounds"
    )
    confirm_budget: int | None = pydantic.Field(
        None,
        ge=2,
        description="images that are so tested in all; null: 2000 or 4 % of the images, whichever is more. "
        "Classes share it equally; where that would be fewer than 50 each, the most suspicious get 50",
    )
    health_images: int = pydantic.Field(
        128,
        ge=0,
        le=10000,
        description="images on which a model's heatmaps are compared with those of the same network with its "
        "weights drawn anew, three times; 0 does without",
    )
    allowed_regions: Annotated[tuple[Region, ...], pydantic.Strict(False)] = pydantic.Field(
        (),
        description="parts of the picture that are accepted context: outside the boxes, heat there counts "
        "neither as inside nor as outside",
    )
    allowed_classes: Annotated[tuple[str, ...], pydantic.Strict(False)] = pydantic.Field(
        (), description="annotated names whose boxes are accepted context of every other class, likewise"
    )
    required: Annotated[tuple[str, ...], pydantic.Strict(False)] = pydantic.Field(
        (),
        description="what must have a verdict of every model, or the gate is inconclusive: a class, a slice "
        "`key=value` in some class, or a slice within a class `class, key=value`",
    )
    waivers: str | None = pydantic.Field(
        None, description="YAML file of known findings that the gate lets pass until they expire"
    )
