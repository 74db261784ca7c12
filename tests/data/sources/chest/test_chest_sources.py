"""MIMIC-CXR-JPG, PadChest, VinDr-CXR, RSNA and MedMNIST: the traps that each is known for."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.data.sources import (
    tree_medmnist,
    tree_mimic_cxr,
    tree_padchest,
    tree_rsna_pneumonia,
    tree_vindr_cxr,
    tree_vindr_physionet,
)
from tests.data.sources.tree_chexpert import LABELS
from tests.data.sources.trees import (
    dicom_header,
    read_rows,
    shuffle,
    table,
    with_cell,
    without_columns,
)

from medtransfer.data.images.pictures import decode_image
from medtransfer.data.sources.catalog import SOURCES, overlaps_of
from medtransfer.data.sources.import_source import read_source
from medtransfer.data.sources.source import ImportedSource
from medtransfer.errors import TableError

PARTS = ("train", "val", "test")
PADCHEST = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz"


def read(name: str, folder: Path, **options: str) -> ImportedSource:
    return read_source(SOURCES[name], folder, options)


def rows_of(found: ImportedSource) -> dict[str, dict[str, object]]:
    return {row["image_id"]: row for row in found.frame.iter_rows(named=True)}


def test_mimic_gives_every_view_of_a_study_its_labels_and_no_other(tmp_path: Path) -> None:
    tree_mimic_cxr.write(tmp_path)
    rows = rows_of(read("mimic-cxr-jpg", tmp_path))
    for dicom, _, study, *_ in tree_mimic_cxr.IMAGES[:5]:
        labels = tree_mimic_cxr.LABELLED[study]
        for name in LABELS:
            value = labels[name].removesuffix(".0") if name in labels else None
            assert rows[dicom][name] == value
        assert rows[dicom]["case_id"] == f"s{study}"
    # a healthy study keeps its support devices, as in every other set
    assert rows["68b5c4b1-e5"]["Support Devices"] == "1"


def test_mimic_says_both_sides_of_the_join_with_labels(tmp_path: Path) -> None:
    tree_mimic_cxr.write(tmp_path)
    found = read("mimic-cxr-jpg", tmp_path)
    (join,) = [j for j in found.joins if j.right == "studies of chexpert"]
    assert (join.matched, join.left_only, join.right_only) == (5, 1, 1)
    assert found.kept == ("5 of 6: the study has labels of chexpert",)


def test_mimic_validate_is_tune_and_races_that_disagree_are_empty(tmp_path: Path) -> None:
    tree_mimic_cxr.write(tmp_path)
    found = read("mimic-cxr-jpg", tmp_path)
    rows = rows_of(found)
    assert rows["e084de3b-d4"]["split"] == "tune"
    assert rows["e084de3b-d4"]["race"] is None
    assert rows["02aa804e-a1"]["race"] == "White"
    assert rows["68b5c4b1-e5"]["race"] == "Asian"  # unknown once, Asian once
    assert "1 patient whose admissions disagree on race: left empty." in found.notes
    assert [rows[name]["age"] for name in ("02aa804e-a1", "2a2277a9-c3")] == [52, 56]


def test_mimic_is_read_unpacked_and_with_the_older_name_of_race(tmp_path: Path) -> None:
    tree_mimic_cxr.write(tmp_path)
    before = read("mimic-cxr-jpg", tmp_path).frame
    for path in sorted(tmp_path.glob("*.csv.gz")):
        rows = read_rows(path)
        head = ["ethnicity" if name == "race" else name for name in rows[0]]
        table(path.with_suffix(""), head, rows[1:])
        path.unlink()
    assert read("mimic-cxr-jpg", tmp_path).frame.equals(before)


def test_mimic_refuses_a_damaged_archive(tmp_path: Path) -> None:
    tree_mimic_cxr.write(tmp_path)
    path = tmp_path / "mimic-cxr-2.0.0-split.csv.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(TableError, match="Download or copy it again"):
        read("mimic-cxr-jpg", tmp_path)


def test_mimic_asks_for_the_labels_that_were_chosen(tmp_path: Path) -> None:
    tree_mimic_cxr.write(tmp_path)
    (tmp_path / "mimic-cxr-2.0.0-negbio.csv.gz").unlink()
    with pytest.raises(TableError, match="negbio.csv.gz is not below the folder"):
        read("mimic-cxr-jpg", tmp_path, labels="negbio")


def test_mimic_takes_the_radiologists_labels_of_test_reports(tmp_path: Path) -> None:
    tree_mimic_cxr.write(tmp_path)
    found = read("mimic-cxr-jpg", tmp_path, labels="radiologist")
    rows = rows_of(found)
    assert set(rows) == {"68b5c4b1-e5", "99999999-f6"}
    assert "split" not in found.frame.columns  # all are test: none to train on
    assert rows["68b5c4b1-e5"]["Lung Opacity"] == "1"
    assert rows["99999999-f6"]["No Finding"] == "-1"
    assert found.kept == ("2 of 6: the study has labels of radiologist",)


def test_mimic_says_that_the_radiologists_table_lacks_opacity(tmp_path: Path) -> None:
    tree_mimic_cxr.write(tmp_path)
    without_columns(tmp_path / "mimic-cxr-2.1.0-test-set-labeled.csv", ["Airspace Opacity"])
    with pytest.raises(TableError, match="'Lung Opacity'"):
        read("mimic-cxr-jpg", tmp_path, labels="radiologist")


def test_mimic_films_are_found_as_dicom(tmp_path: Path) -> None:
    tree_mimic_cxr.write(tmp_path)
    before = read("mimic-cxr-jpg", tmp_path).frame
    for film in tmp_path.rglob("*.jpg"):
        film.rename(film.with_suffix(".dcm"))
    after = read("mimic-cxr-jpg", tmp_path).frame
    assert after.drop("path").equals(before.drop("path"))


def test_padchest_without_a_judgement_is_empty_not_normal(tmp_path: Path) -> None:
    tree_padchest.write(tmp_path)
    found = read("padchest", tmp_path)
    rows = rows_of(found)
    for name in ("2168_04", "2168_05", "2168_08"):
        assert {rows[name][target.name] for target in SOURCES["padchest"].targets} == {None}
    assert rows["2168_03"]["No Finding"] == "1"
    assert (
        "3 rows without a judgement (of these 1 say 'unchanged' and no more): labels empty, not "
        "normal." in found.notes
    )


def test_padchest_compared_with_an_earlier_film_says_what_is_there_and_nothing_else(
    tmp_path: Path,
) -> None:
    tree_padchest.write(tmp_path)
    found = read("padchest", tmp_path)
    row = rows_of(found)["2168_06"]
    stated = {t.name: row[t.name] for t in SOURCES["padchest"].targets if row[t.name] is not None}
    assert stated == dict.fromkeys(("Consolidation", "Infiltration", "Effusion", "Nodule"), "1")
    assert rows_of(found)["2168_10"]["No Finding"] == "1"
    assert any(note.startswith("3 rows with 'unchanged' beside other") for note in found.notes)


def test_padchest_normal_beside_a_finding_is_a_contradiction(tmp_path: Path) -> None:
    tree_padchest.write(tmp_path)
    found = read("padchest", tmp_path)
    row = rows_of(found)["2168_09"]
    assert (row["Cardiomegaly"], row["Effusion"], row["No Finding"]) == ("1", "0", None)
    assert any(note.startswith("1 row with 'normal' beside a finding") for note in found.notes)


def test_a_study_of_two_patients_becomes_two_cases(tmp_path: Path) -> None:
    tree_padchest.write(tmp_path)
    found = read("padchest", tmp_path)
    rows = rows_of(found)
    assert rows["2168_10"]["case_id"] == "20120106S9_8906"
    assert rows["2168_11"]["case_id"] == "20120106S9_8907"
    assert rows["2168_01"]["case_id"] == rows["2168_02"]["case_id"] == "20140915S1"
    assert "1 case of several patients (2 images): grouped by case and patient." in found.notes


def test_padchest_takes_whole_terms_with_their_synonyms(tmp_path: Path) -> None:
    tree_padchest.write(tmp_path)
    rows = rows_of(read("padchest", tmp_path))
    assert rows["2168_06"]["Consolidation"] == rows["2168_06"]["Infiltration"] == "1"
    assert rows["2168_06"]["Nodule"] == "1"
    assert rows["2168_07"]["Nodule"] == "0"  # pseudonodule is none


def test_padchest_age_is_of_the_day_of_the_film(tmp_path: Path) -> None:
    tree_padchest.write(tmp_path)
    rows = rows_of(read("padchest", tmp_path))
    assert rows["2168_01"]["age"] == 2014 - 1962
    assert rows["2168_03"]["age"] == 4  # children are not dropped unasked
    assert rows["2168_03"]["view"] == "AP Supine"
    assert rows["2168_06"]["view"] is None


def test_padchest_leaves_files_without_content_out_and_says_so(tmp_path: Path) -> None:
    tree_padchest.write(tmp_path)
    (tmp_path / "2" / "2168_05.png").write_bytes(b"")
    found = read("padchest", tmp_path)
    assert "2168_05" not in rows_of(found)
    assert "1 image file without content: left out." in found.notes


def test_padchest_refuses_a_text_that_is_no_list(tmp_path: Path) -> None:
    tree_padchest.write(tmp_path)
    with_cell(tmp_path / PADCHEST, 3, "Labels", "normal")
    with_cell(tmp_path / PADCHEST, 5, "Labels", "['normal'")
    with pytest.raises(TableError, match=r"no list such as .* in rows 3, 5"):
        read("padchest", tmp_path)
    found = read("padchest", tmp_path, odd_rows="0.2")
    assert {"2168_02", "2168_04"}.isdisjoint(rows_of(found))
    (odd,) = found.left_out
    assert (odd.rows, odd.beside, odd.total) == ((3, 5), (), 11)


def test_padchest_physicians_alone_are_asked_for_and_counted(tmp_path: Path) -> None:
    tree_padchest.write(tmp_path)
    found = read("padchest", tmp_path, labels="physician")
    assert found.kept == ("5 of 11: labels = physician",)
    assert set(found.frame["label_by"]) == {"physician"}


@pytest.mark.parametrize(
    ("rule", "heart", "aorta"), [("majority", "1", "0"), ("any", "1", "1"), ("all", "-1", "-1")]
)
def test_vindr_readers_become_one_by_the_rule_asked_for(
    tmp_path: Path, rule: str, heart: str, aorta: str
) -> None:
    tree_vindr_cxr.write(tmp_path)
    rows = rows_of(read("vindr-cxr", tmp_path, readers=rule))
    assert rows["00aa"]["Cardiomegaly"] == heart
    assert rows["00aa"]["Aortic enlargement"] == aorta
    # two boxes of one reader are one vote
    assert rows["00cc"]["Pleural effusion"] == "1"
    assert rows["00bb"]["Pneumothorax"] == "0"


def test_vindr_labels_do_not_hang_on_the_order_of_files(tmp_path: Path) -> None:
    # BenchMD takes files in the order of glob and labels in that of the table
    tree_vindr_cxr.write(tmp_path)
    before = read("vindr-cxr", tmp_path).frame
    shuffle(tmp_path / "train.csv", 3)
    (tmp_path / "train" / "00bb.dicom").rename(tmp_path / "00bb.dicom")
    assert read("vindr-cxr", tmp_path).frame.drop("path").equals(before.drop("path"))


def test_vindr_of_physionet_has_its_test_part(tmp_path: Path) -> None:
    tree_vindr_physionet.write(tmp_path)
    rows = rows_of(read("vindr-cxr", tmp_path))
    assert rows["00ff"]["split"] == "test"
    assert rows["00ff"]["Pneumonia"] == "1"
    assert rows["00dd"]["ILD"] == "1"


def test_vindr_without_any_table_says_which_it_knows(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"neither train.csv nor image_labels_train.csv"):
        read("vindr-cxr", tmp_path)


def test_rsna_is_one_row_an_image_and_any_box_is_a_positive(tmp_path: Path) -> None:
    tree_rsna_pneumonia.write(tmp_path)
    found = read("rsna-pneumonia", tmp_path)
    labels = {name: row["pneumonia"] for name, row in rows_of(found).items()}
    assert labels == {row[0]: row[5] for row in tree_rsna_pneumonia.BOXES}
    assert any("of images, not of patients" in note for note in found.notes)
    assert ("nih", "rsna") in {(o.one, o.other) for o in overlaps_of(SOURCES["rsna-pneumonia"])}


MAPPING = [
    {"subset_img_id": "0004cfab-14fd", "img_id": "00000013_008.png", "orig_labels": ["Mass"]},
    {"subset_img_id": "00313ee0-9eaa", "img_id": "00000013_026.png", "orig_labels": []},
    {"subset_img_id": "00436515-870c", "img_id": "00030032_000.png", "orig_labels": []},
    {"subset_img_id": "ffffffff-ffff", "img_id": "00000001_000.png", "orig_labels": []},
]


def test_rsna_patients_are_those_of_the_official_mapping(tmp_path: Path) -> None:
    tree_rsna_pneumonia.write(tmp_path)
    mapping = tmp_path / "pneumonia-challenge-dataset-mappings_2018.json"
    mapping.write_text(json.dumps(MAPPING))
    found = read("rsna-pneumonia", tmp_path)
    patients = {name: row["patient_id"] for name, row in rows_of(found).items()}
    assert patients == {
        "0004cfab-14fd": "13",
        "00313ee0-9eaa": "13",
        "00436515-870c": "30032",
        "00704310-78a8": "00704310-78a8",
    }
    (join,) = [j for j in found.joins if j.right == "images of the mapping"]
    assert (join.matched, join.left_only, join.right_only) == (3, 1, 1)
    assert not any("of images, not of patients" in note for note in found.notes)
    mapping.write_text('{"img_id": 1}')
    with pytest.raises(TableError, match=r"mappings_2018\.json is not a list of records"):
        read("rsna-pneumonia", tmp_path)


def test_rsna_sex_age_and_view_are_of_the_headers(tmp_path: Path) -> None:
    tree_rsna_pneumonia.write(tmp_path)
    folder = tmp_path / "stage_2_train_images"
    dicom_header(folder / "0004cfab-14fd.dcm", PatientSex="F", PatientAge="51", ViewPosition="PA")
    dicom_header(folder / "00313ee0-9eaa.dcm", PatientSex="M", PatientAge="048Y")
    (folder / "00436515-870c.dcm").write_bytes(b"damaged")
    found = read("rsna-pneumonia", tmp_path)
    rows = rows_of(found)
    assert [rows["0004cfab-14fd"][n] for n in ("sex", "age", "view")] == ["F", 51, "PA"]
    assert [rows["00313ee0-9eaa"][n] for n in ("sex", "age", "view")] == ["M", 48, None]
    assert rows["00436515-870c"]["sex"] is None
    assert "2 DICOM headers cannot be read: their entries are empty." in found.notes


def test_rsna_headers_may_be_a_table_beside_png_files(tmp_path: Path) -> None:
    tree_rsna_pneumonia.write(tmp_path)
    for path in (tmp_path / "stage_2_train_images").iterdir():
        path.rename(path.with_suffix(".png"))
    table(
        tmp_path / "kaggle_stage_2_train_images_dicom_headers.csv",
        ("PatientID", "PatientSex", "PatientAge", "ViewPosition"),
        [("0004cfab-14fd", "F", "51", "PA")],
    )
    row = rows_of(read("rsna-pneumonia", tmp_path))["0004cfab-14fd"]
    assert [row[n] for n in ("sex", "age", "view")] == ["F", 51, "PA"]


def test_rsna_refuses_an_image_with_and_without_a_box(tmp_path: Path) -> None:
    tree_rsna_pneumonia.write(tmp_path)
    with_cell(tmp_path / "stage_2_train_labels.csv", 4, "Target", "0")
    with pytest.raises(TableError, match=r"'Target' differs within one 'patientId' in rows 4, 5"):
        read("rsna-pneumonia", tmp_path)


def test_medmnist_keeps_its_pixels_and_is_marked_as_no_evidence(tmp_path: Path) -> None:
    tree_medmnist.write(tmp_path)
    found = read("medmnist", tmp_path)
    assert any("not evidence" in note for note in found.notes)
    with np.load(tmp_path / "pneumoniamnist.npz", allow_pickle=False) as packed:
        rows = rows_of(found)
        for part, split in (("train", "train"), ("val", "tune"), ("test", "test")):
            for number, image in enumerate(packed[f"{part}_images"]):
                row = rows[f"{part}-{number:06d}"]
                assert np.array_equal(decode_image(row["image"], 10_000).squeeze(), image)  # type: ignore[arg-type]
                assert row["split"] == split
                assert row["label"] == str(packed[f"{part}_labels"][number, 0])


def test_medmnist_of_volumes_is_refused_in_a_sentence(tmp_path: Path) -> None:
    arrays = {f"{part}_images": np.zeros((2, 28, 28, 28), np.uint8) for part in PARTS}
    arrays |= {f"{part}_labels": np.zeros((2, 1), np.uint8) for part in PARTS}
    np.savez(tmp_path / "organmnist3d.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(TableError, match=r"train holds volumes of three axes \(28, 28, 28\)"):
        read("medmnist", tmp_path)


@pytest.mark.slow
@pytest.mark.shared
def test_the_real_pneumoniamnist_is_imported(shared: Path) -> None:
    found = read_source(SOURCES["medmnist"], shared, {"file": "medmnist_pneumoniamnist.npz"})
    counts = dict(found.frame.group_by("split").len().iter_rows())
    assert counts == {"train": 4708, "tune": 524, "test": 624}
    assert set(found.frame["cohort"]) == {"pneumoniamnist"}
