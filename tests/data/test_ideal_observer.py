"""The ideal observer of a phantom, against formulas and against the phantom itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from medtransfer.data.ideal_observer import ideal_predictions
from medtransfer.data.phantom import Hospital, Phantom, write_phantom

PHANTOM = Phantom(
    hospitals={"a": Hospital(60, prevalence=0.5), "b": Hospital(60, prevalence=0.2, signal=0.5)},
    size=16,
    spread=0.5,
)


def auroc(table: pl.DataFrame) -> float:
    return float(roc_auc_score(table["target_malignant"], table["logit_malignant"]))


def test_without_a_gap_its_auroc_is_that_of_two_normal_curves() -> None:
    table = ideal_predictions(PHANTOM, "a", cases=100_000)
    for cohort, signal in (("a", 1.0), ("b", 0.5)):
        exact = norm.cdf(signal / 0.5 / np.sqrt(2))
        assert auroc(table.filter(pl.col("cohort") == cohort)) == pytest.approx(exact, abs=0.004)


def test_its_probabilities_are_the_frequencies_at_home_and_too_high_where_illness_is_rarer() -> (
    None
):
    noisy = replace(PHANTOM, label_noise=0.05, group_gap=0.4)
    table = ideal_predictions(noisy, "a", cases=60_000)
    bins = (1 / (1 + (-pl.col("logit_malignant")).exp())).alias("p")
    table = table.with_columns(bins)
    for _, part in table.filter(pl.col("cohort") == "a").group_by((pl.col("p") * 10).floor()):
        if len(part) > 2000:
            mean = part["p"].mean(), part["target_malignant"].mean()
            assert mean[0] == pytest.approx(mean[1], abs=0.02)
    away = table.filter(pl.col("cohort") == "b").select("p", "target_malignant").mean()
    assert away["p"][0] > away["target_malignant"][0] + 0.05


def test_women_are_served_worse_by_the_planted_gap_and_by_nothing_without_it() -> None:
    def of_sexes(phantom: Phantom) -> tuple[float, float]:
        table = ideal_predictions(phantom, "a", cases=60_000).filter(pl.col("cohort") == "a")
        women, men = (auroc(table.filter(pl.col("sex") == sex)) for sex in "FM")
        return women, men

    women, men = of_sexes(PHANTOM)
    assert women == pytest.approx(men, abs=0.01)
    women, men = of_sexes(replace(PHANTOM, group_gap=0.5))
    assert women == pytest.approx(norm.cdf(0.5 / 0.5 / np.sqrt(2)), abs=0.01)
    assert men > women + 0.1


def test_no_sign_is_chance_for_the_best_of_readers() -> None:
    assert auroc(ideal_predictions(replace(PHANTOM, signal=0.0), "a", cases=20_000)) == (
        pytest.approx(0.5, abs=0.01)
    )


def test_a_spread_changes_pictures_and_leaves_patients_and_truth_alone(tmp_path: Path) -> None:
    tables = [
        pl.read_parquet(write_phantom(phantom, tmp_path / f"{number}.parquet"))
        for number, phantom in enumerate((replace(PHANTOM, spread=0.0), PHANTOM))
    ]
    same = ["image_id", "patient_id", "sex", "age", "truth_malignant", "malignant"]
    assert tables[0].select(same).equals(tables[1].select(same))
    assert not tables[0]["image"].equals(tables[1]["image"])
