"""Rungs that an automatic study can try: those whose weights are on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass

from medtransfer.models.config import ModelConfig
from medtransfer.models.ladder import LADDER, Rung, find_rung
from medtransfer.models.own_rungs import OWN, own_names, weights_folder
from medtransfer.models.weight_files import find_weights, is_available
from medtransfer.study.selection.halving import Dropped

HUB_RUNG = "timm"
"""Open form of rungs whose weights `medtransfer fetch` puts into the weights folder."""
MAX_RANDOM = 3
"""Networks from scratch that are tried where no weights are at hand: the smallest ones."""


@dataclass(frozen=True)
class Candidates:
    """Rungs to try.

    Attributes:
        rungs: Their names, in the ladder's order.
        left_out: Rungs that cannot be tried, with a reason each.
    """

    rungs: tuple[str, ...]
    left_out: tuple[Dropped, ...]


def rungs_at_hand() -> Candidates:
    """All pre-trained rungs whose weights are here; without one, the smallest from scratch."""
    trained = [rung for rung in LADDER.values() if not rung.is_random]
    names = [rung.name for rung in trained if is_available(rung)]
    names += [f"{OWN}/{name}" for name in own_names()]
    fetched = sorted(weights_folder().glob(f"{HUB_RUNG}--*.safetensors"))
    names += [path.stem.replace("--", "/", 1) for path in fetched]
    away = tuple(
        Dropped(rung.name, "its weights are not on this machine")
        for rung in trained
        if not is_available(rung)
    )
    if names:
        return Candidates(tuple(dict.fromkeys(names)), away)
    random = [r for r in LADDER.values() if r.is_random and not r.architecture.is_twin]
    random.sort(key=parameters_of_rung)
    return Candidates(tuple(rung.name for rung in random[:MAX_RANDOM]), away)


def named_rungs(names: Sequence[str]) -> Candidates:
    """Rungs that the user names.

    Raises:
        ConfigError: One does not exist.
        WeightsError: The weights of one are not here.
    """
    for name in names:
        find_weights(ModelConfig(rung=name))
    return Candidates(tuple(dict.fromkeys(names)), ())


def parameters_of_rung(rung: Rung) -> float:
    """Parameters of a rung's network; infinite where the ladder does not know."""
    return float(rung.architecture.parameters or "inf")


def has_features(name: str) -> bool:
    """False for random weights: a probe of their features says nothing of training them."""
    return not find_rung(name).is_random
