"""A bundle adapted by an arm: recalibrated, with a new head, or with networks that were tuned."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from medtransfer.data.config import SEQUENTIAL
from medtransfer.data.images.scan import Progress
from medtransfer.deploy.adaptation.adapted_bundle import (
    AdaptedBundle,
    judged_lines,
    require_fitted,
    unfitted_notes,
)
from medtransfer.deploy.adaptation.child import child_facts
from medtransfer.deploy.adaptation.local_curve import curve_lines, curve_table, hospital_curves
from medtransfer.deploy.adaptation.local_probe import fit_hospital_probe
from medtransfer.deploy.adaptation.patients import (
    MIN_FITTED,
    divide_patients,
    fitted_share,
    labelled_network,
)
from medtransfer.deploy.adaptation.probed_bundle import probed_entries
from medtransfer.deploy.adaptation.tuning.bundle import tuned_entries
from medtransfer.deploy.adaptation.tuning.config import SequentialConfig
from medtransfer.deploy.adaptation.tuning.sequential import tune_at_hospital
from medtransfer.deploy.bundle.card import bundle_card
from medtransfer.deploy.bundle.reader import CARD, FACTS, write_bundle
from medtransfer.deploy.inference.model import BundleModel
from medtransfer.deploy.validation.config import ValidationConfig
from medtransfer.deploy.validation.from_predictions import recalibrate
from medtransfer.deploy.validation.labelled_cases import LabelledScores
from medtransfer.deploy.validation.local_network import LocalNetwork
from medtransfer.errors import ConfigError, plural
from medtransfer.evaluation.comparison.adaptation.adapted_run import (
    AdaptedRun,
    ArmOrSelected,
    adapt_run,
)
from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.comparison.adaptation.probed_run import NO_FEATURES, PROBE
from medtransfer.posthoc.adaptation.arms import ARMS, MEANINGS, AnyArm, TrainedArm
from medtransfer.tables.schema import write_frame


@dataclass(frozen=True, eq=False)
class Adaptation:
    """Inputs of the adaptation of a bundle.

    Attributes:
        model: The bundle.
        labelled: Its scores of the hospital's cases.
        network: The same beside the promised cases.
        out: Bundle to write.
        patients: To fit on, about, for arms that need patients to judge them; None for half.
        min_isotonic: Positive and negative cases that the arm `isotonic` needs.
        sequential: Settings of further training.
        curves: Table of curves to write; None for none.
        on_progress: Called with the numbers of images done and to do.
        on_training: Called with the numbers of training steps done and to do.
    """

    model: BundleModel
    labelled: LabelledScores
    network: LocalNetwork
    out: Path
    patients: int | None
    min_isotonic: int
    sequential: SequentialConfig
    curves: Path | None
    on_progress: Progress
    on_training: Progress

    @property
    def settings(self) -> AdaptConfig:
        """Settings of curves of every arm that trains no network."""
        every: tuple[AnyArm, ...] = (*ARMS, PROBE) if self.labelled.features else ARMS
        seed = self.network.evaluation.seed
        return AdaptConfig(arms=every, min_isotonic=self.min_isotonic, seed=seed)

    def write_curves(self, table: pl.DataFrame) -> None:
        """Write a table of curves, if it was asked for."""
        if self.curves is not None:
            write_frame(table, self.curves)


def recalibrated_bundle(adaptation: Adaptation, arm: ArmOrSelected) -> AdaptedBundle:
    """Write a bundle with an arm's calibrators and thresholds.

    Args:
        adaptation: Its inputs.
        arm: The arm.

    Raises:
        ConfigError: The arm can be fitted for no target.
    """
    bundle, network = adaptation.model.bundle, adaptation.network
    curve = _untrained_curve(adaptation) if adaptation.curves is not None else None
    seed, least = network.evaluation.seed, adaptation.min_isotonic
    settings = AdaptConfig(min_isotonic=least, seed=seed)
    adapted = adapt_run(network.run, network.fit, arm, network.cases, settings)
    arms, reasons = _arms(network, adapted), _reasons(network, adapted)
    require_fitted(network, arm, reasons, int(network.cases.sum()))
    patients = network.run.patients(network.cases)
    checked = recalibrate(
        network,
        ValidationConfig(arm=arm, min_isotonic=least, seed=seed, fit_patients=patients),
    )
    changes = tuple(_changes(network, arms, patients))
    facts = child_facts(bundle, network, adapted, checked, changes)
    entries = {name: data for name, data in bundle.contents().items() if name != FACTS}
    entries[CARD] = bundle_card(facts).encode()
    lines = judged_lines(network, checked, "half of the patients")
    return AdaptedBundle(
        bundle=write_bundle(adaptation.out, facts, entries),
        arms=arms,
        recalibration=checked,
        lines=(*lines, *([] if curve is None else curve_lines(curve, arm))),
        notes=tuple(unfitted_notes(reasons)),
        changes=facts.changes[len(bundle.facts.changes) :],
        curve=curve,
    )


def probed_bundle(adaptation: Adaptation) -> AdaptedBundle:
    """Write a bundle with a new head.

    Args:
        adaptation: Its inputs.

    Raises:
        ConfigError: A head can be fitted for no target.
    """
    network, labelled = adaptation.network, adaptation.labelled
    if not labelled.features:
        raise ConfigError(f"The arm '{PROBE}' cannot be fitted: {NO_FEATURES}.")
    curve = _untrained_curve(adaptation, alone=adaptation.curves is None)
    probe = fit_hospital_probe(
        network, labelled.features, network.evaluation.seed, adaptation.patients
    )
    reasons = probe.reasons
    require_fitted(network, PROBE, reasons, int(probe.division.pool.sum()))
    facts, entries, changes = probed_entries(adaptation.model.bundle, probe, labelled.source)
    checked = probe.measured()
    lines = judged_lines(network, checked, plural(probe.patients, "patient"))
    carried: AnyArm = "carried"
    return AdaptedBundle(
        bundle=write_bundle(adaptation.out, facts, entries),
        arms={name: carried if name in reasons else PROBE for name in network.run.names},
        recalibration=checked,
        lines=(*lines, *curve_lines(curve, PROBE)),
        notes=tuple(unfitted_notes(reasons)),
        changes=changes,
        curve=curve,
    )


def tuned_bundle(adaptation: Adaptation) -> AdaptedBundle:
    """Write a bundle with networks that were tuned.

    With a table of curves the networks are tuned with smaller numbers of patients too, nested in
    each other and tested on the same others.

    Args:
        adaptation: Its inputs.

    Raises:
        ConfigError: The patients are too few, or lack a class.
        StudyError: A training diverges.
    """
    model = adaptation.model
    network = labelled_network(adaptation.network)
    seed, patients = network.evaluation.seed, adaptation.patients
    division = divide_patients(network, SEQUENTIAL, seed, patients)
    fitted, settings = network.run.patients(division.pool), adaptation.settings
    with_curves = adaptation.curves is not None
    sizes = [size for size in settings.patients if MIN_FITTED[SEQUENTIAL] <= size < fitted]
    sizes = (*(sizes if with_curves else ()), fitted)
    alone: tuple[AnyArm, ...] = ("carried",)
    settings = settings.model_copy(
        update={
            "patients": sizes,
            "arms": settings.arms if with_curves else alone,
            "pool": fitted_share(network.run.patients(network.cases), patients),
        }
    )
    arm = tune_at_hospital(
        model,
        adaptation.labelled,
        network,
        division,
        adaptation.sequential,
        sizes=sizes,
        out=adaptation.out,
        on_progress=adaptation.on_progress,
        on_training=adaptation.on_training,
    )
    curves = hospital_curves(network, settings, adaptation.labelled.features)
    carried = next(curve for key, curve in curves.items() if key.arm == "carried")
    table = curve_table(model.facts, curves, settings, arm.curves(carried))
    adaptation.write_curves(table)
    source = adaptation.labelled.source
    facts, entries, changes = tuned_entries(model.bundle, arm.networks[-1], arm.network, source)
    checked = arm.measured()
    lines = judged_lines(network, checked, plural(fitted, "patient"))
    written = write_bundle(adaptation.out, facts, entries)
    arm.work.remove()
    sequential: TrainedArm = SEQUENTIAL
    return AdaptedBundle(
        bundle=written,
        arms=dict.fromkeys(network.run.names, sequential),
        recalibration=checked,
        lines=(*lines, *curve_lines(table, SEQUENTIAL)),
        notes=tuple(_left_behind(arm.work.folder)),
        changes=changes,
        curve=table,
    )


def _left_behind(folder: Path) -> Iterator[str]:
    """A sentence on a working folder that could not be deleted."""
    if folder.exists():
        yield (
            f'"{folder.name}" beside the new bundle could not be deleted. Delete it: it holds '
            "prepared images of patients."
        )


def _untrained_curve(adaptation: Adaptation, *, alone: bool = False) -> pl.DataFrame:
    """Curves of the arms that train no network, written if they were asked for.

    Args:
        adaptation: Its inputs.
        alone: True for the curve of `probe` alone.
    """
    settings = adaptation.settings
    if alone:
        settings = settings.model_copy(update={"arms": (PROBE,)})
    features = adaptation.labelled.features
    curves = hospital_curves(adaptation.network, settings, features)
    table = curve_table(adaptation.model.facts, curves, settings)
    adaptation.write_curves(table)
    return table


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
