"""From scores to decisions: probability, call, prediction set, gate, deferral. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.images.region import FramedPixels
from medtransfer.deploy.bundle.fits import carried_fit
from medtransfer.deploy.bundle.schema import BundleFacts
from medtransfer.errors import plural
from medtransfer.evaluation.scoring.run import WHOLE_CASE, RunArrays, run_arrays
from medtransfer.evaluation.scoring.tune_fit import TuneFit, cases_of_target
from medtransfer.metrics.cases import AnyCases, TargetCases
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.adaptation.home_features import HomeFeatures
from medtransfer.tables.predictions import OOD_PREFIX

NO_ANSWER = "none"
"""A prediction set without an answer: no answer is as likely as those of the tuning cases."""
BETWEEN = "|"
"""Between several answers of a set, and between detectors."""


Columns = dict[str, pl.Series]


@dataclass(frozen=True)
class CaseImagesRead:
    """Images of a case.

    Attributes:
        read: Number of images that the prediction is made of.
        refused: Number that could not be read.
        brightness: Mean of their pixels, from 0 (black) to 1, at the network's size.
        contrast: Standard deviation of the pixels of an image, mean over the images.
        whole: Number that has no clear breast, where one is cut out.
    """

    read: int
    refused: int
    brightness: float | None = None
    contrast: float | None = None
    whole: int = 0


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores of some cases, before any decision.

    Attributes:
        scores: Predictions table, a row per case and member; targets are null.
        refused: `case_id`, `image` and `reason` of every image that could not be used.
        images: Images of every case that has a prediction, by `case_id`.
        features: Of each network, in order; none if they were not asked for.
    """

    scores: pl.DataFrame
    refused: pl.DataFrame
    images: dict[str, CaseImagesRead]
    features: tuple[HomeFeatures, ...] = ()


@dataclass(frozen=True, eq=False)
class BundlePredictions:
    """Predictions of a bundle.

    Attributes:
        frame: One row per case; see docs/how-to/deploy.md. A case without
            a usable image has no numbers and a `reason`.
        refused: `case_id`, `image` and `reason` of every image that could not be used.
        scores: Predictions table of the predicted cases, for `evaluate`: a row per case and
            member, targets null.
        notes: Sentences on what was passed over or assumed.
        levels: Decisions on units of several cases, by the level's name; empty without levels.
    """

    frame: pl.DataFrame
    refused: pl.DataFrame
    scores: pl.DataFrame
    notes: tuple[str, ...] = ()
    levels: Mapping[str, pl.DataFrame] = field(default_factory=dict[str, pl.DataFrame])

    @property
    def unpredicted(self) -> int:
        """Number of cases without a prediction."""
        return int(self.frame["reason"].is_not_null().sum())

    @property
    def deferred(self) -> int:
        """Number of predicted cases that are left to a person."""
        return int(self.frame["deferred"].fill_null(value=False).sum())

    @property
    def whole_images(self) -> int:
        """Number of images without a clear breast, which were taken whole."""
        is_counted = "images_whole" in self.frame.columns
        return int(self.frame["images_whole"].sum()) if is_counted else 0

    @property
    def out_of_distribution(self) -> int:
        """Number of cases that a detector flags."""
        has_gate = "ood" in self.frame.columns
        return int(self.frame["ood"].fill_null(value=False).sum()) if has_gate else 0


def case_decisions(
    facts: BundleFacts, scores: pl.DataFrame, images: Mapping[str, CaseImagesRead]
) -> pl.DataFrame:
    """Decisions on cases, one row each, in the order of their ids.

    Args:
        facts: Of the bundle.
        scores: Predictions table of the cases, of every member.
        images: By `case_id`.

    Returns:
        `case_id`, `patient_id`, `cohort`, `images`, `images_refused`, `brightness`, `contrast`,
        and `images_whole` of a bundle that cuts out the breast; of every target `logit_`,
        `probability_` (calibrated), `call_<target>_<point>` (1 or 0), `set_<target>`, or `class`
        and `set` of a single-label task; `ood_<detector>`, `ood`, `ood_by`; `deferred`,
        `deferred_because`.
    """
    run = run_arrays(scores, facts.task)
    fit = carried_fit(facts)
    counts = [images[case] for case in run.frame["case_id"].to_list()]
    columns: Columns = {
        "images": pl.Series([count.read for count in counts], dtype=pl.Int64),
        "images_refused": pl.Series([count.refused for count in counts], dtype=pl.Int64),
        "brightness": pl.Series([count.brightness for count in counts], dtype=pl.Float64),
        "contrast": pl.Series([count.contrast for count in counts], dtype=pl.Float64),
    }
    if not facts.input.framing.is_whole:
        columns["images_whole"] = pl.Series([count.whole for count in counts], dtype=pl.Int64)
    reasons: list[list[str]] = [[] for _ in counts]
    columns |= _target_columns(facts, run, fit, reasons)
    columns |= _gate_columns(facts, run, reasons)
    if facts.deferral.missing_images:
        for count, of_case in zip(counts, reasons, strict=True):
            if count.refused:
                of_case.append(f"{plural(count.refused, 'image')} could not be read")
    columns["deferred"] = pl.Series([bool(of_case) for of_case in reasons], dtype=pl.Boolean)
    columns["deferred_because"] = _texts(["; ".join(of_case) for of_case in reasons])
    return run.frame.select("case_id", "patient_id", "cohort").with_columns(**columns)


