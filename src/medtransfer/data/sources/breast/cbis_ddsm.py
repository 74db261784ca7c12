"""CBIS-DDSM: scanned films of four American hospitals, with proven findings marked on them."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.breast import mammography
from medtransfer.data.sources.breast.mammography import EXAM
from medtransfer.data.sources.joins import KEY, coverage, join_tables, locate
from medtransfer.data.sources.source import (
    PATH,
    Download,
    ImportedSource,
    Join,
    Source,
    Table,
    Target,
)
from medtransfer.errors import TableError, plural
from medtransfer.tables.schema import ROW

PATHOLOGY = {"MALIGNANT": "1", "BENIGN": "0", "BENIGN_WITHOUT_CALLBACK": "0"}
STUDY = r"^\s*((?:Mass|Calc)-(?:Training|Test)_(.+)_(LEFT|RIGHT)_(CC|MLO))/"
"""Start of the path of a film: its name, with the patient, the side and the view."""
SERIES = r"([^/]+)/[^/]+$"
"""The folder of a file, which is called as its series."""
FULL = "full mammogram images"
PARTS = {
    "mass-train": ("mass_case_description_train_set.csv", "train"),
    "mass-test": ("mass_case_description_test_set.csv", "test"),
    "calc-train": ("calc_case_description_train_set.csv", "train"),
    "calc-test": ("calc_case_description_test_set.csv", "test"),
}
COLUMNS = (
    "patient_id",
    "left or right breast",
    "image view",
    "abnormality type",
    "assessment",
    "pathology",
    "image file path",
)
DENSITIES = ("breast_density", "breast density")
"""Names of one column in the four tables."""
TARGETS = ("malignant", "birads_high", "dense")
NAMED = pl.concat_str(
    pl.col("patient_id"), pl.col("left or right breast"), pl.col("image view"), separator="_"
)
RULES = (
    odd_rows.one_of("pathology", tuple(PATHOLOGY)),
    odd_rows.one_of("left or right breast", ("LEFT", "RIGHT")),
    odd_rows.one_of("assessment", tuple("0123456"), mammography.whole),
    *(odd_rows.one_of(name, tuple("01234"), mammography.whole) for name in DENSITIES),
    odd_rows.where(
        NAMED.ne_missing(pl.col("image file path").str.extract(STUDY).str.replace(r"^[^_]+_", "")),
        COLUMNS,
        "'image file path' is not of the patient, side and view of its row (expected: "
        "Mass-Training_P_00001_LEFT_CC/…/…/000000.dcm)",
    ),
)


def read(download: Download) -> ImportedSource:
    """One row per film from one row per abnormality, of all tables that are there."""
    frames = [
        _described(table, file).with_columns(split=pl.lit(split))
        for name, (file, split) in PARTS.items()
        if (table := download.tables.get(name)) is not None
    ]
    if not frames:
        files = ", ".join(file for file, _ in PARTS.values())
        download.refuse([f"none of {files} is there"])
    rows, notes = _films(pl.concat(frames))
    rows, joins = _located(rows, download)
    rows = mammography.with_cases(rows, TARGETS, download.options["case"])
    return ImportedSource(rows, tuple(joins), (), (*coverage(joins[0]), *notes))


def _described(table: pl.DataFrame, file: str) -> pl.DataFrame:
    """A table's columns under one name each.

    Raises:
        TableError: It has no column for the density.
    """
    density = next((c for c in DENSITIES if c in table.columns), None)
    if density is None:
        raise TableError(f"{file} lacks column '{DENSITIES[0]}' (or '{DENSITIES[1]}').")
    table = table.select(*COLUMNS, ROW, mammography.whole(density).alias("breast density"))
    return table.with_columns(mammography.whole("assessment"))


def _films(findings: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Findings of one film put together: a film is malignant if any of them is."""
    path = pl.col("image file path")
    findings = findings.with_columns(
        path.str.extract(STUDY).alias("image_id"),
        path.str.extract(SERIES).alias("_series"),
        cells.renamed("pathology", PATHOLOGY, "malignant"),
        mammography.high("assessment"),
        cells.renamed("breast density", mammography.NUMBERED, "density"),
        cells.renamed("left or right breast", mammography.LATERALITY_WORDS, "laterality"),
    ).with_columns(mammography.dense())
    incomplete = int((findings["assessment"] == "0").sum())
    # the two kinds of tables may hold one film twice: both copies are of the same breast and view
    film = ("patient_id", "laterality", "image view")
    kinds = pl.col("abnormality type").unique().sort().str.join("+").over(film)
    findings = findings.with_columns(
        *(mammography.strongest(t).over(film) for t in TARGETS), kinds.alias("abnormality")
    )
    rows = findings.group_by("image_id").agg(
        pl.col(*film, "_series", "split", "density", *TARGETS).first(),
        pl.col("abnormality").first(),
        pl.col("assessment").max().alias("birads"),
    )
    rows = rows.sort("image_id").with_columns(
        pl.col("image view").alias("view"), pl.col("patient_id").alias(EXAM)
    )
    torn = pl.col("split").n_unique().over("patient_id") > 1
    patients = rows.filter(torn)["patient_id"].n_unique()
    rows = rows.with_columns(split=pl.when(torn).then(pl.lit("train")).otherwise("split"))
    notes: list[str] = []
    if patients:
        notes.append(
            f"{plural(patients, 'patient')} in both the training and the test tables: all of "
            "their films are train."
        )
    if incomplete:
        left_out = plural(incomplete, "finding")
        notes.append(f"{left_out} of assessment 0 (incomplete): no statement on birads_high.")
    return rows, notes


