"""The live page: what it shows and hides, and who may ask for it."""

import http.client
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from medtransfer import StudyFolder, watch_study
from medtransfer.errors import ConfigError, StudyError
from medtransfer.report.live.curves import TrainingCurve, curves_svg
from medtransfer.report.live.live_page import POLICY, live_page
from medtransfer.report.live.live_server import LiveServer, make_server
from medtransfer.report.live.snapshot import LiveRun, LiveStudy, read_live
from medtransfer.runs.records import RunCheck, State
from medtransfer.study.status import RunStatus


@pytest.fixture(scope="module")
def server(finished: StudyFolder) -> Iterator[LiveServer]:
    """The page of the finished study, served."""
    with make_server(finished) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(
    server: LiveServer, method: str = "GET", path: str = "/", host: str | None = None
) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of a request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    headers = {} if host is None else {"Host": host}
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.headers), body


def status(state: str = "done", rung: str = "scratch/r14x0.5", seed: int = 0) -> RunStatus:
    return RunStatus(
        run_id="a" * 12,
        rung=rung,
        label_fraction=0.5,
        seed=seed,
        state=state,  # type: ignore[arg-type] — a literal
        step=6,
        steps=12,
        images=1200,
        tune_auroc=0.8125,
        seconds=75.0,
        message="weights file DOE^JANE.safetensors is missing",
    )


def study_of(*runs: LiveRun, name: str = "chest") -> LiveStudy:
    counts: dict[State, int] = {run.status.state: 1 for run in runs}
    rungs = tuple(dict.fromkeys(run.status.rung for run in runs))
    return LiveStudy(name, runs, counts, rungs, working=True, seconds_left=3725.0)


def test_the_page_has_a_row_a_run_and_both_charts(server: LiveServer) -> None:
    code, headers, body = ask(server)
    assert code == 200
    assert body.count("<tr><td") == 8
    assert body.count("<polyline") == 16  # loss and AUROC of eight runs
    assert "8 done. No process works on the study." in body
    assert headers["Content-Security-Policy"] == POLICY
    assert headers["Cache-Control"] == "no-store"
    assert '<meta http-equiv="refresh"' in body


def test_the_page_asks_for_nothing_and_runs_nothing(server: LiveServer) -> None:
    body = ask(server)[2]
    assert not re.search(r"<script|https?://|src=|href=|style=|url\(|@import| on\w+=", body)
    assert POLICY.startswith("default-src 'none'")
    assert "unsafe" not in POLICY


def test_no_id_and_no_file_name_is_on_the_page(server: LiveServer, finished: StudyFolder) -> None:
    body = ask(server)[2]
    ids = finished.run(finished.run_ids()[0]).predictions()["patient_id"].to_list()
    for text in (*finished.run_ids(), *ids, "lesion.parquet", str(finished.path)):
        assert text not in body
    failed = live_page(study_of(LiveRun(1, status("failed"))), 5)
    assert "DOE^JANE" not in failed
    assert "medtransfer status" in failed


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost:1", ""])
def test_another_host_than_loopback_is_refused(server: LiveServer, host: str) -> None:
    code, headers, body = ask(server, host=host)
    assert code == 421
    assert headers["Content-Security-Policy"] == POLICY
    assert body == "Misdirected Request"


def test_only_the_page_itself_is_there_to_be_read(server: LiveServer) -> None:
    assert ask(server, host=f"localhost:{server.server_port}")[0] == 200
    assert ask(server, "HEAD")[::2] == (200, "")
    assert ask(server, path="/../study.yaml")[0] == 404
    assert ask(server, path="/?q=1")[0] == 404
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        code, _, body = ask(server, method, path="/<script>")
        assert (code, body) == (501, "Not Implemented")
    assert server.server_address[0] == "127.0.0.1"


def test_what_a_study_holds_is_escaped() -> None:
    nasty = "<script>alert(1)</script>"
    run = LiveRun(1, status(rung=nasty), checks=(RunCheck(6, 0.5, 0.7),))
    body = live_page(study_of(run, name=nasty), 5)
    assert "<script>" not in body
    assert body.count("&lt;script&gt;") >= 4


def test_a_running_run_shows_its_time_left() -> None:
    run = LiveRun(3, status("running"), seconds_left=61.0)
    body = live_page(study_of(run), 5)
    assert "1 running. 1:02:05 left." in body
    assert "<td class=n>1:15</td><td class=n>1:01</td>" in body
    assert "0.812" in body
    assert "6/12" in body
    assert "<polyline" not in body  # no validation yet


def test_curves_keep_to_their_axis_and_leave_out_what_is_undefined() -> None:
    curve = TrainingCurve("a", 0, [0.0, 0.5, 1.0], [0.5, float("nan"), 2.0])
    svg = curves_svg("AUROC", [curve], (0.0, 1.0))
    (points,) = re.findall(r'points="([^"]+)"', svg)
    assert points == "48.0,100.0 412.0,8.0"  # half of the axis, and its upper edge
    assert curves_svg("AUROC", [TrainingCurve("a", 0, [0.5], [float("nan")])]) == ""
    assert curves_svg("loss", [TrainingCurve("a", 0, [0.5], [0.3])])  # an axis of one value


def test_runs_at_work_come_first_and_the_rest_is_counted(
    finished: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("medtransfer.report.live.snapshot.MAX_ROWS", 3)
    monkeypatch.setattr("medtransfer.report.live.snapshot.MAX_CURVES", 2)
    study = read_live(finished)
    assert [run.number for run in study.runs] == [1, 2, 3]
    assert [bool(run.checks) for run in study.runs] == [True, True, False]
    assert study.total == 8
    body = live_page(study, 5)
    assert "5 more runs are not listed." in body
    assert "(2 of 8 runs)" in body


def test_a_folder_that_is_no_study_and_a_port_in_use_are_refused(
    tmp_path: Path, server: LiveServer, finished: StudyFolder
) -> None:
    with pytest.raises(StudyError, match="is not the folder of a study"):
        watch_study(StudyFolder(tmp_path), 0)
    with pytest.raises(ConfigError, match=f"Port {server.server_port} cannot be used"):
        watch_study(finished, server.server_port)
    with pytest.raises(ConfigError, match="port holds 99999"):
        watch_study(finished, 99_999)


@pytest.mark.slow
@pytest.mark.browser
def test_a_browser_draws_the_page_without_a_complaint(
    chromium: str, server: LiveServer, tmp_path: Path
) -> None:
    import subprocess

    command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    command += [f"--user-data-dir={tmp_path}", "--dump-dom", "--virtual-time-budget=2000"]
    address = f"http://127.0.0.1:{server.server_port}/"
    done = subprocess.run(
        [*command, address], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.count("<tr><td") == 8
    assert done.stdout.count("<polyline") == 16
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert complaints == []
