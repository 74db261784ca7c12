"""Runs of the latest stage, read from the study's folder: tuning numbers, no test numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.records import State
from medtransfer.study.planning.study_plan import StudyPlan
from medtransfer.study.sweep import kept_check


@dataclass(frozen=True)
class StageRun:
    """A run of a stage.

    Attributes:
        rung: Its rung.
        seed: Its seed.
        state: Done, failed, diverged, or waiting.
        tune_auroc: Of the weights that it kept; None if it is not done, or it is undefined.
        reason: Why there is no number, without a full stop; empty if there is one.
    """

    rung: str
    seed: int
    state: State
    tune_auroc: float | None
    reason: str


def read_stage(folder: StudyFolder) -> list[StageRun]:
    """The runs of the study that was planned last in a folder."""
    return [_stage_run(folder, row) for row in folder.read("plan.json")]


def scores_of(runs: Sequence[StageRun]) -> dict[str, float | None]:
    """Tuning AUROC of each rung at its first seed."""
    scores: dict[str, float | None] = {}
    for run in runs:
        scores.setdefault(run.rung, run.tune_auroc)
    return scores


def reasons_of(runs: Sequence[StageRun]) -> dict[str, str]:
    """Reasons why rungs have no number."""
    return {run.rung: run.reason for run in runs if run.reason}


def seconds_by_rung(
    plan: StudyPlan, estimate: Literal["low", "middle"] = "middle"
) -> dict[str, float | None]:
    """Estimated seconds of an unfinished run of each rung, as its share of the workers' time.

    Args:
        plan: Of the runs.
        estimate: The shortest time that is likely, or the estimate itself.

    Returns:
        None where the speed is not known.
    """
    seconds: dict[str, float | None] = {}
    for kind in plan.kinds:
        at_once = max(1, min(plan.workers, plan.num_runs))
        total = None if kind.seconds is None else getattr(kind.seconds, estimate)
        seconds[_rung_of(kind.kind)] = (
            None if total is None else total / max(1, kind.to_run) / at_once
        )
    return seconds


def memory_by_rung(plan: StudyPlan) -> dict[str, float]:
    """Bytes of a run of each rung."""
    return {_rung_of(kind.kind): kind.memory.middle for kind in plan.kinds}


def measured_rungs(plan: StudyPlan) -> set[str]:
    """Rungs whose speed was measured."""
    return {_rung_of(kind.kind) for kind in plan.kinds if kind.source == "measured"}


def steps_by_rung(plan: StudyPlan) -> dict[str, int]:
    """Steps of the longest run of each rung."""
    return {_rung_of(kind.kind): kind.steps for kind in plan.kinds}


def tested_share(folder: StudyFolder) -> float:
    """Training and test cases of a run as a multiple of the training cases, at most 20.

    Of the study that was planned last; 1 where an earlier version planned it.
    """
    shares = [
        1 + row.get("test_cases", 0) / max(1, row["training_cases"])
        for row in folder.read("plan.json")
    ]
    return min(20.0, max(shares, default=1.0))


def _rung_of(kind: str) -> str:
    """Rung of a kind of runs, whose name opens with it."""
    return kind.split(" ", 1)[0]


def _stage_run(folder: StudyFolder, row: Mapping[str, object]) -> StageRun:
    run = folder.run(str(row["run_id"]))
    state = run.state()
    auroc = kept_check(run).tune_auroc if state == "done" else None
    seed = row["seed"]
    reason = ""
    if state == "done":
        reason = "" if auroc is not None else "its tuning AUROC is undefined"
    elif state == "waiting":
        reason = "did not end within its time"
    else:
        error = run.error()
        reason = f"{state}: {error.message.rstrip('.')}" if error else state
    return StageRun(str(row["rung"]), seed if isinstance(seed, int) else 0, state, auroc, reason)
