"""Mammograms from a study to a bundle's predictions: height and width, the breast, one side."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.data.images.mammograms import Film, drawn_mammogram
from tests.deploy.inference.test_predict import largest_difference, study_scores
from tests.in_process import run_here

from medtransfer.data.images.pictures import encode_png
from medtransfer.deploy.bundle.export import export_bundle
from medtransfer.deploy.bundle.reader import facts_text
from medtransfer.deploy.exchange.export_layout import export_layout
from medtransfer.deploy.gallery.gallery import make_gallery
from medtransfer.deploy.gallery.selection import GalleryChoice
from medtransfer.deploy.inference.model import load_bundle
from medtransfer.deploy.inference.predict_files import predict_files, prediction_summary
from medtransfer.evaluation.comparison.levels.table import read_levels
from medtransfer.report.page import write_report
from medtransfer.study.config import Study
from medtransfer.study.image_checks import audit_study_images
from medtransfer.study.plan import plan_runs, read_data
from medtransfer.tables.results import read_results


def write_films(folder: Path, patients: int) -> Path:
    """Both breasts of each patient, a lesion in every third; one image is blank."""
    rows: list[dict[str, object]] = []
    for patient in range(patients):
        for side, wall in (("L", "left"), ("R", "right")):
            film, (top, bottom, left, right) = drawn_mammogram(
                Film(96, 72, wall=wall, seed=2 * patient + (side == "R"))  # type: ignore[arg-type]
            )
            if cancer := patient % 3 == 0:
                film = film.copy()
                film[(top + bottom) // 2 :, (left + right) // 2 :][:6, :6] = 230
            if (patient, side) == (1, "L"):
                film = np.full_like(film, 9)
            name = f"p{patient:02d}{side}"
            (folder / f"{name}.png").write_bytes(encode_png(film))
            rows.append(
                {
                    "image_id": name,
                    "path": f"{name}.png",
                    "case_id": name,
                    "patient_id": f"p{patient:02d}",
                    "exam_id": 1000 + patient,
                    "cohort": "a",
                    "laterality": side,
                    "cancer": int(cancer),
                }
            )
    pl.DataFrame(rows).write_csv(folder / "films.csv")
    return folder / "films.csv"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rung", "others"),
    [
        ("scratch/r14x0.5", [{"rung": "scratch/r26x0.25"}]),
        ("scratch/timm:vit_tiny_patch16_224", []),
    ],
)
def test_a_bundle_predicts_the_breasts_that_its_study_saw(
    tmp_path: Path, rung: str, others: list[dict[str, str]]
) -> None:
    manifest = write_films(tmp_path, 30)
    image = {"resize": [64, 48], "crop": [64, 48], "region": "breast", "chest_wall": "left"}
    study = Study.model_validate(
        {
            "name": "breasts",
            "data": {
                "manifest": manifest,
                "task": "binary",
                "targets": ["cancer"],
                "image": image,
                "levels": {"exam_id": "max"},
            },
            "rungs": [{"rung": rung}, *others],
            "seeds": [0],
            "training": {"batch_size": 8, "micro_batch": 8, "steps": 3, "checks": 1},
            "evaluation": {"replicates": 20, "permutations": 0},
        }
    )
    folder = run_here(study, tmp_path / "study")
    data = read_data(study, folder.images)
    checked = audit_study_images(study, folder, data, plan_runs(study, data))
    sentences = {f.code: (f.sentence, f.rows) for f in checked.findings if f.code == "C008"}
    assert sentences["C008"][0].startswith("1 of 60 images without a clear breast, taken whole")
    assert sentences["C008"][1] == (4,)
    page = write_report(folder).read_text("utf-8")
    assert "box around the breast, chest wall to the left, 64 × 48 → 64 × 48 px" in page
    levels = read_levels(folder.path / "curves" / "levels.parquet")
    exams = levels.filter((pl.col("metric") == "auroc") & pl.col("run_id").is_null())
    cases = read_results(folder.path / "results.parquet").filter(
        (pl.col("metric") == "auroc") & pl.col("run_id").is_null()
    )
    assert exams["num_cases"].to_list() == [n // 2 for n in cases["num_cases"]]
    assert exams["num_patients"].to_list() == cases["num_patients"].to_list()
    assert "By &#x27;exam_id&#x27;" in page or "By &#39;exam_id&#39;" in page
    differences = folder.path / "curves" / "level_comparisons.parquet"
    assert differences.is_file() == bool(others)
    made = export_bundle(folder, tmp_path / "a.medt", rung=rung)
    if "timm:" in rung:  # which the hub's layout needs
        hub = export_layout(made.path, tmp_path / "hub", "huggingface")
        assert "neither cuts nor mirrors" in (hub / "README.md").read_text("utf-8")
        choice = GalleryChoice("uncertain", 1)
        maps = make_gallery(folder, tmp_path / "gallery", choice=choice, rung=rung, heat_maps=True)
        assert "chest wall to the left; it may be mirrored" in maps.page.read_text("utf-8")
    framing = json.loads(facts_text(made.facts))["input"]["framing"]
    assert framing == {"region": "breast", "chest_wall": "left", "rules": 1}
    assert "chest wall to the left" in made.card
    model = load_bundle(made.path, device="cpu")
    files = predict_files(model, manifest, tmp_path / "out.csv")
    assert (
        largest_difference(study_scores(folder, made), files.outcome.scores, "logit_cancer") < 1e-5
    )
    assert files.outcome.frame["images_whole"].sum() == 1
    assert "1 image without a clear breast, taken whole" in prediction_summary(files)
    film = drawn_mammogram(Film(96, 72, wall="right", seed=5))[0]
    both = model.predict([film, np.ascontiguousarray(film[:, ::-1])]).frame["logit_cancer"]
    assert both[0] == pytest.approx(both[1], abs=1e-5)  # both have the chest wall to the left
