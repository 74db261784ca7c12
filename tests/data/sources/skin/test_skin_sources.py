"""Sources of skin lesions: a lesion is a case, and what gives its label away stays outside."""

from pathlib import Path

import polars as pl
import pytest
from tests.data.sources import tree_ddi as ddi
from tests.data.sources import tree_derm7pt as derm7pt
from tests.data.sources import tree_fitzpatrick17k as fitzpatrick
from tests.data.sources import tree_ham10000 as ham
from tests.data.sources import tree_isic2019 as isic2019
from tests.data.sources import tree_isic2020 as isic2020
from tests.data.sources import tree_pad_ufes_20 as pad
from tests.data.sources.trees import table, with_cell, without_columns

from medtransfer.data.sources.catalog import SOURCES, overlaps_of
from medtransfer.data.sources.combine_manifests import combine
from medtransfer.data.sources.import_source import read_source, write_manifest
from medtransfer.data.sources.skin import skin
from medtransfer.data.sources.vocabulary import SKIN_CLASSES
from medtransfer.errors import TableError
from medtransfer.tables.manifest import SPLITS


class TestHam10000:
    SOURCE = SOURCES["ham10000"]

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        ham.write(tmp_path)
        return tmp_path

    def test_photographs_of_a_lesion_are_one_case_of_one_patient(self, folder: Path) -> None:
        found = read_source(self.SOURCE, folder)
        lesion = found.frame.filter(pl.col("image_id").is_in(["ISIC_0027419", "ISIC_0025030"]))
        assert set(lesion["case_id"]) == {"HAM_0000118"} == set(lesion["patient_id"])
        assert found.frame.n_unique("case_id") == 7 + 3
        assert "It has no patient ids: each lesion is taken for a patient." in found.notes
        assert "3 images without a lesion's id: each is a case of its own." in found.notes
        each = read_source(self.SOURCE, folder, {"case": "image"}).frame
        assert each.n_unique("case_id") == 8 + 3
        assert each.n_unique("patient_id") == 7 + 3

    def test_how_a_diagnosis_was_confirmed_is_nowhere(self, folder: Path) -> None:
        found = read_source(self.SOURCE, folder)
        values = {str(cell) for row in found.frame.iter_rows() for cell in row}
        assert not {"histo", "follow_up", "consensus", "confocal"} & values

    def test_the_challenge_test_is_test_and_no_lesion_is_in_two_splits(self, folder: Path) -> None:
        frame = read_source(self.SOURCE, folder).frame
        assert set(frame["split"]) == set(SPLITS)
        assert set(frame.filter(split="test")["image_id"]) == {image for image, _ in ham.TEST}
        assert frame.n_unique(["patient_id", "split"]) == frame.n_unique("patient_id")

    def test_without_the_test_table_there_is_no_split(self, folder: Path) -> None:
        (folder / "ISIC2018_Task3_Test_GroundTruth.csv").unlink()
        frame = read_source(self.SOURCE, folder).frame
        assert len(frame) == 8
        assert "split" not in frame.columns

    def test_the_test_table_may_be_written_like_the_metadata(self, folder: Path) -> None:
        before = read_source(self.SOURCE, folder).frame
        short = {name: ours for ours, name in (self.SOURCE.classes or {}).items()}
        rows = [
            (f"L{i}", image, short[name], "histo", "", "", "", "test")
            for i, (image, name) in enumerate(ham.TEST)
        ]
        table(folder / "ISIC2018_Task3_Test_GroundTruth.csv", ham.HEADER, rows)
        after = read_source(self.SOURCE, folder).frame
        assert after.n_unique("case_id") == 7 + 3
        for column in ("image_id", "diagnosis", "malignant", "path"):
            assert after[column].to_list() == before[column].to_list()

    def test_the_metadata_may_lack_its_ending_and_its_collections(self, folder: Path) -> None:
        before = read_source(self.SOURCE, folder).frame
        path = folder / "HAM10000_metadata.csv"
        without_columns(path, ["dataset"])
        path.rename(folder / "HAM10000_metadata")
        after = read_source(self.SOURCE, folder).frame
        assert after["collection"].null_count() == len(after)
        assert after.drop("collection").equals(before.drop("collection"))

    def test_collections_can_be_cohorts(self, folder: Path) -> None:
        (folder / "ISIC2018_Task3_Test_GroundTruth.csv").unlink()
        frame = read_source(self.SOURCE, folder, {"cohorts": "collections"}).frame
        assert set(frame["cohort"]) == {row[7] for row in ham.ROWS}
        assert frame["cohort"].to_list() == frame["collection"].to_list()

    def test_precancer_and_cancer_in_one_class_are_uncertain(self, folder: Path) -> None:
        frame = read_source(self.SOURCE, folder).frame
        label = dict(frame.select("diagnosis", "malignant").iter_rows())
        assert label == {
            "mel": "1",
            "bcc": "1",
            "akiec": "-1",
            "nv": "0",
            "bkl": "0",
            "df": "0",
            "vasc": "0",
        }

    def test_age_zero_and_unknown_places_are_empty_and_said(self, folder: Path) -> None:
        found = read_source(self.SOURCE, folder)
        (row,) = found.frame.filter(image_id="ISIC_0025837").iter_rows(named=True)
        assert (row["age"], row["age_band"], row["sex"], row["body_site"]) == (None,) * 4
        assert "Age is left empty: '0.0' in 1 row." in found.notes

    def test_what_is_no_class_is_named_by_row(self, folder: Path) -> None:
        with_cell(folder / "HAM10000_metadata.csv", 4, "dx", "melanoma")
        with pytest.raises(TableError, match="'melanoma' in 1 row, first in row 4"):
            read_source(self.SOURCE, folder)
        ham.write(folder)
        with_cell(folder / "ISIC2018_Task3_Test_GroundTruth.csv", 3, "NV", "1.0")
        with pytest.raises(TableError, match=r"not exactly one of MEL, .* is 1 in row 3"):
            read_source(self.SOURCE, folder)

    def test_an_image_of_both_tables_is_refused(self, folder: Path) -> None:
        with_cell(folder / "ISIC2018_Task3_Test_GroundTruth.csv", 2, "image", ham.ROWS[0][1])
        with pytest.raises(TableError, match="1 image in both tables"):
            read_source(self.SOURCE, folder)


