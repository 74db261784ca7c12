"""The first page of a report, from its tables."""

import polars as pl

from medtransfer.evaluation.comparison.choice.rule import NO_RUNG_WHY, RUNG_WHY
from medtransfer.language.translation import template, translate, translated
from medtransfer.report.content import ReportData
from medtransfer.report.front_page.cautions import not_concluded
from medtransfer.report.front_page.facts import CurvePoint, FrontPage, Quantity, ReadableRung
from medtransfer.report.front_page.findings import all_findings, point_in_words
from medtransfer.report.front_page.hospitals import hospital_facts, operating_point
from medtransfer.report.recommendation import recommendation_of

KINDS = (template("transfer study"), template("evaluation"), template("comparison of studies"))
"""Kinds of data of a report."""
ONE_RUNG = template(
    "With nothing to compare it with, it can be neither recommended nor advised against."
)
NO_PAIRS = template(
    "These tables compare each network with the reference only. `medtransfer run` on a study "
    "compares every pair of networks, which a recommendation needs."
)


def front_page(data: ReportData) -> FrontPage:
    """Facts of the first page.

    Args:
        data: Of the report, its rungs under readable names.
    """
    verdict, recommended, reason, condition = _recommendation(data)
    hospitals = hospital_facts(data, data.best)
    findings = all_findings(data)
    point = operating_point(data)
    return FrontPage(
        title=f"{data.name}: {translated(data.kind)}",
        verdict=verdict,
        recommended=recommended,
        reason=reason,
        condition=condition,
        subject=data.best,
        subject_reason=data.best_reason,
        reference=data.reference,
        point="" if point is None else point_in_words(point),
        hospitals=hospitals,
        findings=findings,
        not_concluded=not_concluded(data, findings, hospitals),
        curve=_curve(data),
        names=tuple(
            ReadableRung(info.name, info.full_name or info.name)
            for info in data.rung_infos
            if info.name in data.rungs
        ),
    )


def _recommendation(data: ReportData) -> tuple[str, str | None, str, str]:
    """The verdict, the rung, its reason and its condition."""
    if len(data.rung_infos) < 2:
        verdict = translate("One network was evaluated: {rung}.", rung=data.best)
        return verdict, None, translate(ONE_RUNG), ""
    if data.pairs is None:
        verdict = translate("No recommendation is made from these tables.")
        return verdict, None, translate(NO_PAIRS), ""
    chosen = recommendation_of(data)
    reason = chosen.reason.removeprefix(translate(NO_RUNG_WHY, why=""))
    reason = reason.removeprefix(translate(RUNG_WHY, rung=chosen.rung, why=""))
    reason = reason[0].upper() + reason[1:]
    if chosen.rung is None:
        verdict = translate("No network can be recommended over another.")
        return verdict, None, reason, chosen.condition
    return translate("Take {rung}.", rung=chosen.rung), chosen.rung, reason, chosen.condition


def _curve(data: ReportData) -> tuple[CurvePoint, ...]:
    """AUROC at every share of the labels on the internal test set, in the order of the rungs."""
    if len(data.fractions) < 2:
        return ()
    rows = data.overall(data.headline(data.main_cohort)).filter(
        pl.col("cohort") == data.main_cohort
    )
    places = {rung: place for place, rung in enumerate(data.rungs)}
    points = [
        CurvePoint(row["rung"], row["label_fraction"], Quantity.of(row)) for row in rows.to_dicts()
    ]
    return tuple(sorted(points, key=lambda point: (places[point.rung], point.fraction)))
