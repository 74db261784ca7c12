"""Findings: the answer to each question, read from the tables and put into words."""

import polars as pl

from medtransfer.evaluation.comparison.seed_means import DROP_SUFFIX, HEADLINE
from medtransfer.language.numbers import localised
from medtransfer.language.translation import template, translate, translated
from medtransfer.metrics.cases import BUDGET
from medtransfer.report.content import ReportData, Row
from medtransfer.report.front_page.facts import Quantity, QuestionLine, Topic
from medtransfer.report.front_page.group_sentences import GroupGap, served_worse
from medtransfer.report.front_page.hospitals import operating_point
from medtransfer.report.front_page.sentences import (
    POINTS,
    HospitalLoss,
    better_rung,
    fewer_labels,
    other_hospitals,
    probability_errors,
)
from medtransfer.report.questions import efficiency, fairness, shift
from medtransfer.report.questions.fairness import Gap
from medtransfer.report.text import (
    NOT_STUDIED,
    answered_sentence,
    detectable,
    metric_title,
    of_all_rungs,
    trained,
)

QUESTIONS: dict[Topic, str] = {
    "transfer": template("Which network is better?"),
    "shift": template("Does it hold at another hospital?"),
    "labels": template("Are fewer labels enough?"),
    "groups": template("Does it serve everyone?"),
    "probabilities": template("Can its probabilities be trusted?"),
}
"""Question of every line, in reading order."""
SENSITIVITY = "sensitivity@"
NAMED_METRICS = (template("sensitivity"),)
"""Metrics of groups that have a word of their own in other languages."""


def all_findings(data: ReportData) -> tuple[QuestionLine, ...]:
    """The answer to each question."""
    return (_transfer(data), _shift(data), _labels(data), _groups(data), _probabilities(data))


def _not_studied(topic: Topic, sentence: str) -> QuestionLine:
    plain = sentence.removeprefix(translate(NOT_STUDIED, why=""))
    plain = plain[0].upper() + plain[1:]
    return QuestionLine(topic, translate(QUESTIONS[topic]), "not studied", plain, {})


def _transfer(data: ReportData) -> QuestionLine:
    """The best rung against the reference, or the best of the others if it is the reference."""
    others = [rung for rung in data.rungs if rung != data.reference]
    if not others:
        only = translate("Only {rung} was evaluated.", rung=data.reference)
        return _not_studied("transfer", only)
    cohort = data.main_cohort
    rung = data.best if data.best != data.reference else data.best_of(others)
    row = data.headline_difference(rung, cohort)
    difference, p, shown = Quantity(None, reason="no shared cases"), None, None
    trained_once, answered = False, ""
    if row is not None:
        low, high, p = of_all_rungs(row)
        if p is not None and p >= 0.05 and low is not None and high is not None:
            low, high = min(low, 0.0), max(high, 0.0)
        difference = Quantity(row["difference"], low, high, row.get("reason"))
        shown = row["detectable"]
        trained_once, answered = trained(rung, row) != rung, answered_sentence(row)
    claim = better_rung(rung, data.reference, cohort, difference, shown, trained_once=trained_once)
    return QuestionLine(
        "transfer",
        translate(QUESTIONS["transfer"]),
        claim.mark,
        f"{claim.sentence} {answered}".rstrip(),
        {f"{rung} − {data.reference}": difference},
        p=p,
        detectable=shown,
    )


def _shift(data: ReportData) -> QuestionLine:
    """The loss at every other hospital."""
    card = shift.answer(data)
    if not card.studied:
        return _not_studied("shift", card.sentence)
    losses = [_loss(data, cohort) for cohort in data.shifted]
    claim = other_hospitals(data.drop_baseline, losses)
    amounts = [loss.detectable for loss in losses if loss.detectable is not None]
    return QuestionLine(
        "shift",
        translate(QUESTIONS["shift"]),
        claim.mark,
        claim.sentence,
        {loss.cohort: loss.drop for loss in losses},
        detectable=max(amounts, default=None),
    )


def _loss(data: ReportData, cohort: str) -> HospitalLoss:
    row = data.result_row(data.best, cohort, HEADLINE + DROP_SUFFIX)
    amount = None if row is None else detectable(row)
    point = operating_point(data)
    missed, called = (
        None if row is None else Quantity.of(row).times(POINTS)
        for row in (
            data.result_row(data.best, cohort, f"{metric}@{point}{DROP_SUFFIX}")
            for metric in ("sensitivity", "specificity")
        )
    )
    drop = Quantity.of(row, "no AUROC to compare with")
    return HospitalLoss(cohort, drop, amount, missed=missed, called=called)


