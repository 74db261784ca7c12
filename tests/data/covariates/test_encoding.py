"""Clinical data as numbers: fitted on training cases, the same for all others, all counted."""

from typing import Any, cast

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from medtransfer.data.covariates.cells import covariate_cells
from medtransfer.data.covariates.encoding import CovariateEncoding
from medtransfer.errors import TableError

SITES = ["back", "face", "leg"]


def cells(ages: list[str | None], sites: list[str | None]) -> pl.DataFrame:
    ids = [f"c{n:03}" for n in range(len(ages))]
    return pl.DataFrame(
        {"case_id": ids, "age": ages, "site": sites},
        schema={"case_id": pl.String, "age": pl.String, "site": pl.String},
    )


TRAIN = cells(
    [str(20 + n % 17) for n in range(60)], [SITES[n % 3] for n in range(58)] + ["ear", None]
)


def test_numbers_and_values_are_those_of_scikit_learn() -> None:
    encoding = CovariateEncoding.fit(TRAIN, ["age", "site"])
    values = encoding.encode(TRAIN)
    ages = TRAIN["age"].cast(pl.Float64).to_numpy()[:, None]
    assert np.allclose(values[:, 0], StandardScaler().fit_transform(ages)[:, 0], atol=1e-6)
    encoder = OneHotEncoder(
        categories=cast("Any", [SITES]), handle_unknown="ignore", sparse_output=False
    )
    sites = np.array(TRAIN["site"].fill_null("").to_list())[:, None]
    assert np.array_equal(values[:, 2:5], encoder.fit_transform(sites))
    assert encoding.width == 6
    assert encoding.places() == {"age": slice(0, 2), "site": slice(2, 6)}


def test_what_is_missing_unseen_or_rare_is_0_and_flagged_and_counted() -> None:
    encoding = CovariateEncoding.fit(TRAIN, ["age", "site"])
    others = cells(["30", None, "old", "31"], ["ear", "hand", None, "face"])
    values = encoding.encode(others)
    assert values[:, 1].tolist() == [0, 1, 1, 0]
    assert values[:, 5].tolist() == [1, 1, 1, 0]  # one case with an ear is too few
    assert values[1:3, 0].tolist() == [0, 0]
    assert values[:3, 2:5].sum() == 0
    age, site = encoding.columns
    assert (age.unseen(others["age"]), site.unseen(others["site"])) == (1, 2)


def test_few_distinct_numbers_are_values() -> None:
    grades = cells([str(n % 4) for n in range(40)], ["face"] * 40)
    column = CovariateEncoding.fit(grades, ["age"]).columns[0]
    assert column.fewest == 10
    handful = CovariateEncoding.fit(grades.head(6), ["age"]).columns[0]
    assert (handful.categories, handful.fewest) == (("0", "1", "2", "3"), 1)
    assert column.categories == ("0", "1", "2", "3")


def test_an_empty_covariate_is_refused() -> None:
    with pytest.raises(TableError, match="Covariate age is empty in all training cases"):
        CovariateEncoding.fit(cells([None] * 9, ["face"] * 9), ["age", "site"])


@pytest.mark.slow
@given(st.lists(st.none() | st.text(max_size=4), min_size=1, max_size=30))
def test_every_cell_has_one_number_or_value_or_its_flag(texts: list[str | None]) -> None:
    encoding = CovariateEncoding.fit(TRAIN, ["age", "site"])
    values = encoding.encode(cells(texts, texts))
    assert np.isfinite(values).all()
    assert set(np.unique(values[:, 2:6].sum(axis=1))) <= {1.0}
    order = np.random.default_rng(0).permutation(len(texts))
    shuffled = [texts[row] for row in order]
    assert np.array_equal(encoding.encode(cells(shuffled, shuffled)), values[order])


def test_a_case_has_the_value_that_its_images_agree_on() -> None:
    frame = pl.DataFrame(
        {
            "case_id": ["a", "a", "b", "b", "c"],
            "view": ["PA", "PA", "PA", "LL", " "],
            "age": [50, 50, None, 41, 7],
        }
    )
    table = covariate_cells(frame, ["age", "view"])
    assert table.rows() == [("a", "50", "PA"), ("b", "41", None), ("c", "7", None)]
    with pytest.raises(TableError, match="covariates or mitigation names bmi, which"):
        covariate_cells(frame, ["bmi"])
