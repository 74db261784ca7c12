"""Patients that a bundle's network is tuned with: those that train it, and those held back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from medtransfer.data.stratify import stratify
from medtransfer.deploy.adaptation.tuning.config import SequentialConfig
from medtransfer.deploy.validation.local_network import LocalNetwork
from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.comparison.adaptation.hospital_division import Division, nested_draws
from medtransfer.evaluation.scoring.run import WHOLE_CASE, RunArrays
from medtransfer.metrics.kernels.sums import Flags
from medtransfer.posthoc.adaptation.arms import LACKS_CLASS
from medtransfer.seeds import generator

HELD_LACKS_CLASS = "the patients that are held back to select the checkpoint lack a class"


@dataclass(frozen=True, eq=False)
class TuningDraw:
    """Patients to tune a network with.

    Attributes:
        patients: Their number.
        held_patients: Number of those that are held back.
        ids: Ids of all cases of the table. [N]
        train: Cases to train on. [N]
        held: Cases that select the checkpoint and that thresholds and calibrators are fitted on.
            [N]
        reason: Reason that no network can be tuned with them; None if one can.
        unlearned: Targets of which the training cases have one answer alone, or classes that none
            of them has.
    """

    patients: int
    held_patients: int
    ids: NDArray[np.str_]
    train: Flags
    held: Flags
    reason: str | None
    unlearned: tuple[str, ...]

    @property
    def case_ids(self) -> set[str]:
        """Ids of all cases of the patients."""
        return set(self.ids[self.train | self.held].tolist())


def tuning_draws(
    network: LocalNetwork, division: Division, sizes: Sequence[int], settings: SequentialConfig
) -> Iterator[TuningDraw]:
    """Draw nested sets of patients from those to fit on, each divided by patient.

    Args:
        network: Predictions of the bundle at the hospital.
        division: Patients to draw from, and those that judge.
        sizes: Numbers of patients, rising.
        settings: Share that is held back, and the seed of the draw and of the parts, which are
            stratified by the targets that a patient is ever positive for.
    """
    run, seed = network.run, settings.seed
    ids = run.frame["case_id"].to_numpy().astype(np.str_)
    for draw in nested_draws(run, division, sizes, AdaptConfig(seed=seed, draws=1)):
        name = f"{network.hospital} {draw.size}"
        held = draw.cases & _held_back(run, draw.cases, name, settings)
        train = draw.cases & ~held
        yield TuningDraw(
            patients=draw.size,
            held_patients=run.patients(held),
            ids=ids,
            train=train,
            held=held,
            reason=_lacking(run, train, held),
            unlearned=tuple(_unlearned(run, train)),
        )


def _held_back(run: RunArrays, cases: Flags, name: str, settings: SequentialConfig) -> Flags:
    """Cases of the patients that are held back. [N]"""
    patients, unit = np.unique(run.patient[cases], return_inverse=True)
    positive = np.zeros((len(patients), len(run.names)), dtype=bool)
    np.logical_or.at(positive, unit, np.nan_to_num(run.targets[cases]) > 0.5)
    shares = 1 - settings.held_share, settings.held_share
    parts = stratify(positive, shares, generator(settings.seed, "held back", name))
    return np.isin(run.patient, patients[parts == 1])


def _unlearned(run: RunArrays, train: Flags) -> Iterator[str]:
    for number, name in enumerate(run.names):
        answers = set(run.truth(number)[train & run.labelled(number)].tolist())
        if 1 not in answers or (0 not in answers and not run.single_label):
            yield name


def _lacking(run: RunArrays, train: Flags, held: Flags) -> str | None:
    """Reason that a part cannot serve: no target has both of its values there."""
    for rows, reason in ((train, LACKS_CLASS), (held, HELD_LACKS_CLASS)):
        numbers = [WHOLE_CASE] if run.single_label else run.numbers()
        values = [np.unique(run.truth(n)[rows & run.labelled(n)]) for n in numbers]
        if max(len(of_target) for of_target in values) < 2:
            return reason
    return None
