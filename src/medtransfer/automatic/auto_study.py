"""An automatic study: from a manifest to what to deploy, within a time."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from medtransfer.automatic.advice import Advice, make_advice
from medtransfer.errors import ConfigError
from medtransfer.report.page import write_report
from medtransfer.report.recommendation import recommend
from medtransfer.runs.events import Decided, OnEvent, ignore_progress
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.drafting.fingerprint import this_machine
from medtransfer.study.planning.speeds import rough_time
from medtransfer.study.schedule import run_study
from medtransfer.study.selection.candidates import Candidates, named_rungs, rungs_at_hand
from medtransfer.study.selection.clock import Clock
from medtransfer.study.selection.select import Selector
from medtransfer.study.selection.start import AutoRequest, begin, start_sentences, study_name
from medtransfer.study.yaml_file import read_study
from medtransfer.tables.values.value_map import ValueMap

LATE_SHARE = 0.1
"""Share of the time by which a study may be late without a word."""


@dataclass(frozen=True)
class AutoOutcome:
    """Outcome of an automatic study.

    Attributes:
        folder: Of the study.
        report: Its report.
        advice: What to deploy and why, with the next commands.
    """

    folder: StudyFolder
    report: Path
    advice: Advice


def auto_study(
    source: Path | str,
    out: Path | None = None,
    on_event: OnEvent = ignore_progress,
    *,
    hours: float | None = None,
    rungs: Sequence[str] = (),
    image_root: Path | None = None,
    values: ValueMap | None = None,
    workers: int | None = None,
) -> AutoOutcome:
    """Select a network for a data set, within a time.

    Linear probes of all rungs that fit come first, then fine-tuning of those that could still win
    by successive halving. Only the tuning split is read until two finalists are left; then they
    predict the test cases, once. Decisions are written to the folder: the same call resumes and
    decides the same.

    Args:
        source: A manifest, for which rules set everything, or a study file, whose settings stand.
        out: The study's folder; ``studies/<name>`` by default.
        on_event: Called with every progress event.
        hours: Time that it may take, without pauses between calls; by default 0.25 on a CPU, 8 with
            a GPU.
        rungs: Rungs to try; by default all whose weights are on this machine, or those of the study
            file.
        image_root: Manifests only: folder that `path` cells are relative to.
        values: Manifests only: values to read in place of others, by column.
        workers: Runs that are carried out at once; None for what suits machine and networks.

    Returns:
        The study's folder, its report, and what to deploy.

    Raises:
        MedTransferError: Something a user can mend; nothing that was computed is lost.
        StudyStopped: Ctrl-C or SIGTERM; state is saved.
    """
    if hours is not None and not 0 < hours < 10_000:
        raise ConfigError(f"hours holds {hours:g} (allowed: over 0, below 10000).")
    begun = time.monotonic()
    request = AutoRequest(Path(source), hours, tuple(rungs), image_root, values)
    candidates, machine = _candidates(request), this_machine()
    folder = StudyFolder(out or Path("studies") / study_name(request))
    start = begin(folder, request, candidates.rungs, machine)
    for sentence in start_sentences(start.base):
        on_event(Decided("start", sentence))
    clock = Clock(folder, start.seconds, begun=begun)
    selector = Selector(
        folder,
        start.base.study,
        machine,
        clock,
        on_event,
        workers=workers,
    )
    final = selector.select(candidates)
    run_study(final, folder.path, on_event, workers=workers)
    report = write_report(folder)
    clock.note(least=0)
    if clock.left < -LATE_SHARE * clock.seconds:
        on_event(Decided("time", late_sentence(clock)))
    return AutoOutcome(folder, report, make_advice(folder, recommend(folder)))


def late_sentence(clock: Clock) -> str:
    """Sentence on a study that took longer than it was given."""
    return (
        f"It took {rough_time(clock.spent)}, and {rough_time(clock.seconds)} were asked for: the "
        "test cases and the tables took longer than was kept for them."
    )


def _candidates(request: AutoRequest) -> Candidates:
    """Rungs to try.

    Raises:
        ConfigError: A rung does not exist, or an option is for manifests alone.
        WeightsError: The weights of a named rung are not here.
    """
    if request.is_study and (request.image_root is not None or request.values):
        raise ConfigError(
            "image_root and values are for manifests; a study file sets data.image_root and "
            "data.values itself."
        )
    if request.rungs:
        return named_rungs(request.rungs)
    if request.is_study:
        return Candidates(tuple(entry.rung for entry in read_study(request.source).rungs), ())
    return rungs_at_hand()
