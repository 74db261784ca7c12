"""The drafted study.yaml: what a manifest suggests, and readable whatever its names are."""

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest

from medtransfer.errors import TableError
from medtransfer.evaluation.comparison.attributes.attribute_table import join_attributes
from medtransfer.study.config import Study
from medtransfer.study.template import draft_study, init_study
from medtransfer.study.yaml_file import read_study
from medtransfer.tables.guessed_targets import other_spellings
from medtransfer.tables.manifest import read_manifest
from medtransfer.tables.values.value_map import read_value_map

AWKWARD = (
    "yes",
    "no",
    "null",
    "1",
    "1.0",
    "0x1F",
    "a: b",
    "a #b",
    "- a",
    "{a}",
    "[a]",
    "'a'",
    'say "a"',
    "Größe",
    "患者",
    "a, b",
    "*a",
    "&a",
    "!a",
    "%a",
    "@a",
    "a\\b",
    "~",
    "20.26",
    "UFES, Espirito Santo (Brazil)",
    "x" * 70,
)


def manifest(folder: Path, cohorts: Sequence[str] = ("north",), **columns: list[str]) -> Path:
    count = len(next(iter(columns.values())))
    ids = [f"i{n}" for n in range(count)]
    table = {
        "image_id": ids,
        "path": [f"{i}.png" for i in ids],
        "case_id": ids,
        "patient_id": ids,
        "cohort": [cohorts[n % len(cohorts)] for n in range(count)],
        **columns,
    }
    path = folder / "m.csv"
    pl.DataFrame(table).write_csv(path)
    return path


def drafted(path: Path) -> tuple[Study, str]:
    """The study that the draft says, and its text."""
    text = draft_study(path).text("chest")
    (path.parent / "study.yaml").write_text(text, "utf-8")
    return read_study(path.parent / "study.yaml"), text


def test_columns_of_too_many_values_are_named_and_not_reported_by(tmp_path: Path) -> None:
    ages = [str(20 + n % 15) for n in range(60)]
    path = manifest(
        tmp_path,
        edema=["1", "0"] * 30,
        sex=["F", "M"] * 30,
        age=ages,
        note=[f"n{n}" for n in range(60)],
    )
    draft = draft_study(path)
    assert draft.attributes == ("sex",)
    (said,) = [sentence for sentence in draft.found() if "Not reported by" in sentence]
    assert "more than 12 values: age." in said  # and not the note, which is of one image


def test_one_target_column_is_a_binary_task(tmp_path: Path) -> None:
    study, _ = drafted(manifest(tmp_path, edema=["1", "0", "1"], sex=["F", "M", "F"]))
    assert study.data.task == "binary"
    assert study.data.names == ("edema",)
    assert study.data.attributes == ("sex",)


def test_several_target_columns_are_a_multi_label_task(tmp_path: Path) -> None:
    study, text = drafted(manifest(tmp_path, edema=["1", "0", "-1"], nodule=["1.0", "0.0", ""]))
    assert study.data.task == "multi-label"
    assert study.data.names == ("edema", "nodule")
    assert "DECIDE what uncertain (-1) and empty cells mean" in text


def test_a_column_named_for_a_class_is_a_single_label_task(tmp_path: Path) -> None:
    study, _ = drafted(manifest(tmp_path, diagnosis=["nevus", "melanoma", "nevus", ""]))
    assert study.data.task == "single-label"
    assert study.data.class_column == "diagnosis"
    assert study.data.names == ("melanoma", "nevus")


def test_beside_a_target_a_diagnosis_is_no_attribute(tmp_path: Path) -> None:
    columns = {
        "malignant": ["1", "0", "1"],
        "diagnosis": ["mel", "nv", "mel"],
        "sex": ["F", "M", "F"],
    }
    study, _ = drafted(manifest(tmp_path, **columns))
    assert study.data.names == ("malignant",)
    assert study.data.attributes == ("sex",)


def test_constant_and_wild_columns_are_no_attributes(tmp_path: Path) -> None:
    many = [str(n) for n in range(20)]
    columns = {
        "y": ["1", "0"] * 10,
        "device": ["a"] * 20,
        "serial": many,
        "width": ["1", "2"] * 10,
        "view": ["PA", "AP"] * 10,
    }
    study, _ = drafted(manifest(tmp_path, **columns))
    assert study.data.attributes == ()


def test_a_column_of_one_label_is_no_target(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r'No column of "m.csv" looks like a target.*Columns: y'):
        draft_study(manifest(tmp_path, y=["1", "1"]))