class TestPadUfes20:
    SOURCE = SOURCES["pad-ufes-20"]

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        pad.write(tmp_path)
        return tmp_path

    def test_six_photographs_of_a_lesion_are_one_case(self, folder: Path) -> None:
        frame = read_source(self.SOURCE, folder).frame
        assert sorted(frame["case_id"].value_counts()["count"]) == [1, 1, 1, 1, 1, 1, 6]
        each = read_source(self.SOURCE, folder, {"case": "image"}).frame
        assert each["case_id"].to_list() == each["image_id"].to_list()

    def test_a_lesion_number_is_a_patients_own(self, folder: Path) -> None:
        frame = read_source(self.SOURCE, folder).frame
        assert {"PAT_46_881", "PAT_1545_881"} <= set(frame["case_id"])
        assert frame.n_unique(["case_id", "patient_id"]) == frame.n_unique("case_id")

    def test_the_published_spellings_are_read(self, folder: Path) -> None:
        frame = read_source(self.SOURCE, folder).frame
        types = dict(frame.select("patient_id", "skin_type").iter_rows())
        assert types["PAT_46"] == "III-IV"
        assert types["PAT_684"] == "V-VI"
        without_columns(folder / "metadata.csv", ["fitspatrick"])
        with pytest.raises(TableError, match="lacks column 'fitspatrick'"):
            read_source(self.SOURCE, folder)

    def test_what_is_not_known_is_empty_and_said(self, folder: Path) -> None:
        found = read_source(self.SOURCE, folder)
        (row,) = found.frame.filter(patient_id="PAT_1545").iter_rows(named=True)
        assert (row["fitzpatrick"], row["skin_type"], row["body_site"]) == (None,) * 3
        assert "Skin type is left empty: 'UNK' in 1 row." in found.notes

    def test_the_biopsy_is_nowhere(self, folder: Path) -> None:
        frame = read_source(self.SOURCE, folder).frame
        assert not {"True", "False"} & {str(cell) for row in frame.iter_rows() for cell in row}


