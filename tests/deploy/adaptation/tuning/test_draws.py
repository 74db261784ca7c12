"""Patients that networks are tuned with: nested, apart from each other, with both answers."""

import polars as pl
from tests.prediction_tables import Site, binary_table

from medtransfer.deploy.adaptation.patients import divide_patients, labelled_network
from medtransfer.deploy.adaptation.tuning.config import SequentialConfig
from medtransfer.deploy.adaptation.tuning.draws import HELD_LACKS_CLASS, tuning_draws
from medtransfer.deploy.validation.local_network import LocalNetwork, local_network
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.metrics.kernels.sums import Flags

HOME = binary_table({"home": Site(patients={"tune": 60, "test": 60}, prevalence=0.4)}, seed=3)
SOUTH = binary_table({"south": Site(patients={"test": 200}, prevalence=0.4)}, seed=7)


def network_of(here: pl.DataFrame) -> LocalNetwork:
    return local_network(HOME, here, "binary", EvaluationConfig(replicates=50))


def patients_of(network: LocalNetwork, cases: Flags) -> set[str]:
    return set(network.run.frame.filter(pl.Series(cases))["patient_id"].to_list())


def test_draws_are_nested_and_no_patient_is_in_two_parts() -> None:
    network = network_of(SOUTH)
    division = divide_patients(network, "sequential", 0, 100)
    few, many = tuning_draws(network, division, (50, 100), SequentialConfig())
    assert (few.patients, few.held_patients) == (50, 15)
    assert (many.patients, many.held_patients) == (100, 30)
    assert few.case_ids < many.case_ids
    test = patients_of(network, division.test)
    for draw in (few, many):
        train, held = patients_of(network, draw.train), patients_of(network, draw.held)
        assert len(train | held) == draw.patients
        assert not train & held
        assert not (train | held) & test
        assert draw.reason is None


def test_share_and_seed_change_who_is_held_back_alone() -> None:
    network = network_of(SOUTH)
    division = divide_patients(network, "sequential", 0, 100)
    (usual,) = tuning_draws(network, division, (100,), SequentialConfig())
    (half,) = tuning_draws(network, division, (100,), SequentialConfig(held_share=0.5))
    (other,) = tuning_draws(network, division, (100,), SequentialConfig(seed=1))
    assert half.held_patients == 50
    assert usual.case_ids == half.case_ids == other.case_ids
    assert (usual.held != other.held).any()


def test_a_part_without_both_answers_says_so() -> None:
    ill = SOUTH.filter(target_x=1.0)["patient_id"][0]  # in one of the parts, or in none
    network = network_of(SOUTH.filter((pl.col("target_x") == 0) | (pl.col("patient_id") == ill)))
    division = divide_patients(network, "sequential", 0, None)
    (draw,) = tuning_draws(network, division, (20,), SequentialConfig())
    assert draw.reason in (HELD_LACKS_CLASS, "the labelled cases lack a class")


def test_cases_without_a_label_take_no_part() -> None:
    blank = pl.when(pl.int_range(pl.len()) < 40).then(None).otherwise("target_x")
    network = network_of(SOUTH.with_columns(target_x=blank))
    labelled = labelled_network(network)
    assert labelled.cases.sum() == network.cases.sum() - 40
    assert (labelled.promised_cases.sum(), network.promised_cases.sum()) == (60, 60)
