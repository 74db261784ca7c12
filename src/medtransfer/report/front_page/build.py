"""The first page of a report, from its tables."""

import polars as pl

from medtransfer.evaluation.comparison.choice.rule import NO_RUNG
from medtransfer.report.content import ReportData
from medtransfer.report.front_page.cautions import not_concluded
from medtransfer.report.front_page.facts import CurvePoint, FrontPage, Quantity, ReadableRung
from medtransfer.report.front_page.findings import all_findings, point_in_words
from medtransfer.report.front_page.hospitals import hospital_facts, operating_point
from medtransfer.report.recommendation import recommendation_of

ONE_RUNG = "With nothing to compare it with, it can be neither recommended nor advised against."
NO_PAIRS = (
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
        title=f"{data.name}: {data.kind}",
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
        return f"One network was evaluated: {data.best}.", None, ONE_RUNG, ""
    if data.pairs is None:
        return "No recommendation is made from these tables.", None, NO_PAIRS, ""
    chosen = recommendation_of(data)
    reason = chosen.reason.removeprefix(f"{NO_RUNG}: ")
    reason = reason.removeprefix(f"{chosen.rung} is recommended: ")
    reason = reason[0].upper() + reason[1:]
    if chosen.rung is None:
        return "No network can be recommended over another.", None, reason, chosen.condition
    return f"Take {chosen.rung}.", chosen.rung, reason, chosen.condition


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
