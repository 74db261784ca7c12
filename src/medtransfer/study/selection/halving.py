"""Successive halving as pure functions: which rungs go on, from tuning numbers and seconds."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MIN_KEPT = 2
"""Rungs that a stage keeps at least: a comparison needs two."""
MAX_CONTENDERS = 6
"""Rungs that may be fine-tuned at most."""
SEED_COUNTS = (3, 2)
"""Numbers of seeds of the finalists, the first that fits the time."""
SLACK = 1.3
"""Factor on estimates of time: validations and the starts of runs are not in the speed of steps."""


@dataclass(frozen=True)
class Dropped:
    """A rung that goes no further.

    Attributes:
        rung: Its name.
        reason: In words, without a full stop.
    """

    rung: str
    reason: str


@dataclass(frozen=True)
class Cut:
    """Rungs that go on, and those that do not.

    Attributes:
        kept: Best first, or cheapest first where only time decides.
        dropped: With a reason each.
    """

    kept: tuple[str, ...]
    dropped: tuple[Dropped, ...]


def within_time(seconds: Mapping[str, float | None], most: float) -> Cut:
    """The rungs that fit a time, cheapest first; the cheapest always does.

    Args:
        seconds: That each rung takes; None where it is unknown, and the rung is tried.
        most: Seconds for all of them.
    """
    order = sorted(seconds, key=lambda rung: (seconds[rung] or 0.0, rung))
    kept: list[str] = []
    dropped: list[Dropped] = []
    used = 0.0
    for rung in order:
        cost = seconds[rung] or 0.0
        if kept and used + cost > most:
            left = max(0.0, most - used)
            dropped.append(Dropped(rung, f"takes about {cost:,.0f} s, and {left:,.0f} s are left"))
            continue
        kept.append(rung)
        used += cost
    return Cut(tuple(kept), tuple(dropped))


def best_of(
    scores: Mapping[str, float | None], keep: int, missing: Mapping[str, str] | None = None
) -> Cut:
    """The rungs with the highest tuning AUROC, best first; equals by name.

    Args:
        scores: Tuning AUROC of each rung; None where there is none.
        keep: Number to keep.
        missing: Reasons why a score is missing.
    """
    measured = {rung: score for rung, score in scores.items() if score is not None}
    order = sorted(measured, key=lambda rung: (-measured[rung], rung))
    kept = order[:keep]
    dropped = [
        Dropped(
            rung,
            f"tuning AUROC {measured[rung]:.3f}, below {measured[kept[-1]]:.3f} of the last kept",
        )
        for rung in order[keep:]
    ]
    why = missing or {}
    unmeasured = sorted(rung for rung, score in scores.items() if score is None)
    dropped += [Dropped(rung, why.get(rung, "no run ended with a number")) for rung in unmeasured]
    return Cut(tuple(kept), tuple(dropped))


def half(count: int) -> int:
    """Rungs that stay of a number of them: half, rounded up, at least `MIN_KEPT`."""
    return max(MIN_KEPT, math.ceil(count / 2))


@dataclass(frozen=True)
class Race:
    """Plan of fine-tuning.

    Attributes:
        entrants: Rungs that are fine-tuned, best probe first; empty if the time does not suffice.
        seeds: Number of seeds of the finalists.
        seconds: That it takes, by estimate; of the smallest race that does not fit, where there are
            no entrants.
        dropped: Contenders that are not fine-tuned.
    """

    entrants: tuple[str, ...]
    seeds: int
    seconds: float
    dropped: tuple[Dropped, ...]

    @property
    def has_short_stage(self) -> bool:
        """True if a short schedule halves the entrants first."""
        return len(self.entrants) > MIN_KEPT


def plan_race(
    ranked: Sequence[str], full: Mapping[str, float | None], short_share: float, seconds: float
) -> Race:
    """The largest race that fits the time: most entrants, then most seeds.

    With more than two entrants all are trained on a short schedule, half of them on the whole one,
    and two with further seeds. Which of them go on is not known, so the most expensive ones count.

    Args:
        ranked: Contenders, best probe first.
        full: Seconds of the whole schedule of each, shared out over the workers; None if unknown.
        short_share: Length of the short schedule, as a share of the whole.
        seconds: That are left.
    """
    timed = [rung for rung in ranked if full.get(rung) is not None]
    costs = {rung: SLACK * (full[rung] or 0.0) for rung in timed}
    alone = {rung: race_seconds([costs[rung]], short_share, SEED_COUNTS[-1]) for rung in timed}
    unknown = [Dropped(r, "its speed could not be measured") for r in ranked if r not in timed]
    fitting = [rung for rung in timed if alone[rung] <= seconds]
    too_slow = [
        Dropped(rung, f"takes about {alone[rung]:,.0f} s at least, and {seconds:,.0f} s are left")
        for rung in timed
        if rung not in fitting
    ]
    for count in range(len(fitting), 0, -1):
        entrants = fitting[:count]
        reason = f"fine-tuning {count + 1} rungs takes more than the {seconds:,.0f} s that are left"
        dropped = (*too_slow, *(Dropped(rung, reason) for rung in fitting[count:]), *unknown)
        for seeds in SEED_COUNTS:
            total = race_seconds([costs[rung] for rung in entrants], short_share, seeds)
            if total <= seconds:
                return Race(tuple(entrants), seeds, total, dropped)
    least = min(alone.values(), default=0.0)
    return Race((), SEED_COUNTS[0], least, (*too_slow, *unknown))


def race_seconds(costs: Sequence[float], short_share: float, seeds: int) -> float:
    """Seconds of a race at most.

    Args:
        costs: Seconds of the whole schedule of each entrant.
        short_share: Length of the short schedule, as a share of the whole.
        seeds: Of the finalists.
    """
    dear = sorted(costs, reverse=True)
    short = short_share * sum(dear) if len(dear) > MIN_KEPT else 0.0
    return short + sum(dear[: half(len(dear))]) + (seeds - 1) * sum(dear[:MIN_KEPT])


TunedRung = tuple[str, str]
"""Rung, and mode of tuning: `linear` or `full`."""


def finalists(scores: Mapping[TunedRung, float]) -> tuple[TunedRung, ...]:
    """The two best rungs, each in its better mode, best first; of equals the linear probe.

    Args:
        scores: Tuning AUROC of every rung and mode, of one seed.
    """
    order = sorted(scores, key=lambda arm: (-scores[arm], arm[1] != "linear", arm[0]))
    best: dict[str, TunedRung] = {}
    for arm in order:
        best.setdefault(arm[0], arm)
    return tuple(list(best.values())[:MIN_KEPT])


def common_seeds(done: Mapping[str, Sequence[int]]) -> tuple[int, ...]:
    """Seeds that all finalists have finished: comparisons are at equal seeds only."""
    lists = list(done.values())
    return tuple(sorted({seed for seed in lists[0] if all(seed in other for other in lists)}))
