"""A study that tests on what its own rung was pre-trained on stops, and says of how many images."""

import json
from pathlib import Path

import polars as pl
import pytest
from tests.in_process import pretrain_here

from medtransfer.data.audit.findings import Finding
from medtransfer.data.splits import assign_splits
from medtransfer.errors import StudyError
from medtransfer.pretraining.config import Pretrain
from medtransfer.pretraining.rung_folder import RungFolder
from medtransfer.runs.inputs import read_run_manifest
from medtransfer.study.config import Study
from medtransfer.study.plan import check_findings, read_data


@pytest.fixture
def digests(tiny_study: Study, tmp_path: Path) -> pl.DataFrame:
    """Split and digest of every image of the study."""
    data = read_data(tiny_study, tmp_path / "facts.parquet")
    frame = assign_splits(read_run_manifest(tiny_study.data), tiny_study.data)
    return frame.select("image_id", "split").join(data.facts, on="image_id")


def leave_rung(name: str, seen: pl.DataFrame | None, start: str = "scratch/r26x0.25") -> None:
    """What `medtransfer pretrain` leaves of a rung, without its weights."""
    folder = Path("rungs") / name
    folder.mkdir(parents=True)
    facts = {
        "architecture": "r26x0.25",
        "pretraining": "films",
        "images": 9,
        "sha256": "0" * 64,
        "licence": "ours",
        "note": "",
    }
    (folder / "rung.json").write_text(json.dumps(facts))
    if seen is not None:
        RungFolder(folder).write_trained_on(start, seen["sha256"])


def found(study: Study, rung: str, memory: Path) -> list[Finding]:
    own = Study.model_validate(study.model_dump(exclude_unset=True) | {"rungs": [rung]})
    return [f for f in read_data(own, memory / "facts.parquet").findings if f.code == "A017"]


@pytest.fixture(autouse=True)
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_images_that_are_tested_on_are_counted_and_stop_the_study(
    tiny_study: Study, digests: pl.DataFrame, tmp_path: Path
) -> None:
    tested = digests.filter(pl.col("split") == "test").head(3)
    leave_rung("films", pl.concat([digests.filter(pl.col("split") == "train"), tested]))
    (finding,) = found(tiny_study, "own/films", tmp_path)
    assert finding.sentence == "3 images tested on, seen by rung 'own/films'"
    assert len(finding.rows) == 3
    with pytest.raises(StudyError, match="A017 a rung was pre-trained on test images"):
        check_findings(tiny_study, (finding,))


@pytest.mark.slow
def test_the_images_of_the_rung_that_was_gone_on_from_count_too(
    tiny_study: Study, digests: pl.DataFrame, tmp_path: Path
) -> None:
    leave_rung("first", digests.filter(pl.col("split") == "test").head(1))
    leave_rung("second", digests.filter(pl.col("split") == "train"), "own/first")
    (finding,) = found(tiny_study, "own/second", tmp_path)
    assert finding.sentence.startswith("1 image tested on")


def test_pretraining_on_what_is_not_tested_is_fine(
    tiny_study: Study, digests: pl.DataFrame, tmp_path: Path
) -> None:
    leave_rung("films", digests.filter(pl.col("split").is_in(["train", "tune"])))
    leave_rung("bare", None)
    assert found(tiny_study, "own/films", tmp_path) == []
    assert found(tiny_study, "own/bare", tmp_path) == []


@pytest.mark.slow
def test_pretraining_on_the_same_table_reads_its_training_rows_alone(
    recipe: Pretrain, tmp_path: Path
) -> None:
    table = pl.read_parquet(tmp_path / "shades.parquet")
    split = ["train", "train", "train", "tune", "test"] * (len(table) // 5)
    ids = [f"i{number}" for number in range(len(table))]
    manifest = table.with_columns(
        split=pl.Series(split),
        cohort=pl.lit("a"),
        **{name: pl.Series(ids) for name in ("image_id", "case_id", "patient_id")},
    )
    manifest.write_parquet(tmp_path / "shades.parquet")
    pretrain_here(recipe)
    study = Study.model_validate(
        {
            "name": "s",
            "rungs": ["own/shades"],
            "seeds": [0],
            "data": {
                "manifest": tmp_path / "shades.parquet",
                "task": "single-label",
                "class_column": "label",
                "targets": ["shade0", "shade1", "shade2"],
                "image": {"resize": 18, "crop": 16},
            },
        }
    )
    assert found(study, "own/shades", tmp_path) == []
    moved = ["test", "train", "train", "tune", "test"] * (len(table) // 5)
    manifest.with_columns(split=pl.Series(moved)).write_parquet(tmp_path / "shades.parquet")
    (finding,) = found(study, "own/shades", tmp_path / "again")
    assert finding.sentence == "12 images tested on, seen by rung 'own/shades'"
