"""Networks of a bundle, tuned with some patients of a hospital by the training of a study."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from medtransfer.data.cases import Cases
from medtransfer.data.covariates.encoding import CovariateEncoding
from medtransfer.data.images.scan import Progress
from medtransfer.deploy.adaptation.tuning.config import SequentialConfig
from medtransfer.deploy.adaptation.tuning.draws import TuningDraw
from medtransfer.deploy.adaptation.tuning.hospital import HospitalImages, TuningCases
from medtransfer.deploy.adaptation.tuning.rule import Device, tuning_rule
from medtransfer.deploy.adaptation.tuning.work import TuningWork
from medtransfer.deploy.bundle.gate import detector_arrays
from medtransfer.deploy.bundle.schema import BundleFacts
from medtransfer.deploy.clinical.facts import encodings_of
from medtransfer.deploy.inference.model import BundleModel
from medtransfer.deploy.inference.network import bundled_classifier
from medtransfer.errors import ConfigError, StudyError
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.models.backbones import build_backbone, layer_numbers
from medtransfer.models.config import ModelConfig
from medtransfer.runs.config import Transfer
from medtransfer.runs.fine_tune import RunCases, fine_tune, prediction_parts, prepare_tuning
from medtransfer.runs.transfer import pick_device
from medtransfer.tables.predictions import OOD_PREFIX
from medtransfer.training.checkpoint import MODEL
from medtransfer.training.config import TrainingConfig
from medtransfer.training.loop import Diverged, StepReport


@dataclass(frozen=True, eq=False)
class TunedMember:
    """A network after its tuning.

    Attributes:
        weights: Its file of tensors.
        predictions: Rows of the cases held back and of those that judge, with OOD scores of the
            bundle's detectors.
        detectors: Statistics of these detectors, of its training cases.
        selected: Finished steps of the check whose weights were kept.
    """

    weights: bytes
    predictions: pl.DataFrame
    detectors: dict[str, Floats]
    selected: int


@dataclass(frozen=True, eq=False)
class TunedNetworks:
    """Networks of a bundle, tuned with the same patients.

    Attributes:
        draw: The patients.
        settings: Settings of the arm.
        training: Settings of the training that follow from them.
        members: The networks, in order.
    """

    draw: TuningDraw
    settings: SequentialConfig
    training: TrainingConfig
    members: Sequence[TunedMember]

    @property
    def frame(self) -> pl.DataFrame:
        """Predictions of all members: `tune` are the cases held back, `test` those that judge."""
        return pl.concat([member.predictions for member in self.members])


def stage_fault(facts: BundleFacts, frozen: int) -> str | None:
    """Sentence on stages that cannot be frozen; None if they can.

    Args:
        facts: Of the bundle.
        frozen: Stages to freeze, from below.
    """
    if not frozen:
        return None
    try:
        with torch.device("meta"):
            architecture = facts.network.architecture.architecture()
            backbone = build_backbone(architecture, seed=0, input_size=facts.input.crop)
        _, top = layer_numbers(backbone, coarse=True)
    except ConfigError as error:
        return str(error).rstrip(".")
    if frozen <= top:
        return None
    return (
        f"frozen_stages is {frozen}, and the network has {top} groups of layers (allowed: 0 to "
        f"{top}, which trains the head alone)"
    )


class Tuning:
    """Trainings of a bundle's networks at a hospital, one after another."""

    def __init__(
        self,
        model: BundleModel,
        hospital: HospitalImages,
        work: TuningWork,
        *,
        settings: SequentialConfig,
        on_progress: Progress,
        on_training: Progress,
    ) -> None:
        """Take what they have in common.

        Args:
            model: The bundle.
            hospital: Its images.
            work: Holds checkpoints and prepared images.
            settings: Of the arm; its seed is of the first member's order of cases and crops, the
                next has the next one.
            on_progress: Called with the numbers of images prepared and to prepare.
            on_training: Called with the numbers of steps done and to do, over all networks.
        """
        self._model, self._hospital, self._work = model, hospital, work
        self._settings, self._on_progress, self._on_training = settings, on_progress, on_training
        self._done = self._total = 0

    def tune(self, draws: Sequence[TuningDraw], test: Flags) -> list[TunedNetworks]:
        """Tune all networks with each draw of patients, from the bundle's weights.

        Args:
            draws: Patients; none of them is without a class.
            test: Cases of the patients that judge, predicted by each. [N]

        Raises:
            StudyError: A training diverges, or the memory or the disk is too small.
        """
        prepared = [
            self._hospital.cases(draw, test, self._work, self._on_progress) for draw in draws
        ]
        trainings = [self._training(len(cases.train)) for cases in prepared]
        members = range(self._model.facts.members)
        self._total = sum(training.steps or 0 for training in trainings) * len(members)
        return [
            TunedNetworks(
                draw=draw,
                settings=self._settings,
                training=training,
                members=[self._tuned(draw, training, cases, member) for member in members],
            )
            for draw, training, cases in zip(draws, trainings, prepared, strict=True)
        ]

    def _training(self, cases: int) -> TrainingConfig:
        device: Device = "auto"
        match self._model.device:
            case "cpu" | "cuda" | "mps" as named:
                device = named
            case _:
                pass
        has_gate = bool(self._model.facts.detectors)
        return tuning_rule(cases, self._settings, device, ood=has_gate)

    def _tuned(
        self, draw: TuningDraw, training: TrainingConfig, cases: TuningCases, member: int
    ) -> TunedMember:
        """One network after its tuning; a stopped one goes on from its last checkpoint."""
        facts, hospital = self._model.facts, self._hospital
        run = Transfer(
            data=hospital.data,
            model=ModelConfig(rung=facts.network.rung, pool=facts.network.pool),
            training=training,
            evaluation=EvaluationConfig(),
            seed=self._settings.seed + member,
        )
        device = pick_device(training)
        classifier = bundled_classifier(self._model.bundle, member, device)
        classifier.requires_grad_(requires_grad=True)
        prepare_tuning(classifier, training.tuning, run.seed)
        if self._settings.batch_norm == "fixed":
            # running statistics would be those of crops of a few patients
            classifier.freeze_batch_norm(classifier.backbone.modules())
        folder = self._work.run(draw.patients, member)
        encoding = encodings_of(facts.clinical, facts.members)[member]
        before = self._done

        def on_step(report: StepReport) -> bool:
            self._done = before + report.step
            self._on_training(self._done, self._total)
            return False

        try:
            trained = fine_tune(
                run,
                classifier,
                self._encoded(cases, encoding),
                cases.images,
                hospital.spec,
                folder=folder,
                on_step=on_step,
            )
        except Diverged as error:
            self._work.remove()  # the same call would diverge again
            raise StudyError(
                f"Tuning with {draw.patients} patients diverged: {error}. No bundle was written. "
                "Check the labels and the images, or take an arm that trains nothing."
            ) from error
        self._done = before + (training.steps or 0)
        names = [detector.name for detector in facts.detectors]
        selected = trained.state.selected or 0
        weights = folder.checkpoint / f"selected-{selected:08d}" / MODEL
        parts = prediction_parts(trained.outputs, run, facts.name)
        predictions = pl.concat(parts).with_columns(member=pl.lit(member, pl.Int64))
        other = [
            column
            for column in predictions.columns
            if column.startswith(OOD_PREFIX) and column.removeprefix(OOD_PREFIX) not in names
        ]
        return TunedMember(
            weights=weights.read_bytes(),
            predictions=predictions.drop(other).sort("case_id"),
            detectors=detector_arrays(trained.outputs.reference, names) if names else {},
            selected=selected,
        )

    def _encoded(self, cases: TuningCases, encoding: CovariateEncoding | None) -> RunCases:
        """Cases of a run, with clinical data as the network has learned to see them."""
        train, tune, test = (
            part if encoding is None else replace(part, covariates=self._clinical(part, encoding))
            for part in (cases.train, cases.tune, cases.test)
        )
        return RunCases(
            all=train, train=train, tune=tune, test={"hospital": test}, encoding=encoding
        )

    def _clinical(self, cases: Cases, encoding: CovariateEncoding) -> NDArray[np.float32]:
        """Clinical data of some cases as numbers. [N, C]"""
        source, clinical = self._hospital.source, self._model.clinical
        if clinical is None:
            return np.zeros((len(cases), encoding.width), np.float32)
        place = {case.case_id: number for number, case in enumerate(source.cases)}
        places = [place[case] for case in cases.case_ids.tolist()]
        return encoding.encode(clinical.cells(source, places))
