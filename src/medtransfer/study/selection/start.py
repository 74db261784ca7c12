"""Start of an automatic study: what was asked, the fingerprint, and the base that follows."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import yaml

from medtransfer.errors import StudyError, listed, plural
from medtransfer.files import make_folder, read_json, sha256, write_json, write_text
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.drafting.fingerprint import Machine
from medtransfer.study.selection.decisions import FOLDER
from medtransfer.study.selection.derivation import Base, SettingNote, base_of_draft, base_of_study
from medtransfer.study.template import draft_study, name_of
from medtransfer.study.yaml_file import read_study, resolve_paths
from medtransfer.tables.schema import ENDINGS
from medtransfer.tables.values.value_map import ValueMap

START, STUDY_TEXT = "0-start.json", "study.yaml"
CPU_HOURS, GPU_HOURS = 0.25, 8.0
"""Hours where none are asked for: on a CPU what answers in minutes."""


@dataclass(frozen=True)
class Asked:
    """AutoRequest for an automatic study; the same request resumes it.

    Attributes:
        source: SHA-256 of the manifest or study file.
        hours: That it may take.
        rungs: Rungs that were named; empty for all at hand.
        values: Values to read in place of others.
    """

    source: str
    hours: float
    rungs: tuple[str, ...]
    values: ValueMap


@dataclass(frozen=True)
class StudyStart:
    """Start of an automatic study.

    Attributes:
        asked: The request.
        base: Study that the stages are made from, with the rules that gave it.
    """

    asked: Asked
    base: Base

    @property
    def seconds(self) -> float:
        """Time that it may take."""
        return 3600 * self.asked.hours


@dataclass(frozen=True)
class AutoRequest:
    """Arguments of an automatic study.

    Attributes:
        source: The manifest, or a study file.
        hours: That it may take; None for what suits the machine.
        rungs: Rungs to try; empty for all at hand.
        image_root: Folder that `path` cells are relative to; the manifest's own if left out.
        values: Values to read in place of others, by column.
    """

    source: Path
    hours: float | None = None
    rungs: tuple[str, ...] = ()
    image_root: Path | None = None
    values: ValueMap | None = None

    @property
    def is_study(self) -> bool:
        """True if the source is a study file."""
        return self.source.suffix.lower() not in ENDINGS

    def asked(self, machine: Machine) -> Asked:
        """The request as it is kept."""
        hours = self.hours or (GPU_HOURS if machine.gpus else CPU_HOURS)
        digest = sha256(self.source) if self.source.is_file() else ""
        return Asked(digest, hours, self.rungs, dict(self.values or {}))


def study_name(request: AutoRequest) -> str:
    """Name of the study: that of the study file, or after the manifest.

    Raises:
        ConfigError: The study file cannot be read.
    """
    if request.is_study:
        return read_study(request.source).name
    return name_of(request.source) or "study"


def begin(
    folder: StudyFolder, request: AutoRequest, rungs: Sequence[str], machine: Machine
) -> StudyStart:
    """Start an automatic study, or go on with the one that was started in the folder.

    Args:
        folder: Of the study; it is claimed once the source was read.
        request: What is asked.
        rungs: That can be tried.
        machine: This machine.

    Raises:
        StudyError: The folder holds one that was asked for otherwise, or something else.
        TableError: The manifest does not keep its contract.
    """
    path = folder.path / FOLDER / START
    asked = request.asked(machine)
    if path.is_file():
        return _read(path, asked, request)
    if (folder.path / "plan.json").is_file():
        raise StudyError(
            f'"{folder.path}" holds a study that was not selected automatically, and its tables '
            "would be made again. Write elsewhere with --out."
        )
    if request.is_study:
        base = base_of_study(read_study(request.source), rungs)
    else:
        draft = draft_study(request.source, request.image_root, request.values)
        base = base_of_draft(draft, study_name(request), rungs, 3600 * asked.hours)
    folder.claim(base.study.name)
    base = replace(base, study=resolve_paths(base.study, Path.cwd()))
    start = StudyStart(asked, base)
    make_folder(path.parent)
    write_text(path.with_name(STUDY_TEXT), study_text(base))
    record = {
        "asked": asdict(asked),
        "study": base.study.model_dump(mode="json", exclude_unset=True),
        "facts": base.facts,
        "notes": [asdict(note) for note in base.notes],
        "ignored": base.ignored,
    }
    write_json(path, record)
    return start


def read_start(folder: StudyFolder) -> StudyStart | None:
    """The start of an automatic study; None if the folder holds another study."""
    path = folder.path / FOLDER / START
    return _of(cast("Mapping[str, Any]", read_json(path))) if path.is_file() else None


def study_text(base: Base) -> str:
    """The base as a study file; each derived setting with the rule that gave it."""
    head = "Base of an automatic study. Settings that were derived, with their rules:"
    lines = [head, *(f"{note.setting}: {note.value}. {note.note}" for note in base.notes)]
    if base.facts:
        lines.insert(0, base.facts)
    comment = "".join(
        f"{row}\n"
        for line in lines
        for row in textwrap.wrap(line, 100, initial_indent="# ", subsequent_indent="#   ")
    )
    fields = base.study.model_dump(mode="json", exclude_unset=True)
    return comment + yaml.safe_dump(fields, sort_keys=False, allow_unicode=True)


def _read(path: Path, asked: Asked, request: AutoRequest) -> StudyStart:
    """The start that was written, compared with what is asked now."""
    start = _of(cast("Mapping[str, Any]", read_json(path)))
    faults: list[str] = []
    if start.asked.source != asked.source:
        what = "study file" if request.is_study else "manifest"
        faults.append(f"the {what} has another content")
    if start.asked.hours != asked.hours:
        faults.append(f"hours were {start.asked.hours:g}, and are {asked.hours:g}")
    if start.asked.rungs != asked.rungs:
        earlier = listed(start.asked.rungs) if start.asked.rungs else "all at hand"
        faults.append(f"rungs were {earlier}")
    if start.asked.values != asked.values:
        faults.append("values were others")
    if faults:
        raise StudyError(
            f'"{path.parent.parent}" holds an automatic study that was asked for otherwise: '
            f"{'; '.join(faults)}. The same command resumes it; write elsewhere with --out."
        )
    if request.is_study:
        return start
    data = start.base.study.data.model_copy(update={"manifest": request.source.resolve()})
    study = start.base.study.model_copy(update={"data": data})
    return replace(start, base=replace(start.base, study=study))


def _of(record: Mapping[str, Any]) -> StudyStart:  # JSON of the start's file
    asked = cast("Mapping[str, Any]", record["asked"])
    base = Base(
        study=Study.model_validate(record["study"]),
        facts=record["facts"],
        notes=tuple(SettingNote(**note) for note in record["notes"]),
        ignored=tuple(record["ignored"]),
    )
    return StudyStart(
        Asked(asked["source"], asked["hours"], tuple(asked["rungs"]), asked["values"]), base
    )


def start_sentences(base: Base) -> list[str]:
    """The fingerprint, and settings of a study file that have no part in an automatic study."""
    sentences = [f"Fingerprint: {base.facts}"] if base.facts else []
    if base.ignored:
        count = plural(len(base.ignored), "setting")
        names = listed(base.ignored, 20)
        sentences.append(f"{count} of the study file have no part in it: {names}.")
    return sentences
