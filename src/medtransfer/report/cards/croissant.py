"""Description of a study's manifest as Croissant 1.1 (MLCommons), without ids.

It tells what the table holds, column by column, so that others can ask for the data; it holds no
row of it. Ids, paths and columns that look like personal data are not described.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from medtransfer.errors import plural
from medtransfer.files import sha256
from medtransfer.report.checklists.about import About
from medtransfer.report.content import ReportData
from medtransfer.report.flow.counts import flow_texts
from medtransfer.report.identifiers import readable_rows
from medtransfer.study.config import Study
from medtransfer.tables.schema import ROW
from medtransfer.tables.values.personal_columns import personal_reason

SPECIFICATION = "http://mlcommons.org/croissant/1.1"
CONTEXT: dict[str, object] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "equivalentProperty": "cr:equivalentProperty",
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""Short names of the format."""
FORMATS = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".parquet": "application/x-parquet",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
ABOUT = {"data_source": "isBasedOn", "availability": "usageInfo", "ethics": "ethicsPolicy"}
"""Statements of people to the properties that hold them."""
DESCRIBED = {
    "cohort": "Source of the image: hospital, country, scanner fleet.",
    "split": "Use of the patient in the study.",
    "view": "Projection of the image.",
    "laterality": "Side of the body.",
}


def croissant_text(data: ReportData, study: Study, about: About) -> str:
    """Describe the manifest of a study as JSON-LD.

    Args:
        data: Of the study's report.
        study: Its settings. Where its manifest cannot be read any more, the columns that the
            settings name are described.
        about: Statements, from `read_about`.
    """
    manifest = study.data.manifest
    rows = readable_rows(manifest)
    suffix = manifest.suffix.lower()
    columns = list(_columns(study, rows))
    document: dict[str, object] = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": SPECIFICATION,
        "name": data.name,
        "description": _description(data, rows, columns),
        "datePublished": datetime.now(UTC).date().isoformat(),
        "isAccessibleForFree": False,
        **{name: about[field] for field, name in ABOUT.items() if field in about},
        **_creator(about),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "manifest",
                "name": "manifest",
                "description": "One row per image. Not public: ask its owner.",
                "contentUrl": f"manifest{suffix}",
                "encodingFormat": FORMATS.get(suffix, "application/octet-stream"),
                **_digest(manifest),
            }
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "images",
                "name": "images",
                "description": "Rows of the manifest, without ids and paths.",
                "field": [_field(name, kind, text) for name, kind, text in columns],
            }
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _columns(study: Study, rows: pl.DataFrame | None) -> Iterator[tuple[str, str, str]]:
    """Name, type and description of every column that is described."""
    headers = None if rows is None else [name for name in rows.columns if name != ROW]
    names: dict[str, tuple[str, str]] = {
        name: ("sc:Text", text)
        for name, text in DESCRIBED.items()
        if name == "cohort" or (headers is not None and name in headers)
    }
    data = study.data
    if data.class_column is not None:
        names[data.class_column] = ("sc:Text", f"Class: {', '.join(data.names)}.")
    else:
        for target in data.names:
            names[target] = ("sc:Integer", "Label: 1, 0, -1 for uncertain, or empty.")
    for attribute in data.attributes:
        names.setdefault(attribute, ("sc:Text", "Attribute that results are reported by."))
    for name, (kind, text) in names.items():
        is_there = headers is None or name in headers
        if is_there and not (rows is not None and name in rows and personal_reason(rows[name])):
            yield name, kind, text


def _field(name: str, kind: str, description: str) -> dict[str, object]:
    source = {"fileObject": {"@id": "manifest"}, "extract": {"column": name}}
    return {
        "@type": "cr:Field",
        "@id": f"images/{name}",
        "name": name,
        "description": description,
        "dataType": kind,
        "source": source,
    }


def _creator(about: About) -> dict[str, object]:
    """The responsible body, if somebody named it."""
    if "provider" not in about:
        return {}
    return {"creator": {"@type": "sc:Organization", "name": about["provider"]}}


def _digest(manifest: Path) -> dict[str, str]:
    """SHA-256 of the file, if it is still there."""
    return {"sha256": sha256(manifest)} if manifest.is_file() else {}


def _description(
    data: ReportData, rows: pl.DataFrame | None, columns: list[tuple[str, str, str]]
) -> str:
    """The data in a sentence, small counts hidden, and what is not described."""
    texts = flow_texts(data.counts, data.evaluation.minimum_group)
    total = ", ".join(f"{text} {measure}" for measure, text in texts.total.items())
    by_cohort = "; ".join(
        f"{name}: {', '.join(f'{text} {measure}' for measure, text in counts.items())}"
        for name, counts in texts.cohorts.items()
    )
    text = f"Labelled images of the study {data.name}: {total} ({by_cohort})."
    if rows is not None:
        others = len([name for name in rows.columns if name != ROW]) - len(columns)
        if others:
            text += f" {plural(others, 'column')} of ids, paths and others are not described."
    return text
