"""Progress events of a study or a pre-training run, plain enough for the command line to load."""

from collections.abc import Callable
from dataclasses import dataclass

from medtransfer.runs.records import State


@dataclass(frozen=True)
class RunName:
    """A run of a study, as events name it.

    Attributes:
        run_id: Its id.
        rung: Its rung.
        seed: Its seed.
        label: Rung, label budget, seed and settings in words.
    """

    run_id: str
    rung: str
    seed: int
    label: str


@dataclass(frozen=True)
class Preparing:
    """Images are being read or cached, or finished runs looked into.

    Attributes:
        what: In words.
        done: Of `total`.
        total: Number of images, or of what `unit` names.
        unit: Noun of one of them.
    """

    what: str
    done: int
    total: int
    unit: str = "image"


@dataclass(frozen=True)
class Planned:
    """The runs are known.

    Attributes:
        runs: In the order they run.
        done: Number of runs that finished earlier.
    """

    runs: tuple[RunName, ...]
    done: int


@dataclass(frozen=True)
class TimeEstimated:
    """The time that a study's unfinished runs take is known about.

    Attributes:
        runs: Unfinished ones.
        workers: Runs that are carried out at once.
        low: Shortest time that is likely, in seconds.
        middle: Estimate, in seconds.
        high: Longest time that is likely, in seconds.
    """

    runs: int
    workers: int
    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Additions:
    """Finished runs are to predict cohorts that came later, or whose cases or images changed.

    Attributes:
        cohort: The cohort.
        cases: Number of its test cases.
        runs: Number of finished runs that predict it; none is trained again.
        is_changed: True if they predicted it before, with other cases or images.
    """

    cohort: str
    cases: int
    runs: int
    is_changed: bool


@dataclass(frozen=True)
class RunExtended:
    """A finished run predicted cohorts that came later, or could not.

    Attributes:
        run: The run.
        cohorts: The cohorts.
        message: The reason, if it could not.
        finished: Runs that have predicted them.
        total: Runs that are to.
    """

    run: RunName
    cohorts: tuple[str, ...]
    message: str
    finished: int
    total: int


@dataclass(frozen=True)
class RunStep:
    """A run finished a training step.

    Attributes:
        run: The run.
        step: Finished steps.
        steps: All steps of the run.
        loss: Of the last step.
        images_per_second: Since the run was started or resumed.
        tune_auroc: Of the last check on the tuning split; None before the first.
        seconds_left: Of the run.
        study_seconds_left: Of the study; None while unknown.
    """

    run: RunName
    step: int
    steps: int
    loss: float
    images_per_second: float
    tune_auroc: float | None
    seconds_left: float
    study_seconds_left: float | None


@dataclass(frozen=True)
class RunEnded:
    """A run ended.

    Attributes:
        run: The run.
        state: Done, failed or diverged.
        message: The reason, unless it is done.
        finished: Runs of the study that have ended.
        total: Runs of the study.
    """

    run: RunName
    state: State
    message: str
    finished: int
    total: int


@dataclass(frozen=True)
class Repaired:
    """A file of the study's folder did not match its seal.

    Attributes:
        file: Its path in the folder.
        message: What happened to it, and what is done about it.
    """

    file: str
    message: str


@dataclass(frozen=True)
class Drifted:
    """Circumstances of the study are not those of its latest command.

    Attributes:
        names: Of the circumstances.
        message: The first of them with their values.
    """

    names: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class RunSlow:
    """A run trains far below the speed that was measured for it; told once.

    Attributes:
        run: The run.
        share: Of the measured speed.
        message: Likely cause, and what to do.
    """

    run: RunName
    share: float
    message: str


@dataclass(frozen=True)
class Scoring:
    """The study's tables are being made."""

    what: str


@dataclass(frozen=True)
class Decided:
    """An automatic study decided, or goes on from a decision that it made earlier.

    Attributes:
        stage: That the decision ends.
        sentence: The decision in words.
    """

    stage: str
    sentence: str


@dataclass(frozen=True)
class PretrainStep:
    """Pre-training finished a step.

    Attributes:
        step: Finished steps.
        steps: All steps.
        loss: Of the last step.
        images_per_second: Since it was started or resumed.
        held_out_score: Of the last check on the held-out images; None before the first.
        seconds_left: None while unknown.
    """

    step: int
    steps: int
    loss: float
    images_per_second: float
    held_out_score: float | None
    seconds_left: float | None


@dataclass(frozen=True)
class RungMade:
    """Pre-training finished; studies can name the rung.

    Attributes:
        rung: Name in a study, `own/<name>`.
        folder: The rung's folder.
    """

    rung: str
    folder: str


Event = (
    Preparing
    | Planned
    | TimeEstimated
    | Additions
    | RunStep
    | RunEnded
    | RunExtended
    | RunSlow
    | Repaired
    | Drifted
    | Scoring
    | Decided
    | PretrainStep
    | RungMade
)
OnEvent = Callable[[Event], None]


def ignore_progress(_event: Event) -> None:
    """Take an event and do nothing."""


def event_record(event: Event) -> dict[str, object]:
    """An event as a JSON object for machines."""
    record: dict[str, object] = {"event": type(event).__name__}
    match event:
        case Planned(runs, done):
            return record | {"runs": [run.run_id for run in runs], "done": done}
        case RunStep(run) | RunEnded(run) | RunExtended(run):
            fields = {name: value for name, value in vars(event).items() if name != "run"}
            return record | fields | {"run_id": run.run_id, "rung": run.rung, "seed": run.seed}
        case _:
            return record | vars(event)