def test_a_column_of_1_and_empty_is_named_with_the_option_that_makes_it_a_target(
    tmp_path: Path,
) -> None:
    path = manifest(tmp_path, mass=["1", "", "1", ""])
    said = "'mass' holds 1 and no 0, and is no target.* add --values mass=empty:0"
    with pytest.raises(TableError, match=said):
        init_study(path)
    written = init_study(path, values=read_value_map(["mass=empty:0"]))
    study = read_study(written.path)
    assert list(study.data.targets) == ["mass"]
    assert study.data.values == {"mass": {"": "0"}}
    assert "values: {mass: {empty: '0'}}" in written.path.read_text()
    both = manifest(tmp_path, mass=["1", "", "1", ""], y=["1", "0", "1", "0"])
    notes = init_study(both, tmp_path / "both.yaml").notes
    assert any(re.search(said, note) for note in notes)


def test_the_largest_cohort_is_proposed_for_training_and_the_rest_are_shifted(
    tmp_path: Path,
) -> None:
    path = manifest(tmp_path, ("south", "north", "north", "east"), y=["1", "0"] * 8)
    study, text = drafted(path)
    assert study.data.split.train_cohorts == ("north",)
    assert "DECIDE which cohorts are trained on; the other 2 cohorts become shifted" in text
    assert (
        "in 3 cohorts (north 8 cases, east 4 cases, south 4 cases)" in draft_study(path).found()[0]
    )


def test_with_one_cohort_there_is_nothing_to_decide(tmp_path: Path) -> None:
    _, text = drafted(manifest(tmp_path, y=["1", "0"]))
    assert "one cohort: there is no shift to measure" in text
    assert text.count("DECIDE") == 2


def test_a_split_column_is_mentioned(tmp_path: Path) -> None:
    _, text = drafted(manifest(tmp_path, y=["1", "0"], split=["train", "test"]))
    assert "the manifest's own split column is used" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", AWKWARD)
def test_names_come_back_exactly_whatever_yaml_thinks_of_them(tmp_path: Path, name: str) -> None:
    path = manifest(
        tmp_path,
        (name, name, "other"),
        **{name: ["1", "0"] * 3, "b": ["1", "0"] * 3, f"{name}!": ["F", "M"] * 3},
    )
    (tmp_path / "m.csv").rename(tmp_path / "my manifest: 1.csv")
    study, _ = drafted(path.with_name("my manifest: 1.csv"))
    assert study.data.names == (name, "b")
    assert study.data.attributes == (f"{name}!",)
    assert study.data.split.train_cohorts == (name,)
    assert study.data.manifest.name == "my manifest: 1.csv"


@pytest.mark.parametrize("name", ["Größe", "患者", "bösartig"])
def test_letters_of_other_languages_stand_as_they_are(tmp_path: Path, name: str) -> None:
    path = manifest(tmp_path, **{name: ["1", "0", "1", "0"]})
    _, text = drafted(path)
    assert f"    {name}: {{" in text


@pytest.mark.parametrize("name", [name for name in AWKWARD if name != "null"])
def test_class_names_come_back_exactly(tmp_path: Path, name: str) -> None:
    study, _ = drafted(manifest(tmp_path, label=[name, "zz", name]))
    whole = name.removesuffix(".0")  # as label cells are spelled everywhere
    assert set(study.data.names) == {whole, "zz"}


def test_only_rungs_that_are_here_are_proposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = manifest(tmp_path, y=["1", "0"])
    both, _ = drafted(path)
    assert [entry.rung for entry in both.rungs] == ["scratch/effnet-lite0", "imagenet/effnet-lite0"]
    place = "medtransfer.study.drafting.draft.is_available"
    monkeypatch.setattr(place, lambda rung: rung.is_random)
    alone, _ = drafted(path)
    assert [entry.rung for entry in alone.rungs] == ["scratch/effnet-lite0"]


def test_labels_in_another_spelling_are_named_with_what_they_mean(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        edema=["Yes", "no", "Uncertain", "NO"],
        sex=["F", "M", "F", "M"],
        mass=["positive", "negative", "", "negative"],
        one=["yes"] * 4,
        note=["yes", "no", "later", ""],
    )
    assert other_spellings(read_manifest(path)) == [
        "'edema' could be a target if written otherwise: no as 0, uncertain as -1, yes as 1.",
        "'mass' could be a target if written otherwise: negative as 0, positive as 1.",
    ]


def test_labels_of_cohorts_in_different_words_are_named_with_the_option(tmp_path: Path) -> None:
    path = manifest(tmp_path, ("a", "b"), mal=["1", "nein", "0", "ja"], sex=["F", "M"] * 2)
    with pytest.raises(TableError) as error:
        draft_study(path)
    assert "--values mal=0:0,1:1,ja:1,nein:0" in str(error.value)


