"""From a bundle and a hospital's labelled cases to a bundle that is adapted to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

import polars as pl

from medtransfer.data.images.scan import Progress, no_progress
from medtransfer.deploy.adaptation.child import child_facts
from medtransfer.deploy.adaptation.local_curve import curve_lines, hospital_curve
from medtransfer.deploy.adaptation.local_probe import fit_hospital_probe
from medtransfer.deploy.adaptation.patients import require_patients
from medtransfer.deploy.adaptation.probed_bundle import probed_entries
from medtransfer.deploy.bundle.card import bundle_card
from medtransfer.deploy.bundle.fits import carried_fit
from medtransfer.deploy.bundle.reader import CARD, FACTS, SUFFIX, Bundle, write_bundle
from medtransfer.deploy.inference.model import BundleModel, load_bundle
from medtransfer.deploy.validation.config import ValidationConfig
from medtransfer.deploy.validation.from_predictions import Recalibration, recalibrate
from medtransfer.deploy.validation.labelled_cases import (
    LabelledScores,
    accept_any,
    score_labelled,
)
from medtransfer.deploy.validation.local_network import LocalNetwork, local_network
from medtransfer.deploy.validation.validate import bundle_evaluation, home_predictions
from medtransfer.deploy.validation.words import decisions_line
from medtransfer.errors import ConfigError, fault_list, listed, plural
from medtransfer.evaluation.comparison.adaptation.adapted_run import (
    SELECTED,
    AdaptedRun,
    ArmOrSelected,
    adapt_run,
    carried_run,
)
from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.comparison.adaptation.probed_run import NO_FEATURES, PROBE
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.posthoc.adaptation.arms import (
    ARMS,
    MEANINGS,
    MIN_ISOTONIC,
    AnyArm,
    Arm,
    NetworkArm,
)
from medtransfer.tables.schema import write_frame
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
        changes: What differs from the parent, in sentences.
        curve: Every arm by number of patients, as in ``curves/adapt.parquet``; None if not made.
    """

    bundle: Bundle
    arms: Mapping[str, AnyArm]
    recalibration: Recalibration | None
    lines: tuple[str, ...]
    notes: tuple[str, ...]
    changes: tuple[str, ...] = ()
    curve: pl.DataFrame | None = None


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
    patients: int | None = None,
    curves: Path | None = None,
    evaluation: EvaluationConfig | None = None,
    on_progress: Progress = no_progress,
) -> AdaptedBundle:
    """Adapt a bundle to a hospital, into a new bundle that names its parent.

    The network's features stay what they are. An arm that changes probabilities or thresholds is
    fitted on all of the hospital's cases; the numbers that the new bundle promises for this
    hospital are of the same arm fitted on half of the patients and measured on the others. `probe`
    is fitted on `patients` of them, and the others judge the very head that is in the new bundle.

    Args:
        bundle: From `load_bundle`, or its path.
        manifest: Manifest of the hospital's images, with the bundle's targets.
        out: Bundle to write; its name ends in ``.medt``.
        arm: A way to adapt, `probe` for a new linear head, or `selected` by cross-validation.
        cohort: Hospital to take, if the manifest has several.
        image_root: Folder that `path` cells are relative to; the manifest's own by default.
        values: Values to read in place of others, by column: ``{"sex": {"w": "F", "m": "M"}}``.
        min_isotonic: Positive and negative cases that the arm `isotonic` needs.
        patients: Labelled patients to fit `probe` on, about; half of them by default.
        curves: Parquet file to write: every arm by number of patients, on the hospital's others.
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
    model = bundle if isinstance(bundle, BundleModel) else load_bundle(bundle)
    _require_possible(model, out, chosen, patients, curves)
    evaluation = bundle_evaluation(model.bundle, evaluation)
    has_curve = chosen == PROBE or curves is not None
    labelled = score_labelled(
        model,
        Path(manifest),
        cohort=cohort,
        image_root=image_root,
        values=values,
        on_progress=on_progress,
        with_features=has_curve and model.facts.members == 1,
        check=partial(require_patients, chosen, asked=patients) if chosen == PROBE else accept_any,
    )
    network = local_network(
        home_predictions(model.bundle),
        labelled.scores,
        model.facts.task,
        evaluation,
        fit=carried_fit(model.facts),
    )
    curve = None
    if has_curve:
        alone: tuple[AnyArm, ...] = (PROBE,)
        arms = alone if curves is None else (*ARMS, *(alone if labelled.features else ()))
        settings = AdaptConfig(arms=arms, min_isotonic=min_isotonic, seed=evaluation.seed)
        curve = hospital_curve(model.facts, network, settings, labelled.features)
        if curves is not None:
            write_frame(curve, curves)
    if chosen == PROBE:
        adapted = _probed(model.bundle, network, labelled, out, patients)
    else:
        adapted = _recalibrated(model.bundle, network, out, chosen, min_isotonic)
    lines = () if curve is None else tuple(curve_lines(curve, chosen))
    return replace(
        adapted,
        lines=(*adapted.lines, *lines),
        notes=(*labelled.notes, *adapted.notes),
        curve=curve,
    )


def _require_possible(
    model: BundleModel,
    out: Path,
    arm: AnyArm | Literal["selected"],
    patients: int | None,
    curves: Path | None,
) -> None:
    """Check, before an image is read, what the settings ask for.

    Raises:
        ConfigError: A name cannot be used, or a setting does not belong to the arm.
    """
    faults: list[str] = []
    if out.suffix != SUFFIX:
        faults.append(f'"{out.name}" does not end in {SUFFIX}: name the bundle so')
    if out.exists() and out.resolve() == model.bundle.path.resolve():
        faults.append(f'"{out.name}" is the parent: give the adapted bundle another name')
    if curves is not None and curves.suffix != ".parquet":
        faults.append(f'"{curves.name}" does not end in .parquet: name the table so')
    if patients is not None and arm != PROBE:
        faults.append(f"--patients is for --arm {PROBE}: '{arm}' is fitted on all of them")
    if arm == PROBE and model.facts.members > 1:
        faults.append(
            f"--arm {PROBE} is for a bundle of one network, and this one has "
            f"{model.facts.members}: export one of its runs (export --run)"
        )
    if faults:
        raise ConfigError(fault_list("The bundle cannot be adapted so", faults))


def _recalibrated(
    bundle: Bundle, network: LocalNetwork, out: Path, arm: ArmOrSelected, min_isotonic: int
) -> AdaptedBundle:
    """A bundle with an arm's calibrators and thresholds."""
    evaluation = network.evaluation
    settings = AdaptConfig(min_isotonic=min_isotonic, seed=evaluation.seed)
    adapted = adapt_run(network.run, network.fit, arm, network.cases, settings)
    arms, reasons = _arms(network, adapted), _reasons(network, adapted)
    _require_fitted(network, arm, reasons, int(network.cases.sum()))
    patients = network.run.patients(network.cases)
    checked = recalibrate(
        network,
        ValidationConfig(
            arm=arm, min_isotonic=min_isotonic, seed=evaluation.seed, fit_patients=patients
        ),
    )
    changes = tuple(_changes(network, arms, patients))
    facts = child_facts(bundle, network, adapted, checked, changes)
    entries = {name: data for name, data in bundle.contents().items() if name != FACTS}
    written = write_bundle(out, facts, {**entries, CARD: bundle_card(facts).encode()})
    share = "half of the patients"
    return AdaptedBundle(
        bundle=written,
        arms=arms,
        recalibration=checked,
        lines=tuple(_lines(network, checked, share)),
        notes=tuple(_unfitted(reasons)),
        changes=facts.changes[len(bundle.facts.changes) :],
    )


