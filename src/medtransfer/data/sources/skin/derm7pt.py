"""Derm7pt: lesions of an atlas, each photographed twice, with the seven-point checklist."""

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.joins import KEY, coverage, join_tables, locate
from medtransfer.data.sources.skin import skin
from medtransfer.data.sources.source import Download, ImportedSource, Join, Source, Table, Target
from medtransfer.errors import plural

NEVI = (
    "clark nevus",
    "reed or spitz nevus",
    "dermal nevus",
    "blue nevus",
    "congenital nevus",
    "combined nevus",
    "recurrent nevus",
)
MELANOMAS = (
    "melanoma",
    "melanoma (in situ)",
    "melanoma (less than 0.76 mm)",
    "melanoma (0.76 to 1.5 mm)",
    "melanoma (more than 1.5 mm)",
    "melanoma metastasis",
)
CLASSES = {
    **dict.fromkeys(MELANOMAS, "MEL"),
    **dict.fromkeys(NEVI, "NV"),
    "basal cell carcinoma": "BCC",
    "seborrheic keratosis": "BKL",
    "dermatofibroma": "DF",
    "vascular lesion": "VASC",
}
WITHOUT = ("lentigo", "melanosis", "miscellaneous")
"""Diagnoses that say too little for a shared class."""
MALIGNANT = {
    **dict.fromkeys((*CLASSES, "lentigo", "melanosis"), "0"),
    **dict.fromkeys((*MELANOMAS, "basal cell carcinoma"), "1"),
}
KINDS = {"clinic": "clinical", "derm": "dermoscopic"}
"""Columns with an image file → the view that is written."""
PARTS = {"train": "train", "valid": "tune", "test": "test"}
COLUMNS = ("case_num", "diagnosis", "location", "sex", *KINDS)


def read(download: Download) -> ImportedSource:
    """Both images of each case, with the official split."""
    table = download.tables["cases"]
    rows, joins, notes = _with_split(table, download)
    case = pl.col("case_num")
    rows = rows.with_columns(
        cells.sex("sex"),
        skin.body_site("location"),
        skin.malignant(MALIGNANT),
        case_id=case,
        patient_id=case,
    )
    beside = [name for name in rows.columns if name not in KINDS]
    rows = rows.unpivot(list(KINDS), index=beside, variable_name="kind", value_name=KEY)
    rows = rows.with_columns(
        view=pl.col("kind").replace(KINDS),
        image_id=pl.concat_str("case_num", pl.col("kind"), separator="-"),
    )
    rows, join = locate(rows, download, r"([^/]+/[^/]+)$", "images of the table")
    more = "It has no patient ids: each case is taken for a patient."
    return ImportedSource(rows, (join, *joins), (), (*coverage(join), more, *notes))


def _with_split(
    table: pl.DataFrame, download: Download
) -> tuple[pl.DataFrame, list[Join], list[str]]:
    """The split by the official lists, which hold positions from 0 in the order of case numbers."""
    lists = {name: download.tables.get(name) for name in PARTS}
    there = {name: part for name, part in lists.items() if part is not None}
    if download.left_out:
        note = "Rows are left out, and the official lists count all: no official split."
        return table, [], [note]
    if len(there) < len(PARTS):
        missing = ", ".join(f"{name} list" for name in PARTS if name not in there)
        return table, [], [f"The official {missing} is not there: no official split."]
    parts = pl.concat(
        part.select(
            _place=pl.col("indexes").cast(pl.Int64, strict=False), split=pl.lit(PARTS[name])
        )
        for name, part in there.items()
    )
    faults = ["'indexes' of the official lists is no whole number"] * (
        parts["_place"].null_count() > 0
    )
    twice = parts.filter(pl.col("_place").is_duplicated())["_place"].n_unique()
    faults += [f"{plural(twice, 'case')} in two places of the official lists"] if twice else []
    download.refuse(faults)
    number = pl.col("case_num").cast(pl.Int64)
    placed = table.with_columns(_place=number.rank("ordinal").cast(pl.Int64) - 1)
    rows, join = join_tables(placed, parts, "_place", ("cases", "entries of the official lists"))
    return rows.drop("_place"), [join], []


SOURCE = Source(
    name="derm7pt",
    title="Derm7pt",
    domain="skin",
    read=read,
    tables=(
        Table(
            "cases",
            ("meta.csv",),
            COLUMNS,
            ("case_num",),
            rules=(
                odd_rows.one_of("diagnosis", (*CLASSES, *WITHOUT)),
                odd_rows.where(
                    pl.col("case_num").cast(pl.Int64, strict=False).is_null(),
                    ("case_num",),
                    "'case_num' is no whole number",
                ),
            ),
            holds="diagnoses, image files",
        ),
        *(
            Table(
                name,
                (f"{name}_indexes.csv",),
                ("indexes",),
                needed=False,
                holds=f"official {name} list",
            )
            for name in PARTS
        ),
    ),
    targets=(
        Target(
            "malignant", "melanoma or basal cell carcinoma; `miscellaneous` is empty", "malignant"
        ),
    ),
    access="registration",
    licence="Research use; see its page",
    facts_from="columns and tables: README.md and derm7pt/dataset.py of "
    "github.com/jeremykawahara/derm7pt",
    url="https://derm.cs.sfu.ca",
    citation="Kawahara et al., Seven-Point Checklist and Skin Lesion Classification Using "
    "Multitask Multimodal Neural Nets, IEEE Journal of Biomedical and Health Informatics 2019",
    images=2_013,
    layout=(
        "meta/meta.csv, meta/train_indexes.csv and the other two lists",
        "images/NEL/Nel026.jpg",
    ),
    splits="`train_indexes.csv` is train, `valid_indexes.csv` is tune, `test_indexes.csv` is test; "
    "they count cases from 0.",
    attributes={"sex": cells.SEX["sex"], **skin.BODY_SITE},
    confounders=(
        "Its table names 2,022 images; nine files are of two cases.",
        "Each case has a clinical and a dermoscopic image: `--view dermoscopic` keeps one kind.",
        "It is an atlas for teaching: typical and rare lesions, not a clinic's.",
        "The checklist, its score and the management follow from the diagnosis: left out.",
    ),
    class_column=skin.CLASS,
    classes=CLASSES,
)