class TestIsic2019:
    SOURCE = SOURCES["isic-2019"]

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        isic2019.write(tmp_path)
        return tmp_path

    def test_classes_are_read_from_their_columns(self, folder: Path) -> None:
        frame = read_source(self.SOURCE, folder).frame
        found = dict(frame.select("image_id", "diagnosis").iter_rows())
        assert found == {row[0]: row[1] for row in [*isic2019.ROWS, *isic2019.TEST]}
        unknown = frame.filter(diagnosis="UNK")
        assert unknown["malignant"].to_list() == [None]
        assert unknown["split"].to_list() == ["test"]

    def test_a_row_of_two_classes_is_refused(self, folder: Path) -> None:
        with_cell(folder / "ISIC_2019_Training_GroundTruth.csv", 2, "MEL", "1.0")
        with pytest.raises(TableError, match="not exactly one of MEL, .* is 1 in row 2"):
            read_source(self.SOURCE, folder)

    def test_metadata_is_joined_by_key_and_both_sides_are_counted(self, folder: Path) -> None:
        found = read_source(self.SOURCE, folder)
        _, train, test = found.joins
        assert (train.matched, train.left_only, train.right_only) == (11, 1, 1)
        assert (test.matched, test.left_only, test.right_only) == (2, 0, 0)

    def test_copies_made_smaller_are_of_the_case_of_the_larger(self, folder: Path) -> None:
        found = read_source(self.SOURCE, folder)
        frame = found.frame.filter(pl.col("image_id").str.starts_with("ISIC_0000022"))
        assert len(frame) == 2
        assert set(frame["case_id"]) == {"ISIC_0000022"} == set(frame["patient_id"])
        assert frame["split"].n_unique() == 1
        assert any(note.startswith("2 images made smaller") for note in found.notes)

    def test_images_without_a_lesion_are_counted(self, folder: Path) -> None:
        found = read_source(self.SOURCE, folder)
        assert "5 images without a lesion's id: each is a case of its own." in found.notes

    def test_ham10000_can_be_left_out_and_is_counted(self, folder: Path) -> None:
        found = read_source(self.SOURCE, folder, {"collections": "without-ham10000"})
        assert found.kept == ("11 of 14: collections = without-ham10000",)
        assert not found.frame["case_id"].str.starts_with("HAM").any()
        assert set(found.frame["collection"].drop_nulls()) == {"BCN", "MSK"}

    def test_the_overlap_is_stated(self) -> None:
        for source in (self.SOURCE, SOURCES["ham10000"]):
            assert ("ham", "isic") in {(o.one, o.other) for o in overlaps_of(source)}

    def test_without_the_test_ground_truth_there_is_no_split(self, folder: Path) -> None:
        (folder / "ISIC_2019_Test_GroundTruth.csv").unlink()
        frame = read_source(self.SOURCE, folder).frame
        assert "split" not in frame.columns
        assert len(frame) == len(isic2019.ROWS)


class TestIsic2020:
    SOURCE = SOURCES["isic-2020"]

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        isic2020.write(tmp_path)
        return tmp_path

    def test_duplicates_are_kept_and_said(self, folder: Path) -> None:
        found = read_source(self.SOURCE, folder)
        assert len(found.frame) == 7
        assert any(
            note.startswith("2 pairs of images listed as duplicates, 1 of two patients")
            for note in found.notes
        )
        (join,) = [join for join in found.joins if "duplicates" in join.left]
        assert (join.matched, join.left_only) == (2, 1)

    def test_the_second_of_each_pair_is_left_out_if_asked_for(self, folder: Path) -> None:
        found = read_source(self.SOURCE, folder, {"duplicates": "first"})
        assert found.kept == ("5 of 7: duplicates = first",)
        left = {row[0] for row in isic2020.ROWS} - set(found.frame["image_id"])
        assert left == {"ISIC_2637012", "ISIC_0074311"}
        (folder / "ISIC_2020_Training_Duplicates.csv").unlink()
        with pytest.raises(TableError, match="duplicates=first needs it"):
            read_source(self.SOURCE, folder, {"duplicates": "first"})

    def test_labels_that_the_words_contradict_are_refused(self, folder: Path) -> None:
        with_cell(folder / "ISIC_2020_Training_GroundTruth_v2.csv", 5, "target", "0")
        with pytest.raises(TableError, match="'benign_malignant' disagree in row 5"):
            read_source(self.SOURCE, folder)

    def test_an_unknown_diagnosis_is_empty_and_its_label_stays(self, folder: Path) -> None:
        frame = read_source(self.SOURCE, folder).frame.filter(patient_id="IP_7279968")
        assert frame["diagnosis"].to_list() == [None, None]
        assert frame["malignant"].to_list() == ["0", "0"]
        assert frame.n_unique("case_id") == 1

    def test_the_table_of_kaggle_has_no_lesions(self, folder: Path) -> None:
        path = folder / "ISIC_2020_Training_GroundTruth_v2.csv"
        without_columns(path, ["lesion_id"])
        path.rename(folder / "train.csv")
        found = read_source(self.SOURCE, folder)
        assert found.frame.n_unique("case_id") == 7
        assert found.frame.n_unique("patient_id") == 6
        assert "7 images without a lesion's id: each is a case of its own." in found.notes


