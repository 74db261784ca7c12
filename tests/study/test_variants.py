"""Several settings of one network in a study, as rungs of their own."""

from pathlib import Path

import polars as pl
import pytest
from tests.in_process import run_here

from medtransfer.models.config import ModelConfig
from medtransfer.models.ladder import find_rung
from medtransfer.models.weight_files import find_weights
from medtransfer.report.reading import load_study_data
from medtransfer.study.config import Study
from medtransfer.study.plan import plan_runs, read_data, splits_of

RUNG = "scratch/r14x0.5"
LARGE, HEAD = f"{RUNG}@variant-48px", f"{RUNG}@variant-head-only"
ENTRIES: list[object] = [
    RUNG,
    {"rung": LARGE, "image": {"resize": 48, "crop": 44, "flip": "horizontal"}},
    {"rung": HEAD, "training": {"tuning": {"mode": "linear"}}},
]


def study_of(tiny_study: Study, **changes: object) -> Study:
    fields = tiny_study.model_dump(exclude_unset=True) | {"rungs": ENTRIES}
    return Study.model_validate(fields | changes)


def test_each_has_its_settings_and_the_plain_rung_keeps_its_id(
    tiny_study: Study, tmp_path: Path
) -> None:
    study = study_of(tiny_study)
    assert Study.model_validate(study.model_dump(exclude_unset=True)) == study
    data = read_data(study, tmp_path / "images.parquet")
    runs = {run.cell.rung: run for run in plan_runs(study, data)}
    assert list(runs) == [RUNG, LARGE, HEAD]
    sizes = {rung: run.cell.run.data.image.crop for rung, run in runs.items()}
    assert sizes == {RUNG: 32, LARGE: 44, HEAD: 32}
    assert runs[HEAD].cell.run.training.tuning.mode == "linear"
    assert runs[RUNG].run_id == plan_runs(tiny_study, data)[0].run_id
    assert len({run.run_id for run in runs.values()}) == 3


def test_images_are_audited_as_each_mirrors_them(tiny_study: Study, tmp_path: Path) -> None:
    for rungs, flips in ((ENTRIES, {"none", "horizontal"}), (ENTRIES[::2], {"none"})):
        study = study_of(tiny_study, rungs=rungs)
        manifest = read_data(study, tmp_path / "images.parquet").manifest
        assert {part.image.flip for part in splits_of(study, manifest)} == flips


def test_its_weights_and_facts_are_those_of_the_rung_but_for_the_axis_of_scale() -> None:
    plain, variant = find_rung("tiny-100k/r26x0.25"), find_rung("tiny-100k/r26x0.25@variant-48px")
    assert variant.pretraining == plain.pretraining
    assert (plain.images is None, variant.images) == (False, None)
    configs = [ModelConfig(rung=rung.name) for rung in (plain, variant)]
    assert find_weights(configs[0]) == find_weights(configs[1])


@pytest.mark.parametrize(
    ("rungs", "message"),
    [
        ([RUNG, RUNG], f"rungs holds {RUNG} twice .name the second RUNG@variant-NAME"),
        ([f"{RUNG}@variant-"], "allowed: .*@variant-NAME with up to 31 letters"),
        ([f"{RUNG}@variant-48 px"], "ends in '@variant-48 px'"),
        ([{"rung": LARGE, "image": {"resize": 48, "crop": 64}}], "crop 64 is larger"),
        (
            [{"rung": "embeddings/e", "features": "e.parquet", "image": {"flip": "both"}}],
            "'embeddings/e' reads no images: leave out image",
        ),
    ],
)
def test_what_cannot_be(tiny_study: Study, rungs: list[object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        study_of(tiny_study, rungs=rungs)


@pytest.mark.slow
def test_a_study_runs_them_beside_their_rung_and_lists_them_after_it(
    tiny_study: Study, tmp_path: Path
) -> None:
    rung = "imagenet/effnet-lite0"
    larger = {"rung": f"{rung}@variant-48px", "image": {"resize": 48, "crop": 44}}
    training = {"tuning": {"mode": "linear"}}
    study = study_of(tiny_study, rungs=[rung, larger], training=training)
    folder = run_here(study, tmp_path / "s")
    assert [info.name for info in load_study_data(folder).rung_infos] == [rung, larger["rung"]]
    logits = pl.read_parquet(folder.path / "predictions.parquet")
    seen = logits.group_by("case_id").agg(pl.col("logit_malignant").n_unique())
    assert (seen["logit_malignant"] == 2).all()
