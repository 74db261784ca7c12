"""Recommendation: the rung that a study's numbers speak for, by the rule of recommendation.md."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from medtransfer.errors import WHOLE_NAME, listed, plural
from medtransfer.evaluation.comparison.choice.rung_pairs import RungPair
from medtransfer.statistics.contrasts import PATIENTS_AND_SEEDS
from medtransfer.statistics.sample_size import POWER
from medtransfer.tables.results import ALL

NO_RUNG = "No rung can be recommended over another"


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
class ShiftedAuroc:
    """AUROC of a rung at a shifted cohort.

    Attributes:
        cohort: Name of the cohort.
        text: Value with its interval, and the drop to it, in words.
    """

    cohort: str
    text: str


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


class PairTable:
    """Differences between candidates, in either direction."""

    def __init__(self, pairs: Sequence[RungPair]) -> None:
        self._pairs = {(pair.rung, pair.reference): pair for pair in pairs}

    def of(self, rung: str, other: str) -> RungPair | None:
        """Difference of a rung from another."""
        if (rung, other) in self._pairs:
            return self._pairs[rung, other]
        pair = self._pairs.get((other, rung))
        return None if pair is None else pair.reversed()


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
        return Recommendation(None, f"{NO_RUNG}: {obstacle}", "", evidence)
    beaten = {b.rung for a in candidates for b in candidates if _beats(a, b, table)}
    leaders = [candidate for candidate in candidates if candidate.rung not in beaten]
    evidence = _with(evidence, leaders=tuple(candidate.rung for candidate in leaders))
    if len(leaders) == 1:
        rung = leaders[0].rung
        return Recommendation(
            rung,
            _best_reason(rung, names, table, evidence),
            _condition(rung, names, pairs, shifted.get(rung, ())),
            evidence,
        )
    by_size = _by_size(leaders, table, evidence.margin)
    if by_size is not None:
        rung, reason = by_size
        condition = _condition(rung, names, pairs, shifted.get(rung, ()))
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
    reason = (
        f"{smallest.rung} is recommended: it is the smallest of the rungs that are not shown worse "
        f"than another ({equals}), and its AUROC is at most "
        f"{max(0.0, -least):.3f} below theirs, less than the margin of {margin:g}."
    )
    return smallest.rung, reason


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
        without = "; ".join(f"{rung} {why}" for rung, why in evidence.left_out)
        count = plural(len(names), "rung") if names else "no rung"
        because = f" ({without})" if without else ""
        return f"{count} can be chosen from{because}. It needs two with all of their runs done."
    compared = [table.of(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
    for pair in compared:
        if pair is None or pair.low is None:
            rungs = "two rungs" if pair is None else f"{pair.rung} and {pair.reference}"
            reason = "" if pair is None or not pair.reason else f" ({pair.reason})"
            return f"{rungs} cannot be compared on the internal test set{reason}."
    if any(pair is not None and pair.contains != PATIENTS_AND_SEEDS for pair in compared):
        return (
            "each rung was trained once, and a network trained again with another seed may differ "
            "by more than these do. It needs two seeds at least, better three or more."
        )
    return None


def _amount(pair: RungPair) -> str:
    """``0.021 [0.004, 0.038]``."""
    return f"{pair.difference:.3f} [{pair.low:.3f}, {pair.high:.3f}]".replace("-", "−")


def _best_reason(rung: str, names: Sequence[str], table: PairTable, evidence: Evidence) -> str:
    """Sentence for the only rung that is not shown worse than another."""
    rivals = [table.of(rung, other) for other in names if other != rung]
    shown = [pair for pair in rivals if pair is not None and _is_shown(pair)]
    closest = min(shown, key=lambda pair: pair.difference or 0.0)
    many = len(names) > 2
    of_all = f"each of the {len(names) - 1} others" if many else closest.reference
    next_best = f"; the closest is {closest.reference}, by {_amount(closest)}" if many else ""
    amount = "" if many else f" by {_amount(closest)}"
    held = f" The intervals hold for all {_count(names)} pairs together." if many else ""
    return (
        f"{rung} is recommended: on {_where(closest)}, its AUROC is higher than that of "
        f"{of_all}{amount}{next_best}.{held}{_unequal(evidence)}"
    )


def _count(names: Sequence[str]) -> int:
    return len(names) * (len(names) - 1) // 2


def _where(pair: RungPair) -> str:
    return "average over the held-out cohorts" if pair.cohort == ALL else pair.cohort


def _unequal(evidence: Evidence) -> str:
    """Sentence on the rungs that were left out; empty if none was."""
    if not evidence.left_out:
        return ""
    left_out = "; ".join(f"{rung} {why}" for rung, why in evidence.left_out)
    return f" Not among the candidates: {left_out}."


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
    first = (
        f"{NO_RUNG}: on {_where(widest)}, there is no significant difference between "
        f"{listed(names, width=WHOLE_NAME)} (the largest: {widest.rung} over {widest.reference} by "
        f"{_amount(widest)})."
    )
    parts = [first]
    worse = [candidate.rung for candidate in candidates if candidate.rung not in names]
    if worse:
        parts.append(f"Shown worse than one of them: {listed(worse, width=WHOLE_NAME)}.")
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
                return (
                    f"{candidate.rung} is ahead of {other.rung}, but saw {candidate.budget:,.0f} "
                    f"training cases to its {other.budget:,.0f}: give {other.rung} as many."
                )
    return None


def _needed(pairs: Sequence[RungPair]) -> str:
    """Sentence on what the study could have shown, and where its uncertainty is from."""
    detected = [pair for pair in pairs if pair.detectable is not None]
    if not detected:
        return ""
    largest = max(detected, key=lambda pair: pair.detectable or 0.0)
    of_seeds = largest.seed_share or 0.0
    share, source, advice = (
        (of_seeds, "seeds", "more seeds help most.")
        if of_seeds > 0.5
        else (
            1 - of_seeds,
            "patients",
            "more test patients help most (`medtransfer size` says how many).",
        )
    )
    return (
        f"Such a study has {POWER:.0%} power to show a difference of {largest.detectable:.3f}; "
        f"most of its uncertainty ({share:.0%}) is from the {source}: {advice}"
    )


def _margin_advice(leaders: Sequence[Candidate], evidence: Evidence) -> str:
    """Sentence on the margin, which decides between equals by size."""
    smallest = _smallest(leaders)
    if smallest is None:
        return ""
    if evidence.margin is None:
        return (
            "With `evaluation.margin`, stated before the results are seen, the smallest of them "
            "could be recommended if it is no worse by that margin."
        )
    return (
        f"The smallest, {smallest.rung}, is not shown to be less than the margin of "
        f"{evidence.margin:g} below the others."
    )


def _condition(
    rung: str,
    names: Sequence[str],
    pairs: Sequence[RungPair],
    shifted: Sequence[ShiftedAuroc],
) -> str:
    """Sentences on where a recommendation holds."""
    chosen = (
        "Its AUROC was the one chosen of several on these test patients, and may be lower on new "
        "ones: confirm it on patients who took no part."
    )
    cohorts = dict.fromkeys(pair.cohort for pair in pairs if pair.use == "shift")
    if not cohorts:
        return f"{chosen} Other hospitals were not tested."
    aurocs = {row.cohort: f"{row.text}; " for row in shifted}
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
        auroc: The rung's AUROC there, in words.
    """
    better = [pair.reversed() for pair in rivals if pair.high is not None and pair.high < 0]
    if better:
        best = max(better, key=lambda pair: pair.difference or 0.0)
        return (
            f"It does not hold at {cohort}: {auroc}{best.rung} is better there by {_amount(best)}."
        )
    if any(pair.low is None for pair in rivals):
        return f"At {cohort}: {auroc}not every rung can be compared with it there."
    return f"At {cohort}: {auroc}no rung is shown to be better there."
