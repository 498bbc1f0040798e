"""How often the values of a slice column and the annotated classes stand together, in integers that merge.

A value that is missing counts as a value, and an image without a class as a class: what is annotated
only on some images may be just what gives their class away.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable
from typing import Self

import numpy as np

from transforms.geometry import Floats
from transforms.judge.heat import UNIT

# A column of more values is an id or a number, no slice; counting them would need as much room as the data.
MAX_VALUES = 100

# None stands for a missing value, and for no class.
Name = str | None


@dataclasses.dataclass(eq=False)
class Contingency:
    """Counts of one column; `add` and `merge` change it, in any order to the same end, `+` makes a new one.

    An example of k classes counts in each of them with a weight of 1 / k, kept in units of 2^-32.

    Attributes:
        examples: all examples.
        missing: those without a value.
        values: examples by value.
        classes: examples by class.
        together: examples by value and class.
        weights: sums of the weights by value and class.
        squares: sums of the squared weights by class.
        too_many: more than `MAX_VALUES` values were seen, and the counts by value and class were dropped.
    """

    examples: int = 0
    missing: int = 0
    values: Counter[Name] = dataclasses.field(default_factory=Counter)
    classes: Counter[Name] = dataclasses.field(default_factory=Counter)
    together: Counter[tuple[Name, Name]] = dataclasses.field(default_factory=Counter)
    weights: Counter[tuple[Name, Name]] = dataclasses.field(default_factory=Counter)
    squares: Counter[Name] = dataclasses.field(default_factory=Counter)
    too_many: bool = False

    def add(self, value: Name, names: Iterable[str]) -> None:
        """Counts one example: its value, or None, and its annotated names, each once."""
        classes: list[Name] = list(names) or [None]
        self.examples += 1
        self.missing += value is None
        if self.too_many:
            return
        self.values[value] += 1
        for name in classes:
            self.classes[name] += 1
            self.together[value, name] += 1
            self.weights[value, name] += round(UNIT / len(classes))
            self.squares[name] += round(UNIT / len(classes) ** 2)
        self._drop_too_many()

    def merge(self, other: "Contingency") -> Self:
        """Adds the counts of other examples."""
        self.examples += other.examples
        self.missing += other.missing
        self.too_many |= other.too_many
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))
        self._drop_too_many()
        return self

    def __add__(self, other: "Contingency") -> "Contingency":
        return Contingency().merge(self).merge(other)

    def table(self) -> tuple[list[Name], list[Name], Floats]:
        """Values, classes, and the sums of weights, shape (values, classes); each sorted, None first."""
        values, classes = (
            sorted(of, key=lambda name: (name is not None, name)) for of in (self.values, self.classes)
        )
        weights = np.array([[self.weights[value, name] for name in classes] for value in values])
        return values, classes, weights.reshape(len(values), len(classes)) / UNIT

    def _drop_too_many(self) -> None:
        if self.too_many or len(self.values) - (None in self.values) > MAX_VALUES:
            self.too_many = True
            for name in _COUNTERS:
                getattr(self, name).clear()


_COUNTERS = ("values", "classes", "together", "weights", "squares")
