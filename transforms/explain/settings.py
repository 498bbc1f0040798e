"""What a config may say about models and explanations; read without importing TensorFlow."""

from typing import Annotated, Any, Literal, get_args

import pydantic

from transforms.geometry import Resize
from transforms.settings import Pair, Settings, Size, Triple

Interpolation = Literal[
    "pillow_nearest",
    "pillow_bilinear",
    "pillow_bicubic",
    "pillow_lanczos",
    "tf_nearest",
    "tf_bilinear",
]
TargetRule = Literal["annotated", "predicted", "runner_up"]
Method = Literal[
    "cam", "gradcam", "gradcam++", "hirescam", "xgradcam", "layercam", "eigencam", "scorecam", "ablationcam"
]
Polarity = Literal["positive", "negative"]
METHODS: tuple[str, ...] = get_args(Method)
# Of the resolution of the image, for overlays only.
PIXEL_METHODS = ("guided_backprop", "guided_gradcam")
# The methods that need a forward pass for every channel; the others all come from one backward pass.
PERTURBATION_METHODS = ("scorecam", "ablationcam")


class Preprocess(Settings):
    """How a decoded RGB image in 0..255 becomes what the model was trained on.

    In this order: resize, channels, scale, mean, std. With nothing given the pixels reach the model as
    float32 in 0..255.
    """

    size: Size | None = pydantic.Field(
        None, description="[height, width] of the view in pixels; default: the model's own input size"
    )
    resize: Resize = pydantic.Field("stretch", description="stretch, center_crop or letterbox")
    crop: float = pydantic.Field(
        1.0, gt=0, le=1, description="center_crop only: share of the side that is kept; 224/256 is 0.875"
    )
    padding: int = pydantic.Field(
        0, ge=0, le=255, description="letterbox only: grey level of the padding, 0..255"
    )
    interpolation: Interpolation = pydantic.Field(
        "pillow_bilinear",
        description="pillow_* antialias where they shrink, tf_* do not, as tf.image.resize",
    )
    channels: Literal["rgb", "bgr"] = pydantic.Field("rgb", description="channel order that the model takes")
    scale: Pair | None = pydantic.Field(
        None, description="[low, high]: the values that pixel 0 and pixel 255 become"
    )
    mean: Triple | None = pydantic.Field(
        None, description="subtracted after scale, one for each channel in the model's order"
    )
    std: Triple | None = pydantic.Field(
        None, description="divides after mean, one for each channel in the model's order"
    )

    @pydantic.model_validator(mode="after")
    def _only_what_applies(self) -> "Preprocess":
        if self.crop != 1.0 and self.resize != "center_crop":
            raise ValueError(f"crop applies to resize: center_crop only, not to {self.resize}")
        if self.padding and self.resize != "letterbox":
            raise ValueError(f"padding applies to resize: letterbox only, not to {self.resize}")
        if self.std is not None and 0.0 in self.std:
            raise ValueError("std divides, so none of its values may be 0")
        return self


Orientation = Literal["stored", "upright"]


