"""The importers on real, whole tables, cell by cell against a reading with pandas.

The tables come with the package torchxrayvision; without it the tests are skipped. Its code is not
imported. An image file of one byte stands in for each row's image.
"""

# pandas' stubs give a column as a union of a dozen types, of which the tables hold one
# pyright: reportArgumentType=false, reportAttributeAccessIssue=false, reportReturnType=false
# pyright: reportOperatorIssue=false, reportCallIssue=false, reportGeneralTypeIssues=false
import ast
import gzip
import tarfile
import zipfile
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import polars as pl
import pytest

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.chest import (
    chexpert,
    nih_chestxray14,
    openi,
    padchest,
    vindr_cxr,
)
from medtransfer.data.sources.import_source import read_source
from medtransfer.data.sources.source import ImportedSource

pytestmark = pytest.mark.slow
PADCHEST = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz"
NIH = "Data_Entry_2017_v2020.csv.gz"
GOOGLE = "google2019_nih-chest-xray-labels.csv.gz"


@pytest.fixture(scope="module")
def tables() -> Path:
    """The folder of real tables, or a skip that says what is missing."""
    spec = find_spec("torchxrayvision")
    if spec is None or spec.origin is None:
        pytest.skip("real tables are absent: pip install --no-deps torchxrayvision")
    return Path(spec.origin).parent / "data"


