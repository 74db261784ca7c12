"""Choice of a precision: by the length of runs, by what is remembered, by a measurement."""

import errno
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from medtransfer.models.precision import choice
from medtransfer.models.precision.choice import (
    Passes,
    PrecisionChooser,
    decide_precision,
    has_bfloat16_units,
)
from medtransfer.models.precision.decision import (
    PRECISIONS,
    PrecisionCase,
    PrecisionDecision,
    keep_decision,
    note_largest,
    read_decision,
)
from medtransfer.models.precision.measure import compare_speeds, measure_speeds
from medtransfer.models.precision.speeds import SPEEDS, PrecisionSpeeds, cache_folder
from medtransfer.models.rungs.architectures import ARCHITECTURES, Precision

CPU = torch.device("cpu")
LONG = Passes(ARCHITECTURES["r50x1"], 128, "training", 1_000_000, 64)
FASTER_HALF, SLOWER_HALF = PrecisionSpeeds(10.0, 19.0), PrecisionSpeeds(10.0, 8.9)


class Measured:
    """Stands in for a measurement, and counts how often it is asked."""

    def __init__(self, speeds: PrecisionSpeeds | None) -> None:
        self.speeds, self.limits = speeds, list[float]()

    def __call__(self, *_: object, limit: float, **_more: object) -> PrecisionSpeeds | None:
        self.limits.append(limit)
        return self.speeds


