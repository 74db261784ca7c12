"""Speeds of a network in float32 and bfloat16, remembered per machine. No torch."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal, cast

from medtransfer.errors import StudyError
from medtransfer.files import read_json, write_json
from medtransfer.models.rungs.architectures import Precision
from medtransfer.settings import digest

CACHE_VARIABLE = "MEDTRANSFER_CACHE"
SPEEDS = "precision-speeds.json"
MARGIN = 1.05
"""Times as fast as float32 that bfloat16 must be. Repeated measurements differ by some percent, and
float32 is the more exact of the two."""
Work = Literal["training", "features"]
"""Passes that are timed: forward and backward, or forward alone with folded layers."""


@dataclass(frozen=True)
class SpeedKey:
    """Circumstances that a measured speed holds for.

    Attributes:
        machine: Processor, or GPU.
        torch: Its version.
        architecture: Name of the network.
        height: Of its input, in pixels.
        width: Likewise.
        batch: Images of a pass.
        threads: Of the process.
        work: Passes that were timed.
    """

    machine: str
    torch: str
    architecture: str
    height: int
    width: int
    batch: int
    threads: int
    work: Work


@dataclass(frozen=True)
class PrecisionSpeeds:
    """Images per second of a network in both precisions.

    Attributes:
        float32: Of the fastest pass.
        bfloat16: Likewise.
    """

    float32: float
    bfloat16: float

    @property
    def precision(self) -> Precision:
        """Bfloat16 where it is clearly faster, else float32."""
        return "bfloat16" if self.bfloat16 > MARGIN * self.float32 else "float32"

    @property
    def images_per_second(self) -> float:
        """Speed in the precision that is chosen."""
        return self.bfloat16 if self.precision == "bfloat16" else self.float32

    @staticmethod
    def of(record: object) -> "PrecisionSpeeds | None":
        """Speeds that a JSON object holds; None if it is damaged."""
        if not isinstance(record, Mapping):
            return None
        values = [cast("Mapping[str, Any]", record).get(name) for name in ("float32", "bfloat16")]
        numbers = [v for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
        if len(numbers) < 2 or not all(isfinite(number) and number > 0 for number in numbers):
            return None
        return PrecisionSpeeds(*map(float, numbers))


def cache_folder() -> Path:
    """Folder of what can be measured again: $MEDTRANSFER_CACHE, or one in the user's cache."""
    named = os.environ.get(CACHE_VARIABLE)
    return Path(named) if named else Path.home() / ".cache" / "medtransfer"


def recall_speeds(key: SpeedKey) -> PrecisionSpeeds | None:
    """Speeds that were measured on this machine; None if there are none, or they are damaged."""
    entry = _entries().get(_name(key))
    if not isinstance(entry, Mapping):
        return None
    record = cast("Mapping[str, Any]", entry)
    return PrecisionSpeeds.of(record.get("images_per_second"))


def remember_speeds(key: SpeedKey, speeds: PrecisionSpeeds) -> None:
    """Keep speeds for later runs on this machine; a folder that cannot be written keeps none."""
    entry = {"key": asdict(key), "images_per_second": asdict(speeds)}
    try:
        write_json(cache_folder() / SPEEDS, {**_entries(), _name(key): entry})
    except (StudyError, OSError):  # read-only home: measured again next time
        return


def _name(key: SpeedKey) -> str:
    return digest(asdict(key))[:16]


def _entries() -> Mapping[str, object]:
    """All that is remembered; empty where the file is damaged."""
    path = cache_folder() / SPEEDS
    try:
        content: object = read_json(path) if path.is_file() else {}
    except (StudyError, OSError):
        return {}
    return cast("Mapping[str, object]", content) if isinstance(content, dict) else {}