def _labels(data: ReportData) -> QuestionLine:
    """The largest saving of labels on the internal test set."""
    card = efficiency.answer(data)
    if not card.studied:
        return _not_studied("labels", card.sentence)
    rows = data.overall("labels_saved").filter(pl.col("cohort") == data.main_cohort)
    row: Row = rows.sort("value", descending=True, nulls_last=True).row(0, named=True)
    saved = Quantity.of(row)
    amount = detectable(row)
    claim = fewer_labels(
        row["rung"],
        data.reference,
        saved,
        at_least=str(row["reason"] or "").startswith("at least"),
        detectable=amount if amount is not None and amount < 1 else None,
        by_itself=efficiency.reference_share(data),
    )
    return QuestionLine(
        "labels",
        translate(QUESTIONS["labels"]),
        claim.mark,
        claim.sentence,
        {row["rung"]: saved},
        detectable=amount,
    )


def _groups(data: ReportData) -> QuestionLine:
    """The most significant gap between groups of an attribute."""
    card = fairness.answer(data)
    if not card.studied:
        return _not_studied("groups", card.sentence)
    gaps = fairness.corrected_gaps(data)
    if not gaps:
        question = translate(QUESTIONS["groups"])
        return QuestionLine("groups", question, "not shown", card.sentence, {})
    gap = group_gap(data, gaps[0], len(gaps))
    claim = served_worse(gap)
    return QuestionLine(
        "groups",
        translate(QUESTIONS["groups"]),
        claim.mark,
        claim.sentence,
        {gap.attribute: gap.gap},
        p=gap.p,
        detectable=gap.detectable,
    )


def group_gap(data: ReportData, gap: Gap, tests: int) -> GroupGap:
    """A gap with its lowest and highest group."""
    rows = sorted(
        (
            row
            for row in data.group_rows(data.best, gap.attribute)
            if row["metric"] == gap.metric
            and row["cohort"] == data.main_cohort
            and row["value"] is not None
        ),
        key=lambda row: row["value"],
    )
    ends = [rows[0], rows[-1]] if len(rows) > 1 else []
    missed = (
        {row["group"]: Quantity.of(row).missed() for row in ends}
        if gap.metric.startswith(SENSITIVITY)
        else {}
    )
    name = metric_title(gap.metric.partition("@")[0])
    name = name if name.isupper() else translated(name.lower())
    return GroupGap(
        attribute=gap.attribute,
        measure=translate("{measure} at {cohort}", measure=name, cohort=data.main_cohort),
        gap=Quantity.of(gap.row),
        p=gap.corrected,
        tests=tests,
        lowest=ends[0]["group"] if ends else "",
        highest=ends[1]["group"] if ends else "",
        missed=missed,
        detectable=detectable(gap.row, tests),
    )


def _probabilities(data: ReportData) -> QuestionLine:
    """Calibration errors after temperature scaling, or before where there is none."""
    errors: dict[str, Quantity] = {}
    for cohort in data.cohorts:
        rows = [data.result_row(data.best, cohort, name) for name in ("ece_scaled", "ece")]
        measured = [row for row in rows if row is not None and row["value"] is not None]
        errors[cohort] = Quantity.of(
            measured[0] if measured else rows[1], "no probability was given"
        )
    claim = probability_errors(errors)
    return QuestionLine(
        "probabilities",
        translate(QUESTIONS["probabilities"]),
        claim.mark,
        claim.sentence,
        errors,
    )


def point_in_words(point: str) -> str:
    """An operating point in plain words: ``sens90`` is a threshold that finds 90 of 100."""
    if point.startswith(BUDGET):
        most = localised(point.removeprefix(BUDGET))
        return translate("a threshold that calls at most {share} of 100 cases", share=most)
    share = point[4:].partition("-")[0]
    if point.startswith("sens"):
        return translate(
            "a threshold set at the training hospital to find {share} of 100 with the finding",
            share=localised(share),
        )
    if point.startswith("spec"):
        return translate(
            "a threshold set at the training hospital to pass {share} of 100 without it",
            share=localised(share),
        )
    return translate("a threshold set at the training hospital to balance both errors")
