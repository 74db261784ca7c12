"""A rung is not tested on a public set that it was pre-trained on."""

from pathlib import Path

import polars as pl
import pytest

from medtransfer.pretraining.seen_sets import is_set, seen_test_sets
from medtransfer.study.config import Study
from medtransfer.study.plan import check_findings, read_data


@pytest.mark.parametrize(
    ("cohort", "name", "same"),
    [
        ("nih-chestxray14", "nih-chestxray14", True),
        ("NIH", "nih-chestxray14", True),
        ("mimic_cxr", "mimic-cxr-jpg", True),
        ("vindr-mammo", "vindr-cxr", False),
        ("vindr-mammo", "vindr-mammo", True),
        ("north", "nih-chestxray14", False),
        ("nihon university", "nih-chestxray14", False),
    ],
)
def test_a_cohort_is_known_by_its_name(cohort: str, name: str, same: bool) -> None:
    assert is_set(cohort, name) is same


def frame(**splits: str) -> pl.DataFrame:
    rows = [
        {"row": place, "image_id": f"i{place}", "cohort": cohort, "split": split}
        for place, (cohort, split) in enumerate(splits.items(), start=2)
    ]
    return pl.DataFrame(rows)


def test_only_tested_cohorts_are_named() -> None:
    seen = {"embeddings/e": ["chexpert", "padchest"], "bit-m/r50x1": []}
    rows = frame(chexpert="train", padchest="test", north="test")
    (finding,) = seen_test_sets(seen, [rows])
    assert finding.sentence == (
        "cohort 'padchest' (1 image tested on) is of padchest, which rung 'embeddings/e' has seen"
    )
    assert (finding.code, finding.level, finding.rows) == ("A023", "error", (3,))


@pytest.mark.parametrize(
    "rung",
    [{"rung": "scratch/r14x0.5", "seen": ["chexpert"]}, "chexficient/vit-b14"],
    ids=["stated in the study", "known of the rung"],
)
def test_a_study_that_tests_on_such_a_set_is_stopped(
    tiny_study: Study, tmp_path: Path, rung: object
) -> None:
    table = pl.read_parquet(tiny_study.data.manifest)
    table = table.with_columns(pl.col("cohort").replace({"b": "chexpert"}))
    table.write_parquet(tmp_path / "m.parquet")
    fields = tiny_study.model_dump(exclude_unset=True)
    fields["data"]["manifest"] = tmp_path / "m.parquet"
    fields["rungs"] = [rung]
    study = Study.model_validate(fields)
    data = read_data(study, tmp_path / "facts.parquet")
    with pytest.raises(Exception, match="A023 a rung was pre-trained on the public set of a test"):
        check_findings(study, data.findings)


def test_a_set_nobody_knows_is_refused(tiny_study: Study) -> None:
    fields = tiny_study.model_dump(exclude_unset=True)
    fields["rungs"] = [{"rung": "scratch/r14x0.5", "seen": ["chexprt"]}]
    with pytest.raises(ValueError, match="seen names 'chexprt', which is no public set.*chexpert"):
        Study.model_validate(fields)
