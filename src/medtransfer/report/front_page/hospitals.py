"""Hospitals of the first page: test cases, labels, and the performance of one rung there."""

from collections.abc import Mapping

import polars as pl

from medtransfer.evaluation.comparison.seed_means import DROP_SUFFIX, HEADLINE
from medtransfer.evaluation.scoring.run import INTERNAL
from medtransfer.report.content import ReportData, Row, SplitCounts
from medtransfer.report.front_page.facts import HospitalFacts, LabelCounts, Quantity
from medtransfer.report.small_counts import count_text, count_texts
from medtransfer.tables.results import ALL

TEST, TUNE = "test", "tune"
FEW = 30
"""Positive test cases below which a share of them is hardly known."""


def few_positive(least: int) -> int:
    """Number of positive cases below which they are few; no smaller than a count that is hidden.

    Args:
        least: Smallest count that is printed.
    """
    return max(FEW, least)


def hospital_facts(data: ReportData, rung: str) -> tuple[HospitalFacts, ...]:
    """Every hospital with test results, the internal test set first.

    Args:
        data: Of the report.
        rung: Whose performance is given.
    """
    return tuple(_hospital(data, rung, cohort) for cohort in data.cohorts)


def operating_point(data: ReportData) -> str | None:
    """The operating point whose missed and called cases are given; None without one."""
    points = data.evaluation.operating_points
    return points[0] if points else None


def _hospital(data: ReportData, rung: str, cohort: str) -> HospitalFacts:
    counts = _test_counts(data, cohort)
    row = data.headline_row(rung, cohort) or {}
    least = data.evaluation.minimum_group
    rows = _label_rows(data, rung, cohort)
    is_whole = bool(counts) and not any(_is_part(rows.get(name), counts) for name in data.targets)
    cases = sum(c.cases for c in counts) if is_whole else row.get("num_cases")
    patients = sum(c.patients for c in counts) if is_whole else row.get("num_patients")
    point = operating_point(data)
    shares = [
        Quantity.of(data.result_row(rung, cohort, f"{metric}@{point}"), "no operating point")
        for metric in ("sensitivity", "specificity")
    ]
    drop = data.result_row(rung, cohort, HEADLINE + DROP_SUFFIX)
    shifted = cohort in data.shifted
    return HospitalFacts(
        cohort=cohort,
        trained=None if data.internal_name is None else not shifted,
        cases="–" if cases is None else count_text(cases, least),
        patients="–" if patients is None else count_text(patients, least),
        targets=_targets(data, counts, rows),
        auroc=Quantity.of(row or None),
        missed=shares[0].missed(),
        called=shares[1].missed(),
        drop=Quantity.of(drop) if shifted and drop is not None else None,
    )


def _test_counts(data: ReportData, cohort: str) -> list[SplitCounts]:
    """Counts of a cohort's test cases; of every training cohort, if it is all of them together."""
    names = {cohort}
    if cohort == INTERNAL:
        names = {count.cohort for count in data.counts if count.split == TUNE}
    counts = [count for count in data.counts if count.cohort in names]
    if data.leave_cohort_out:  # all cases of a cohort are tested in the turn that leaves it out
        return counts
    return [count for count in counts if count.split == TEST]


def _label_rows(data: ReportData, rung: str, cohort: str) -> dict[str, Row]:
    """A rung's AUROC of every target, which says how many of its labelled cases were scored."""
    means = data.means.filter(
        (pl.col("rung") == rung)
        & (pl.col("cohort") == cohort)
        & (pl.col("metric") == HEADLINE)
        & (pl.col("attribute") == ALL)
        & (pl.col("label_fraction") == data.full_fraction)
    )
    return {str(row["target"]): row for row in means.iter_rows(named=True)}


def _is_part(row: Row | None, counts: list[SplitCounts]) -> bool:
    """True if fewer labelled cases of a target were scored than there are."""
    if row is None or row["num_cases"] is None or row["num_positive"] is None:
        return False
    return bool(row["num_cases"] < sum(count.labelled(row["target"]) for count in counts))


def _targets(
    data: ReportData, counts: list[SplitCounts], rows: Mapping[str, Row]
) -> tuple[LabelCounts, ...]:
    """Labels of every target: of those with a label, the one with the fewest positive cases first.

    Where fewer cases were scored than there are, as after a rung that did not answer some or seeds
    of other cases, the counts are those of the scored cases.
    """
    if not counts:
        return ()
    least = data.evaluation.minimum_group
    totals: list[tuple[tuple[bool, int], LabelCounts]] = []
    for target in data.targets:
        positive = sum(count.positive.get(target, 0) for count in counts)
        labelled = sum(count.labelled(target) for count in counts)
        unlabelled = sum(count.cases for count in counts) - labelled
        row = rows.get(target)
        is_part = row is not None and _is_part(row, counts)
        if row is not None and is_part:
            positive, labelled = row["num_positive"], row["num_cases"]
        parts = {"positive": positive, "negative": labelled - positive, "unlabelled": unlabelled}
        texts = count_texts(parts, least)
        if is_part and unlabelled:
            texts["unlabelled"] = "–"  # how many of them were scored is not known
        is_few = bool(labelled) and positive < few_positive(least)
        entry = LabelCounts(target, **texts, few_positive=is_few)
        totals.append(((not labelled, positive), entry))
    return tuple(entry for _, entry in sorted(totals, key=lambda total: total[0]))
