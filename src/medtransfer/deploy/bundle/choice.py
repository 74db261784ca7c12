"""Runs of a study whose networks go into a bundle."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from medtransfer.errors import ConfigError, StudyError, listed, plural, suggestion
from medtransfer.evaluation.comparison.grid_key import ensemble_parts
from medtransfer.files import read_json
from medtransfer.report.recommendation import recommend
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.messages import RunRequest


@dataclass(frozen=True)
class ChosenRuns:
    """Runs whose networks go into a bundle.

    Attributes:
        requests: One, or the seeds of a rung.
        why: Reason why they were taken.
    """

    requests: tuple[RunRequest, ...]
    why: str


def choose_runs(
    study: StudyFolder,
    *,
    rung: str | None = None,
    run_id: str | None = None,
    ensemble: bool = False,
) -> ChosenRuns:
    """The runs that a bundle is made of.

    Of a rung the runs with most labels are taken that were trained on all training cohorts; of
    their seeds the one with the best AUROC on the tuning split, which no test case has a part in.

    Args:
        study: A study with finished runs.
        rung: The rung; by default the only one, or the one that `recommend` gives.
        run_id: One run, whatever its rung and its labels.
        ensemble: True for all seeds of the rung together.

    Raises:
        ConfigError: The rung or the run does not exist, or none is named and there are several.
        StudyError: No run is finished.
    """
    finished = _finished_runs(study)
    if run_id is not None:
        return _named_run(study, finished, run_id, ensemble=ensemble)
    candidates = [r for r in finished if r.held_out is None and r.retrain_fraction is None]
    if not candidates:
        raise StudyError(
            f'"{study.path}" has no finished run that was trained on all training cohorts. Name a '
            "run with --run; `medtransfer status` lists them."
        )
    names = list(dict.fromkeys(request.rung for request in candidates))
    why = "named by the user"
    if rung is None and len(names) == 1:
        rung, why = names[0], "the only rung of the study"
    if rung is None:
        rung, why = _recommended(study, names)
    rung, members = ensemble_parts(rung)
    ensemble = ensemble or members > 1
    if rung not in names:
        hint = suggestion(rung, names) or f"Finished rungs: {listed(names)}."
        raise ConfigError(f"The study has no finished run of rung '{rung}'. {hint}")
    of_rung = [request for request in candidates if request.rung == rung]
    most = max(request.label_fraction for request in of_rung)
    seeds = sorted((r for r in of_rung if r.label_fraction == most), key=lambda r: r.seed)
    if ensemble:
        if len(seeds) < 2:
            raise ConfigError(f"An ensemble needs two seeds; rung '{rung}' has one.")
        return ChosenRuns(tuple(seeds), f"{rung}, {plural(len(seeds), 'seed')} together: {why}")
    best = best_seed(study, seeds)
    if len(seeds) > 1:
        why += f"; of {plural(len(seeds), 'seed')} the best AUROC on the tuning split"
    return ChosenRuns((best,), f"{rung}, seed {best.seed}: {why}")


def best_seed(study: StudyFolder, seeds: Sequence[RunRequest]) -> RunRequest:
    """The run with the best AUROC on the tuning split; of equal ones the smallest seed."""
    return max(seeds, key=lambda r: (_tune_auroc(study, r), -r.seed))


def _recommended(study: StudyFolder, names: Sequence[str]) -> tuple[str, str]:
    """The study's recommendation and its reason.

    Raises:
        ConfigError: No rung can be recommended over another.
    """
    advice = recommend(study)
    if advice.rung is None or advice.rung not in names:
        raise ConfigError(f"{advice.sentence} Name a rung with --rung: {listed(names)}.")
    return advice.ensemble or advice.rung, advice.sentence


def with_reason(chosen: ChosenRuns, reason: str) -> ChosenRuns:
    """The same runs, with the reason why their rung was taken."""
    return replace(chosen, why=f"{chosen.why}. {reason}")


def _named_run(
    study: StudyFolder, finished: list[RunRequest], run_id: str, *, ensemble: bool
) -> ChosenRuns:
    if ensemble:
        raise ConfigError("--run names one run and --ensemble takes all seeds of a rung: give one.")
    for request in finished:
        if request.run_id == run_id:
            why = f"{request.rung}, seed {request.seed}: run {run_id}, named by the user"
            return ChosenRuns((request,), why)
    names = [request.run_id for request in finished]
    hint = suggestion(run_id, names) or "`medtransfer status` lists the runs."
    raise ConfigError(f"Run '{run_id}' of \"{study.path}\" is not finished or not there. {hint}")


def _finished_runs(study: StudyFolder) -> list[RunRequest]:
    """Finished runs that the study's tables hold: of a sweep those of the chosen settings.

    Raises:
        StudyError: There is none.
    """
    path = study.path / "results.parquet"
    if not path.is_file():
        raise StudyError(
            f'"{study.path}" has no finished run. `medtransfer run study.yaml` makes them.'
        )
    taken = pl.read_parquet(path, columns=["run_id"])["run_id"].drop_nulls().unique().to_list()
    runs = [study.run(run_id) for run_id in study.run_ids()]
    return [
        RunRequest.model_validate(read_json(run.path / "run.json"))
        for run in runs
        if run.is_done() and run.run_id in taken
    ]


def _tune_auroc(study: StudyFolder, request: RunRequest) -> float:
    """AUROC on the tuning split of the weights that were kept; -1 where it is undefined."""
    run = study.run(request.run_id)
    selected = run.cost().selected_step
    values = [check.tune_auroc for check in run.history() if check.step == selected]
    return next((value for value in values if value is not None), -1.0)
