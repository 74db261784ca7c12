"""The command line: quick, helpful, and with exit codes that machines can use."""

import json
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import polars as pl
import pytest
from tests.cli.conftest import Call, Desk

from medtransfer.cli import main as command_line
from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.yaml_file import read_study

EMPTY = """
import typer
app = typer.Typer()
@app.command()
def one() -> None: "One."
@app.command()
def two() -> None: "Two."
app(["--help"])
"""
"""The least that a program of this kind does to print its help."""


def processor_seconds(*words: str) -> float:
    """Processor time of a child, in s: the lesser of two, which neighbours disturb less."""
    tries: list[float] = []
    for _ in range(2):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *words], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        tries.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(tries)


def test_it_starts_quickly(finished: StudyFolder) -> None:
    """Against an empty program on the same machine: seconds would measure the machine."""
    empty = processor_seconds("-c", EMPTY)
    assert processor_seconds("-m", "medtransfer", "--help") < 3 * empty  # 1.9 when written
    assert processor_seconds("-m", "medtransfer", "ladder") < 5 * empty  # 2.9
    assert processor_seconds("-m", "medtransfer", "status", str(finished.path)) < 5 * empty


def test_commands_that_train_nothing_do_not_load_torch(desk: Desk) -> None:
    commands = [
        ["--help"],
        ["ladder"],
        ["schema"],
        ["init", "skin.csv", "-o", "new.yaml"],
        ["sources"],
        ["import", "--help"],
        ["check", "study.yaml"],
        ["status", "studies/skin"],
        ["report", "studies/skin"],
        ["recommend", "studies/skin"],
    ]
    code = (
        "import sys; from medtransfer.cli.main import main\n"
        f"for words in {commands!r}:\n"
        "    sys.argv[1:] = words\n"
        "    try: main()\n"
        "    except SystemExit as end:\n"
        "        said = f'ENDED {words[0]} {end.code or 0} {\"torch\" in sys.modules}'\n"
        "        print(said, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=desk.path, capture_output=True, text=True, check=True
    )
    ended = [line for line in done.stderr.splitlines() if line.startswith("ENDED ")]
    assert ended == [f"ENDED {words[0]} 0 False" for words in commands], done.stderr


def test_it_says_its_version(call: Call) -> None:
    assert call("--version").out == f"medtransfer {version('medtransfer')}\n"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["frobnicate"], "No such command"),
        (["run"], "Missing argument"),
        (["run", "nowhere.yaml"], 'Study file "nowhere.yaml" does not exist'),
        (["ladder", "--jsn"], "No such option"),
        (["init", "nowhere.csv"], 'Manifest "nowhere.csv" does not exist'),
        (["status"], "There are 0 studies in ./studies"),
        (["status", "nowhere"], "is not the folder of a study that was run"),
        (["report", "nowhere"], "is not the folder of a study that was run"),
        (["recommend", "nowhere"], "is not the folder of a study that was run"),
        (["fetch", "scratch/r50x1"], "is not fetched from the hub"),
        (["fetch", "bit-m/r50x7"], "Did you mean"),
    ],
)
def test_what_a_user_can_mend_is_said_without_a_traceback(
    call: Call, words: list[str], expected: str
) -> None:
    said = call(*words)
    assert said.code == 2
    assert expected in said.err
    assert "Traceback" not in said.err


def test_a_bug_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a " + "fault")

    monkeypatch.setattr("medtransfer.study.yaml_file.read_study", broken)
    monkeypatch.setattr(sys, "argv", ["medtransfer", "run", "x.yaml"])
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    assert ended.value.code == 1
    text = capsys.readouterr().err
    assert "in broken" in text
    assert "ZeroDivisionError" in text
    assert "a fault" not in text  # a message may quote a cell of a table
    monkeypatch.setenv("MEDTRANSFER_DEBUG", "1")
    with pytest.raises(ZeroDivisionError, match="a fault"):
        command_line.main()


def test_the_ladder_tells_facts_and_whether_weights_are_here(call: Call) -> None:
    said = call("ladder")
    lines = {line.split()[0]: line for line in said.out.splitlines() if "/" in line.split(" ")[0]}
    assert "ImageNet-21k" in lines["bit-m/r152x4"]
    assert "928.3 M" in lines["bit-m/r152x4"]
    assert "not here (hub)" in lines["bit-m/r152x4"]
    assert " here " in lines["imagenet/effnet-lite0"]
    table = json.loads(call("ladder", "--json").out)
    assert {rung["name"] for rung in table} >= {"scratch/r50x1", "bit-s/r50x1", "bit-m/r50x1"}


def test_the_schema_is_json_schema_of_the_study_file(call: Call) -> None:
    schema = json.loads(call("schema").out)
    assert schema["additionalProperties"] is False
    assert (
        "Shares of the training patients" in schema["properties"]["label_fractions"]["description"]
    )


def test_doctor_names_device_decoders_and_weights(call: Call) -> None:
    found = json.loads(call("doctor", "--json").out)
    assert found["device"]
    assert "PNG, JPEG by Pillow" in found["images"]
    assert "imagenet/effnet-lite0" in found["weights here"]
    assert "precision" in call("doctor").out


