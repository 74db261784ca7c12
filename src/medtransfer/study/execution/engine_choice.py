"""Choice of the engine that trains a study's runs, by the words of an option."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from medtransfer.engines.contract import Engine
from medtransfer.engines.machine import usable_cores, visible_gpus
from medtransfer.engines.ray.address import PRIVATE, read_address, require_ray
from medtransfer.engines.ray.connection import Cluster, require_reachable
from medtransfer.engines.ray.engine import RayEngine
from medtransfer.engines.slurm import SlurmEngine, check_sbatch, require_slurm
from medtransfer.errors import ConfigError
from medtransfer.study.execution.workers import Workers, plan_tasks, plan_workers
from medtransfer.study.plan import PlannedRun
from medtransfer.study.planning.rules import rule_memory

EngineName = Literal["local", "slurm", "ray"]


@dataclass(frozen=True)
class EngineChoice:
    """Place where runs are trained.

    Attributes:
        on: ``local``, ``slurm``, ``ray`` for a private cluster on this machine, or the address of a
            Ray cluster: ``HOST:PORT`` or ``ray://HOST:PORT``.
        sbatch: Options for ``sbatch``.
    """

    on: str = "local"
    sbatch: Sequence[str] = ()

    @property
    def name(self) -> EngineName:
        """Kind of the engine."""
        if self.on == "local":
            return "local"
        return "slurm" if self.on == "slurm" else "ray"

    @property
    def is_local(self) -> bool:
        """True for processes of this machine without a cluster."""
        return self.name == "local"

    def check(self) -> None:
        """Compare the choice with the machine, before any data are read.

        Raises:
            ConfigError: The words are not known, options for ``sbatch`` are wrong or for nothing,
                Ray is not installed, or there is no token.
            StudyError: Slurm is not installed, or nothing answers at the address.
        """
        check_sbatch(self.sbatch)
        if self.name == "ray":
            address = read_address(self.on)
            require_ray()
            require_reachable(address)
        if self.name == "slurm":
            require_slurm()
        elif self.sbatch:
            raise ConfigError("--sbatch is for --on slurm: nothing else is submitted to Slurm.")

    def workers(self, asked: int | None, planned: Sequence[PlannedRun]) -> tuple[Workers, Workers]:
        """Processes of this machine, and runs that the engine carries out at once.

        Args:
            asked: Number that the user asks for; None for what suits.
            planned: All runs of the study.

        Raises:
            ConfigError: The number is out of range.
        """
        # with a cluster this machine only predicts added cohorts
        processes = plan_workers(asked if self.is_local else None, planned)
        has_only_this_machine = self.is_local or (self.on == PRIVATE and asked is None)
        return processes, processes if has_only_this_machine else plan_tasks(asked, planned)

    def maker(
        self, study: Path, planned: Sequence[PlannedRun], at_once: int | None
    ) -> Callable[[], Engine] | None:
        """Maker of the engine; None for this machine, whose engine is made for each purpose.

        Args:
            study: The study's folder.
            planned: Its runs.
            at_once: Runs at once, at most; None for what the cluster has room for.
        """
        match self.name:
            case "local":
                return None
            case "slurm":
                return lambda: SlurmEngine(study, options=self.sbatch, at_once=at_once)
            case "ray":
                cluster = Cluster(read_address(self.on), usable_cores(), len(visible_gpus()))
                needed = {run.run_id: int(rule_memory(run).high) for run in planned}
                return lambda: RayEngine(study, cluster, at_once=at_once, needed=needed)
