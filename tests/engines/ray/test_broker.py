"""The process that talks to Ray, beside a Ray that is a few functions: what it tells the engine."""

import io
import json
import os
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from medtransfer.engines.ray import broker as module
from medtransfer.engines.ray.broker import Broker, begin
from medtransfer.engines.ray.refusal import ClusterRefusedError
from medtransfer.engines.ray.versions import versions_here
from medtransfer.errors import StudyError

MINE = [{"NodeID": "mine", "Alive": True}]
GOOD: dict[str, Any] = {"versions": versions_here(), "probe": "mark", "auth": "token"}


class RayError(Exception):
    """Root of Ray's errors."""


class OutOfMemoryError(RayError):
    """A task took too much memory."""


class Ended(Exception):  # noqa: N818 — it stands for the end of the process
    """The process ended itself."""


class FakeRay(ModuleType):
    """A cluster with one node, which is ours."""

    def __init__(self) -> None:
        super().__init__("ray")
        self.exceptions = SimpleNamespace(RayError=RayError, TaskCancelledError=KeyError)
        self.nodes: Callable[[], list[dict[str, Any]]] = lambda: MINE

    def get_runtime_context(self) -> SimpleNamespace:
        return SimpleNamespace(get_node_id=lambda: "mine")

    def init(self, **_options: object) -> None:
        """Enter at once."""


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    made = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", made)
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.01)
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.0)
    monkeypatch.setattr(os, "_exit", _end)
    return made


def _end(code: int) -> None:
    raise Ended(code)


@pytest.fixture
def told(tmp_path: Path) -> Generator[tuple[int, Callable[[], list[dict[str, Any]]]]]:
    """Descriptor for the events of a broker, and what was written to it."""
    path = tmp_path / "events"
    output = os.open(path, os.O_WRONLY | os.O_CREAT)
    yield output, lambda: [json.loads(line) for line in path.read_text().splitlines()]
    os.close(output)


Told = tuple[int, Callable[[], list[dict[str, Any]]]]
CONFIG = {"address": "local", "cores": 1, "gpus": 0, "place": "p", "study": "s", "probe": "x"}


def test_a_look_that_fails_says_nothing_and_an_answer_without_our_node_ends_the_process(
    ray: FakeRay, told: Told
) -> None:
    errors = iter([RayError(), ConnectionError(), RuntimeError(), ValueError()])
    looks = list[str]()

    def nodes() -> list[dict[str, Any]]:
        looks.append("look")
        if (error := next(errors, None)) is not None:
            raise error
        return [{"NodeID": "other", "Alive": True}, {"NodeID": "mine", "Alive": False}]

    ray.nodes = nodes
    one = Broker(ray, "s", told[0])
    with pytest.raises(Ended):
        one._look()  # pyright: ignore[reportPrivateUsage] — it runs in a thread
    assert len(looks) == 5


def test_the_time_that_a_cluster_took_to_start_is_none_without_an_answer(
    ray: FakeRay, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOST_SECONDS", 0.05)
    monkeypatch.setattr(module, "WATCH_SECONDS", 9.0)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    one = Broker(ray, "s", told[0])
    time.sleep(0.06)
    one.serve()


def test_a_task_that_took_too_much_memory_is_told_as_such(
    ray: FakeRay, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    def get(reference: type[Exception]) -> None:
        raise reference

    monkeypatch.setattr(ray, "wait", lambda tasks, **_: (tasks, []), raising=False)
    monkeypatch.setattr(ray, "get", get, raising=False)
    one = Broker(ray, "s", told[0])
    for error in (OutOfMemoryError, RayError):
        one._tasks[error] = "a" * 12  # pyright: ignore[reportPrivateUsage]
        one._collect()  # pyright: ignore[reportPrivateUsage]
    assert [event["is_memory"] for event in told[1]()] == [True, False]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (RayError("no\nmore"), "RayError"),
        (ValueError("no"), "ValueError"),
        (OSError("no"), "OSError"),
    ],
)
def test_an_error_of_ray_is_told_by_its_kind_and_is_no_sentence_of_ours(
    ray: FakeRay, told: Told, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: str
) -> None:
    def refuse(**_options: object) -> None:
        raise error

    monkeypatch.setattr(ray, "init", refuse)
    assert begin(CONFIG, told[0]) is None
    assert told[1]() == [{"event": "failed", "kind": kind, "text": "no"}]


def test_a_bug_of_ours_keeps_its_traceback(
    ray: FakeRay, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "init", lambda: None)  # it takes no options: a TypeError
    with pytest.raises(TypeError):
        begin(CONFIG, told[0])
    assert told[1]() == []


def test_a_ray_that_cannot_be_imported_is_told(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert begin(CONFIG, told[0]) is None
    (event,) = told[1]()
    assert (event["event"], event["kind"]) == ("failed", "ModuleNotFoundError")


def test_a_cluster_that_listens_to_more_than_the_loopback_is_refused_with_what_to_do(
    ray: FakeRay, told: Told
) -> None:
    node = {"NodeID": "mine", "Alive": True, "NodeManagerAddress": "10.0.0.5", "Resources": {}}
    ray.nodes = lambda: [node]
    assert begin(CONFIG, told[0]) is None
    entered, refused = told[1]()
    assert (entered["event"], refused["is_final"]) == ("entered", True)
    assert "Give the command without --on ray" in refused["text"]


@pytest.mark.parametrize(
    ("answer", "kind", "said", "unsaid"),
    [
        (None, StudyError, "node 1 has not answered .*`ray status` lists", "same environment"),
        (GOOD | {"probe": ""}, StudyError, "does not see .*same path", "same environment"),
        (
            GOOD | {"versions": versions_here() | {"torch": "1"}},
            ClusterRefusedError,
            "node 1 has torch 1, .* same environment",
            "same path",
        ),
        (
            GOOD | {"versions": None},
            ClusterRefusedError,
            "node 1 has no medtransfer, or one that cannot use Ray",
            "same path",
        ),
        (GOOD | {"auth": ""}, ClusterRefusedError, "from anybody", "same environment"),
    ],
)
def test_a_node_is_refused_with_advice_for_what_it_lacks(
    answer: dict[str, Any] | None, kind: type[StudyError], said: str, unsaid: str
) -> None:
    with pytest.raises(StudyError, match=r"(?s)" + said) as refused:
        module._require_same([answer], "mark")  # pyright: ignore[reportPrivateUsage]
    assert refused.type is kind
    assert unsaid not in str(refused.value)


def test_the_facts_of_a_node_are_its_versions_and_the_probe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "probe").write_text("mark")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    facts = module._look_around(str(tmp_path / "probe"))  # pyright: ignore[reportPrivateUsage]
    assert GOOD.items() <= facts.items()
    monkeypatch.setitem(sys.modules, "medtransfer.engines.ray.versions", None)
    assert module._look_around("")["versions"] is None  # pyright: ignore[reportPrivateUsage]
