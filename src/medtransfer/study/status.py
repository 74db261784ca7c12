"""Progress of a study or a rung, read from its folder alone. No torch, nothing is run."""

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from medtransfer.errors import StudyError, listed
from medtransfer.files import read_json
from medtransfer.models.own_rungs import FACTS
from medtransfer.runs.events import Preparing, PretrainStep
from medtransfer.runs.folders import MARK, Lease, RunFolder, StudyFolder
from medtransfer.runs.progress import RungProgress, RunProgress, read_progress
from medtransfer.runs.records import Record, RunCheck, RungCost, State
from medtransfer.runs.tested.files import cohort_predictions
from medtransfer.study.execution.worker_count import read_workers
from medtransfer.study.planning.speeds import RunSize, read_speeds


@dataclass(frozen=True)
class PlanEntry(Record):
    """A run in ``plan.json``.

    Attributes:
        run_id: Its id.
        rung: Its rung.
        label_fraction: Share of the training patients used.
        seed: Its seed.
        steps: All training steps.
        images: All images it trains on, counted as often as they are seen.
        tested: Digest of the images of each test cohort; empty in plans of earlier versions.
        kind: Runs of one kind are as fast as each other; empty in plans of earlier versions.
    """

    run_id: str
    rung: str
    label_fraction: float
    seed: int
    steps: int
    images: int
    tested: Mapping[str, str] = field(default_factory=dict[str, str])
    kind: str = ""


@dataclass(frozen=True)
class RunStatus:
    """Progress of one run.

    Attributes:
        run_id: Its id.
        rung: Its rung.
        label_fraction: Share of the training patients used.
        seed: Its seed.
        state: Waiting, running, done, failed or diverged.
        step: Finished steps.
        steps: All training steps.
        images: All images it trains on, counted as often as they are seen.
        tune_auroc: Of the latest validation; of a finished run, the best one.
        seconds: Training time of a finished run.
        message: The reason, if it failed or diverged.
        unpredicted: Test cohorts that the finished run is still to predict.
        share_of_measured: Share of its measured speed, of an unfinished run that fell far below.
    """

    run_id: str
    rung: str
    label_fraction: float
    seed: int
    state: State
    step: int
    steps: int
    images: int
    tune_auroc: float | None
    seconds: float | None
    message: str
    unpredicted: tuple[str, ...] = ()
    share_of_measured: float | None = None


@dataclass(frozen=True)
class StudyStatus:
    """Progress of all runs of a study.

    Attributes:
        runs: In the order they run.
        working: True while a process works on the study.
        seconds_left: Estimated from the finished runs; None if there is none.
    """

    runs: tuple[RunStatus, ...]
    working: bool
    seconds_left: float | None

    def counts(self) -> dict[str, int]:
        """Number of runs in each state that occurs."""
        states = [run.state for run in self.runs]
        return {state: states.count(state) for state in dict.fromkeys(states)}

    def unpredicted(self) -> dict[str, int]:
        """Number of finished runs that are still to predict a test cohort, by cohort."""
        return dict(Counter(name for run in self.runs for name in run.unpredicted))

    def plain(self) -> dict[str, object]:
        """The status as a JSON object."""
        return {
            "runs": [asdict(run) for run in self.runs],
            "working": self.working,
            "seconds_left": self.seconds_left,
        }


def find_study(where: Path | None = None) -> StudyFolder:
    """Find the folder of a study.

    Args:
        where: The folder, or the study file; by default the only study in ``./studies``.

    Raises:
        ConfigError: The study file cannot be read.
        StudyError: There is no study in ``./studies``, or there are several.
    """
    if where is not None and where.suffix in (".yaml", ".yml"):
        from medtransfer.study.yaml_file import read_study  # slow, and most calls name a folder

        return StudyFolder(Path("studies") / read_study(where).name)
    if where is not None:
        return StudyFolder(where)
    folders = sorted(path.parent for path in Path("studies").glob(f"*/{MARK}"))
    if len(folders) != 1:
        names = f": {listed(folders)}" if folders else ""
        raise StudyError(
            f"There are {len(folders)} studies in ./studies{names}. Name the folder of one."
        )
    return StudyFolder(folders[0])


def find_study_if_any(where: Path | None = None) -> StudyFolder | None:
    """Find the folder of a study; None where none is named and ``./studies`` holds none.

    Args:
        where: As for `find_study`.

    Raises:
        ConfigError, StudyError: As for `find_study`.
    """
    if where is None and next(Path("studies").glob(f"*/{MARK}"), None) is None:
        return None
    return find_study(where)


def read_status(folder: StudyFolder) -> StudyStatus:
    """Read the progress of a study.

    Raises:
        StudyError: The folder is not that of a study that was run.
    """
    working = Lease(folder).holder() is not None
    plan = [PlanEntry.of(row) for row in folder.read("plan.json")]
    runs = [_run_status(folder, entry) for entry in plan]
    if working:
        at_work = _at_work(folder, runs)
        runs = [replace(r, state="running") if r.run_id in at_work else r for r in runs]
    kinds = {entry.run_id: entry.kind or entry.rung for entry in plan}
    return StudyStatus(tuple(runs), working, _seconds_left(folder, runs, kinds))


