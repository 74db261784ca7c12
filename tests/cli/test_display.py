"""How a running study looks: a live table, plain lines for logs, JSON for machines."""

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console
from tests.cli.planned import planned_runs

from medtransfer.cli import display as module
from medtransfer.cli.display import LiveTable, display
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.runs.events import (
    Event,
    Planned,
    Preparing,
    PretrainStep,
    RunEnded,
    RungMade,
    RunName,
    RunSlow,
    RunStep,
    Scoring,
)
from medtransfer.study.execution.requests import run_name

FIRST, SECOND = (run_name(run) for run in planned_runs())
RUNS = (FIRST, SECOND)
SEVERAL_LINES = "Weights cannot be used:\n  - a is 3×7\nCheck the rung."
IN_ONE = "Weights cannot be used: - a is 3×7 Check the rung."


def step(number: int, run: RunName = FIRST, area: float | None = None) -> RunStep:
    return RunStep(run, number, 60, 0.4321, 170.4, area, 12.0, None)


STORY: tuple[Event, ...] = (
    Preparing("reading images", 1, 480),
    Preparing("reading images", 480, 480),
    Preparing("preparing images at 64 px", 1, 1),
    Planned(RUNS, 0),
    step(1),
    RunEnded(FIRST, "failed", SEVERAL_LINES, 1, 2),
    step(30, SECOND, 0.8125),
    RunEnded(SECOND, "done", "", 2, 2),
    Scoring("tables"),
)


def lines(capsys: pytest.CaptureFixture[str], events: tuple[Event, ...]) -> list[str]:
    """What a log gets."""
    with display(as_json=False) as watch:
        for event in events:
            watch(event)
    found = capsys.readouterr()
    assert found.out == ""  # results alone go there
    return found.err.splitlines()


def test_a_slow_run_is_told_in_a_log_and_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    slow = RunSlow(FIRST, 0.2, "at 0.2 of the measured speed: other processes take its cores.")
    assert lines(capsys, (slow,)) == [f"{FIRST.label}: {slow.message}"]
    table, console = LiveTable(), Console(file=io.StringIO(), width=200)
    for event in (Planned(RUNS, 0), slow, step(3)):
        table.handle(event)
    console.print(table)
    assert slow.message in console.file.getvalue()  # type: ignore[attr-defined] — a StringIO


def test_a_log_has_one_line_for_each_thing_that_happens(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert lines(capsys, STORY) == [
        "reading images (480 images)",
        "preparing images at 64 px (1 image)",
        "2 runs",
        f"[1/2] failed scratch/r14x0.5 100% seed 0: {IN_ONE}",
        "[2/2] done imagenet/effnet-lite0 100% seed 0",
        "writing tables",
    ]


def test_a_log_hears_of_steps_only_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with display(as_json=False) as watch:
        watch(Planned(RUNS, 1))
        for number in range(1, 61):
            now[0] += 1.0
            watch(step(number))
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "1 of 2 runs already finished"
    assert said[1] == (
        "scratch/r14x0.5 100% seed 0: step 31/60, loss 0.432, 170 images/s, – left in the study"
    )
    assert len(said) == 2


def test_machines_get_an_object_a_line_on_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with display(as_json=True) as watch:
        for event in STORY:
            watch(event)
    found = capsys.readouterr()
    assert found.err == ""
    events = [json.loads(line) for line in found.out.splitlines()]
    assert [event["event"] for event in events] == [type(event).__name__ for event in STORY]
    assert events[3] == {"event": "Planned", "runs": [run.run_id for run in RUNS], "done": 0}
    assert events[5]["message"] == SEVERAL_LINES  # whole, for those who do not read on a terminal
    assert (events[6]["run_id"], events[6]["tune_auroc"]) == (SECOND.run_id, 0.8125)
    assert (events[6]["rung"], events[6]["seed"]) == (SECOND.rung, 0)


def screen(*events: Event, width: int = 120) -> str:
    """What a terminal shows after some events."""
    table = LiveTable()
    for event in events:
        table.handle(event)
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=False).print(table)
    return out.getvalue()


def test_a_terminal_shows_how_far_reading_is() -> None:
    assert screen(Preparing("reading images", 1200, 4800)).strip() == "reading images  1,200/4,800"


def test_the_time_left_of_a_stage_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: clock[0])
    table = LiveTable()
    lines = module._Lines()
    for seconds, done in ((0, 500), (2, 1_000), (40, 2_500), (50, 4_500)):
        clock[0] = 100.0 + seconds
        table.handle(Preparing("looking for files", done, 4_500))
        lines.handle(Preparing("looking for files", done, 4_500))
        if done == 2_500:
            out = io.StringIO()
            Console(file=out, width=99).print(table)
            assert out.getvalue().strip() == "looking for files  2,500/4,500, 0:40 left"
    assert capsys.readouterr().err.splitlines() == [
        "looking for files (4,500 images)",
        "looking for files: 2,500 of 4,500, 0:40 left",
    ]


