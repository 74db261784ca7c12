"""Records that a run leaves in its folder: its error, its cost and its validations. No torch."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

State = Literal["waiting", "running", "done", "failed", "diverged"]


class Record:
    """Base of records that are read from JSON of this version or an earlier one."""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """The record that a JSON object holds; keys of other versions are left out."""
        names = {field.name for field in fields(cls)}  # type: ignore[arg-type] — of dataclasses
        return cls(**{name: _frozen(value) for name, value in record.items() if name in names})


def _frozen(value: Any) -> Any:
    """A JSON value for a frozen record: lists become tuples."""
    return tuple(value) if isinstance(value, list) else value  # type: ignore[arg-type] — open JSON


@dataclass(frozen=True)
class RunError(Record):
    """Content of ``error.json``.

    Attributes:
        state: Failed or diverged.
        message: The reason.
        step: At which it diverged.
        traceback: Of a bug.
    """

    state: State
    message: str
    step: int | None = None
    traceback: str | None = None


@dataclass(frozen=True)
class RunCost(Record):
    """Content of a run's ``cost.json``; runs of earlier versions lack some fields.

    Attributes:
        seconds: Of training.
        steps: Finished steps.
        selected_step: Step whose weights were kept.
        images: Trained on, counted as often as they were seen.
        images_per_second: Mean speed of training.
        training_cases: Number of labelled training cases.
        micro_batch: Images that were held at once.
        parameters: Of the network.
        trained_parameters: Of these, the trained ones.
        precision: Of the forward pass.
        precision_choice: Why it has that precision.
        weights: SHA-256 of the weights file; None for random weights.
        weights_loaded: Tensors taken from the weights file.
        weights_left_out: Tensors not taken.
        weights_adapted: Tensors that were reshaped.
        peak_memory_mib: Largest memory of the process.
    """

    seconds: float
    steps: int | None = None
    selected_step: int | None = None
    images: int = 0
    images_per_second: float | None = None
    training_cases: int | None = None
    micro_batch: int | None = None
    parameters: int | None = None
    trained_parameters: int | None = None
    precision: str | None = None
    precision_choice: str | None = None
    weights: str | None = None
    weights_loaded: int | None = None
    weights_left_out: tuple[str, ...] = ()
    weights_adapted: tuple[str, ...] = ()
    peak_memory_mib: int | None = None


@dataclass(frozen=True)
class RungCost(Record):
    """Content of a rung's ``cost.json``.

    Attributes:
        seconds: Of training.
        steps: Finished steps.
        images_seen: Trained on, counted as often as they were seen.
        selected_step: Step whose weights were kept.
        parameters: Of the network.
        precision: Of the forward pass.
        started_from: SHA-256 of the weights that training started from; None for random ones.
    """

    seconds: float
    steps: int
    images_seen: int
    selected_step: int | None = None
    parameters: int | None = None
    precision: str | None = None
    started_from: str | None = None


@dataclass(frozen=True)
class RunCheck(Record):
    """A line of a run's ``history.jsonl``: one validation on the tuning split.

    Attributes:
        step: Finished steps; of a linear probe, the number of the penalty.
        tune_auroc: Macro AUROC on the tuning split; None where it is undefined.
        tune_loss: Mean loss on the tuning split.
        train_loss: Mean training loss since the last validation.
        learning_rate: Of the last step; None for a linear probe.
        penalty: Of a linear probe.
    """

    step: int
    tune_auroc: float | None
    tune_loss: float = float("nan")
    train_loss: float = float("nan")
    learning_rate: float | None = None
    penalty: float | None = None


@dataclass(frozen=True)
class RungCheck(Record):
    """A line of a rung's ``history.jsonl``: one validation on the held-out images.

    Attributes:
        step: Finished steps.
        learning_rate: Of the last step.
        train_loss: Mean training loss since the last validation.
        held_out_loss: Mean loss on the held-out images.
        held_out_score: Top-1 accuracy or macro AUROC; None where it is undefined.
    """

    step: int
    learning_rate: float
    train_loss: float
    held_out_loss: float
    held_out_score: float | None