class TestFitzpatrick17k:
    SOURCE = SOURCES["fitzpatrick17k"]

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        fitzpatrick.write(tmp_path)
        return tmp_path

    def test_dead_links_make_a_partial_download_that_is_said(self, folder: Path) -> None:
        found = read_source(self.SOURCE, folder)
        assert any("8 of 9 rows (88.9%)" in note for note in found.notes)
        assert fitzpatrick.name(fitzpatrick.DEAD) not in set(found.frame["image_id"])

    def test_an_unknown_skin_type_is_empty(self, folder: Path) -> None:
        frame = read_source(self.SOURCE, folder).frame
        for number, row in enumerate(fitzpatrick.ROWS[: fitzpatrick.DEAD]):
            (cells,) = frame.filter(image_id=fitzpatrick.name(number)).iter_rows(named=True)
            assert cells["fitzpatrick"] == (None if row[0] == "-1" else row[0])
            assert (cells["skin_type"] is None) == (row[0] == "-1")

    def test_three_parts_become_a_label_and_a_precancer_is_uncertain(self, folder: Path) -> None:
        frame = read_source(self.SOURCE, folder).frame
        label = dict(frame.select("diagnosis", "malignant").iter_rows())
        assert label["kaposi sarcoma"] == "1"
        assert label["dermatofibroma"] == label["acne vulgaris"] == "0"
        assert label["actinic keratosis"] == "-1"

    def test_labels_called_wrong_are_kept_until_they_are_not_wanted(self, folder: Path) -> None:
        assert read_source(self.SOURCE, folder).kept == ()
        found = read_source(self.SOURCE, folder, {"quality": "not-wrong"})
        assert found.kept == ("8 of 9: quality = not-wrong",)
        assert "3 Wrongly labelled" not in set(found.frame["quality"])

    def test_two_rows_with_one_picture_are_two_rows_and_a_warning(self, folder: Path) -> None:
        found = read_source(self.SOURCE, folder)
        pair = {fitzpatrick.name(6), fitzpatrick.name(7)}
        files = [
            folder / path
            for path in found.frame.filter(pl.col("image_id").is_in(list(pair)))["path"]
        ]
        assert len(files) == 2
        assert files[0].read_bytes() == files[1].read_bytes()
        assert any("Look for near duplicates" in note for note in found.notes)

    def test_a_scale_that_is_none_is_named_by_row(self, folder: Path) -> None:
        with_cell(folder / "fitzpatrick17k.csv", 4, "fitzpatrick_scale", "7")
        with pytest.raises(TableError, match="'7' in 1 row, first in row 4"):
            read_source(self.SOURCE, folder)


