"""Axes of a study: settings that are tried in combination at every place of its grid."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import Field, model_validator

from medtransfer.settings import Settings, identity_if_set

Scalar = bool | int | float | str | None
AxisName = Annotated[str, Field(min_length=1, max_length=200)]
Bounds = tuple[float, float]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
SIGNIFICANT = 6
"""Digits of values that are worked out: more would only make longer names of the same thing."""


def rounded(value: float) -> float:
    """A value with so many significant digits."""
    return float(f"{value:.{SIGNIFICANT}g}")


class AxisRange(Settings):
    """Range of an axis: `log` or `linear`, and the number of its values."""

    log: Bounds | None = identity_if_set(None)
    """Lowest and highest value; each is a constant factor above the one before."""
    linear: Bounds | None = identity_if_set(None)
    """Lowest and highest value; each is a constant step above the one before."""
    count: Count = identity_if_set(2)
    """Number of values, the bounds included. Not for `sample`, which draws between the bounds."""

    @model_validator(mode="after")
    def _one_scale(self) -> "AxisRange":
        bounds = self.bounds
        if (self.log is None) == (self.linear is None):
            raise ValueError("give log or linear, one of the two")
        if not bounds[0] < bounds[1] or not all(map(math.isfinite, bounds)):
            raise ValueError(f"the lower bound {bounds[0]:g} is not below the upper {bounds[1]:g}")
        if self.log is not None and bounds[0] <= 0:
            raise ValueError(f"log has the bound {bounds[0]:g} (allowed: above 0)")
        return self

    @property
    def bounds(self) -> Bounds:
        """Lowest and highest value."""
        return self.log or self.linear or (0.0, 0.0)

    def at(self, share: float) -> float:
        """Value at a share of the way from the lowest to the highest."""
        low, high = self.bounds
        if self.log is None:
            return rounded(low + share * (high - low))
        return rounded(low * (high / low) ** share)

    @property
    def values(self) -> tuple[float, ...]:
        """Evenly spaced values on its scale."""
        steps = max(1, self.count - 1)
        return tuple(self.at(number / steps) for number in range(self.count))


AxisValues = Annotated[tuple[Scalar, ...], Field(min_length=1, max_length=100_000)] | AxisRange
Axes = dict[AxisName, AxisValues]
Match = dict[AxisName, Scalar | tuple[Scalar, ...]]
"""Values that settings have, all of them; a list matches each of its values."""


class SampleConfig(Settings):
    """Points that are drawn from several ranges together."""

    method: Literal["random", "sobol"] = identity_if_set("sobol")
    """`sobol`: scrambled Sobol points (scipy), which fill the ranges evenly; best in powers of 2.
    `random`: independent draws."""
    count: Count = identity_if_set(...)
    """Number of points."""
    seed: int = identity_if_set(0, ge=0, lt=2**31)
    """Of the draw."""
    over: dict[AxisName, AxisRange] = identity_if_set(..., min_length=1)
    """Settings by dotted path, each with its range."""


class ConditionConfig(Settings):
    """Axes that are tried only where other settings have certain values."""

    when: Match = identity_if_set(..., min_length=1)
    """Settings by dotted path, or `rung`, with the values that they must have."""
    axes: Axes = identity_if_set(..., min_length=1)
    """Settings by dotted path with the values to try there, by product."""


class AxesConfig(Settings):
    """Settings by dotted path (`training.…`, `data.image.…`, `pool`) with the values to try.

    A path may stand directly under `axes`, as in `axes: {training.weight_decay: [0, 0.01]}`.
    """

    product: Axes = identity_if_set({})
    """Every combination of the values."""
    together: tuple[Axes, ...] = identity_if_set(())
    """Settings that change together: the first values of all, then the second, and so on."""
    sample: tuple[SampleConfig, ...] = identity_if_set(())
    """Points drawn from ranges."""
    conditions: tuple[ConditionConfig, ...] = identity_if_set(())
    """Axes that apply only where other settings have certain values."""
    exclude: tuple[Match, ...] = identity_if_set(())
    """Combinations that are left out: those in which all of the settings have the values."""

    @model_validator(mode="before")
    @classmethod
    def _paths_alone(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        fields = cast("Mapping[str, object]", value)
        paths = {name: each for name, each in fields.items() if name not in cls.model_fields}
        product = fields.get("product", {})
        if not paths or not isinstance(product, Mapping):
            return fields
        rest = {name: each for name, each in fields.items() if name in cls.model_fields}
        return rest | {"product": {**cast("Mapping[str, object]", product), **paths}}

    @model_validator(mode="after")
    def _fits_together(self) -> "AxesConfig":
        faults: list[str] = []
        for axes in self.together:
            lengths = {name: len(values_of(values)) for name, values in axes.items()}
            if len(set(lengths.values())) > 1:
                counts = ", ".join(f"{name} {length}" for name, length in lengths.items())
                faults.append(f"together has lists of different lengths: {counts}")
        names = [name for axes in self._parts() for name in axes]
        faults += [
            f"{name} is an axis twice" for name, count in Counter(names).items() if count > 1
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def _parts(self) -> Iterator[Mapping[str, object]]:
        """Axes of every combination."""
        yield self.product
        yield from self.together
        yield from (sample.over for sample in self.sample)

    @property
    def is_set(self) -> bool:
        """True if there is anything to try."""
        return bool(self.product or self.together or self.sample or self.conditions)

    @property
    def names(self) -> tuple[str, ...]:
        """Settings that are tried, in order."""
        parts = [*self._parts(), *(condition.axes for condition in self.conditions)]
        return tuple(dict.fromkeys(name for axes in parts for name in axes))

    @property
    def matched(self) -> tuple[str, ...]:
        """Settings that conditions and exclusions look at."""
        parts = [condition.when for condition in self.conditions]
        return tuple(dict.fromkeys(name for match in [*parts, *self.exclude] for name in match))

    @property
    def most(self) -> int:
        """Number of combinations, those that conditions and exclusions spare counted too."""
        lengths = [len(values_of(values)) for values in self.product.values()]
        lengths += [len(values_of(next(iter(axes.values())))) for axes in self.together if axes]
        lengths += [sample.count for sample in self.sample]
        for condition in self.conditions:
            lengths += [len(values_of(values)) for values in condition.axes.values()]
        return math.prod(lengths)


def values_of(values: AxisValues) -> tuple[Scalar, ...]:
    """Values of an axis."""
    return values.values if isinstance(values, AxisRange) else values
