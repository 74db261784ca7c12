"""A bundle ready to predict: `load_bundle`. Torch is loaded with the first prediction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl

from medtransfer.data.images.pictures import Pixels
from medtransfer.data.images.region import FramedPixels
from medtransfer.data.images.scan import Progress, no_progress
from medtransfer.deploy.bundle.reader import Bundle, read_bundle
from medtransfer.deploy.bundle.schema import BundleFacts
from medtransfer.deploy.clinical.cells import ClinicalData
from medtransfer.deploy.clinical.facts import encoding_of
from medtransfer.deploy.inference.decisions import (
    BundlePredictions,
    CaseImagesRead,
    Scored,
    case_decisions,
    images_read,
)
from medtransfer.deploy.inference.networks import (
    BundleNetworks,
    PredictingPrecision,
    Runtime,
    precision_notes,
    require_precision,
)
from medtransfer.deploy.inference.occasions import occasion_columns
from medtransfer.deploy.inference.pixels import InputRules, decode_images
from medtransfer.deploy.inference.sources import CaseRule, CaseSource, case_source
from medtransfer.errors import BundleError, ConfigError, ImageError, listed
from medtransfer.models.rungs.architectures import Precision
from medtransfer.posthoc.adaptation.home_features import HomeFeatures
from medtransfer.tables.predictions import OOD_PREFIX

IMAGES_AT_ONCE = 128
"""Images that go through a network together, as in a study; halved where memory runs out."""
REFUSED_SCHEMA = {"case_id": pl.String, "image": pl.String, "reason": pl.String}
NOT_FINITE = "the network's output for it is not a finite number"


@dataclass(eq=False)
class BundleModel:
    """A bundle ready to predict.

    Attributes:
        bundle: The bundle.
        device: `auto`, `cpu`, `cuda` or `mps`.
        any_modality: True if DICOM files of modalities that were not trained on are not refused.
        runtime: `torch`, or `onnx` for onnxruntime, which is in float32 whatever the study was.
        after_expiry: True to predict although the bundle has expired.
        precision: Of the backbones in torch: `study` for the study's, `auto` for the faster one
            here, or the name of one.
        clinical_table: Clinical data by `case_id`; None for those of table or headers.
    """

    bundle: Bundle
    device: str = "auto"
    any_modality: bool = False
    runtime: Runtime = "torch"
    after_expiry: bool = False
    precision: PredictingPrecision = "study"
    clinical_table: Path | None = None

    @cached_property
    def clinical(self) -> ClinicalData | None:
        """Source of the clinical data that the networks see; None if they see none."""
        encoding = encoding_of(self.facts.clinical[0]) if self.facts.clinical else None
        return None if encoding is None else ClinicalData(encoding, self.clinical_table)

    @cached_property
    def used_precision(self) -> Precision:
        """Precision of its backbones, measured if it is `auto`."""
        if self.runtime == "onnx":
            return "float32"
        match self.precision:
            case "study":
                return self.facts.network.precision
            case "auto":
                from medtransfer.deploy.inference.runtime import fastest_precision

                return fastest_precision(self.bundle, self.device)
            case named:
                return named

    @cached_property
    def rules(self) -> InputRules:
        """Rules by which it reads images."""
        return InputRules.of(self.bundle.facts.input, any_modality=self.any_modality)

    @property
    def facts(self) -> BundleFacts:
        """Content of the bundle's ``bundle.json``."""
        return self.bundle.facts

    @cached_property
    def networks(self) -> BundleNetworks:
        """Its networks, on their device."""
        match self.runtime:
            case "torch":
                from medtransfer.deploy.inference.runtime import torch_networks

                return BundleNetworks(
                    self.bundle, torch_networks(self.bundle, self.device, self.used_precision)
                )
            case "onnx":
                from medtransfer.deploy.inference.onnx_network import onnx_networks

                return BundleNetworks(self.bundle, onnx_networks(self.bundle, self.device))

    @property
    def has_expired(self) -> bool:
        """True after the bundle's last day, unless it is to predict all the same."""
        return self.bundle.has_expired and not self.after_expiry

    def require_unexpired(self) -> None:
        """Refuse to go on after the bundle's last day.

        Raises:
            BundleError: It has expired.
        """
        if self.has_expired:
            raise BundleError(
                f'Bundle "{self.bundle.path.name}" expired on {self.facts.expires}. Ask whoever '
                "made it for a newer one; `medtransfer predict --after-expiry` predicts all the "
                "same."
            )

    def show(self) -> str:
        """One screen of text on the bundle."""
        from medtransfer.deploy.bundle.card import bundle_page  # loads templates

        return bundle_page(self.bundle)

    def source(self, inputs: Any, case: CaseRule = "auto") -> CaseSource:
        """The cases that `predict` would predict."""
        images = self.facts.training.images_per_case
        return case_source(inputs, case, images_per_case=images)

    def predict(
        self, inputs: Any, *, case: CaseRule = "auto", on_progress: Progress = no_progress
    ) -> BundlePredictions:
        """Predict cases; what cannot be read never stops the rest.

        Args:
            inputs: A manifest or the path of a table with `path` (optional: `case_id`,
                `patient_id`, `cohort`, `frame`); paths of files and folders; or arrays, uint8 or
                uint16, [height, width] or [height, width, 3] each, black is 0, or a list of them
                for each case.
            case: How DICOM files are brought together to cases: `image`, `series`, `study`,
                `side` (study and laterality), or `auto`.
            on_progress: Called with the numbers of images done and to do.

        Raises:
            ConfigError: There is nothing to predict.
            TableError: The table cannot be read.
            BundleError: The bundle's weights cannot be used, or it has expired since it was opened.
        """
        source = self.source(inputs, case)
        scored = self.score(source, range(len(source.cases)), on_progress)
        return self.decide(source, scored)

    def score(
        self,
        source: CaseSource,
        cases: Sequence[int],
        on_progress: Progress = no_progress,
        *,
        with_features: bool = False,
    ) -> Scored:
        """Scores of some cases of a source.

        Args:
            source: From `source`.
            cases: Positions of the cases.
            on_progress: Called with the numbers of images done and to do.
            with_features: True to keep what the head of each network sees of each case.

        Raises:
            BundleError: The bundle's weights cannot be used, or it has expired since it was opened.
        """
        self.require_unexpired()
        scoring = _Scoring(self, source, cases, on_progress)
        scoring.features = [[] for _ in range(self.facts.members)] if with_features else []
        return scoring.carry_out()

    def decide(self, source: CaseSource, scored: Scored) -> BundlePredictions:
        """Decisions on scored cases, and a row for every case that has no score."""
        reasons = scored.refused.group_by("case_id").agg(pl.col("reason").first())
        ids = [case.case_id for case in source.cases]
        listed = pl.DataFrame(
            {
                "case_id": ids,
                "patient_id": [case.patient_id for case in source.cases],
                "cohort": [case.cohort for case in source.cases],
            }
        )
        listed = listed.with_columns(**occasion_columns(case.occasion for case in source.cases))
        occasions = listed.drop("patient_id", "cohort")
        if len(scored.scores):
            decided = case_decisions(self.facts, scored.scores, scored.images)
            decided = decided.join(occasions, on="case_id", how="left")
        else:
            decided = listed.clear().with_columns(deferred=pl.lit(None, dtype=pl.Boolean))
        without = listed.join(decided, on="case_id", how="anti").join(
            reasons, on="case_id", how="left"
        )
        frame = pl.concat([decided, without], how="diagonal").sort("case_id")
        if "reason" not in frame.columns:
            frame = frame.with_columns(reason=pl.lit(None, dtype=pl.String))
        notes = [*source.notes]
        if self.runtime == "torch":
            notes += precision_notes(self.used_precision, self.facts.network.precision)
        notes += [] if self.clinical is None else self.clinical.notes(source)
        levels: dict[str, pl.DataFrame] = {}
        if self.facts.levels:
            from medtransfer.deploy.levels.units import unit_decisions

            levels, more = unit_decisions(self.facts, source, scored.scores, scored.images)
            notes += more
        return BundlePredictions(frame, scored.refused, scored.scores, tuple(notes), levels)


