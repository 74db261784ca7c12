"""Cases to look at: wrong, uncertain or foreign ones, by target and group. No image is read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from scipy.special import entr, logit

from medtransfer.data.config import Task
from medtransfer.errors import ConfigError, listed, suggestion
from medtransfer.evaluation.scoring.run import WHOLE_CASE, RunArrays, run_arrays
from medtransfer.evaluation.scoring.tune_fit import fit_on_tune
from medtransfer.metrics.kernels.sums import Flags, Floats
from medtransfer.tables.predictions import OOD_PREFIX

Order = Literal["errors", "uncertain", "ood"]


@dataclass(frozen=True)
class GalleryCase:
    """A case of a gallery.

    Attributes:
        case_id: Its id.
        cohort: Its hospital.
        target: Target, or class that it is called.
        truth: Label, or true class; None if it is not known.
        answer: The network's: ``1`` or ``0``, or a class.
        probability: Of the target, or of the class; before calibration.
        rank_value: Number that it is ranked by.
        words: The number in words.
    """

    case_id: str
    cohort: str
    target: str
    truth: str | None
    answer: str
    probability: float
    rank_value: float
    words: str


@dataclass(frozen=True)
class GallerySection:
    """Cases under one title.

    Attributes:
        title: Of the section.
        cases: The first ones of all.
        total: Number of all.
    """

    title: str
    cases: tuple[GalleryCase, ...]
    total: int


@dataclass(frozen=True)
class GalleryChoice:
    """Cases that a gallery shows.

    Attributes:
        order: Kind of cases.
        count: Cases of a section.
        target: One target; None for all.
        group: Attribute and value that the cases have; None for all.
        cohort: One hospital; None for all.
        detector: OOD detector that ranks; the first by default.
        point: Operating point that decides what is wrong; the study's first by default.
    """

    order: Order = "errors"
    count: int = 50
    target: str | None = None
    group: tuple[str, str] | None = None
    cohort: str | None = None
    detector: str | None = None
    point: str | None = None


def chosen_sections(
    predictions: pl.DataFrame, attributes: pl.DataFrame, task: Task, choice: GalleryChoice
) -> list[GallerySection]:
    """Sections of a gallery.

    Args:
        predictions: Of one run, with tuning and test cases.
        attributes: `case_id` and attributes.
        task: How the targets relate to each other.
        choice: Which cases.

    Raises:
        ConfigError: A target, group, cohort, detector or operating point does not exist.
    """
    run = run_arrays(predictions, task)
    rows = _rows(run, attributes, choice)
    if choice.order == "ood":
        return [_foreign(run, rows, choice)]
    if run.single_label:
        return [_classes(run, rows, choice)]
    names = [choice.target] if choice.target else list(run.names)
    return [_target(run, rows, run.names.index(name), choice) for name in names]


def chosen_point(points: Sequence[str], named: str | None) -> str:
    """The operating point that decides what is wrong.

    Raises:
        ConfigError: The study has none of that name, or none at all.
    """
    if not points or (named is not None and named not in points):
        raise ConfigError(
            f"--point is '{named or ''}' (operating points of the study: "
            f"{listed(points) or 'none'})."
        )
    return named or points[0]


def _rows(run: RunArrays, attributes: pl.DataFrame, choice: GalleryChoice) -> Flags:
    """Test cases that a user asks for. [N]"""
    frame = run.frame.join(attributes, on="case_id", how="left", maintain_order="left")
    rows = (frame["split"] == "test").to_numpy()
    if choice.target is not None and choice.target not in run.names:
        hint = suggestion(choice.target, run.names) or f"Targets: {listed(run.names)}."
        raise ConfigError(f"The study has no target '{choice.target}'. {hint}")
    if choice.cohort is not None:
        cohorts = frame["cohort"].unique().sort().to_list()
        if choice.cohort not in cohorts:
            raise ConfigError(f"The study has no cohort '{choice.cohort}' ({listed(cohorts)}).")
        rows &= (frame["cohort"] == choice.cohort).to_numpy()
    if choice.group is not None:
        attribute, value = choice.group
        if attribute not in attributes.columns[1:]:
            raise ConfigError(
                f"--group names '{attribute}', which is no attribute of the manifest "
                f"({listed(attributes.columns[1:])})."
            )
        rows &= (frame[attribute] == value).fill_null(value=False).to_numpy()
        if not rows.any():
            raise ConfigError(f"No test case has {attribute}={value}.")
    return rows


def _target(run: RunArrays, rows: Flags, number: int, choice: GalleryChoice) -> GallerySection:
    """Errors or uncertain cases of a target."""
    name, probability = run.names[number], run.probabilities[:, number]
    point = choice.point or "youden"
    cut = _threshold(run, number, point)
    answer = probability >= cut
    labelled = run.labelled(number)
    truth = run.truth(number)
    if choice.order == "errors":
        taken = rows & labelled & (answer != (truth == 1))
        rank = np.abs(truth - probability)
        title, words = f"Errors of {name} at {point}", "far from its label by"
    else:
        taken = rows
        rank = -np.abs(run.logits[:, number] - logit(cut))
        title, words = f"Uncertain cases of {name} at {point}", "logit from the threshold"
    cases = [
        GalleryCase(
            case_id=run.frame["case_id"][row],
            cohort=run.frame["cohort"][row],
            target=name,
            truth=str(int(truth[row])) if labelled[row] else None,
            answer=str(int(answer[row])),
            probability=float(probability[row]),
            rank_value=float(rank[row]),
            words=f"{words} {abs(float(rank[row])):.2f}",
        )
        for row in _best(rank, taken, choice.count)
    ]
    return GallerySection(title, tuple(cases), int(taken.sum()))


def _threshold(run: RunArrays, number: int, point: str) -> float:
    """Threshold of a target at an operating point; ½ where the tuning cases give none."""
    threshold = fit_on_tune(run, (point,))[number].thresholds[point]
    return 0.5 if threshold is None else threshold


def _classes(run: RunArrays, rows: Flags, choice: GalleryChoice) -> GallerySection:
    """Errors or uncertain cases of a single-label task."""
    labelled, truth = run.labelled(WHOLE_CASE), run.truth(WHOLE_CASE)
    answer = run.probabilities.argmax(axis=1)
    if choice.target is not None:
        number = run.names.index(choice.target)
        rows = rows & ((answer == number) | (labelled & (truth == number)))
    of_truth = run.probabilities[np.arange(len(truth)), truth]
    if choice.order == "errors":
        taken, rank = rows & labelled & (answer != truth), 1 - of_truth
        title, words = "Errors", "1 − probability of the true class"
    else:
        taken, rank = rows, entr(run.probabilities).sum(axis=1)
        title, words = "Uncertain cases", "entropy"
    return GallerySection(
        title,
        tuple(
            _class_case(run, int(row), rank, words, is_labelled=bool(labelled[row]))
            for row in _best(rank, taken, choice.count)
        ),
        int(taken.sum()),
    )


def _foreign(run: RunArrays, rows: Flags, choice: GalleryChoice) -> GallerySection:
    """Cases that a detector finds most unlike the training data."""
    detectors = [c.removeprefix(OOD_PREFIX) for c in run.frame.columns if c.startswith(OOD_PREFIX)]
    name = choice.detector or (detectors[0] if detectors else "")
    if name not in detectors:
        raise ConfigError(f"The study has no OOD detector '{name}' ({listed(detectors)}).")
    rank = run.frame[f"{OOD_PREFIX}{name}"].to_numpy().astype(np.float64)
    number = run.names.index(choice.target) if choice.target else 0
    is_known = run.labelled(WHOLE_CASE if run.single_label else number)
    cut = 0.5 if run.single_label else _threshold(run, number, choice.point or "youden")
    cases: list[GalleryCase] = []
    for row in _best(rank, rows & np.isfinite(rank), choice.count):
        if run.single_label:
            cases.append(_class_case(run, row, rank, name, is_labelled=bool(is_known[row])))
            continue
        probability = float(run.probabilities[row, number])
        cases.append(
            GalleryCase(
                case_id=run.frame["case_id"][row],
                cohort=run.frame["cohort"][row],
                target=run.names[number],
                truth=str(int(run.truth(number)[row])) if is_known[row] else None,
                answer=str(int(probability >= cut)),
                probability=probability,
                rank_value=float(rank[row]),
                words=f"{name} {rank[row]:.4g}",
            )
        )
    return GallerySection(f"Most unlike the training data ({name})", tuple(cases), int(rows.sum()))


def _class_case(
    run: RunArrays, row: int, rank: Floats, words: str, *, is_labelled: bool
) -> GalleryCase:
    answer = int(run.probabilities[row].argmax())
    truth = int(np.nan_to_num(run.targets[row]).argmax())
    return GalleryCase(
        case_id=run.frame["case_id"][row],
        cohort=run.frame["cohort"][row],
        target=run.names[answer],
        truth=run.names[truth] if is_labelled else None,
        answer=run.names[answer],
        probability=float(run.probabilities[row, answer]),
        rank_value=float(rank[row]),
        words=f"{words} {rank[row]:.3g}",
    )


def _best(rank: Floats, taken: Flags, count: int) -> list[int]:
    """Rows with the largest ranks, ties in the order of the table."""
    rows = np.flatnonzero(taken)
    return rows[np.argsort(-rank[rows], kind="stable")][:count].tolist()
