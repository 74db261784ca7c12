"""What is counted by case is what the cases hold."""

import numpy as np
import polars as pl
from hypothesis import given
from tests.strategies import FEW, manifests, question

from medtransfer.data.case_table import CaseTable
from medtransfer.data.cases import build_cases
from medtransfer.data.splits import assign_splits
from medtransfer.tables.manifest import SPLITS, Manifest


@FEW
@given(manifests(targets=2, cohorts=3))
def test_the_table_and_the_cases_agree(manifest: Manifest) -> None:
    first = min(manifest.frame["cohort"].to_list())
    data = question("t0", "t1", train_cohorts=[first])
    frame = assign_splits(manifest, data)
    table, cases = CaseTable(frame, data), build_cases(frame, data)
    assert len(table) == len(cases)
    assert frame["case_id"].gather(table.first).to_list() == cases.case_ids.tolist()
    assert table.kinds["split"].to_list() == cases.splits.tolist()
    assert table.kinds["cohort"].to_list() == cases.cohorts.tolist()
    assert table.images.tolist() == cases.counts.tolist()
    np.testing.assert_equal(table.targets, cases.targets)
    _, patients = np.unique(cases.patient_ids, return_inverse=True)
    assert table.patients.tolist() == patients.tolist()
    assert table.internal.tolist() == (cases.cohorts == first).tolist()
    others = sorted(set(cases.cohorts.tolist()) - {first})
    assert table.shifted == tuple(f"cohort {name}" for name in others)
    placed = [table.rows_of(place) for place in (*SPLITS, *table.shifted)]
    assert np.sum(placed, axis=0).tolist() == [1] * len(table)


def test_an_attribute_is_that_of_the_first_image_as_text() -> None:
    frame = pl.DataFrame(
        {
            "image_id": ["1", "2", "3"],
            "case_id": ["b", "a", "b"],
            "patient_id": ["p", "q", "p"],
            "cohort": ["A"] * 3,
            "split": ["train"] * 3,
            "t": ["1", "0", None],
            "age": [40, 50, 41],
        }
    )
    data = question("t").model_copy(update={"attributes": ("age",)})
    assert CaseTable(frame, data).kinds["age"].to_list() == ["50", "40"]
