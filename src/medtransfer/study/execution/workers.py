"""Number of worker processes of a study, and the threads of each of its runs.

The number of threads can change the last digits of a run. It is therefore a function of the run
and the machine, is recorded at the run's first start, and stays when the run is resumed. How many
processes work at once changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from medtransfer.engines.machine import usable_cores, visible_gpus
from medtransfer.errors import ConfigError
from medtransfer.models.ladder import find_rung
from medtransfer.runs.folders import RunFolder
from medtransfer.sizes.image_size import pixel_count
from medtransfer.sizes.limits import available_memory
from medtransfer.study.plan import PlannedRun

MAX_WORKERS = 256
MAX_TASKS = 100_000
SMALL = 12e6
"""Parameters, at 224 px, up to which one thread a run is faster than several: the layers of such a
network are too short to be shared out (benchmarks/study.py, docs/explanation/speed.md)."""
LARGE = 100_000_000
"""Parameters that a network is taken to have where the ladder does not know."""
WORKER_BYTES = 2 * 2**30
"""Memory of a worker of a small network: libraries, network and images of a step."""


@dataclass(frozen=True)
class Workers:
    """Worker processes of a study.

    Attributes:
        count: Processes at most.
        cores: Threads at most, over all processes.
        gpus: GPUs, one for each process in turn.
        is_chosen: The user named the number; otherwise small networks get one thread a run.
    """

    count: int
    cores: int
    gpus: tuple[str, ...] = ()
    is_chosen: bool = False

    def threads_of(self, run: PlannedRun, folder: RunFolder) -> int:
        """Threads of each process of a run: those of its first start, if it was started.

        Args:
            run: What is run.
            folder: Its folder.
        """
        devices = run.cell.run.training.devices
        if (recorded := recorded_threads(folder, devices)) is not None:
            return recorded
        if self.is_chosen or self.gpus:
            return max(1, self.cores // max(self.count, devices))
        return 1 if is_small(run) else max(1, self.cores // devices)


def plan_workers(asked: int | None, planned: Sequence[PlannedRun]) -> Workers:
    """Worker processes for the runs of a study.

    Args:
        asked: Number of processes; None for what suits the machine: a process for each GPU, or
            for each core where small networks have a thread each and the memory suffices.
        planned: All runs of the study.

    Raises:
        ConfigError: The number is not between 1 and 256.
    """
    cores, gpus = usable_cores(), visible_gpus()
    if all(run.cell.run.training.device == "cpu" for run in planned):
        gpus = ()
    if asked is not None:
        _require_between(asked, MAX_WORKERS)
        return Workers(asked, max(cores, asked), gpus, is_chosen=True)
    if gpus:
        return Workers(len(gpus), cores, gpus)
    fitting = max(1, available_memory() // WORKER_BYTES)
    small = sum(is_small(run) for run in planned)
    return Workers(max(1, min(cores, fitting, small)), cores)


def plan_tasks(asked: int | None, planned: Sequence[PlannedRun]) -> Workers:
    """Tasks of a cluster for the runs of a study.

    Args:
        asked: Tasks that run at once; None for all of them, since only the cluster knows better.
        planned: All runs of the study.

    Raises:
        ConfigError: The number is not between 1 and 100,000.
    """
    if asked is not None:
        _require_between(asked, MAX_TASKS)
    return replace(plan_workers(None, planned), count=asked or max(1, len(planned)))


def _require_between(asked: int, most: int) -> None:
    if not 1 <= asked <= most:
        raise ConfigError(f"workers holds {asked} (allowed: 1 to {most:,}, or auto).")


def is_small(run: PlannedRun) -> bool:
    """True if one thread a run is faster than several, by parameters and pixels of the input."""
    rung = find_rung(run.cell.rung)
    if not rung.reads_images:  # a head on features of another program
        return True
    parameters = rung.architecture.parameters or LARGE
    pixels = pixel_count(run.needs[1].recipe.size) if run.needs else 224**2
    return parameters * pixels / 224**2 < SMALL


def recorded_threads(folder: RunFolder, devices: int = 1) -> int | None:
    """Threads that a run was first started with; None if it was not started on so many devices."""
    environments = folder.environments()
    if not environments or environments[0].get("devices", 1) != devices:
        return None
    threads = environments[0].get("threads")
    return threads if isinstance(threads, int) else None
