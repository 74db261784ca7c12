"""Recommendation: the rung that a study's numbers speak for, by the rule of recommendation.md."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from medtransfer.errors import WHOLE_NAME, listed
from medtransfer.evaluation.comparison.choice.condition import ShiftedAuroc, condition_text
from medtransfer.evaluation.comparison.choice.pair_table import PairTable, amount_text
from medtransfer.evaluation.comparison.choice.rung_pairs import RungPair
from medtransfer.language.numbers import localised
from medtransfer.language.reasons import reason_text
from medtransfer.language.translation import template, translate
from medtransfer.statistics.contrasts import PATIENTS_AND_SEEDS
from medtransfer.statistics.sample_size import POWER
from medtransfer.tables.results import ALL

NO_RUNG_WHY = template("No rung can be recommended over another: {why}")
RUNG_WHY = template("{rung} is recommended: {why}")
NEED_SEEDS = template(
    "Such a study has less than {power} power to show a difference of any size; most of its "
    "uncertainty ({share}) is from the seeds: more seeds help most."
)
NEED_PATIENTS = template(
    "Such a study has less than {power} power to show a difference of any size; most of its "
    "uncertainty ({share}) is from the patients: more test patients help most (`medtransfer size` "
    "says how many)."
)


@dataclass(frozen=True)
class Candidate:
    """A rung that may be recommended.

    Attributes:
        rung: Its name.
        parameters: Number of weights of its network; None where that is unknown.
        budget: Training cases seen with one seed over all settings that were tried; None for a
            linear probe, which is fitted to its optimum.
    """

    rung: str
    parameters: int | None = None
    budget: float | None = None


@dataclass(frozen=True)
class Evidence:
    """Numbers that a recommendation rests on.

    Attributes:
        label_fraction: Share of the training patients that all candidates were trained on.
        seeds: Seeds of every candidate.
        candidates: Rungs that could have been recommended.
        leaders: Those not shown worse than another.
        left_out: Rungs that are no candidates, each with the reason.
        margin: Difference in AUROC that the study declared negligible beforehand.
        pairs: Every two candidates, on the cases that decide and at every other cohort.
    """

    label_fraction: float
    seeds: int
    candidates: tuple[str, ...]
    leaders: tuple[str, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    margin: float | None = None
    pairs: tuple[RungPair, ...] = ()


@dataclass(frozen=True)
class Recommendation:
    """Rung that a study recommends, or the reason why there is none.

    Attributes:
        rung: Its name; None if no rung can be recommended over another.
        reason: Sentences on why, and what would be needed if there is none.
        condition: Sentences on where and for whom it holds; empty without a rung.
        rests_on: The numbers behind it.
        ensemble: Name of its seeds together if these are shown better than one of them.
    """

    rung: str | None
    reason: str
    condition: str
    rests_on: Evidence
    ensemble: str | None = None

    @property
    def sentence(self) -> str:
        """Reason and condition in one text."""
        return f"{self.reason} {self.condition}".rstrip()

    def plain(self) -> dict[str, Any]:  # JSON
        """The recommendation as a JSON object."""
        return asdict(self)


def recommended(
    candidates: Sequence[Candidate],
    pairs: Sequence[RungPair],
    evidence: Evidence,
    shifted: Mapping[str, Sequence[ShiftedAuroc]],
) -> Recommendation:
    """The rung that is recommended.

    Args:
        candidates: Rungs with all of their runs done.
        pairs: Every two of them.
        evidence: What is known before the choice.
        shifted: Of every rung, its AUROC at shifted cohorts.
    """
    candidates = sorted(candidates, key=lambda candidate: candidate.rung)
    names = [candidate.rung for candidate in candidates]
    pairs = [pair for pair in pairs if {pair.rung, pair.reference} <= set(names)]
    evidence = _with(evidence, pairs=tuple(pairs))
    table = PairTable([pair for pair in pairs if pair.use == "choice"])
    obstacle = _obstacle(names, table, evidence)
    if obstacle is not None:
        return Recommendation(None, translate(NO_RUNG_WHY, why=obstacle), "", evidence)
    beaten = {b.rung for a in candidates for b in candidates if _beats(a, b, table)}
    leaders = [candidate for candidate in candidates if candidate.rung not in beaten]
    evidence = _with(evidence, leaders=tuple(candidate.rung for candidate in leaders))
    if len(leaders) == 1:
        rung = leaders[0].rung
        return Recommendation(
            rung,
            _best_reason(rung, names, table, evidence),
            condition_text(rung, names, pairs, shifted.get(rung, ())),
            evidence,
        )
    by_size = _by_size(leaders, table, evidence.margin)
    if by_size is not None:
        rung, reason = by_size
        condition = condition_text(rung, names, pairs, shifted.get(rung, ()))
        return Recommendation(rung, reason, condition, evidence)
    return Recommendation(None, _undecided(leaders, candidates, table, evidence), "", evidence)


def _by_size(
    leaders: Sequence[Candidate], table: PairTable, margin: float | None
) -> tuple[str, str] | None:
    """The smallest of several leaders, with the reason; None unless it is no worse by a margin."""
    smallest = _smallest(leaders)
    if margin is None or smallest is None:
        return None
    others = [candidate.rung for candidate in leaders if candidate is not smallest]
    least = min(_low(table.of(smallest.rung, other)) for other in others)
    if least <= -margin:
        return None
    equals = listed([smallest.rung, *others], width=WHOLE_NAME)
    why = translate(
        "it is the smallest of the rungs that are not shown worse than another ({rungs}), and its "
        "AUROC is at most {amount} below theirs, less than the margin of {margin}.",
        rungs=equals,
        amount=localised(f"{max(0.0, -least):.3f}"),
        margin=localised(f"{margin:g}"),
    )
    return smallest.rung, translate(RUNG_WHY, rung=smallest.rung, why=why)


def _with(evidence: Evidence, **changes: Any) -> Evidence:  # fields of the evidence
    return Evidence(**{**vars(evidence), **changes})


def _low(pair: RungPair | None) -> float:
    return float("-inf") if pair is None or pair.low is None else pair.low


def _is_shown(pair: RungPair | None) -> bool:
    """True if the first rung is shown to be better."""
    return _low(pair) > 0


def _beats(candidate: Candidate, other: Candidate, table: PairTable) -> bool:
    """True if a rung is shown better than another that had at least its budget."""
    return _is_shown(table.of(candidate.rung, other.rung)) and not _had_more(candidate, other)


def _had_more(candidate: Candidate, other: Candidate) -> bool:
    if candidate.budget is None or other.budget is None:
        return False
    return candidate.budget > other.budget


def _smallest(leaders: Sequence[Candidate]) -> Candidate | None:
    """The leader with the smallest network; None if that is unknown, or shared."""
    sizes = [candidate.parameters for candidate in leaders if candidate.parameters]
    if len(sizes) < len(leaders) or sizes.count(min(sizes)) > 1:
        return None
    return next(candidate for candidate in leaders if candidate.parameters == min(sizes))


def _obstacle(names: Sequence[str], table: PairTable, evidence: Evidence) -> str | None:
    """Reason why candidates cannot be compared at all; None if they can."""
    if len(names) < 2:
        return _too_few(names, evidence)
    compared = [table.of(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    for pair in compared:
        if pair is None or pair.low is None:
            return _not_compared(pair)
    if any(pair is not None and pair.contains != PATIENTS_AND_SEEDS for pair in compared):
        return translate(
            "each rung was trained once, and a network trained again with another seed may differ "
            "by more than these do. It needs two seeds at least, better three or more."
        )
    return None


def _too_few(names: Sequence[str], evidence: Evidence) -> str:
    """Sentences on fewer than two candidates."""
    without = _left_out(evidence)
    if not names:
        chosen = (
            translate("no rung can be chosen from ({without}).", without=without)
            if without
            else translate("no rung can be chosen from.")
        )
    else:
        chosen = (
            translate("1 rung can be chosen from ({without}).", without=without)
            if without
            else translate("1 rung can be chosen from.")
        )
    needed = translate("It needs two with all of their runs done.")
    return f"{chosen} {needed}"


def _left_out(evidence: Evidence) -> str:
    return "; ".join(f"{rung} {why}" for rung, why in evidence.left_out)


def _not_compared(pair: RungPair | None) -> str:
    """Sentence on two rungs that cannot be compared."""
    if pair is None:
        return translate("two rungs cannot be compared on the internal test set.")
    rungs = {"rung": pair.rung, "reference": pair.reference}
    if not pair.reason:
        return translate(
            "{rung} and {reference} cannot be compared on the internal test set.", **rungs
        )
    return translate(
        "{rung} and {reference} cannot be compared on the internal test set ({reason}).",
        reason=reason_text(pair.reason),
        **rungs,
    )


def _best_reason(rung: str, names: Sequence[str], table: PairTable, evidence: Evidence) -> str:
    """Sentence for the only rung that is not shown worse than another."""
    rivals = [table.of(rung, other) for other in names if other != rung]
    shown = [pair for pair in rivals if pair is not None and _is_shown(pair)]
    closest = min(shown, key=lambda pair: pair.difference or 0.0)
    values = {
        "where": _where(closest),
        "closest": closest.reference,
        "amount": amount_text(closest),
    }
    if len(names) == 2:
        why = translate(
            "on {where}, its AUROC is higher than that of {closest} by {amount}.", **values
        )
    else:
        why = translate(
            "on {where}, its AUROC is higher than that of each of the {others} others; the "
            "closest is {closest}, by {amount}. The intervals hold for all {pairs} pairs together.",
            others=len(names) - 1,
            pairs=_count(names),
            **values,
        )
    return f"{translate(RUNG_WHY, rung=rung, why=why)}{_unequal(evidence)}"


def _count(names: Sequence[str]) -> int:
    return len(names) * (len(names) - 1) // 2


def _where(pair: RungPair) -> str:
    return translate("average over the held-out cohorts") if pair.cohort == ALL else pair.cohort


def _unequal(evidence: Evidence) -> str:
    """Sentence on the rungs that were left out; empty if none was."""
    if not evidence.left_out:
        return ""
    left_out = translate("Not among the candidates: {rungs}.", rungs=_left_out(evidence))
    return f" {left_out}"


def _undecided(
    leaders: Sequence[Candidate],
    candidates: Sequence[Candidate],
    table: PairTable,
    evidence: Evidence,
) -> str:
    """Sentences for several rungs of which none is shown worse than another."""
    names = [candidate.rung for candidate in leaders]
    pairs = [
        pair
        for i, rung in enumerate(names)
        for other in names[i + 1 :]
        if (pair := table.of(rung, other)) is not None
    ]
    pairs = [pair if (pair.difference or 0) >= 0 else pair.reversed() for pair in pairs]
    widest = max(pairs, key=lambda pair: pair.difference or 0.0)
    why = translate(
        "on {where}, there is no significant difference between {rungs} (the largest: {rung} over "
        "{reference} by {amount}).",
        where=_where(widest),
        rungs=listed(names, width=WHOLE_NAME),
        rung=widest.rung,
        reference=widest.reference,
        amount=amount_text(widest),
    )
    parts = [translate(NO_RUNG_WHY, why=why)]
    worse = [candidate.rung for candidate in candidates if candidate.rung not in names]
    if worse:
        rungs = listed(worse, width=WHOLE_NAME)
        parts.append(translate("Shown worse than one of them: {rungs}.", rungs=rungs))
    longer = _longer(leaders, table)
    if longer is not None:
        parts.append(longer)
    parts += [_needed(pairs), _margin_advice(leaders, evidence)]
    return " ".join(part for part in parts if part) + _unequal(evidence)


def _longer(leaders: Sequence[Candidate], table: PairTable) -> str | None:
    """Sentence on a lead that a longer training may explain; None without one."""
    for candidate in leaders:
        for other in leaders:
            if _is_shown(table.of(candidate.rung, other.rung)) and _had_more(candidate, other):
                return translate(
                    "{rung} is ahead of {other}, but saw {cases} training cases to its {fewer}: "
                    "give {other} as many.",
                    rung=candidate.rung,
                    other=other.rung,
                    cases=localised(f"{candidate.budget:,.0f}"),
                    fewer=localised(f"{other.budget:,.0f}"),
                )
    return None


def _needed(pairs: Sequence[RungPair]) -> str:
    """Sentence on what the study could have shown, and where its uncertainty is from."""
    measured = [pair for pair in pairs if pair.seed_share is not None]
    if not measured:
        return ""
    largest = max(measured, key=_smallest_shown)
    of_seeds = largest.seed_share or 0.0
    values = {
        "power": localised(f"{POWER:.0%}"),
        "share": localised(f"{max(of_seeds, 1 - of_seeds):.0%}"),
    }
    if largest.detectable is None:  # more than there can be
        return translate(NEED_SEEDS if of_seeds > 0.5 else NEED_PATIENTS, **values)
    values["amount"] = localised(f"{largest.detectable:.3f}")
    if of_seeds > 0.5:
        return translate(
            "Such a study has {power} power to show a difference of {amount}; most of its "
            "uncertainty ({share}) is from the seeds: more seeds help most.",
            **values,
        )
    return translate(
        "Such a study has {power} power to show a difference of {amount}; most of its uncertainty "
        "({share}) is from the patients: more test patients help most (`medtransfer size` says "
        "how many).",
        **values,
    )


def _smallest_shown(pair: RungPair) -> float:
    """Smallest difference that it would have shown; infinite if that is more than there can be."""
    return math.inf if pair.detectable is None else pair.detectable


def _margin_advice(leaders: Sequence[Candidate], evidence: Evidence) -> str:
    """Sentence on the margin, which decides between equals by size."""
    smallest = _smallest(leaders)
    if smallest is None:
        return ""
    if evidence.margin is None:
        return translate(
            "With `evaluation.margin`, stated before the results are seen, the smallest of them "
            "could be recommended if it is no worse by that margin."
        )
    return translate(
        "The smallest, {rung}, is not shown to be less than the margin of {margin} below the "
        "others.",
        rung=smallest.rung,
        margin=localised(f"{evidence.margin:g}"),
    )
