"""A new head for a hospital: fitted on some of its patients, measured on the others."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medtransfer.deploy.adaptation.patients import divide_patients
from medtransfer.deploy.validation.from_predictions import Recalibration
from medtransfer.deploy.validation.local_network import LocalNetwork
from medtransfer.evaluation.comparison.adaptation.adapted_run import AdaptedRun
from medtransfer.evaluation.comparison.adaptation.hospital_division import Division
from medtransfer.evaluation.comparison.adaptation.probed_run import (
    PROBE,
    LocalProbes,
    MemberVectors,
    local_probes,
    run_with_probes,
    with_all_features,
)
from medtransfer.evaluation.scoring.run import WHOLE_CASE
from medtransfer.metrics.kernels.sums import Floats
from medtransfer.posthoc.adaptation.home_features import HomeFeatures


@dataclass(frozen=True, eq=False)
class HospitalProbe:
    """A probe of a network at a hospital.

    Attributes:
        network: Predictions of the bundle at home and here.
        features: Seen by the head of each network; NaN for cases of the home hospital. Each [N, D]
        division: Cases of the patients that it is fitted on (`pool`), and of those that judge it.
        probes: Of each target, of each network; or the reason that there is none.
        adapted: The network with these heads.
    """

    network: LocalNetwork
    features: MemberVectors
    division: Division
    probes: LocalProbes
    adapted: AdaptedRun

    @property
    def patients(self) -> int:
        """Number of patients that it is fitted on."""
        return self.network.run.patients(self.division.pool)

    @property
    def reasons(self) -> dict[str, str]:
        """Targets that have no probe, with the reason."""
        names = self.network.run.names
        reasons = {n: self._probe(n) for n in range(len(names))}
        return {names[n]: probe for n, probe in reasons.items() if isinstance(probe, str)}

    def _probe(self, number: int) -> object:
        return self.probes[WHOLE_CASE if self.network.run.single_label else number]

    def held_out_logits(self, member: int) -> Floats:
        """Logits of all targets under the new heads of a network. [N, T]

        Those of a case that a head was fitted on are of the head that was fitted without its
        patient in the cross-validation. A target without a probe keeps the network's.

        Args:
            member: Number of the network.
        """
        run, pool = self.network.run, self.division.pool
        table = self.network.frame.filter(member=member).sort("case_id")
        logits = table.select(f"logit_{name}" for name in run.names).to_numpy().astype(np.float64)
        seen = with_all_features(self.features)
        for number, probes in self.probes.items():
            if isinstance(probes, str):
                continue
            columns = slice(None) if number == WHOLE_CASE else number
            logits[seen, columns] = probes[member].head.logits(self.features[member][seen])
            logits[pool & seen & run.labelled(number), columns] = probes[member].held_out
        return logits

    def measured(self) -> Recalibration:
        """Numbers of the patients that judge it."""
        network, run, division = self.network, self.network.run, self.division
        return Recalibration(
            arm=PROBE,
            keeps_order=False,
            fit_patients=self.patients,
            fit_positives={
                name: int((division.pool & (run.targets[:, number] == 1)).sum())
                for number, name in enumerate(run.names)
            },
            adapted=self.adapted,
            test=division.test,
            numbers=network.measured(network.hospital, division.test, self.adapted, PROBE),
            reason=next(iter(self.reasons.values()), None),
        )


def fit_hospital_probe(
    network: LocalNetwork, features: Sequence[HomeFeatures], seed: int, patients: int | None = None
) -> HospitalProbe:
    """Fit a new head on the features of some labelled patients of a hospital.

    Args:
        network: Predictions of the bundle at home and at the hospital.
        features: Seen of the hospital's cases by the head of each network.
        seed: Of the draw of the patients and of the folds.
        patients: To fit on, about; half of the labelled ones by default. The others judge.

    Raises:
        ConfigError: There are not so many patients.
    """
    run = network.run
    division = divide_patients(network, PROBE, seed, patients)
    ids = run.frame["case_id"].to_numpy().astype(np.str_)
    values = tuple(of_member.of(ids) for of_member in features)
    probes = local_probes(run, values, division.pool, seed)
    adapted = run_with_probes(run, network.fit, values, probes)
    return HospitalProbe(network, values, division, probes, adapted)
