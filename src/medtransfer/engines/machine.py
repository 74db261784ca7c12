"""Cores and GPUs of this machine that processes may use. No torch."""

import math
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

NVIDIA = Path("/proc/driver/nvidia/gpus")
QUOTA = Path("/sys/fs/cgroup/cpu.max")
THREADS_VARIABLE = "OMP_NUM_THREADS"


def usable_cores() -> int:
    """Cores that a study may keep busy.

    The smallest of the cores that the process may run on, the quota of its container and
    ``OMP_NUM_THREADS``, if it is set: on a shared machine that is how a user asks for less.
    """
    cores = [len(os.sched_getaffinity(0))]
    cores += [amount for amount in (_quota(), _asked()) if amount is not None]
    return max(1, min(cores))


def visible_gpus() -> tuple[str, ...]:
    """Names of the NVIDIA GPUs that torch would see, as ``CUDA_VISIBLE_DEVICES`` takes them."""
    if not _has_cuda():
        return ()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(name.strip() for name in named.split(",") if name.strip() not in ("", "-1"))
    try:
        return tuple(str(number) for number, _ in enumerate(sorted(NVIDIA.iterdir())))
    except OSError:
        return ()


def _has_cuda() -> bool:
    """True unless the installed torch is a build for CPUs alone."""
    try:
        return not version("torch").endswith("+cpu")
    except PackageNotFoundError:
        return False


def _quota() -> int | None:
    """Whole cores of the container's quota; None if there is no quota."""
    try:
        quota, period = QUOTA.read_text("ascii").split()[:2]
        return max(1, math.floor(int(quota) / int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _asked() -> int | None:
    """Threads that the user allows; None if they do not say."""
    text = os.environ.get(THREADS_VARIABLE, "").split(",")[0].strip()
    return max(1, int(text)) if text.isascii() and text.isdigit() else None
