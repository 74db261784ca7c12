"""History of a run while it trains and afterwards, read from its folder alone. No torch."""

import contextlib
from collections.abc import Mapping
from typing import Any, cast

from medtransfer.errors import StudyError
from medtransfer.files import read_json
from medtransfer.runs.folders import RunFolder
from medtransfer.runs.records import RunCheck, RunError

EARLIER_ERRORS = "earlier_errors.json"
"""Errors of attempts that were given up, in a run's folder; its seal lists them."""


def checks_so_far(run: RunFolder) -> list[RunCheck]:
    """Validations of a run, also of one that trains: its newest checkpoint holds them."""
    if (run.path / "history.jsonl").is_file():
        with contextlib.suppress(OSError, ValueError):
            return run.history()
    for path in sorted(run.checkpoint.glob("step-*/state.json"), reverse=True):
        with contextlib.suppress(StudyError, KeyError, TypeError, AttributeError):
            state = cast("Mapping[str, Any]", read_json(path))
            return [RunCheck.of(check) for check in state["checks"]]
    return []


def earlier_errors(run: RunFolder) -> list[RunError]:
    """Errors of attempts that were given up, oldest first."""
    path = run.path / EARLIER_ERRORS
    with contextlib.suppress(StudyError, TypeError, AttributeError):
        return [RunError.of(record) for record in read_json(path)] if path.is_file() else []
    return []
