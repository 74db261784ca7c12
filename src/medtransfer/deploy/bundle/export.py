"""From a finished study to a bundle: `medtransfer export`."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.data.config import LabelPolicy
from medtransfer.data.images.decode import decoders
from medtransfer.data.images.dicom.transfer_syntaxes import DICOM_RULES
from medtransfer.data.sources.catalog import terms_of
from medtransfer.deploy.bundle.card import bundle_card
from medtransfer.deploy.bundle.choice import ChosenRuns, choose_runs
from medtransfer.deploy.bundle.fits import FIELDS, all_target_facts, reported_facts
from medtransfer.deploy.bundle.gate import check_detectors, detector_arrays
from medtransfer.deploy.bundle.promises import promised_cases, promised_numbers
from medtransfer.deploy.bundle.reader import (
    CARD,
    PROMISED,
    SUFFIX,
    TRAINING,
    Bundle,
    array_bytes,
    detectors_name,
    read_bundle,
    weights_name,
    write_bundle,
)
from medtransfer.deploy.bundle.schema import (
    SCHEMA_VERSION,
    BundleFacts,
    DeferralRule,
    DetectorFacts,
    InputFacts,
    LicenceFacts,
    TrainingFacts,
)
from medtransfer.deploy.bundle.signature import read_private_key
from medtransfer.deploy.bundle.training_digests import (
    digest_table,
    image_digests,
    patient_digests,
)
from medtransfer.deploy.clinical.facts import bundled_covariates
from medtransfer.deploy.levels.measured import measured_levels
from medtransfer.errors import ConfigError, fault_list, listed
from medtransfer.evaluation.scoring.run import WHOLE_CASE
from medtransfer.evaluation.scoring.score import MeasuredRun, measure_run
from medtransfer.models.ladder import find_rung
from medtransfer.posthoc.calibrators import CalibratorKind
from medtransfer.posthoc.ood_detectors import KEPT_SHARE, flag_threshold
from medtransfer.report.reading import require_sealed
from medtransfer.runs.folders import StudyFolder
from medtransfer.tables.predictions import OOD_PREFIX

MARGIN = 0.05
"""Loss against the promise that counts as holding, unless the study or the user sets one."""


@dataclass(frozen=True)
class ExportOptions:
    """Choices of whoever makes a bundle.

    Attributes:
        name: Of the bundle; the study's by default.
        detectors: Detectors of out-of-distribution cases.
        calibrator: Calibrator whose probabilities are reported, for binary targets and for
            classes if it is defined for them; else the temperature.
        deferral: Rule by which cases are left to a person.
        margin: Largest loss against the promise that still counts as holding; None for the
            study's margin, or else 0.05.
        licence: Licence of the data, beside what the ladder and the sources know.
        patient_digests: False leaves out the digests of training patients.
        expires: Last day on which the bundle predicts.
        onnx: True to add the networks in ONNX.
        sign: File of the private Ed25519 key that signs the bundle.
        supersedes: Bundle that this one takes the place of.
    """

    name: str | None = None
    detectors: tuple[str, ...] = ("mahalanobis",)
    calibrator: CalibratorKind = "temperature"
    deferral: DeferralRule = field(default_factory=DeferralRule)
    margin: float | None = None
    licence: str | None = None
    patient_digests: bool = True
    expires: date | None = None
    onnx: bool = False
    sign: Path | None = None
    supersedes: Path | None = None


DEFAULTS = ExportOptions()


def export_options(
    *,
    name: str | None = None,
    detectors: Sequence[str] | None = None,
    calibrator: str = DEFAULTS.calibrator,
    margin: float | None = None,
    licence: str | None = None,
    patient_digests: bool = True,
    expires: date | None = None,
    onnx: bool = False,
    sign: Path | None = None,
    supersedes: Path | None = None,
) -> ExportOptions:
    """Options as they are typed on a command line, checked.

    Raises:
        ConfigError: There is no such calibrator, or the margin is out of range.
    """
    faults: list[str] = []
    if calibrator not in FIELDS:
        faults.append(f"calibrator is '{calibrator}' (allowed: {listed(FIELDS)})")
    if margin is not None and not 0 < margin < 1:
        faults.append(f"margin is {margin:g} (allowed: over 0 and under 1)")
    if faults:
        raise ConfigError(fault_list("The bundle cannot be made", faults))
    return ExportOptions(
        name=name,
        detectors=DEFAULTS.detectors if not detectors else tuple(dict.fromkeys(detectors)),
        calibrator=next(kind for kind in FIELDS if kind == calibrator),
        margin=margin,
        licence=licence,
        patient_digests=patient_digests,
        expires=expires,
        onnx=onnx,
        sign=sign,
        supersedes=supersedes,
    )


def check_options(options: ExportOptions) -> None:
    """Check, before anything is computed, what options need from outside.

    Raises:
        ConfigError: A package is not installed, or a key cannot be used.
    """
    if options.sign is not None:
        read_private_key(options.sign)
    if options.onnx:
        from medtransfer.deploy.exchange.onnx_graph import require_exporter

        require_exporter()


OnStage = Callable[[str], None]


def export_bundle(
    study: StudyFolder | Path | str,
    out: Path | str,
    *,
    rung: str | None = None,
    run_id: str | None = None,
    ensemble: bool = False,
    options: ExportOptions = DEFAULTS,
    on_stage: OnStage = lambda _stage: None,
) -> Bundle:
    """Make a bundle of a network of a finished study.

    The same study, choice and options give the same bytes.

    Args:
        study: The study's folder.
        out: File to write; its name ends in ``.medt``.
        rung: Rung to take; by default the only one, or the one that `recommend` gives.
        run_id: One run, in place of a rung.
        ensemble: True for all seeds of the rung together.
        options: What goes in beside the network.
        on_stage: Called with what is done next.

    Returns:
        The bundle, as `read_bundle` opens it.

    Raises:
        ConfigError: The rung, the run, a detector or the file's name cannot be used.
        StudyError: The study is not finished, was altered, or its images have changed.
    """
    out = Path(out)
    if out.suffix != SUFFIX:
        raise ConfigError(f'"{out.name}" does not end in {SUFFIX}: name the bundle so.')
    folder = study if isinstance(study, StudyFolder) else StudyFolder(Path(study))
    chosen = choose_runs(folder, rung=rung, run_id=run_id, ensemble=ensemble)
    require_sealed(folder)
    return _Export(folder, chosen, options, on_stage).write(out)


def superseded(facts: BundleFacts, older: Path | None) -> BundleFacts:
    """Facts that name the bundle that this one takes the place of, if there is one.

    Raises:
        BundleError: The older bundle is damaged.
    """
    if older is None:
        return facts
    change = f"another network: {facts.network.rung} of study {facts.training.study}"
    return replace(facts, parent=read_bundle(older).digest, changes=(change,))


class _Export:
    """One bundle in the making."""

    def __init__(
        self, study: StudyFolder, chosen: ChosenRuns, options: ExportOptions, on_stage: OnStage
    ) -> None:
        from medtransfer.deploy.bundle.trained_run import open_run  # loads torch

        self._study, self._chosen, self._options = study, chosen, options
        self._on_stage = on_stage
        check_options(options)
        self._first = chosen.requests[0]
        data = self._first.run.data
        check_detectors(options.detectors, single_label=data.task == "single-label")
        on_stage("reading the study's data")
        self._runs = [open_run(study, request) for request in chosen.requests]
        self._name = options.name or str(study.read("study.json")["name"])

    def write(self, out: Path) -> Bundle:
        entries = dict(self._network_entries())
        self._on_stage("measuring what the bundle promises")
        members = [
            run.folder.predictions().with_columns(
                pl.lit(self._name).alias("run_id"), pl.lit(number, pl.Int64).alias("member")
            )
            for number, run in enumerate(self._runs)
        ]
        together = pl.concat(members)
        config = self._first.run.evaluation
        cases = together.filter(member=0).select("case_id")
        measured = measure_run(together, cases, self._first.run.data.task, config)
        salt = self._salt(entries)
        promised = promised_cases(members, measured.run, self._options.detectors, salt)
        self._on_stage("making digests of the training data")
        entries[TRAINING] = self._training_entry(salt)
        entries[PROMISED] = array_bytes(vars(promised))
        facts = superseded(self._facts(measured, salt), self._options.supersedes)
        frame, kind = self._runs[0].frame, self._options.calibrator
        facts = replace(facts, levels=measured_levels(self._first.run, frame, together, kind))
        entries[CARD] = bundle_card(facts).encode()
        options = self._options
        if options.onnx:
            from medtransfer.deploy.exchange.onnx_graph import with_onnx

            self._on_stage("exporting to ONNX")
            facts, entries = with_onnx(facts, entries)
        self._on_stage("writing the bundle")
        return write_bundle(out, facts, entries, options.sign)

    def _network_entries(self) -> dict[str, bytes]:
        """Weights, and statistics of the detectors, of every member."""
        import torch

        from medtransfer.posthoc.ood_detectors import DETECTORS

        entries: dict[str, bytes] = {}
        names = self._options.detectors
        needs_features = any(
            DETECTORS[name].needs == "features" or name == "kl_matching" for name in names
        )
        for number, run in enumerate(self._runs):
            entries[weights_name(number)] = run.weights.read_bytes()
            arrays: dict[str, np.ndarray] = {}
            if needs_features:
                self._on_stage(f"passing the training cases through network {number + 1}")
                classifier = run.classifier(torch.device("cpu"))
                reference = run.ood_reference(classifier, self._study.cache)
                arrays = dict(detector_arrays(reference, names))
            entries[detectors_name(number)] = array_bytes(arrays)
        return entries

    def _salt(self, entries: dict[str, bytes]) -> str:
        """Salt of the bundle's digests: the same for the same networks."""
        weights = [
            hashlib.sha256(entries[weights_name(number)]).hexdigest()
            for number in range(len(self._runs))
        ]
        ids = [request.run_id for request in self._chosen.requests]
        text = "\n".join(["medtransfer bundle", *ids, *weights])
        return hashlib.sha256(text.encode()).hexdigest()

    def _training_entry(self, salt: str) -> bytes:
        key = bytes.fromhex(salt)
        contents: set[str] = set()
        patients: set[str] = set()
        for run in self._runs:
            for cases in (run.cases.train, run.cases.tune):
                images = run.facts.filter(pl.col("image_id").is_in(cases.image_ids))
                contents |= set(images["sha256"].to_list())
                patients |= set(cases.patient_ids.tolist())
        tables = {"images": digest_table(image_digests(contents, key))}
        if self._options.patient_digests:
            tables["patients"] = digest_table(patient_digests(patients, key))
        return array_bytes(tables)

    def _facts(self, measured: MeasuredRun, salt: str) -> BundleFacts:
        run, options = self._runs[0], self._options
        data, config, fits = run.run.data, run.run.evaluation, measured.fit
        return BundleFacts(
            schema_version=SCHEMA_VERSION,
            medtransfer=version("medtransfer"),
            name=self._name,
            task=data.task,
            class_column=data.class_column,
            targets=all_target_facts(data.targets, fits, options.calibrator),
            case=None
            if data.task != "single-label"
            else reported_facts("case", fits[WHOLE_CASE], options.calibrator, LabelPolicy()),
            network=run.network,
            members=len(self._runs),
            input=self._input(),
            detectors=tuple(
                DetectorFacts(name, self._threshold(name, measured), KEPT_SHARE)
                for name in options.detectors
            ),
            deferral=options.deferral,
            promises=promised_numbers(measured, config, options.detectors),
            training=self._training(measured, salt),
            licences=self._licences(),
            margin=options.margin or config.margin or MARGIN,
            expires=options.expires,
            clinical=bundled_covariates(run.cases.encoding for run in self._runs),
        )

    def _threshold(self, detector: str, measured: MeasuredRun) -> float:
        run = measured.run
        scores = run.frame[f"{OOD_PREFIX}{detector}"].to_numpy().astype(np.float64)[run.tuned()]
        threshold = flag_threshold(scores)
        if threshold is None or not np.isfinite(threshold):
            raise ConfigError(
                f"Detector '{detector}' has no threshold: the run has no finite score in its "
                "tuning split. Leave it out with --detector."
            )
        return threshold

    def _input(self) -> InputFacts:
        run = self._runs[0]
        trained = [*run.cases.train.image_ids, *run.cases.tune.image_ids]
        facts = run.facts.filter(pl.col("image_id").is_in(trained))
        modalities = facts["modality"].drop_nulls().unique().sort().to_list()
        return InputFacts(
            decoder=decoders(facts["format"].unique().to_list()),
            dicom_rules=DICOM_RULES,
            pixel_limit=run.run.data.pixel_limit,
            modalities=tuple(name for name in modalities if name),
            crop=run.spec.crop,
            interpolation=run.spec.interpolation,
            coding=run.recipe.codec.coding,
            quality=run.recipe.codec.quality,
            mean=run.spec.mean,
            std=run.spec.std,
            framing=run.recipe.framing,
        )

    def _training(self, measured: MeasuredRun, salt: str) -> TrainingFacts:
        run, arrays = self._runs[0], measured.run
        train, tune = run.cases.train, run.cases.tune
        tests = [name for name in arrays.test_cases() if name != arrays.internal_name()]
        return TrainingFacts(
            study=str(self._study.read("study.json")["name"]),
            run_ids=tuple(request.run_id for request in self._chosen.requests),
            seeds=tuple(request.seed for request in self._chosen.requests),
            label_fraction=self._first.label_fraction,
            cohorts=tuple(sorted(set(train.cohorts.tolist()))),
            test_cohorts=(arrays.internal_name(), *tests),
            images_per_case=int(train.counts.max()),
            train_cases=len(train),
            train_patients=len(set(train.patient_ids.tolist())),
            tune_cases=len(tune),
            tune_patients=len(set(tune.patient_ids.tolist())),
            salt=salt,
            has_patients=self._options.patient_digests,
            why=self._chosen.why,
        )

    def _licences(self) -> tuple[LicenceFacts, ...]:
        rung = find_rung(self._first.rung)
        licences: list[LicenceFacts] = []
        if rung.licence:
            licences.append(LicenceFacts(f"weights of {rung.name}", rung.licence))
        cohorts = self._runs[0].manifest.frame["cohort"].unique().to_list()
        for sentence in terms_of(cohorts):
            title, _, terms = sentence.partition(": ")
            licences.append(LicenceFacts(f"data of {title}", terms))
        if self._options.licence:
            licences.append(LicenceFacts("this bundle and its data", self._options.licence))
        return tuple(licences)
