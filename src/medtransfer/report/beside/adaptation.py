"""Adaptation: what a few patients of another hospital are worth to the best rung."""

from collections.abc import Iterator, Sequence

import polars as pl

from medtransfer.evaluation.comparison.adaptation.reading import LOSS, read_adaptation
from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.posthoc.adaptation.arms import MEANINGS
from medtransfer.report import figures
from medtransfer.report.components import Component, Fold, Heading, Note, ReportTable, Spec
from medtransfer.report.content import ReportData, Row
from medtransfer.report.figures import LINE_DASHES, Axis, auroc_axis, figure
from medtransfer.report.text import difference_text, interval_text

TITLE = "Adaptation with a few patients of the other hospital"
AROUND = (
    "Every way is fitted on the same patients, drawn at random, and tested on the hospital's other "
    "patients, who take no part in any fit or choice. Differences are paired with the network as "
    "it is carried there; below 0 is a gain in log loss. Selected: the way that cross-validation "
    "chooses within the drawn patients, among those that leave the network as it is."
)
WORDS = {
    **MEANINGS,
    "selected": "chosen by cross-validation",
    "internal+shifted": "trained again with the home cases and those of the patients",
    "sequential": "the training at home goes on with the patients alone",
    "shifted-only": "trained from the rung's weights on the patients alone",
}
CARRIED = "carried"
TRAINED = ("internal+shifted", "sequential", "probe", "shifted-only")
"""Ways that change which of two cases has the higher score; the others leave the AUROC as it is."""
FIRST_DRAWN = ("selected", *TRAINED)
WITHOUT_LOSS = (CARRIED, "threshold")
"""Ways that leave the log loss as it is."""
TICKS_APART = 1.15
"""Ratio of two numbers of patients below which their labels would overlap."""
CAPTION = (
    "From left to right, more patients of the hospital are labelled. Dashed straight line: {title} "
    "of the network as it is carried there. Bands: 95% intervals. At most four ways are drawn; the "
    "table has all."
)


def adaptation_passage(data: ReportData) -> list[Component]:
    """Sentences on the best rung and a table of each hospital; nothing if not asked for."""
    table = data.adaptation
    if table is None or table.is_empty():
        return []
    rows = table.filter(pl.col("rung") == data.best)
    if rows.is_empty():
        return []
    notes = [Note(reading.sentence) for reading in read_adaptation(rows)]
    tables = [
        _table(rows.filter(pl.col("cohort") == cohort), cohort, data.best)
        for cohort in rows["cohort"].unique(maintain_order=True).to_list()
    ]
    meanings = "; ".join(
        f"{arm}: {words}" for arm, words in WORDS.items() if arm in set(rows["arm"])
    )
    return [
        Heading(TITLE),
        *notes,
        Note(AROUND),
        *_figures(data, rows),
        Fold("Every way, by patients", tables),
        Note(meanings),
    ]


def _figures(data: ReportData, rows: pl.DataFrame) -> Iterator[Component]:
    """Log loss and AUROC by patients; ways that train again stand beside those that do not."""
    for metric, title in ((LOSS, "log loss"), (HEADLINE, "AUROC")):
        of_metric = rows.filter(pl.col("metric") == metric, pl.col("value").is_not_null())
        if not of_metric.is_empty():
            of_metric = of_metric.filter(pl.col("target") == _overall(of_metric, metric))
        arms = _drawn(of_metric, metric)
        if arms:
            spec = _curves(data, of_metric, arms, title)
            yield figure(f"adapt-{metric}", spec, CAPTION.format(title=title))


def _drawn(rows: pl.DataFrame, metric: str) -> list[str]:
    """Ways with several numbers of patients: the chosen one, those that train, then by value."""
    several = rows.group_by("arm", maintain_order=True).agg(
        pl.col("patients").n_unique().alias("numbers"), pl.col("value").last()
    )
    names = several.filter(pl.col("numbers") > 1).sort("value")["arm"].to_list()
    shown = [
        arm for arm in names if (arm in TRAINED if metric == HEADLINE else arm not in WITHOUT_LOSS)
    ]
    first = [arm for arm in FIRST_DRAWN if arm in shown]
    return [*first, *(arm for arm in shown if arm not in first)][: len(LINE_DASHES)]


def _curves(data: ReportData, rows: pl.DataFrame, arms: Sequence[str], title: str) -> Spec:
    """Some ways by patients, a panel for each hospital."""
    carried = {row["cohort"]: row["value"] for row in rows.to_dicts() if row["arm"] == CARRIED}
    values = [
        {
            "cohort": row["cohort"],
            "panel": row["cohort"],
            "dash": row["arm"],
            "x": row["patients"],
            "y": row["value"],
            "low": row["low"],
            "high": row["high"],
            "level": carried.get(row["cohort"]),
        }
        for row in rows.filter(pl.col("arm").is_in(arms)).to_dicts()
    ]
    numbers = rows.filter(pl.col("arm").is_in(arms))["patients"].unique().sort()
    patients = [float(number) for number in numbers]
    ends = (patients[0], patients[-1])
    return figures.curves(
        values,
        Axis("patients of the hospital", ends, "log", _apart(patients)),
        auroc_axis(title, values) if title == "AUROC" else Axis(title, _around(values)),
        cohorts=data.cohorts,
        panels=[cohort for cohort in data.cohorts if cohort in set(rows["cohort"])],
        dashes=arms,
        dash_title="way",
        points=True,
    )


def _apart(numbers: Sequence[float]) -> list[float]:
    """Rising numbers without those too close to the one before them."""
    apart: list[float] = []
    for number in numbers:
        if not apart or number >= TICKS_APART * apart[-1]:
            apart.append(number)
    return apart


def _around(values: list[Row]) -> tuple[float, float]:
    """Ends of an axis that holds all values and intervals."""
    heights = [v[k] for v in values for k in ("low", "high", "y", "level") if v[k] is not None]
    return 0.95 * min(heights), 1.05 * max(heights)


def _table(rows: pl.DataFrame, cohort: str, rung: str) -> ReportTable:
    """Log loss and AUROC of each way and number of patients."""
    numbers: dict[tuple[str, int], dict[str, Row]] = {}
    for row in rows.to_dicts():
        if row["metric"] in (LOSS, HEADLINE) and row["target"] == _overall(rows, row["metric"]):
            numbers.setdefault((row["arm"], row["patients"]), {})[row["metric"]] = row
    cells = [
        [arm, str(patients), *_cells(of_arm.get(LOSS)), *_cells(of_arm.get(HEADLINE))]
        for (arm, patients), of_arm in numbers.items()
    ]
    head = ["Way", "Patients", "Log loss", "Difference", "AUROC", "Difference in AUROC"]
    return ReportTable(head, cells, f"{rung} at {cohort}", frozenset({1, 2, 3, 4, 5}))


def _overall(rows: pl.DataFrame, metric: str) -> str:
    """Target of a metric's overall numbers: the mean over targets, the case, or the only one."""
    targets = rows.filter(pl.col("metric") == metric)["target"].unique(maintain_order=True)
    names = [str(name) for name in targets]
    return next((name for name in ("macro", "case") if name in names), names[0])


def _cells(row: Row | None) -> tuple[str, str]:
    if row is None or row["value"] is None:
        return "–", "–" if row is None else str(row["reason"] or "–")
    return interval_text(row, 3), "" if row["difference"] is None else difference_text(row)
