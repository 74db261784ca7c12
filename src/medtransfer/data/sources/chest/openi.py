"""Open-i (Indiana University): chest radiographs of two views, indexed by terms of MeSH."""

import re
from collections.abc import Mapping

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.joins import KEY, coverage, join_tables, locate
from medtransfer.data.sources.source import (
    Download,
    ImportedSource,
    Source,
    Table,
    Target,
    kept_text,
)
from medtransfer.errors import plural

TERMS: dict[str, str] = {
    "Pulmonary Atelectasis": "Atelectasis",
    "Consolidation": "Consolidation",
    "Infiltrate": "Infiltration",
    "Pneumothorax": "Pneumothorax",
    "Hydropneumothorax": "Pneumothorax",
    "Hemopneumothorax": "Pneumothorax",
    "Pulmonary Edema": "Edema",
    "Emphysema": "Emphysema",
    "Pulmonary Emphysema": "Emphysema",
    "Bullous Emphysema": "Emphysema",
    "Pulmonary Fibrosis": "Fibrosis",
    "Pleural Effusion": "Effusion",
    "Pneumonia": "Pneumonia",
    "Thickening/pleura": "Pleural_Thickening",
    "Cardiomegaly": "Cardiomegaly",
    "Nodule/lung": "Nodule",
    "Mass/lung": "Mass",
    "Hernia, Hiatal": "Hernia",
    "Hernia, Diaphragmatic": "Hernia",
    "Fractures, Bone": "Fracture",
    "Opacity/lung": "Lung Opacity",
    "Airspace Disease": "Lung Opacity",
    "Catheters, Indwelling": "Support Devices",
    "Tube, Inserted": "Support Devices",
    "Implanted Medical Device": "Support Devices",
    "Medical Device": "Support Devices",
    "normal": "No Finding",
}
"""Start of an entry such as ``Opacity/lung/base/left`` → the finding it is."""
FINDINGS = tuple(dict.fromkeys(TERMS.values()))
ANYWHERE = {"Opacity": "Lung Opacity", "Nodule": "Nodule", "Mass": "Mass"}
"""Terms that are a finding of the lung if they say so, and uncertain if not."""
UNREAD = "No Indexing"
"""Entry of a report that nobody indexed: it has no labels."""
VIEWS_BY_PROJECTION = {"Frontal": "Frontal", "Lateral": "L"}
NOTE = "There is no patient id: each report counts as a patient of its own."
ENDING = r"(?i)(?:\.dcm)?\.(?:png|jpe?g|dcm)$"


def read(download: Download) -> ImportedSource:
    """Rows of the projections with the terms of their report."""
    films = download.tables["projections"]
    reports = download.tables["reports"].select("uid", *_findings())
    rows, reported = join_tables(films, reports, "uid", ("films", "reports"), "inner")
    kept: tuple[str, ...] = ()
    if reported.left_only:
        kept = (kept_text(len(rows), len(films), "the film has a report"),)
    rows = rows.with_columns(
        pl.col("filename").str.replace(ENDING, "").alias(KEY),
        cells.renamed("projection", VIEWS_BY_PROJECTION, "view"),
        case_id=pl.col("uid"),
        patient_id=pl.col("uid"),
    )
    rows = rows.with_columns(image_id=pl.col(KEY))
    rows, join = locate(rows, download, r"([^/]+?)(?:\.dcm)?\.(?:png|jpe?g|dcm)$", "films")
    notes = [NOTE]
    if unread := rows.filter(pl.col("No Finding").is_null())["uid"].n_unique():
        notes.append(f"{plural(unread, 'report')} that nobody indexed: labels empty.")
    return ImportedSource(rows, (join, reported), kept, (*coverage(join), *notes))


def _entry(term: str) -> str:
    """Pattern of a cell with an entry that is a term, or begins with it."""
    return rf"(?i)(?:^|;)\s*{re.escape(term)}\s*(?:/|;|$)"


def _terms(meanings: Mapping[str, str], finding: str) -> list[str]:
    """The terms that stand for a finding."""
    return [term for term, meaning in meanings.items() if meaning == finding]


def _findings() -> list[pl.Expr]:
    """A column per finding: 1, -1 or 0 by the report's entries; null where nobody indexed it."""
    cell = pl.col("MeSH")
    indexed = cell.is_not_null() & ~cell.str.contains(_entry(UNREAD))
    columns: list[pl.Expr] = []
    for finding in FINDINGS:
        stated = [cell.str.contains(_entry(term)) for term in _terms(TERMS, finding)]
        placeless = [cell.str.contains(_entry(term)) for term in _terms(ANYWHERE, finding)]
        mark = pl.when(pl.any_horizontal(stated)).then(pl.lit("1"))
        if placeless:
            mark = mark.when(pl.any_horizontal(placeless)).then(pl.lit("-1"))
        columns.append(pl.when(indexed).then(mark.otherwise(pl.lit("0"))).alias(finding))
    return columns


SOURCE = Source(
    name="open-i",
    title="Open-i (Indiana University chest X-rays)",
    domain="chest",
    read=read,
    tables=(
        Table(
            "projections",
            ("indiana_projections.csv",),
            ("uid", "filename", "projection"),
            ("filename",),
            rules=(odd_rows.one_of("projection", tuple(VIEWS_BY_PROJECTION)),),
            holds="one row per film: its report and its view",
        ),
        Table(
            "reports",
            ("indiana_reports.csv",),
            ("uid", "MeSH"),
            ("uid",),
            holds="one row per report: the terms that index it; its text is not read",
        ),
    ),
    targets=tuple(
        Target(
            name,
            "a term of the report's index says so (1), no term does (0), or one does that names no "
            "place in the lung (-1)"
            if name in ANYWHERE.values()
            else "a term of the report's index says so (1), or no term does (0)",
            name,
        )
        for name in FINDINGS
    ),
    licence="CC BY-NC-ND 4.0",
    facts_from="terms, licence and numbers: NLMCXR_reports.tgz of torchxrayvision 1.5.7, 3,955 "
    "reports of which 104 have no film; columns and values of the two tables: "
    "radharmony/harmonizer/openi_cxr of github.com/f10409/RadHarmony for the terms, and "
    "github.com/Yang-Heewon/medical_project for the tables",
    url="https://openi.nlm.nih.gov/faq",
    citation="Demner-Fushman et al., Preparing a collection of radiology examinations for "
    "distribution and retrieval, JAMIA 2016",
    images=7_470,
    layout=(
        "indiana_reports.csv, indiana_projections.csv (as passed on at Kaggle)",
        "images/images_normalized/1_IM-0001-4001.dcm.png",
    ),
    splits="None.",
    confounders=(
        "Terms index the report, not the film; what a report leaves out counts as absent.",
        "Labels are of the report: a finding seen from one side is also the label of the other.",
        "Reports come from several hospitals, which are not told apart.",
    ),
)
