"""Rungs whose features are in a file: the same tables, without an image or a network."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.in_process import run_here

from medtransfer.errors import ConfigError, StudyError, TableError, WeightsError
from medtransfer.runs.embedded.make import write_features
from medtransfer.runs.events import Event, RunEnded
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.check import check_study
from medtransfer.study.config import Study
from medtransfer.study.plan import plan_runs, read_data

HEADS = ("linear", "neighbours", "centroid", "mlp")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest without images, and features that know the answer in part."""
    folder = tmp_path_factory.mktemp("embeddings")
    draw = np.random.default_rng(0)
    sick = draw.integers(0, 2, 160)
    values = draw.normal(size=(160, 8)) + sick[:, None] * np.linspace(2, 0, 8)
    names = [f"i{k}" for k in range(160)]
    manifest = {
        "image_id": names,
        "case_id": names,
        "patient_id": [f"p{k // 2}" for k in range(160)],
        "cohort": ["a"] * 110 + ["b"] * 50,
        "sick": sick,
    }
    pl.DataFrame(manifest).write_csv(folder / "m.csv")
    frame = pl.DataFrame({"image_id": [*names, "unknown"], "v": [*values.tolist(), [0.0] * 8]})
    frame.write_parquet(folder / "f.parquet")
    return folder


def study(tables: Path, *rungs: dict[str, Any], **changes: object) -> Study:
    return Study.model_validate(
        {
            "name": "e",
            "data": {
                "manifest": tables / "m.csv",
                "task": "binary",
                "targets": ["sick"],
                "split": {"train_cohorts": ["a"]},
            },
            "rungs": rungs or [{"rung": "embeddings/e", "features": tables / "f.parquet"}],
            "seeds": [0],
            "evaluation": {"replicates": 0, "permutations": 0},
            **changes,
        }
    )


@pytest.mark.slow
def test_every_head_ends_in_the_tables_of_a_study(tables: Path, tmp_path: Path) -> None:
    rungs = [
        {"rung": f"embeddings/{head}", "features": tables / "f.parquet", "head": head}
        for head in HEADS
    ]
    folder = run_here(study(tables, *rungs, label_fractions=[0.5, 1.0]), tmp_path / "s")
    results = pl.read_parquet(folder.path / "results.parquet")
    runs = results.filter((pl.col("metric") == "auroc") & pl.col("run_id").is_not_null())
    assert runs["value"].min() > 0.75  # type: ignore[operator]
    assert set(runs["cohort"]) == {"a", "b"}
    listed = pl.read_csv(folder.path / "runs.csv")
    assert set(listed["weights"]) == {"features from a file, no network"}
    ood = results.filter(pl.col("metric").str.contains("ood"))
    assert not ood.is_empty()
    again = plan_runs(study(tables, *rungs), read_data(study(tables, *rungs), folder.images))
    assert all(folder.run(run.run_id).is_done() for run in again)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["neighbours", "mlp"])
def test_a_cohort_that_is_added_gets_the_numbers_of_a_fresh_study(
    tables: Path, tmp_path: Path, head: str
) -> None:
    rung = {"rung": "embeddings/e", "features": tables / "f.parquet", "head": head}
    whole = run_here(study(tables, rung), tmp_path / "whole")
    before = tmp_path / "before"
    before.mkdir()
    rows = pl.read_csv(tables / "m.csv")
    rows.filter(pl.col("cohort") == "a").write_csv(before / "m.csv")
    grown = run_here(study(before, rung), tmp_path / "grown")
    rows.write_csv(before / "m.csv")
    grown = run_here(study(before, rung), tmp_path / "grown")
    tables_of = [
        pl.read_parquet(folder.path / "predictions.parquet").sort("case_id")
        for folder in (whole, grown)
    ]
    assert tables_of[0].equals(tables_of[1])


def test_ids_that_do_not_fit_are_counted_at_check(tables: Path, tmp_path: Path) -> None:
    report = check_study(study(tables), tmp_path / "s")
    (finding,) = [f for f in report.findings if f.code == "A022"]
    assert finding.sentence == (
        "1 id in the features of rung 'embeddings/e' are not in the manifest: not used"
    )
    assert [run.num_images for run in report.runs] == [0]
    assert report.runs[0].needs == ()


def test_another_file_is_another_run_and_the_same_file_elsewhere_is_not(
    tables: Path, tmp_path: Path
) -> None:
    def run_id(path: Path, **settings: object) -> str:
        entry = {"rung": "embeddings/e", "features": path, **settings}
        one = study(tables, entry)
        return plan_runs(one, read_data(one, tmp_path / "facts"))[0].run_id

    frame = pl.read_parquet(tables / "f.parquet")
    frame.write_parquet(tmp_path / "moved.parquet")
    frame.reverse().write_parquet(tmp_path / "other.parquet")
    first = run_id(tables / "f.parquet")
    assert run_id(tmp_path / "moved.parquet") == first
    assert run_id(tmp_path / "other.parquet") != first
    assert run_id(tables / "f.parquet", head="mlp") != first


