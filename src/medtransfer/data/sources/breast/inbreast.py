"""INbreast: full-field digital mammograms of one hospital in Porto, with BI-RADS."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.breast import mammography
from medtransfer.data.sources.breast.mammography import EXAM
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.source import PATH, Download, ImportedSource, Source, Table, Target
from medtransfer.errors import plural

FILE = "INbreast.csv"
BIRADS = ("1", "2", "3", "4", "4a", "4b", "4c", "5", "6")
COLUMNS = ("Laterality", "View", "Acquisition date", "File Name", "ACR", "Bi-Rads")
NAME = r"(?:^|/)(\d+)(?:_[^/]*)?\.[A-Za-z]+$"
PATIENT = r"(?:^|/)\d+_([^/_]+)_MG_[^/]*$"
"""Second token of a DICOM file's name, ``20586908_6c613a14b80a8591_MG_R_CC_ANON.dcm``."""


def _lower(column: str) -> pl.Expr:
    return pl.col(column).str.to_lowercase()


def read(download: Download) -> ImportedSource:
    """Rows of the table with their files, from whose names the patient is taken."""
    table = download.tables["images"].with_columns(
        mammography.whole("ACR"), pl.col("Bi-Rads").str.to_lowercase()
    )
    name = mammography.whole("File Name").str.replace(r"\.[A-Za-z]+$", "")
    rows = table.with_columns(
        name.alias(KEY),
        name.alias("image_id"),
        pl.col("Laterality").alias("laterality"),
        pl.col("View").alias("view"),
        pl.col("Bi-Rads").alias("birads"),
        mammography.high("Bi-Rads"),
        cells.renamed("ACR", mammography.NUMBERED, "density"),
    ).with_columns(mammography.dense())
    rows, join = locate(rows, download, NAME)
    rows = rows.with_columns(pl.col(PATH).str.extract(PATIENT).alias("patient_id"))
    nameless = rows["patient_id"].null_count()
    if nameless:
        notes = (
            f"{plural(nameless, 'image file')} whose name has no patient in it: the table's ids "
            "are removed, so keep the DICOM files' names (20586908_6c613a14b80a8591_MG_R_CC_ANON)"
        )
        download.refuse([notes])
    # exams are numbered: a date is not needed to tell them apart, and ids of cases hold their name
    date = pl.col("Acquisition date").fill_null("")
    number = date.rank("dense").over("patient_id").cast(pl.String)
    rows = rows.with_columns(pl.concat_str("patient_id", pl.lit("_"), number).alias(EXAM))
    rows = mammography.with_cases(rows, ("birads_high", "dense"), download.options["case"])
    return ImportedSource(rows, (join,), (), coverage(join))


SOURCE = Source(
    name="inbreast",
    title="INbreast",
    domain="breast",
    read=read,
    tables=(
        Table(
            "images",
            (FILE,),
            COLUMNS,
            ("File Name",),
            rules=(
                odd_rows.one_of("Laterality", ("L", "R")),
                odd_rows.one_of("ACR", tuple("1234"), mammography.whole),
                odd_rows.one_of("Bi-Rads", BIRADS, _lower),
            ),
            separator=";",
            holds="one row per image: side, view, density, BI-RADS",
        ),
    ),
    targets=(
        Target(
            mammography.HIGH.name,
            "BI-RADS 4 (4a, 4b, 4c), 5 or 6, as read; no pathology is in the table",
            mammography.HIGH.shared,
        ),
        mammography.DENSE,
    ),
    class_column="density",
    classes=mammography.DENSITY_CLASSES,
    access="registration",
    licence="for research, on request to its authors",
    facts_from="columns and values: INbreast.csv in "
    "github.com/wentaozhu/deep-mil-for-whole-mammogram-classification",
    url="https://doi.org/10.1016/j.acra.2011.09.014",
    citation="Moreira et al., INbreast: Toward a full-field digital mammographic database, "
    "Academic Radiology 2012",
    images=410,
    patients=115,
    layout=(
        "INbreast.csv (its cells are separated by semicolons)",
        "AllDICOMs/20586908_6c613a14b80a8591_MG_R_CC_ANON.dcm",
    ),
    splits="None.",
    tells_label=("birads",),
    attributes={**mammography.EXAMS, **mammography.DENSITY, **mammography.BIRADS},
    confounders=(
        "The table's patient and age are removed: the patient is in the names of the DICOM files.",
        "There is no pathology in the table: BI-RADS 4 to 6 stand in for cancer.",
        "ACR is blank for some images.",
        "A patient may have several exams.",
    ),
    options=(mammography.CASE,),
)
