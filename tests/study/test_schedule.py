"""A whole study, through its worker process: resumed, extended, scored again, never lost."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from tests.in_process import run_here

from medtransfer.errors import ImageError, StudyError
from medtransfer.files import sha256
from medtransfer.runs.events import Event, Planned, RunEnded, RunStep
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.schedule import run_study
from medtransfer.study.status import read_status
from medtransfer.tables.results import read_results


class Heard(list[Event]):
    """Everything a study said."""

    def ended(self) -> list[str]:
        return [event.state for event in self if isinstance(event, RunEnded)]


def changed(study: Study, **changes) -> Study:
    return Study.model_validate(study.model_dump(exclude_unset=True) | changes)


def digests(folder: StudyFolder) -> dict[str, str]:
    files = ("predictions.parquet", "results.parquet", "comparisons.parquet")
    return {name: sha256(folder.path / name) for name in files}


@pytest.fixture
def two_rungs(tiny_study: Study) -> Study:
    return changed(tiny_study, rungs=["scratch/r14x0.5", "imagenet/effnet-lite0"], seeds=[0, 1])


@pytest.mark.slow
def test_a_study_writes_its_tables_and_the_same_command_runs_nothing_again(
    two_rungs: Study, tmp_path: Path
) -> None:
    heard = Heard()
    folder = run_study(two_rungs, tmp_path / "s", heard.append)
    assert heard.ended() == ["done"] * 4
    assert any(isinstance(event, RunStep) for event in heard)
    for name in (
        "study.yaml",
        "predictions.parquet",
        "results.parquet",
        "results.csv",
        "comparisons.parquet",
        "runs.csv",
        "data.json",
        "plan.json",
    ):
        assert (folder.path / name).is_file(), name
    results = read_results(folder.path / "results.parquet")
    # `all` has the effects of scale, which are the whole ladder's
    assert set(results["rung"]) == {"scratch/r14x0.5", "imagenet/effnet-lite0", "all"}
    assert set(results["cohort"]) == {"a", "b"}
    assert read_results(folder.path / "results.csv").height == results.height
    predictions = pl.read_parquet(folder.path / "predictions.parquet")
    assert predictions.select("run_id", "member", "case_id").is_unique().all()
    before = digests(folder)

    again = Heard()
    run_study(two_rungs, tmp_path / "s", again.append)
    assert again.ended() == []
    assert next(e for e in again if isinstance(e, Planned)).done == 4
    assert digests(folder) == before


@pytest.mark.slow
def test_a_study_in_another_folder_ends_in_the_same_bits(tiny_study: Study, tmp_path: Path) -> None:
    first = run_study(tiny_study, tmp_path / "a")
    second = run_study(tiny_study, tmp_path / "b")
    assert digests(first) == digests(second)


@pytest.mark.slow
def test_adding_a_rung_or_a_seed_runs_only_what_is_new(tiny_study: Study, tmp_path: Path) -> None:
    run_here(tiny_study, tmp_path / "s")
    heard = Heard()
    run_here(changed(tiny_study, seeds=[0, 5]), tmp_path / "s", heard.append)
    assert heard.ended() == ["done"]


def test_scoring_changes_score_again_and_run_nothing(tiny_study: Study, tmp_path: Path) -> None:
    folder = run_here(tiny_study, tmp_path / "s")
    heard = Heard()
    other = changed(
        tiny_study,
        evaluation={"replicates": 50, "permutations": 20, "operating_points": ["youden"]},
        data=tiny_study.data.model_dump(exclude_unset=True) | {"attributes": ["sex", "age"]},
    )
    run_here(other, tmp_path / "s", heard.append)
    assert heard.ended() == []
    results = read_results(folder.path / "results.parquet")
    assert "sensitivity@youden" in results["metric"].to_list()
    assert "sensitivity@sens90" not in results["metric"].to_list()
    assert "age" in results["attribute"].to_list()


@pytest.mark.slow
def test_a_failed_run_leaves_its_error_and_the_study_goes_on(
    tiny_study: Study, tmp_path: Path
) -> None:
    study = changed(
        tiny_study,
        # its last feature map would have less than a pixel of these images
        rungs=[{"rung": "scratch/timm:inception_v3"}, "scratch/r14x0.5"],
    )
    heard = Heard()
    folder = run_study(study, tmp_path / "s", heard.append)
    assert heard.ended() == ["failed", "done"]
    status = read_status(folder)
    failed = next(run for run in status.runs if run.state == "failed")
    assert failed.message
    error = folder.run(failed.run_id).error()
    assert error is not None
    assert "Traceback" in (error.traceback or "")  # a bug keeps its traceback
    assert read_results(folder.path / "results.parquet")["rung"].unique().to_list() == [
        "scratch/r14x0.5"
    ]
    again = Heard()
    run_study(study, tmp_path / "s", again.append)
    assert again.ended() == ["failed"]  # tried again, the other is kept


@pytest.mark.slow
def test_a_killed_worker_is_named_and_the_same_command_goes_on(
    tiny_study: Study, tmp_path: Path
) -> None:
    golden = run_study(tiny_study, tmp_path / "golden")
    heard = Heard()

    def kill_at_step_three(event: Event) -> None:
        heard.append(event)
        if isinstance(event, RunStep) and event.step >= 1 and not heard.ended():
            for child in _children(os.getpid()):
                os.kill(child, signal.SIGKILL)

    slow = tiny_study
    folder = run_study(slow, tmp_path / "s", kill_at_step_three)
    if heard.ended() == ["failed"]:
        message = read_status(folder).runs[0].message
        assert "killed by SIGKILL (likely out of memory)" in message
        assert "micro_batch" in message
    run_study(slow, tmp_path / "s")
    assert digests(folder) == digests(golden)
    assert heard.ended() == ["failed"]


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


CLI_STUDY = """\
name: tiny
data:
  manifest: {manifest}
  task: binary
  targets: [malignant]
  image: {{resize: 36, crop: 32}}
  split: {{train_cohorts: [a]}}
