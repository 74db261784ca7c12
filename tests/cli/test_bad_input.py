"""Everything a user can get wrong, as the user sees it: what, where, what to do, nothing lost.

Every test starts from a study that has run, spoils one thing, and calls the command line.
"""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from safetensors.torch import save_file
from tests.cli.conftest import Call, Desk, Said
from tests.data.audit import corpus
from tests.in_process import no_worker

from medtransfer.models.backbones import build_backbone
from medtransfer.models.rungs.architectures import ARCHITECTURES

HEAD = "image_id,case_id,patient_id,cohort,malignant,sex,path\n"
ANOTHER = (
    'The weights in "w.safetensors" belong to another network: - stem.conv.weight is 64×3×7×7 in '
    "the file, 32×3×7×7 in the network"
)
TORN = 'The weights file "w.safetensors" is damaged or holds more than tensors'


def refused(call: Call, desk: Desk, *words: str) -> Said:
    """Call a command that must be refused without a traceback and without a loss."""
    before = desk.computed()
    assert before
    said = call(*words)
    assert said.code == 2, said.out + said.err
    assert "Traceback" not in said.out + said.err
    assert desk.computed() == before
    return said


def with_cell(table: pl.DataFrame, row: int, column: str, value: str | None) -> pl.DataFrame:
    """The table with one cell changed; rows as a spreadsheet counts them."""
    here = pl.int_range(pl.len()) == row - 2
    return table.with_columns(pl.when(here).then(pl.lit(value)).otherwise(column).alias(column))


@pytest.mark.parametrize("command", ["check", "run"])
def test_missing_and_repeated_ids_are_named_by_row_all_at_once(
    call: Call, desk: Desk, command: str
) -> None:
    table = with_cell(desk.table, 5, "patient_id", "")
    table = with_cell(table, 9, "image_id", desk.table["image_id"][2])
    desk.write(table.rename({"case_id": "caseid"}))
    said = refused(call, desk, command, "study.yaml")
    assert 'Manifest "skin.csv" cannot be used:' in said.err
    assert "column 'case_id' is missing (is it 'caseid'?)" in said.err
    assert "'patient_id' is empty in 1 row, first in row 5" in said.err
    assert "'image_id' is not unique: 1 value repeated in rows 4, 9" in said.err
    assert "See docs/reference/manifest.md." in said.err


def test_a_case_id_that_is_unique_only_within_a_patient_gets_a_hint(call: Call, desk: Desk) -> None:
    desk.write(desk.table.with_columns(case_id=pl.lit("1")))
    said = refused(call, desk, "check", "study.yaml")
    assert "1 case with images of different 'patient_id', rows 2, 3, 4, 5, 6" in said.err
    assert "(is case_id unique only within a patient?)" in said.err


def test_unknown_columns_are_suggested(call: Call, desk: Desk) -> None:
    desk.edit("targets: [malignant]", "targets: [malignent]")
    desk.edit("attributes: [sex]", "attributes: [sex, skin_type]")
    said = refused(call, desk, "run", "study.yaml")
    assert "attribute 'skin_type' is not a column" in said.err
    assert "target 'malignent' is not a column. Did you mean 'malignant'?" in said.err
    assert "?." not in said.err


def test_label_typos_are_counted_with_their_first_row_and_what_is_allowed(
    call: Call, desk: Desk
) -> None:
    table = with_cell(desk.table, 4, "malignant", "yes")
    table = with_cell(table, 8, "malignant", "yes")
    desk.write(with_cell(table, 7, "malignant", "0.5"))
    said = refused(call, desk, "run", "study.yaml")
    allowed = "(allowed: 1, 0, -1, empty)"
    assert f"'malignant' holds 'yes' in 2 rows, first in row 4 {allowed}" in said.err
    assert f"'malignant' holds '0.5' in 1 row, first in row 7 {allowed}" in said.err


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", 'Manifest "skin.csv" is empty. It needs a header and at least one row.'),
        (HEAD, 'Manifest "skin.csv" has no rows. It needs a header and at least one row.'),
    ],
    ids=["nothing", "header alone"],
)
@pytest.mark.parametrize(
    "words", [["init", "skin.csv", "-o", "new.yaml"], ["run", "study.yaml"]], ids=["init", "run"]
)
def test_an_empty_manifest_says_what_it_needs(
    call: Call, desk: Desk, words: list[str], content: str, expected: str
) -> None:
    desk.manifest.write_text(content)
    assert expected in refused(call, desk, *words).err
    assert not (desk.path / "new.yaml").exists()


