"""Largest savings of a study: what leaving out a part of its grid would spare."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from medtransfer.study.config import Study
from medtransfer.study.plan import PlannedRun
from medtransfer.study.planning.speeds import Seconds, rough_time

MIN_SHARE = 0.05
"""Smallest share of the time that is worth a sentence."""
MIN_SECONDS = 600.0
"""Shortest study of which anything is worth saving."""
MAX_SAVINGS = 4


@dataclass(frozen=True)
class Saving:
    """A change of the study that makes it shorter.

    Attributes:
        sentence: The change, and what it spares.
        seconds: That it spares, over all workers.
        share: Of the time left.
    """

    sentence: str
    seconds: float
    share: float


def largest_savings(
    study: Study,
    left: Sequence[PlannedRun],
    times: Mapping[str, Seconds | None],
    workers: int,
) -> tuple[Saving, ...]:
    """Parts of the grid that take the most time, largest first.

    Args:
        study: What is compared.
        left: Unfinished runs.
        times: Of each, by run id.
        workers: Runs that are carried out at once.
    """
    seconds = {run.run_id: time.middle for run in left if (time := times[run.run_id])}
    total = sum(seconds.values())
    if total / workers < MIN_SECONDS:
        return ()
    candidates: list[tuple[str, float]] = []

    def add(text: str, key: Callable[[PlannedRun], Hashable], fewest: int = 2) -> None:
        """The most expensive value of a part of the grid, if there is another to keep."""
        sums: dict[Hashable, float] = defaultdict(float)
        for run in left:
            sums[key(run)] += seconds.get(run.run_id, 0.0)
        if len(sums) >= fewest:
            value, most = max(sums.items(), key=lambda item: item[1])
            candidates.append((text.format(value), most))

    add("Without rung '{}'", lambda run: run.cell.rung)
    if len(study.seeds) > 3:  # fewer than three say little of the spread
        add("Without seed {}", lambda run: run.cell.seed, fewest=4)
    add("Without label budget {}", lambda run: run.cell.budget)
    add("Without the setting{}", lambda run: run.cell.setting or " by default")
    add("Without the runs that leave out '{}'", lambda run: run.cell.held_out or "no hospital")
    candidates += _shorter(left, seconds)
    savings = [
        Saving(
            f"{text}: {rough_time(spared / workers)} less ({spared / total:.0%}).",
            spared / workers,
            spared / total,
        )
        for text, spared in candidates
        if spared / total >= MIN_SHARE
    ]
    return tuple(sorted(savings, key=lambda saving: -saving.seconds)[:MAX_SAVINGS])


def _shorter(left: Sequence[PlannedRun], seconds: Mapping[str, float]) -> list[tuple[str, float]]:
    """Linear probes in place of fine-tuning spare nearly all of its time."""
    tuned = [run for run in left if run.cell.run.training.tuning.mode != "linear"]
    spared = sum(seconds.get(run.run_id, 0.0) for run in tuned)
    text = "With linear probes in place of fine-tuning (training.tuning.mode: linear)"
    return [(text, 0.9 * spared)]
