"""Sets of clinics: lesions and patients, pathologies in words, patients in two parts."""

from pathlib import Path

import polars as pl
import pytest
from tests.data.sources import tree_bcn20000 as bcn
from tests.data.sources import tree_derm12345 as derm
from tests.data.sources import tree_midas as midas
from tests.data.sources.trees import with_cell

from medtransfer.data.sources.catalog import SOURCES, overlaps_of
from medtransfer.data.sources.import_source import read_source
from medtransfer.data.sources.skin.clinics.derm12345 import CLASSES, MALIGNANT
from medtransfer.data.sources.vocabulary import SKIN_CLASSES
from medtransfer.errors import TableError

TREES = {"bcn20000": bcn, "midas": midas, "derm12345": derm}


class TestBcn20000:
    SOURCE = SOURCES["bcn20000"]

    def test_photographs_of_a_lesion_are_one_case(self, tmp_path: Path) -> None:
        bcn.write(tmp_path)
        imported = read_source(self.SOURCE, tmp_path)
        assert sorted(imported.frame["case_id"].value_counts()["count"]) == [1] * 7 + [2]
        assert "1 image without a lesion's id: each is a case of its own." in imported.notes
        label = dict(imported.frame.select("diagnosis", "malignant").iter_rows())
        assert (label["MEL"], label["SCC"], label["AK"], label["NV"]) == ("1", "1", "-1", "0")
        (row,) = imported.frame.filter(image_id="BCN_0000000008").iter_rows(named=True)
        assert (row["age"], row["sex"], row["body_site"]) == (None, None, None)

    def test_test_images_have_no_diagnosis_and_are_counted(self, tmp_path: Path) -> None:
        bcn.write(tmp_path)
        imported = read_source(self.SOURCE, tmp_path)
        assert [(join.matched, join.right_only) for join in imported.joins] == [(9, 1)]

    def test_another_diagnosis_is_named_by_row(self, tmp_path: Path) -> None:
        bcn.write(tmp_path)
        with_cell(tmp_path / "bcn_20k_train.csv", 3, "diagnosis", "Melanoma, NOS")
        with pytest.raises(TableError, match="'Melanoma, NOS' in 1 row, first in row 3"):
            read_source(self.SOURCE, tmp_path)

    def test_isic_2019_holds_it(self) -> None:
        assert ("bcn", "isic") in {(o.one, o.other) for o in overlaps_of(self.SOURCE)}


class TestMidas:
    SOURCE = SOURCES["midas"]

    def test_a_lesion_has_views_of_one_patient(self, tmp_path: Path) -> None:
        midas.write(tmp_path)
        imported = read_source(self.SOURCE, tmp_path, views=["dermoscopic"])
        assert set(imported.frame["image_id"]) == {"s-prd-400", "s-prd-404"}
        frame = read_source(self.SOURCE, tmp_path).frame
        views = frame.filter(patient_id="1").sort("image_id")["view"].to_list()
        assert views == ["dermoscopic", "clinical-15cm", "clinical-30cm"]

    def test_names_are_found_whatever_their_case_and_ending(self, tmp_path: Path) -> None:
        midas.write(tmp_path)
        imported = read_source(self.SOURCE, tmp_path)
        paths = dict(imported.frame.select("image_id", "path").iter_rows())
        assert paths["s-prd-401"].endswith("s-prd-401.jpg")
        assert any("7 of 8 rows" in note for note in imported.notes)

    def test_pathologies_are_read_with_a_blank_or_without(self, tmp_path: Path) -> None:
        midas.write(tmp_path)
        imported = read_source(self.SOURCE, tmp_path)
        label = dict(imported.frame.select("diagnosis", "malignant").iter_rows())
        assert label["malignant-bcc"] == "1"
        assert label["malignant-ak"] == "-1"
        assert label["benign-other"] == label["benign-melanocytic nevus"] == "0"
        assert label["other-melanocytic lesion"] is None
        assert any("neither benign nor malignant" in note for note in imported.notes)

    def test_controls_have_no_label_and_can_be_kept(self, tmp_path: Path) -> None:
        midas.write(tmp_path)
        assert read_source(self.SOURCE, tmp_path).kept == ("8 of 9: controls = without",)
        frame = read_source(self.SOURCE, tmp_path, {"controls": "with"}).frame
        assert frame.filter(image_id="s-prd-403")["malignant"].to_list() == [None]

    def test_skin_types_begin_with_a_roman_number(self, tmp_path: Path) -> None:
        midas.write(tmp_path)
        frame = read_source(self.SOURCE, tmp_path).frame
        types = dict(frame.select("patient_id", "fitzpatrick").iter_rows())
        assert types == {"1": "2", "3": "3", "4": "1", "5": "6"}


class TestDerm12345:
    SOURCE = SOURCES["derm12345"]

    def test_the_tree_has_forty_classes(self) -> None:
        assert len(MALIGNANT) == 40
        assert set(CLASSES) == set(MALIGNANT) - {"isl", "ls", "ch"}

    def test_no_patient_of_the_test_part_trains(self, tmp_path: Path) -> None:
        derm.write(tmp_path)
        imported = read_source(self.SOURCE, tmp_path)
        assert "1 training image of 1 patient who are in the test part: left out." in imported.notes
        parts = imported.frame.group_by("patient_id").agg(pl.col("split").n_unique())
        assert parts["split"].to_list() == [1] * len(parts)
        assert "DERM_900002" in set(imported.frame["image_id"])

    def test_labels_follow_the_tree_of_the_set(self, tmp_path: Path) -> None:
        derm.write(tmp_path)
        frame = read_source(self.SOURCE, tmp_path).frame
        label = dict(frame.select("diagnosis", "malignant").iter_rows())
        words = {"benign": "0", "malignant": "1", "indeterminate": "-1"}
        assert label == {name: words[derm.TREE[name][1]] for name in label}

    def test_a_label_outside_the_tree_is_named_by_row(self, tmp_path: Path) -> None:
        derm.write(tmp_path)
        with_cell(tmp_path / "derm12345_metadata_test.csv", 2, "label", "nmm")
        with pytest.raises(TableError, match="'nmm' in 1 row, first in row 2"):
            read_source(self.SOURCE, tmp_path)


@pytest.mark.parametrize("name", TREES)
def test_classes_have_the_shared_names(name: str, tmp_path: Path) -> None:
    TREES[name].write(tmp_path)
    frame = read_source(SOURCES[name], tmp_path, shared_names=True).frame
    assert set(frame["diagnosis"].drop_nulls()) <= set(SKIN_CLASSES)
    for mark, classes in {"1": {"MEL", "BCC"}, "0": {"NV", "BKL", "DF", "VASC"}}.items():
        labels = frame.filter(pl.col("diagnosis").is_in(list(classes)))["malignant"]
        assert set(labels) <= {mark}
