"""Fit of a head to features that another program computed, and its outputs."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from medtransfer.data.cases import Cases
from medtransfer.evaluation.inference.features import Outputs, make_ood_reference
from medtransfer.runs.config import Transfer
from medtransfer.runs.embedded.case_features import CaseFeatures
from medtransfer.runs.embedded.progress import ProbeProgress
from medtransfer.runs.fine_tune import ModelOutputs, RunCases, tune_score
from medtransfer.training.heads.centroid import fit_centroids
from medtransfer.training.heads.feature_head import FeatureHead, FittedHead
from medtransfer.training.heads.mlp import MLPHead, fit_mlp
from medtransfer.training.heads.neighbours import NeighbourHead, fit_neighbours
from medtransfer.training.linear_probe import ProbeCheck, fit_probe
from medtransfer.training.loop import TuneScore
from medtransfer.training.losses import make_loss
from medtransfer.training.mitigation.groups import balancing_weights

Score = Callable[[NDArray[np.float64]], TuneScore]


def fit_head(
    run: Transfer, cases: RunCases, features: CaseFeatures, progress: ProbeProgress
) -> FittedHead:
    """Fit the head that a run names.

    Args:
        run: Its configuration.
        cases: Of the run, by their use.
        features: Of all of them.
        progress: Hears of every setting; it may stop the fit.
    """
    train, tune = features.of(cases.train), features.of(cases.tune)
    targets, task = cases.train.targets[:], run.data.task

    def score(logits: NDArray[np.float64]) -> TuneScore:
        return tune_score(logits, cases.tune, run)

    loss = make_loss(run.training.loss, task, run.data.names, cases.train.targets)
    match run.model.head:
        case "linear":
            doubled = tune.astype(np.float64)  # once, not for every penalty
            fitted = fit_probe(
                features=train,
                targets=targets,
                loss=loss,
                penalties=run.training.tuning.penalties,
                tune=lambda head: score(head.logits(doubled)),
                on_check=progress.add_check,
                heartbeat=progress.report,
                case_weights=None
                if cases.train.groups is None
                else balancing_weights(cases.train.groups),
            )
            head = FeatureHead(train.shape[1], targets.shape[1])
            head.set_last(fitted.head.weight, fitted.head.bias)
            return FittedHead(head, fitted.selected, fitted.checks)
        case "centroid":
            head = fit_centroids(train, targets, task)
            value = score(head.outputs(tune).logits.astype(np.float64))
            check = ProbeCheck(1, None, float("nan"), value.loss, value.auroc)
            progress.add_check(check)
            return FittedHead(head, 1, [check])
        case "neighbours":
            return fit_neighbours(
                train, targets, tune, task=task, tune=score, on_check=progress.add_check
            )
        case "mlp":
            return fit_mlp(
                train,
                targets,
                tune,
                loss=loss,
                seed=run.seed,
                tune=score,
                on_check=progress.add_check,
            )


def empty_head(run: Transfer, width: int) -> FeatureHead:
    """A head of a run's kind for features of a width, to be given its weights."""
    targets = len(run.data.names)
    match run.model.head:
        case "linear" | "centroid":
            return FeatureHead(width, targets)
        case "mlp":
            return MLPHead(width, targets, run.seed)
        case "neighbours":
            return NeighbourHead(width, targets, run.data.task)


def feature_outputs(
    run: Transfer,
    head: FeatureHead,
    features: CaseFeatures,
    train: Cases,
    parts: Sequence[Cases],
) -> ModelOutputs:
    """Outputs of a fitted head for parts of the cases.

    Args:
        run: Its configuration.
        head: After the fit.
        features: Of all these cases.
        train: Its training cases, which OOD detectors are fitted to.
        parts: To predict.
    """

    def outputs(part: Cases) -> Outputs:
        values = head.outputs(features.of(part))
        return Outputs(values.inner, values.logits)

    trained_on = outputs(train.take(np.arange(len(train) if run.training.ood else 0)))
    reference_cases = train if run.training.ood else train.take(np.arange(0))
    return ModelOutputs(
        reference=make_ood_reference(trained_on, reference_cases, head.last, run.data.task),
        cases=parts,
        outputs=[outputs(part) for part in parts],
    )