def test_a_terminal_shows_the_rungs_the_current_run_and_the_first_failure() -> None:
    shown = screen(*STORY[:-2])
    rows = [line.split() for line in shown.splitlines()]
    assert ["scratch/r14x0.5", "1", "0", "1", "0"] in rows
    assert ["imagenet/effnet-lite0", "1", "0", "0", "0"] in rows
    assert "imagenet/effnet-lite0 100% seed 0  loss 0.432  tune AUROC 0.812" in shown
    assert "170 images/s  0:12 left, – in the study" in shown
    assert f"\nfirst failure: scratch/r14x0.5 100% seed 0: {IN_ONE}" in shown


def test_a_run_that_is_over_is_counted_and_no_longer_shown_as_running() -> None:
    shown = screen(*STORY)
    assert "loss" not in shown
    assert "writing tables" in shown
    table = [line.split() for line in shown.splitlines() if line.startswith("imagenet")]
    assert table == [["imagenet/effnet-lite0", "1", "1", "0", "0"]]


def test_a_resumed_study_says_how_many_runs_are_finished() -> None:
    assert "5 of 8 runs already finished" in screen(Planned(RUNS * 4, 5))
    assert "finished" not in screen(Planned(RUNS, 0))


def test_a_narrow_terminal_is_no_error() -> None:
    assert "scratch" in screen(*STORY, width=30)


def test_texts_are_never_markup_and_no_escape_sequence_gets_through() -> None:
    assert "[bold]x[/bold]" in screen(Preparing("[bold]x[/bold]", 1, 2))
    shown = screen(Planned(RUNS, 0), RunEnded(FIRST, "failed", "\x1b]0;evil\x07 [red]no", 1, 2))
    assert "evil� [red]no" in shown
    assert "\x1b" not in shown


def test_a_held_out_cohort_is_named() -> None:
    run = planned_runs()[0]
    left_out = run_name(
        replace(run, cell=replace(run.cell, key=GridKey(run.cell.rung, held_out="south")))
    )
    assert "scratch/r14x0.5 100% seed 0, without south" in screen(
        Planned((left_out,), 0), step(3, left_out)
    )


def test_a_log_names_what_a_stage_counts(capsys: pytest.CaptureFixture[str]) -> None:
    with display(as_json=False) as watch:
        watch(Preparing("reading images", 0, 1))
        watch(Preparing("understanding", 0, 4, "run"))
    lines = capsys.readouterr().err.splitlines()
    assert lines == ["reading images (1 image)", "understanding (4 runs)"]


PRETRAINING: tuple[Event, ...] = (
    Preparing("reading images", 1, 48),
    PretrainStep(1, 3000, 2.3456, 811.4, None, None),
    PretrainStep(1200, 3000, 1.2345, 1811.4, 0.4125, 3723.0),
    PretrainStep(3000, 3000, 0.5, 1790.2, 0.5, 0.0),
    RungMade("own/natural", "rungs/natural"),
)


def test_a_log_hears_of_pretraining_now_and_then_and_of_its_last_step(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with display(as_json=False) as watch:
        for event in PRETRAINING:
            watch(event)
            now[0] += 29
    assert capsys.readouterr().err.splitlines() == [
        "reading images (48 images)",
        "step 1,200 of 3,000, loss 1.234, held-out score 0.412, 1,811 images/s, 1:02:03 left",
        "step 3,000 of 3,000, loss 0.500, held-out score 0.500, 1,790 images/s, 0:00 left",
    ]


def test_a_terminal_shows_pretraining_with_a_bar_beneath() -> None:
    first = screen(*PRETRAINING[:2]).splitlines()[0]
    assert first == "step 1 of 3,000, loss 2.346, 811 images/s, – left"
    line, bar = screen(*PRETRAINING[:3]).splitlines()
    assert line.endswith("held-out score 0.412, 1,811 images/s, 1:02:03 left")
    assert bar.strip() == "━" * 24  # of 60


def test_machines_hear_of_pretraining_too(capsys: pytest.CaptureFixture[str]) -> None:
    with display(as_json=True) as watch:
        for event in PRETRAINING:
            watch(event)
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[2] == {"event": "PretrainStep", **vars(PRETRAINING[2])}
    assert events[4] == {"event": "RungMade", "rung": "own/natural", "folder": "rungs/natural"}