def _probed(
    bundle: Bundle,
    network: LocalNetwork,
    labelled: LabelledScores,
    out: Path,
    patients: int | None,
) -> AdaptedBundle:
    """A bundle with a new head."""
    features = labelled.features
    if features is None:
        raise ConfigError(f"The arm '{PROBE}' cannot be fitted: {NO_FEATURES}.")
    probe = fit_hospital_probe(network, features, network.evaluation.seed, patients)
    reasons = probe.reasons
    _require_fitted(network, PROBE, reasons, int(probe.division.pool.sum()))
    facts, entries, changes = probed_entries(bundle, probe, labelled.source)
    checked = probe.measured()
    share = plural(probe.patients, "patient")
    carried: AnyArm = "carried"
    return AdaptedBundle(
        bundle=write_bundle(out, facts, entries),
        arms={name: carried if name in reasons else PROBE for name in network.run.names},
        recalibration=checked,
        lines=tuple(_lines(network, checked, share)),
        notes=tuple(_unfitted(reasons)),
        changes=changes,
    )


def _require_fitted(
    network: LocalNetwork, arm: str, reasons: Mapping[str, str], cases: int
) -> None:
    """Refuse an arm that could be fitted for no target.

    Raises:
        ConfigError: It could not.
    """
    if len(reasons) == len(network.run.names):
        raise ConfigError(
            f"The arm '{arm}' cannot be fitted on {plural(cases, 'case')}: "
            f"{next(iter(reasons.values()))}. No bundle was written."
        )


def _unfitted(reasons: Mapping[str, str]) -> list[str]:
    return [f"{name}: {UNFITTED}, since {reason}." for name, reason in reasons.items()]


def _known_arm(arm: str) -> ArmOrSelected | NetworkArm:
    """The arm of a name.

    Raises:
        ConfigError: There is none.
    """
    if arm == SELECTED:
        return SELECTED
    if arm == PROBE:
        return PROBE
    matches: list[Arm] = [name for name in get_args(Arm) if name == arm]
    if not matches:
        raise ConfigError(f"arm is '{arm}' (allowed: {listed([*ARMS, PROBE, SELECTED], 20)}).")
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


def _lines(network: LocalNetwork, checked: Recalibration | None, share: str) -> Sequence[str]:
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