def test_init_and_evaluate_propose_the_same_attributes(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        finding_x=["1", "0"] * 4,
        sex=["F", "M"] * 4,
        width=["512", "1024"] * 4,
        Modality=["DX", "CR"] * 4,
        view=["PA", "AP"] * 4,
        laterality=["L", "R"] * 4,
        split=["train", "test"] * 4,
        age_band=["young", "old"] * 4,
        serial=[str(n) for n in range(8)],
        site=["one"] * 8,
    )
    drafted = draft_study(path).attributes
    predictions = pl.DataFrame(
        {"case_id": [f"i{n}" for n in range(8)], "target_finding_x": [1.0, 0.0] * 4}
    )
    evaluated = join_attributes(predictions, path, None).frame.columns[1:]
    assert list(drafted) == [name for name in evaluated if name != "finding_x"]
    assert drafted == ("sex", "age_band", "serial")
    named = join_attributes(predictions, path, ["width", "view"])
    assert named.frame.columns == ["case_id", "width", "view"]


def test_targets_that_the_training_cohort_lacks_are_not_asked_for(tmp_path: Path) -> None:
    cohorts = ("chex", "chex", "chex", "nih", "nih")
    hernia = ["", "", "", "1", "0"] * 10
    support = ["1", "1", "", "0", "0"] * 10
    edema = ["1", "0", "-1", "1", ""] * 10
    mass = [*["1", "0", "0", "0", "0"] * 9, *["0"] * 5]
    path = manifest(tmp_path, cohorts, hernia=hernia, support=support, edema=edema, mass=mass)
    study, _ = drafted(path)
    assert study.data.names == ("edema",)
    assert study.data.split.train_cohorts == ("chex",)
    draft = draft_study(path)
    assert (
        "Not asked for, since 'chex', which is trained on, has no label: hernia." in draft.found()
    )
    assert (
        "Not asked for, since 'chex', which is trained on, has under 10 positive or negative "
        "cases: support (20 positive, 0 negative, 10 empty); mass (9 positive, 21 negative, "
        "0 empty). If an empty cell means absent, add them with empty: zeros." in draft.found()
    )
    assert draft.coverage.rows()[:6] == [
        ("hernia", "chex", 0, 0, 0, 30),
        ("hernia", "nih", 10, 10, 0, 0),
        ("support", "chex", 20, 0, 0, 10),
        ("support", "nih", 0, 20, 0, 0),
        ("edema", "chex", 10, 10, 10, 0),
        ("edema", "nih", 10, 0, 0, 10),
    ]


def test_a_cohort_without_labels_is_not_proposed_for_training(tmp_path: Path) -> None:
    path = manifest(
        tmp_path, ("big", "big", "small", "small"), y=["", "", "1", "0"], z=["", "0", "1", "0"]
    )
    study, _ = drafted(path)
    assert study.data.split.train_cohorts == ("small",)
    assert study.data.names == ("y", "z")


def test_classes_that_the_training_cohort_lacks_are_left_empty_elsewhere(tmp_path: Path) -> None:
    cohorts = ("north", "north", "north", "south", "south", "south", "south")
    classes = ["nv", "mel", "nv", "nv", "Mucosal", "mucosal", "Mucosal"]
    path = manifest(tmp_path, (*cohorts, "north", "north"), dx=[*classes, "mel", "nv"])
    draft = draft_study(path)
    assert draft.targets == ("mel", "nv")
    assert (
        "Classes without a case in 'north', which is trained on: Mucosal; their cases elsewhere "
        "are left empty by data.values." in draft.found()
    )
    study, _ = drafted(path)
    assert study.data.values["dx"] == {"Mucosal": "", "mucosal": ""}
    read = read_manifest(
        path, targets=study.data.names, class_column="dx", values=study.data.values
    )
    assert read.frame["dx"].null_count() == 3
    counts = draft.coverage.filter(pl.col("target") == "Mucosal").rows()
    assert counts == [("Mucosal", "north", 0, 5, 0, 0), ("Mucosal", "south", 3, 1, 0, 0)]


def test_ages_that_are_none_are_named_before_a_study_is_written(tmp_path: Path) -> None:
    path = manifest(tmp_path, x=["1", "0", "1"] * 10, age=["045Y", "newborn", "70Y"] * 10)
    (note,) = [note for note in draft_study(path).found() if note.startswith("'age'")]
    assert note.endswith("In no band, so not known: 'newborn' in 10 rows.")
