"""Estimates of runs with their replicates, kept so that each run is measured once.

A study scores a run when it is trained, and needs the replicates again whenever tables are made.
"""

import contextlib
import hashlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import safetensors.numpy
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter
from safetensors import SafetensorError

from medtransfer.data.config import Task
from medtransfer.evaluation.kept.files import KeptFiles, column_parts
from medtransfer.evaluation.kept.records import EstimateRecord
from medtransfer.evaluation.scoring.config import EvaluationConfig
from medtransfer.evaluation.scoring.estimate import Estimates, MetricKey
from medtransfer.evaluation.scoring.measure import measure
from medtransfer.evaluation.scoring.score import Measure
from medtransfer.evaluation.scoring.test_set import TestSet
from medtransfer.metrics.kernels.sums import Floats

MAX_BYTES = 16 * 2**20
"""Largest file of a run; what is larger is measured again, so that a disk does not fill."""
LAYOUT = 2
"""Raised when the files are laid out otherwise."""


@dataclass(frozen=True)
class KeptEstimates:
    """Estimates of runs in a folder, each file named by what it was made from and by its content.

    A file that is missing, damaged or of other settings is made again; nothing depends on it.

    Attributes:
        folder: May be deleted at any time.
        version: Of the scoring; estimates of another are not read.
        used: Names of the files that were read or written.
    """

    folder: Path
    version: int
    used: set[str] = field(default_factory=set[str])

    def measuring(self, predictions: pl.DataFrame, attributes: pl.DataFrame, task: Task) -> Measure:
        """A `measure` of a run that takes the estimates that were kept, or keeps those it makes.

        Args:
            predictions: Rows of the run of the predictions table.
            attributes: `case_id` and the attributes to report by, from `cases.case_attributes`.
            task: How the targets relate to each other.
        """

        def find_or_measure(
            test_sets: Sequence[TestSet], config: EvaluationConfig
        ) -> tuple[list[Estimates], ...]:
            key = self.key(predictions, attributes, task, config)
            estimates = self.find(key)
            if estimates is None:
                estimates = measure(test_sets, config)
                self.keep(key, estimates)
            return estimates

        return find_or_measure

    def find(self, key: str) -> tuple[list[Estimates], ...] | None:
        """The estimates that were kept under a key; None if there are none that are whole."""
        for content in self._files.contents(key):
            with contextlib.suppress(ValueError, KeyError, SafetensorError):
                return _decoded(content)
        return None

    @cached_property
    def _files(self) -> KeptFiles:
        return KeptFiles(self.folder, self.used)

    def keep(self, key: str, estimates: tuple[list[Estimates], ...]) -> None:
        """Write estimates; without a word if they are large or cannot be written."""
        subgroups = itertools.chain.from_iterable(estimates)
        each = itertools.chain.from_iterable(by_key.values() for by_key in subgroups)
        numbers = (values for e in each for values in (e.values, e.left_out))
        nbytes = sum(values.nbytes for values in numbers if values is not None)
        if nbytes > MAX_BYTES:
            return
        self._files.write(key, _encoded(estimates))

    def drop_others(self) -> None:
        """Delete the files that were neither read nor written."""
        self._files.drop_others()

    def key(
        self,
        predictions: pl.DataFrame,
        attributes: pl.DataFrame,
        task: Task,
        config: EvaluationConfig,
    ) -> str:
        """Digest of all that the estimates of a run are made from."""
        settings = {
            "layout": LAYOUT,
            "version": self.version,
            "task": task,
            "config": config.model_dump(mode="json"),
        }
        hashed = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
        for part in itertools.chain.from_iterable(map(column_parts, predictions.get_columns())):
            hashed.update(part)
        hashed.update(self._attributes.of(predictions["case_id"], attributes))
        return hashed.hexdigest()[:32]

    @cached_property
    def _attributes(self) -> "_CaseAttributes":
        return _CaseAttributes()


class _CaseAttributes:
    """Attributes of the cases of a run as bytes; most runs of a study have the same cases."""

    def __init__(self) -> None:
        self._latest: tuple[pl.Series, pl.DataFrame, bytes] | None = None

    def of(self, case_ids: pl.Series, attributes: pl.DataFrame) -> bytes:
        """Bytes that tell the attributes of these cases from every other."""
        latest = self._latest
        if latest is not None and latest[1] is attributes and latest[0].equals(case_ids):
            return latest[2]
        cases = case_ids.to_frame().unique(maintain_order=True)
        joined = cases.join(attributes, on="case_id", how="left")
        content = b"".join(itertools.chain.from_iterable(map(column_parts, joined.get_columns())))
        self._latest = case_ids, attributes, content
        return content


_Row = tuple[MetricKey, EstimateRecord]
_ROWS = TypeAdapter(list[list[list[_Row]]], config=ConfigDict(ser_json_inf_nan="constants"))


def _encoded(estimates: tuple[list[Estimates], ...]) -> bytes:
    """Estimates as a file of safetensors."""
    arrays: list[Floats] = []

    def add(values: Floats) -> int:
        arrays.append(values)
        return len(arrays) - 1

    sets = [
        [
            [(key, EstimateRecord.of(estimate, add)) for key, estimate in of_subgroup.items()]
            for of_subgroup in of_set
        ]
        for of_set in estimates
    ]
    arrays_by_name = {
        "numbers": np.concatenate([*arrays, np.empty(0)]),
        "lengths": np.array([len(values) for values in arrays], dtype=np.int64),
        "rows": np.frombuffer(_ROWS.dump_json(sets), dtype=np.uint8),
    }
    return cast("bytes", cast("Any", safetensors.numpy).save(arrays_by_name))


def _decoded(content: bytes) -> tuple[list[Estimates], ...]:
    """Estimates of a file.

    Raises:
        ValueError, KeyError, SafetensorError: It was made by something else.
    """
    archive = cast("dict[str, NDArray[Any]]", cast("Any", safetensors.numpy).load(content))
    numbers, lengths = archive["numbers"], archive["lengths"]
    sets = _ROWS.validate_json(archive["rows"].tobytes())
    arrays = np.split(numbers, np.cumsum(lengths)[:-1]) if len(lengths) else []
    return tuple(
        [
            {key: record.estimate(arrays.__getitem__) for key, record in of_subgroup}
            for of_subgroup in of_set
        ]
        for of_set in sets
    )