class TestDdi:
    SOURCE = SOURCES["ddi"]

    def test_tones_and_truth_are_read(self, tmp_path: Path) -> None:
        ddi.write(tmp_path)
        frame = read_source(self.SOURCE, tmp_path).frame
        pairs = {"12": "I-II", "34": "III-IV", "56": "V-VI"}
        assert frame["skin_type"].to_list() == [pairs[row[2]] for row in ddi.ROWS]
        truth = {"True": "1", "False": "0"}
        wanted = ["-1" if row[4] == "actinic-keratosis" else truth[row[3]] for row in ddi.ROWS]
        assert frame["malignant"].to_list() == wanted
        assert "split" not in frame.columns

    def test_another_tone_or_truth_is_named_by_row(self, tmp_path: Path) -> None:
        ddi.write(tmp_path)
        with_cell(tmp_path / "ddi_metadata.csv", 2, "skin_tone", "65")
        with_cell(tmp_path / "ddi_metadata.csv", 3, "malignant", "yes")
        with pytest.raises(TableError) as error:
            read_source(self.SOURCE, tmp_path)
        assert "'65' in 1 row, first in row 2" in str(error.value)
        assert "'yes' in 1 row, first in row 3" in str(error.value)


class TestDerm7pt:
    SOURCE = SOURCES["derm7pt"]

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        derm7pt.write(tmp_path)
        return tmp_path

    def test_two_images_are_one_case_and_a_view_keeps_one(self, folder: Path) -> None:
        frame = read_source(self.SOURCE, folder).frame
        assert set(frame["case_id"].value_counts()["count"]) == {2}
        found = read_source(self.SOURCE, folder, views=["dermoscopic"])
        assert found.kept == ("11 of 22: view = dermoscopic",)
        assert {path.removeprefix("images/") for path in found.frame["path"]} == set(derm7pt.DERM)

    def test_lists_count_cases_from_zero_in_the_order_of_their_numbers(self, folder: Path) -> None:
        frame = read_source(self.SOURCE, folder).frame
        ours = {"train": "train", "valid": "tune", "test": "test"}
        wanted = {
            str(place + 1): ours[name] for name, all_ in derm7pt.LISTS.items() for place in all_
        }
        assert dict(frame.select("case_id", "split").iter_rows()) == wanted

    def test_a_case_in_two_lists_is_refused(self, folder: Path) -> None:
        table(folder / "meta" / "test_indexes.csv", ("indexes",), [(0,), (4,), (7,), (8,), (10,)])
        with pytest.raises(TableError, match="1 case in two places of the official lists"):
            read_source(self.SOURCE, folder)

    def test_without_a_list_there_is_no_official_split(self, folder: Path) -> None:
        (folder / "meta" / "valid_indexes.csv").unlink()
        found = read_source(self.SOURCE, folder)
        assert "split" not in found.frame.columns
        assert "The official valid list is not there: no official split." in found.notes

    def test_the_checklist_is_nowhere(self, folder: Path) -> None:
        columns = set(read_source(self.SOURCE, folder).frame.columns)
        assert not {"seven_point_score", "pigment_network", "management", "notes"} & columns


TREES = {
    "ham10000": ham,
    "pad-ufes-20": pad,
    "isic-2019": isic2019,
    "isic-2020": isic2020,
    "fitzpatrick17k": fitzpatrick,
    "ddi": ddi,
    "derm7pt": derm7pt,
}


class TestSharedNames:
    @pytest.mark.parametrize("name", TREES)
    def test_every_skin_source_speaks_of_the_same_classes(self, name: str, tmp_path: Path) -> None:
        TREES[name].write(tmp_path)
        found = read_source(SOURCES[name], tmp_path, shared_names=True)
        assert set(found.frame["diagnosis"].drop_nulls()) <= set(SKIN_CLASSES)
        assert set(found.frame["malignant"].drop_nulls()) <= {"1", "0", "-1"}
        for mark, classes in {"1": {"MEL", "BCC"}, "0": {"NV", "BKL", "DF", "VASC"}}.items():
            labels = found.frame.filter(pl.col("diagnosis").is_in(list(classes)))["malignant"]
            assert set(labels) <= {mark}

    def test_ham10000_and_pad_ufes_become_one_manifest(self, tmp_path: Path) -> None:
        paths: list[Path] = []
        for name in ("ham10000", "pad-ufes-20"):
            folder = tmp_path / name
            TREES[name].write(folder)
            frame = read_source(SOURCES[name], folder, {"splits": "none"}, shared_names=True).frame
            write_manifest(frame, folder, tmp_path / f"{name}.parquet")
            paths.append(tmp_path / f"{name}.parquet")
        frame = combine(paths).frame
        classes = {cohort: set(rows["diagnosis"]) for (cohort,), rows in frame.group_by("cohort")}
        assert classes["pad-ufes-20"] == {"MEL", "NV", "BCC", "AKIEC", "BKL"}
        assert classes["ham10000"] == classes["pad-ufes-20"] | {"DF", "VASC"}

    def test_what_has_no_shared_class_is_said(self, tmp_path: Path) -> None:
        isic2020.write(tmp_path)
        found = read_source(SOURCES["isic-2020"], tmp_path, shared_names=True)
        said = "Class 'lentigo nos' of 'diagnosis' has no shared class and is left empty (1 row)."
        assert said in found.notes


