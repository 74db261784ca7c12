"""The truth that was planted in the demonstration's phantom, beside what its study found."""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from medtransfer.data.ideal_observer import ideal_predictions
from medtransfer.data.phantom import Phantom
from medtransfer.evaluation.comparison.evaluate_table import evaluate_table
from medtransfer.evaluation.comparison.seed_means import DROP_SUFFIX, HEADLINE
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.group_comparison import GAP
from medtransfer.report.content import ReportData, Row
from medtransfer.report.front_page.facts import Quantity, Topic
from medtransfer.report.front_page.sentences import interval
from medtransfer.report.page import with_choice
from medtransfer.report.reading import load_study_data
from medtransfer.report.text import percent, saved_text
from medtransfer.runs.folders import StudyFolder
from medtransfer.tables.results import ALL

CASES = 40_000
"""Cases of each hospital that the ideal observer reads: its AUROC is then known to 0.003."""
ATTRIBUTE = "sex"
TARGET = "malignant"


@dataclass(frozen=True)
class PlantedTruth:
    """One thing that was planted in a phantom, and what a study found of it.

    Attributes:
        topic: The question that it answers.
        planted: The planted truth, with the ideal observer's number.
        found: The study's estimate with its interval, in words.
        truth: The ideal observer's number.
        estimate: The study's, of the same metric.
    """

    topic: Topic
    planted: str
    found: str
    truth: float
    estimate: Quantity

    @property
    def sentence(self) -> str:
        """Both in one text."""
        return f"planted: {self.planted}; found: {self.found}"


def planted_truths(phantom: Phantom, study: StudyFolder) -> tuple[PlantedTruth, ...]:
    """Compare what a study of two hospitals found with what its phantom holds.

    Args:
        phantom: What the study's pictures were made from, the training hospital first.
        study: Finished.

    Returns:
        One for each question.

    Raises:
        StudyError: The study has no finished run.
    """
    data = with_choice(load_study_data(study))
    ideal = _IdealObserver(phantom, next(iter(phantom.hospitals)))
    return tuple(_truths(phantom, data, ideal))


class _IdealObserver:
    """Metrics of the ideal observer, from the same functions as those of the study."""

    def __init__(self, phantom: Phantom, home: str) -> None:
        predictions = ideal_predictions(phantom, home, cases=CASES)
        attributes = predictions.select("case_id", ATTRIBUTE)
        names = (HEADLINE, "ece", "sensitivity")
        config = EvaluationConfig(replicates=0, permutations=0, metrics=names)
        table = evaluate_table(predictions.drop(ATTRIBUTE), attributes, "binary", config)
        self._rows = table.results

    def value(self, metric: str, cohort: str, attribute: str = ALL, group: str = ALL) -> float:
        """Its value of a metric."""
        rows = self._rows.filter(
            pl.col("metric") == metric,
            pl.col("cohort") == cohort,
            pl.col("attribute") == attribute,
            pl.col("group") == group,
            pl.col("value").is_not_null(),
        )
        return float(rows["value"][0])


def _truths(phantom: Phantom, data: ReportData, ideal: _IdealObserver) -> Iterator[PlantedTruth]:
    home, away = phantom.hospitals
    site, other = phantom.hospitals[home], phantom.hospitals[away]
    best = ideal.value(HEADLINE, home)
    reference = data.headline_row(data.reference, home) or {}
    room = best - (reference.get("value") or 0.0)
    rung = _compared(data)
    row = data.headline_difference(rung, home)
    yield PlantedTruth(
        "transfer",
        f"no reader can exceed AUROC {best:.2f} at {home} ({percent(phantom.label_noise)} of the "
        f"labels are wrong), so pre-training can give at most {room:.2f}",
        f"{interval(Quantity.of(row), 3)} between {rung} and {data.reference}",
        room,
        Quantity.of(row),
    )
    lost = best - ideal.value(HEADLINE, away)
    row = data.result_row(data.best, away, HEADLINE + DROP_SUFFIX)
    yield PlantedTruth(
        "shift",
        f"lesions of {away} show {percent(other.signal / site.signal)} of the sign, which costs "
        f"the ideal observer {lost:.2f} AUROC",
        f"AUROC {interval(Quantity.of(row))} lower",
        lost,
        Quantity.of(row),
    )
    row = data.result_row(rung, home, "labels_saved")
    yield PlantedTruth(
        "labels",
        "nothing, since what a head start saves is a property of the networks",
        "no saving" if row is None else f"{rung} {_saves(row)} {saved_text(row)} of the labels",
        float("nan"),
        Quantity.of(row),
    )
    gap = _gap(ideal, home)
    row = next(
        (r for r in data.gap_rows(data.best, home, ATTRIBUTE) if r["metric"] == GAP_OF), None
    )
    yield PlantedTruth(
        "groups",
        f"women's lesions show {percent(1 - phantom.group_gap)} of the sign, which costs the ideal "
        f"observer {gap:.2f} sensitivity at the threshold of all",
        f"sensitivity {interval(Quantity.of(row))} lower",
        gap,
        Quantity.of(row),
    )
    wrong = ideal.value("ece", away)
    row = data.result_row(data.best, away, "ece_scaled")
    yield PlantedTruth(
        "probabilities",
        f"{percent(other.prevalence)} are malignant at {away}, {percent(site.prevalence)} at "
        f"{home}: that alone makes the ideal observer's probabilities wrong by {wrong:.2f} at "
        f"{away} ({ideal.value('ece', home):.2f} at {home}), and a network adds errors of its own",
        f"wrong by {interval(Quantity.of(row))} at {away}, by "
        f"{interval(Quantity.of(data.result_row(data.best, home, 'ece_scaled')))} at {home}",
        wrong,
        Quantity.of(row),
    )


GAP_OF = f"sensitivity@sens90{GAP}"


def _gap(ideal: _IdealObserver, home: str) -> float:
    """Sensitivity that the ideal observer loses for women, at one threshold for all."""
    men, women = (ideal.value("sensitivity@sens90", home, ATTRIBUTE, sex) for sex in ("M", "F"))
    return men - women


def _compared(data: ReportData) -> str:
    """The rung whose difference from the reference is told: never the reference itself."""
    others = [rung for rung in data.rungs if rung != data.reference]
    return data.best if data.best != data.reference or not others else data.best_of(others)


def _saves(row: Row) -> str:
    """Verb of a saving of labels, as the first page has it."""
    return "saves" if Quantity.of(row).is_above_zero else "may save"
