"""Bundles of networks that see clinical data: the study's logits, from a table or from headers."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.deploy.dicom_images import write_dicom
from tests.in_process import run_here

from medtransfer.data.covariates.encoding import CovariateColumn, CovariateEncoding
from medtransfer.deploy.bundle import trained_run
from medtransfer.deploy.bundle.export import ExportOptions, export_bundle
from medtransfer.deploy.bundle.reader import facts_text, read_bundle, read_facts
from medtransfer.deploy.clinical.cells import ClinicalData
from medtransfer.deploy.clinical.facts import (
    bundled_covariates,
    covariate_facts,
    encoding_of,
)
from medtransfer.deploy.exchange.export_layout import export_layout
from medtransfer.deploy.inference.follow import follow_folder
from medtransfer.deploy.inference.model import BundleModel, load_bundle
from medtransfer.deploy.inference.predict_files import predict_files
from medtransfer.deploy.inference.sources import case_source
from medtransfer.deploy.validation.validate import validate_bundle
from medtransfer.errors import BundleError, ConfigError, StudyError, TableError
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study

ENCODING = CovariateEncoding(
    (
        CovariateColumn("age", mean=50.0, deviation=10.0),
        CovariateColumn("sex", ("F", "M")),
    )
)


def pictures(folder: Path, **columns: list[object]) -> Path:
    """A table of three images with some columns; the images are not opened."""
    names = [f"{number}.png" for number in range(3)]
    for name in names:
        (folder / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    path = folder / "cases.csv"
    pl.DataFrame({"path": names, "case_id": ["a", "b", "c"], **columns}).write_csv(path)
    return path


def test_facts_hold_all_that_an_encoding_is_made_of() -> None:
    facts = covariate_facts(ENCODING)
    assert encoding_of(facts) == ENCODING
    assert bundled_covariates([ENCODING, ENCODING]) == (facts, facts)
    assert bundled_covariates([None, None]) == ()
    assert encoding_of(()) is None


def test_values_come_from_the_table_of_cases_and_gaps_are_counted(tmp_path: Path) -> None:
    table = pictures(tmp_path, age=[60, None, 40], sex=["F", "X", "M"])
    source = case_source(table, "auto", images_per_case=1)
    clinical = ClinicalData(ENCODING)
    cells = clinical.cells(source, [2, 0])
    assert cells.rows() == [("40", "M"), ("60", "F")]
    assert ENCODING.encode(cells).tolist() == [[-1, 0, 0, 1, 0], [1, 0, 1, 0, 0]]
    assert clinical.notes(source) == [
        "Clinical data 'age': missing in 1 case of 3; predicted as missing.",
        "Clinical data 'sex': a value that training lacks in 1 case of 3; predicted as missing.",
    ]


def test_numbers_outside_the_range_of_training_are_counted(tmp_path: Path) -> None:
    training = pl.DataFrame({"age": [str(age) for age in range(20, 80)]})
    encoding = CovariateEncoding.fit(training, ["age"])
    (column,) = (encoding_of(covariate_facts(encoding)) or encoding).columns
    assert (column.low, column.high) == (24, 75)  # the outermost four are persons of their own
    in_months = ClinicalData(encoding), pictures(tmp_path, age=[300, 600, 900])
    source = case_source(in_months[1], "auto", images_per_case=1)
    (note,) = in_months[0].notes(source)
    assert note == (
        "Clinical data 'age': 3 cases of 3 outside 24 to 75, where all but the outermost training "
        "cases lie. Is the unit another one? The median is 600 here."
    )
    source = case_source(pictures(tmp_path, age=[24, 75, 76]), "auto", images_per_case=1)
    (note,) = ClinicalData(encoding).notes(source)
    assert "'age': 1 case of 3 outside 24 to 75" in note
    assert "unit" not in note
    few = CovariateEncoding.fit(training.head(49), ["age"])
    assert few.columns[0].low is None


def test_a_table_of_its_own_goes_before_and_fills_what_the_other_lacks(tmp_path: Path) -> None:
    table = pictures(tmp_path, age=[60, 61, 62])
    own = tmp_path / "clinical.csv"
    pl.DataFrame({"case_id": ["b", "c"], "age": [20, None], "sex": ["M", "F"]}).write_csv(own)
    source = case_source(table, "auto", images_per_case=1)
    cells = ClinicalData(ENCODING, own).cells(source, range(3))
    assert cells.rows() == [("60", None), ("20", "M"), ("62", "F")]
    notes = ClinicalData(ENCODING, own).notes(source)
    assert notes[0] == 'Table "clinical.csv" has no row for 1 case of 3, by case_id.'
    pl.DataFrame({"case_id": ["x", "y"], "age": [20, 30]}).write_csv(own)
    with pytest.raises(TableError, match="has no row for any of the 3 cases, by case_id"):
        ClinicalData(ENCODING, own).notes(source)
    pl.DataFrame({"case_id": ["b"], "weight": [3]}).write_csv(own)
    with pytest.raises(TableError, match=r"needs a column \"case_id\".* age, sex"):
        ClinicalData(ENCODING, own).cells(source, range(3))


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["female", "male", "Female"], ["F", "M", "F"]),
        (["H", "M", "M"], ["M", "F", "F"]),
        (["w", "m", "unknown"], ["F", "M", None]),
    ],
)
def test_cells_are_read_as_those_of_a_manifest(
    tmp_path: Path, words: list[str], read: list[str | None]
) -> None:
    source = case_source(pictures(tmp_path, sex=list[object](words)), "auto", images_per_case=1)
    cells = ClinicalData(ENCODING).cells(source, range(3))["sex"].to_list()
    assert [cell if cell in ("F", "M") else None for cell in cells] == read


def test_ids_that_are_numbers_find_their_cases(tmp_path: Path) -> None:
    source = case_source(pictures(tmp_path, age=[60, 61, 62]), "auto", images_per_case=1)
    own = tmp_path / "clinical.parquet"
    pl.DataFrame({"case_id": [7], "age": [20]}).write_parquet(own)
    cells = ClinicalData(ENCODING, own).cells(source, range(3))
    assert cells["age"].to_list() == ["60", "61", "62"]


@pytest.mark.parametrize(
    ("categories", "expected"),
    [
        (("hombre", "mujer"), ("mujer", "hombre")),
        (("Frau", "Mann"), ("Frau", "Mann")),
        (("Kadın", "Erkek"), ("Kadın", "Erkek")),
        (("F", "M"), ("F", "M")),
        (("0", "1"), ("F", "M")),
    ],
)
def test_the_sex_of_a_header_is_the_category_that_means_it(
    tmp_path: Path, categories: tuple[str, ...], expected: tuple[str, str]
) -> None:
    for name, sex in (("a", "F"), ("b", "M")):
        shades = np.full((16, 16), 90, np.uint8)
        write_dicom(tmp_path / f"{name}.dcm", shades, study=name, PatientSex=sex)
    source = case_source([tmp_path], "image", images_per_case=1)
    column = CovariateColumn("sex", categories)
    encoding = replace(ENCODING, columns=(column, CovariateColumn("bone_age", mean=9.0)))
    rows = ClinicalData(encoding).cells(source, range(2)).rows()
    assert rows == [(expected[0], None), (expected[1], None)]


def test_age_and_sex_of_dicom_headers_are_read(tmp_path: Path) -> None:
    for name, age, sex in (("a", "063Y", "F"), ("b", "018M", "M"), ("c", "", "")):
        shades = np.full((16, 16), 90, np.uint8)
        entries = {"PatientAge": age, "PatientSex": sex}
        write_dicom(tmp_path / f"{name}.dcm", shades, study=name, **entries)
    source = case_source([tmp_path], "image", images_per_case=1)
    spelled = replace(
        ENCODING, columns=(ENCODING.columns[0], CovariateColumn("PatientSex", ("female", "male")))
    )
    assert ClinicalData(spelled).cells(source, range(3)).rows() == [
        ("63", "female"),
        ("1.500", "male"),
        (None, None),
    ]
    assert "missing in 1 case of 3" in ClinicalData(spelled).notes(source)[0]


@pytest.fixture(scope="module")
def study(
    tiny_study: Study, phantom_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> StudyFolder:
    folder = tmp_path_factory.mktemp("clinical")
    frame = pl.read_parquet(phantom_folder / "lesion.parquet")
    draw = np.random.default_rng(0)
    crp = pl.Series("crp", np.round(draw.normal(50, 10, len(frame)), 1))
    frame.with_columns(crp).write_parquet(folder / "lesion.parquet")
    fields = tiny_study.model_dump(exclude_unset=True)
    fields["data"] |= {"manifest": folder / "lesion.parquet"}
    probe = {"training": {"tuning": {"mode": "linear", "penalties": [1.0, 0.01]}}}
    fields |= {
        "covariates": ["crp", "sex"],
        "rungs": ["scratch/r14x0.5", {"rung": "tiny-100k/r26x0.25", **probe}],
        "seeds": [0, 1],
    }
    return run_here(Study.model_validate(fields), folder / "study")


@pytest.fixture(scope="module")
def model(study: StudyFolder, tmp_path_factory: pytest.TempPathFactory) -> BundleModel:
    path = tmp_path_factory.mktemp("bundle") / "clinical.medt"
    export_bundle(study, path, rung="scratch/r14x0.5@covariates", ensemble=True)
    return load_bundle(path, device="cpu")


def manifest_of(study: StudyFolder) -> Path:
    return study.path.parent / "lesion.parquet"


def largest_difference(study: StudyFolder, model: BundleModel, scores: pl.DataFrame) -> float:
    worst = 0.0
    for member, run_id in enumerate(model.facts.training.run_ids):
        theirs = study.run(run_id).predictions()
        both = theirs.join(scores.filter(member=member), on="case_id", suffix="_bundle")
        assert len(both) == len(theirs)
        gap = (both["logit_malignant"] - both["logit_malignant_bundle"]).abs().max()
        worst = max(worst, float(gap or 0.0))  # type: ignore[arg-type] — of floats
        detected = [both["ood_mahalanobis"], both["ood_mahalanobis_bundle"]]
        if worst < 1e-5:  # the features, clinical data among them, are the same too
            np.testing.assert_allclose(*(score.to_numpy() for score in detected), rtol=1e-5)
    return worst


@pytest.mark.slow
@pytest.mark.parametrize("rung", ["scratch/r14x0.5@covariates", "tiny-100k/r26x0.25@covariates"])
def test_a_bundle_predicts_as_its_study_did(study: StudyFolder, tmp_path: Path, rung: str) -> None:
    export_bundle(study, tmp_path / "b.medt", rung=rung, ensemble=True)
    opened = load_bundle(tmp_path / "b.medt", device="cpu")
    predictions = opened.predict(manifest_of(study))
    assert largest_difference(study, opened, predictions.scores) < 1e-5
    without = pl.read_parquet(manifest_of(study)).drop("crp")
    without.write_parquet(tmp_path / "without.parquet")
    blind = opened.predict(tmp_path / "without.parquet")
    assert any("'crp': missing in" in note for note in blind.notes)
    assert largest_difference(study, opened, blind.scores) > 1e-4
    table = pl.read_parquet(manifest_of(study)).select("case_id", "crp").unique("case_id")
    table.write_csv(tmp_path / "crp.csv")
    filled = load_bundle(tmp_path / "b.medt", device="cpu", clinical=tmp_path / "crp.csv")
    again = filled.predict(tmp_path / "without.parquet")
    assert largest_difference(study, opened, again.scores) < 1e-5


@pytest.mark.slow
def test_changed_clinical_data_are_predicted_again(
    study: StudyFolder, model: BundleModel, tmp_path: Path
) -> None:
    files = predict_files(model, manifest_of(study), tmp_path / "first.csv")
    table = pl.read_parquet(manifest_of(study)).with_columns(crp=pl.lit(90.0))
    table.write_parquet(tmp_path / "high.parquet")
    other = predict_files(model, tmp_path / "high.parquet", tmp_path / "second.csv")
    first, second = (f.outcome.frame["logit_malignant"] for f in (files, other))
    assert not first.equals(second)


@pytest.mark.slow
def test_what_cannot_take_clinical_data_says_so(
    study: StudyFolder, model: BundleModel, tmp_path: Path
) -> None:
    path = model.bundle.path
    with pytest.raises(ConfigError, match="--layout monai is for networks of images alone"):
        export_layout(path, tmp_path / "monai", "monai")
    with pytest.raises(ConfigError, match="which a drop folder does not hold"):
        follow_folder(model, tmp_path, tmp_path / "out")
    export_bundle(study, tmp_path / "plain.medt", rung="scratch/r14x0.5")
    with pytest.raises(ConfigError, match="sees no clinical data: leave --clinical out"):
        load_bundle(tmp_path / "plain.medt", clinical=tmp_path / "table.csv")
    assert '"clinical"' not in facts_text(read_bundle(tmp_path / "plain.medt").facts)


@pytest.mark.slow
def test_onnxruntime_sees_the_clinical_data_too(study: StudyFolder, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    made = export_bundle(
        study,
        tmp_path / "b.medt",
        rung="scratch/r14x0.5@covariates",
        ensemble=True,
        options=ExportOptions(onnx=True),
    )
    opened = load_bundle(made.path, device="cpu", runtime="onnx")
    predictions = opened.predict(manifest_of(study))
    by_torch = load_bundle(made.path, device="cpu").predict(manifest_of(study))
    both = by_torch.scores.join(predictions.scores, on=["case_id", "member"], suffix="_onnx")
    assert len(both) == len(by_torch.scores) > 0
    np.testing.assert_allclose(both["logit_malignant_onnx"], both["logit_malignant"], atol=1e-4)
    without = pl.read_parquet(manifest_of(study)).drop("crp")
    without.write_parquet(tmp_path / "without.parquet")
    blind = opened.predict(tmp_path / "without.parquet").scores
    assert not blind["logit_malignant"].equals(predictions.scores["logit_malignant"])
    # the parity file is enough for another program
    parity, given = made.parity(), made.facts.input
    mean, std = (np.array(v, dtype=np.float32) for v in (given.mean, given.std))
    images = ((parity["pixels"] / np.float32(255) - mean) / std).transpose(0, 3, 1, 2)
    for member in range(2):
        session = onnxruntime.InferenceSession(made.onnx(member))
        features, logits = session.run(
            ["features", "logits"],
            {
                "images": images.astype(np.float32),
                "images_of_case": parity["images_of_case"],
                "clinical": parity[f"clinical_{member}"],
            },
        )
        np.testing.assert_allclose(logits, parity["logits"][member], atol=1e-4)
        np.testing.assert_allclose(features, parity[f"features_{member}"], atol=1e-3)


def form(images: list[bytes], fields: dict[str, str]) -> dict[str, Any]:
    """A form as curl sends it."""
    parts = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n'.encode()
        for name, text in fields.items()
    ]
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
    parts += [head + image + b"\r\n" for image in images]
    return {
        "content": b"".join(parts) + b"--x--\r\n",
        "headers": {"Content-Type": "multipart/form-data; boundary=x"},
    }


@pytest.mark.slow
def test_a_request_brings_the_values_beside_the_image(
    study: StudyFolder, model: BundleModel
) -> None:
    pytest.importorskip("fastapi", reason="FastAPI is absent (extra serve)")
    from starlette.testclient import TestClient

    from medtransfer.deploy.server.app import server_app
    from medtransfer.deploy.server.config import ServerConfig

    table = pl.read_parquet(manifest_of(study)).head(3)
    expected = model.predict(manifest_of(study)).frame
    app = server_app(model, ServerConfig())
    with TestClient(app, raise_server_exceptions=False) as client:
        for row in table.iter_rows(named=True):
            fields = {"crp": str(row["crp"]), "sex": row["sex"] or ""}
            answer = client.post("/predict", **form([row["image"]], fields)).json()
            (logit,) = expected.filter(case_id=row["case_id"])["logit_malignant"]
            assert answer["prediction"]["logit_malignant"] == pytest.approx(logit, abs=1e-5)
            assert answer["predicted_as_missing"] == ({} if row["sex"] else {"sex": "missing"})
        image = table["image"][0]
        alone = client.post("/predict", content=image).json()
        odd = client.post("/predict", **form([image], {"crp": "high", "sex": "Q"})).json()
        unknown = client.post("/predict", **form([image], {"weight": "70"}))
        described = client.get("/bundle").json()["clinical"]
        schema = client.get("/openapi.json").json()["paths"]["/predict"]["post"]
    assert alone["predicted_as_missing"] == {"crp": "missing", "sex": "missing"}
    assert odd["predicted_as_missing"] == {
        "crp": "no number",
        "sex": "a value that training lacks",
    }
    assert alone["prediction"]["logit_malignant"] == odd["prediction"]["logit_malignant"]
    assert unknown.status_code == 400
    assert unknown.json()["reason"].endswith("are, once each, crp, sex.")
    assert described == [{"name": "crp", "values": None}, {"name": "sex", "values": ["F", "M"]}]
    properties = schema["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert set(properties) == {"image", "crp", "sex"}


@pytest.mark.slow
def test_facts_that_do_not_fit_the_networks_are_refused(model: BundleModel) -> None:
    facts = model.facts
    assert read_facts("b.medt", facts_text(facts).encode()) == facts
    assert "clinical     crp, sex" in model.show()
    narrow = replace(facts, clinical=tuple(columns[:1] for columns in facts.clinical))
    bundle = replace(model.bundle, facts=narrow)
    with pytest.raises(BundleError, match="another network|do not have the shapes"):
        _ = BundleModel(bundle, device="cpu").networks


@pytest.mark.slow
def test_a_hospital_validates_with_its_clinical_data(
    study: StudyFolder, model: BundleModel, tmp_path: Path
) -> None:
    table = pl.read_parquet(manifest_of(study)).filter(pl.col("cohort") == "b")
    table.with_columns(sex=pl.lit(None, pl.String)).write_parquet(tmp_path / "b.parquet")
    outcome = validate_bundle(model, tmp_path / "b.parquet", tmp_path / "out")
    assert any("'sex': missing in" in note for note in outcome.notes)


@pytest.mark.slow
def test_values_of_a_few_training_cases_leave_in_no_bundle(
    study: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trained_run, "MIN_VALUE_CASES", 10_000)
    with pytest.raises(StudyError, match="sees sex, with a value of fewer than 10000 training"):
        export_bundle(study, tmp_path / "b.medt", rung="scratch/r14x0.5@covariates")
    export_bundle(study, tmp_path / "b.medt", rung="scratch/r14x0.5")


def test_words_that_are_read_as_others_are_said_and_others_counted(tmp_path: Path) -> None:
    source = case_source(pictures(tmp_path), "auto", images_per_case=1)
    own = tmp_path / "clinical.csv"
    pl.DataFrame({"case_id": ["a", "b", "c"], "sex": ["w", "m", "k.A."]}).write_csv(own)
    notes = ClinicalData(ENCODING, own).notes(source)
    assert any(note.startswith("'sex': read as F:") for note in notes)
    assert any(note.startswith("'sex': read as missing: 'k.A.'") for note in notes)
    pl.DataFrame({"case_id": ["a", "b", "c"], "sex": ["K", "K", "K"]}).write_csv(own)
    notes = ClinicalData(ENCODING, own).notes(source)
    assert not any("--values" in note for note in notes)
    assert any("a value that training lacks in 3 cases of 3" in note for note in notes)