def test_a_target_of_one_class_stops_the_study_before_any_training(call: Call, desk: Desk) -> None:
    desk.write(desk.table.with_columns(malignant=pl.lit("0")))
    said = refused(call, desk, "run", "study.yaml")
    assert "B001 the training split contains only one class of a target" in said.err
    assert "malignant in train: 0 positive," in said.err
    assert "waive" in said.err


def test_a_patient_in_two_splits_is_an_error_with_every_row(call: Call, desk: Desk) -> None:
    table = desk.table.with_columns(
        split=pl.when(pl.int_range(pl.len()) % 4 == 0)
        .then(pl.lit("test"))
        .otherwise(
            pl.when(pl.int_range(pl.len()) % 4 == 1).then(pl.lit("tune")).otherwise(pl.lit("train"))
        )
    )
    table = with_cell(table, 3, "patient_id", desk.table["patient_id"][0])  # tune, and test
    table = with_cell(table, 8, "patient_id", desk.table["patient_id"][5])  # train, and tune
    desk.write(table)
    said = refused(call, desk, "check", "study.yaml")
    assert "A001 error    2 patients in more than one split   rows 2, 3, 7, 8" in said.out
    assert "Run it with" not in said.out
    said = refused(call, desk, "run", "study.yaml")
    assert "A001 a patient is in more than one split or cohort: 2 patients" in said.err
    assert "`medtransfer check` lists the rows" in said.err


@pytest.mark.parametrize("command", ["check", "run"])
def test_unusable_images_are_listed_by_row_all_at_once(
    call: Call, desk: Desk, command: str
) -> None:
    desk.picture(3).unlink()
    desk.picture(5).write_bytes(b"")
    desk.picture(7).write_bytes(corpus.png_bomb())
    desk.picture(11).write_text("<!DOCTYPE html>\n<html><body>Sign in</body></html>")
    said = refused(call, desk, command, "study.yaml")
    assert '4 images of "skin.csv" cannot be used:' in said.err
    assert "row 3: the image is missing" in said.err
    assert "row 5: the image is empty (0 bytes)" in said.err
    assert "row 7: the image claims more than 100,000,000 pixels (data.pixel_limit)" in said.err
    assert "row 11: the image is an HTML page, not an image (did the download fail?)" in said.err
    assert "Repair or replace the files, or remove their rows from the manifest." in said.err


