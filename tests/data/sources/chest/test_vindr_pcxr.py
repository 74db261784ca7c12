"""VinDr-PCXR: three kinds of pneumonia under one shared name, ages of infants, odd marks."""

from pathlib import Path

import pytest
from tests.data.sources import tree_vindr_pcxr
from tests.data.sources.trees import table, with_cell

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.import_source import read_source
from medtransfer.errors import TableError

PCXR = SOURCES["vindr-pcxr"]


def test_any_pneumonia_is_pneumonia_under_shared_names(tmp_path: Path) -> None:
    tree_vindr_pcxr.write(tmp_path)
    found = read_source(PCXR, tmp_path, shared_names=True)
    labels = dict(found.frame.select("image_id", "Pneumonia").iter_rows())
    assert labels == {"03a1": "1", "03b2": "1", "03c3": "0", "03d4": "0", "07e5": "0", "07f6": "0"}
    assert any("'Bronchiolitis' has no shared name" in note for note in found.notes)


def test_infants_are_aged_in_whole_years(tmp_path: Path) -> None:
    tree_vindr_pcxr.write(tmp_path)
    ages = dict(read_source(PCXR, tmp_path).frame.select("image_id", "age").iter_rows())
    assert (ages["03a1"], ages["03b2"], ages["03c3"], ages["03d4"]) == (0, 2, 0, None)


def test_an_image_in_both_parts_is_refused(tmp_path: Path) -> None:
    tree_vindr_pcxr.write(tmp_path)
    row = ("03a1", "R1", *("0" for _ in tree_vindr_pcxr.DISEASES))
    header = ("image_id", "rad_ID", *tree_vindr_pcxr.DISEASES)
    table(tmp_path / "image_labels_test.csv", header, [row])
    with pytest.raises(TableError, match="2 rows name an image that is in both parts"):
        read_source(PCXR, tmp_path)


def test_a_mark_that_is_no_label_is_left_out_and_listed(tmp_path: Path) -> None:
    tree_vindr_pcxr.write(tmp_path)
    with_cell(tmp_path / "image_labels_train.csv", 3, "CPAM", "yes")
    found = read_source(PCXR, tmp_path, {"odd_rows": "0.5"})
    assert "03b2" not in found.frame["image_id"].to_list()
    assert found.left_out[0].rows == (3,)
