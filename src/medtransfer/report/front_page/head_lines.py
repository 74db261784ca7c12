"""First lines of a page: the data that it is about, and its origin."""

from datetime import UTC, datetime
from importlib.metadata import version

from medtransfer.data.splits import OUTLIERS
from medtransfer.language.numbers import localised, translate_plural
from medtransfer.language.translation import translate
from medtransfer.report.content import ReportData

MAX_TARGETS = 6
"""Targets whose prevalence the first line gives."""


def data_line(data: ReportData) -> str:
    """Counts of the data behind a page, and the positive share of its targets."""
    counts = data.counts
    values = {
        "cases": translate_plural("{count} case", "{count} cases", sum(c.cases for c in counts)),
        "patients": translate_plural(
            "{count} patient", "{count} patients", sum(c.patients for c in counts)
        ),
        "cohorts": translate_plural(
            "{count} cohort", "{count} cohorts", len({c.cohort for c in counts} - {OUTLIERS})
        ),
        "shares": ", ".join(_share_of(data, target) for target in data.targets[:MAX_TARGETS]),
    }
    images = sum(count.images or 0 for count in counts)
    size = (
        translate(
            "{images} of {cases} of {patients} in {cohorts}.",
            images=translate_plural("{count} image", "{count} images", images),
            **values,
        )
        if images
        else translate("{cases} of {patients} in {cohorts}.", **values)
    )
    more = len(data.targets) - MAX_TARGETS
    if more > 0:
        values["shares"] = translate("{shares} and {more} more", shares=values["shares"], more=more)
    listed = (
        translate("Classes: {shares}.", **values)
        if data.task == "single-label"
        else translate("Positive: {shares}.", **values)
    )
    return f"{size} {listed}"


def _share_of(data: ReportData, target: str) -> str:
    """A target with the share of its labelled cases that are positive."""
    counts = [count for count in data.counts if count.cohort != OUTLIERS]  # no label is meant
    positive = sum(count.positive.get(target, 0) for count in counts)
    labelled = sum(count.labelled(target) for count in counts)
    unlabelled = sum(count.cases for count in counts) - labelled
    if not labelled:
        return translate("{target} unlabelled", target=target)
    share = localised(f"{positive / labelled:.0%}")
    if not unlabelled:
        return f"{target} {share}"
    return translate(
        "{target} {share} of {labelled} labelled ({unlabelled} unlabelled)",
        target=target,
        share=share,
        labelled=localised(f"{labelled:,}"),
        unlabelled=localised(f"{unlabelled:,}"),
    )


def made_line(data: ReportData) -> str:
    """Rungs of a page, its date and the version that made it."""
    return translate(
        "{rungs} (rung: a network with its initial weights). Created on {date} with medtransfer "
        "{version}.",
        rungs=translate_plural("{count} rung", "{count} rungs", len(data.rungs)),
        date=datetime.now(UTC).date().isoformat(),
        version=version("medtransfer"),
    )
