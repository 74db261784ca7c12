"""The Ray engine beside a broker that only notes what it is told: what becomes of lost runs."""

from pathlib import Path
from typing import Any

import pytest
from tests.local_run import request

from medtransfer.engines.contract import RunLost, RunMessage
from medtransfer.engines.ray import engine as module
from medtransfer.engines.ray.address import RayAddress
from medtransfer.engines.ray.broker import lost_reason
from medtransfer.engines.ray.connection import Cluster, ray_variables, require_reachable
from medtransfer.engines.ray.engine import RayEngine
from medtransfer.engines.ray.refusal import ClusterRefusedError
from medtransfer.engines.ray.resources import RayNode
from medtransfer.engines.ray.versions import version_faults, versions_here
from medtransfer.errors import ConfigError, StudyError
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.messages import Finished
from medtransfer.study.config import Study

HEAD = Cluster(RayAddress("node", "127.0.0.1", 1))


class FakeConnection:
    """Notes commands, and says what it is told; ``None`` in `events` is the end of its process."""

    made: list["FakeConnection"] = []
    refusals = 0
    refusal: StudyError
    nodes: tuple[RayNode, ...]
    stopped_by_entry: RayEngine | None

    def __init__(self, _study: Path, _cluster: Cluster) -> None:
        if FakeConnection.stopped_by_entry is not None:
            FakeConnection.stopped_by_entry.stop()
        if FakeConnection.refusals:
            FakeConnection.refusals -= 1
            raise FakeConnection.refusal
        self.commands: list[dict[str, Any]] = []
        self.events: list[dict[str, Any] | None] = []
        self.seconds: float | None = None
        FakeConnection.made.append(self)

    def send(self, command: dict[str, Any]) -> None:
        self.commands.append(command)

    def receive(self, _seconds: float) -> dict[str, Any] | None:
        if not self.events:
            return None
        event = self.events.pop(0)
        if event is None:
            raise ConnectionError
        return event

    def close(self, seconds: float) -> None:
        self.seconds = seconds

    def end(self, letter: str, code: int, last: str = "") -> None:
        ended = {"event": "ended", "run": letter * 12, "code": code}
        self.events.append(ended | {"last": last, "is_foreign": False})


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    place = StudyFolder(tmp_path / "s")
    place.claim("chest")
    return place


@pytest.fixture
def ray(folder: StudyFolder, tiny_study: Study, monkeypatch: pytest.MonkeyPatch) -> RayEngine:
    """An engine with a run, whose cluster has four cores."""
    monkeypatch.setattr(FakeConnection, "made", [])
    monkeypatch.setattr(FakeConnection, "refusals", 0)
    refusal = StudyError("No Ray cluster can be entered.")
    monkeypatch.setattr(FakeConnection, "refusal", refusal, raising=False)
    monkeypatch.setattr(FakeConnection, "nodes", (RayNode(1, cpus=4),), raising=False)
    monkeypatch.setattr(FakeConnection, "stopped_by_entry", None, raising=False)
    monkeypatch.setattr(module, "Connection", FakeConnection)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(module, "ENTRY_SECONDS", 0.0)
    made = RayEngine(folder.path, HEAD, needed={"a" * 12: 2**30})
    made.submit(request(tiny_study, "a" * 12).model_copy(update={"threads": 2}))
    return made


def broker() -> FakeConnection:
    return FakeConnection.made[-1]


def test_a_run_is_described_in_its_folder_and_given_to_ray_with_its_resources(
    ray: RayEngine, folder: StudyFolder, monkeypatch: pytest.MonkeyPatch, tiny_study: Study
) -> None:
    monkeypatch.setenv("MEDTRANSFER_MAX_RUNS", "9")
    monkeypatch.setenv("MEDTRANSFER_TOKEN", "secret")
    ray.submit(request(tiny_study, "b" * 12).model_copy(update={"threads": None}))
    first, second = broker().commands
    assert first["run"] == "a" * 12
    assert first["options"] == {"num_cpus": 2, "num_gpus": 0}  # a node's memory is not known
    assert second["options"]["num_cpus"] == 4
    variables = second["variables"]
    assert (variables["OMP_NUM_THREADS"], variables["MEDTRANSFER_MAX_RUNS"]) == ("4", "9")
    assert "secret" not in variables.values()
    assert (folder.run("a" * 12).path / "run.json").is_file()


