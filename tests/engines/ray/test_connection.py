"""The pipes to the process that talks to Ray: what keeps a cluster from being entered."""

from pathlib import Path
from typing import Any

import pytest

from medtransfer.engines.ray.address import RayAddress
from medtransfer.engines.ray.connection import Cluster, Connection
from medtransfer.engines.ray.refusal import ClusterRefusedError
from medtransfer.errors import StudyError

ENTERED = {"event": "entered"}


def failure(kind: str, text: str = "no") -> dict[str, Any]:
    return {"event": "failed", "kind": kind, "text": text}


@pytest.mark.parametrize(
    ("events", "kind", "said"),
    [
        (
            [None],
            StudyError,
            "No Ray cluster can be entered at h:1.* Ray ended without a message.$",
        ),
        ([ENTERED, None], StudyError, "^The Ray cluster was entered, but its nodes could not be"),
        ([failure("AuthenticationError")], ClusterRefusedError, "It refuses the token"),
        ([failure("ImportError")], ClusterRefusedError, "A package of Ray is missing here"),
        (
            [failure("RuntimeError", "Version mismatch: x")],
            ClusterRefusedError,
            "Ray says RuntimeError: Version mismatch: x$",
        ),
        ([failure("RpcError")], StudyError, "Ray says RpcError: no$"),
        (
            [ENTERED, {"event": "refused", "text": "No.", "is_final": True}],
            ClusterRefusedError,
            "^No.$",
        ),
        ([{"event": "refused", "text": "No.", "is_final": False}], StudyError, "^No.$"),
    ],
)
def test_what_keeps_a_cluster_from_being_entered_is_a_sentence_that_says_if_it_stays(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    events: list[dict[str, Any] | None],
    kind: type[StudyError],
    said: str,
) -> None:
    class Process:
        stdin = stdout = stderr = None

        def wait(self, timeout: float | None = None) -> None:
            assert timeout == 0

    def start(self: Connection) -> Process:
        for event in events:
            self._events.put(event)  # pyright: ignore[reportPrivateUsage]
        return Process()

    monkeypatch.setattr(Connection, "_start", start)
    with pytest.raises(StudyError, match=said) as refused:
        Connection(tmp_path, Cluster(RayAddress("node", "h", 1)))
    assert refused.type is kind
    assert list(tmp_path.iterdir()) == []