@pytest.fixture
def own_data(tmp_path: Path) -> Path:
    """A manifest of a user: two hospitals, two findings, some labels uncertain."""
    hospitals = {"north": Hospital(30), "south": Hospital(12)}
    phantom = Phantom(kind="radiograph", hospitals=hospitals, size=32, views=2, uncertain=0.1)
    write_phantom(phantom, tmp_path / "chest.csv")
    table = pl.read_csv(tmp_path / "chest.csv", infer_schema=False)
    table.drop("truth_opacity", "truth_nodule").write_csv(tmp_path / "chest.csv")
    return tmp_path / "chest.csv"


def test_init_writes_a_commented_study_that_can_be_read(call: Call, own_data: Path) -> None:
    said = call("init", "chest.csv")
    assert said.code == 0
    assert "in 2 cohorts (north 30 cases, south 12 cases)" in said.out
    assert "Targets found: opacity, nodule (1/0/-1/empty); attributes: sex" in said.out
    assert "3 decisions are marked DECIDE" in said.out
    text = (own_data.parent / "study.yaml").read_text()
    assert text.count("DECIDE") == 3
    study = read_study(own_data.parent / "study.yaml")
    assert study.data.split.train_cohorts == ("north",)
    assert study.data.task == "multi-label"
    assert call("init", "chest.csv").err.startswith('"study.yaml" exists already')


def test_init_finds_a_class_column(call: Call, phantom_folder: Path, tmp_path: Path) -> None:
    frame = pl.read_parquet(phantom_folder / "lesion.parquet")
    frame.drop("malignant", "truth_malignant").write_parquet(tmp_path / "skin.parquet")
    said = call("init", "skin.parquet", "-o", "skin.yaml")
    assert "melanoma" in said.out
    study = read_study(tmp_path / "skin.yaml")
    assert study.data.class_column == "diagnosis"
    assert set(study.data.targets) == {"nevus", "keratosis", "melanoma"}


def test_init_without_anything_to_learn_says_what_a_target_is(call: Call, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(
        "image_id,path,case_id,patient_id,cohort,note\n1,a.png,1,1,north,hello\n"
    )
    said = call("init", "m.csv")
    assert said.code == 2
    assert 'No column of "m.csv" looks like a target' in said.err
    assert "Columns: note" in said.err


def test_check_lists_findings_with_rows_and_stops_on_errors(call: Call, own_data: Path) -> None:
    table = pl.read_csv(own_data, infer_schema=False)
    patient = table["patient_id"][0]
    leak = pl.when(pl.col("cohort") == "south").then(pl.lit(patient)).otherwise("patient_id")
    table.with_columns(patient_id=leak).write_csv(own_data)
    call("init", "chest.csv")
    said = call("check", "study.yaml")
    assert said.code == 2
    assert "A001 error    1 patient in more than one split" in said.out
    assert patient not in said.out + said.err
    rows = pl.read_csv(own_data.parent / "studies" / "chest" / "findings.csv")
    assert set(rows.filter(pl.col("code") == "A001")["row"]) <= set(range(2, len(table) + 2))
    found = json.loads(call("check", "study.yaml", "--json").out)
    assert found[0]["code"] == "A001"
    text = (own_data.parent / "study.yaml").read_text()
    (own_data.parent / "study.yaml").write_text(text + "waive: {A001: the patient moved south}\n")
    waived = call("check", "study.yaml")
    assert waived.code == 0
    assert "A001 waived" in waived.out


def test_status_and_report_read_a_finished_study(call: Call, finished: StudyFolder) -> None:
    said = call("status", str(finished.path))
    assert said.out.count(" done ") == 8
    assert "8 done; 0:00 left" in said.out
    table = json.loads(call("status", str(finished.path), "--json").out)
    assert table["seconds_left"] == 0
    assert {run["state"] for run in table["runs"]} == {"done"}
    again = call("report", str(finished.path))
    assert "report.html" in again.out


def test_recommend_says_what_the_report_says(call: Call, finished: StudyFolder) -> None:
    said = call("recommend", str(finished.path))
    assert said.code == 0
    assert said.out.startswith("No rung can be recommended over another: ")
    found = json.loads(call("recommend", str(finished.path), "--json").out)
    assert found["rung"] is None
    assert " ".join(said.out.split()) == found["reason"]
    assert found["rests_on"]["seeds"] == 2


def test_a_first_study_from_own_files_to_a_report(call: Call, own_data: Path) -> None:
    call("init", "chest.csv")
    path = own_data.parent / "study.yaml"
    text = path.read_text()
    for before, after in (
        ("  - scratch/effnet-lite0\n  - imagenet/effnet-lite0\n", "  - scratch/r14x0.5\n"),
        ("seeds: [0, 1, 2]", "seeds: [0]"),
        ("resize: 144", "resize: 36"),
        ("crop: 128", "crop: 32"),
        ("batch_size: 128", "batch_size: 8\n  steps: 4\n  checks: 2"),
    ):
        assert before in text
        text = text.replace(before, after)
    path.write_text(text + "evaluation: {replicates: 30, permutations: 10}\n")
    said = call("run", "study.yaml")
    assert said.code == 0, said.err
    assert "[1/1] done scratch/r14x0.5 100% seed 0" in said.err
    assert "AUROC north" in said.out
    assert "Report: studies/chest/report.html" in said.out
    assert (own_data.parent / "studies" / "chest" / "report.html").is_file()
    assert call("status").code == 0
    assert call("status", "study.yaml").code == 0
    events = [json.loads(line) for line in call("run", "study.yaml", "--json").out.splitlines()]
    assert events[-1]["event"] == "Scoring"
