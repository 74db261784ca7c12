"""Combinations of a study's axes, and the settings that they lead to."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from medtransfer.data.config import ImageConfig
from medtransfer.errors import suggestion
from medtransfer.models.config import ModelConfig
from medtransfer.seeds import derive_seed
from medtransfer.settings import Settings, sides_of
from medtransfer.study.axes.config import AxesConfig, Match, SampleConfig, Scalar, values_of
from medtransfer.training.config import TrainingConfig

Combination = tuple[tuple[str, Scalar], ...]
"""Settings by dotted path, with their values."""
ROOTS: tuple[tuple[str, type[Settings]], ...] = (
    ("training.", TrainingConfig),
    ("data.image.", ImageConfig),
)
OF_MODEL = ("pool", "head")
RUNG = "rung"
MAX_FAULTS = 4
"""Combinations that are named in one message."""
OF_LINEAR = (
    "training.tuning.",
    "training.precision",
    "training.micro_batch",
    "data.image.",
    *OF_MODEL,
)
"""Starts of settings that change a linear probe; others would only repeat it."""


@dataclass(frozen=True)
class GridSettings:
    """Settings of runs at one combination of the axes.

    Attributes:
        model: The rung.
        training: Training settings.
        image: Image settings.
        axes: The combination; empty without axes.
    """

    model: ModelConfig
    training: TrainingConfig
    image: ImageConfig
    axes: Combination = ()


def combined(axes: AxesConfig, base: GridSettings) -> list[GridSettings]:
    """Settings at every combination that a rung has, each once.

    Raises:
        ValueError: A combination is no valid setting; all faults are named.
    """
    if not axes.is_set:
        return [base]
    faults: list[str] = []
    settings: dict[Combination, GridSettings] = {}
    for combination in combinations(axes, base):
        try:
            placed = with_combination(base, combination)
        except ValidationError as error:
            faults.append(f"{words(combination)}: {_reasons(error)}")
            continue
        if placed.training.tuning.mode == "linear":
            of_linear = tuple(item for item in combination if item[0].startswith(OF_LINEAR))
            placed = with_combination(base, of_linear)
        settings.setdefault(placed.axes, placed)
    if faults:
        more = f"; and {len(faults) - MAX_FAULTS} more" if len(faults) > MAX_FAULTS else ""
        raise ValueError(f"axes of {base.model.rung}: {'; '.join(faults[:MAX_FAULTS])}{more}")
    return list(settings.values())


def combinations(axes: AxesConfig, base: GridSettings) -> Iterator[Combination]:
    """Combinations of the axes at one rung, without those that are excluded."""
    parts: list[list[Combination]] = [
        [((name, value),) for value in values_of(values)] for name, values in axes.product.items()
    ]
    parts += [_zipped(each) for each in axes.together]
    parts += [_drawn(sample) for sample in axes.sample]
    for chosen in itertools.product(*parts):
        combination = tuple(itertools.chain(*chosen))
        for extended in _extended(combination, axes, base):
            if not any(_matches(match, extended, base) for match in axes.exclude):
                yield extended


def axis_faults(axes: AxesConfig) -> list[str]:
    """Axes and conditions that name no setting which can differ within a study."""
    allowed = [*axis_paths(), *OF_MODEL]
    faults: list[str] = []
    for name in axes.names:
        if name not in allowed:
            faults.append(f"axes names '{name}', {_unknown(name, allowed)}")
    for name in axes.matched:
        if name not in (*allowed, RUNG):
            faults.append(f"axes compares '{name}', {_unknown(name, [*allowed, RUNG])}")
    return faults


def axis_paths() -> list[str]:
    """Dotted paths of the settings that can be an axis."""
    return [path for root, config in ROOTS for path in _paths(root, config)]


def words(combination: Iterable[tuple[str, Scalar]]) -> str:
    """A combination as a reader sees it: ``learning_rate 0.003, crop 224``."""
    return ", ".join(f"{name.rsplit('.', 1)[-1]} {_word(value)}" for name, value in combination)


def with_combination(base: GridSettings, combination: Combination) -> GridSettings:
    """Settings with a combination on top.

    Raises:
        ValidationError: They do not go together.
    """
    training, image = (
        {name.removeprefix(root): value for name, value in combination if name.startswith(root)}
        for root, _ in ROOTS
    )
    of_model = {name: value for name, value in combination if name in OF_MODEL}
    return GridSettings(
        ModelConfig.model_validate(_changed(base.model, of_model)) if of_model else base.model,
        TrainingConfig.model_validate(_changed(base.training, training))
        if training
        else base.training,
        ImageConfig.model_validate(_changed(base.image, image)) if image else base.image,
        combination,
    )


def _changed(config: BaseModel, values: Mapping[str, Scalar]) -> Mapping[str, object]:
    """A configuration as a mapping, with values at dotted paths replaced."""
    fields: Any = config.model_dump(exclude_unset=True)  # open JSON until its class takes it
    for path, value in values.items():
        *parents, last = path.split(".")
        place = fields
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return fields


def _extended(
    combination: Combination, axes: AxesConfig, base: GridSettings
) -> Iterator[Combination]:
    """A combination with the axes of the conditions that it meets."""
    parts = [
        [(name, value) for value in values_of(values)]
        for condition in axes.conditions
        if _matches(condition.when, combination, base)
        for name, values in condition.axes.items()
    ]
    for extra in itertools.product(*parts):
        yield (*combination, *extra)


def _matches(match: Match, combination: Combination, base: GridSettings) -> bool:
    """True if all settings of a match have one of its values."""
    chosen = dict(combination)
    for name, values in match.items():
        value = chosen[name] if name in chosen else _setting(base, name)
        if value not in (values if isinstance(values, tuple) else (values,)):
            return False
    return True


def _setting(base: GridSettings, name: str) -> object:
    """Value of a setting that is no axis."""
    if name == RUNG:
        return base.model.rung
    if name in OF_MODEL:
        return getattr(base.model, name)
    root = next(root for root, _ in ROOTS if name.startswith(root))
    value: object = base.training if root == "training." else base.image
    for part in name.removeprefix(root).split("."):
        value = getattr(value, part)
    return value


def _zipped(axes: Mapping[str, Any]) -> list[Combination]:
    columns = [[(name, value) for value in values_of(values)] for name, values in axes.items()]
    return list(zip(*columns, strict=True))


def _drawn(sample: SampleConfig) -> list[Combination]:
    """Points of a sample; integers for settings that are whole numbers."""
    names, ranges = list(sample.over), list(sample.over.values())
    if sample.method == "sobol":
        from scipy.stats import qmc  # slow, and most studies need none

        sampler = qmc.Sobol(len(names), seed=derive_seed(sample.seed, "axes", "sobol") % 2**32)
        points = sampler.random(sample.count)
    else:
        draw = np.random.default_rng(derive_seed(sample.seed, "axes", "random"))
        points = draw.random((sample.count, len(names)))
    return [
        tuple(
            (name, _whole(name, axis.at(float(share))))
            for name, axis, share in zip(names, ranges, point, strict=True)
        )
        for point in points
    ]


WHOLE = ("batch_size", "steps", "checks", "micro_batch", "rank", "frozen_stages", "resize", "crop")
"""Last parts of the paths of settings that are whole numbers."""


def _whole(name: str, value: float) -> float | int:
    return round(value) if name.rsplit(".", 1)[-1] in WHOLE else value


def _paths(root: str, config: type[BaseModel]) -> Iterator[str]:
    sides = sides_of(config)
    for name, field in config.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _paths(f"{root}{name}.", kind)
        elif sides.get(name) == "identity":
            yield f"{root}{name}"


def _unknown(name: str, allowed: Sequence[str]) -> str:
    """Reason that a setting cannot be an axis, and the one that may be meant."""
    if name.startswith(("data.", "evaluation.", "seeds", "label_fractions", "rungs", "name")):
        return (
            "which cannot differ within a study (allowed: training.…, data.image.…, pool and "
            "head): its runs are tested on the same cases and scored alike."
        )
    return f"which is no setting. {suggestion(name, allowed)}".rstrip()


def _reasons(error: ValidationError) -> str:
    return "; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())


def _word(value: Scalar) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
