"""One suite for all engines: whatever carries runs out, a study ends in the same bits."""

import os
import signal
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import pytest
from tests.in_process import run_here, study_digests

from medtransfer.runs.events import Event, RunEnded
from medtransfer.runs.lease import leased_runs
from medtransfer.study.config import Study
from medtransfer.study.execution.stopped import StudyStopped
from medtransfer.study.schedule import run_study

RAY = pytest.mark.skipif(find_spec("ray") is None, reason="the extra `ray` is not installed")


@pytest.fixture(scope="module")
def serial() -> dict[str, str]:
    """Digests of the study by a serial run in this process, made once."""
    return {}


@pytest.mark.slow
@pytest.mark.usefixtures("fake")
@pytest.mark.parametrize("on", ["local", "slurm", pytest.param("ray", marks=RAY)])
def test_a_study_that_is_stopped_and_resumed_has_the_bits_of_a_serial_one(
    on: str, tiny_study: Study, tmp_path: Path, serial: dict[str, str]
) -> None:
    training = tiny_study.training.model_dump(exclude_unset=True) | {"steps": 40, "checks": 2}
    changes = {"seeds": [0, 1], "training": training}
    study = Study.model_validate(tiny_study.model_dump(exclude_unset=True) | changes)
    if not serial:
        serial.update(study_digests(run_here(study, tmp_path / "serial")))
    out, ends = tmp_path / "s", Counter[str]()

    def interrupt() -> None:
        deadline = time.monotonic() + 240
        while not list(out.glob("runs/*/checkpoint/step-*/state.json")):
            assert time.monotonic() < deadline, "no run was begun"
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    def note(event: Event) -> None:
        ends.update([event.run.run_id] if isinstance(event, RunEnded) else [])

    Thread(target=interrupt, daemon=True).start()
    with pytest.raises(StudyStopped):
        run_study(study, out, note, on=on)
    assert len(ends) < 2
    if on != "slurm":  # whose jobs go on
        assert not list(leased_runs(out))
    folder = run_study(study, out, note, on=on)
    assert max(ends.values(), default=1) == 1  # none is told twice; jobs end between the two too
    assert study_digests(folder) == serial
