"""Choice of a precision by measurement, where the setting is ``auto``."""

import contextlib
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import torch

from medtransfer.models.classifier import PrecisionSetting
from medtransfer.models.precision.decision import (
    PrecisionCase,
    PrecisionDecision,
    Reason,
    keep_decision,
    largest_run,
    read_decision,
)
from medtransfer.models.precision.measure import measure_speeds
from medtransfer.models.precision.speeds import (
    PrecisionSpeeds,
    SpeedKey,
    Work,
    recall_speeds,
    remember_speeds,
)
from medtransfer.models.rungs.architectures import Architecture, Precision
from medtransfer.models.runtime import world
from medtransfer.sizes.image_size import ImageSize, height_width, pixel_count

CORE_SECOND = 1e8
"""Parameters times images of 224 px that a core trains in about a second: a ResNet-50 four images
(docs/explanation/speed.md). Only orders of magnitude matter here."""
SHORT_SECONDS = 150.0
"""Of one core; shorter training is not worth a measurement, which takes about 3 of them."""
PASS_SECONDS = 0.4
"""Of one core, for a timed pass."""
MAX_IMAGES = 32
SHARE = 0.02
"""Of the expected time, for a measurement of a network whose smallest pass is long."""
MIN_LIMIT = 3.0
FORWARD = 3
"""Images that pass forward alone in the time of a training step."""
CPU_UNITS = ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16")
CPUINFO = Path("/proc/cpuinfo")

Measure = Callable[..., PrecisionSpeeds | None]
"""As `measure.measure_speeds`."""


@dataclass(frozen=True)
class Passes:
    """Passes through a network, for which a precision is chosen.

    Attributes:
        architecture: Its facts, width included.
        size: Of its input in pixels.
        work: Training, or features alone.
        images: That pass in all, counted as often as they do.
        batch: Images of a pass.
    """

    architecture: Architecture
    size: ImageSize
    work: Work
    images: int
    batch: int

    @property
    def case(self) -> PrecisionCase:
        """Network, size and kind of pass."""
        return PrecisionCase(self.architecture.name, self.size, self.work)

    @property
    def seconds_of_image(self) -> float:
        """Time that an image takes one core, by rule."""
        area = pixel_count(self.size) / 224**2
        seconds = (self.architecture.parameters or 0) * area / CORE_SECOND
        return seconds / FORWARD if self.work == "features" else seconds

    @property
    def core_seconds(self) -> float:
        """Time of all passes on one core, by rule."""
        return self.images * self.seconds_of_image

    @property
    def timed_images(self) -> int:
        """Images of a timed pass: a batch, or fewer where that would take long."""
        fitting = int(PASS_SECONDS / max(1e-9, self.seconds_of_image))
        return max(2, min(self.batch, MAX_IMAGES, fitting))


@dataclass(frozen=True)
class PrecisionChooser:
    """Chooses a precision on one device.

    Attributes:
        device: That it is chosen for.
        measure: Measures; another one in tests.
    """

    device: torch.device
    measure: Measure = field(default=measure_speeds)

    def choose(self, passes: Passes, short: float = SHORT_SECONDS) -> PrecisionDecision:
        """Choose by the length of the passes, by what is remembered, or by a measurement.

        Whether passes are short depends on them alone, so that a short run has the same precision
        whatever was measured before.

        Args:
            passes: To choose for.
            short: Seconds of one core below which nothing is measured.
        """
        if not has_bfloat16_units(self.device):
            return self._decided("float32", "device")
        if passes.core_seconds < short:
            return self._decided("float32", "short")
        height, width = height_width(passes.size)
        key = SpeedKey(
            machine=machine_name(self.device),
            torch=torch.__version__,
            architecture=passes.architecture.name,
            height=height,
            width=width,
            batch=passes.timed_images,
            threads=torch.get_num_threads(),
            work=passes.work,
        )
        if (speeds := recall_speeds(key)) is not None:
            return self._decided(speeds.precision, "remembered", speeds)
        speeds = self.measure(
            passes.architecture,
            passes.size,
            self.device,
            images=passes.timed_images,
            work=passes.work,
            limit=max(MIN_LIMIT, SHARE * passes.core_seconds / torch.get_num_threads()),
        )
        if speeds is None:
            return self._decided("float32", "memory")
        remember_speeds(key, speeds)
        return self._decided(speeds.precision, "measured", speeds)

    def _decided(
        self, precision: Precision, reason: Reason, speeds: PrecisionSpeeds | None = None
    ) -> PrecisionDecision:
        threads = torch.get_num_threads()
        return PrecisionDecision(precision, reason, speeds, machine_name(self.device), threads)


def decide_precision(
    setting: PrecisionSetting,
    folder: Path,
    passes: Passes,
    chooser: PrecisionChooser,
    earlier: Precision | None = None,
) -> PrecisionDecision:
    """The precision of a run: the setting, or for ``auto`` what was decided once for its study.

    Several processes that share the run have the decision of the first.

    Args:
        setting: Of the run.
        folder: Of the study.
        passes: Of the run; the largest planned run of the case counts where there is a plan.
        chooser: Decides where nothing is decided yet.
        earlier: Precision that a run was begun in before decisions were kept; None for none.
    """
    if setting != "auto":
        return PrecisionDecision(setting, "set")
    with world().main_first():
        decision = read_decision(folder, passes.case)
        if decision is None and earlier is not None:
            decision = keep_decision(folder, passes.case, PrecisionDecision(earlier, "earlier"))
        if decision is None:
            images = max(passes.images, largest_run(folder, passes.case))
            chosen = chooser.choose(replace(passes, images=images))
            decision = keep_decision(folder, passes.case, chosen)
    return decision


def has_bfloat16_units(device: torch.device) -> bool:
    """True where bfloat16 can be the faster: elsewhere it is emulated."""
    match device.type:
        case "cpu":
            capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
            return any(capabilities.get(name) for name in CPU_UNITS)
        case "cuda":
            return torch.cuda.is_bf16_supported(including_emulation=False)
        case _:
            return False


@cache
def machine_name(device: torch.device) -> str:
    """Processor or GPU that speeds hold for, as the system names it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cores = f"{platform.machine()}, {os.cpu_count()} cores"
    with contextlib.suppress(OSError):
        lines = CPUINFO.read_text("utf-8", "replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        if names:
            return f"{names[0]}, {cores}"
    return f"{platform.processor() or 'processor'}, {cores}"
