"""Requests that are predicted together: whatever waits while a batch runs is the next batch."""

import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import polars as pl

from medtransfer.deploy.inference.model import BundleModel
from medtransfer.deploy.inference.sources import UNNAMED, CaseRequest, ImageRequest
from medtransfer.deploy.server.requests import RequestCase

MAX_BATCH = 64
"""Requests of a batch."""
LEFT_OUT = ("case_id", "patient_id", "cohort", "month", "device")
"""Columns of predictions that name no content of a request."""
Values = dict[str, bool | int | float | str | None]


@dataclass(frozen=True)
class CaseAnswer:
    """Answer to one request.

    Attributes:
        values: Columns of the prediction, as `predict` writes them; no score if no image could be
            used.
        refused: Position and reason of every image that could not be used.
        gaps: Clinical data that count as missing, with the reason; None where none are seen.
    """

    values: Values
    refused: tuple[tuple[int, str], ...]
    gaps: Mapping[str, str] | None = None

    @property
    def is_predicted(self) -> bool:
        """True if at least one image could be used."""
        return self.values.get("deferred") is not None


class UploadedCases:
    """Cases of files in memory."""

    def __init__(self, cases: Sequence[RequestCase]) -> None:
        """Keep the files.

        Args:
            cases: With the contents of their images.
        """
        self._uploads = cases
        self.notes: tuple[str, ...] = ()
        self.cases = tuple(
            CaseRequest(f"{number:06d}", UNNAMED, UNNAMED, len(case.images))
            for number, case in enumerate(cases)
        )

    def clinical_cells(self, cases: Sequence[int]) -> pl.DataFrame:
        """Clinical data of some cases as their clients wrote them; null where they did not."""
        names = dict.fromkeys(name for case in self._uploads for name in case.clinical)
        rows = [self._uploads[case].clinical for case in cases]
        return pl.DataFrame(
            {
                "case_id": [self.cases[case].case_id for case in cases],
                **{
                    name: pl.Series([row.get(name) for row in rows], dtype=pl.String)
                    for name in names
                },
            }
        )

    def images(self, cases: Sequence[int]) -> Iterator[ImageRequest]:
        """The images of some cases."""
        for case in cases:
            for place, content in enumerate(self._uploads[case].images):
                yield ImageRequest(case, place, str(place), None, lambda content=content: content)

    def stamp(self, case: int) -> Sequence[Any]:
        """Uploads are never resumed."""
        return [case]


class Batches:
    """Queue of requests in front of one thread that predicts."""

    def __init__(self, model: BundleModel, max_waiting: int) -> None:
        """Start the thread.

        Args:
            model: That predicts.
            max_waiting: Requests that may wait.
        """
        self._model = model
        self._waiting: queue.Queue[tuple[RequestCase, Future[CaseAnswer]] | None] = queue.Queue(
            max_waiting
        )
        self._thread = threading.Thread(target=self._work, name="predict", daemon=True)
        self._thread.start()

    def submit(self, case: RequestCase) -> "Future[CaseAnswer]":
        """Predict one case.

        Args:
            case: With the contents of its images.

        Raises:
            queue.Full: Too many requests wait.
        """
        answer: Future[CaseAnswer] = Future()
        self._waiting.put_nowait((case, answer))
        return answer

    def close(self) -> None:
        """End the thread after the requests that wait."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        is_open = True
        while is_open:
            taken = [self._waiting.get()]
            while len(taken) < MAX_BATCH and not self._waiting.empty():
                taken.append(self._waiting.get_nowait())
            is_open = all(item is not None for item in taken)
            batch = [item for item in taken if item is not None]
            wanted = [item for item in batch if item[1].set_running_or_notify_cancel()]
            if wanted:
                self._answer(wanted)

    def _answer(self, batch: Sequence[tuple[RequestCase, "Future[CaseAnswer]"]]) -> None:
        try:
            answers = predicted(self._model, [case for case, _ in batch])
        except Exception as error:  # noqa: BLE001 — the thread must live; each request is told
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            future.set_result(answer)


def predicted(model: BundleModel, cases: Sequence[RequestCase]) -> list[CaseAnswer]:
    """Answers to several requests, by one pass through the network.

    Args:
        model: That predicts.
        cases: With the contents of their images.
    """
    source = UploadedCases(cases)
    gaps: list[dict[str, str]] | list[None] = [None] * len(cases)
    if model.clinical is not None:
        gaps = model.clinical.gaps(model.clinical.cells(source, range(len(cases))))
    outcome = model.decide(source, model.score(source, range(len(cases))))
    refused: dict[str, list[tuple[int, str]]] = {}
    for case_id, image, reason in outcome.refused.iter_rows():
        refused.setdefault(case_id, []).append((int(image or 0), reason))
    rows = outcome.frame.sort("case_id").iter_rows(named=True)
    return [
        CaseAnswer(
            {name: value for name, value in row.items() if name not in LEFT_OUT},
            tuple(sorted(refused.get(row["case_id"], []))),
            of_case,
        )
        for row, of_case in zip(rows, gaps, strict=True)
    ]