def test_no_more_tasks_are_given_than_asked_for(
    ray: RayEngine, folder: StudyFolder, tiny_study: Study
) -> None:
    second = request(tiny_study, "b" * 12)
    assert ray.has_room(second)
    one = RayEngine(folder.path, HEAD, at_once=1)
    assert one.slots == 1
    assert one.has_room(second)
    one.submit(request(tiny_study, "a" * 12))
    assert not one.has_room(second)
    broker().end("a", 2)
    (folder.run("a" * 12).path / "done").write_text("{}")
    one.poll()
    assert one.has_room(second)


def test_the_folder_tells_how_a_run_ended(ray: RayEngine, folder: StudyFolder) -> None:
    broker().end("a", 0)
    assert ray.poll() is None  # a network disk shows the file later
    (folder.run("a" * 12).path / "done").write_text("{}")
    assert ray.poll() == RunMessage("a" * 12, Finished("done"))


def test_a_run_that_failed_has_its_own_reason(ray: RayEngine, folder: StudyFolder) -> None:
    folder.run("a" * 12).fail("failed", "the weights are damaged")
    broker().end("a", 2)
    assert ray.poll() == RunMessage("a" * 12, Finished("failed", "the weights are damaged"))


def test_the_error_of_a_run_is_waited_for_on_a_slow_disk(
    ray: RayEngine, folder: StudyFolder
) -> None:
    broker().end("a", 2)
    assert ray.poll() is None
    folder.run("a" * 12).fail("diverged", "the loss is no number")
    assert ray.poll() == RunMessage("a" * 12, Finished("diverged", "the loss is no number"))