@pytest.mark.shared
class TestRealLesions:
    """The shared images, laid out as their owners do, against what was said when they were kept."""

    def laid_out(self, name: str, shared: Path, folder: Path) -> pl.DataFrame:
        files = {"ham10000": "derm_ham10000.parquet", "pad-ufes-20": "derm_pad_ufes.parquet"}
        kept = pl.read_parquet(shared / files[name])
        if name == "ham10000":
            rows = kept.select(
                "lesion_id",
                "image_id",
                dx="label",
                dx_type="dx_type",
                age="age",
                sex="sex",
                localization="localization",
            )
            rows.write_csv(folder / "HAM10000_metadata.csv")
            names = [f"{image}.jpg" for image in kept["image_id"]]
        else:
            rows = kept.select(
                "patient_id",
                "lesion_id",
                "age",
                img_id="image_id",
                diagnostic="label",
                gender="sex",
                fitspatrick="fitzpatrick",
                region="localization",
                biopsed="biopsied",
            )
            rows.write_csv(folder / "metadata.csv")
            names = kept["image_id"].to_list()
        for image, data in zip(names, kept["image"], strict=True):
            (folder / image).write_bytes(data)
        return kept

    @pytest.mark.parametrize("name", ["ham10000", "pad-ufes-20"])
    def test_labels_lesions_and_people_are_those_that_were_kept(
        self, name: str, shared: Path, tmp_path: Path
    ) -> None:
        kept = self.laid_out(name, shared, tmp_path)
        frame = read_source(SOURCES[name], tmp_path).frame
        found = frame.join(
            kept.with_columns(pl.col("image_id").str.replace(r"\.png$", "")),
            on="image_id",
            suffix="_kept",
        )
        assert len(found) == len(kept) == len(frame)
        assert found["diagnosis"].to_list() == found["label"].to_list()
        assert found["sex"].to_list() == found["sex_kept"].to_list()
        assert found["patient_id"].to_list() == found["patient_id_kept"].to_list()
        lesions = kept.n_unique(["patient_id", "lesion_id"])
        assert found.n_unique("case_id") == lesions == found.n_unique(["patient_id", "lesion_id"])
        sure = found.filter(~pl.col("label").is_in(["akiec", "ACK"]))
        assert sure["malignant"].to_list() == sure["malignant_kept"].cast(pl.String).to_list()
        assert set(found.filter(pl.col("malignant") == "-1")["label"]) <= {"akiec", "ACK"}


@pytest.mark.parametrize(
    ("cell", "digit", "pair"),
    [
        *[("3", "3", "III-IV"), ("3.0", "3", "III-IV"), ("iv", "4", "III-IV"), ("I", "1", "I-II")],
        *[("type 2", "2", "I-II"), ("Typ III", "3", "III-IV"), ("FST VI", "6", "V-VI")],
        *[("V-VI", None, "V-VI"), ("1-2", None, "I-II"), ("II-III", None, None)],
        *[("VIII", None, None), ("7", None, None), ("unknown", None, None), (None, None, None)],
    ],
)
def test_skin_types_are_read_as_hospitals_write_them(
    cell: str | None, digit: str | None, pair: str | None
) -> None:
    frame = pl.DataFrame({"type": [cell]}, schema={"type": pl.String})
    assert frame.select(skin.fitzpatrick("type")).row(0) == (digit, pair)
