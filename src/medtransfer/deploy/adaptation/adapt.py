"""From a bundle and a hospital's labelled cases to a bundle that is adapted to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from medtransfer.data.images.scan import Progress, no_progress
from medtransfer.deploy.adaptation.child import child_facts
from medtransfer.deploy.bundle.card import bundle_card
from medtransfer.deploy.bundle.fits import carried_fit
from medtransfer.deploy.bundle.reader import CARD, FACTS, SUFFIX, Bundle, write_bundle
from medtransfer.deploy.inference.model import BundleModel, load_bundle
from medtransfer.deploy.validation.config import ValidationConfig
from medtransfer.deploy.validation.from_predictions import Recalibration, recalibrate
from medtransfer.deploy.validation.labelled_cases import score_labelled
from medtransfer.deploy.validation.local_network import LocalNetwork, local_network
from medtransfer.deploy.validation.validate import bundle_evaluation, home_predictions
from medtransfer.deploy.validation.words import decisions_line
from medtransfer.errors import ConfigError, listed, plural
from medtransfer.evaluation.comparison.adaptation.adapted_run import (
    SELECTED,
    AdaptedRun,
    ArmOrSelected,
    adapt_run,
    carried_run,
)
from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.posthoc.adaptation.arms import ARMS, MEANINGS, MIN_ISOTONIC, AnyArm, Arm
from medtransfer.tables.values.value_map import ValueMap

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
    """

    bundle: Bundle
    arms: Mapping[str, AnyArm]
    recalibration: Recalibration | None
    lines: tuple[str, ...]
    notes: tuple[str, ...]


def adapt_bundle(
    bundle: BundleModel | Path | str,
    manifest: Path | str,
    out: Path | str,
    *,
    arm: str = SELECTED,
    cohort: str | None = None,
    image_root: Path | None = None,
    values: ValueMap | None = None,
    min_isotonic: int = MIN_ISOTONIC,
    evaluation: EvaluationConfig | None = None,
    on_progress: Progress = no_progress,
) -> AdaptedBundle:
    """Adapt a bundle to a hospital without training, into a new bundle that names its parent.

    The arm is fitted on all of the hospital's cases. The numbers that the new bundle promises for
    this hospital are of the same arm fitted on half of the patients and measured on the others.

    Args:
        bundle: From `load_bundle`, or its path.
        manifest: Manifest of the hospital's images, with the bundle's targets.
        out: Bundle to write; its name ends in ``.medt``.
        arm: A way to adapt, or `selected` by cross-validation.
        cohort: Hospital to take, if the manifest has several.
        image_root: Folder that `path` cells are relative to; the manifest's own by default.
        values: Values to read in place of others, by column: ``{"sex": {"w": "F", "m": "M"}}``.
        min_isotonic: Positive and negative cases that the arm `isotonic` needs.
        evaluation: Replicates and seed; operating points are the bundle's.
        on_progress: Called with the numbers of images done and to do.

    Returns:
        The new bundle, the arm in it, and what was dropped or assumed on the way.

    Raises:
        BundleError: The bundle is damaged or has expired.
        ConfigError: There is no such arm, it cannot be fitted, or `out` has another ending.
        TableError: The manifest cannot be used, or has no label.
    """
    out, chosen = Path(out), _known_arm(arm)
    if out.suffix != SUFFIX:
        raise ConfigError(f'"{out.name}" does not end in {SUFFIX}: name the bundle so.')
    model = bundle if isinstance(bundle, BundleModel) else load_bundle(bundle)
    if out.exists() and out.resolve() == model.bundle.path.resolve():
        raise ConfigError(f'"{out.name}" is the parent: give the adapted bundle another name.')
    evaluation = bundle_evaluation(model.bundle, evaluation)
    labelled = score_labelled(
        model,
        Path(manifest),
        cohort=cohort,
        image_root=image_root,
        values=values,
        on_progress=on_progress,
    )
    network = local_network(
        home_predictions(model.bundle),
        labelled.scores,
        model.facts.task,
        evaluation,
        fit=carried_fit(model.facts),
    )
    settings = AdaptConfig(min_isotonic=min_isotonic, seed=evaluation.seed)
    adapted = adapt_run(network.run, network.fit, chosen, network.cases, settings)
    arms, reasons = _arms(network, adapted), _reasons(network, adapted)
    if len(reasons) == len(network.run.names):
        raise ConfigError(
            f"The arm '{arm}' cannot be fitted on {plural(int(network.cases.sum()), 'case')}: "
            f"{next(iter(reasons.values()))}. No bundle was written."
        )
    patients = network.run.patients(network.cases)
    checked = recalibrate(
        network,
        ValidationConfig(
            arm=chosen, min_isotonic=min_isotonic, seed=evaluation.seed, fit_patients=patients
        ),
    )
    changes = tuple(_changes(network, arms, patients))
    facts = child_facts(model.bundle, network, adapted, checked, changes)
    entries = {name: data for name, data in model.bundle.contents().items() if name != FACTS}
    written = write_bundle(out, facts, {**entries, CARD: bundle_card(facts).encode()})
    notes = [f"{name}: {UNFITTED}, since {reason}." for name, reason in reasons.items()]
    return AdaptedBundle(
        bundle=written,
        arms=arms,
        recalibration=checked,
        lines=tuple(_lines(network, checked)),
        notes=(*labelled.notes, *notes),
    )


