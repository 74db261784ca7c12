"""Studies of the stages of an automatic study, made from its base. Pure functions."""

from collections.abc import Mapping, Sequence

from medtransfer.study.config import RungEntry, Study
from medtransfer.training.config import TuningConfig

SHORT_SHARE = 0.25
"""Length of the short schedule that halves the entrants, as a share of the whole one."""


def probe_study_of(base: Study, rungs: Sequence[str], seeds: Sequence[int] = (0,)) -> Study:
    """Linear probes of rungs."""
    return _staged(base, dict.fromkeys(rungs, "linear"), seeds)


def full_study_of(base: Study, rungs: Sequence[str], seeds: Sequence[int] = (0,)) -> Study:
    """Fine-tuning of rungs on the whole schedule."""
    return _staged(base, dict.fromkeys(rungs, "full"), seeds)


def short_study_of(base: Study, steps: Mapping[str, int]) -> Study:
    """Fine-tuning of rungs on a short schedule: runs of their own, whose rate falls to its end.

    Args:
        base: The study.
        steps: Of the whole schedule, by rung.
    """
    lengths = {rung: max(1, round(SHORT_SHARE * whole)) for rung, whole in steps.items()}
    return _staged(base, dict.fromkeys(steps, "full"), (0,), lengths)


def final_study_of(base: Study, modes: Mapping[str, str], seeds: Sequence[int]) -> Study:
    """The study of the finalists, each in its mode, at the same seeds."""
    return _staged(base, modes, seeds)


def _staged(
    base: Study,
    modes: Mapping[str, str],
    seeds: Sequence[int],
    steps: Mapping[str, int] | None = None,
) -> Study:
    """The base with other rungs and seeds; what the base says of a rung stays."""
    entries = {entry.rung: entry for entry in base.rungs}
    rungs = tuple(
        _entry(base, entries.get(rung) or RungEntry(rung=rung), mode, (steps or {}).get(rung))
        for rung, mode in modes.items()
    )
    fields = {name: getattr(base, name) for name in base.model_fields_set}
    return Study.model_validate(
        {**fields, "rungs": rungs, "reference": None, "seeds": tuple(seeds)}
    )


def _entry(base: Study, entry: RungEntry, mode: str, steps: int | None) -> RungEntry:
    training = entry.training
    if mode == "linear":
        training = training.model_copy(update={"tuning": TuningConfig(mode="linear")})
    if steps is not None:
        checks = min(base.training_of(entry).checks, steps)
        training = training.model_copy(update={"steps": steps, "checks": checks})
    return entry.model_copy(update={"training": training})