class _Scoring:
    """One pass over some cases."""

    def __init__(
        self, model: BundleModel, source: CaseSource, cases: Sequence[int], on_progress: Progress
    ) -> None:
        self._model, self._source, self._cases = model, source, cases
        self._on_progress = on_progress
        self._total = sum(source.cases[case].images for case in cases)
        clinical = model.clinical
        self._cells = None if clinical is None else clinical.cells(source, cases)
        self._row_of = {case: row for row, case in enumerate(cases)}
        self._parts: list[pl.DataFrame] = []
        self.features: list[list[HomeFeatures]] = []
        self._refused: list[tuple[str, str, str]] = []
        self._images: dict[str, CaseImagesRead] = {}

    def carry_out(self) -> Scored:
        """Decode the images, and pass whole cases through the networks as they come."""
        ready: list[tuple[int, list[Pixels]]] = []
        waiting = 0
        for case, pictures in self._decoded():
            ready.append((case, pictures))
            waiting += len(pictures)
            if waiting >= IMAGES_AT_ONCE:
                self._pass(ready)
                ready, waiting = [], 0
        if ready:
            self._pass(ready)
        scores = pl.concat(self._parts) if self._parts else pl.DataFrame()
        refused = pl.DataFrame(self._refused, schema=REFUSED_SCHEMA, orient="row")
        features = tuple(HomeFeatures.joined(parts) for parts in self.features if parts)
        return Scored(scores, refused, self._images, features)

    def _decoded(self) -> Iterator[tuple[int, list[Pixels]]]:
        """Cases with at least one readable image, when all of their images are done."""
        missing = {case: self._source.cases[case].images for case in self._cases}
        held: dict[int, list[tuple[int, FramedPixels]]] = {}
        requests = self._source.images(self._cases)
        for done, (request, outcome) in enumerate(
            decode_images(requests, self._model.rules), start=1
        ):
            case_id = self._source.cases[request.case].case_id
            if isinstance(outcome, ImageError):
                self._refused.append((case_id, request.name, f"the image {outcome}"))
            else:
                held.setdefault(request.case, []).append((request.place, outcome))
            missing[request.case] -= 1
            if missing[request.case] == 0 and request.case in held:
                ordered = sorted(held.pop(request.case), key=lambda pair: pair[0])
                pictures = [picture for _, picture in ordered]
                number = self._source.cases[request.case].images
                self._images[case_id] = images_read(pictures, number)
                yield request.case, [picture.pixels for picture in pictures]
            self._on_progress(done, self._total)

    def _pass(self, ready: Sequence[tuple[int, list[Pixels]]]) -> None:
        facts = self._model.facts
        cases = [self._source.cases[case] for case, _ in ready]
        cells = None
        if self._cells is not None:
            cells = self._cells[[self._row_of[case] for case, _ in ready]]
        scores = self._model.networks.scores([pictures for _, pictures in ready], cells)
        finite = np.all([np.isfinite(s.logits).all(axis=1) for s in scores], axis=0)
        for row in np.flatnonzero(~finite).tolist():
            self._refused.append((cases[row].case_id, "", NOT_FINITE))
            del self._images[cases[row].case_id]
        ids = pl.DataFrame(
            {
                "case_id": [case.case_id for case in cases],
                "patient_id": [case.patient_id for case in cases],
                "cohort": [case.cohort for case in cases],
            }
        )
        kept = np.array([case.case_id for case in cases], dtype=np.str_)[finite]
        for parts, of_member in zip(self.features, scores, strict=False):
            parts.append(HomeFeatures(kept, of_member.features[finite]))
        for member, of_member in enumerate(scores):
            table = ids.select(
                pl.lit(facts.name).alias("run_id"),
                pl.lit(member, pl.Int64).alias("member"),
                "case_id",
                "patient_id",
                "cohort",
                pl.lit("test").alias("split"),
                *(pl.lit(None, pl.Float64).alias(f"target_{name}") for name in facts.names),
                *(
                    pl.Series(f"logit_{name}", np.ascontiguousarray(of_member.logits[:, column]))
                    for column, name in enumerate(facts.names)
                ),
                *(pl.Series(f"{OOD_PREFIX}{name}", v) for name, v in of_member.ood.items()),
            )
            self._parts.append(table.filter(pl.Series(finite)))