@pytest.fixture(autouse=True)
def units(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with units for bfloat16 that remembers nothing yet."""
    monkeypatch.setattr(choice, "has_bfloat16_units", lambda _device: True)
    monkeypatch.setenv("MEDTRANSFER_CACHE", str(tmp_path / "speeds"))


def chooser(speeds: PrecisionSpeeds | None) -> tuple[PrecisionChooser, Measured]:
    measured = Measured(speeds)
    return PrecisionChooser(CPU, measured), measured


@pytest.mark.parametrize(
    ("speeds", "expected"),
    [
        (FASTER_HALF, "bfloat16"),
        (SLOWER_HALF, "float32"),
        (PrecisionSpeeds(10.0, 10.3), "float32"),  # within what measurements differ by
        (None, "float32"),  # the memory does not hold two images
    ],
)
def test_the_faster_precision_is_taken_and_never_the_slower(
    speeds: PrecisionSpeeds | None, expected: Precision
) -> None:
    judge, measured = chooser(speeds)
    decision = judge.choose(LONG)
    assert decision.precision == expected
    assert len(measured.limits) == 1


def test_what_was_measured_on_a_machine_is_remembered_there() -> None:
    assert chooser(FASTER_HALF)[0].choose(LONG).reason == "measured"
    judge, measured = chooser(SLOWER_HALF)
    again = judge.choose(LONG)
    assert (again.precision, again.reason) == ("bfloat16", "remembered")
    assert again.speeds == FASTER_HALF
    assert measured.limits == []
    assert judge.choose(replace(LONG, size=224)).precision == "float32"  # another size is measured
    assert len(measured.limits) == 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda _text: "[]",
        lambda text: text.replace("19.0", "-1.0"),
        lambda text: text.replace("19.0", '"fast"'),
        lambda text: text.replace('"bfloat16"', '"other"'),
    ],
)
def test_a_damaged_memory_is_measured_again(damage: Callable[[str], str]) -> None:
    chooser(FASTER_HALF)[0].choose(LONG)
    path = cache_folder() / SPEEDS
    path.write_text(damage(path.read_text("utf-8")))
    judge, measured = chooser(SLOWER_HALF)
    assert judge.choose(LONG).reason == "measured"
    assert len(measured.limits) == 1
    assert chooser(FASTER_HALF)[0].choose(LONG).speeds == SLOWER_HALF  # and remembered anew


def test_a_memory_that_cannot_be_written_costs_nothing_but_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MEDTRANSFER_CACHE", str(tmp_path / "file" / "below"))
    assert chooser(FASTER_HALF)[0].choose(LONG).precision == "bfloat16"


def test_short_runs_are_float32_whatever_was_measured_before() -> None:
    chooser(FASTER_HALF)[0].choose(LONG)
    judge, measured = chooser(FASTER_HALF)
    decision = judge.choose(replace(LONG, images=640))
    assert (decision.precision, decision.reason) == ("float32", "short")
    assert measured.limits == []


def test_a_measurement_takes_a_fiftieth_of_the_expected_time_or_some_seconds() -> None:
    for images in (10_000, 100_000_000):
        passes = replace(LONG, images=images)
        judge, measured = chooser(FASTER_HALF)
        judge.choose(replace(passes, size=96 if images == 10_000 else 128))
        expected = passes.core_seconds / torch.get_num_threads()
        assert measured.limits[0] <= max(3.0, 0.02 * expected)


def test_a_device_without_units_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "has_bfloat16_units", has_bfloat16_units)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    judge, measured = chooser(FASTER_HALF)
    assert judge.choose(LONG).reason == "device"
    assert not has_bfloat16_units(torch.device("mps"))
    assert measured.limits == []
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    assert judge.choose(LONG).precision == "bfloat16"


def test_a_study_decides_once_whatever_is_measured_later(tmp_path: Path) -> None:
    study = tmp_path / "study"
    first = decide_precision("auto", study, LONG, chooser(FASTER_HALF)[0])
    (cache_folder() / SPEEDS).unlink()
    judge, measured = chooser(SLOWER_HALF)  # another machine, a year later
    again = decide_precision("auto", study, LONG, judge)
    assert again == first
    assert measured.limits == []
    probe = replace(LONG, work="features")  # its passes are others
    assert decide_precision("auto", study, probe, judge).precision == "float32"
    assert decide_precision("bfloat16", study, probe, judge).reason == "set"


def test_the_longest_run_of_a_plan_says_whether_a_measurement_pays(tmp_path: Path) -> None:
    short = replace(LONG, images=64)
    note_largest(tmp_path, {short.case: LONG.images})
    judge, measured = chooser(FASTER_HALF)
    assert decide_precision("auto", tmp_path, short, judge).precision == "bfloat16"
    assert len(measured.limits) == 1


def test_a_run_that_was_begun_before_decisions_were_kept_stays_as_it_is(tmp_path: Path) -> None:
    judge, measured = chooser(SLOWER_HALF)
    decision = decide_precision("auto", tmp_path, LONG, judge, earlier="bfloat16")
    assert (decision.precision, decision.reason) == ("bfloat16", "earlier")
    assert decide_precision("auto", tmp_path, LONG, judge) == decision
    assert measured.limits == []


def test_of_two_workers_the_first_decides(tmp_path: Path) -> None:
    mine = PrecisionDecision("float32", "measured", SLOWER_HALF, "here", 1)
    theirs = PrecisionDecision("bfloat16", "measured", FASTER_HALF, "there", 2)
    assert keep_decision(tmp_path, LONG.case, theirs) == theirs
    assert keep_decision(tmp_path, LONG.case, mine) == theirs
    assert read_decision(tmp_path, LONG.case) == theirs


def test_a_disk_without_links_keeps_a_decision_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", unknown)
    decision = PrecisionDecision("bfloat16", "measured", FASTER_HALF)
    assert keep_decision(tmp_path, LONG.case, decision) == decision
    assert read_decision(tmp_path, LONG.case) == decision


def test_a_team_may_read_a_decision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDTRANSFER_UMASK", "027")
    keep_decision(tmp_path, LONG.case, PrecisionDecision("float32", "short"))
    (path,) = (tmp_path / PRECISIONS).iterdir()
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"precision": "float16", "reason": "measured"}', '{"precision": 3}']
)
def test_a_damaged_decision_is_decided_again(tmp_path: Path, content: str) -> None:
    decision = PrecisionDecision("bfloat16", "measured", FASTER_HALF)
    keep_decision(tmp_path, LONG.case, decision)
    (path,) = (tmp_path / PRECISIONS).iterdir()
    path.write_text(content)
    assert read_decision(tmp_path, LONG.case) is None
    assert keep_decision(tmp_path, LONG.case, decision) == decision
    assert read_decision(tmp_path, LONG.case) == decision


def test_names_of_decisions_are_plain_and_differ() -> None:
    names = ["timm:vit_small_patch16_224.augreg", "timm/vit_small_patch16_224.augreg", "r50x1"]
    files = {PrecisionCase(name, (64, 32), "training").name for name in names}
    assert len(files) == len(names)
    assert all("/" not in name and ":" not in name for name in files)
    record = json.dumps(PrecisionDecision("float32", "short").sentence)
    assert "too short" in record


class Clock:
    """Seconds that pass as passes are carried out."""

    def __init__(self, seconds: dict[Precision, float], slow_start: float = 0.0) -> None:
        self.now, self.seconds, self.slow_start = 0.0, seconds, slow_start
        self.passes: list[Precision] = []

    def __call__(self) -> float:
        return self.now

    def run(self, precision: Precision) -> None:
        first = precision not in self.passes
        self.passes.append(precision)
        self.now += self.seconds[precision] + first * self.slow_start


def test_passes_are_timed_in_turn_after_one_that_does_not_count() -> None:
    clock = Clock({"float32": 0.5, "bfloat16": 0.25}, slow_start=1.0)
    assert compare_speeds(clock.run, 8, 100.0, clock) == PrecisionSpeeds(16.0, 32.0)
    assert clock.passes == ["float32", "bfloat16"] * 5


def test_a_slow_pass_is_timed_once() -> None:
    clock = Clock({"float32": 50.0, "bfloat16": 60.0})
    assert compare_speeds(clock.run, 2, 3.0, clock).precision == "float32"
    assert clock.passes == ["float32", "bfloat16"] * 2


def test_emulated_bfloat16_is_given_up_at_once() -> None:
    clock = Clock({"float32": 1.0, "bfloat16": 20.0})
    speeds = compare_speeds(clock.run, 2, 1000.0, clock)
    assert speeds.precision == "float32"
    assert clock.passes == ["float32", "bfloat16", "float32"]
    cold = Clock({"float32": 1.0, "bfloat16": 20.0}, slow_start=1.0)
    assert compare_speeds(cold.run, 2, 1000.0, cold).float32 == 2.0  # of a warm pass


@pytest.mark.parametrize("work", ["training", "features"])
def test_a_real_measurement_leaves_the_generator_as_it_was(work: Any) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    speeds = measure_speeds(ARCHITECTURES["r26x0.25"], 32, CPU, images=4, work=work, limit=0.0)
    assert speeds is not None
    assert speeds.float32 > 0
    assert speeds.bfloat16 > 0
    assert torch.rand(1) == expected


def test_memory_that_runs_out_is_measured_on_fewer_images_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def lacking(*_: object, images: int, **_more: object) -> PrecisionSpeeds:
        asked.append(images)
        raise MemoryError

    monkeypatch.setattr("medtransfer.models.precision.measure._measure", lacking)
    monkeypatch.setattr("medtransfer.models.precision.measure.release_memory", lambda: None)
    assert (
        measure_speeds(ARCHITECTURES["r50x1"], 32, CPU, images=8, work="training", limit=1.0)
        is None
    )
    assert asked == [8, 4, 2]
