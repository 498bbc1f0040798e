"""Which models the suite trains, and by which seeds.

The core is 100 models: five shortcuts at four strengths on two heads, twice, and 20 clean ones. Controls
stand beside it, each with its own question. The subset keeps every kind and both heads.
"""

import dataclasses
from collections.abc import Iterator
from typing import Final, Literal

Head = Literal["gap", "mlp"]
Seeds = Literal["tuning", "reporting"]

HEADS: Final[tuple[Head, ...]] = ("gap", "mlp")
KINDS: Final = ("tag", "frame", "texture", "cooccurring", "cast")
"""The shortcuts of the core, whose place a heatmap could show, if at all."""

STRENGTHS: Final = (0.2, 0.5, 0.8, 1.0)
ELSEWHERE: Final = 0.02
"""Share of the pictures of every other class that carry the shortcut too."""

FIRST_SEED: Final[dict[Seeds, int]] = {"tuning": 1_000, "reporting": 20_000}
"""Model i of the list has the first seed plus i. Whoever changes a rule looks at the tuning seeds only."""


@dataclasses.dataclass(frozen=True)
class Plant:
    """A shortcut in the pictures of a class.

    Attributes:
        kind: key of `shortcuts.SHORTCUTS`.
        label: class index; None plants it in all classes alike, which makes it no shortcut.
        share: share of the class's pictures that carry it, 0 to 1.
    """

    kind: str
    label: int | None
    share: float


@dataclasses.dataclass(frozen=True)
class Spec:
    """A model of the suite.

    Attributes:
        name: as in the tables.
        role: `planted` and `clean` are the core; a control's role is its name.
        head: `gap` is global average pooling and a linear layer, `mlp` two dense layers.
        plants: what its pictures carry, in training as in the audit.
        seed: fixes its pictures, first weights and batches.
        box_noise: standard deviation of each edge of the annotated boxes, as a share of the box's side.
        trained: a model that is not has its first, random weights.
        in_subset: part of the short run.
    """

    name: str
    role: str
    head: Head
    plants: tuple[Plant, ...]
    seed: int
    box_noise: float = 0.0
    trained: bool = True
    in_subset: bool = False

    @property
    def has_slice_audit(self) -> bool:
        """Whether slices of it are tested: those with a shortcut that has a place."""
        return self.role == "planted" and self.plants[0].kind in ("tag", "frame", "cooccurring")


def all_specs(seeds: Seeds) -> list[Spec]:
    """Every model of the full run; the subset are those `in_subset`."""
    drafts = [*_planted(), *_clean(), *_controls()]
    return [dataclasses.replace(draft, seed=FIRST_SEED[seeds] + i) for i, draft in enumerate(drafts)]


# Strengths of the subset: where its reliance is neither nothing nor everything, and for the cast, which
# is a weak shortcut, the strongest.
_SUBSET_STRENGTHS: Final = {
    "tag": (0.5, 1.0),
    "frame": (0.8,),
    "texture": (0.8,),
    "cooccurring": (0.5, 1.0),
    "cast": (1.0,),
}


def _planted() -> Iterator[Spec]:
    for repeat in (1, 2):
        for kind in KINDS:
            for share in STRENGTHS:
                for head in HEADS:
                    yield Spec(
                        f"{kind}-{share}-{head}-{repeat}",
                        "planted",
                        head,
                        (Plant(kind, 0, share),),
                        seed=0,
                        in_subset=repeat == 1 and share in _SUBSET_STRENGTHS[kind],
                    )


def _clean() -> Iterator[Spec]:
    for repeat in range(1, 11):
        for head in HEADS:
            yield Spec(f"clean-{head}-{repeat}", "clean", head, (), seed=0, in_subset=repeat <= 2)


def _controls() -> Iterator[Spec]:
    """One question each; the subset asks it of one head."""
    for head in HEADS:
        gap = head == "gap"
        tag, frame = Plant("tag", 0, 1.0), Plant("frame", 3, 1.0)
        yield Spec(f"sticker-{head}", "sticker", head, (Plant("sticker", 0, 1.0),), 0, in_subset=gap)
        yield Spec(f"blur-{head}", "blur", head, (Plant("blur", 0, 1.0),), 0, in_subset=not gap)
        yield Spec(f"shadow-{head}", "shadow", head, (Plant("shadow", None, 1.0),), 0, in_subset=gap)
        yield Spec(f"two-{head}", "two", head, (tag, frame), 0, in_subset=not gap)
        yield Spec(f"noisy-{head}", "noisy", head, (tag,), 0, box_noise=0.1, in_subset=gap)
        yield Spec(f"random-{head}", "random", head, (), 0, trained=False, in_subset=not gap)
