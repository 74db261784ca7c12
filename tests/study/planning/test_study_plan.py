"""Plan of a study: what would run, what it takes and what could be saved."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from shutil import copytree

import pytest
from tests.cli.planned import planned_runs
from tests.in_process import no_worker, run_here, study_digests

from medtransfer.errors import StudyError
from medtransfer.runs.events import Event, TimeEstimated
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.planning.plan_study import plan_study
from medtransfer.study.planning.rules import core_speed, rule_memory, rule_speed
from medtransfer.study.planning.savings import largest_savings
from medtransfer.study.planning.speeds import Seconds, rough_time
from medtransfer.study.planning.study_plan import StudyPlan
from medtransfer.study.schedule import probe_study, run_study
from medtransfer.study.status import read_status
from medtransfer.study.yaml_file import read_study


def changed(study: Study, **changes) -> Study:
    return Study.model_validate(study.model_dump(exclude_unset=True) | changes)


@pytest.fixture(scope="module")
def unstarted(tiny_study: Study, tmp_path_factory: pytest.TempPathFactory) -> StudyPlan:
    study = changed(
        tiny_study,
        rungs=["scratch/r14x0.5", {"rung": "scratch/r50x1", "training": {"checks": 2}}],
        label_fractions=[0.5, 1.0],
        seeds=[0, 1],
        retrain_fractions=[0.5],
    )
    return plan_study(study, tmp_path_factory.mktemp("unstarted") / "s", workers=2)


def test_a_plan_counts_runs_and_says_what_each_question_costs(unstarted: StudyPlan) -> None:
    assert (unstarted.num_runs, unstarted.to_run) == (12, 12)
    assert {q.question.split(":")[0]: q.runs for q in unstarted.questions} == {
        "transfer, shift, fairness, uncertainty": 4,
        "data efficiency": 4,
        "shift": 4,
    }
    assert [kind.kind for kind in unstarted.kinds] == [
        "scratch/r50x1 32 px full",
        "scratch/r14x0.5 32 px full",
    ]
    assert all(kind.source == "rule" for kind in unstarted.kinds)
    parts = [kind.seconds for kind in unstarted.kinds]
    assert unstarted.seconds is not None
    total = sum(part.middle for part in parts if part)
    assert unstarted.seconds.middle == pytest.approx(total / 2)
    assert unstarted.seconds.low < unstarted.seconds.middle < unstarted.seconds.high


def test_a_plan_leaves_no_run_and_is_plain_json(unstarted: StudyPlan) -> None:
    record = json.loads(json.dumps(unstarted.plain()))
    assert record["to_run"] == 12
    assert record["kinds"][0]["memory"]["high"] > record["kinds"][1]["memory"]["low"]


def test_weights_are_counted_only_if_they_are_kept(tiny_study: Study, tmp_path: Path) -> None:
    kept = plan_study(tiny_study, tmp_path / "a")
    dropped = plan_study(changed(tiny_study, keep="predictions"), tmp_path / "b")
    assert kept.weights_bytes > 0
    assert dropped.weights_bytes == 0
    assert kept.cache_bytes > 0
    assert kept.disk_bytes == kept.cache_bytes + kept.weights_bytes + kept.working_bytes


@pytest.fixture
def half_done(finished: StudyFolder, tmp_path: Path) -> tuple[Study, Path]:
    """The finished study with another seed."""
    copytree(finished.path, tmp_path / "s")
    study = read_study(tmp_path / "s" / "study.yaml")
    return study.model_copy(update={"seeds": (0, 1, 2)}), tmp_path / "s"


def test_run_status_and_plan_tell_the_same_time(half_done: tuple[Study, Path]) -> None:
    study, path = half_done
    heard: list[TimeEstimated] = []

    def listen(event: Event) -> None:
        if isinstance(event, TimeEstimated):
            heard.append(event)
            raise InterruptedError

    with pytest.raises(InterruptedError):
        run_here(study, path, listen)
    told = read_status(StudyFolder(path)).seconds_left
    plan = plan_study(study, path)
    assert (plan.states, plan.to_run) == ({"done": 8, "waiting": 4}, 4)
    assert {kind.source for kind in plan.kinds} == {"measured"}
    assert plan.seconds is not None
    assert told == pytest.approx(plan.seconds.middle)
    assert heard[0].middle == pytest.approx(plan.seconds.middle)
    assert plan.seconds.middle > 0


def test_a_finished_study_has_nothing_left(half_done: tuple[Study, Path]) -> None:
    study, path = half_done
    plan = plan_study(study.model_copy(update={"seeds": (0, 1)}), path)
    assert plan.states == {"done": 8}
    assert plan.to_run == 0
    assert plan.seconds == Seconds(0.0, 0.0, 0.0)
    assert all(kind.memory.is_measured for kind in plan.kinds)
    plan.require_hours(0.0)


def test_a_study_that_takes_longer_than_it_may_is_refused_before_a_run(
    tiny_study: Study, tmp_path: Path
) -> None:
    message = r"1 run takes about \S+ s \(.* more than --max-hours 1e-09\. Nothing was run\."
    with no_worker(), pytest.raises(StudyError, match=message):
        run_study(tiny_study, tmp_path / "s", max_hours=1e-9)
    assert not StudyFolder(tmp_path / "s").run_ids()


def test_an_unknown_time_is_refused_too(unstarted: StudyPlan) -> None:
    with pytest.raises(StudyError, match=r"is not known, .* `medtransfer plan --probe` measures"):
        replace(unstarted, seconds=None).require_hours(5)


def test_savings_name_the_most_expensive_parts(tiny_study: Study) -> None:
    slow, fast = planned_runs()
    study = changed(tiny_study, rungs=["scratch/r14x0.5", "imagenet/effnet-lite0"])
    times: dict[str, Seconds | None] = {
        slow.run_id: Seconds(1, 9 * 3600, 1),
        fast.run_id: Seconds(1, 3600, 1),
    }
    savings = largest_savings(study, [slow, fast], times, workers=2)
    probes = "With linear probes in place of fine-tuning (training.tuning.mode: linear)"
    assert [saving.sentence for saving in savings] == [
        "Without rung 'scratch/r14x0.5': 4.5 h less (90%).",
        f"{probes}: 4.5 h less (90%).",
    ]
    short = {name: Seconds(1, 60, 1) for name in times}
    assert largest_savings(study, [slow, fast], short, workers=2) == ()


def test_rules_grow_with_network_image_and_micro_batch() -> None:
    small, _ = planned_runs()
    assert core_speed() > 1e8
    run = small.cell.run
    wide = run.training.model_copy(update={"micro_batch": 256})
    wider = replace(small, cell=replace(small.cell, run=run.model_copy(update={"training": wide})))
    assert rule_memory(wider).middle > rule_memory(small).middle
    one, two = rule_speed(small, 1), rule_speed(small, 2)
    assert two.middle == pytest.approx(2 * one.middle)
    assert one.low < one.middle < one.high


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (99, "99 s"),
        (100, "2 min"),
        (5969, "99 min"),
        (5970, "1.7 h"),
        (4e5, "4.6 days"),
    ],
)
def test_times_have_the_unit_that_a_reader_wants(seconds: float, text: str) -> None:
    assert rough_time(seconds) == text


@pytest.mark.slow
def test_a_probe_measures_every_kind_and_its_steps_count(tiny_study: Study, tmp_path: Path) -> None:
    training = tiny_study.training.model_dump(exclude_unset=True) | {"steps": 40}
    study = changed(
        tiny_study,
        rungs=["scratch/r14x0.5", "imagenet/effnet-lite0"],
        seeds=[0, 1],
        training=training,
    )
    golden = study_digests(run_here(study, tmp_path / "golden"))
    folder = probe_study(study, tmp_path / "s", steps=5)
    plan = plan_study(study, folder.path)
    assert [kind.source for kind in plan.kinds] == ["measured", "measured"]
    assert plan.to_run == 4
    steps = sorted(run.step for run in read_status(folder).runs)
    assert steps[:2] == [0, 0]
    assert all(5 <= step < 40 for step in steps[2:])
    assert study_digests(run_study(study, folder.path)) == golden


LARGE = """\
import re, sys, time
from pathlib import Path
from medtransfer.study.config import Study
from medtransfer.study.planning.plan_study import plan_study
study = Study.model_validate_json(Path(sys.argv[1]).read_text())
begun = time.perf_counter()
plan = plan_study(study, Path(sys.argv[2]))
seconds = time.perf_counter() - begun
# the peak of this program alone: ru_maxrss begins with that of the process that started it
memory = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
print(plan.num_runs, seconds, memory, "torch" in sys.modules)
"""


@pytest.mark.slow
def test_a_hundred_thousand_runs_are_planned_without_torch(
    tiny_study: Study, tmp_path: Path
) -> None:
    study = changed(
        tiny_study,
        rungs=["scratch/r14x0.5", "scratch/r26x0.25", "scratch/r50x1", "imagenet/effnet-lite0"],
        label_fractions=[(n + 1) / 10 for n in range(10)],
        seeds=list(range(2500)),
    )
    (tmp_path / "study.json").write_text(study.model_dump_json(exclude_unset=True))
    code = [sys.executable, "-c", LARGE, str(tmp_path / "study.json"), str(tmp_path / "s")]
    done = subprocess.run(code, capture_output=True, text=True, check=True)
    runs, seconds, mebibytes, has_torch = done.stdout.split()
    assert int(runs) == 100_000
    assert float(seconds) < 30  # 9 s where nothing else runs
    assert float(mebibytes) < 1024
    assert has_torch == "False"
