"""How far a pre-training run is, read from its folder alone. No torch, nothing is run."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from medtransfer.files import read_json
from medtransfer.models.own import FACTS
from medtransfer.study.progress import Preparing, PretrainStep
from medtransfer.study.store import Lease, RunFolder, State, StudyFolder


@dataclass(frozen=True)
class RungStatus:
    """A rung that is made, or was.

    Attributes:
        rung: As a study names it.
        state: Where it stands.
        preparing: What is done to its images; None once it trains.
        training: How far it was when it last said so; None before its first step.
        seconds: It trained, where it is done.
        message: Why it failed or diverged.
    """

    rung: str
    state: State
    preparing: Preparing | None = None
    training: PretrainStep | None = None
    seconds: float | None = None
    message: str = ""

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def read_rung_status(path: Path) -> RungStatus | None:
    """Read how far a pre-training run is.

    Returns:
        None where the folder is not that of one.
    """
    own = RunFolder(path)
    if own.is_done() and (path / FACTS).is_file():
        return _made(own)
    noted = own.progress()
    if "rung" not in noted:
        return None
    rung = noted.pop("rung")
    working = Lease(StudyFolder(path)).holder() is not None
    trains = "step" in noted
    return RungStatus(
        rung,
        "running" if working else own.state(),
        preparing=None if trains else Preparing(**noted),
        training=PretrainStep(**noted) if trains else None,
        message="" if working else str((own.error() or {}).get("message", "")),
    )


def _made(own: RunFolder) -> RungStatus:
    cost, facts = own.cost(), read_json(own.path / FACTS)
    steps, seconds, look = cost["steps"], cost["seconds"], facts["last_look"]
    training = PretrainStep(
        step=steps,
        steps=steps,
        loss=look["train_loss"],
        images_per_second=cost["images_seen"] / max(seconds, 0.1),
        held_out_score=look["held_out_score"],
        seconds_left=0.0,
    )
    return RungStatus(facts["name"], "done", training=training, seconds=seconds)
