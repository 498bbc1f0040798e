"""What a config may say about the report."""

from typing import Literal

import pydantic

from transforms.settings import Settings


class ReportSettings(Settings):
    """What the report shows."""

    exemplars: int = pydantic.Field(
        2,
        ge=0,
        le=8,
        description="images of each kind (worst, typical, for contrast) that a finding shows; 0 for none",
    )
    images: bool = pydantic.Field(
        True,
        description="keep small pictures of these images in the tables and the report; false for sensitive "
        "data, of which heatmaps, boxes and ids are shown only",
    )
    colormap: Literal["viridis", "jet"] = pydantic.Field(
        "viridis", description="colours of the heat as the report opens; its reader can change them"
    )
