"""Sources of skin lesions: a lesion is a case, and what gives its label away stays outside."""

from pathlib import Path

import polars as pl
import pytest
from tests.data.sources import tree_ham10000 as ham
from tests.data.sources.trees import table, with_cell, without_columns

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.importing import import_source
from medtransfer.errors import TableError
from medtransfer.tables.manifest import SPLITS


class TestHam10000:
    SOURCE = SOURCES["ham10000"]

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        ham.write(tmp_path)
        return tmp_path

    def test_photographs_of_a_lesion_are_one_case_of_one_patient(self, folder: Path) -> None:
        found = import_source(self.SOURCE, folder)
        lesion = found.frame.filter(pl.col("image_id").is_in(["ISIC_0027419", "ISIC_0025030"]))
        assert set(lesion["case_id"]) == {"HAM_0000118"} == set(lesion["patient_id"])
        assert found.frame.n_unique("case_id") == 7 + 3
        assert "It has no patient ids: each lesion is taken for a patient." in found.notes
        assert "3 images without a lesion's id: each is a case of its own." in found.notes
        each = import_source(self.SOURCE, folder, {"case": "image"}).frame
        assert each.n_unique("case_id") == 8 + 3
        assert each.n_unique("patient_id") == 7 + 3

    def test_how_a_diagnosis_was_confirmed_is_nowhere(self, folder: Path) -> None:
        found = import_source(self.SOURCE, folder)
        values = {str(cell) for row in found.frame.iter_rows() for cell in row}
        assert not {"histo", "follow_up", "consensus", "confocal"} & values

    def test_the_challenge_test_is_test_and_no_lesion_is_in_two_splits(self, folder: Path) -> None:
        frame = import_source(self.SOURCE, folder).frame
        assert set(frame["split"]) == set(SPLITS)
        assert set(frame.filter(split="test")["image_id"]) == {image for image, _ in ham.TEST}
        assert frame.n_unique(["patient_id", "split"]) == frame.n_unique("patient_id")

    def test_without_the_test_table_there_is_no_split(self, folder: Path) -> None:
        (folder / "ISIC2018_Task3_Test_GroundTruth.csv").unlink()
        frame = import_source(self.SOURCE, folder).frame
        assert len(frame) == 8
        assert "split" not in frame.columns

    def test_the_test_table_may_be_written_like_the_metadata(self, folder: Path) -> None:
        before = import_source(self.SOURCE, folder).frame
        short = {name: ours for ours, name in (self.SOURCE.classes or {}).items()}
        rows = [(f"L{i}", image, short[name], "histo", "", "", "", "test")
                for i, (image, name) in enumerate(ham.TEST)]  # fmt: skip
        table(folder / "ISIC2018_Task3_Test_GroundTruth.csv", ham.HEADER, rows)
        after = import_source(self.SOURCE, folder).frame
        assert after.n_unique("case_id") == 7 + 3
        for column in ("image_id", "diagnosis", "malignant", "path"):
            assert after[column].to_list() == before[column].to_list()

    def test_the_metadata_may_lack_its_ending_and_its_collections(self, folder: Path) -> None:
        before = import_source(self.SOURCE, folder).frame
        path = folder / "HAM10000_metadata.csv"
        without_columns(path, ["dataset"])
        path.rename(folder / "HAM10000_metadata")
        after = import_source(self.SOURCE, folder).frame
        assert after["collection"].null_count() == len(after)
        assert after.drop("collection").equals(before.drop("collection"))

    def test_collections_can_be_cohorts(self, folder: Path) -> None:
        (folder / "ISIC2018_Task3_Test_GroundTruth.csv").unlink()
        frame = import_source(self.SOURCE, folder, {"cohorts": "collections"}).frame
        assert set(frame["cohort"]) == {row[7] for row in ham.ROWS}
        assert frame["cohort"].to_list() == frame["collection"].to_list()

    def test_precancer_and_cancer_in_one_class_are_uncertain(self, folder: Path) -> None:
        frame = import_source(self.SOURCE, folder).frame
        label = dict(frame.select("diagnosis", "malignant").iter_rows())
        assert label == {"mel": "1", "bcc": "1", "akiec": "-1", "nv": "0", "bkl": "0", "df": "0",
                         "vasc": "0"}  # fmt: skip

    def test_age_zero_and_unknown_places_are_empty_and_said(self, folder: Path) -> None:
        found = import_source(self.SOURCE, folder)
        (row,) = found.frame.filter(image_id="ISIC_0025837").iter_rows(named=True)
        assert (row["age"], row["age_band"], row["sex"], row["body_site"]) == (None,) * 4
        assert "Age is left empty in 1 row that say 0.0." in found.notes

    def test_what_is_no_class_is_named_by_row(self, folder: Path) -> None:
        with_cell(folder / "HAM10000_metadata.csv", 4, "dx", "melanoma")
        with pytest.raises(TableError, match="'melanoma' in 1 row, first in row 4"):
            import_source(self.SOURCE, folder)
        ham.write(folder)
        with_cell(folder / "ISIC2018_Task3_Test_GroundTruth.csv", 3, "NV", "1.0")
        with pytest.raises(TableError, match=r"not exactly one of MEL, .* is 1 in row 3"):
            import_source(self.SOURCE, folder)

    def test_an_image_of_both_tables_is_refused(self, folder: Path) -> None:
        with_cell(folder / "ISIC2018_Task3_Test_GroundTruth.csv", 2, "image", ham.ROWS[0][1])
        with pytest.raises(TableError, match="1 image in both tables"):
            import_source(self.SOURCE, folder)