@pytest.mark.parametrize("command", ["check", "run"])
def test_truncated_images_are_found_before_any_training(
    call: Call, desk: Desk, command: str
) -> None:
    desk.edit("seeds: [0]", "seeds: [0, 1]")
    for row in (4, 9):
        content = desk.picture(row).read_bytes()
        desk.picture(row).write_bytes(content[: len(content) // 2])
    said = refused(call, desk, command, "study.yaml")
    assert '2 images of "skin.csv" cannot be used' in said.err
    assert "row 4: the image is truncated or damaged" in said.err
    assert "row 9: the image is truncated or damaged" in said.err
    assert ("B002 warning" in said.out) == (command == "check")  # what else there is to say
    assert "Run it with" not in said.out


@pytest.mark.slow
def test_after_mending_the_same_command_goes_on_and_keeps_what_was_done(
    call: Call, desk: Desk
) -> None:
    before = desk.computed()
    whole = desk.picture(6).read_bytes()
    desk.picture(6).write_bytes(b"")
    desk.edit("seeds: [0]", "seeds: [0, 1]")
    refused(call, desk, "run", "study.yaml")
    desk.picture(6).write_bytes(whole)
    with no_worker():
        said = call("run", "study.yaml")
    assert said.code == 0, said.err
    assert "1 of 2 runs already finished" in said.err
    assert "[2/2] done scratch/r14x0.5 100% seed 1" in said.err
    assert before.items() <= desk.computed().items()


def foreign_weights(path: Path) -> None:
    save_file(build_backbone(ARCHITECTURES["r14x1"], seed=1).state_dict(), path)


def torn_weights(path: Path) -> None:
    foreign_weights(path)
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("make", "expected"),
    [(foreign_weights, ANOTHER), (torn_weights, TORN)],
    ids=["another network", "torn"],
)
def test_wrong_weights_are_refused_before_anything_is_run(
    call: Call, desk: Desk, make: Callable[[Path], None], expected: str
) -> None:
    make(desk.path / "w.safetensors")
    rungs = "rungs: [{rung: file/r14x0.5, weights: w.safetensors}, scratch/r14x0.5]"
    desk.edit("rungs: [scratch/r14x0.5]", rungs)
    desk.edit("seeds: [0]", "seeds: [0, 1]")
    for command in ("check", "run"):
        said = refused(call, desk, command, "study.yaml")
        assert expected in " ".join(said.err.split())


def test_weights_that_are_not_here_stop_the_study_with_what_to_do(call: Call, desk: Desk) -> None:
    desk.edit("rungs: [scratch/r14x0.5]", "rungs: [bit-m/r50x1, bit-s/r50x1]")
    for command in ("check", "run"):
        said = refused(call, desk, command, "study.yaml")
        assert "The weights of rung 'bit-m/r50x1' are not on this machine." in said.err
        assert "medtransfer fetch bit-m/r50x1" in said.err
        assert "Put the official file BiT-S-R50x1.npz into" in said.err


@pytest.mark.parametrize("command", ["check", "run"])
def test_the_folder_of_another_study_is_left_alone(call: Call, desk: Desk, command: str) -> None:
    desk.edit("name: skin", "name: lungs")
    said = refused(call, desk, command, "study.yaml", "-o", "studies/skin")
    assert "\"studies/skin\" holds the study 'skin', not 'lungs'." in said.err
    assert "Write elsewhere with --out, or give the study its old name." in said.err


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_folder_that_is_no_study_is_left_alone(call: Call, desk: Desk, command: str) -> None:
    files = sorted((desk.path / "images").iterdir())
    said = refused(call, desk, command, "study.yaml", "--out", "images")
    assert (
        '"images" is not empty and is not a study folder. Write elsewhere with --out.' in said.err
    )
    assert sorted((desk.path / "images").iterdir()) == files


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "skin.csv"], '"skin.csv" is a table, not a study file. `medtransfer init'),
        (["check", "."], '"." is a folder. Name the study file in it, e.g. study.yaml.'),
        (["init", "images"], 'Manifest "images" is a folder. Give the path of a table'),
        (["init", "study.yaml"], "ends in '.yaml' (allowed: .csv, .tsv, .xlsx, .parquet)."),
    ],
)
def test_one_file_in_place_of_another_is_said_to_be_that(
    call: Call, desk: Desk, words: list[str], expected: str
) -> None:
    assert expected in refused(call, desk, *words).err


def test_ctrl_c_while_images_are_read_loses_nothing(
    call: Call, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = desk.computed()

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("medtransfer.study.schedule.read_data", interrupted)
    said = call("run", "study.yaml")
    assert said.code == 75
    assert said.err == "Stopped. Run the same command again to resume.\n"
    assert desk.computed() == before
    assert not (desk.path / "studies" / "skin" / "lease.json").exists()