class ModelSettings(Settings):
    """One classifier to audit."""

    name: Annotated[str, pydantic.StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")] = (
        pydantic.Field(description="name of the model in every table; letters, digits, '.', '_' and '-'")
    )
    path: str = pydantic.Field(description="a .keras or .h5 file, or a SavedModel folder")
    labels: str | None = pydantic.Field(
        None, description="text file whose line i names class i; default: the index is the name"
    )
    preprocess: Preprocess = pydantic.Field(
        default_factory=Preprocess, description="what happens between RGB pixels in 0..255 and the model"
    )
    output: str | int | None = pydantic.Field(
        None, description="name or index of the output with the scores, for models with several"
    )
    score: str | None = pydantic.Field(
        None,
        description="module:function, from the outputs by name to scores of shape (N,) or (N, K) that are "
        "explained instead of the logits",
    )
    inputs: dict[str, Any] = pydantic.Field(
        {},
        description="constant values of the model's inputs other than the image, by name: numbers or lists",
    )
    target_layer: str | Annotated[tuple[str, ...], pydantic.Strict(False)] = pydantic.Field(
        "auto",
        description="auto, or the path of the Keras layer (for a SavedModel: the tensor) whose output is "
        "explained; or a list of them: one row each, and the first is judged",
    )
    token_grid: Size | None = pydantic.Field(
        None,
        description="[rows, columns] of a transformer's tokens, where they cannot be followed from the image",
    )
    custom_objects: str | None = pydantic.Field(
        None, description="dotted name of a module with the model's own layers; it is imported"
    )
    safe_mode: bool = pydantic.Field(
        True, description="refuse a file that carries Python code, which loading it would run"
    )

    @pydantic.field_validator("target_layer")
    @classmethod
    def _some_layer(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        if not value or (len(set(value)) != len(value) and not isinstance(value, str)):
            raise ValueError("target_layer needs one layer or several different ones")
        return value


class ExplainSettings(Settings):
    """Which heatmaps are computed, and how many images at a time."""

    methods: Annotated[tuple[Method, ...], pydantic.Strict(False)] = pydantic.Field(
        ("gradcam", "hirescam"),
        min_length=1,
        description="CAM methods; all come from one backward pass, but scorecam and ablationcam take a "
        "forward pass for every channel",
    )
    targets: Annotated[tuple[TargetRule, ...], pydantic.Strict(False)] = pydantic.Field(
        ("annotated",), min_length=1, description="whose logit is explained; verdicts use annotated"
    )
    classes: Annotated[tuple[int | str, ...], pydantic.Strict(False)] = pydantic.Field(
        (), description="classes that are explained on every image besides, by index or label (rows `listed`)"
    )
    polarity: Polarity = pydantic.Field(
        "positive",
        description="negative shows what speaks against a class, for looking at: no verdicts are made of it",
    )
    channel_budget: int = pydantic.Field(
        256,
        ge=1,
        description="scorecam and ablationcam: the most channels of an image that are tried, those that vary "
        "most over it",
    )
    batch_size: int = pydantic.Field(
        32,
        ge=1,
        le=4096,
        description="images in one pass on a GPU; on a CPU at most 4, or 16 of a model of more "
        "than 64 MiB, with a pass on each core",
    )
    precision: Literal["float32", "bfloat16"] = pydantic.Field(
        "float32",
        description="bfloat16 lets the CPU's matrix units compute in bfloat16 where it has them; one "
        "precision for the whole process",
    )
    decode: Literal["exact", "fast"] = pydantic.Field(
        "exact",
        description="fast reads a JPEG at a half, quarter or eighth of its size where that is still twice "
        "the largest model's input, as the decoder can at once",
    )
    orientation: Orientation = pydantic.Field(
        "stored",
        description="whether models see pixels as stored, as tf.io.decode_image gives them, or upright, "
        "turned by the image's EXIF orientation; the boxes follow",
    )
    boxes_orientation: Orientation = pydantic.Field(
        "stored",
        description="whether boxes were drawn on the pixels as stored or on the upright image, which "
        "browsers and most annotation tools show",
    )
    max_pixels: int = pydantic.Field(
        178_956_970,
        ge=1,
        description="pixels of an image above which it is a dead letter, and not decoded: a few bytes can "
        "claim any size",
    )
    accelerator: str | None = pydantic.Field(
        None,
        pattern=r"^type:[a-z0-9-]+;count:[1-9][0-9]*(;[a-z0-9:._-]+)*$",
        description="Dataflow only: the accelerator of the workers that hold the models, such as "
        "type:nvidia-tesla-t4;count:1;install-nvidia-driver; all other workers have none",
    )
    min_ram: str | None = pydantic.Field(
        None,
        pattern=r"^[0-9]+(\.[0-9]+)?(B|[KMGT]i?B)$",
        description="Dataflow only: the least memory of the workers that hold the models, such as 24GB",
    )

    @property
    def resource_hints(self) -> dict[str, str]:
        """What the steps that hold the models ask of their workers, by Beam's names."""
        hints = {"accelerator": self.accelerator, "min_ram": self.min_ram}
        return {name: value for name, value in hints.items() if value is not None}

    @pydantic.model_validator(mode="after")
    def _judgeable(self) -> "ExplainSettings":
        for key in ("methods", "targets", "classes"):
            values = getattr(self, key)
            if len(set(values)) != len(values):
                raise ValueError(f"{key} names one of its values twice: {', '.join(map(str, values))}")
        if "annotated" not in self.targets:
            raise ValueError("targets must include annotated: verdicts are about the annotated class")
        return self
