"""VinDr-Mammo: exams of four views from two hospitals in Hanoi, read by two radiologists."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.breast import mammography
from medtransfer.data.sources.breast.mammography import EXAM
from medtransfer.data.sources.joins import KEY, coverage, join_tables, locate
from medtransfer.data.sources.source import Download, ImportedSource, Join, Source, Table, Target

SPLITS = {"training": "train", "test": "test"}
BIRADS = {f"BI-RADS {number}": str(number) for number in range(6)}
DENSITIES = {f"DENSITY {name}": name for name in ("A", "B", "C", "D")}
NONE = "No Finding"
FINDINGS = (
    "Mass",
    "Suspicious Calcification",
    "Asymmetry",
    "Focal Asymmetry",
    "Global Asymmetry",
    "Architectural Distortion",
    "Skin Thickening",
    "Skin Retraction",
    "Nipple Retraction",
    "Suspicious Lymph Node",
)
IMAGES, BOXES = "breast-level_annotations.csv", "finding_annotations.csv"
MACHINE = {"manufacturer": "Manufacturer", "model": "Manufacturer's Model Name"}
COLUMNS = (
    "study_id",
    "image_id",
    "laterality",
    "view_position",
    "breast_birads",
    "breast_density",
    "split",
)
NOTE = "There is no patient id: each exam counts as a patient of its own."


def read(download: Download) -> ImportedSource:
    """Rows of the breast-level table with their files, and the findings marked on each image."""
    rows = (
        download.tables["images"]
        .with_columns(
            cells.renamed("breast_birads", BIRADS, "birads"),
            cells.renamed("breast_density", DENSITIES, "density"),
            cells.renamed("split", SPLITS, "split"),
            pl.col("view_position").alias("view"),
            pl.col("study_id").alias("patient_id"),
            pl.col("study_id").alias(EXAM),
            pl.col("image_id").alias(KEY),
        )
        .with_columns(mammography.high("birads"), mammography.dense())
    )
    rows, joins = _with_findings(rows, download)
    rows, more, ages = _with_metadata(rows, download)
    rows, join = locate(rows, download, r"(?:^|[/_])([^/_]+)\.(?:dicom|dcm|png|jpe?g)$")
    targets = [t.name for t in SOURCE.targets if t.name in rows.columns]
    rows = mammography.with_cases(rows, targets, download.options["case"])
    return ImportedSource(rows, (join, *joins, *more), (), (*coverage(join), NOTE, *ages))


def _plain(column: str) -> pl.Expr:
    """A Python list of texts without its brackets and quotes."""
    return pl.col(column).str.replace_all(r"""[\[\]'"]""", "")


def _with_findings(rows: pl.DataFrame, download: Download) -> tuple[pl.DataFrame, list[Join]]:
    """A column per finding: whether a box of it is on the image; empty if nothing is said of it."""
    boxes = download.tables.get("findings")
    if boxes is None:
        return rows, []
    flags = cells.flags(
        boxes.select(_plain("finding_categories")).to_series(),
        ",",
        {name: name for name in FINDINGS},
    )
    flags = flags.with_columns(boxes["image_id"]).group_by("image_id").agg(pl.col(FINDINGS).max())
    rows, join = join_tables(rows, flags, "image_id", ("rows", "images with findings"))
    return rows, [join]


def _with_metadata(
    rows: pl.DataFrame, download: Download
) -> tuple[pl.DataFrame, list[Join], list[str]]:
    """Maker, model and age from the table of header entries, if it is there."""
    table = download.tables.get("metadata")
    if table is None:
        return rows, [], []
    wanted = {ours: theirs for ours, theirs in MACHINE.items() if theirs in table.columns}
    ages = ["Patient's Age"] if "Patient's Age" in table.columns else []
    named = table.select(
        pl.col("SOP Instance UID").alias("image_id"),
        *ages,
        *(pl.col(theirs).alias(ours) for ours, theirs in wanted.items()),
    )
    rows, join = join_tables(rows, named, "image_id", ("rows", "images of metadata.csv"))
    if not ages:
        return rows, [join], []
    # the header writes 000Y where the age was taken out
    rows, notes = cells.with_age(rows, pl.col(ages[0]), zero_is_missing=True)
    return rows, [join], notes


SOURCE = Source(
    name="vindr-mammo",
    title="VinDr-Mammo",
    domain="breast",
    read=read,
    tables=(
        Table(
            "images",
            (IMAGES,),
            COLUMNS,
            ("image_id",),
            rules=(
                odd_rows.one_of("laterality", ("L", "R")),
                odd_rows.one_of("breast_birads", tuple(BIRADS)),
                odd_rows.one_of("breast_density", tuple(DENSITIES)),
                odd_rows.one_of("split", tuple(SPLITS)),
            ),
            unit=("study_id",),
            holds="one row per image; BI-RADS and density are of the breast",
        ),
        Table(
            "findings",
            (BOXES,),
            ("study_id", "image_id", "finding_categories"),
            rules=(
                odd_rows.one_of("finding_categories", (*FINDINGS, NONE), _plain, separator=","),
            ),
            unit=("study_id",),
            needed=False,
            holds="one row per box, with its findings",
        ),
        Table(
            "metadata",
            ("metadata.csv",),
            ("SOP Instance UID",),
            ("SOP Instance UID",),
            optional=(*MACHINE.values(), "Patient's Age"),
            needed=False,
            holds="age, maker and model, from the headers",
        ),
    ),
    targets=(
        mammography.HIGH,
        mammography.DENSE,
        *(Target(name, "a box of it was drawn by the radiologists") for name in FINDINGS),
    ),
    class_column="density",
    classes=mammography.DENSITY_CLASSES,
    access="agreement",
    licence="PhysioNet Restricted Health Data License 1.5.0",
    facts_from="columns and values: src/datasets/mammo/vindr.py of "
    "github.com/rajpurkarlab/BenchMD; access and licence: its page at PhysioNet",
    url="https://physionet.org/content/vindr-mammo/",
    citation="Nguyen et al., VinDr-Mammo: A large-scale benchmark dataset for computer-aided "
    "diagnosis in full-field digital mammography, Scientific Data 2023",
    images=20_000,
    layout=(
        "breast-level_annotations.csv, finding_annotations.csv, metadata.csv",
        "images/<study_id>/<image_id>.dicom",
    ),
    splits="`training` is train; it has no tuning part. It was stratified by exam.",
    tells_label=("birads",),
    attributes={
        **mammography.EXAMS,
        **mammography.DENSITY,
        **mammography.BIRADS,
        **cells.AGE_COLUMNS,
        "manufacturer": "Maker of the machine, from metadata.csv.",
        "model": "Its model, from metadata.csv.",
    },
    confounders=(
        "No outcome is known: BI-RADS 4 and 5 stand in for cancer, and are an opinion.",
        "Findings are of an image, BI-RADS and density of a breast.",
        "Images of the two hospitals are not told apart; makers may stand in for them.",
    ),
    options=(mammography.CASE,),
)