def test_images_in_the_manifest_do_not_move_the_id(tables: Path, tmp_path: Path) -> None:
    with_paths = tmp_path / "with"
    with_paths.mkdir()
    frame = pl.read_csv(tables / "m.csv").with_columns(path=pl.lit("nowhere.png"))
    frame.write_csv(with_paths / "m.csv")
    entry = {"rung": "embeddings/e", "features": tables / "f.parquet"}
    ids = [
        plan_runs(one, read_data(one, tmp_path / "facts"))[0].run_id
        for one in (study(tables, entry), study(with_paths, entry))
    ]
    assert ids[0] == ids[1]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"rung": "embeddings/e"}, "needs features: the file of its features"),
        ({"rung": "embeddings/a b", "features": "f.npy"}, "a name has letters, digits"),
        ({"rung": "scratch/r26x1", "features": "f.npy"}, "features is for embeddings/ rungs"),
        ({"rung": "scratch/r26x1", "head": "mlp"}, "head is for embeddings/ rungs"),
        ({"rung": "embeddings/e", "features": "f.npy", "weights": "w.pth"}, "has no weights"),
        (
            {"rung": "embeddings/e", "features": "f", "training": {"tuning": {"mode": "full"}}},
            "tuning.mode must be linear",
        ),
        ({"rung": "embeddings/e", "features": "f", "pool": "attention"}, "pool by mean or max"),
        ({"rung": "embeddings/e", "features": "f", "head": "svm"}, "'centroid' or 'mlp'"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    tables: Path, entry: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        study(tables, entry)


def test_a_file_that_is_not_there_is_named(tables: Path, tmp_path: Path) -> None:
    one = study(tables, {"rung": "embeddings/e", "features": tmp_path / "none.parquet"})
    with pytest.raises(WeightsError, match="features file .*none.parquet.* does not exist"):
        read_data(one, tmp_path / "facts")


def test_a_case_without_features_stops_the_study(tables: Path, tmp_path: Path) -> None:
    pl.read_parquet(tables / "f.parquet").head(159).write_parquet(tmp_path / "f.parquet")
    one = study(tables, {"rung": "embeddings/e", "features": tmp_path / "f.parquet"})
    with pytest.raises(TableError, match="lack 1 case, row 161 of the manifest"):
        read_data(one, tmp_path / "facts")


@pytest.mark.slow
def test_features_that_change_between_two_runs_are_named(tables: Path, tmp_path: Path) -> None:
    place = tmp_path / "f.parquet"
    place.write_bytes((tables / "f.parquet").read_bytes())
    one = study(tables, {"rung": "embeddings/e", "features": place}, seeds=[0, 1])

    def swap(event: Event) -> None:
        if isinstance(event, RunEnded):
            pl.read_parquet(tables / "f.parquet").reverse().write_parquet(place)

    with pytest.raises(WeightsError, match="features of rung 'embeddings/e' changed while the"):
        run_here(one, tmp_path / "s", swap)


@pytest.mark.slow
def test_a_probe_on_our_features_is_our_linear_probe(
    tiny_study: Study, tmp_path: Path, finished: StudyFolder
) -> None:
    rung = "imagenet/effnet-lite0"
    made = write_features(rung, tiny_study.data.manifest, tmp_path / "f.parquet", size=32)
    assert (made.images, made.width, made.size) == (72, 1280, 32)
    changes = {
        "rungs": [rung, {"rung": "embeddings/own", "features": tmp_path / "f.parquet"}],
        "training": {"tuning": {"mode": "linear", "penalties": [1.0, 0.01]}},
        "evaluation": {"replicates": 0, "permutations": 0},
    }
    both = Study.model_validate(tiny_study.model_dump(exclude_unset=True) | changes)
    folder = run_here(both, tmp_path / "s")
    predictions = pl.read_parquet(folder.path / "predictions.parquet")
    first, second = (
        part.sort("case_id")["logit_malignant"].to_numpy()
        for part in predictions.partition_by("run_id")
    )
    assert np.allclose(first, second, atol=2e-4)
    assert np.abs(first).max() > 0.01


def test_features_are_made_of_networks_alone(tiny_study: Study, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no network to run"):
        write_features("embeddings/e", tiny_study.data.manifest, tmp_path / "f.parquet")
    with pytest.raises(ConfigError, match=r"allowed: \.parquet"):
        write_features("scratch/r26x0.25", tiny_study.data.manifest, tmp_path / "f.npy")


@pytest.mark.slow
def test_no_bundle_is_made_of_a_file_of_features(tables: Path, tmp_path: Path) -> None:
    from medtransfer import export_bundle

    folder = run_here(study(tables), tmp_path / "s")
    with pytest.raises(StudyError, match="is a file of features: the network"):
        export_bundle(folder.path, tmp_path / "b.medt")
