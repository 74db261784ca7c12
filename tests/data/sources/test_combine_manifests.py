"""Manifests of several cohorts as one: ids cannot meet, every path still leads to its file."""

from pathlib import Path

import polars as pl
import pytest
from tests.data.sources import tree_chexpert, tree_medmnist, tree_nih_chestxray14

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.combine_manifests import combine, join_manifests
from medtransfer.data.sources.import_source import read_source, write_manifest
from medtransfer.errors import TableError
from medtransfer.tables.manifest import read_manifest

TREES = {
    "chexpert": tree_chexpert,
    "nih-chestxray14": tree_nih_chestxray14,
    "medmnist": tree_medmnist,
}


def manifest(name: str, folder: Path, path: Path, **options: str) -> Path:
    TREES[name].write(folder)
    shared = name != "medmnist"
    frame = read_source(SOURCES[name], folder, options, shared_names=shared).frame
    write_manifest(frame, folder, path)
    return path


def test_two_cohorts_become_one_table_whose_paths_lead_to_their_files(tmp_path: Path) -> None:
    one = manifest("chexpert", tmp_path / "a" / "chex", tmp_path / "a" / "one.parquet")
    two = manifest("nih-chestxray14", tmp_path / "b", tmp_path / "b" / "two.csv")
    both = combine([one, two])
    assert both.folder == tmp_path
    write_manifest(both.frame, both.folder, tmp_path / "both.parquet")
    read = read_manifest(tmp_path / "both.parquet", targets=["Effusion", "Hernia"])
    assert len(read) == 9 + 8
    assert all((read.root / path).is_file() for path in read.frame["path"])
    hernia = read.frame.filter(pl.col("cohort") == "chexpert")["Hernia"]
    assert hernia.null_count() == len(hernia)
    assert any(
        note.startswith("chexpert: ") and "Hernia" in note and "left empty" in note
        for note in both.notes
    )
    assert read.frame["image_id"].str.starts_with("chexpert/").sum() == 9


def test_roots_are_named_in_order_where_manifests_are_elsewhere(tmp_path: Path) -> None:
    one = manifest("chexpert", tmp_path / "a", tmp_path / "m" / "one.parquet")
    two = manifest("nih-chestxray14", tmp_path / "b", tmp_path / "m" / "two.parquet")
    both = combine([one, two], [tmp_path / "a", tmp_path / "b"])
    assert all((both.folder / path).is_file() for path in both.frame["path"])


def test_the_same_ids_of_two_cohorts_stay_two_patients(tmp_path: Path) -> None:
    one = manifest("chexpert", tmp_path / "a", tmp_path / "a" / "m.parquet", cohort="north")
    two = manifest("chexpert", tmp_path / "b", tmp_path / "b" / "m.parquet", cohort="south")
    both = combine([one, two]).frame
    assert both["image_id"].n_unique() == 18
    counts = both.group_by("patient_id").agg(pl.col("cohort").n_unique())
    assert counts["cohort"].max() == 1


def test_pictures_in_the_tables_go_with_their_rows(tmp_path: Path) -> None:
    one = manifest("medmnist", tmp_path / "a", tmp_path / "a.parquet", cohort="north")
    two = manifest("medmnist", tmp_path / "b", tmp_path / "b.parquet", cohort="south")
    shuffled = pl.read_parquet(two).sample(fraction=1, shuffle=True, seed=1)
    shuffled.write_parquet(two)
    both = combine([one, two]).frame
    for path, cohort in ((one, "north"), (two, "south")):
        for row in pl.read_parquet(path).iter_rows(named=True):
            found = both.filter(pl.col("image_id") == f"{cohort}/{row['image_id']}")
            assert found["image"].to_list() == [row["image"]]


def test_a_split_that_one_lacks_is_left_out_and_said(tmp_path: Path) -> None:
    one = manifest("chexpert", tmp_path / "a", tmp_path / "a" / "m.parquet")
    two = manifest("nih-chestxray14", tmp_path / "b", tmp_path / "b" / "m.parquet", splits="none")
    both = combine([one, two])
    assert "split" not in both.frame.columns
    assert any(note.startswith("Not every manifest has a split") for note in both.notes)


def test_what_cannot_be_joined_is_said(tmp_path: Path) -> None:
    one = manifest("chexpert", tmp_path / "a", tmp_path / "a" / "m.parquet")
    small = manifest("medmnist", tmp_path / "b", tmp_path / "b.parquet", cohort="chexpert")
    with pytest.raises(TableError) as error:
        combine([one, small])
    assert "cohort 'chexpert' is in 2 of them" in str(error.value)
    assert "some hold their pictures" in str(error.value)
    with pytest.raises(TableError, match="name two or more manifests"):
        combine([one])


