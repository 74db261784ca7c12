"""Conformal prediction sets for a hospital with other frequencies of the classes.

If only the frequency of the classes differs there, and not the look of a class, the tuning cases
stand for its cases once each is weighted by the ratio of its class's frequencies (Podkopaev and
Ramdas 2021). The ratios are estimated from the network's answers there, without labels, so that the
guarantee holds as well as they are known. Explained in docs/explanation/conformal.md.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_expit

from medtransfer.metrics.cases import Labels
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.adaptation.prevalence import estimate_prevalence
from medtransfer.posthoc.conformal import TOLERANCE, SetScore
from medtransfer.posthoc.tuning_split import require_tune

Bools = NDArray[np.bool_]
Texts = NDArray[np.str_]
LAC = SetScore("lac")
ENOUGH = 1e-5
"""Change of a share in one step that moves no set."""


@dataclass(frozen=True)
class TunedScores:
    """Nonconformity of the tuning cases, from which sets for another hospital are made.

    Attributes:
        alpha: Largest allowed probability that a set misses the true class.
        classes: True class of each tuning case; 0 or 1 for a binary target. [n]
        scores: Of its true class. [n]
        shares: Share of each class in tune; each over 0. [C]
        score: Rule that the scores were made by.
    """

    alpha: float
    classes: Labels
    scores: Floats
    shares: Floats
    score: SetScore = LAC

    def sets(self, probabilities: Floats, shares: Floats) -> Bools:
        """Prediction sets of a hospital's cases.

        Args:
            probabilities: As in the fit: of the positive class, or of all classes. [N] or [N, C]
            shares: Share of each class among them. [C]

        Returns:
            With C = 2 for a binary target, the negative class first. [N, C]
        """
        ratios = shares / self.shares
        thresholds = [
            weighted_quantile(self.scores, ratios[self.classes], float(ratio), self.alpha)
            for ratio in ratios
        ]
        return self.score.of(probabilities) <= np.array(thresholds)[None, :] + TOLERANCE


def tuned_scores(
    classes: Labels, probabilities: Floats, *, splits: Texts, alpha: float, score: SetScore = LAC
) -> TunedScores | None:
    """Take the scores of the tuning cases; None if a class has no case.

    Args:
        classes: True class of each case; 0 or 1 for a binary target. [n]
        probabilities: Of the positive class, or of all classes. [n] or [n, C]
        splits: Split of each case; all must be tune. [n]
        alpha: Over 0 and under 1.
        score: Nonconformity score of a class; without a seed.

    Raises:
        TableError: A case is not in the tuning split.
    """
    require_tune(splits, len(classes), "Prediction sets")
    table = score.of(probabilities)
    counts = np.bincount(classes, minlength=table.shape[1])
    if (counts == 0).any():
        return None
    true_scores = table[np.arange(len(classes)), classes]
    return TunedScores(alpha, classes, true_scores, counts / counts.sum(), score)


def estimated_shares(logits: Floats, home: Floats) -> Floats:
    """Estimate the share of each class among a hospital's cases, without labels.

    Args:
        logits: Of probabilities calibrated at home: of the positive class, or of all classes.
            [N] or [N, C]
        home: Share of each class there; each over 0. [C]
    """
    if logits.ndim == 1:
        share = _binary_share(logits, float(home[1]))
        return np.array([1 - share, share])
    return estimate_prevalence(logits, home, ENOUGH).shares


def _binary_share(logits: Floats, home: float) -> float:
    """The share of positives of largest likelihood, where its derivative is 0.

    `estimate_prevalence` comes to the same by steps, of which it takes thousands where the network
    tells little. As there, no share is below 1 / (n + 2).
    """
    from scipy.optimize import brentq  # slow to import, and predictions need none

    positive = np.asarray(log_expit(logits)) - math.log(home)
    negative = np.asarray(log_expit(-logits)) - math.log1p(-home)
    scale = np.maximum(positive, negative)
    positive, negative = np.exp(positive - scale), np.exp(negative - scale)

    def slope(share: float) -> float:
        return float(np.mean((positive - negative) / (share * positive + (1 - share) * negative)))

    least = 1 / (len(logits) + 2)
    if slope(least) <= 0:
        return least
    if slope(1 - least) >= 0:
        return 1 - least
    return float(brentq(slope, least, 1 - least, xtol=1e-10))


def weighted_quantile(scores: Floats, weights: Floats, own: float, alpha: float) -> float:
    """The smallest score up to which 1 - alpha of the weight lies; infinite if none is enough.

    Tibshirani et al. 2019, lemma 3: the new case's own weight counts as if its score were infinite.
    With equal weights this is `conformal.conformal_quantile`.

    Args:
        scores: Of the true classes of the tuning cases. [n]
        weights: Of these cases; 0 or more. [n]
        own: Weight of the new case if it is of the class in question.
        alpha: Over 0 and under 1.
    """
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[order])
    total = float(reached[-1]) + own if len(reached) else own
    # a sum of weights carries rounding, as quantile_rank has it
    enough = np.flatnonzero(reached >= (1 - alpha) * total * (1 - 1e-12))
    return float(scores[order][enough[0]]) if len(enough) else math.inf
