"""The training loop: short enough to read aloud, stoppable at any step."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from medtransfer.data.loader import TrainingBatches, draw_mixup
from medtransfer.models.classifier import Classifier
from medtransfer.models.partial_tuning import merge_low_rank
from medtransfer.models.runtime import world
from medtransfer.training.bit_hyperrule import Schedule, check_steps
from medtransfer.training.checkpoint import Check, CheckpointFolder, TrainingState
from medtransfer.training.config import TrainingConfig
from medtransfer.training.distributed import require_work_for_all
from medtransfer.training.losses import Loss, loss_entries, partial_loss
from medtransfer.training.mitigation.balance import GroupBalance
from medtransfer.training.mitigation.config import MitigationConfig
from medtransfer.training.optim import OptimizerStep, make_updater
from medtransfer.training.step import StepRandomness, step_gradients
from medtransfer.training.thaw import Thaw


class Diverged(Exception):  # noqa: N818
    """The loss is no longer a number. A result of the run, not a fault of anyone."""

    def __init__(self, step: int) -> None:
        super().__init__(f"the loss is not finite at step {step}")
        self.step = step


class Stopped(Exception):  # noqa: N818
    """Training was asked to stop and has saved its state."""


@dataclass(frozen=True)
class TuneScore:
    """The tuning split as a check sees it.

    Attributes:
        loss: Mean loss.
        auroc: Macro AUROC over the defined targets; None if there is none.
    """

    loss: float
    auroc: float | None

    @property
    def rank(self) -> tuple[float, float]:
        """Better is larger: AUROC first, then the loss."""
        return (-1.0 if self.auroc is None else self.auroc, -self.loss)


@dataclass(frozen=True)
class FitPlan:
    """Plan of the training loop, fixed before it starts.

    Attributes:
        schedule: Learning rate of every step.
        mixup: Alpha, 0 for none.
        loss: What is made small.
        seed: The run's seed.
        select_best: Keep the weights of the best check, not the last.
        mitigation: Way in which groups are treated alike; None if they are not told apart.
    """

    schedule: Schedule
    mixup: float
    loss: Loss
    seed: int
    select_best: bool = True
    mitigation: MitigationConfig | None = None


@dataclass(frozen=True)
class StepReport:
    """Progress report after one training step.

    Attributes:
        step: Finished steps.
        steps: Of how many.
        loss: Of the last step.
        images_per_second: In this sitting.
        tune_auroc: Of the last check, if any.
    """

    step: int
    steps: int
    loss: float
    images_per_second: float
    tune_auroc: float | None


ProgressCallback = Callable[[StepReport], bool]
"""Called after each step; True asks to stop."""


def fit(
    classifier: Classifier,
    batches: TrainingBatches,
    plan: FitPlan,
    config: TrainingConfig,
    *,
    tune: Callable[[], TuneScore],
    checkpoints: CheckpointFolder,
    on_step: ProgressCallback = lambda _report: False,
    after_check: Callable[[int], None] = lambda _step: None,
    at_start: Callable[[], None] = lambda: None,
) -> TrainingState:
    """Fine-tune a classifier in place, going on from its newest checkpoint if it has one.

    Args:
        classifier: On the device it will train on; frozen and adapted as it is to be tuned.
        batches: The training cases.
        plan: Schedule, MixUp, loss, seed.
        config: Optimiser, selection, checks.
        tune: Scores the classifier, in evaluation mode, on the tuning split.
        checkpoints: Where state is kept.
        on_step: Called after every step; True asks to stop.
        after_check: Called with the finished steps after each check, when it is decided which
            weights are kept; the classifier is as it was checked.
        at_start: Called before the first step of a training that has no checkpoint; it may set the
            classifier's weights, and its time counts.

    Returns:
        The final state; the classifier holds the selected weights and is in evaluation mode.

    Raises:
        Diverged: The loss is no longer a number.
        Stopped: `on_step` asked to stop; the state is saved.
        StudyError: The selected weights were damaged on disk, the memory does not hold a single
            case, or there are more processes than micro-batches.
        ProcessLost: Another process of the run is gone.
    """
    everyone = world()
    require_work_for_all(everyone, batches.count(0))
    updater = make_updater(classifier, config)
    average = updater.average.state if updater.average is not None else None
    state = checkpoints.restore(classifier, updater.optimiser, average)
    checked = set(check_steps(plan.schedule.steps, config.checks))
    if not state.step:
        began = time.monotonic()
        at_start()
        if updater.average is not None:
            updater.average.restart(classifier)
        state.seconds = time.monotonic() - began
    thaw = Thaw(classifier, config.tuning, plan.schedule.steps)
    started, images_before, saved = time.monotonic(), state.images, time.monotonic()
    seconds_before = state.seconds
    while state.step < plan.schedule.steps:
        size = state.micro_batch
        thaw.before(state.step)
        _one_step(classifier, updater, batches, plan, state)
        state.seconds = seconds_before + time.monotonic() - started
        if state.step in checked:
            with updater.averaged():
                _check(classifier, plan, state, tune(), checkpoints)
                after_check(state.step)
        rate = (state.images - images_before) / max(1e-9, time.monotonic() - started)
        last = state.checks[-1].tune_auroc if state.checks else None
        loss = state.losses[-1] if state.losses else state.checks[-1].train_loss
        report = StepReport(state.step, plan.schedule.steps, loss, rate, last)
        due = time.monotonic() - saved >= config.checkpoint_seconds
        stop, late = (everyone.any(flag) for flag in (on_step(report), due))
        if stop or late or state.step in checked or state.micro_batch != size:
            checkpoints.save(state, classifier, updater.optimiser, average)
            saved = time.monotonic()
        if stop and state.step < plan.schedule.steps:
            raise Stopped
    merge_low_rank(classifier)
    if state.selected is not None:
        checkpoints.load_selected(state.selected, classifier)
    classifier.eval()
    return state


def _one_step(
    classifier: Classifier,
    updater: OptimizerStep,
    batches: TrainingBatches,
    plan: FitPlan,
    state: TrainingState,
) -> None:
    """One update; its loss and images are added to the state."""
    classifier.train()
    updater.begin(plan.schedule.at(state.step))
    mix = draw_mixup(plan.seed, state.step, batches.batch_size, plan.mixup)
    targets = batches.images.cases.targets.shape[1]
    entries = loss_entries(batches.known(state.step), targets, plan.loss.task)
    balance = GroupBalance(plan.mitigation, plan.loss, batches, state)
    total = step_gradients(
        classifier,
        batches,
        state,
        StepRandomness(plan.seed, mix),
        lambda logits, batch: balance.watched(
            partial_loss(logits, batch, plan.loss, entries), logits, batch
        ),
    )
    if not math.isfinite(total):
        raise Diverged(state.step)
    balance.update()
    updater.apply(state.step)
    state.step += 1
    state.losses.append(total)


def _check(
    classifier: Classifier,
    plan: FitPlan,
    state: TrainingState,
    score: TuneScore,
    checkpoints: CheckpointFolder,
) -> None:
    """Record a look at the tuning split; keep the weights if they are the ones wanted so far."""
    if not math.isfinite(score.loss):
        raise Diverged(state.step)
    rate = plan.schedule.at(state.step - 1)
    mean_loss = sum(state.losses) / len(state.losses)
    check = Check(state.step, rate, mean_loss, score.loss, score.auroc)
    best = next((c for c in state.checks if c.step == state.selected), None)
    state.checks.append(check)
    state.losses = []
    if not plan.select_best or best is None or _rank(check) > _rank(best):
        state.selected = state.step
        checkpoints.select(state.step, classifier)


def _rank(check: Check) -> tuple[float, float]:
    return TuneScore(check.tune_loss, check.tune_auroc).rank