def load_bundle(
    path: Path | str,
    *,
    device: str = "auto",
    any_modality: bool = False,
    after_expiry: bool = False,
    runtime: Runtime = "torch",
    precision: PredictingPrecision = "study",
    clinical: Path | str | None = None,
    trusted: Sequence[Path | str] = (),
) -> BundleModel:
    """Open a bundle to predict with.

    Args:
        path: The bundle.
        device: `auto`, `cpu`, `cuda` or `mps`.
        any_modality: True if DICOM files of modalities that were not trained on are not refused.
        after_expiry: True to predict although the bundle has expired.
        runtime: `torch`, or `onnx` for onnxruntime.
        precision: Of the backbones in torch: `study` for the numbers of the study, `auto` for the
            faster of both here, or `float32` or `bfloat16`.
        clinical: Table with `case_id` and the clinical data that the bundle sees.
        trusted: Files of public keys, one of which must have signed it; none for any bundle.

    Returns:
        The bundle, ready to predict; its networks are loaded with the first prediction.

    Raises:
        BundleError: It is damaged, of another version, has expired, or is not signed as asked.
        ConfigError: There is no such runtime or precision, or a file holds no public key.
    """
    require_precision(precision, runtime)
    if runtime not in get_args(Runtime):
        raise ConfigError(f"--runtime is '{runtime}' (allowed: {listed(get_args(Runtime))}).")
    bundle = read_bundle(path, trusted=trusted)
    model = BundleModel(
        bundle,
        device=device,
        any_modality=any_modality,
        runtime=runtime,
        after_expiry=after_expiry,
        precision=precision,
        clinical_table=None if clinical is None else Path(clinical),
    )
    if clinical is not None and model.clinical is None:
        raise ConfigError("The bundle sees no clinical data: leave --clinical out.")
    model.require_unexpired()
    return model
