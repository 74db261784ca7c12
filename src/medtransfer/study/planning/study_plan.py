"""Plan of a study: what would run, how long it takes, what it needs, and what could be saved."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from medtransfer.errors import StudyError, plural
from medtransfer.files import free_bytes
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.caches import CacheState
from medtransfer.study.config import Study
from medtransfer.study.execution.workers import Workers, is_small
from medtransfer.study.plan import PlannedRun
from medtransfer.study.planning.kinds import size_of
from medtransfer.study.planning.rules import (
    Amount,
    checkpoint_bytes,
    rule_memory,
    rule_speed,
    weights_bytes,
)
from medtransfer.study.planning.savings import Saving, largest_savings
from medtransfer.study.planning.speeds import (
    ZERO,
    RunSize,
    Seconds,
    Speeds,
    read_speeds,
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
    """

    kind: str
    runs: int
    to_run: int
    seconds: Seconds | None
    memory: Amount
    source: Source


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
        workers: Runs that are carried out at once.
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
                f"How long {plural(self.to_run, 'run')} take is not known, and --max-hours is "
                f"{most:g}. `medtransfer plan --probe` measures a few steps of each network."
            )
        low, middle, high = (value / 3600 for value in asdict(self.seconds).values())
        if middle > most:
            tips = "".join(f" {saving.sentence}" for saving in self.savings[:2])
            raise StudyError(
                f"{plural(self.to_run, 'run')} take about {middle:,.1f} h ({low:,.1f} to "
                f"{high:,.1f} h), more than --max-hours {most:g}. Nothing was run.{tips}"
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
    examples = {kinds[run.run_id]: run for run in reversed(planned)}
    _note_rules(speeds, examples, workers)
    left = [run for run in planned if states[run.run_id] not in ("done", "diverged")]
    times = {run.run_id: speeds.seconds(sizes[run.run_id]) for run in left}
    keeps = study.keep == "weights"
    working = sorted((checkpoint_bytes(run) for run in examples.values()), reverse=True)
    return StudyPlan(
        states=dict(Counter(states.values())),
        kinds=_kinds(planned, kinds, times, speeds, peaks=_peaks(folder, planned, kinds, states)),
        questions=_questions(planned, times),
        savings=largest_savings(study, left, times, workers.count),
        shared=sum(_is_linear(run) and run.num_images == 0 for run in left),
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
    started = run.run_id in present and state == "waiting"
    return size_of(run, share_left(folder.run(run.run_id)) if started else 1.0)


def _note_rules(speeds: Speeds, examples: Mapping[str, PlannedRun], workers: Workers) -> None:
    """Speeds by rule of kinds that were not measured; there is no rule for GPUs."""
    for kind, run in examples.items():
        on_cpu = not workers.gpus and run.cell.run.training.device in ("auto", "cpu")
        if on_cpu and not speeds.is_measured(kind):
            threads = 1 if is_small(run) else workers.cores
            if workers.is_chosen:
                threads = max(1, workers.cores // workers.count)
            speeds.note_rule(kind, rule_speed(run, threads))


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
    rows = [
        KindPlan(
            kind=kind,
            runs=len(runs),
            to_run=sum(run.run_id in times for run in runs),
            seconds=summed(times[run.run_id] for run in runs if run.run_id in times),
            memory=peaks.get(kind) or rule_memory(runs[0]),
            source=_source(speeds, kind),
        )
        for kind, runs in groups.items()
    ]
    return tuple(sorted(rows, key=lambda row: -(row.seconds.middle if row.seconds else 0.0)))


def _source(speeds: Speeds, kind: str) -> Source:
    if speeds.is_measured(kind):
        return "measured"
    return "unknown" if speeds.of(kind) is None else "rule"


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


def _is_linear(run: PlannedRun) -> bool:
    return run.cell.run.training.tuning.mode == "linear"
