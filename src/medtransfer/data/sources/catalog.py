"""The sources that there are. A new one is one file and one entry here."""

from collections.abc import Iterable

from medtransfer.data.sources.archive import dicom_export
from medtransfer.data.sources.archive.web import dicomweb
from medtransfer.data.sources.breast import (
    busi,
    cbis_ddsm,
    cdd_cesm,
    cmmd,
    embed,
    inbreast,
    mias,
    rsna_mammo_2022,
    vindr_mammo,
)
from medtransfer.data.sources.breast.screening import csaw_cc, nlbs
from medtransfer.data.sources.chest import (
    brax,
    chexpert,
    cxr_lt,
    kermany_pneumonia,
    mimic_cxr,
    nih_chestxray14,
    nlm_tuberculosis,
    openi,
    padchest,
    rsna_pneumonia,
    vindr_cxr,
    vindr_pcxr,
)
from medtransfer.data.sources.generic import any_csv, image_folder, medmnist
from medtransfer.data.sources.pathology import camelyon17
from medtransfer.data.sources.retina import (
    aptos2019,
    brset,
    eyepacs,
    messidor2,
)
from medtransfer.data.sources.skin import (
    ddi,
    derm7pt,
    fitzpatrick17k,
    ham10000,
    isic2019,
    isic2020,
    isic2024,
    pad_ufes_20,
    scin,
)
from medtransfer.data.sources.skin.clinics import bcn20000, derm12345, midas
from medtransfer.data.sources.source import Overlap, Source
from medtransfer.errors import ConfigError, suggestion

MODULES = (
    chexpert,
    mimic_cxr,
    cxr_lt,
    nih_chestxray14,
    padchest,
    vindr_cxr,
    vindr_pcxr,
    rsna_pneumonia,
    brax,
    openi,
    nlm_tuberculosis,
    kermany_pneumonia,
    ham10000,
    isic2019,
    isic2020,
    isic2024,
    pad_ufes_20,
    fitzpatrick17k,
    ddi,
    derm7pt,
    bcn20000,
    derm12345,
    midas,
    scin,
    cbis_ddsm,
    rsna_mammo_2022,
    vindr_mammo,
    embed,
    mias,
    inbreast,
    cmmd,
    cdd_cesm,
    csaw_cc,
    nlbs,
    busi,
    aptos2019,
    eyepacs,
    messidor2,
    brset,
    camelyon17,
    medmnist,
    image_folder,
    any_csv,
    dicom_export,
    dicomweb,
)
"""Every source, in the order in which they are listed."""
SOURCES: dict[str, Source] = {module.SOURCE.name: module.SOURCE for module in MODULES}

OVERLAPS: tuple[Overlap, ...] = tuple(one for source in SOURCES.values() for one in source.overlaps)
"""Every two sets that are known to have images in common."""


def overlaps_of(source: Source) -> list[Overlap]:
    """Those that a source takes part in, whichever source states them."""
    return [overlap for overlap in OVERLAPS if {overlap.one, overlap.other} & set(source.known_as)]


def label_tellers() -> frozenset[str]:
    """Columns of any source that hold the answer: never groups to report by."""
    columns = ((*source.tells_label, source.class_column) for source in SOURCES.values())
    return frozenset(name for names in columns for name in names if name)


def terms_of(cohorts: Iterable[str]) -> list[str]:
    """Sentences on what the licences of named sets forbid to release, by the names of cohorts."""
    names = [name.lower() for name in cohorts]
    return [
        f"{source.title}: {source.terms}"
        for source in SOURCES.values()
        if source.terms and any(source.name in name for name in names)
    ]


def find_source(name: str) -> Source:
    """A source by its name.

    Raises:
        ConfigError: There is none of that name.
    """
    if name in SOURCES:
        return SOURCES[name]
    hint = suggestion(name.lower(), SOURCES)
    raise ConfigError(
        f"Source '{name}' does not exist. {hint} `medtransfer sources` lists all.".replace(
            "  ", " "
        )
    )
