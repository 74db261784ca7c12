"""From a classifier to the features of cases: what detectors of foreign input look at."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from medtransfer.data.cases import Labelled
from medtransfer.data.config import Task
from medtransfer.data.loader import CaseImages
from medtransfer.evaluation.inference.predict import TestedImages, passes
from medtransfer.models.classifier import Classifier
from medtransfer.posthoc.ood_feature_scores import OODReference


@dataclass(frozen=True, eq=False)
class Outputs:
    """Outputs of a classifier for some cases.

    Attributes:
        features: Pooled over the images of a case, before the head. [N, D]
        logits: [N, T]
    """

    features: NDArray[np.float32]
    logits: NDArray[np.float32]


def outputs_of(classifier: Classifier, images: TestedImages) -> Outputs:
    """Features and logits of cases from one pass, nothing drawn, no gradients.

    Args:
        classifier: On the device it runs on; left in the mode it was in.
        images: The cases, as they are tested.

    Returns:
        One row per case, in their order.
    """
    head = classifier.head
    features = np.empty((len(images), head.in_features), dtype=np.float32)
    logits = np.empty((len(images), head.out_features), dtype=np.float32)
    start = 0
    for some_features, some_logits in passes(classifier, images):
        rows = slice(start, start + len(some_logits))
        features[rows], logits[rows] = some_features, some_logits
        start += len(some_logits)
    return Outputs(features, logits)


def read_ood_reference(classifier: Classifier, images: CaseImages, task: Task) -> OODReference:
    """Reference of OOD detectors: the training cases as they would be tested, and the head.

    Args:
        classifier: After training.
        images: Its training cases, at the size of a test image: nothing is cropped or flipped.
        task: What the targets are to each other.
    """
    return make_ood_reference(outputs_of(classifier, images), images.cases, classifier.head, task)


def outputs_from(head: nn.Linear, features: NDArray[np.float32]) -> Outputs:
    """Outputs of a classifier with this head for cases whose features are known. [N, D]"""
    with torch.inference_mode():
        logits = head(torch.as_tensor(features).to(head.weight.device))
    return Outputs(features, logits.float().cpu().numpy())


def make_ood_reference(
    found: Outputs, cases: Labelled, head: nn.Linear, task: Task
) -> OODReference:
    """Reference of OOD detectors, from a classifier's outputs for its training cases."""
    return OODReference(
        features=found.features,
        logits=found.logits.astype(np.float64),
        targets=cases.targets[:],
        weight=head.weight.detach().cpu().numpy().astype(np.float64),
        bias=head.bias.detach().cpu().numpy().astype(np.float64),
        single_label=task == "single-label",
    )
