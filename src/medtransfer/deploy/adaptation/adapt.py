"""From a bundle and a hospital's labelled cases to a bundle that is adapted to it."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from medtransfer.data.config import SEQUENTIAL, Task
from medtransfer.data.images.scan import Progress, no_progress
from medtransfer.deploy.adaptation.adapted_bundle import AdaptedBundle
from medtransfer.deploy.adaptation.by_arm import (
    Adaptation,
    probed_bundle,
    recalibrated_bundle,
    tuned_bundle,
)
from medtransfer.deploy.adaptation.patients import require_answers, require_patients
from medtransfer.deploy.adaptation.tuning.config import SequentialConfig
from medtransfer.deploy.bundle.fits import carried_fit
from medtransfer.deploy.bundle.reader import SUFFIX
from medtransfer.deploy.inference.model import BundleModel, load_bundle
from medtransfer.deploy.validation.labelled_cases import (
    LabelledPatients,
    PatientCheck,
    accept_any,
    score_labelled,
)
from medtransfer.deploy.validation.local_network import local_network
from medtransfer.deploy.validation.validate import bundle_evaluation, home_predictions
from medtransfer.errors import ConfigError, fault_list, listed
from medtransfer.evaluation.comparison.adaptation.adapted_run import SELECTED, ArmOrSelected
from medtransfer.evaluation.comparison.adaptation.probed_run import PROBE
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.posthoc.adaptation.arms import ARMS, MIN_ISOTONIC, Arm, NetworkArm, TrainedArm
from medtransfer.tables.values.value_map import ValueMap

BundleArm = ArmOrSelected | Literal["probe", "sequential"]
"""Arms of a bundle."""
SHIFTED_ONLY = "shifted-only"
NO_START = (
    "arm is 'shifted-only', which starts from the pre-trained weights of a rung, and a bundle "
    "holds the tuned weights alone. Take sequential, which goes on from these; a study with "
    "adapt.arms: [shifted-only] and retrain_fractions trains from the rung's."
)


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
    sequential: SequentialConfig | None = None,
    curves: Path | None = None,
    evaluation: EvaluationConfig | None = None,
    on_progress: Progress = no_progress,
    on_training: Progress = no_progress,
) -> AdaptedBundle:
    """Adapt a bundle to a hospital, into a new bundle that names its parent.

    An arm that changes probabilities or thresholds is fitted on all of the hospital's cases; the
    numbers that the new bundle promises for this hospital are of the same arm fitted on half of the
    patients and measured on the others. `probe`, a new head, and `sequential`, further training of
    the network, are fitted on `patients` of them, and the others judge the very network that is
    in the new bundle. A stopped `sequential` goes on with the same call.

    Args:
        bundle: From `load_bundle`, or its path.
        manifest: Manifest of the hospital's images, with the bundle's targets.
        out: Bundle to write; its name ends in ``.medt``.
        arm: A way to adapt, `probe` for a new linear head, `sequential` for further training,
            or `selected` by cross-validation.
        cohort: Hospital to take, if the manifest has several.
        image_root: Folder that `path` cells are relative to; the manifest's own by default.
        values: Values to read in place of others, by column: ``{"sex": {"w": "F", "m": "M"}}``.
        min_isotonic: Positive and negative cases that the arm `isotonic` needs.
        patients: Labelled patients to fit `probe` or `sequential` on, about; half by default.
        sequential: Rate, steps and other settings of the arm `sequential`.
        curves: Parquet file to write: every arm by number of patients, on the hospital's others.
        evaluation: Replicates and seed; operating points are the bundle's.
        on_progress: Called with the numbers of images done and to do.
        on_training: Called with the numbers of training steps done and to do, for `sequential`.

    Returns:
        The new bundle, the arm in it, and what was dropped or assumed on the way.

    Raises:
        BundleError: The bundle is damaged or has expired.
        ConfigError: There is no such arm, it cannot be fitted, or `out` has another ending.
        TableError: The manifest cannot be used, or has no label.
        StudyError: A training diverges, or the memory or the disk is too small.
    """
    out, chosen = Path(out), _known_arm(arm)
    model = bundle if isinstance(bundle, BundleModel) else load_bundle(bundle)
    asked = Asked(out, chosen, patients=patients, sequential=sequential, curves=curves)
    _require_possible(model, asked)
    evaluation = bundle_evaluation(model.bundle, evaluation)
    labelled = score_labelled(
        model,
        Path(manifest),
        cohort=cohort,
        image_root=image_root,
        values=values,
        on_progress=on_progress,
        with_features=chosen == PROBE or curves is not None,
        check=_patient_check(chosen, model.facts.task, patients),
    )
    network = local_network(
        home_predictions(model.bundle),
        labelled.scores,
        model.facts.task,
        evaluation,
        fit=carried_fit(model.facts),
    )
    adaptation = Adaptation(
        model=model,
        labelled=labelled,
        network=network,
        out=out,
        patients=patients,
        min_isotonic=min_isotonic,
        sequential=sequential or SequentialConfig(),
        curves=curves,
        on_progress=on_progress,
        on_training=on_training,
    )
    match chosen:
        case "probe":
            adapted = probed_bundle(adaptation)
        case "sequential":
            adapted = tuned_bundle(adaptation)
        case _:
            adapted = recalibrated_bundle(adaptation, chosen)
    return replace(adapted, notes=(*labelled.notes, *adapted.notes))


@dataclass(frozen=True)
class Asked:
    """Settings of an adaptation as they were asked for.

    Attributes:
        out: Bundle to write.
        arm: The arm.
        patients: Number to fit on.
        sequential: Of the arm `sequential`.
        curves: Table to write.
    """

    out: Path
    arm: BundleArm
    patients: int | None
    sequential: SequentialConfig | None
    curves: Path | None


def _require_possible(model: BundleModel, asked: Asked) -> None:
    """Check, before an image is read, what the settings ask for.

    Raises:
        ConfigError: A name cannot be used, or a setting does not belong to the arm.
    """
    out, arm, curves = asked.out, asked.arm, asked.curves
    faults: list[str] = []
    if out.suffix != SUFFIX:
        faults.append(f'"{out.name}" does not end in {SUFFIX}: name the bundle so')
    if out.exists() and out.resolve() == model.bundle.path.resolve():
        faults.append(f'"{out.name}" is the parent: give the adapted bundle another name')
    if curves is not None and curves.suffix != ".parquet":
        faults.append(f'"{curves.name}" does not end in .parquet: name the table so')
    if asked.patients is not None and arm not in (PROBE, SEQUENTIAL):
        faults.append(
            f"--patients is for --arm {PROBE} and {SEQUENTIAL}: '{arm}' is fitted on all of them"
        )
    if arm == SEQUENTIAL:
        faults += _sequential_faults(model, asked.sequential or SequentialConfig())
    elif asked.sequential is not None:
        faults.append(f"settings of further training are for --arm {SEQUENTIAL}, not '{arm}'")
    if faults:
        raise ConfigError(fault_list("The bundle cannot be adapted so", faults))


def _sequential_faults(model: BundleModel, settings: SequentialConfig) -> list[str]:
    """Reasons that the networks of a bundle cannot be trained further."""
    from medtransfer.deploy.adaptation.tuning.networks import stage_fault  # loads torch

    if model.runtime != "torch":
        return [f"--arm {SEQUENTIAL} trains in torch: leave runtime='{model.runtime}' out"]
    if model.facts.network.tuning == "linear":
        fault = (
            f"--arm {SEQUENTIAL} goes on with a training, and the study trained the head of this "
            f"network alone: --arm {PROBE} fits a new one"
        )
        return [fault]
    fault = stage_fault(model.facts, settings.frozen_stages)
    return [] if fault is None else [fault]


def _patient_check(arm: BundleArm, task: Task, asked: int | None) -> PatientCheck:
    """Check of the labelled patients, for an arm that needs some to judge it."""
    match arm:
        case "probe" | "sequential":
            fitted: NetworkArm | TrainedArm = arm

            def check(patients: LabelledPatients) -> None:
                require_patients(fitted, patients.hospital, patients.number, asked)
                require_answers(fitted, task, patients)

            return check
        case _:
            return accept_any


def _known_arm(arm: str) -> BundleArm:
    """The arm of a name.

    Raises:
        ConfigError: There is none, or a bundle lacks what it starts from.
    """
    if arm == SHIFTED_ONLY:
        raise ConfigError(NO_START)
    if arm == SELECTED:
        return SELECTED
    if arm == PROBE:
        return PROBE
    if arm == SEQUENTIAL:
        return SEQUENTIAL
    matches: list[Arm] = [name for name in get_args(Arm) if name == arm]
    if not matches:
        raise ConfigError(
            f"arm is '{arm}' (allowed: {listed([*ARMS, PROBE, SEQUENTIAL, SELECTED], 20)})."
        )
    return matches[0]
