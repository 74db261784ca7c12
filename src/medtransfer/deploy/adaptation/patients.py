"""Patients of a hospital that a network is adapted with, and those that judge it."""

from dataclasses import replace

import numpy as np
import polars as pl

from medtransfer.data.config import Task
from medtransfer.deploy.validation.labelled_cases import LabelledPatients
from medtransfer.deploy.validation.local_network import LocalNetwork
from medtransfer.errors import ConfigError, listed, plural
from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.comparison.adaptation.hospital_division import Division, divide
from medtransfer.evaluation.scoring.run import RunArrays, run_arrays
from medtransfer.metrics.kernels.sums import Flags
from medtransfer.posthoc.adaptation.arms import NetworkArm, TrainedArm

MIN_TEST_PATIENTS = 2
"""Patients that judge an adapted network, at least."""
MIN_OF_ANSWER = 2
"""Patients of an answer that a new head or a further training needs, at least."""
MIN_FITTED: dict[NetworkArm | TrainedArm, int] = {"probe": 2, "sequential": 10}
"""Patients that an arm is fitted on, at least."""


def require_patients(
    arm: NetworkArm | TrainedArm, hospital: str, total: int, asked: int | None
) -> None:
    """Refuse a number of patients that leaves too few to fit on or to judge by.

    Args:
        arm: The arm.
        hospital: Name of the hospital.
        total: Its labelled patients.
        asked: Patients to fit on; None for half of them.

    Raises:
        ConfigError: There are not so many patients.
    """
    least, most = MIN_FITTED[arm], total - MIN_TEST_PATIENTS
    fitted = total // 2 if asked is None else asked
    if least <= fitted <= most:
        return
    wanted = "" if asked is None else f"{asked} to fit on are asked for, and "
    allowed = f" (allowed: {least} to {most})" if most >= least else f" (at least {2 * least})"
    raise ConfigError(
        f"The arm '{arm}' is judged on patients that it was not fitted on: {wanted}"
        f"{plural(total, 'patient')} of {hospital} have a label{allowed}."
    )


def require_answers(arm: NetworkArm | TrainedArm, task: Task, patients: LabelledPatients) -> None:
    """Refuse patients whose labels an arm cannot be fitted on, however they are drawn.

    A new head is chosen by a cross-validation over patients, and further training by patients held
    back: both take two patients of an answer.

    Args:
        arm: The arm.
        task: How the targets relate to each other.
        patients: Of the hospital.

    Raises:
        ConfigError: No target has enough patients of both answers, or a class has too few.
    """
    positive, negative = patients.positive, patients.negative
    few = [name for name in positive if positive[name] < MIN_OF_ANSWER]
    if task == "single-label" and arm == "probe":
        if few:
            counts = listed([f"'{name}' has {positive[name]}" for name in few])
            raise ConfigError(
                f"The arm '{arm}' fits one head for all classes and needs {MIN_OF_ANSWER} labelled "
                f"patients of each: of {patients.hospital} {counts}. Take --arm sequential or "
                "temperature, which do without."
            )
        return
    least = {name: min(positive[name], negative[name]) for name in positive}
    if max(least.values()) < MIN_OF_ANSWER:
        counts = [f"'{n}' has {positive[n]} and {negative[n]}" for n in positive]
        raise ConfigError(
            f"The arm '{arm}' needs {MIN_OF_ANSWER} labelled patients with a finding and "
            f"{MIN_OF_ANSWER} without it: of {patients.hospital} {listed(counts)}."
        )


def divide_patients(
    network: LocalNetwork, arm: NetworkArm | TrainedArm, seed: int, patients: int | None
) -> Division:
    """Divide the labelled patients of a hospital into those to fit on, and those that judge.

    Args:
        network: Predictions of the bundle at home and at the hospital.
        arm: The arm.
        seed: Of the draw, which is stratified by the targets that a patient is ever positive for.
        patients: To fit on, about; half of them by default.

    Raises:
        ConfigError: There are not so many patients.
    """
    run = network.run
    cases = network.cases & labelled_cases(run)
    total = run.patients(cases)
    require_patients(arm, network.hospital, total, patients)
    settings = AdaptConfig(pool=fitted_share(total, patients), seed=seed, draws=1)
    return divide(run, network.hospital, cases, settings, None)


def fitted_share(total: int, patients: int | None) -> float:
    """Share of the labelled patients that is fitted on: over 0 and under 1.

    Args:
        total: Labelled patients.
        patients: To fit on, about; half of them by default.
    """
    return 0.5 if patients is None else patients / total


def labelled_network(network: LocalNetwork) -> LocalNetwork:
    """The network without the hospital's cases that have no label."""
    run = network.run
    kept = run.frame.filter(pl.Series(~network.cases | labelled_cases(run)))["case_id"]
    if len(kept) == len(run.frame):
        return network
    frame = network.frame.filter(pl.col("case_id").is_in(kept.implode()))
    return replace(network, frame=frame, run=run_arrays(frame, run.task))


def labelled_cases(run: RunArrays) -> Flags:
    """Cases with a label of any target. [N]"""
    return np.any([run.labelled(number) for number in run.numbers()], axis=0)
