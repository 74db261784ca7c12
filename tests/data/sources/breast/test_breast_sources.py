"""Mammography: breast, exam and image as the case, and the traps that each set is known for."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.data.sources import (
    tree_cbis_ddsm,
    tree_cmmd,
    tree_embed,
    tree_inbreast,
    tree_mias,
    tree_rsna_mammo_2022,
    tree_vindr_mammo,
)
from tests.data.sources.trees import dicom_header, with_cell

from medtransfer.data.images.pictures import decode_image
from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.import_source import import_source, read_source
from medtransfer.data.sources.source import ImportedSource
from medtransfer.errors import ConfigError, TableError


def read(name: str, folder: Path, **options: str) -> ImportedSource:
    return read_source(SOURCES[name], folder, options)


def rows_of(found: ImportedSource) -> dict[str, dict[str, object]]:
    return {row["image_id"]: row for row in found.frame.iter_rows(named=True)}


def of(found: ImportedSource, column: str) -> dict[str, object]:
    return dict(found.frame.select("image_id", column).iter_rows())


def test_cbis_is_one_row_a_film_malignant_if_any_of_its_findings_is(tmp_path: Path) -> None:
    tree_cbis_ddsm.write(tmp_path)
    labels = of(read("cbis-ddsm", tmp_path, case="image"), "malignant")
    assert len(labels) == 9
    assert labels["Mass-Training_P_00001_LEFT_CC"] == "1"  # the first of its rows is benign
    assert labels["Mass-Training_P_00001_LEFT_MLO"] == "0"
    assert labels["Calc-Test_P_00038_LEFT_CC"] == "0"  # benign without callback


def test_cbis_case_is_the_breast_or_the_exam(tmp_path: Path) -> None:
    tree_cbis_ddsm.write(tmp_path)
    breast = rows_of(read("cbis-ddsm", tmp_path))
    film = breast["Mass-Training_P_00001_LEFT_MLO"]
    assert (film["case_id"], film["malignant"]) == ("P_00001_L", "1")
    assert breast["Mass-Training_P_00001_RIGHT_CC"]["malignant"] == "0"
    exam = rows_of(read("cbis-ddsm", tmp_path, case="exam"))
    film = exam["Mass-Training_P_00001_RIGHT_CC"]
    assert (film["case_id"], film["malignant"]) == ("P_00001", "1")
    with pytest.raises(ConfigError, match="allowed: breast, exam, image"):
        read("cbis-ddsm", tmp_path, case="source")


def test_cbis_patient_of_both_parts_is_in_one_and_counted(tmp_path: Path) -> None:
    tree_cbis_ddsm.write(tmp_path)
    found = read("cbis-ddsm", tmp_path)
    said = "1 patient in both the training and the test"
    patients = found.frame.group_by("patient_id").n_unique()
    assert patients["split"].to_list() == [1] * len(patients)
    assert rows_of(found)["Mass-Test_P_00016_LEFT_CC"]["split"] in ("train", "tune")
    assert rows_of(found)["Mass-Test_P_00016_LEFT_CC"]["patient_id"] == "P_00016"
    assert any(note.startswith(said) for note in found.notes)


def test_cbis_assessment_0_says_nothing_and_both_densities_are_read(tmp_path: Path) -> None:
    tree_cbis_ddsm.write(tmp_path)
    rows = rows_of(read("cbis-ddsm", tmp_path, case="image"))
    assert rows["Mass-Training_P_00002_RIGHT_MLO"]["birads_high"] is None
    assert rows["Mass-Training_P_00001_LEFT_CC"]["birads_high"] == "1"
    assert rows["Mass-Training_P_00001_LEFT_CC"]["birads"] == "4"  # the worst of its findings
    assert rows["Calc-Training_P_00005_RIGHT_CC"]["density"] == "D"
    assert rows["Mass-Training_P_00002_RIGHT_MLO"]["density"] == "A"


def test_cbis_is_the_same_in_every_layout(tmp_path: Path) -> None:
    frames: list[pl.DataFrame] = []
    for write in (
        tree_cbis_ddsm.write,
        tree_cbis_ddsm.write_classic,
        tree_cbis_ddsm.write_described,
    ):
        folder = tmp_path / write.__name__
        write(folder)
        frames.append(read("cbis-ddsm", folder).frame)
    assert frames[0].drop("path").equals(frames[1].drop("path"))
    assert frames[0].drop("path").equals(frames[2].drop("path"))
    assert all("cropped" not in path for path in frames[2]["path"])
    assert "2-999" not in " ".join(frames[0]["path"])


def test_cbis_refuses_a_path_that_is_of_another_film(tmp_path: Path) -> None:
    tree_cbis_ddsm.write(tmp_path)
    file = tmp_path / "csv" / "mass_case_description_train_set.csv"
    with_cell(file, 3, "left or right breast", "RIGHT")
    with_cell(file, 4, "pathology", "UNPROVEN")
    with pytest.raises(TableError, match=r"(?s)'UNPROVEN'.*not of the patient.*row 3"):
        read("cbis-ddsm", tmp_path)


def test_rsna_case_is_its_prediction_id_and_sites_may_be_cohorts(tmp_path: Path) -> None:
    tree_rsna_mammo_2022.write(tmp_path)
    found = read("rsna-mammo-2022", tmp_path, cohorts="site")
    rows = rows_of(found)
    assert rows["462822612"]["case_id"] == "10006_L"  # patient_laterality
    assert [rows[name]["cancer"] for name in ("462822612", "1864590858")] == ["0", "1"]
    assert [rows[name]["cohort"] for name in ("462822612", "220375232")] == ["site-2", "site-1"]
    assert [rows["220375232"][n] for n in ("machine", "implant", "birads")] == ["21", "1", "0"]
    assert set(read("rsna-mammo-2022", tmp_path).frame["cohort"]) == {"rsna-mammo-2022"}


def test_rsna_breasts_of_an_exam_are_one_case_if_asked_for(tmp_path: Path) -> None:
    tree_rsna_mammo_2022.write(tmp_path)
    rows = rows_of(read("rsna-mammo-2022", tmp_path, case="exam"))
    assert rows["462822612"]["case_id"] == "10006"
    assert rows["462822612"]["cancer"] == "1"


def test_rsna_without_density_says_nothing_on_it(tmp_path: Path) -> None:
    tree_rsna_mammo_2022.write(tmp_path)
    dense = of(read("rsna-mammo-2022", tmp_path), "dense")
    assert dense["462822612"] is None
    assert (dense["220375232"], dense["541722628"]) == ("1", "0")


def test_rsna_of_two_sites_in_one_patient_is_refused_as_cohorts(tmp_path: Path) -> None:
    tree_rsna_mammo_2022.write(tmp_path)
    with_cell(tmp_path / "train.csv", 3, "site_id", "1")
    with pytest.raises(TableError, match="1 patient of several sites"):
        read("rsna-mammo-2022", tmp_path, cohorts="site")


def test_views_that_are_kept_are_counted_and_keep_the_label_of_their_breast(tmp_path: Path) -> None:
    tree_cbis_ddsm.write(tmp_path)
    found = read_source(SOURCES["cbis-ddsm"], tmp_path, {}, ["MLO"])
    assert found.kept == ("4 of 9: view = MLO",)
    assert of(found, "malignant")["Mass-Training_P_00001_LEFT_MLO"] == "1"


def test_vindr_mammo_takes_the_opinion_of_the_breast_and_says_so(tmp_path: Path) -> None:
    tree_vindr_mammo.write(tmp_path)
    found = read("vindr-mammo", tmp_path)
    rows = rows_of(found)
    assert [rows[n]["birads_high"] for n in ("d8125545a2", "cd0fc7bc53")] == ["1", "0"]
    assert rows["8d1a7d5ef9"]["split"] == "test"
    assert rows["4f5a7d5ef0"]["birads_high"] == "0"  # BI-RADS 3 is not high
    assert "not proven" in SOURCES["vindr-mammo"].targets[0].meaning
    assert any("no patient id" in note for note in found.notes)


def test_vindr_mammo_findings_are_of_the_image_or_of_its_breast(tmp_path: Path) -> None:
    tree_vindr_mammo.write(tmp_path)
    name = "Suspicious Calcification"
    image = of(read("vindr-mammo", tmp_path, case="image"), name)
    breast = of(read("vindr-mammo", tmp_path), name)
    assert (image["d8125545a2"], image["290c658f4e"]) == ("1", "0")
    assert (breast["d8125545a2"], breast["290c658f4e"]) == ("1", "1")
    assert image["4f5a7d5ef0"] is None  # nothing is said of it


def test_vindr_mammo_age_000Y_is_missing(tmp_path: Path) -> None:
    tree_vindr_mammo.write(tmp_path)
    ages = of(read("vindr-mammo", tmp_path), "age")
    assert (ages["d8125545a2"], ages["0025a5dc99"]) == (53, None)


def test_vindr_mammo_refuses_findings_that_are_not_in_its_list(tmp_path: Path) -> None:
    tree_vindr_mammo.write(tmp_path)
    with_cell(tmp_path / "finding_annotations.csv", 4, "finding_categories", "['Masss']")
    with pytest.raises(TableError, match="'Masss' in 1 row, first in row 4"):
        read("vindr-mammo", tmp_path)


def test_two_sets_meet_under_shared_names(tmp_path: Path) -> None:
    tree_cbis_ddsm.write(tmp_path / "a")
    tree_rsna_mammo_2022.write(tmp_path / "b")
    one = read_source(SOURCES["cbis-ddsm"], tmp_path / "a", shared_names=True)
    two = read_source(SOURCES["rsna-mammo-2022"], tmp_path / "b", shared_names=True)
    assert {"malignant", "dense", "density"} <= {*one.frame.columns} & {*two.frame.columns}
    assert "cancer" not in two.frame.columns
    assert any(note.startswith("'biopsy' has no shared name") for note in two.notes)


def image(number: int) -> str:
    return f"1.2.84.{number:04}"


def test_embed_joins_by_exam_and_side(tmp_path: Path) -> None:
    tree_embed.write(tmp_path)
    found = read("embed", tmp_path)
    labels = of(found, "malignant")
    assert labels[image(3)] == "1"  # the worst of two findings of the left
    assert labels[image(2)] == "0"  # the right of the screening exam was calm
    assert labels[image(0)] is None  # to be clarified, and not in its own rows
    # a finding of no side, and one of both, is of either
    assert (labels[image(4)], labels[image(5)]) == ("0", "0")
    assert (labels[image(6)], labels[image(7)]) == ("0", "1")
    assert labels[image(8)] is None  # a cancer that is not of the breast
    assert of(found, "case_id")[image(6)] == "6003_81004_L"
    (join,) = [j for j in found.joins if j.right == "breasts of the findings"]
    assert (join.matched, join.left_only, join.right_only) == (12, 1, 0)


@pytest.mark.parametrize(("days", "label"), [("0", None), ("59", None), ("60", "1"), ("365", "1")])
def test_embed_pathology_of_a_later_exam_counts_within_the_window(
    tmp_path: Path, days: str, label: str | None
) -> None:
    tree_embed.write(tmp_path)
    labels = of(read("embed", tmp_path, window=days), "malignant")
    assert labels[image(0)] == label
    assert labels[image(2)] == "0"  # of the other breast


def test_embed_pathology_does_not_count_for_exams_after_it(tmp_path: Path) -> None:
    tree_embed.write(tmp_path)
    file = tmp_path / "tables" / "EMBED_OpenData_clinical.csv"
    for row in (2, 3):
        with_cell(file, row, "study_date_anon", "2013-03-20")
    assert of(read("embed", tmp_path, window="365"), "malignant")[image(0)] is None


def test_embed_takes_one_kind_of_images_and_says_so(tmp_path: Path) -> None:
    tree_embed.write(tmp_path)
    assert read("embed", tmp_path).kept == ("13 of 14: images_of = 2D",)
    views = read("embed", tmp_path, images_of="C-view")
    assert views.frame["image_id"].to_list() == [image(1)]
    assert read("embed", tmp_path, images_of="both").kept == ()


def test_embed_density_5_is_a_man_and_torn_density_is_empty(tmp_path: Path) -> None:
    tree_embed.write(tmp_path)
    found = read("embed", tmp_path)
    density = of(found, "density")
    assert [density[image(n)] for n in (0, 4, 6, 8)] == ["C", "A", None, None]
    assert "1 patient with density 5 (male breast): density left empty." in found.notes
    assert "1 exam with several values of density: left empty." in found.notes
    rows = rows_of(found)
    assert [rows[image(n)]["race"] for n in (0, 4, 6)] == ["White", "Black", None]
    assert (rows[image(4)]["age"], rows[image(4)]["ethnicity"]) == (90, "Hispanic")


def test_embed_without_pathology_is_empty_if_asked_for(tmp_path: Path) -> None:
    tree_embed.write(tmp_path)
    labels = of(read("embed", tmp_path, unproven="empty"), "malignant")
    assert {name for name, label in labels.items() if label} == {image(3), image(7), image(11)}


def test_embed_what_has_to_be_clarified_is_neither_high_nor_calm(tmp_path: Path) -> None:
    tree_embed.write(tmp_path)
    file = tmp_path / "tables" / "EMBED_OpenData_clinical.csv"
    with_cell(file, 3, "side", "L")  # A and N of one breast
    with_cell(file, 6, "asses", "")
    rows = rows_of(read("embed", tmp_path))
    for number in (0, 4):
        assert (rows[image(number)]["birads_high"], rows[image(number)]["malignant"]) == (
            None,
            None,
        )


def test_embed_pathology_counts_for_the_side_of_the_tissue(tmp_path: Path) -> None:
    tree_embed.write(tmp_path)
    found = read("embed", tmp_path)
    rows = rows_of(found)
    assert (rows[image(10)]["malignant"], rows[image(10)]["birads"]) == (None, "4")
    assert (rows[image(11)]["malignant"], rows[image(11)]["birads"]) == ("1", "1")
    assert any(n.startswith("1 finding whose pathology is of another side") for n in found.notes)


def test_embed_the_other_breast_of_a_bilateral_exam_is_negative(tmp_path: Path) -> None:
    tree_embed.write(tmp_path)
    found = read("embed", tmp_path)
    rows = rows_of(found)
    assert (rows[image(12)]["malignant"], rows[image(12)]["birads"]) == (None, "3")
    assert (rows[image(13)]["malignant"], rows[image(13)]["birads"]) == ("0", "1")
    assert rows[image(3)]["laterality"] == "L"
    assert any(n.startswith("2 bilateral exams with findings of one") for n in found.notes)


def test_embed_what_was_not_answered_is_no_group(tmp_path: Path) -> None:
    tree_embed.write(tmp_path)
    rows = rows_of(read("embed", tmp_path))
    assert [rows[image(n)]["race"] for n in (10, 12)] == [None, "Asian"]
    assert [rows[image(n)]["ethnicity"] for n in (10, 12)] == [None, None]
    assert (rows[image(0)]["ethnicity"], rows[image(4)]["ethnicity"]) == (
        "Non-Hispanic",
        "Hispanic",
    )


def test_embed_is_cut_to_exams_makers_and_full_views(tmp_path: Path) -> None:
    tree_embed.write(tmp_path)
    found = read("embed", tmp_path, exams="screening")
    assert set(found.frame["exam_type"]) == {"screening"}
    assert "10 of 13: exams = screening" in found.kept
    full = read("embed", tmp_path, special_views="leave-out")
    assert image(3) not in rows_of(full)
    assert "12 of 13: special_views = leave-out" in full.kept
    ge = read("embed", tmp_path, maker="GE MEDICAL SYSTEMS")
    assert set(ge.frame["patient_id"]) == {"6002"}
    with pytest.raises(ConfigError, match="'maker' holds 'GE' .*HOLOGIC, Inc"):
        read("embed", tmp_path, maker="GE")


def test_embed_says_what_its_licence_forbids(tmp_path: Path) -> None:
    tree_embed.write(tmp_path)
    written = import_source("embed", tmp_path, tmp_path / "embed.parquet")
    assert any("forbids to release models, weights or embeddings" in n for n in written.notes)


def test_embed_is_read_from_its_png_copies_too(tmp_path: Path) -> None:
    tree_embed.write(tmp_path / "a")
    tree_embed.write(tmp_path / "b", "png")
    one, two = (read("embed", tmp_path / name).frame.drop("path") for name in "ab")
    assert one.equals(two)


def test_embed_refuses_what_is_no_number_of_days(tmp_path: Path) -> None:
    tree_embed.write(tmp_path)
    with pytest.raises(ConfigError, match="'window' holds 'a year'"):
        read("embed", tmp_path, window="a year")


def test_mias_original_pgm_files_keep_their_pixels(tmp_path: Path) -> None:
    tree_mias.write(tmp_path)
    films = {}
    for number, path in enumerate(sorted((tmp_path / "all-mias").iterdir())):
        pixels = np.random.default_rng(number).integers(0, 256, (6, 4), dtype=np.uint8)
        path.with_suffix(".pgm").write_bytes(b"P5\n# MIAS\n4 6\n255\n" + pixels.tobytes())
        films[path.stem] = pixels
        path.unlink()
    found = read("mias", tmp_path)
    assert set(found.frame["image_id"]) == set(films)
    for name, image in found.frame.select("image_id", "image").iter_rows():
        assert np.array_equal(decode_image(image, 10_000).squeeze(), films[name])
    assert any("stored in the manifest as PNG" in note for note in found.notes)
    (tmp_path / "all-mias" / "mdb001.pgm").write_bytes(b"P5\n4 6\n255\n123")
    with pytest.raises(TableError, match=r"1 \.pgm file cannot be read"):
        read("mias", tmp_path)


def test_mias_pairs_of_films_are_of_one_woman(tmp_path: Path) -> None:
    tree_mias.write(tmp_path)
    rows = rows_of(read("mias", tmp_path))
    assert rows["mdb001"]["patient_id"] == rows["mdb002"]["patient_id"] == "mias-001"
    assert rows["mdb003"]["patient_id"] == "mias-002"
    assert (rows["mdb001"]["laterality"], rows["mdb002"]["laterality"]) == ("R", "L")
    assert (rows["mdb001"]["case_id"], rows["mdb002"]["case_id"]) == ("mias-001_R", "mias-001_L")


def test_mias_film_with_several_lines_is_malignant_if_any_is(tmp_path: Path) -> None:
    tree_mias.write(tmp_path)
    rows = rows_of(read("mias", tmp_path))
    assert [rows["mdb005"][n] for n in ("malignant", "circumscribed", "other_mass")] == ["1"] * 3
    assert [rows["mdb059"][n] for n in ("malignant", "abnormal")] == ["0", "1"]
    assert [rows["mdb216"][n] for n in ("malignant", "calcification")] == ["1", "1"]
    assert rows["mdb003"]["abnormal"] == "0"
    exam = of(read("mias", tmp_path, case="exam"), "malignant")
    assert exam["mdb006"] == "1"


def test_mias_densities_are_not_taken_for_birads(tmp_path: Path) -> None:
    tree_mias.write(tmp_path)
    found = read_source(SOURCES["mias"], tmp_path, shared_names=True)
    assert "dense" not in found.frame.columns
    assert any(note.startswith("'dense_glandular' has no shared name") for note in found.notes)


def test_mias_refuses_lines_that_it_cannot_read_by_number(tmp_path: Path) -> None:
    tree_mias.write(tmp_path)
    lines = [*tree_mias.LINES, "mdb300 X NORM", "mdb301 G CIRC B 5"]
    (tmp_path / "Info.txt").write_text("\n".join(lines))
    with pytest.raises(TableError, match=r"Info.txt: 2 lines cannot be read, rows 12, 13"):
        read("mias", tmp_path)
    (tmp_path / "Info.txt").write_text("nothing")
    with pytest.raises(TableError, match="names no film"):
        read("mias", tmp_path)
    (tmp_path / "Info.txt").unlink()
    with pytest.raises(TableError, match=r"Info.txt is not below"):
        read("mias", tmp_path)


@pytest.mark.shared
def test_real_mias_films_have_the_women_sides_and_labels_of_the_packed_table(
    shared: Path, tmp_path: Path
) -> None:
    packed = pl.read_parquet(shared / "mammo_mias.parquet").sort("image_id")
    lines: list[str] = []
    for film in packed.iter_rows(named=True):
        (tmp_path / f"{film['image_id']}.jpg").write_bytes(film["image"])
        start = f"{film['image_id']} {film['tissue']}"
        lesions = json.loads(film["lesions_json"])
        lines += [f"{start} {one['cls']} {one['severity']}" for one in lesions]
        lines += [] if lesions else [f"{start} {film['abnormality']}"]
    (tmp_path / "Info.txt").write_text("\n".join(lines))
    frame = read("mias", tmp_path).frame
    assert frame["image_id"].to_list() == packed["image_id"].to_list()
    assert frame["laterality"].to_list() == packed["laterality"].to_list()
    women = frame["patient_id"].str.slice(5).to_list()
    assert women == packed["patient_id"].str.slice(10).to_list()
    benign = (frame["abnormal"] == "1") & (frame["malignant"] == "0")
    named = packed["label"]
    assert (frame["malignant"] == "1").to_list() == (named == "malignant").to_list()
    assert benign.to_list() == (named == "benign").to_list()


def test_inbreast_patient_is_in_the_file_name_and_exams_stay_apart(tmp_path: Path) -> None:
    tree_inbreast.write(tmp_path)
    rows = rows_of(read("inbreast", tmp_path))
    assert rows["20586908"]["patient_id"] == "6c613a14b80a8591"
    assert rows["20586908"]["case_id"] == rows["20586934"]["case_id"]
    assert rows["20586908"]["case_id"] != rows["20588046"]["case_id"]  # another year
    assert rows["20586960"]["case_id"] == "6c613a14b80a8591_1_L"


def test_inbreast_reads_4a_and_blank_densities(tmp_path: Path) -> None:
    tree_inbreast.write(tmp_path)
    rows = rows_of(read("inbreast", tmp_path, case="image"))
    high = {name: rows[name]["birads_high"] for name in rows}
    assert (high["20586908"], high["20586934"], high["20588046"]) == ("1", "0", "1")
    assert rows["20587080"]["density"] is rows["20587080"]["dense"] is None
    assert rows["20587054"]["density"] == "D"


def test_inbreast_without_patients_in_the_file_names_is_refused(tmp_path: Path) -> None:
    tree_inbreast.write(tmp_path)
    for path in list((tmp_path / "AllDICOMs").iterdir()):
        path.rename(path.with_name(path.name.split("_")[0] + ".dcm"))
    with pytest.raises(TableError, match=r"6 image files whose name has no patient"):
        read("inbreast", tmp_path)


def test_cmmd_without_sides_is_labelled_by_exam_and_says_so(tmp_path: Path) -> None:
    tree_cmmd.write(tmp_path)
    found = read("cmmd", tmp_path)
    by_patient = dict(found.frame.select("patient_id", "malignant").iter_rows())
    assert by_patient == {"D1-0001": "0", "D1-0002": "1", "D2-0003": "1"}
    assert found.frame["case_id"].to_list() == found.frame["patient_id"].to_list()
    assert any(note.startswith("The sides of 8 images are neither in") for note in found.notes)
    assert any("equal byte by byte" in note for note in found.notes)
    with pytest.raises(ConfigError, match="case=exam"):
        read("cmmd", tmp_path, case="breast")


def test_cmmd_sides_and_views_are_of_the_dicom_headers(tmp_path: Path) -> None:
    tree_cmmd.write(tmp_path)
    views = {"1": "cranio-caudal", "2": "medio-lateral oblique"}
    for path in (tmp_path / "CMMD").rglob("*.dcm"):
        number = path.stem[-1]
        code = views["1" if number in "13" else "2"]
        dicom_header(path, ImageLaterality="L" if number in "12" else "R", ViewCodeSequence=code)
    found = read("cmmd", tmp_path, case="breast")
    rows = {row["patient_id"] + row["path"][-5]: row for row in found.frame.to_dicts()}
    assert (rows["D1-00021"]["laterality"], rows["D1-00021"]["view"]) == ("L", "CC")
    assert (rows["D1-00024"]["laterality"], rows["D1-00024"]["view"]) == ("R", "MLO")
    assert [rows[name]["malignant"] for name in ("D1-00021", "D1-00024")] == ["0", "1"]
    assert rows["D1-00021"]["case_id"] == "D1-0002_L"
    assert not any("The sides of" in note for note in found.notes)


def test_cmmd_equal_files_of_two_patients_stay_visible(tmp_path: Path) -> None:
    tree_cmmd.write(tmp_path)
    paths = read("cmmd", tmp_path).frame.filter(pl.col("path").str.ends_with("1-1.dcm"))
    contents = {(tmp_path / path).read_bytes() for path in paths["path"]}
    assert (len(paths), len(contents)) == (3, 2)


def test_cmmd_with_sides_in_the_names_is_by_breast_and_read_from_its_workbook(
    tmp_path: Path,
) -> None:
    tree_cmmd.write_named(tmp_path)
    rows = rows_of(read("cmmd", tmp_path, case="breast"))
    names = [f"D1-0002_1-{n}_{side}_MLO" for n, side in enumerate("LR")]
    assert [rows[name]["malignant"] for name in names] == ["0", "1"]
    assert rows[names[0]]["case_id"] == "D1-0002_L"
    assert (rows[names[0]]["mass"], rows[names[0]]["calcification"]) == ("1", "1")
    other = rows["D2-0003_1-1_R_CC"]
    assert (other["malignant"], other["age"], other["view"]) == (None, 90, "CC")


def test_cmmd_partial_downloads_are_said_by_patient(tmp_path: Path) -> None:
    tree_cmmd.write(tmp_path)
    shutil.rmtree(tmp_path / "CMMD" / "D1-0001")
    found = read("cmmd", tmp_path)
    assert any(note.startswith("The download is partial: 2 of 3 patients") for note in found.notes)
    assert (found.joins[0].matched, found.joins[0].left_only) == (2, 1)
