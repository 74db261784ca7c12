"""Plan of a study: what would run, how long it takes, what it needs, and what could be saved."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from medtransfer.disk import free_bytes
from medtransfer.errors import StudyError, plural
from medtransfer.models.ladder import find_rung
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.caches import CacheState
from medtransfer.study.config import Study
from medtransfer.study.execution.workers import Workers
from medtransfer.study.plan import PlannedRun
from medtransfer.study.planning.kinds import size_of
from medtransfer.study.planning.rules import (
    Amount,
    checkpoint_bytes,
    note_rules,
    rule_memory,
    weights_bytes,
)
from medtransfer.study.planning.savings import Saving, largest_savings
from medtransfer.study.planning.speeds import (
    ZERO,
    RunSize,
    Seconds,
    Speeds,
    read_speeds,
    rough_time,
    share_left,
)

Source = Literal["measured", "rule", "unknown"]
MAX_PEAKS = 10
"""Finished runs of one kind whose memory is read."""


@dataclass(frozen=True)
class KindPlan:
    """Runs of one kind.

    Attributes:
        kind: Rung, side of the input, tuning mode.
        runs: All of them.
        to_run: Those that are not finished.
        seconds: Of the unfinished ones, one after another; None if unknown.
        memory: Of one run's process, in bytes.
        source: `measured` by runs of this study, or by `rule`.
        steps: Of the longest run; of a linear probe the penalties it tries.
    """

    kind: str
    runs: int
    to_run: int
    seconds: Seconds | None
    memory: Amount
    source: Source
    steps: int


@dataclass(frozen=True)
class QuestionPlan:
    """Runs that answer one question.

    Attributes:
        question: In words.
        runs: All of them.
        to_run: Those that are not finished.
        seconds: Of the unfinished ones, one after another; None if unknown.
    """

    question: str
    runs: int
    to_run: int
    seconds: Seconds | None


@dataclass(frozen=True)
class StudyPlan:
    """Plan of a study.

    Attributes:
        states: Number of runs that are waiting, done, failed and diverged.
        kinds: By time, longest first.
        questions: Of the study, with what each costs.
        savings: Largest first.
        shared: Linear probes that use features which another extracts.
        workers: Runs that are carried out at once, at most.
        seconds: Until all is done; None if unknown.
        cache_bytes: Disk that images take which are still to be prepared.
        weights_bytes: Disk that the weights of runs take when all are finished.
        working_bytes: Disk that the runs at work take besides.
        free_bytes: Disk that is free.
    """

    states: Mapping[str, int]
    kinds: tuple[KindPlan, ...]
    questions: tuple[QuestionPlan, ...]
    savings: tuple[Saving, ...]
    shared: int
    workers: int
    seconds: Seconds | None
    cache_bytes: int
    weights_bytes: int
    working_bytes: int
    free_bytes: int

    @property
    def num_runs(self) -> int:
        """Number of runs."""
        return sum(self.states.values())

    @property
    def to_run(self) -> int:
        """Number of runs that are neither done nor diverged."""
        return self.num_runs - self.states.get("done", 0) - self.states.get("diverged", 0)

    @property
    def at_once(self) -> int:
        """Runs that are carried out at once: no more than there are."""
        return max(1, min(self.workers, self.to_run))

    @property
    def is_begun(self) -> bool:
        """True if a run has ended."""
        return set(self.states) > {"waiting"}

    @property
    def disk_bytes(self) -> int:
        """Disk that is needed besides what is used now."""
        return self.cache_bytes + self.weights_bytes + self.working_bytes

    def require_hours(self, most: float) -> None:
        """Compare the time that is left with a limit.

        Raises:
            StudyError: It takes longer, or is not known.
        """
        if self.to_run == 0:
            return
        if self.seconds is None:
            raise StudyError(
                f"The time of {plural(self.to_run, 'run')} is not known, and --max-hours is "
                f"{most:g}. `medtransfer plan --probe` measures a few steps of each network."
            )
        if self.seconds.middle > 3600 * most:
            low, middle, high = (rough_time(value) for value in asdict(self.seconds).values())
            verb = "takes" if self.to_run == 1 else "take"
            tips = "".join(f" {saving.sentence}" for saving in self.savings[:2])
            raise StudyError(
                f"{plural(self.to_run, 'run')} {verb} about {middle} ({low} to {high}), more than "
                f"--max-hours {most:g}. Nothing was run.{tips}"
            )

    def plain(self) -> dict[str, object]:
        """The plan as a JSON object."""
        return {**asdict(self), "num_runs": self.num_runs, "to_run": self.to_run}


def make_plan(
    study: Study,
    folder: StudyFolder,
    planned: Sequence[PlannedRun],
    workers: Workers,
    caches: Iterable[CacheState] = (),
) -> StudyPlan:
    """Plan of a study whose runs are known.

    Args:
        study: What is compared.
        folder: Of the study; need not exist.
        planned: From `plan_runs`.
        workers: From `plan_workers`.
        caches: From `cache_states`.
    """
    present = set(folder.run_ids())
    states = {
        run.run_id: folder.run(run.run_id).state() if run.run_id in present else "waiting"
        for run in planned
    }
    sizes = {run.run_id: _size(run, states[run.run_id], folder, present) for run in planned}
    speeds = read_speeds(folder, sizes.values())
    kinds = {run_id: size.kind for run_id, size in sizes.items()}
    note_rules(speeds, planned, workers)
    examples = {kinds[run.run_id]: run for run in planned}
    left = [run for run in planned if states[run.run_id] not in ("done", "diverged")]
    times = {run.run_id: speeds.seconds(sizes[run.run_id]) for run in left}
    keeps = study.keep == "weights"
    working = sorted((checkpoint_bytes(run) for run in examples.values()), reverse=True)
    return StudyPlan(
        states=dict(Counter(states.values())),
        kinds=_kinds(planned, kinds, times, speeds, peaks=_peaks(folder, planned, kinds, states)),
        questions=_questions(planned, times),
        savings=largest_savings(study, left, times, max(1, min(workers.count, len(left)))),
        shared=sum(_shares_features(run) for run in left),
        workers=workers.count,
        seconds=speeds.total((sizes[run.run_id] for run in left), workers.count),
        cache_bytes=sum(cache.nbytes for cache in caches),
        weights_bytes=sum(weights_bytes(run) for run in left) if keeps else 0,
        working_bytes=sum(working[: workers.count]) if left else 0,
        free_bytes=free_bytes(folder.path),
    )


def summed(times: Iterable[Seconds | None]) -> Seconds | None:
    """Sum of times; None if one is not known."""
    total = ZERO
    for seconds in times:
        if seconds is None:
            return None
        total += seconds
    return total


def _size(run: PlannedRun, state: str, folder: StudyFolder, present: set[str]) -> RunSize:
    if state in ("done", "diverged"):
        return size_of(run, 0.0)
    return size_of(run, share_left(folder.run(run.run_id)) if run.run_id in present else 1.0)


def _kinds(
    planned: Sequence[PlannedRun],
    kinds: Mapping[str, str],
    times: Mapping[str, Seconds | None],
    speeds: Speeds,
    *,
    peaks: Mapping[str, Amount],
) -> tuple[KindPlan, ...]:
    groups: dict[str, list[PlannedRun]] = defaultdict(list)
    for run in planned:
        groups[kinds[run.run_id]].append(run)
    rows: list[KindPlan] = []
    for kind, runs in groups.items():
        seconds = summed(times[run.run_id] for run in runs if run.run_id in times)
        rows.append(
            KindPlan(
                kind=kind,
                runs=len(runs),
                to_run=sum(run.run_id in times for run in runs),
                seconds=seconds,
                memory=peaks.get(kind) or rule_memory(runs[0]),
                source=_source(speeds, kind, seconds),
                steps=max(run.steps for run in runs),
            )
        )
    return tuple(sorted(rows, key=lambda row: -(row.seconds.middle if row.seconds else 0.0)))


def _source(speeds: Speeds, kind: str, seconds: Seconds | None) -> Source:
    if speeds.is_measured(kind):
        return "measured"
    return "unknown" if seconds is None else "rule"


def _peaks(
    folder: StudyFolder,
    planned: Sequence[PlannedRun],
    kinds: Mapping[str, str],
    states: Mapping[str, str],
) -> dict[str, Amount]:
    """Largest memory that finished runs of each kind have taken."""
    peaks: dict[str, list[int]] = defaultdict(list)
    for run in planned:
        of_kind = peaks[kinds[run.run_id]]
        if states[run.run_id] == "done" and len(of_kind) < MAX_PEAKS:
            of_kind.append((folder.run(run.run_id).cost().peak_memory_mib or 0) * 2**20)
    largest = {kind: max(each) for kind, each in peaks.items() if any(each)}
    return {kind: Amount(peak, peak, peak) for kind, peak in largest.items()}


def _questions(
    planned: Sequence[PlannedRun], times: Mapping[str, Seconds | None]
) -> tuple[QuestionPlan, ...]:
    groups: dict[str, list[PlannedRun]] = defaultdict(list)
    for run in planned:
        groups[question_of(run)].append(run)
    return tuple(
        QuestionPlan(
            question=question,
            runs=len(runs),
            to_run=sum(run.run_id in times for run in runs),
            seconds=summed(times[run.run_id] for run in runs if run.run_id in times),
        )
        for question, runs in groups.items()
    )


def question_of(run: PlannedRun) -> str:
    """The question that a run is there for.

    Runs with all labels answer transfer, shift, fairness and uncertainty from the same predictions.
    """
    cell = run.cell
    if cell.retrain_fraction is not None:
        return "shift: trained again on some of the other hospital's cases"
    if cell.held_out is not None:
        return "shift: each hospital left out of training"
    if cell.label_fraction < 1 or cell.shots:
        return "data efficiency: fewer labels"
    return "transfer, shift, fairness, uncertainty: all labels"


def _shares_features(run: PlannedRun) -> bool:
    """True if it is a linear probe whose features another one extracts."""
    is_linear = run.cell.run.training.tuning.mode == "linear"
    return is_linear and run.num_images == 0 and find_rung(run.cell.rung).reads_images
