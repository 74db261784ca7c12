"""How a network is fine-tuned."""

from typing import Literal

from pydantic import model_validator

from medtransfer.settings import Settings, identity, runtime


class TrainingConfig(Settings):
    """BiT-HyperRule by default; every departure is a named field."""

    batch_size: int = identity(512, ge=1, le=65_536)
    """Cases per step. The rule's own is 512; its authors report 128 with learning rate 0.001 as
    nearly identical."""
    learning_rate: float = identity(0.003, gt=0, lt=10)
    """Peak of the schedule."""
    steps: int | None = identity(None, ge=1, le=10_000_000)
    """Length of the schedule; warm-up and drops keep their shares of it. Left out: by the rule,
    from the number of training cases."""
    mixup: float | None = identity(None, ge=0, le=10)
    """Alpha of MixUp, 0 for none. Left out: by the rule, from the number of training cases."""
    momentum: float = identity(0.9, ge=0, lt=1)
    """Of SGD."""
    weight_decay: float = identity(0.0, ge=0, lt=1)
    """L2 penalty on every weight. The rule has none."""
    micro_batch: int = identity(64, ge=1, le=65_536)
    """Most images held at once; the gradients of a step's micro-batches add up to the step's.
    Networks with batch normalisation take their statistics over it. Halved, for the rest of the
    run, where memory runs out."""
    precision: Literal["auto", "float32", "bfloat16"] = identity("auto")
    """Of the backbone. `auto` is bfloat16 where it was measured to pay, else float32."""
    selection: Literal["best", "last"] = identity("best")
    """Which weights are kept: those with the best macro AUROC on the tuning split among the
    checks, or the last."""
    checks: int = identity(10, ge=1, le=1000)
    """How often, evenly over the schedule, the tuning split is looked at."""
    deterministic: bool = runtime(default=True)
    """Ask torch for deterministic algorithms. A CPU is deterministic either way."""
    device: Literal["auto", "cpu", "cuda", "mps"] = runtime("auto")
    """Where to train."""
    checkpoint_seconds: float = runtime(60.0, ge=0)
    """Least time between checkpoints that are not at a check."""
    hang_seconds: float | None = runtime(None, gt=0, le=1e9)
    """Time without progress after which training counts as hung: its stacks are printed, and after
    twice that it is ended. Left out: 20 times the slowest so far, at least 600."""

    devices: int = runtime(1, ge=1, le=1024)
    """Processes on this machine that train a run together, one per GPU, or sharing the cores."""
    spread_weights: bool = runtime(default=False)
    """Spread weights, gradients and moments over the devices (FSDP2), for networks that one does
    not hold. Not for networks with batch normalisation; nothing to do where devices is 1."""

    @model_validator(mode="after")
    def _checks_fit(self) -> "TrainingConfig":
        if self.steps is not None and self.checks > self.steps:
            raise ValueError(f"checks is {self.checks}, more than steps ({self.steps})")
        return self
