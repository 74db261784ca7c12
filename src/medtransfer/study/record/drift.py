"""Drift of a study: circumstances that differ from those of its latest command."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from medtransfer.errors import MedTransferError, StudyError
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.plan import read_data, weights_of
from medtransfer.study.record.differences import Difference, Plain, differences
from medtransfer.study.record.lock import (
    LOCK,
    OF_RUNS,
    StudyLock,
    data_facts,
    machine_facts,
    read_lock,
    study_facts_of,
    weights_facts,
)
from medtransfer.study.yaml_file import read_study, resolve_paths


@dataclass(frozen=True)
class Drift:
    """Circumstances that differ from those of a study's latest command.

    Attributes:
        differences: In the order of their names.
        notes: Parts that could not be compared.
    """

    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    def plain(self) -> dict[str, object]:
        """The drift as a JSON object."""
        return {
            "differences": [difference.plain() for difference in self.differences],
            "notes": list(self.notes),
        }


def study_drift(folder: StudyFolder, study: Study | None = None) -> Drift:
    """Compare the circumstances of a study's latest command with those of now.

    Compared are code, packages, hardware, settings, data and weights. Images are read again if
    their sizes or times are not as they were.

    Args:
        folder: Of the study.
        study: The study file as it is now; None for that in the folder.

    Returns:
        The differences, and parts that could not be read.

    Raises:
        StudyError: The folder has no lock: the study was run by an earlier version.
        ConfigError: The study file in the folder cannot be read.
    """
    lock = read_lock(folder)
    if lock is None:
        raise StudyError(
            f'"{folder.path}" has no {LOCK} that can be read. `medtransfer run` writes one.'
        )
    now = study or read_study(folder.path / "study.yaml")
    now = resolve_paths(now, Path.cwd())
    lease = Lease(folder)
    is_ours = lease.try_take()
    try:  # what is learnt of images that changed is remembered
        with folder.sealing() if is_ours else contextlib.nullcontext():
            return _compare(folder, now, lock)
    finally:
        lease.drop()


def _compare(folder: StudyFolder, now: Study, lock: StudyLock) -> Drift:
    facts: dict[str, Plain] = {**machine_facts(), **study_facts_of(now)}
    notes: list[str] = []
    unread: list[str] = [OF_RUNS]
    try:
        facts |= data_facts(read_data(now, folder.images))
    except MedTransferError as error:
        notes.append(f"The data cannot be compared: {error}")
        unread.append("data.")
    try:
        facts |= weights_facts(weights_of(now))
    except MedTransferError as error:
        notes.append(f"The weights cannot be compared: {error}")
        unread.append("weights.")
    then = {name: value for name, value in lock.facts.items() if not name.startswith(tuple(unread))}
    return Drift(tuple(differences(then, facts)), tuple(notes))
