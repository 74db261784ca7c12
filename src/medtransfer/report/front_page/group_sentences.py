"""Sentences on groups of patients that are served worse, from numbers alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from medtransfer.language.translation import translate
from medtransfer.report.front_page.facts import Quantity
from medtransfer.report.front_page.sentences import Claim, could_show, interval
from medtransfer.report.text import ALPHA, fixed, p_text


@dataclass(frozen=True)
class GroupGap:
    """The most significant gap between the groups of an attribute.

    Attributes:
        attribute: Whose groups.
        measure: Metric in words, with the hospital.
        gap: Largest minus smallest value.
        p: After correction for all gaps that were tested.
        tests: Number of those.
        lowest: The group with the smallest value.
        highest: The group with the largest value.
        missed: Of 100 cases with the finding, those that are missed, by group; empty unless the
            gap is one of sensitivity.
        detectable: Smallest true gap that the study would have shown.
    """

    attribute: str
    measure: str
    gap: Quantity
    p: float
    tests: int
    lowest: str = ""
    highest: str = ""
    missed: Mapping[str, Quantity] | None = None
    detectable: float | None = None


def served_worse(gap: GroupGap) -> Claim:
    """Claim on the groups of patients that are served worse."""
    p = p_text(gap.p)
    if gap.tests > 1:
        p = translate("{p}, corrected for {tests} tests", p=p, tests=gap.tests)
    if gap.p < ALPHA:
        frequencies = "; ".join(
            translate(
                "of 100 {group} with the finding, {amount} are missed",
                group=group,
                amount=interval(estimate, 0),
            )
            for group, estimate in (gap.missed or {}).items()
        )
        finding = _unequal(gap, p)
        if not frequencies:
            return Claim("shown", f"{finding}.")
        details = translate("{finding}: {details}.", finding=finding, details=frequencies)
        return Claim("shown", details)
    unclear = translate(
        "No gap between groups was shown; the clearest is in {measure} by {attribute}, {amount} "
        "({p}).",
        measure=gap.measure,
        attribute=gap.attribute,
        amount=interval(gap.gap),
        p=p,
    )
    shown = could_show("gap", None if gap.detectable is None else fixed(gap.detectable))
    return Claim("not shown", f"{unclear} {shown}".rstrip())


def _unequal(gap: GroupGap, p: str) -> str:
    """A gap that is shown, without the cases behind it and without a full stop."""
    values = {"attribute": gap.attribute, "measure": gap.measure, "p": p}
    amount = interval(gap.gap)
    if not gap.lowest:
        return translate(
            "{attribute}: {measure} is unequal by {amount} ({p})", amount=amount, **values
        )
    return translate(
        "{attribute}: {measure} is lower for {lowest} than for {highest} by {amount} ({p})",
        lowest=gap.lowest,
        highest=gap.highest,
        amount=amount,
        **values,
    )
