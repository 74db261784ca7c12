"""A bundle that was adapted to a hospital, with what was changed and what it does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.validation.from_predictions import Recalibration
from medtransfer.deploy.validation.local_network import LocalNetwork
from medtransfer.deploy.validation.words import decisions_line
from medtransfer.errors import ConfigError, plural
from medtransfer.evaluation.comparison.adaptation.adapted_run import carried_run
from medtransfer.posthoc.adaptation.arms import AnyArm, TrainedArm

UNFITTED = "nothing was changed"


@dataclass(frozen=True)
class AdaptedBundle:
    """A bundle that was adapted to a hospital.

    Attributes:
        bundle: The new bundle, which names its parent.
        arms: Arm of each target.
        recalibration: The same arm fitted on some patients and measured on the others; None if
            there are too few to divide.
        lines: What it does to missed and called cases, a line each.
        notes: What was found, left out and assumed, in sentences.
        changes: What differs from the parent, in sentences.
        curve: Every arm by number of patients, as in ``curves/adapt.parquet``; None if not made.
    """

    bundle: Bundle
    arms: Mapping[str, AnyArm | TrainedArm]
    recalibration: Recalibration | None
    lines: tuple[str, ...]
    notes: tuple[str, ...]
    changes: tuple[str, ...] = ()
    curve: pl.DataFrame | None = None


def judged_lines(network: LocalNetwork, checked: Recalibration | None, share: str) -> Sequence[str]:
    """Missed and called cases on the patients that the arm was not fitted on, before and after."""
    if checked is None:
        return ["Too few patients to keep some apart: the new bundle promises nothing here."]
    carried = network.measured(
        network.hospital, checked.test, carried_run(network.run, network.fit)
    )
    points = network.evaluation.operating_points
    fitted = f"{checked.arm} fitted on {share}, measured on the others"
    return [
        decisions_line(f"{label} ({point})", numbers, network.target, point)
        for point in points[:1]
        for label, numbers in (("as carried", carried), (fitted, checked.numbers))
    ]


def require_fitted(network: LocalNetwork, arm: str, reasons: Mapping[str, str], cases: int) -> None:
    """Refuse an arm that could be fitted for no target.

    Raises:
        ConfigError: It could not.
    """
    if len(reasons) == len(network.run.names):
        raise ConfigError(
            f"The arm '{arm}' cannot be fitted on {plural(cases, 'case')}: "
            f"{next(iter(reasons.values()))}. No bundle was written."
        )


def unfitted_notes(reasons: Mapping[str, str]) -> list[str]:
    """Sentences on the targets that an arm could not be fitted for."""
    return [f"{name}: {UNFITTED}, since {reason}." for name, reason in reasons.items()]


def adaptation_text(adapted: AdaptedBundle) -> str:
    """Text on what was changed, what it does, and where the new bundle is."""
    facts = adapted.bundle.facts
    parent = (facts.parent or "")[:12]
    return "\n".join(
        [
            *adapted.notes,
            *adapted.changes,
            *(f"  {line}" for line in adapted.lines),
            f"{adapted.bundle.path}: adapted from bundle {parent}.",
        ]
    )