rungs: [scratch/r14x0.5]
seeds: [0]
training: {{batch_size: 8, micro_batch: 4, steps: 60, checks: 2, checkpoint_seconds: 0,
  devices: {devices}}}
evaluation: {{replicates: 50, permutations: 20}}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "devices"), [(signal.SIGINT, 1), (signal.SIGTERM, 1), (signal.SIGTERM, 2)]
)
def test_ctrl_c_saves_and_the_same_command_goes_on(
    phantom_folder: Path, tmp_path: Path, number: signal.Signals, devices: int
) -> None:
    text = CLI_STUDY.format(manifest=phantom_folder / "lesion.parquet", devices=devices)
    (tmp_path / "study.yaml").write_text(text)
    command = [sys.executable, "-m", "medtransfer", "run", "study.yaml", "--json"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line).get("step", 0) >= 3:
            process.send_signal(number)
            break
    _, said = process.communicate(timeout=120)
    assert process.returncode == 75, said
    assert "0 of 1 runs are done. Run the same command again to resume." in said
    folder = StudyFolder(tmp_path / "studies" / "tiny")
    assert not (folder.path / "lease.json").exists()

    done = subprocess.run(
        command, check=True, cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    steps = [e["step"] for line in done.stdout.splitlines() if (e := json.loads(line)).get("step")]
    assert steps[0] > 3  # it went on, it did not start over
    assert (folder.path / "report.html").is_file()


def test_two_processes_do_not_work_on_one_study(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    folder.claim("tiny")
    Lease(folder).take()
    code = (
        "import sys; from pathlib import Path\n"
        "from medtransfer.runs.folders import Lease, StudyFolder\n"
        "try: Lease(StudyFolder(Path(sys.argv[1]))).take()\n"
        "except Exception as e: print(type(e).__name__, e)"
    )
    second = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert f"StudyError Process {os.getpid()} on" in second.stdout
    assert "is working on this study" in second.stdout


def test_the_lease_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    folder.claim("tiny")
    code = (
        "import sys; from pathlib import Path\n"
        "from medtransfer.runs.folders import Lease, StudyFolder\n"
        "Lease(StudyFolder(Path(sys.argv[1]))).take()"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    assert (tmp_path / "lease.json").is_file()  # it ended without giving it back
    assert Lease(folder).holder() is None
    Lease(folder).take()


def test_a_silent_lease_of_another_machine_is_taken_over_after_a_while(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    folder.claim("tiny")
    lease = tmp_path / "lease.json"
    lease.write_text(json.dumps({"pid": 1, "host": "elsewhere", "born": "1"}))
    with pytest.raises(StudyError, match="Process 1 on elsewhere is working on this study"):
        Lease(folder).take()
    past = time.time() - 1000
    os.utime(lease, (past, past))
    Lease(folder).take()
    assert Lease(folder).holder() is not None


def test_the_folder_of_another_study_is_refused(tiny_study: Study, tmp_path: Path) -> None:
    StudyFolder(tmp_path / "s").claim("other")
    with pytest.raises(StudyError, match="holds the study 'other', not 'tiny'"):
        run_study(tiny_study, tmp_path / "s")
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "thesis.docx").write_text("x")
    with pytest.raises(StudyError, match="is not empty and is not a study folder"):
        run_study(tiny_study, tmp_path / "t")
    assert [p.name for p in (tmp_path / "t").iterdir()] == ["thesis.docx"]


def test_damaged_images_stop_the_study_before_any_training(
    phantom_folder: Path, tiny_study: Study, tmp_path: Path
) -> None:
    frame = pl.read_parquet(phantom_folder / "lesion.parquet").with_row_index("n", offset=1)
    torn = pl.col("image").bin.slice(0, 300)
    frame = frame.with_columns(
        image=pl.when(pl.col("n").is_in([4, 9])).then(torn).otherwise("image")
    )
    frame.drop("n").write_parquet(tmp_path / "m.parquet")
    data = tiny_study.data.model_dump(exclude_unset=True) | {"manifest": tmp_path / "m.parquet"}
    heard = Heard()
    with pytest.raises(ImageError) as caught:
        run_study(changed(tiny_study, data=data), tmp_path / "s", heard.append)
    assert "row 4: the image is truncated" in str(caught.value)
    assert "row 9: the image is truncated" in str(caught.value)
    assert not heard.ended()


def test_audit_errors_stop_a_study_unless_waived(
    phantom_folder: Path, tiny_study: Study, tmp_path: Path
) -> None:
    frame = pl.read_parquet(phantom_folder / "lesion.parquet")
    first = frame["patient_id"][0]
    frame = frame.with_columns(
        patient_id=pl.when(pl.col("cohort") == "b").then(pl.lit(first)).otherwise("patient_id")
    )
    frame.write_parquet(tmp_path / "m.parquet")
    data = tiny_study.data.model_dump(exclude_unset=True) | {"manifest": tmp_path / "m.parquet"}
    study = changed(tiny_study, data=data)
    with pytest.raises(StudyError, match="A001 a patient is in more than one split or cohort"):
        run_study(study, tmp_path / "s")
    waived = changed(study, waive={"A001": "patients moved between the hospitals"})
    folder = run_here(waived, tmp_path / "s")
    assert read_status(folder).counts() == {"done": 1}
    assert folder.read("data.json")["waived"] == waived.waive
