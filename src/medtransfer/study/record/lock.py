"""study.lock: the circumstances under which a study is run, as digests and versions.

It is written when runs start and when tables are made. What changed between two commands is kept in
it, with the values before and after.
"""

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import cast

from medtransfer.data.images.decode import decoders
from medtransfer.engines.machine import usable_cores, visible_gpus
from medtransfer.errors import StudyError, printable
from medtransfer.files import read_json
from medtransfer.integrity.code_digest import code_digest
from medtransfer.runs.events import Drifted, OnEvent
from medtransfer.runs.folders import RunFolder, StudyFolder
from medtransfer.study.beside.readings import readings_digest
from medtransfer.study.config import Study
from medtransfer.study.plan import PlannedRun, StudyData
from medtransfer.study.record.differences import (
    CircumstanceMap,
    Difference,
    Plain,
    differences,
    flat,
)

LOCK = "study.lock"
VERSION = 1
PACKAGES = (
    *("medtransfer", "torch", "torchvision", "timm", "numpy", "scipy", "polars", "safetensors"),
    *("pillow", "pydicom", "numba", "pydantic"),
)
MAX_CHANGES = 1_000
"""Latest changes that are kept."""
MAX_RUNS_READ = 1_000
"""Finished runs whose machines are read; `runs.read` in the lock is their number."""
MAX_TOLD = 5
"""Changes that are told one by one."""
MAX_TEXT = 160
OF_RUNS = "runs."
"""Start of the names of facts that finished runs tell."""


@dataclass(frozen=True)
class StudyLock:
    """Content of ``study.lock``.

    Attributes:
        facts: By dotted name.
        changes: Those between two commands, oldest first, each with its time.
    """

    facts: CircumstanceMap
    changes: tuple[Mapping[str, Plain], ...] = ()


def read_lock(folder: StudyFolder) -> StudyLock | None:
    """The lock of a study; None where it was run by an earlier version, or the file is damaged."""
    path = folder.path / LOCK
    try:
        if not path.is_file():
            return None
        content = cast("Mapping[str, Plain]", read_json(path))
        facts = cast("CircumstanceMap", content["facts"])
        changes = cast("list[Mapping[str, Plain]]", content["changes"])
        return StudyLock(dict(facts), tuple(changes))
    except (StudyError, KeyError, TypeError, ValueError):
        return None


def write_lock(
    folder: StudyFolder, study: Study, data: StudyData, planned: Sequence[PlannedRun]
) -> list[Difference]:
    """Write the lock of a study that is being run.

    Args:
        folder: Of the study; the caller holds its lease.
        study: As it is run.
        data: Its data.
        planned: Its runs.

    Returns:
        What differs from the lock that was there.
    """
    weights = {run.cell.rung: run.inputs.weights for run in planned if run.inputs is not None}
    facts = {
        **machine_facts(),
        **study_facts_of(study),
        **data_facts(data),
        **weights_facts(weights),
        **_run_facts(folder.run(run.run_id) for run in planned),
    }
    before = read_lock(folder)
    changed = [] if before is None else _without_runs(differences(before.facts, facts))
    time = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    noted = [dict(change) for change in (before.changes if before else ())]
    noted += [{**difference.plain(), "time": time} for difference in changed]
    content = {"version": VERSION, "facts": facts, "changes": noted[-MAX_CHANGES:]}
    folder.write(LOCK, content)
    return changed


def note_circumstances(
    folder: StudyFolder,
    study: Study,
    data: StudyData,
    planned: Sequence[PlannedRun],
    on_event: OnEvent,
) -> None:
    """Write the lock of a study as its runs start, and tell what differs from the one before."""
    changed = write_lock(folder, study, data, planned)
    if changed:
        parts = [f"{name} {then} → {now}" for name, then, now in (d.texts() for d in changed)]
        listing = "; ".join(printable(part, MAX_TEXT) for part in parts[:MAX_TOLD])
        more = f" and {len(parts) - MAX_TOLD} more" if len(parts) > MAX_TOLD else ""
        message = f"Since the latest command changed: {listing}{more}. study.lock has all."
        on_event(Drifted(tuple(difference.name for difference in changed), message))


def machine_facts() -> dict[str, Plain]:
    """Package, code, Python, libraries and hardware of this process."""
    versions = {f"packages.{name}": _version(name) for name in PACKAGES}
    return {
        "code": code_digest(),
        "python": platform.python_version(),
        **{name: text for name, text in versions.items() if text is not None},
        "decoder": decoders(),
        "machine.system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "machine.cpu": _cpu(),
        "machine.cores": usable_cores(),
        "machine.gpus": len(visible_gpus()),
    }


def study_facts_of(study: Study) -> dict[str, Plain]:
    """Settings that can change a number, by dotted name; places of files are not among them."""
    return {f"study.{name}": value for name, value in flat(_scope(study)).items()}


def data_facts(data: StudyData) -> dict[str, Plain]:
    """Digest and size of the data, and digest of the readings."""
    of_readings = readings_digest(data.readings)
    return {
        "data.digest": data.digest,
        "data.images": len(data.manifest),
        "data.patients": int(data.manifest.frame["patient_id"].n_unique()),
        **({} if of_readings is None else {"data.readings": of_readings}),
    }


def weights_facts(weights: Mapping[str, str | None]) -> dict[str, Plain]:
    """Digest of each rung's weights; `random` for a rung that starts from none."""
    return {f"weights.{rung}": digest or "random" for rung, digest in sorted(weights.items())}


def _scope(study: Study) -> Plain:
    return study.scope("identity", "scoring")


def _run_facts(runs: Iterable[RunFolder]) -> dict[str, Plain]:
    """Devices, threads and precisions of finished runs, of the first ones in a large study."""
    values: dict[str, set[str]] = {"device": set(), "threads": set(), "precision": set()}
    count = 0
    for run in islice((run for run in runs if run.is_done()), MAX_RUNS_READ):
        count += 1
        values["precision"].add(str(run.cost().precision))
        for machine in run.environments():
            values["device"].add(str(machine.get("device")))
            values["threads"].add(str(machine.get("threads")))
    facts: dict[str, Plain] = {f"{OF_RUNS}{name}": sorted(texts) for name, texts in values.items()}
    return {**facts, f"{OF_RUNS}read": count}


def _without_runs(changed: Iterable[Difference]) -> list[Difference]:
    return [difference for difference in changed if not difference.name.startswith(OF_RUNS)]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _cpu() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
