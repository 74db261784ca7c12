"""Precisions of a study's networks: what its plan says of them before a run starts."""

from collections.abc import Sequence

from medtransfer.models.ladder import find_rung
from medtransfer.models.precision.decision import (
    PrecisionCase,
    PrecisionDecision,
    keep_decision,
    note_largest,
    read_decision,
)
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.plan import PlannedRun


def note_precisions(folder: StudyFolder, planned: Sequence[PlannedRun]) -> None:
    """Note what the choice of precisions needs to know of the whole study.

    That is the largest run of each network and size, which says whether a measurement is worth its
    time, and the precision of runs that an earlier version finished without a decision.

    Args:
        folder: Of the study; the caller has its lease.
        planned: Its runs.
    """
    largest: dict[PrecisionCase, int] = {}
    undecided: dict[PrecisionCase, bool] = {}
    for run in planned:
        case = precision_case(run)
        if case is None:
            continue
        largest[case] = max(largest.get(case, 0), run.num_images)
        if case not in undecided:
            undecided[case] = read_decision(folder.path, case) is None
        if undecided[case] and (decision := _earlier(folder, run)) is not None:
            keep_decision(folder.path, case, decision)
            undecided[case] = False
    if largest:
        note_largest(folder.path, largest)


def precision_case(run: PlannedRun) -> PrecisionCase | None:
    """Case of a run whose precision is to be chosen; None where it is set, or has no network."""
    config = run.cell.run.training
    if config.precision != "auto" or not run.needs:
        return None
    architecture = find_rung(run.cell.run.model.rung).architecture.name
    work = "features" if config.tuning.mode == "linear" else "training"
    return PrecisionCase(architecture, run.needs[1].recipe.size, work)


def probed_speed(folder: StudyFolder, run: PlannedRun, threads: int | None) -> float | None:
    """Images per second of a run's network, as its precision was measured with as many threads.

    Args:
        folder: Of the study.
        run: One of its runs.
        threads: Of the run; None where they are not known.

    Returns:
        None where nothing was measured.
    """
    case = precision_case(run)
    decision = None if case is None else read_decision(folder.path, case)
    if decision is None or decision.speeds is None or decision.threads != threads:
        return None
    return decision.speeds.images_per_second


def _earlier(folder: StudyFolder, run: PlannedRun) -> PrecisionDecision | None:
    """Decision that a finished run stands for."""
    place = folder.run(run.run_id)
    precision = place.cost().precision if place.is_done() else None
    if precision not in ("float32", "bfloat16"):
        return None
    return PrecisionDecision(precision, "earlier")
