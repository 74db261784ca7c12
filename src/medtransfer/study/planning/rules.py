"""Time, memory and disk of runs that were not measured yet, by written rules with wide ranges.

A network's multiplications are taken from its parameters and the pixels of its input: between 117
(EfficientNet-Lite0) and 209 (ViT-S/16) per parameter at 224 px, 174 for a ResNet-50. A run that was
finished, or is at work, replaces the rule for its kind.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from medtransfer.models.ladder import find_rung
from medtransfer.sizes.image_size import pixel_count
from medtransfer.study.execution.workers import Workers, is_small
from medtransfer.study.plan import PlannedRun
from medtransfer.study.planning.kinds import kind_of
from medtransfer.study.planning.speeds import Speed, Speeds
from medtransfer.training.config import TrainingConfig

MULTIPLICATIONS = 160
"""Per parameter and image of 224 px."""
PASSES = 6
"""Operations of training per multiplication: it is an addition too, forward and twice backward."""
FORWARD = 3
"""Images that a pass forward alone takes in the time of a training step."""
EFFICIENCY = Speed(0.1, 0.3, 0.8)
"""Share of the speed of a matrix product that training reaches (docs/explanation/speed.md: a tenth
for small networks on small images, up to 0.8 for a ResNet-50)."""
START_SECONDS = 6.0
"""Start of a worker, predictions and scoring of a small run."""
PRODUCT = 512
"""Side of the matrices that are multiplied to measure a core."""
LIBRARIES = 0.7 * 2**30
"""Bytes of a worker before it has a network."""
ACTIVATION = 20_000
"""Bytes of activations and their gradients, per image of 224 px and square root of parameters: 100
MB for a ResNet-50."""
MEMORY_SPREAD = 1.6
HEAD_PARAMETERS = 500_000
"""Those of a head on features of another program, at most: a layer of 256 on 2,048 features."""
UNKNOWN_PARAMETERS = 25_000_000
"""Those of a ResNet-50, for networks of which the ladder knows none."""


@dataclass(frozen=True)
class Amount:
    """Bytes with their range.

    Attributes:
        low: Fewest that are likely.
        middle: Estimate.
        high: Most that are likely.
    """

    low: float
    middle: float
    high: float

    @property
    def is_measured(self) -> bool:
        """True if it has no range."""
        return self.low == self.high


def rule_speed(run: PlannedRun, threads: int) -> Speed:
    """Speed of a kind of run on a CPU, from a matrix product on this machine.

    Args:
        run: One of its runs.
        threads: Of each run.
    """
    core = images_per_second(parameters_of(run), area_of(run), threads)
    if run.cell.run.training.tuning.mode == "linear":
        core *= FORWARD
    whole_core = core
    core /= _share_of_pixels(run.cell.run.training)
    others = len(run.needs[1].indices) if run.needs else 0
    besides = START_SECONDS + 2 * others / (3 * whole_core * EFFICIENCY.middle)
    return Speed(core * EFFICIENCY.low, core * EFFICIENCY.middle, core * EFFICIENCY.high, besides)


def _share_of_pixels(config: TrainingConfig) -> float:
    """Pixels that training sees, as a share of those at the whole size in every step."""
    if config.growth is None or config.tuning.mode == "linear":
        return 1.0
    return 1 - config.growth.until * (1 - config.growth.share**2)


def images_per_second(parameters: int, area: float, threads: int) -> float:
    """Images that training takes a second on a CPU at the speed of a matrix product.

    Args:
        parameters: Of the network.
        area: Pixels of its input, as a share of 224 × 224.
        threads: Of each run.
    """
    work = PASSES * MULTIPLICATIONS * parameters * area
    return core_speed() * threads / max(1.0, work)


def note_rules(speeds: Speeds, planned: Iterable[PlannedRun], workers: Workers) -> None:
    """Note speeds by rule, of kinds that were not measured; there is no rule for GPUs.

    Args:
        speeds: That runs have shown.
        planned: Runs of a study; the first of each kind stands for it.
        workers: That carry them out.
    """
    firsts: dict[str, PlannedRun] = {}
    for run in planned:
        firsts.setdefault(kind_of(run), run)
    for kind, run in firsts.items():
        on_cpu = not workers.gpus and run.cell.run.training.device in ("auto", "cpu")
        if on_cpu and not speeds.has_rate(kind):
            threads = 1 if is_small(run) else workers.cores
            if workers.is_chosen:
                threads = max(1, workers.cores // workers.count)
            speeds.note_rule(kind, rule_speed(run, threads))


@cache
def core_speed() -> float:
    """Operations a second of a matrix product on one core, the best of several."""
    matrix = np.ones((PRODUCT, PRODUCT), dtype=np.float32)
    fastest = float("inf")
    for _ in range(5):
        begun = time.process_time()  # of all threads together
        np.matmul(matrix, matrix)
        fastest = min(fastest, max(time.process_time() - begun, 1e-6))
    return 2 * PRODUCT**3 / fastest


def rule_memory(run: PlannedRun) -> Amount:
    """Memory of a run's process."""
    config, parameters = run.cell.run.training, parameters_of(run)
    state = 4 if config.tuning.mode == "linear" else 20  # weights, gradient, moments, best weights
    images = min(config.micro_batch, config.batch_size)
    activation = ACTIVATION * parameters**0.5 * area_of(run)
    if config.tuning.mode == "linear":
        activation /= 4  # those of a layer or two at a time
    middle = LIBRARIES + state * parameters + images * activation
    return Amount(middle / MEMORY_SPREAD, middle, middle * MEMORY_SPREAD)


def weights_bytes(run: PlannedRun) -> int:
    """Disk that the weights of a finished run take."""
    return 4 * parameters_of(run)


def checkpoint_bytes(run: PlannedRun) -> int:
    """Disk that a run takes while it trains: two checkpoints, and the best weights."""
    moments = 3 if run.cell.run.training.optimiser == "adamw" else 2
    return 4 * parameters_of(run) * (2 * moments + 1)


def parameters_of(run: PlannedRun) -> int:
    """Parameters of a run's network."""
    rung = find_rung(run.cell.rung)
    if not rung.reads_images:
        return HEAD_PARAMETERS
    return rung.architecture.parameters or UNKNOWN_PARAMETERS


def area_of(run: PlannedRun) -> float:
    """Pixels of a run's input, as a share of 224 × 224."""
    return pixel_count(run.needs[1].recipe.size) / 224**2 if run.needs else 1.0
