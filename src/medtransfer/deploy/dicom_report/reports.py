"""DICOM structured reports on predictions, a file a case."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from medtransfer.data.images.dicom.elements import DAMAGE
from medtransfer.data.images.pictures import Pixels
from medtransfer.deploy.inference.decisions import BundlePredictions
from medtransfer.deploy.inference.model import BundleModel
from medtransfer.deploy.inference.sources import CaseRule, CaseSource
from medtransfer.errors import ConfigError, ImageError, StudyError, plural
from medtransfer.files import make_folder, write_bytes

EXTRA = "pip install 'medtransfer[dicom-sr]'"
SERIES_NUMBER = 990
"""Of the series of reports: higher than those of images."""
MAX_STATEMENT = 64


@dataclass(frozen=True)
class DicomReports:
    """Reports that were written.

    Attributes:
        folder: Their folder.
        files: One a case; the name is the report's own SOP instance UID.
        without: Reason to the number of predicted cases without a report.
    """

    folder: Path
    files: tuple[Path, ...]
    without: dict[str, int]

    def sentence(self) -> str:
        """Count of reports, and of cases without one with the reasons."""
        parts = [f"{plural(len(self.files), 'DICOM report')} in {self.folder}"]
        parts += [
            f"{plural(count, 'case')} without one: an image {reason}"
            for reason, count in sorted(self.without.items())
        ]
        return "; ".join(parts) + "."


def write_dicom_reports(
    model: BundleModel,
    inputs: Any,
    outcome: BundlePredictions,
    out: Path | str,
    *,
    case: CaseRule = "auto",
    statement: str | None = None,
) -> DicomReports:
    """Write a structured report (TID 1500) on every predicted case whose images are DICOM files.

    The same bundle and images give a report of the same UID, so a second one takes the place of
    the first.

    Args:
        model: That predicted.
        inputs: What was predicted, as for `BundleModel.predict`.
        outcome: The predictions.
        out: Folder of the reports.
        case: As for `BundleModel.predict`.
        statement: What the reports may be used for; by default that they are not for diagnosis.

    Returns:
        The reports that were written, and the cases that have none.

    Raises:
        ConfigError: The extra `dicom-sr` is not installed, or the statement is too long.
        StudyError: `out` is a file, or the disk is full.
    """
    require_extra()
    out = Path(out)
    if out.is_file():
        raise StudyError(f'"{out}" is a file. Name a folder for the DICOM reports.')
    from medtransfer.deploy.dicom_report.content import NOT_FOR_DIAGNOSIS

    statement = NOT_FOR_DIAGNOSIS if statement is None else statement.strip()
    if not 0 < len(statement) <= MAX_STATEMENT:
        raise ConfigError(
            f"The statement of a DICOM report has {len(statement)} characters (allowed: 1 to "
            f"{MAX_STATEMENT})."
        )
    source = model.source(inputs, case)
    rows = {row["case_id"]: row for row in outcome.frame.iter_rows(named=True)}
    make_folder(out)
    files: list[Path] = []
    without: dict[str, int] = {}
    for place, request in enumerate(source.cases):
        row = rows.get(request.case_id)
        if row is None or row["deferred"] is None:
            continue  # it has no prediction, and is listed as such
        try:
            contents = list(_contents(source, place, outcome))
            uid, report = dicom_report(model, row, contents, statement=statement)
        except ImageError as error:
            without[str(error)] = without.get(str(error), 0) + 1
            continue
        files.append(out / f"{uid}.dcm")
        write_bytes(files[-1], report)
    return DicomReports(out, tuple(files), without)


def require_extra() -> None:
    """Check that highdicom is there.

    Raises:
        ConfigError: It is not.
    """
    try:
        import highdicom  # noqa: F401  # pyright: ignore[reportUnusedImport]: asked for, not used
    except ImportError as error:
        raise ConfigError(f"DICOM reports need an extra package: {EXTRA}") from error


def dicom_report(
    model: BundleModel, row: Mapping[str, Any], images: Sequence[bytes | Pixels], *, statement: str
) -> tuple[str, bytes]:
    """A report as a DICOM file.

    Args:
        model: That predicted.
        row: The case's row of predictions; its columns differ by bundle.
        images: Contents of the files of its images.
        statement: What the report may be used for.

    Returns:
        Its SOP instance UID, and the file's content.

    Raises:
        ImageError: An image is no DICOM file, lacks an identifier, or is of another study. The
            message is a reason.
    """
    from highdicom.sr import ComprehensiveSR
    from pydicom.uid import generate_uid

    from medtransfer.deploy.dicom_report.content import SOFTWARE, report_content
    from medtransfer.deploy.dicom_report.images import image_header, one_study

    headers = [image_header(content) for content in images]
    one_study(headers)
    digest = model.bundle.digest
    uids = sorted(str(header.SOPInstanceUID) for header in headers)
    uid = generate_uid(entropy_srcs=[digest, statement, *uids])
    stream = BytesIO()
    # pydicom's warnings and errors may quote values that it copies from the images
    with warnings.catch_warnings(action="ignore"):
        content = report_content(model.bundle, row, headers, statement)[0]
        try:
            report = ComprehensiveSR(
                evidence=headers,
                content=content,
                series_instance_uid=generate_uid(
                    entropy_srcs=[digest, str(headers[0].StudyInstanceUID)]
                ),
                series_number=SERIES_NUMBER,
                sop_instance_uid=uid,
                instance_number=1,
                manufacturer=SOFTWARE,
                is_complete=True,
                is_final=False,
                is_verified=False,
                series_description=statement,
                software_versions=f"medtransfer {model.facts.medtransfer}",
            )
            report.save_as(stream, enforce_file_format=True)
        except DAMAGE as error:
            raise ImageError("has a header that a report cannot repeat") from error
    return str(uid), stream.getvalue()


def _contents(
    source: CaseSource, place: int, outcome: BundlePredictions
) -> Iterator[bytes | Pixels]:
    """Contents of a case's images, without those that were refused."""
    case_id = source.cases[place].case_id
    refused = set(outcome.refused.filter(case_id=case_id)["image"])
    for image in source.images([place]):
        if image.name not in refused:
            try:
                yield image.read()
            except OSError as error:
                raise ImageError("cannot be read any more") from error
