"""Condition of a recommendation: where and for whom it holds."""

from collections.abc import Sequence
from dataclasses import dataclass

from medtransfer.evaluation.comparison.choice.pair_table import PairTable, amount_text
from medtransfer.evaluation.comparison.choice.rung_pairs import RungPair
from medtransfer.language.translation import translate


@dataclass(frozen=True)
class ShiftedAuroc:
    """AUROC of a rung at a shifted cohort.

    Attributes:
        cohort: Name of the cohort.
        text: Value with its interval, and the drop to it, in words.
    """

    cohort: str
    text: str


def condition_text(
    rung: str,
    names: Sequence[str],
    pairs: Sequence[RungPair],
    shifted: Sequence[ShiftedAuroc],
) -> str:
    """Sentences on where a recommendation holds.

    Args:
        rung: The recommended one.
        names: All candidates.
        pairs: Every two of them, at every cohort.
        shifted: AUROCs of the rung at shifted cohorts.
    """
    chosen = translate(
        "Its AUROC was the one chosen of several on these test patients, and may be lower on new "
        "ones: confirm it on patients who took no part."
    )
    cohorts = dict.fromkeys(pair.cohort for pair in pairs if pair.use == "shift")
    if not cohorts:
        untested = translate("Other hospitals were not tested.")
        return f"{chosen} {untested}"
    aurocs = {row.cohort: row.text for row in shifted}
    parts = [chosen]
    for cohort in cohorts:
        table = PairTable([p for p in pairs if p.use == "shift" and p.cohort == cohort])
        rivals = [pair for other in names if (pair := table.of(rung, other)) is not None]
        parts.append(_at_cohort(cohort, rivals, aurocs.get(cohort, "")))
    return " ".join(parts)


def _at_cohort(cohort: str, rivals: Sequence[RungPair], auroc: str) -> str:
    """Sentence on a recommended rung at one shifted cohort.

    Args:
        cohort: Its name.
        rivals: Differences of the rung from the others there.
        auroc: The rung's AUROC there, in words; empty without one.
    """
    better = [pair.reversed() for pair in rivals if pair.high is not None and pair.high < 0]
    if better:
        best = max(better, key=lambda pair: pair.difference or 0.0)
        values = {"cohort": cohort, "rung": best.rung, "amount": amount_text(best), "auroc": auroc}
        return (
            translate(
                "It does not hold at {cohort}: {auroc}; {rung} is better there by {amount}.",
                **values,
            )
            if auroc
            else translate(
                "It does not hold at {cohort}: {rung} is better there by {amount}.", **values
            )
        )
    values = {"cohort": cohort, "auroc": auroc}
    if any(pair.low is None for pair in rivals):
        return (
            translate(
                "At {cohort}: {auroc}; not every rung can be compared with it there.", **values
            )
            if auroc
            else translate("At {cohort}: not every rung can be compared with it there.", **values)
        )
    return (
        translate("At {cohort}: {auroc}; no rung is shown to be better there.", **values)
        if auroc
        else translate("At {cohort}: no rung is shown to be better there.", **values)
    )