def frame_of(path: Path) -> pd.DataFrame:
    """Every cell as text, empty cells too."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def stand_ins(folder: Path, paths: Iterable[str]) -> None:
    """A file of one byte per path."""
    made: set[Path] = set()
    for name in paths:
        path = folder / name
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        with path.open("wb") as file:
            file.write(b"x")


def read(name: str, folder: Path, **options: str) -> ImportedSource:
    return read_source(SOURCES[name], folder, options)


def column(imported: ImportedSource, name: str) -> pd.Series:
    """A column by image, as pandas has it; empty cells are None."""
    return pd.Series(
        imported.frame[name].to_list(), index=imported.frame["image_id"].to_list(), dtype=object
    )


def assert_same(imported: ImportedSource, name: str, expected: pd.Series) -> None:
    """Every cell of a column is as read independently."""
    written = column(imported, name)
    expected = expected.reindex(written.index)
    differ = [
        (mine, other)
        for mine, other in zip(written, expected, strict=True)
        if mine != other and not (mine is None and (other is None or other != other))
    ]
    assert not differ, (name, len(differ), differ[:3])


def ages(numbers: pd.Series, least: int = 0) -> pd.Series:
    """Years at most 90; None where they are no age."""
    years = pd.to_numeric(numbers, errors="coerce")
    return years.map(lambda age: min(int(age), 90) if least <= age <= 120 else None)


def test_padchest_is_imported_whole_but_for_its_odd_rows(tables: Path, tmp_path: Path) -> None:
    source = frame_of(tables / PADCHEST)
    (tmp_path / PADCHEST).write_bytes((tables / PADCHEST).read_bytes())
    stand_ins(tmp_path, source["ImageDir"] + "/" + source["ImageID"])
    assert (len(source), source["PatientID"].nunique()) == (
        SOURCES["padchest"].images,
        SOURCES["padchest"].patients,
    )
    imported = read("padchest", tmp_path)
    (odd,) = imported.left_out
    assert len(odd.rows) == 103
    assert {source["Labels"].iloc[row - 2] for row in odd.rows} == {"nan"}
    source.index = pd.Index(source["ImageID"].str.removesuffix(".png"))
    source = source[source["Labels"] != "nan"]
    assert set(imported.frame["image_id"]) == set(source.index)
    lists = source["Labels"].map(
        lambda text: {
            str(term).strip().lower()
            for term in ast.literal_eval(text.replace("nan", "''"))
            if str(term).strip()
        }
    )
    judged = lists.map(
        lambda terms: bool(terms - {"unchanged"}) and not terms & {"exclude", "suboptimal study"}
    )
    compared = lists.map(lambda terms: "unchanged" in terms)
    torn = lists.map(lambda terms: "normal" in terms and bool(terms - {"normal", "unchanged"}))
    for name, words in padchest.TERMS.items():
        stated = lists.map(lambda terms, words=words: bool(terms & set(words)))
        said = judged & (stated | ~compared)
        said = said & ~torn if name == "No Finding" else said
        cells = stated.map({True: "1", False: "0"}).where(said, None)
        assert_same(imported, name, cells)
    assert int((compared & (lists.map(len) == 1)).sum()) == 3705
    born = pd.to_numeric(source["PatientBirth"], errors="coerce")
    year = pd.to_numeric(source["StudyDate_DICOM"].str[:4], errors="coerce")
    assert_same(imported, "age", ages(year - born))
    assert_same(
        imported, "sex", source["PatientSex_DICOM"].where(lambda cell: cell.isin(["F", "M", "O"]))
    )
    assert_same(imported, "patient_id", source["PatientID"])
    shared = source.groupby("StudyID")["PatientID"].transform("nunique") > 1
    case = source["StudyID"].where(~shared, source["StudyID"] + "_" + source["PatientID"])
    assert int(shared.sum()) == 3
    assert_same(imported, "case_id", case)


def test_unchanged_alone_is_mostly_said_of_films_that_follow_an_abnormal_one(tables: Path) -> None:
    """The reason why it is no judgement: so it would be in most cases a wrong 0."""
    source = frame_of(tables / PADCHEST)[["PatientID", "StudyID", "StudyDate_DICOM", "Labels"]]
    studies = source[source["Labels"] != "nan"].drop_duplicates("StudyID")
    studies = studies.sort_values(["PatientID", "StudyDate_DICOM"], kind="stable")
    lists = studies["Labels"].map(
        lambda text: {t.strip().lower() for t in ast.literal_eval(text.replace("nan", "''"))} - {""}
    )
    alone = lists.map(lambda terms: terms == {"unchanged"})
    before = lists.shift()
    same = studies["PatientID"] == studies["PatientID"].shift()
    earlier = before[alone & same & ~alone.shift(fill_value=False)]
    abnormal = earlier.map(lambda terms: bool(terms) and "normal" not in terms)
    assert 0.65 < abnormal.mean() < 0.8


def test_chexpert_keeps_every_cell(tables: Path, tmp_path: Path) -> None:
    with gzip.open(tables / "chexpert_train.csv.gz") as packed:
        (tmp_path / "train.csv").write_bytes(packed.read())
    source = frame_of(tmp_path / "train.csv")
    paths = source["Path"].str.removeprefix("CheXpert-v1.0-small/")
    stand_ins(tmp_path, paths)
    imported = read("chexpert", tmp_path)
    assert imported.left_out == ()
    source.index = pd.Index(paths.str.removeprefix("train/").str.removesuffix(".jpg"))
    for name in chexpert.LABELS:
        cells = source[name].map({"1.0": "1", "0.0": "0", "-1.0": "-1", "": None})
        assert_same(imported, name, cells)
    assert_same(imported, "sex", source["Sex"].map({"Male": "M", "Female": "F"}))
    assert_same(imported, "age", ages(source["Age"], least=1))
    frontal = source["Frontal/Lateral"] == "Frontal"
    torn = frontal & source["AP/PA"].isin(["LL", "RL"])
    assert int(torn.sum()) == 17
    assert_same(imported, "view", source["AP/PA"].where(frontal, "L").where(~torn, None))
    assert imported.frame["patient_id"].n_unique() == source.index.str.split("/").str[0].nunique()


def test_nih_keeps_every_cell(tables: Path, tmp_path: Path) -> None:
    with gzip.open(tables / NIH) as packed:
        (tmp_path / NIH.removesuffix(".gz")).write_bytes(packed.read())
    (tmp_path / GOOGLE).write_bytes((tables / GOOGLE).read_bytes())
    source = frame_of(tables / NIH)
    stand_ins(tmp_path, "images/" + source["Image Index"])
    facts = SOURCES["nih-chestxray14"]
    assert (len(source), source["Patient ID"].nunique()) == (facts.images, facts.patients)
    imported = read("nih-chestxray14", tmp_path)
    source.index = pd.Index(source["Image Index"].str.removesuffix(".png"))
    findings = source["Finding Labels"].str.split("|")
    for name in nih_chestxray14.FINDINGS:
        cells = findings.map(lambda named, name=name: "1" if name in named else "0")
        assert_same(imported, name, cells)
    assert_same(imported, "age", ages(source["Patient Age"]))
    assert_same(imported, "sex", source["Patient Gender"])
    assert_same(imported, "view", source["View Position"])
    assert_same(imported, "patient_id", source["Patient ID"])

    relabelled = read("nih-chestxray14", tmp_path, labels="google")
    again = frame_of(tables / GOOGLE)
    again.index = pd.Index(again["Image Index"].str.removesuffix(".png"))
    assert set(relabelled.frame["image_id"]) == set(again.index)
    for name in nih_chestxray14.GOOGLE:
        assert_same(relabelled, name, again[name].map({"YES": "1", "NO": "0"}))


def test_rsna_pneumonia_keeps_every_label(tables: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tables / "kaggle_stage_2_train_labels.csv.zip") as packed:
        (tmp_path / "stage_2_train_labels.csv").write_bytes(packed.read(packed.namelist()[0]))
    source = frame_of(tmp_path / "stage_2_train_labels.csv")
    stand_ins(tmp_path, "stage_2_train_images/" + source["patientId"].unique() + ".png")
    headers = "kaggle_stage_2_train_images_dicom_headers.csv.gz"
    (tmp_path / headers).write_bytes((tables / headers).read_bytes())
    imported = read("rsna-pneumonia", tmp_path)
    people = frame_of(tables / headers).set_index("PatientID")
    assert_same(imported, "sex", people["PatientSex"])
    assert_same(imported, "view", people["ViewPosition"])
    assert_same(imported, "age", ages(people["PatientAge"]))
    assert len(imported.frame) == SOURCES["rsna-pneumonia"].images
    assert_same(imported, "pneumonia", source.groupby("patientId")["Target"].max())


def test_vindr_cxr_of_kaggle_keeps_every_vote(tables: Path, tmp_path: Path) -> None:
    with gzip.open(tables / "vinbigdata-train.csv.gz") as packed:
        (tmp_path / "train.csv").write_bytes(packed.read())
    source = frame_of(tmp_path / "train.csv")
    stand_ins(tmp_path, "train/" + source["image_id"].unique() + ".dicom")
    votes = source.groupby(["image_id", "rad_id"])["class_name"].agg(set)
    for rule, verdict in {
        "any": lambda share: "1" if share > 0 else "0",
        "majority": lambda share: "1" if share > 0.5 else "0",
        "all": lambda share: {1.0: "1", 0.0: "0"}.get(share, "-1"),
    }.items():
        imported = read("vindr-cxr", tmp_path, readers=rule)
        for name in vindr_cxr.KAGGLE:
            named = votes.map(lambda classes, name=name: name in classes)
            assert_same(imported, name, named.groupby("image_id").mean().map(verdict))
    assert imported.frame.height == source["image_id"].nunique()
    assert pl.Series(imported.frame["image_id"]).is_unique().all()


def test_openi_terms_are_those_of_the_real_reports(tables: Path, tmp_path: Path) -> None:
    reports: dict[str, list[list[str]]] = {}
    films: dict[str, str] = {}
    with tarfile.open(tables / "NLMCXR_reports.tgz") as archive:
        for member in archive:
            if not member.name.endswith(".xml") or (text := archive.extractfile(member)) is None:
                continue
            report = ElementTree.fromstring(text.read())
            number = member.name.removesuffix(".xml").rsplit("/", 1)[-1]
            reports[number] = [(node.text or "").split("/") for node in report.iter("major")]
            for image in report.iter("parentImage"):
                films[image.attrib["id"].removeprefix("CXR")] = number
    source = SOURCES["open-i"]
    assert (len(films), len(reports) - len(set(films.values()))) == (source.images, 104)
    index = [(number, ";".join("/".join(term) for term in reports[number])) for number in reports]
    shown = [(number, f"{film}.dcm.png", "Frontal") for film, number in films.items()]
    pd.DataFrame(index, columns=["uid", "MeSH"]).to_csv(
        tmp_path / "indiana_reports.csv", index=False
    )
    pd.DataFrame(shown, columns=["uid", "filename", "projection"]).to_csv(
        tmp_path / "indiana_projections.csv", index=False
    )
    stand_ins(tmp_path, (name for _, name, _ in shown))
    imported = read("open-i", tmp_path)
    for finding in openi.FINDINGS:
        terms = [term.split("/") for term, of in openi.TERMS.items() if of == finding]
        loose = [[term] for term, of in openi.ANYWHERE.items() if of == finding]

        def mark(number: str, terms: list[list[str]], loose: list[list[str]]) -> str | None:
            stated = reports[number]
            if not stated or ["No Indexing"] in stated:
                return None
            if any(entry[: len(term)] == term for entry in stated for term in terms):
                return "1"
            return "-1" if any(entry[:1] == term for entry in stated for term in loose) else "0"

        cells = {film: mark(number, terms, loose) for film, number in films.items()}
        assert_same(imported, finding, pd.Series(cells, dtype=object))