def _at_work(folder: StudyFolder, runs: Sequence[RunStatus]) -> set[str]:
    """Unfinished runs that processes work on: as many as there are workers, latest start first."""
    started: list[tuple[float, str]] = []
    for run in runs:
        if run.state == "waiting":
            with contextlib.suppress(OSError):
                begun = (folder.run(run.run_id).path / "run.json").stat().st_mtime
                started.append((begun, run.run_id))
    if not started:  # the first is about to start
        return {next((run.run_id for run in runs if run.state == "waiting"), "")}
    latest = sorted(started, reverse=True)[: read_workers(folder)]
    return {run_id for _, run_id in latest}


def _run_status(folder: StudyFolder, plan: PlanEntry) -> RunStatus:
    run = folder.run(plan.run_id)
    state = run.state()
    error = run.error()
    step, auroc, seconds, share = 0, None, None, None
    if state == "done":
        step, auroc, seconds = plan.steps, _best_auroc(run.history()), run.cost().seconds
    elif isinstance(progress := read_progress(run), RunProgress):
        step, auroc = progress.step, progress.tune_auroc
        share = progress.share_of_measured
    return RunStatus(
        run_id=plan.run_id,
        rung=plan.rung,
        label_fraction=plan.label_fraction,
        seed=plan.seed,
        state=state,
        step=step,
        steps=plan.steps,
        images=plan.images,
        tune_auroc=auroc,
        seconds=seconds,
        message="" if error is None else error.message,
        unpredicted=_unpredicted(run, plan) if state == "done" else (),
        share_of_measured=share,
    )


def _unpredicted(run: RunFolder, plan: PlanEntry) -> tuple[str, ...]:
    """Planned test cohorts whose images the run has not predicted."""
    predicted = cohort_predictions(run) if plan.tested else {}
    return tuple(name for name, images in plan.tested.items() if images not in predicted)


def _best_auroc(history: list[RunCheck]) -> float | None:
    values = [check.tune_auroc for check in history if check.tune_auroc is not None]
    return max(values) if values else None


def _seconds_left(
    folder: StudyFolder, runs: Sequence[RunStatus], kinds: Mapping[str, str]
) -> float | None:
    """Time left of all unfinished runs; a failed run is not counted until it is tried again."""
    sizes = [
        RunSize(run.run_id, kinds[run.run_id], run.images, 1 - run.step / max(1, run.steps))
        for run in runs
    ]
    speeds = read_speeds(folder, sizes)
    unfinished = (
        size for size, run in zip(sizes, runs, strict=True) if run.state in ("waiting", "running")
    )
    total = speeds.total(unfinished, read_workers(folder))
    return None if total is None else total.middle


@dataclass(frozen=True)
class RungStatus:
    """Progress of a pre-training run.

    Attributes:
        rung: Name of its rung in a study.
        state: Waiting, running, done, failed or diverged.
        preparing: Reading or caching of its images; None once it trains.
        training: Its latest step; None before the first.
        seconds: Training time of a finished run.
        message: The reason, if it failed or diverged.
    """

    rung: str
    state: State
    preparing: Preparing | None = None
    training: PretrainStep | None = None
    seconds: float | None = None
    message: str = ""

    def plain(self) -> dict[str, object]:
        """The status as a JSON object."""
        return asdict(self)


def read_rung_status(path: Path) -> RungStatus | None:
    """Read the progress of a pre-training run.

    Returns:
        None if the folder is not that of a pre-training run.
    """
    folder = RunFolder(path)
    if folder.is_done() and (path / FACTS).is_file():
        return _made(folder)
    progress = read_progress(folder)
    if not isinstance(progress, RungProgress):
        return None
    working = Lease(StudyFolder(path)).holder() is not None
    error = folder.error()
    event = progress.event
    return RungStatus(
        progress.rung,
        "running" if working else folder.state(),
        preparing=event if isinstance(event, Preparing) else None,
        training=event if isinstance(event, PretrainStep) else None,
        message="" if working or error is None else error.message,
    )


def _made(folder: RunFolder) -> RungStatus:
    """Status of a finished rung."""
    cost, facts = RungCost.of(read_json(folder.path / "cost.json")), read_json(folder.path / FACTS)
    last_check = facts["last_look"]
    training = PretrainStep(
        step=cost.steps,
        steps=cost.steps,
        loss=last_check["train_loss"],
        images_per_second=cost.images_seen / max(cost.seconds, 0.1),
        held_out_score=last_check["held_out_score"],
        seconds_left=0.0,
    )
    return RungStatus(facts["name"], "done", training=training, seconds=cost.seconds)