def test_a_command_without_a_result_is_told_with_its_last_words(
    ray: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SETTLE_SECONDS", 0.0)
    broker().end("a", 2, "The disk is full.")
    lost = ray.poll()
    assert isinstance(lost, RunLost)
    assert lost.reason == "its command ended without a result. The disk is full"


def test_a_run_that_a_node_stopped_is_resumed_and_not_forever(
    ray: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_STARTS", 3)
    for _ in range(2):
        broker().end("a", 75)
        assert ray.poll() is None
    assert [command["run"] for command in broker().commands] == ["a" * 12] * 3
    broker().end("a", 75)
    lost = ray.poll()
    assert isinstance(lost, RunLost)
    assert (lost.reason, lost.was_stopped) == ("it was stopped 3 times", False)
    assert "`ray status`" in lost.advice


def test_stopping_asks_the_tasks_and_waits_for_their_state(ray: RayEngine) -> None:
    ray.stop()
    assert broker().commands[-1] == {"stop": True}
    broker().end("a", 75)
    lost = ray.poll()
    assert isinstance(lost, RunLost)
    assert lost.was_stopped
    ray.close()
    assert broker().seconds == module.STOP_SECONDS


def test_a_lost_cluster_is_entered_again_with_what_was_not_finished(
    ray: RayEngine, folder: StudyFolder, tiny_study: Study
) -> None:
    ray.submit(request(tiny_study, "b" * 12).model_copy(update={"threads": 1}))
    (folder.run("b" * 12).path / "done").write_text("{}")
    broker().end("b", 0)
    assert ray.poll() == RunMessage("b" * 12, Finished("done"))
    broker().events.append(None)
    FakeConnection.refusals = 1
    assert [ray.poll() for _ in range(3)] == [None] * 3
    assert len(FakeConnection.made) == 2
    assert [command["run"] for command in broker().commands] == ["a" * 12]


def test_a_cluster_that_stays_lost_is_given_up_in_words(
    ray: RayEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 3)
    broker().events.append(None)
    FakeConnection.refusals = 9
    assert [ray.poll() for _ in range(3)] == [None] * 3
    with pytest.raises(StudyError, match=r"could not be entered again \(3 attempts\)\. No Ray"):
        ray.poll()
    assert FakeConnection.refusals == 6


def test_a_cluster_that_is_lost_each_time_it_was_entered_is_given_up(
    ray: RayEngine, folder: StudyFolder, tiny_study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ENTRIES", 2)
    ray.submit(request(tiny_study, "b" * 12))

    def lose() -> None:
        broker().events.append(None)
        assert ray.poll() is None

    for _ in range(2):
        lose()
        assert ray.poll() is None
    broker().end("b", 0)
    (folder.run("b" * 12).path / "done").write_text("{}")
    assert ray.poll() is not None  # the count begins anew
    for _ in range(2):
        lose()
        assert ray.poll() is None
    lose()
    with pytest.raises(StudyError, match="lost again after it was entered 2 times without the end"):
        ray.poll()


def test_a_refusal_that_does_not_pass_is_not_tried_again(ray: RayEngine) -> None:
    broker().events.append(None)
    FakeConnection.refusals = 9
    FakeConnection.refusal = ClusterRefusedError("It refuses the token.")
    assert ray.poll() is None
    with pytest.raises(StudyError, match=r"\(1 attempt\)\. It refuses the token\. Finished runs"):
        ray.poll()


def test_nodes_that_are_not_back_yet_are_waited_for_and_runs_keep_their_threads(
    ray: RayEngine, tiny_study: Study
) -> None:
    ray.submit(request(tiny_study, "b" * 12).model_copy(update={"threads": None}))
    for nodes in ((RayNode(1, cpus=0),), (RayNode(1, cpus=2),), (RayNode(1, cpus=64),)):
        FakeConnection.nodes = nodes
        broker().events.append(None)
        assert [ray.poll() for _ in range(2)] == [None] * 2
    few, many = FakeConnection.made[2:]
    assert FakeConnection.made[1].commands == []
    for made, cores in ((few, 2), (many, 4)):
        _, second = made.commands
        assert second["options"]["num_cpus"] == cores
        assert second["variables"]["OMP_NUM_THREADS"] == "4"


def test_stopping_while_the_cluster_is_entered_again_reaches_the_tasks(ray: RayEngine) -> None:
    broker().events.append(None)
    FakeConnection.stopped_by_entry = ray
    assert [ray.poll() for _ in range(2)] == [None] * 2
    assert broker().commands[-1] == {"stop": True}


def test_a_run_of_a_lost_cluster_is_stopped_at_once(ray: RayEngine) -> None:
    broker().events.append(None)
    assert ray.poll() is None
    ray.stop()
    lost = ray.poll()
    assert isinstance(lost, RunLost)
    assert lost.was_stopped


def test_a_worker_that_dies_again_and_again_takes_its_run_with_it(ray: RayEngine) -> None:
    reason = lost_reason("WorkerCrashedError")
    event = {"event": "lost", "run": "a" * 12, "reason": reason, "is_memory": False}
    broker().events.append(event)
    lost = ray.poll()
    assert isinstance(lost, RunLost)
    assert "`ray status`" in lost.advice
    assert (lost.reason, lost.was_stopped) == ("its Ray worker or node died 6 times", False)


def test_a_smaller_batch_is_advised_where_memory_ran_out(ray: RayEngine) -> None:
    reason = lost_reason("OutOfMemoryError")
    event = {"event": "lost", "run": "a" * 12, "reason": reason, "is_memory": True}
    broker().events.append(event)
    lost = ray.poll()
    assert isinstance(lost, RunLost)
    assert "micro_batch" in lost.advice


def test_a_node_that_joined_with_other_versions_ends_the_study_in_words(ray: RayEngine) -> None:
    broker().end("a", 2)
    event = broker().events[0]
    assert event is not None
    event["is_foreign"] = True
    with pytest.raises(StudyError, match="A node that joined the Ray cluster has other versions"):
        ray.poll()


def test_versions_that_differ_are_named_with_the_number_of_the_node() -> None:
    here = versions_here()
    assert version_faults(2, here, here) == []
    assert version_faults(2, None, here) == [
        "node 2 has no medtransfer, or one that cannot use Ray"
    ]
    there = here | {"torch": "1.0"}
    del there["medtransfer"]
    assert version_faults(2, there, here) == [
        f"node 2 has torch 1.0, and this machine {here['torch']}",
        f"node 2 has medtransfer missing, and this machine {here['medtransfer']}",
    ]


def test_ray_asks_for_a_token_and_reports_nothing() -> None:
    theirs = {"RAY_ADDRESS": "elsewhere:1", "RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": "known"}
    joined = ray_variables(theirs, is_private=False)
    assert (joined["RAY_AUTH_MODE"], joined["RAY_AUTH_TOKEN"]) == ("token", "known")
    assert joined["RAY_USAGE_STATS_ENABLED"] == "0"
    assert "RAY_ADDRESS" not in joined
    private = [ray_variables(theirs, is_private=True)["RAY_AUTH_TOKEN"] for _ in range(2)]
    assert len({"known", *private}) == 3  # each has one of its own


def test_a_cluster_without_a_token_is_not_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    with pytest.raises(ConfigError, match="There is no token .* `ray get-auth-token --generate`"):
        require_reachable(HEAD.address, tmp_path)


def test_a_head_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "known")
    with pytest.raises(StudyError, match=r"No Ray cluster can be entered at 127.0.0.1:1\. Check"):
        require_reachable(HEAD.address)