def _located(rows: pl.DataFrame, download: Download) -> tuple[pl.DataFrame, list[Join]]:
    """Films by the names of folders: TCIA's two layouts, or the JPEG copy with its table."""
    if (info := download.tables.get("dicom_info")) is not None:
        kind = pl.col("SeriesDescription")
        place = pl.col("image_path").str.extract(r"([^/]+/[^/]+)$")
        films = info.filter(kind.is_null() | (kind == FULL)).select(
            place.alias(KEY), place.str.extract(r"^([^/]+)/").alias("_series")
        )
        names = ("films", "whole images of dicom_info.csv")
        rows, join = join_tables(rows, films, "_series", names)
        rows, image_join = locate(rows, download, r"([^/]+/[^/]+)$", "films")
        return rows, [image_join, join]
    described = download.pictures[PATH].str.contains(FULL, literal=True).any()
    key = "image_id" if described else "_series"
    whole = rf"((?:Mass|Calc)-[^/]+)/(?:[^/]+/)*[^/]*{FULL}"
    pattern = whole if described else rf"(?:^|/){SERIES}"
    rows, image_join = locate(rows.with_columns(pl.col(key).alias(KEY)), download, pattern, "films")
    return rows, [image_join]


def _table(name: str, holds: str) -> Table:
    return Table(
        name,
        (PARTS[name][0],),
        COLUMNS,
        optional=DENSITIES,
        rules=RULES,
        unit=("patient_id",),
        needed=False,
        holds=holds,
    )


SOURCE = Source(
    name="cbis-ddsm",
    title="CBIS-DDSM",
    domain="breast",
    read=read,
    tables=(
        _table("mass-train", "masses of the training part, one row per abnormality"),
        _table("mass-test", "masses of the test part"),
        _table("calc-train", "calcifications of the training part"),
        _table("calc-test", "calcifications of the test part"),
        Table(
            "dicom_info",
            ("dicom_info.csv",),
            ("image_path", "SeriesDescription"),
            needed=False,
            holds="which JPEG file is a whole film, in the copy on Kaggle",
        ),
    ),
    targets=(
        Target(
            "malignant",
            "any marked abnormality is malignant by pathology; BENIGN_WITHOUT_CALLBACK is 0",
            "malignant",
        ),
        mammography.HIGH,
        mammography.DENSE,
    ),
    class_column="density",
    classes=mammography.DENSITY_CLASSES,
    licence="CC BY 3.0 or later, see its page",
    facts_from="columns and values: mass_case_description_train_set.csv in "
    "github.com/Slaysenfite/CBIS-DDSM-PNG; layouts: src/datasets/mammo/cbis.py of "
    "github.com/rajpurkarlab/BenchMD",
    url="https://www.cancerimagingarchive.net/collection/cbis-ddsm/",
    citation="Lee et al., A curated mammography data set for use in computer-aided detection and "
    "diagnosis research, Scientific Data 2017",
    images=3_103,
    patients=1_566,
    layout=(
        "mass_case_description_train_set.csv and the three other tables",
        "jpeg/<series>/1-172.jpg with csv/dicom_info.csv (the copy on Kaggle), or",
        "Mass-Training_P_00001_LEFT_CC/<study>/<series>/1-1.dcm",
    ),
    splits="Its train and test tables. A patient may be in one for a mass and in the other for "
    "a calcification: all films of such a patient are train, and it is counted.",
    tells_label=("birads",),
    attributes={
        **mammography.EXAMS,
        **mammography.DENSITY,
        **mammography.BIRADS,
        "abnormality": "mass, calcification, or calcification+mass: what was marked on the film.",
    },
    confounders=(
        "The PatientID in the DICOM headers is of a film, not of a patient; the tables' is used.",
        "Every film has a marked abnormality: there is no normal one.",
        "A film with a mass and a calcification is there twice, under two names.",
        "Scanned film of the 1990s; its scanners and hospitals differ in contrast and noise.",
    ),
    options=(mammography.CASE,),
)
