"""Arm `sequential` of a bundle: further training with some patients of a hospital."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from medtransfer.data.config import SEQUENTIAL
from medtransfer.data.images.scan import Progress
from medtransfer.deploy.adaptation.tuning.config import SequentialConfig
from medtransfer.deploy.adaptation.tuning.draws import TuningDraw, tuning_draws
from medtransfer.deploy.adaptation.tuning.hospital import HospitalImages
from medtransfer.deploy.adaptation.tuning.rule import tuning_rule
from medtransfer.deploy.adaptation.tuning.work import TuningWork
from medtransfer.deploy.inference.model import BundleModel
from medtransfer.deploy.validation.from_predictions import Recalibration
from medtransfer.deploy.validation.labelled_cases import LabelledScores
from medtransfer.deploy.validation.local_network import LocalNetwork
from medtransfer.errors import ConfigError, plural
from medtransfer.evaluation.comparison.adaptation.adapted_run import carried_run
from medtransfer.evaluation.comparison.adaptation.curve import ArmCurve, ArmKey, retrained_curve
from medtransfer.evaluation.comparison.adaptation.hospital_division import Division
from medtransfer.evaluation.scoring.run import run_arrays
from medtransfer.evaluation.scoring.tune_fit import fit_on_tune
from medtransfer.settings import rows_digest

if TYPE_CHECKING:
    from medtransfer.deploy.adaptation.tuning.networks import TunedNetworks


@dataclass(frozen=True, eq=False)
class SequentialArm:
    """Networks of a bundle, tuned at a hospital.

    Attributes:
        carried: Predictions of the bundle as it was, at home and at the hospital.
        division: Patients that it was tuned with (`pool`), and those that judge.
        draws: Nested sets of the former, the whole last.
        networks: Tuned with each draw, in their order; none for a draw without a class.
        network: Predictions of those that were tuned with all patients: `tune` are the cases held
            back, `test` those that judge.
        work: Folder of checkpoints and prepared images.
    """

    carried: LocalNetwork
    division: Division
    draws: Sequence[TuningDraw]
    networks: "Sequence[TunedNetworks]"
    network: LocalNetwork
    work: TuningWork

    def measured(self) -> Recalibration:
        """Numbers of the patients that judge the networks, with the new thresholds."""
        carried, network = self.carried, self.network
        adapted = carried_run(network.run, network.fit)
        test = network.run.test_cases()[network.hospital]
        return Recalibration(
            arm=SEQUENTIAL,
            keeps_order=False,
            fit_patients=self.draws[-1].patients,
            fit_positives={
                name: int((self.division.pool & (carried.run.targets[:, number] == 1)).sum())
                for number, name in enumerate(carried.run.names)
            },
            adapted=adapted,
            test=self.division.test,
            numbers=network.measured(network.hospital, test, adapted, SEQUENTIAL),
            reason=None,
        )

    def curves(self, carried: ArmCurve) -> list[ArmCurve]:
        """Curve of the arm by number of patients, each of one draw.

        Args:
            carried: Of the bundle as it was, on the same test patients.
        """
        run, evaluation = self.carried.run, self.carried.evaluation
        tuned = {networks.draw.patients: networks for networks in self.networks}
        curves: list[ArmCurve] = []
        for draw in self.draws:
            key = ArmKey(carried.key.cohort, SEQUENTIAL, draw.patients)
            if draw.reason is None:
                frame = tuned[draw.patients].frame
                curve = retrained_curve(
                    frame, run.task, evaluation, carried, draw.patients, arm=SEQUENTIAL
                )
            else:
                curve = replace(
                    carried,
                    key=key,
                    not_fitted=dict.fromkeys(carried.not_fitted, 1),
                    reasons=dict.fromkeys(carried.not_fitted, draw.reason),
                )
            fitted = draw.train | draw.held
            curve.positives = {
                name: float((fitted & (run.targets[:, number] == 1)).sum())
                for number, name in enumerate(run.names)
            }
            curves.append(curve)
        return curves


def tune_at_hospital(
    model: BundleModel,
    labelled: LabelledScores,
    network: LocalNetwork,
    division: Division,
    settings: SequentialConfig,
    *,
    sizes: Sequence[int],
    out: Path,
    on_progress: Progress,
    on_training: Progress,
) -> SequentialArm:
    """Tune the networks of a bundle with nested sets of a hospital's patients.

    Checkpoints and prepared images lie in ``OUT.tuning``: the same call goes on where a stopped one
    was, and `TuningWork.remove` drops them when the bundle is there.

    Args:
        model: The bundle.
        labelled: Its scores of the hospital's cases.
        network: The same beside the promised cases.
        division: Patients to tune with, and those that judge.
        settings: Of the training.
        sizes: Numbers of patients, the last of them all of those to tune with.
        out: Bundle that is to be written.
        on_progress: Called with the numbers of images done and to do.
        on_training: Called with the numbers of steps done and to do.

    Raises:
        ConfigError: All patients together lack a class.
        StudyError: The training diverges, or the memory or the disk is too small.
    """
    from medtransfer.deploy.adaptation.tuning.networks import Tuning  # loads torch

    draws = list(tuning_draws(network, division, sizes, settings))
    last = draws[-1]
    if last.reason is not None:
        raise ConfigError(
            f"The arm '{SEQUENTIAL}' cannot be fitted on {plural(last.patients, 'patient')} of "
            f"{network.hospital}: {last.reason}. No bundle was written."
        )
    work = TuningWork.beside(
        out,
        _made_from(model, labelled, network, draws, settings),
        patients=[case.patient_id for case in labelled.source.cases],
        salt=model.bundle.training_digests.salt,
    )
    hospital = HospitalImages.of(model, labelled, work, on_progress)
    tuning = Tuning(
        model,
        hospital,
        work,
        settings=settings,
        on_progress=on_progress,
        on_training=on_training,
    )
    networks = tuning.tune([draw for draw in draws if draw.reason is None], division.test)
    frame = networks[-1].frame
    run = run_arrays(frame, network.run.task)
    points = network.evaluation.operating_points
    tuned = LocalNetwork(
        frame=frame,
        run=run,
        fit=fit_on_tune(run, points),
        hospital=network.hospital,
        evaluation=network.evaluation,
        left_out=(),
    )
    return SequentialArm(
        carried=network,
        division=division,
        draws=draws,
        networks=networks,
        network=tuned,
        work=work,
    )


def _made_from(
    model: BundleModel,
    labelled: LabelledScores,
    network: LocalNetwork,
    draws: Sequence[TuningDraw],
    settings: SequentialConfig,
) -> dict[str, object]:
    """All that decides the tuned networks, as JSON."""
    source = labelled.source
    targets = [f"target_{name}" for name in network.run.names]
    columns = network.frame.select("member", "case_id", "patient_id", *targets)
    cases = range(len(source.cases))
    clinical = None if model.clinical is None else model.clinical.cells(source, cases)
    return {
        "medtransfer": version("medtransfer"),
        "bundle": model.bundle.digest,
        "device": model.device,
        "rule": tuning_rule(1, settings).model_dump(mode="json"),
        "settings": settings.model_dump(mode="json"),
        "labels": _digest(columns),
        "draws": [[d.ids[part].tolist() for part in (d.train, d.held)] for d in draws],
        "clinical": None if clinical is None else _digest(clinical),
        "images": [[source.cases[case].case_id, source.stamp(case)] for case in cases],
    }


def _digest(table: pl.DataFrame) -> str:
    """Digest of a table's cells as text, in their order."""
    return rows_digest(table.columns, [table.select(pl.all().cast(pl.String)).rows()])
