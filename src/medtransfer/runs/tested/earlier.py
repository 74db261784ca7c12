"""Runs of earlier versions, whose ids held every row of the manifest.

Their folders keep their names. A folder is recognised by the id that the earlier version would give
the run; from then on ``tested.json`` in it holds the run's present id, so that it is found whatever
is tested later.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import polars as pl

from medtransfer.data.config import DataConfig
from medtransfer.errors import StudyError
from medtransfer.files import read_json
from medtransfer.integrity.run_seal import seal_run
from medtransfer.runs.config import Transfer, earlier_run_id
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.inputs import data_digest
from medtransfer.runs.tested.cases import PredictedCohort
from medtransfer.runs.tested.files import read_identity, write_tested
from medtransfer.tables.manifest import Manifest


@dataclass(frozen=True)
class EarlierData:
    """Rows that a study had when an earlier version planned it.

    Attributes:
        digest: Of them, from `data_digest`.
        cohorts: Their cohorts.
    """

    digest: str
    cohorts: frozenset[str]


@dataclass(frozen=True)
class FolderName:
    """Folder of a run.

    Attributes:
        name: Of the folder, by which plans, tables and reports name the run.
        earlier: Data of a folder of an earlier version that is not marked yet.
    """

    name: str
    earlier: EarlierData | None = None


class RunNames:
    """Folders of a study's runs: the run's id, or the name that an earlier version gave it."""

    def __init__(
        self,
        folder: StudyFolder | None,
        manifest: Manifest,
        facts: pl.DataFrame,
        data: DataConfig,
        digest: str,
    ) -> None:
        """Look at the folders that are there; nothing is written.

        Args:
            folder: Of the study; None where there is none yet.
            manifest: The images.
            facts: Digests of the images.
            data: Of the study.
            digest: Of all rows, from `data_digest`.
        """
        self._marked: dict[str, str] = {}
        self._unmarked: set[str] = set()
        self._earlier: tuple[EarlierData, ...] = ()
        for name in [] if folder is None else folder.run_ids():
            identity = None if folder is None else read_identity(folder.run(name))
            if identity is None:
                self._unmarked.add(name)
            else:
                self._marked[identity] = name
        if folder is not None and self._unmarked:
            now = frozenset(manifest.frame["cohort"].unique().to_list())
            rows = _rows_then(folder, manifest, facts, data)
            self._earlier = (EarlierData(digest, now), *rows)

    def find(self, run: Transfer, run_id: str, weights: str | None) -> FolderName:
        """The folder of a run.

        Args:
            run: Its configuration.
            run_id: Its present id.
            weights: SHA-256 of the weights file that it starts from; None for random weights.
        """
        if run_id in self._marked:
            return FolderName(self._marked[run_id])
        if run_id in self._unmarked:  # it was started, and killed before its end
            return FolderName(run_id)
        for earlier in self._earlier:
            for variant in _spellings(run, earlier.cohorts):
                name = earlier_run_id(variant, earlier.digest, weights)
                if name in self._unmarked:
                    return FolderName(name, earlier)
        return FolderName(run_id)


def _rows_then(
    folder: StudyFolder, manifest: Manifest, facts: pl.DataFrame, data: DataConfig
) -> Iterator[EarlierData]:
    """The rows of today's manifest that the study had, if no others were added to their cohorts."""
    try:
        record = cast("Mapping[str, Any]", read_json(folder.path / "data.json"))
        digest = str(record["digest"])
        cohorts = frozenset(str(row["cohort"]) for row in record["flow"])
    except (StudyError, KeyError, TypeError):
        return
    kept = manifest.frame["cohort"].is_in(list(cohorts))
    if kept.all():
        return
    then = Manifest(
        manifest.frame.filter(kept), manifest.path, manifest.root, embedded=manifest.embedded
    )
    if data_digest(then, facts.filter(kept), data) == digest:
        yield EarlierData(digest, cohorts)


def _spellings(run: Transfer, cohorts: frozenset[str]) -> Iterator[Transfer]:
    """A run, and the same run before its training cohorts had to be named."""
    yield run
    split = run.data.split
    if split.train_cohorts is not None and cohorts == frozenset(split.train_cohorts):
        unnamed = split.model_copy(update={"train_cohorts": None})
        yield run.model_copy(update={"data": run.data.model_copy(update={"split": unnamed})})


def mark_earlier_run(
    folder: StudyFolder, name: FolderName, run_id: str, cohorts: Sequence[PredictedCohort]
) -> None:
    """Write the present id of a run into a folder of an earlier version.

    Args:
        folder: Of the study; the caller holds its lease.
        name: From `RunNames.find`.
        run_id: The run's present id.
        cohorts: Test cohorts of the run, of which the folder's table has those of its time.
    """
    run = folder.run(name.name)
    if name.earlier is None or not run.path.is_dir():
        return
    write_tested(run, run_id, [c for c in cohorts if c.cohort in name.earlier.cohorts])
    if run.is_done():
        seal_run(run.path)
