"""Reasons of missing numbers and intervals, as tables hold them, in the language in use.

Tables are written in English, whatever language a report is in, so a reason is recognised by its
English template. One that is not recognised stays as the table has it.
"""

import re
from functools import cache

from medtransfer.language.translation import ENGLISH, language_in_use, template, translate

SEPARATOR = "; "
REASONS = (
    template("no positive case"),
    template("no negative case"),
    template("no labelled case"),
    template("one class only"),
    template("fewer than {least} cases"),
    template("fewer than {least} positive cases"),
    template("fewer than {least} negative cases"),
    template("undefined in the sample"),
    template("undefined at a label fraction"),
    template("no value"),
    template("not measured"),
    template("no shared cases"),
    template("no operating point"),
    template("no AUROC to compare with"),
    template("no probability was given"),
    template("no case has one"),
    template("tune lacks a class"),
    template("tune has no labelled case"),
    template("no test case that both answered"),
    template("the two rungs have different targets"),
    template("the two rungs are not known to have been trained on the same cohorts"),
    template("the two cohorts have different targets"),
    template("too few cases for an interval"),
    template("the reference's full-data AUROC is never reached"),
    template("in some replicates the reference's full-data AUROC is never reached"),
    template("at least: the smallest label fraction already reaches it"),
    template("over the {shared} of {targets} targets that both have: {names}"),
    template("over the {shared} of {targets} targets with enough patients: {names}"),
    template("undefined in over half of the replicates"),
    template("one patient"),
    template("all replicates are equal"),
    template("all replicates lie on one side of the value"),
    template("DeLong's variance is 0"),
    template("a share of fewer than {least} patients"),
    template("fewer than {least} patients with a positive case"),
    template("fewer than {least} patients with a negative case"),
    template("fewer than {least} patients with or without"),
    template("fewer than {least} patients with or without the finding"),
    template("chance alone pushes the metric up, in each rung by a different amount"),
    template("chance alone pushes the metric up, in groups of different size differently"),
    template("chance alone pushes the metric up, on both sides by different amounts"),
    template(
        "no number of patients decides: the interval of the promise alone is too wide for the "
        "margin"
    ),
    template("undefined"),
    template("no interval"),
)
NO_INTERVAL_WHY = template("no interval: {why}")
TARGETS_LEFT_OUT = template("{left} of {targets} targets left out: {why}")
OF_A_SIDE = (template("this hospital: {why}"), template("the promise: {why}"))
"""Reasons of one side of a validation."""


def reason_text(reason: str) -> str:
    """A reason from a table in the language in use; an unknown one as it is.

    Args:
        reason: One, or several with semicolons between them.
    """
    if language_in_use() == ENGLISH:
        return reason
    return SEPARATOR.join(_reason_text(part) for part in reason.split(SEPARATOR))


def _reason_text(reason: str) -> str:
    for message in (NO_INTERVAL_WHY, TARGETS_LEFT_OUT, *OF_A_SIDE):
        if (match := _pattern(message).fullmatch(reason)) is not None:
            values = match.groupdict()
            return translate(message, **{**values, "why": _reason_text(values["why"])})
    for message in REASONS:
        if (match := _pattern(message).fullmatch(reason)) is not None:
            return translate(message, **match.groupdict())
    return reason


@cache
def _pattern(message: str) -> re.Pattern[str]:
    """Pattern of a message, its placeholders as groups; all but names and reasons are numbers."""
    parts = re.split(r"\{(\w+)\}", message)
    words = [re.escape(part) for part in parts[::2]]
    groups = [
        f"(?P<{name}>{'.+' if name in ('why', 'names') else '[0-9]+'})" for name in parts[1::2]
    ]
    return re.compile("".join(a + b for a, b in zip(words, [*groups, ""], strict=True)))
