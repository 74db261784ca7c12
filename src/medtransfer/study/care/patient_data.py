"""Data of one patient in a study: the rows of the manifest, and runs that were trained on them.

The id is looked for and never shown: no message, table or record of this module repeats it.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

from medtransfer.data.case_table import CaseTable
from medtransfer.data.config import DataConfig
from medtransfer.data.images.scan import scan_images
from medtransfer.data.splits import assign_splits
from medtransfer.errors import MedTransferError
from medtransfer.models.ladder import find_rung
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.inputs import read_run_manifest
from medtransfer.runs.messages import RunRequest
from medtransfer.runs.tested.cases import PredictedCases, PredictedCohort
from medtransfer.tables.manifest import Manifest

NO_FACTS = pl.DataFrame(schema={"image_id": pl.String, "sha256": pl.String})


@dataclass(frozen=True, eq=False)
class PatientData:
    """The rows of one patient in a manifest, and everything that is told from them.

    Attributes:
        patient: The id.
        manifest: All rows.
        facts: `image_id` and `sha256` of the images, as the study's folder remembers them.
    """

    patient: str
    manifest: Manifest
    facts: pl.DataFrame

    @classmethod
    def of(cls, folder: StudyFolder, data: DataConfig, patient: str) -> "PatientData":
        """Read the manifest of a study.

        Raises:
            TableError: It does not keep its contract.
        """
        has_images = folder.images.is_file()
        facts = pl.read_parquet(folder.images) if has_images else NO_FACTS
        manifest = read_run_manifest(data, images=has_images)
        return cls(patient, manifest, facts.select("image_id", "sha256"))

    @cached_property
    def rows(self) -> pl.DataFrame:
        """The patient's rows of the manifest."""
        return self.manifest.frame.filter(pl.col("patient_id") == self.patient)

    @cached_property
    def contents(self) -> set[str]:
        """SHA-256 of the patient's images, as far as they were ever read."""
        images = self.facts.join(self.rows, on="image_id", how="semi")
        return set(images["sha256"].drop_nulls().to_list())

    @cached_property
    def others(self) -> Manifest:
        """The manifest without the patient."""
        kept = self.manifest.frame.filter(pl.col("patient_id") != self.patient)
        return replace(self.manifest, frame=kept)

    def is_trained_on(self, request: RunRequest) -> bool:
        """True if a run was trained on the patient, or its weights selected with them."""
        data = request.run.data
        frame = assign_splits(self.manifest, data)
        table = CaseTable(frame, data)
        ids = frame["patient_id"].gather(table.first)
        used = table.training_rows(frame, data, request.run.seed)
        used |= (table.kinds["split"] == "tune").to_numpy()
        return bool((used & (ids == self.patient).to_numpy()).any())

    def changes_splits(self, data: DataConfig) -> bool:
        """True if other patients change their split once this one is not in the manifest."""
        before, after = assign_splits(self.manifest, data), assign_splits(self.others, data)
        kept = before.filter(pl.col("patient_id") != self.patient)["split"]
        return not kept.equals(after["split"])

    def cohorts_without(self, request: RunRequest) -> tuple[PredictedCohort, ...]:
        """Test cohorts of a run as they are planned once the patient is not in the manifest.

        Returns:
            Empty if the content of some images is not known.
        """
        data, others = request.run.data, self.others
        if find_rung(request.run.model.rung).reads_images:
            facts = others.frame.select("image_id").join(
                self.facts, on="image_id", how="left", maintain_order="left"
            )
            if facts["sha256"].null_count():
                return ()
        else:
            others = others.without_images()
            facts = scan_images(others, data.pixel_limit, others.path)
        return PredictedCases(assign_splits(others, data), facts, data).cohorts


def patient_data(
    folder: StudyFolder, data: DataConfig, patient: str
) -> PatientData | MedTransferError:
    """The patient's data, or the error for which the manifest cannot be read."""
    try:
        return PatientData.of(folder, data, patient)
    except MedTransferError as error:
        return error


def count_rows(path: object, patient: str) -> int:
    """Rows of a patient in a Parquet table with `patient_id`; 0 where it has no such column."""
    table = pl.scan_parquet(str(path), glob=False)
    if "patient_id" not in table.collect_schema():
        return 0
    rows = table.filter(pl.col("patient_id").cast(pl.String) == patient)
    return int(np.asarray(rows.select(pl.len()).collect().item()))
