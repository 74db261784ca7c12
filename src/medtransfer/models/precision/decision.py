"""Precision of a study's runs, decided once per network, size and kind of pass. No torch.

The decision lies in the study's folder. So it holds for a resumed run, for another engine and for
another machine, as the bits of a run depend on it.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

from medtransfer.errors import StudyError
from medtransfer.files import create_text, json_text, read_json, write_json
from medtransfer.models.precision.speeds import PrecisionSpeeds, Work
from medtransfer.models.rungs.architectures import Precision
from medtransfer.sizes.image_size import ImageSize, size_name

PRECISIONS = "precisions"
"""Folder of the decisions, in that of a study or of a rung."""
LARGEST = "largest.json"
"""Most images that a planned run passes, by network, size and kind of pass."""
Reason = Literal[
    "set", "measured", "remembered", "short", "device", "memory", "earlier", "repeated"
]
REASONS: dict[Reason, str] = {
    "set": "set by training.precision",
    "measured": "measured at the first run",
    "remembered": "measured on this machine before",
    "short": "the runs are too short for a measurement",
    "device": "the device has no units for bfloat16",
    "memory": "the memory does not hold two images of a measurement",
    "earlier": "runs of an earlier version had it",
    "repeated": "the run that is repeated had it",
}


@dataclass(frozen=True)
class PrecisionDecision:
    """A precision, and why it was taken.

    Attributes:
        precision: Of the backbone.
        reason: Why.
        speeds: Images per second in both precisions; None where nothing was measured.
        machine: That it was decided on.
        threads: Of the process that decided.
    """

    precision: Precision
    reason: Reason
    speeds: PrecisionSpeeds | None = None
    machine: str = ""
    threads: int = 0

    @property
    def sentence(self) -> str:
        """The decision for a reader."""
        if self.speeds is None:
            return f"{self.precision}: {REASONS[self.reason]}"
        return (
            f"{self.precision}: {REASONS[self.reason]}, {self.speeds.float32:.3g} images a second "
            f"in float32 and {self.speeds.bfloat16:.3g} in bfloat16"
        )


@dataclass(frozen=True)
class PrecisionCase:
    """Network, size and kind of pass that one decision holds for.

    Attributes:
        architecture: Name of the network.
        size: Of its input in pixels.
        work: Passes of the backbone.
    """

    architecture: str
    size: ImageSize
    work: Work

    @property
    def name(self) -> str:
        """Name of the decision's file, without its end; different cases have different names."""
        plain = re.sub(r"[^A-Za-z0-9.]+", "_", self.architecture)
        mark = hashlib.sha256(self.architecture.encode()).hexdigest()[:6]
        return f"{plain}-{mark}-{size_name(self.size)}-{self.work}"


def read_decision(folder: Path, case: PrecisionCase) -> PrecisionDecision | None:
    """The decision of a study; None if there is none, or if it is damaged.

    Args:
        folder: Of the study.
        case: That it holds for.
    """
    path = folder / PRECISIONS / f"{case.name}.json"
    try:
        content = read_json(path) if path.is_file() else None
    except StudyError:
        return None
    if not isinstance(content, Mapping):
        return None
    record = cast("Mapping[str, Any]", content)
    precision, reason, threads = (record.get(n) for n in ("precision", "reason", "threads"))
    if precision not in ("float32", "bfloat16") or reason not in REASONS:
        return None
    return PrecisionDecision(
        precision=precision,
        reason=reason,
        speeds=PrecisionSpeeds.of(record.get("speeds")),
        machine=str(record.get("machine", "")),
        threads=threads if isinstance(threads, int) else 0,
    )


def keep_decision(
    folder: Path, case: PrecisionCase, decision: PrecisionDecision
) -> PrecisionDecision:
    """Write a decision, unless another process has decided meanwhile: its decision holds.

    Returns:
        The decision that is in the folder.
    """
    path = folder / PRECISIONS / f"{case.name}.json"
    record = {
        **asdict(decision),
        "architecture": case.architecture,
        "size": case.size,
        "work": case.work,
    }
    try:
        create_text(path, json_text(record))
    except FileExistsError:
        pass
    except StudyError:  # a disk without links: the last of several processes decides
        write_json(path, record)
        return read_decision(folder, case) or decision
    else:
        return decision
    if (other := read_decision(folder, case)) is not None:
        return other
    write_json(path, record)  # a damaged one
    return decision


def note_largest(folder: Path, largest: Mapping[PrecisionCase, int]) -> None:
    """Note how many images the largest run of each case passes.

    Args:
        folder: Of the study.
        largest: Images of the largest run of each case.
    """
    counts = {case.name: images for case, images in sorted(largest.items(), key=_name)}
    write_json(folder / PRECISIONS / LARGEST, counts)


def largest_run(folder: Path, case: PrecisionCase) -> int:
    """Images that the largest planned run of a case passes; 0 if no plan says."""
    path = folder / PRECISIONS / LARGEST
    try:
        images = read_json(path).get(case.name, 0) if path.is_file() else 0
    except (StudyError, AttributeError):
        return 0
    return images if isinstance(images, int) else 0


def _name(item: tuple[PrecisionCase, int]) -> str:
    return item[0].name
