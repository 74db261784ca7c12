"""Images of an archive that speaks DICOMweb: fetched into a folder, then read as any export."""

from collections.abc import Mapping

from medtransfer.data.sources.archive import dicom_export
from medtransfer.data.sources.archive.header_words import ATTRIBUTES
from medtransfer.data.sources.source import Fetched, Option, Progress, Source


def fetch(address: str, options: Mapping[str, str], progress: Progress) -> Fetched:
    """Fetch the images that the options ask for."""
    from medtransfer.data.sources.archive.web.fetch_images import (
        fetch_images,  # pydicom is slow to load
    )

    return fetch_images(address, options, progress)


SOURCE = Source(
    name="dicomweb",
    title="An archive over DICOMweb",
    domain="any",
    read=dicom_export.read,
    licence="yours",
    layout=("https://archive/dicom-web in place of a folder; files go to --option into=FOLDER",),
    splits="None; the study draws its own by patient.",
    attributes=ATTRIBUTES,
    confounders=dicom_export.CONFOUNDERS,
    options=(
        Option(
            "into", "Folder for the files; what it holds already is not fetched again.", "export"
        ),
        Option("from", "First day of the studies to ask for, as 2019-01-31."),
        Option("to", "Last day of the studies to ask for."),
        Option(
            "token",
            "File with the token that the archive wants; a name and a password stand in ~/.netrc.",
        ),
        *dicom_export.OPTIONS,
    ),
    fetch=fetch,
)
