"""How far a study is, read from its folder alone. No torch, nothing is run."""

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from medtransfer.errors import StudyError, listed
from medtransfer.files import read_json
from medtransfer.models.own_rungs import FACTS
from medtransfer.runs.events import Preparing, PretrainStep
from medtransfer.runs.folders import MARK, Lease, RunFolder, State, StudyFolder
from medtransfer.runs.progress import RungProgress, RunProgress, read_progress


@dataclass(frozen=True)
class RunStatus:
    """One run.

    Attributes:
        run_id: Its name.
        rung: Its rung.
        label_fraction: Share of the training patients used.
        seed: Its seed.
        state: Where it stands.
        step: Finished steps at its last checkpoint.
        steps: Of how many.
        images: It trains on in all.
        tune_auroc: At its last look at the tuning split.
        seconds: It took, where it is done.
        message: Why it failed or diverged.
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


@dataclass(frozen=True)
class StudyStatus:
    """All runs of a study.

    Attributes:
        runs: In the order they run.
        working: Whether a process is at it now.
        seconds_left: Estimated from the runs that are done; None while there is none.
    """

    runs: tuple[RunStatus, ...]
    working: bool
    seconds_left: float | None

    def counts(self) -> dict[str, int]:
        """Runs in each state that occurs."""
        states = [run.state for run in self.runs]
        return {state: states.count(state) for state in dict.fromkeys(states)}

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
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


def read_status(folder: StudyFolder) -> StudyStatus:
    """Read how far a study is.

    Raises:
        StudyError: The folder is not that of a study that was run.
    """
    working = Lease(folder).holder() is not None
    runs = [_run_status(folder, about) for about in folder.read("plan.json")]
    if working:
        waiting = next((i for i, run in enumerate(runs) if run.state == "waiting"), None)
        if waiting is not None:
            runs[waiting] = replace(runs[waiting], state="running")
    return StudyStatus(tuple(runs), working, _seconds_left(runs))


def _run_status(folder: StudyFolder, plan: dict[str, Any]) -> RunStatus:
    run = folder.run(plan["run_id"])
    state = run.state()
    error = run.error()
    step, auroc, seconds = 0, None, None
    if state == "done":
        step, auroc, seconds = plan["steps"], _best_auroc(run.history()), run.cost()["seconds"]
    elif isinstance(progress := read_progress(run), RunProgress):
        step, auroc = progress.step, progress.tune_auroc
    return RunStatus(
        run_id=plan["run_id"],
        rung=plan["rung"],
        label_fraction=plan["label_fraction"],
        seed=plan["seed"],
        state=state,
        step=step,
        steps=plan["steps"],
        images=plan["images"],
        tune_auroc=auroc,
        seconds=seconds,
        message="" if error is None else error.message,
    )


def _best_auroc(history: list[dict[str, Any]]) -> float | None:
    values = [row["tune_auroc"] for row in history if row["tune_auroc"] is not None]
    return max(values) if values else None


def _seconds_left(runs: list[RunStatus]) -> float | None:
    """From the images per second of each rung's finished runs."""
    speeds: dict[str, list[float]] = {}
    for run in runs:
        if run.seconds:
            speeds.setdefault(run.rung, []).append(run.images / run.seconds)
    if not speeds:
        return 0.0 if all(run.state not in ("waiting", "running") for run in runs) else None
    slowest = min(min(values) for values in speeds.values())
    left = 0.0
    for run in runs:
        if run.state in ("waiting", "running"):
            known = speeds.get(run.rung, [slowest])
            share = 1 - run.step / run.steps
            left += run.images * share / (sum(known) / len(known))
    return left


@dataclass(frozen=True)
class RungStatus:
    """A rung that is made, or was.

    Attributes:
        rung: As a study names it.
        state: Where it stands.
        preparing: What is done to its images; None once it trains.
        training: How far it was when it last said so; None before its first step.
        seconds: It trained, where it is done.
        message: Why it failed or diverged.
    """

    rung: str
    state: State
    preparing: Preparing | None = None
    training: PretrainStep | None = None
    seconds: float | None = None
    message: str = ""

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def read_rung_status(path: Path) -> RungStatus | None:
    """Read how far a pre-training run is.

    Returns:
        None where the folder is not that of one.
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
    cost, facts = folder.cost(), read_json(folder.path / FACTS)
    steps, seconds, look = cost["steps"], cost["seconds"], facts["last_look"]
    training = PretrainStep(
        step=steps,
        steps=steps,
        loss=look["train_loss"],
        images_per_second=cost["images_seen"] / max(seconds, 0.1),
        held_out_score=look["held_out_score"],
        seconds_left=0.0,
    )
    return RungStatus(facts["name"], "done", training=training, seconds=seconds)