def test_a_join_counts_cases_of_each_target_in_each_cohort(tmp_path: Path) -> None:
    def table(name: str, **columns: list[str]) -> Path:
        ids = [f"i{n}" for n in range(6)]
        cases = ["a", "a", "b", "c", "d", "e"]
        rows = {"image_id": ids, "path": [f"{i}.png" for i in ids], "case_id": cases}
        frame = pl.DataFrame({**rows, "patient_id": cases, "cohort": [name] * 6, **columns})
        frame.write_csv(tmp_path / f"{name}.csv")
        return tmp_path / f"{name}.csv"

    north = table("north", edema=["1", "", "0", "0", "-1", ""])
    south = table("south", edema=["1", "1", "1", "0", "", ""], mass=["0", "0", "1", "0", "0", "0"])
    joined = join_manifests([north, south], tmp_path / "both.parquet")
    assert joined.coverage is not None
    assert joined.coverage.rows() == [
        ("edema", "north", 1, 2, 1, 1),
        ("edema", "south", 2, 1, 0, 2),
        ("mass", "north", 0, 0, 0, 5),
        ("mass", "south", 1, 4, 0, 0),
    ]


def test_images_that_are_not_below_a_named_folder_are_said_at_once(tmp_path: Path) -> None:
    one = manifest("chexpert", tmp_path / "a", tmp_path / "m" / "one.parquet")
    two = manifest("nih-chestxray14", tmp_path / "b", tmp_path / "m" / "two.parquet")
    with pytest.raises(TableError) as error:
        combine([one, two], [tmp_path / "b", tmp_path / "nowhere"])
    assert "chexpert: 9 of 9 rows looked at name no file below" in str(error.value)
    assert 'nowhere" is not a folder' in str(error.value)
    next((tmp_path / "b").rglob("*.png")).unlink()
    with pytest.raises(TableError, match="nih-chestxray14: 1 of 8 rows looked at names no file"):
        combine([one, two], [tmp_path / "a", tmp_path / "b"])
    notes = combine([one, two]).notes
    assert sum("Name the image folders with --image-root." in note for note in notes) == 2


def test_columns_that_differ_in_spelling_alone_are_named(tmp_path: Path) -> None:
    paths: list[Path] = []
    for cohort, (sex, target) in (("north", ("Sex", "Mass")), ("south", ("sex", "mass"))):
        path = tmp_path / f"{cohort}.csv"
        path.write_text(
            f"image_id,path,case_id,patient_id,cohort,{sex},{target}\n1,1.png,1,1,{cohort},F,1\n"
        )
        paths.append(path)
    notes = combine(paths).notes
    assert [note for note in notes if "spelling" in note] == [
        f"{names} differ in spelling alone and stay 2 columns: give them one name if they are one."
        for names in ("Sex, sex", "Mass, mass")
    ]


def test_patients_that_two_cohorts_have_are_counted_however_they_are_written(
    tmp_path: Path,
) -> None:
    paths: list[Path] = []
    for cohort, patients in (("north", ["0012", "P7", "9"]), ("south", ["12", "p-7", "10"])):
        path = tmp_path / f"{cohort}.csv"
        rows = [f"{n},{n}.png,{n},{who},{cohort},1\n" for n, who in enumerate(patients)]
        path.write_text("image_id,path,case_id,patient_id,cohort,mass\n" + "".join(rows))
        paths.append(path)
    (note,) = [note for note in combine(paths).notes if "patient id" in note]
    assert note.startswith("2 patient ids of several cohorts, written alike or nearly: with their")
    assert not any("0012" in note for note in combine(paths).notes)


def test_values_of_a_join_are_said_to_be_of_all_manifests(tmp_path: Path) -> None:
    paths: list[Path] = []
    for cohort, sexes in (("north", ["F", "M"]), ("south", ["M", "M"])):
        path = tmp_path / f"{cohort}.csv"
        rows = [f"{n},{n}.png,{n},{cohort}{n},{cohort},{sex}\n" for n, sex in enumerate(sexes)]
        path.write_text("image_id,path,case_id,patient_id,cohort,sex\n" + "".join(rows))
        paths.append(path)
    notes = combine(paths).notes
    assert any(
        note.startswith("south: 'sex': 'M' in 2 rows: the column does not") for note in notes
    )
    assert any(note.startswith("--values of join changes all manifests alike") for note in notes)
