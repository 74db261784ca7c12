"""The name of a run: the same for the same predictions, another for others."""

from pathlib import Path

import pytest

from medtransfer.runs.config import ID_LENGTH, Transfer, run_id, scoring_digest

DATA = "d" * 64


def transfer(training: dict[str, object] | None = None, **data: object) -> Transfer:
    return Transfer.model_validate(
        {
            "data": {"manifest": Path("m.csv"), "task": "binary", "targets": ["y"], **data},
            "model": {"rung": "scratch/r14x1"},
            "training": training or {},
        }
    )


def test_a_name_is_twelve_hexadecimal_digits() -> None:
    name = run_id(transfer(), DATA, None)
    assert len(name) == ID_LENGTH == 12
    assert set(name) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    "same",
    [
        transfer({"momentum": 0.9}),  # the default, written down
        transfer({"learning_rate": 3e-3, "weight_decay": 0}),  # another spelling of the number
        transfer(targets={"y": {"uncertain": "ignore"}}),  # a mapping for a list
        transfer(targets={"y": {"fractions": "refuse"}}),  # newer than the names of runs
        transfer(manifest=Path("/elsewhere/m.parquet"), attributes=["sex"]),
        transfer({"device": "cpu", "checkpoint_seconds": 5}),
    ],
)
def test_what_changes_no_prediction_leaves_the_name(same: Transfer) -> None:
    assert run_id(same, DATA, None) == run_id(transfer(), DATA, None)


@pytest.mark.parametrize(
    "other",
    [
        transfer({"steps": 100}),
        transfer({"micro_batch": 8}),  # batch normalisation takes its statistics over it
        transfer(targets=["z"]),
        transfer(targets={"y": {"fractions": "train"}}),
        transfer(image={"flip": "both"}),
    ],
)
def test_what_can_change_a_prediction_changes_the_name_and_not_the_scoring(
    other: Transfer,
) -> None:
    assert run_id(other, DATA, None) != run_id(transfer(), DATA, None)
    assert scoring_digest(other, DATA) == scoring_digest(transfer(), DATA)


def test_another_question_changes_the_scoring_and_not_the_name() -> None:
    other = transfer(attributes=["sex"])
    assert scoring_digest(other, DATA) != scoring_digest(transfer(), DATA)
    assert run_id(other, DATA, None) == run_id(transfer(), DATA, None)


def test_a_run_survives_its_own_json() -> None:
    run = transfer({"steps": 100}, image={"resize": 72, "crop": 64})
    again = Transfer.model_validate(run.model_dump(mode="json"))
    assert run_id(again, DATA, None) == run_id(run, DATA, None)
    assert scoring_digest(again, DATA) == scoring_digest(run, DATA)
