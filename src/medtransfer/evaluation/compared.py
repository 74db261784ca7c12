"""The groups of an attribute that are compared by a metric."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medtransfer.evaluation.numbers import Key, Number, Numbers
from medtransfer.evaluation.place import Place, Slice
from medtransfer.metrics.kernels import Flags, Floats
from medtransfer.tables.results import ALL, MACRO, MICRO, Result

COMPARED = (
    "auroc", "balanced_accuracy", "accuracy", "ece", "sensitivity", "specificity", "ppv",
    "predicted_prevalence", "underdiagnosis",
)  # fmt: skip
"""Metrics, without their operating point, that groups are compared by."""


@dataclass(frozen=True)
class Compared:
    """The groups of one attribute that are large enough for a metric.

    Attributes:
        place: Where.
        attribute: Whose groups.
        key: Target and metric.
        targets: Whose mean it is, for `macro`: those for which every group has the metric.
        groups: Their slices. G
        numbers: The metric of each. G
    """

    place: Place
    attribute: str
    key: Key
    targets: tuple[str, ...]
    groups: tuple[Slice, ...]
    numbers: tuple[Number, ...]

    @property
    def cases(self) -> Flags:
        """Cases of these groups. [N]"""
        if not self.groups:
            return np.zeros(len(self.place.run.frame), dtype=np.bool_)
        return np.logical_or.reduce([part.cases for part in self.groups])

    @property
    def left_out(self) -> str | None:
        """Which targets a mean is not over."""
        without = len(self.place.run.names) - len(self.targets)
        if self.key[0] != MACRO or not without or not self.targets:
            return None
        return f"{without} of {len(self.place.run.names)} targets left out: undefined in a group"

    @property
    def values(self) -> list[Floats]:
        """The metric of each group, in the sample and in every replicate. G times [1 + R]"""
        return [n.values for n in self.numbers if n.values is not None]

    def row(
        self,
        metric: str,
        value: float | None,
        interval: tuple[float, float] | None = None,
        reason: str | None = None,
    ) -> Result:
        """A row of the results table."""
        low, high = interval or (None, None)
        run, cases = self.place.run, self.cases
        return Result(
            run.run_id, "test", self.place.name, self.key[0], metric, value, low, high,
            int(cases.sum()), run.patients(cases), None, reason or self.left_out,
            self.attribute, ALL,
        )  # fmt: skip


def compared_keys(numbers: Sequence[Numbers]) -> list[Key]:
    """What groups are compared by."""
    keys = dict.fromkeys(key for own in numbers for key in own)
    return [key for key in keys if key[0] != MICRO and key[1].split("@")[0] in COMPARED]


def compare_groups(
    place: Place, attribute: str, key: Key, found: Sequence[tuple[Slice, Numbers]]
) -> Compared:
    """Gather the groups that have a metric; for `macro`, over the targets that all of them have.

    Args:
        place: Where.
        attribute: Whose groups.
        key: Target and metric.
        found: The attribute's groups with their numbers.
    """
    targets = _shared_targets(place, key[1], found) if key[0] == MACRO else ()
    large = [
        (part, own[key] if key[0] != MACRO else _mean_of([own[name, key[1]] for name in targets]))
        for part, own in found
        if _is_defined(own, key) and (targets or key[0] != MACRO)
    ]
    groups, numbers = zip(*large, strict=True) if large else ((), ())
    return Compared(place, attribute, key, targets, groups, numbers)


def _is_defined(own: Numbers, key: Key) -> bool:
    return key in own and (v := own[key].values) is not None and bool(np.isfinite(v[0]))


def _shared_targets(
    place: Place, metric: str, found: Sequence[tuple[Slice, Numbers]]
) -> tuple[str, ...]:
    """The targets for which every group has a metric that has it for any.

    Means over other targets in one group than in its neighbour would differ without a cause.
    """
    names = place.run.names
    large = [own for _, own in found if any(_is_defined(own, (name, metric)) for name in names)]
    return tuple(n for n in names if all(_is_defined(own, (n, metric)) for own in large))


def _mean_of(numbers: Sequence[Number]) -> Number:
    """The mean over targets of one group. Their values are known."""
    values = np.mean([n.values for n in numbers if n.values is not None], axis=0)
    return replace(numbers[0], values=values, positives=None)
