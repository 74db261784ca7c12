"""What a stage's plan says of its rungs."""

from pathlib import Path

from medtransfer.study.config import Study
from medtransfer.study.planning.plan_study import plan_study
from medtransfer.study.selection.stage_runs import steps_by_rung
from medtransfer.study.selection.stages import full_study_of, probe_study_of, short_study_of


def test_steps_of_each_rung_are_those_of_its_plan(tiny_study: Study, tmp_path: Path) -> None:
    rungs = ["scratch/r14x0.5", "scratch/r26x0.25"]
    base = full_study_of(tiny_study, rungs)
    whole = steps_by_rung(plan_study(base, tmp_path / "out"))
    assert whole == dict.fromkeys(rungs, tiny_study.training.steps)
    short = short_study_of(base, whole)
    quarter = round((tiny_study.training.steps or 0) / 4)
    assert steps_by_rung(plan_study(short, tmp_path / "out")) == dict.fromkeys(rungs, quarter)
    probes = plan_study(probe_study_of(base, rungs[:1]), tmp_path / "out")
    assert steps_by_rung(probes) == {rungs[0]: len(base.training.tuning.penalties)}
