"""The plan of a study from its file: data are read, nothing is run. No torch."""

import contextlib
from pathlib import Path

from medtransfer.data.images.corruptions import named_corruptions
from medtransfer.runs.events import OnEvent, Preparing, ignore_progress
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.study.caches import cache_states, unmet_needs
from medtransfer.study.config import Study
from medtransfer.study.corruptions.asked import corrupted_needs
from medtransfer.study.execution.workers import plan_workers
from medtransfer.study.plan import plan_runs, read_data
from medtransfer.study.planning.study_plan import StudyPlan, make_plan
from medtransfer.study.yaml_file import resolve_paths


def plan_study(
    study: Study,
    out: Path | None = None,
    on_event: OnEvent = ignore_progress,
    *,
    workers: int | None = None,
) -> StudyPlan:
    """Plan a study: what would run, is done, and what it takes.

    Args:
        study: From `read_study`, or made in Python.
        out: The study's folder; ``studies/<name>`` by default.
        on_event: Called with progress events while images are read.
        workers: Runs that are carried out at once; None for what suits machine and networks.

    Returns:
        Runs, time, memory and disk, questions with their cost, and the largest savings.

    Raises:
        TableError: The manifest does not keep its contract.
        ImageError: Images are missing.
        WeightsError: Weights of a rung are missing.
        StudyError: The folder holds something else.
    """
    study = resolve_paths(study, Path.cwd())
    folder = StudyFolder(out or Path("studies") / study.name)
    folder.claim(study.name)
    lease = Lease(folder)
    is_ours = lease.try_take()  # a process that runs the study seals the folder itself
    try:
        with folder.sealing() if is_ours else contextlib.nullcontext():
            data = read_data(
                study,
                folder.images,
                lambda done, total: on_event(Preparing("reading images", done, total)),
            )
        planned = plan_runs(study, data, folder, draw_seeds=False)
        needs = unmet_needs(folder, planned)
        needs += corrupted_needs(folder, data, planned, named_corruptions(study.corruptions))
        caches = cache_states(folder, data, needs)
        return make_plan(study, folder, planned, plan_workers(workers, planned), caches)
    finally:
        lease.drop()
