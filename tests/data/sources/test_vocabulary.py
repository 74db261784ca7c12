"""Shared names: what two cohorts have in common is called the same, the rest is counted."""

from itertools import product
from pathlib import Path

import polars as pl
import pytest
from tests.data.sources import tree_chexpert, tree_nih_chestxray14, tree_vindr_physionet

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.import_source import read_source
from medtransfer.data.sources.source import ImportedSource, Source, Target
from medtransfer.data.sources.vocabulary import VOCABULARY, harmonise
from medtransfer.errors import ConfigError


def test_every_shared_name_is_in_the_vocabulary_of_its_domain() -> None:
    for source in SOURCES.values():
        for target in source.targets:
            assert target.shared in ("", *VOCABULARY[source.domain]), f"{source.name} {target.name}"
        for name in (source.classes or {}).values():
            assert name in VOCABULARY[source.domain]


def test_chexpert_and_nih_meet(tmp_path: Path) -> None:
    tree_chexpert.write(tmp_path / "a")
    tree_nih_chestxray14.write(tmp_path / "b")
    one = read_source(SOURCES["chexpert"], tmp_path / "a", shared_names=True)
    two = read_source(SOURCES["nih-chestxray14"], tmp_path / "b", shared_names=True)
    shared = set(one.frame.columns) & set(two.frame.columns) & set(VOCABULARY["chest"])
    assert {"Effusion", "Cardiomegaly", "Edema", "Pneumothorax", "Consolidation"} <= shared
    assert "Pleural Effusion" not in one.frame.columns
    assert "Pleural Other" not in one.frame.columns
    said = "'Pleural Other' has no shared name and is left out (3 labels, 1 of them 1)."
    assert said in one.notes
    plain = read_source(SOURCES["chexpert"], tmp_path / "a").frame
    assert one.frame["Effusion"].to_list() == plain["Pleural Effusion"].to_list()


def test_two_targets_of_one_name_become_the_stronger_statement() -> None:
    order = ["1", "-1", "0", None]
    pairs = list(product(order, order))
    frame = pl.DataFrame(
        {"a": [a for a, _ in pairs], "b": [b for _, b in pairs]},
        schema={"a": pl.String, "b": pl.String},
    )
    targets = (Target("a", "", "Fracture"), Target("b", "", "Fracture"))
    source = Source("x", "X", "chest", lambda _: ImportedSource(frame), targets=targets)
    found = harmonise(ImportedSource(frame), source).frame
    assert found.columns == ["Fracture"]
    expected = [min(pair, key=order.index) for pair in pairs]
    assert found["Fracture"].to_list() == expected


def test_a_target_whose_name_is_also_a_part_keeps_it(tmp_path: Path) -> None:
    tree_vindr_physionet.write(tmp_path)
    found = read_source(SOURCES["vindr-cxr"], tmp_path, shared_names=True).frame
    assert "Fracture" in found.columns
    assert not {"Rib fracture", "Clavicle fracture", "Nodule/Mass"} & set(found.columns)


def test_classes_get_their_shared_name_and_the_rest_is_said() -> None:
    frame = pl.DataFrame({"dx": ["mel", "scc", "odd", None, "odd"]})
    source = Source(
        "x",
        "X",
        "skin",
        lambda _: ImportedSource(frame),
        class_column="dx",
        classes={"mel": "MEL", "scc": "AKIEC"},
    )
    found = harmonise(ImportedSource(frame), source)
    assert found.frame["dx"].to_list() == ["MEL", "AKIEC", None, None, None]
    assert found.notes == ("Class 'odd' of 'dx' has no shared class and is left empty (2 rows).",)


def test_many_classes_without_a_shared_name_are_counted_together() -> None:
    names = [f"condition {number:02d}" for number in range(12) for _ in range(number + 1)]
    frame = pl.DataFrame({"dx": [*names, "mel"]})
    source = Source(
        "x", "X", "skin", lambda _: ImportedSource(frame), class_column="dx", classes={"mel": "MEL"}
    )
    notes = harmonise(ImportedSource(frame), source).notes
    assert len(notes) == 9
    assert notes[0].startswith("Class 'condition 11' of 'dx'")
    assert notes[-1] == f"So are 4 further classes of 'dx' ({1 + 2 + 3 + 4} rows)."


def test_a_source_without_shared_names_is_refused() -> None:
    frame = pl.DataFrame({"label": ["a"]})
    source = Source("x", "X", "any", lambda _: ImportedSource(frame))
    with pytest.raises(ConfigError, match="without --harmonise"):
        harmonise(ImportedSource(frame), source)


def test_a_nodule_or_a_mass_is_a_lung_lesion(tmp_path: Path) -> None:
    order = ["1", "0", "-1", None]
    pairs = list(product(order, order))
    frame = pl.DataFrame(
        {"n": [a for a, _ in pairs], "m": [b for _, b in pairs]},
        schema={"n": pl.String, "m": pl.String},
    )
    targets = (Target("n", "", "Nodule"), Target("m", "", "Mass"))
    source = Source("x", "X", "chest", lambda _: ImportedSource(frame), targets=targets)
    found = harmonise(ImportedSource(frame), source)
    assert found.frame.columns == ["Nodule", "Mass", "Lung Lesion"]
    for (nodule, mass), lesion in zip(pairs, found.frame["Lung Lesion"], strict=True):
        expected = "1" if "1" in (nodule, mass) else "-1" if "-1" in (nodule, mass) else None
        assert lesion == ("0" if (nodule, mass) == ("0", "0") else expected)
    assert found.notes == ("'Lung Lesion' is Nodule or Mass.",)

    for tree in (tree_chexpert, tree_nih_chestxray14, tree_vindr_physionet):
        tree.write(tmp_path / tree.__name__)
        name = tree.__name__.rsplit("tree_", 1)[1].replace("nih_", "nih-").split("_")[0]
        source = SOURCES["vindr-cxr" if name == "vindr" else name]
        shared = read_source(source, tmp_path / tree.__name__, shared_names=True).frame
        assert set(shared["Lung Lesion"].drop_nulls()) <= {"1", "0", "-1"}


def test_a_nodule_without_a_mass_column_is_no_lung_lesion() -> None:
    frame = pl.DataFrame({"n": ["1", "0"]})
    source = Source(
        "x", "X", "chest", lambda _: ImportedSource(frame), targets=(Target("n", "", "Nodule"),)
    )
    assert harmonise(ImportedSource(frame), source).frame.columns == ["Nodule"]