def _target_columns(
    facts: BundleFacts, run: RunArrays, fit: TuneFit, reasons: list[list[str]]
) -> Columns:
    columns: Columns = {}
    single = run.single_label
    calibrated = _class_probabilities(facts, run, fit) if single else run.probabilities
    for number, target in enumerate(facts.targets):
        cases = cases_of_target(run, fit, number)
        probability = calibrated[:, number]
        if not single and target.calibrator is not None:
            probability = cases.calibrated[target.calibrator]
        columns[f"logit_{target.name}"] = _numbers(run.logits[:, number])
        columns[f"probability_{target.name}"] = _numbers(probability)
        if isinstance(cases, TargetCases):
            for point, positive in cases.predicted_positive.items():
                columns[f"call_{target.name}_{point}"] = pl.Series(positive.astype(np.int64))
        if not single:
            answers = _answers(cases, facts.deferral.set_method, ("0", "1"))
            columns |= _set_column(f"set_{target.name}", answers)
            if facts.deferral.targets is None or target.name in facts.deferral.targets:
                _defer(reasons, answers, f"of '{target.name}'")
    if single:
        names = facts.names
        labels: list[int] = calibrated.argmax(axis=1).tolist()
        columns["class"] = _texts([names[label] for label in labels])
        answers = _answers(cases_of_target(run, fit, WHOLE_CASE), facts.deferral.set_method, names)
        columns |= _set_column("set", answers)
        _defer(reasons, answers, "of classes")
    return columns


def _class_probabilities(facts: BundleFacts, run: RunArrays, fit: TuneFit) -> Floats:
    """Calibrated probabilities of the classes. [N, C]"""
    kind = None if facts.case is None else facts.case.calibrator
    if kind is None:
        return run.probabilities
    return fit[WHOLE_CASE].calibrators[kind].probabilities(run.logits)


def _answers(
    cases: AnyCases, method: str | None, names: Sequence[str]
) -> list[tuple[str, ...]] | None:
    """Answers in each case's prediction set; None if tune determines no sets."""
    sets: NDArray[np.bool_] | None = cases.sets.get(method) if method is not None else None
    if sets is None:
        return None
    return [tuple(name for name, held in zip(names, row, strict=True) if held) for row in sets]


def _set_column(name: str, answers: list[tuple[str, ...]] | None) -> Columns:
    if answers is None:
        return {}
    return {name: _texts([BETWEEN.join(held) or NO_ANSWER for held in answers])}


def _defer(reasons: list[list[str]], answers: list[tuple[str, ...]] | None, subject: str) -> None:
    """Note the cases whose set has not exactly one answer."""
    for of_case, held in zip(reasons, answers or [], strict=False):
        if len(held) != 1:
            count = plural(len(held), "answer") if held else "no answer"
            of_case.append(f"the set {subject} has {count}")


def _gate_columns(facts: BundleFacts, run: RunArrays, reasons: list[list[str]]) -> Columns:
    columns: Columns = {}
    flagged: list[list[str]] = [[] for _ in reasons]
    for detector in facts.detectors:
        name = f"{OOD_PREFIX}{detector.name}"
        values = run.frame[name].to_numpy().astype(np.float64)
        columns[name] = _numbers(values)
        for row in np.flatnonzero(~(values <= detector.threshold)).tolist():
            flagged[row].append(detector.name)
    if not facts.detectors:
        return columns
    columns["ood"] = pl.Series([bool(names) for names in flagged], dtype=pl.Boolean)
    columns["ood_by"] = _texts([BETWEEN.join(names) for names in flagged])
    if facts.deferral.ood:
        for of_case, names in zip(reasons, flagged, strict=True):
            if names:
                of_case.append(f"out of distribution by {', '.join(names)}")
    return columns


def _numbers(values: Floats) -> pl.Series:
    return pl.Series(np.ascontiguousarray(values), dtype=pl.Float64)


def _texts(values: Sequence[str]) -> pl.Series:
    """Texts as a column, null where they are empty."""
    return pl.Series([value or None for value in values], dtype=pl.String)


def images_read(pictures: Sequence[FramedPixels], number: int) -> CaseImagesRead:
    """Counts and mean statistics of a case's images.

    Args:
        pictures: Those that could be read.
        number: How many the case has.
    """
    images = [picture.pixels for picture in pictures]
    scaled = [image / float(np.iinfo(image.dtype).max) for image in images]
    return CaseImagesRead(
        read=len(pictures),
        refused=number - len(pictures),
        brightness=float(np.mean([image.mean() for image in scaled])),
        contrast=float(np.mean([image.std() for image in scaled])),
        whole=sum(picture.found == "whole" for picture in pictures),
    )
