"""Limits of what is read: rows, columns, cells, memory, and runs of a study.

A file of a few megabytes can unpack to more than a machine holds, and a process that runs out of
memory ends without a word. Sizes are compared with these limits before anything is read. Each can
be raised by an environment variable, which worker processes inherit.
"""

import os
import resource
from dataclasses import dataclass
from pathlib import Path

from medtransfer.disk import size_text
from medtransfer.errors import ConfigError, MedTransferError

GIB = 2**30
SHARE = 0.8
"""Share of the available memory that one input may take by default."""


@dataclass(frozen=True)
class Limit:
    """One limit.

    Attributes:
        variable: Environment variable that sets it.
        default: Value without the variable.
        doc: One sentence for the documentation.
    """

    variable: str
    default: int
    doc: str

    def value(self) -> int:
        """The limit that holds now.

        Raises:
            ConfigError: The environment variable holds no whole number above 0.
        """
        text = os.environ.get(self.variable, "").strip().replace("_", "")
        if not text:
            return self.default
        if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0):
            raise ConfigError(
                f"The environment variable {self.variable} holds '{text[:40]}' (allowed: whole "
                "numbers from 1)."
            )
        return int(text)


MAX_ROWS = Limit("MEDTRANSFER_MAX_ROWS", 100_000_000, "Rows of a table, or lines of its text.")
MAX_COLUMNS = Limit("MEDTRANSFER_MAX_COLUMNS", 10_000, "Columns of a table.")
MAX_CELL = Limit("MEDTRANSFER_MAX_CELL_BYTES", 1_000_000, "Bytes of one cell of text.")
MAX_RUNS = Limit("MEDTRANSFER_MAX_RUNS", 100_000, "Runs of a study.")
MAX_MEMORY = Limit(
    "MEDTRANSFER_MAX_MEMORY_GIB",
    0,
    "GiB that a table, a workbook or a weights file may take; by default what is available.",
)
LIMITS = (MAX_ROWS, MAX_COLUMNS, MAX_CELL, MAX_MEMORY, MAX_RUNS)


def require_count(
    count: int,
    noun: str,
    limit: Limit,
    what: str,
    error: type[MedTransferError],
    *,
    partly: bool = False,
) -> None:
    """Refuse more of something than a limit allows; arguments as for `count_fault`.

    Raises:
        MedTransferError: There are more; an error of the given class.
    """
    if fault := count_fault(count, noun, limit, what, partly=partly):
        raise error(fault)


def count_fault(
    count: int, noun: str, limit: Limit, what: str, *, partly: bool = False
) -> str | None:
    """Sentence on more of something than a limit allows; None if it is allowed.

    Args:
        count: Number there is.
        noun: Plural name of what is counted.
        limit: Allowed number.
        what: Name in the message, e.g. ``Manifest "chest.csv"``.
        partly: True if counting stopped early, so that there may be more.
    """
    allowed = limit.value()
    if count <= allowed:
        return None
    more = "more than " if partly else ""
    number = f"{allowed if partly else count:,}"
    raised = "a larger number" if partly else str(count)
    return (
        f"{what} has {more}{number} {noun} (allowed: up to {allowed:,}). If that is meant, set the "
        f"environment variable {limit.variable} to {raised}."
    )


def require_memory(
    needed: int, what: str, error: type[MedTransferError], *, partly: bool = False
) -> None:
    """Refuse what takes more memory than is available.

    Args:
        needed: Bytes, estimated.
        what: Name in the message.
        error: Class of the error.
        partly: True if the estimate stopped early, so that more may be needed.

    Raises:
        MedTransferError: It takes more; an error of the given class.
    """
    allowed = memory_limit()
    if needed <= allowed:
        return
    more = "more than" if partly else "about"
    amount = size_text(allowed if partly else needed)
    gib = "a larger number" if partly else str(-(-needed // GIB))
    raise error(
        f"{what} needs {more} {amount} of memory once it is unpacked, and {size_text(allowed)} are "
        f"available. Use a larger machine, or set the environment variable {MAX_MEMORY.variable} "
        f"to {gib} to try it here."
    )


def memory_limit() -> int:
    """Bytes that one input may take: of the environment variable, else what is available."""
    gib = MAX_MEMORY.value()
    return gib * GIB if gib else int(available_memory() * SHARE)


def available_memory() -> int:
    """Bytes of memory that this process can still get: of machine, container and process."""
    amounts = [n for n in (_of_machine(), _of_container(), _of_process()) if n is not None]
    return max(0, min(amounts)) if amounts else _of_hardware()


def free_memory() -> int | None:
    """Bytes of memory that are free, or None where the system does not say."""
    amounts = [n for n in (_of_machine(), _of_container()) if n is not None]
    return min(amounts) if amounts else None


def _of_machine() -> int | None:
    return _field(Path("/proc/meminfo"), "MemAvailable:")


def _of_container() -> int | None:
    """Memory that the control group leaves; None where there is no limit."""
    for most, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ):
        try:
            allowed = int(Path(most).read_text("ascii"))
            free = allowed - int(Path(used).read_text("ascii"))
        except (OSError, ValueError):
            continue
        # files in the cache of the group count as used, and are given up when memory is wanted
        cached = _field(Path(most).with_name("memory.stat"), "inactive_file", unit=1) or 0
        return free + cached if allowed < 2**60 else None
    return None


def _of_process() -> int | None:
    """Address space that the process may still take; None where there is no limit."""
    allowed = resource.getrlimit(resource.RLIMIT_AS)[0]
    if allowed == resource.RLIM_INFINITY:
        return None
    return allowed - (_field(Path("/proc/self/status"), "VmSize:") or 0)


def _of_hardware() -> int:
    """Half of the machine's memory, where the system does not say what is free."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def _field(path: Path, name: str, unit: int = 1024) -> int | None:
    """A number of a file of ``name number`` lines, in bytes."""
    try:
        for line in path.read_text("ascii").splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * unit
    except (OSError, ValueError, IndexError):
        pass
    return None