def _known_arm(arm: str) -> ArmOrSelected:
    """The arm of a name.

    Raises:
        ConfigError: There is none.
    """
    if arm == SELECTED:
        return SELECTED
    matches: list[Arm] = [name for name in get_args(Arm) if name == arm]
    if not matches:
        raise ConfigError(f"arm is '{arm}' (allowed: {listed([*ARMS, SELECTED], 20)}).")
    return matches[0]


def _arms(network: LocalNetwork, adapted: AdaptedRun) -> dict[str, AnyArm]:
    return {name: adapted[number].fit.arm for number, name in enumerate(network.run.names)}


def _reasons(network: LocalNetwork, adapted: AdaptedRun) -> dict[str, str]:
    """Targets whose arm could not be fitted, with the reason."""
    fits = {name: adapted[number].fit for number, name in enumerate(network.run.names)}
    return {name: fit.reason for name, fit in fits.items() if fit.reason is not None}


def _changes(network: LocalNetwork, arms: Mapping[str, AnyArm], patients: int) -> list[str]:
    return [
        f"{name}: {arm} ({MEANINGS[arm]}), fitted on {plural(patients, 'patient')} of "
        f"{network.hospital}"
        for name, arm in arms.items()
    ]


def _lines(network: LocalNetwork, checked: Recalibration | None) -> Sequence[str]:
    """Missed and called cases on the patients that the arm was not fitted on, before and after."""
    if checked is None:
        return ["Too few patients to keep some apart: the new bundle promises nothing here."]
    carried = network.measured(
        network.hospital, checked.test, carried_run(network.run, network.fit)
    )
    points = network.evaluation.operating_points
    fitted = f"{checked.arm} fitted on half of the patients, measured on the others"
    return [
        decisions_line(f"{label} ({point})", numbers, network.target, point)
        for point in points[:1]
        for label, numbers in (("as carried", carried), (fitted, checked.numbers))
    ]


def adaptation_text(adapted: AdaptedBundle) -> str:
    """Text on what was changed, what it does, and where the new bundle is."""
    facts = adapted.bundle.facts
    parent = (facts.parent or "")[:12]
    return "\n".join(
        [
            *adapted.notes,
            *facts.changes[-len(adapted.arms) :],
            *(f"  {line}" for line in adapted.lines),
            f"{adapted.bundle.path}: adapted from bundle {parent}.",
        ]
    )
