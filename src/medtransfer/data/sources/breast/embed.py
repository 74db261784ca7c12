"""EMBED: exams of Emory University, findings with pathology, in women of several races."""

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from medtransfer.data.sources import cells, odd_rows
from medtransfer.data.sources.breast import mammography
from medtransfer.data.sources.breast.mammography import EXAM
from medtransfer.data.sources.joins import KEY, agreed, coverage, join_tables, locate
from medtransfer.data.sources.source import (
    PATH,
    Download,
    ImportedSource,
    Join,
    Option,
    Source,
    Table,
    Target,
    kept_text,
)
from medtransfer.errors import ConfigError, listed, plural

CLINICAL = "EMBED_OpenData_clinical.csv"
METADATA = "EMBED_OpenData_metadata.csv"
BREAST = ("empi_anon", "acc_anon", "laterality")
ASSESSED = {"A": "0", "N": "1", "B": "2", "P": "3", "S": "4", "M": "5", "K": "6"}
"""Letters of `asses` → BI-RADS."""
MALE = "5"
KINDS = {"2D": ("2D",), "C-view": ("cview", "C-view"), "both": ("2D", "cview", "C-view")}
IDS = {"empi_anon", "acc_anon"}
DATE = "study_date_anon"
BESIDE = ("bside", "desc")
SPOT, MAKER = "spot_mag", "Manufacturer"
FINDING = (*sorted(IDS), DATE, "asses", "side", "tissueden", "path_severity")
IMAGE = (*sorted(IDS), "anon_dicom_path", "FinalImageType", "ImageLateralityFinal", "ViewPosition")


def read(download: Download) -> ImportedSource:
    """Images of the metadata with what was found in their breast: by exam and by side."""
    findings = download.tables["clinical"].with_columns(
        mammography.whole(name) for name in (*sorted(IDS), "tissueden", "path_severity")
    )
    findings = findings.with_columns(
        pl.lit(None, pl.String).alias(name) for name in BESIDE if name not in findings.columns
    )
    images = download.tables["metadata"].with_columns(mammography.whole(c) for c in sorted(IDS))
    wanted, kept = _wanted(images, _exam_kinds(findings), download.options)
    found, notes = _by_side(findings)
    breasts = _breasts(found, _days(download), download.options["unproven"])
    rows = wanted.with_columns(
        pl.col("ImageLateralityFinal").alias("laterality"),
        pl.col("ViewPosition").alias("view"),
        pl.col("FinalImageType").alias("kind"),
        *([pl.col(MAKER).alias("manufacturer")] if MAKER in wanted.columns else []),
    )
    rows, joined = join_tables(rows, breasts, BREAST, ("images", "breasts of the findings"))
    rows, more = _with_people(rows, findings)
    rows, join = _located(rows, download)
    rows = mammography.with_cases(
        rows, ("malignant", "birads_high", "dense"), download.options["case"]
    )
    return ImportedSource(rows, (join, joined), kept, (*coverage(join), *notes, *more))


def _exam_kinds(findings: pl.DataFrame) -> pl.DataFrame:
    """`exam_type` of each exam by its description: screening, diagnostic, or empty."""
    text = pl.col("desc").str.to_lowercase()
    kind = pl.when(text.str.contains("screen")).then(pl.lit("screening"))
    kind = kind.when(text.str.contains("diag")).then(pl.lit("diagnostic"))
    exams = findings.select("empi_anon", "acc_anon", kind.alias("exam_type"))
    single, _ = agreed(exams, "acc_anon", "exam_type")
    return single


def _wanted(
    images: pl.DataFrame, exams: pl.DataFrame, options: Mapping[str, str]
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The images that were asked for: by kind, exam, special view and maker; and the counts.

    Raises:
        ConfigError: A filter needs a column that is not there, or names a maker that is not.
    """
    images = images.join(exams, on="acc_anon", how="left", maintain_order="left")
    kept: list[str] = []

    def keep(rows: pl.DataFrame, holds: pl.Expr, why: str) -> pl.DataFrame:
        fitting = rows.filter(holds.fill_null(value=False))
        if len(fitting) < len(rows):
            kept.append(kept_text(len(fitting), len(rows), why))
        return fitting

    kind, exam = options["images_of"], options["exams"]
    images = keep(images, pl.col("FinalImageType").is_in(KINDS[kind]), f"images_of = {kind}")
    if exam != "all":
        images = keep(images, pl.col("exam_type") == exam, f"exams = {exam}")
    for option, column in (("special_views", SPOT), ("maker", MAKER)):
        if options[option] in ("", "keep"):
            continue
        if column not in images.columns:
            raise ConfigError(f"Option '{option}' needs column '{column}' of the metadata.")
    if options["special_views"] == "leave-out":
        special = mammography.whole(SPOT)
        images = keep(images, special.is_null() | (special == "0"), "special_views = leave-out")
    if maker := options["maker"]:
        makers = images[MAKER].drop_nulls().unique().sort()
        if maker not in makers:
            raise ConfigError(f"Option 'maker' holds '{maker}' (allowed: {listed(makers, 20)}).")
        images = keep(images, pl.col(MAKER) == maker, f"maker = {maker}")
    return images, tuple(kept)


def _days(download: Download) -> int:
    given = download.options["window"]
    if not given.isdecimal() or int(given) > 3650:
        raise ConfigError(f"Option 'window' holds '{given}' (allowed: days, 0 to 3650).")
    return int(given)


@dataclass(frozen=True)
class SidedFindings:
    """Findings by breast.

    Attributes:
        assessed: A row per finding and `laterality` it was seen on.
        proven: A row per pathology and `laterality` it was taken from.
    """

    assessed: pl.DataFrame
    proven: pl.DataFrame


def _by_side(findings: pl.DataFrame) -> tuple[SidedFindings, list[str]]:
    """Findings with their `laterality`; one of both sides, or of none, is of either.

    Pathology is of `bside` where that is given. A bilateral exam with findings of one side alone
    implies that the other breast is negative (`correct_contralaterals` of EMBED's own toolkit).
    """
    negative = _implied(findings)
    assessed = pl.concat([findings, negative], how="diagonal").with_columns(
        _sides("side").alias("laterality")
    )
    proven = findings.filter(pl.col("path_severity").is_not_null())
    moved = proven.filter((pl.col("bside") != pl.col("side")) & (pl.col("side") != "B"))
    proven = proven.with_columns(pl.coalesce("bside", "side").alias("bside"))
    proven = proven.with_columns(_sides("bside").alias("laterality"))
    notes: list[str] = []
    if len(negative):
        notes.append(
            f"{plural(len(negative), 'bilateral exam')} with findings of one breast alone: the "
            "other breast is negative."
        )
    if len(moved):
        notes.append(
            f"{plural(len(moved), 'finding')} whose pathology is of another side than the finding: "
            "it counts for the side of the pathology."
        )
    sided = SidedFindings(assessed.explode("laterality"), proven.explode("laterality"))
    return sided, notes


def _sides(column: str) -> pl.Expr:
    """The sides of a cell: L, R, or both."""
    one_sided = pl.col(column).is_in(["L", "R"]).fill_null(value=False)
    return pl.when(one_sided).then(pl.concat_list(column)).otherwise(pl.lit(["L", "R"]))


def _implied(findings: pl.DataFrame) -> pl.DataFrame:
    """Negative rows for the other breast of bilateral exams with findings of one breast alone."""
    sides = pl.col("side").fill_null("B").unique().sort()
    bilateral = pl.col("desc").str.to_lowercase().str.contains("bilat").fill_null(value=False)
    exams = findings.group_by("empi_anon", "acc_anon").agg(
        sides, bilateral.any().alias("bilateral"), pl.col(DATE).min()
    )
    single = exams.filter(
        "bilateral", pl.col("side").list.len() == 1, pl.col("side").list.first() != "B"
    )
    other = pl.col("side").list.first().replace({"L": "R", "R": "L"})
    return single.select("empi_anon", "acc_anon", DATE, side=other, asses=pl.lit("N"))


def _breasts(findings: SidedFindings, days: int, unproven: str) -> pl.DataFrame:
    """One row per exam and side: the worst pathology and assessment of its findings."""
    assessed = findings.assessed.with_columns(
        cells.renamed("asses", ASSESSED, "birads"),
        pl.col(DATE).str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False).alias("_day"),
    )
    breasts = assessed.group_by(BREAST).agg(
        # what has still to be clarified is not negative, whatever the other findings are
        pl.when((pl.col("birads") == "0").any() & (pl.col("birads").max() < "4"))
        .then(pl.lit("0"))
        .otherwise(pl.col("birads").max())
        .alias("birads"),
        pl.col("_day").min(),
        pl.col("asses").is_in(["N", "B"]).fill_null(value=False).all().alias("_calm"),
    )
    severity = pl.col("path_severity").cast(pl.Int64)
    worst = findings.proven.group_by(BREAST).agg(severity.min().alias("_worst"))
    breasts = breasts.join(worst, on=BREAST, how="full", coalesce=True)
    day = breasts.group_by("acc_anon").agg(pl.col("_day").min().alias("_exam_day"))
    breasts = breasts.join(day, on="acc_anon").with_columns(
        pl.coalesce("_day", "_exam_day").alias("_day")
    )
    breasts = _with_later(breasts.drop("_exam_day"), days).with_columns(mammography.high("birads"))
    malignant = pl.when(pl.col("_worst") <= 1).then(pl.lit("1"))
    malignant = malignant.when(pl.col("_worst") <= 5).then(pl.lit("0"))
    if unproven == "assessed":
        malignant = malignant.when(pl.col("_worst").is_null() & pl.col("_calm")).then(pl.lit("0"))
    return breasts.with_columns(malignant.alias("malignant")).drop("_worst", "_day", "_calm")


def _with_later(breasts: pl.DataFrame, days: int) -> pl.DataFrame:
    """The worst pathology of the same breast up to `days` after the exam, its own among them."""
    if not days:
        return breasts
    side = ("empi_anon", "laterality")
    judged = breasts.filter(pl.col("_worst").is_not_null())
    later = judged.select(*side, pl.col("_worst").alias("_later"), pl.col("_day").alias("_on"))
    near = breasts.select(*BREAST, "_day").join(later, on=side)
    since = (pl.col("_on") - pl.col("_day")).dt.total_days()
    near = near.filter(since.is_between(0, days)).group_by(BREAST).agg(pl.col("_later").min())
    joined = breasts.join(near, on=BREAST, how="left")
    return joined.with_columns(pl.min_horizontal("_worst", "_later").alias("_worst")).drop("_later")


def _with_people(rows: pl.DataFrame, findings: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Density and age of the exam, race and ethnicity of the patient."""
    notes: list[str] = []
    findings = findings.with_columns(
        cells.renamed("tissueden", mammography.NUMBERED, "density"),
        *([cells.race("RACE_DESC")] if "RACE_DESC" in findings.columns else []),
        *(
            [cells.ethnicity("ETHNIC_GROUP_DESC")]
            if "ETHNIC_GROUP_DESC" in findings.columns
            else []
        ),
    )
    owners = {
        "density": "acc_anon",
        "age_at_study": "acc_anon",
        "race": "empi_anon",
        "ethnicity": "empi_anon",
    }
    for name, owner in owners.items():
        if name not in findings.columns:
            continue
        single, torn = agreed(findings, owner, name)
        rows = rows.drop(name, strict=False).join(single, on=owner, how="left")
        if torn:
            what = plural(torn, "exam" if owner == "acc_anon" else "patient")
            notes.append(f"{what} with several values of {name}: left empty.")
    men = findings.filter(pl.col("tissueden") == MALE)["empi_anon"].n_unique()
    if men:
        notes.append(f"{plural(men, 'patient')} with density 5 (male breast): density left empty.")
    if "age_at_study" in rows.columns:
        rows, ages = cells.with_age(rows, pl.col("age_at_study"))
        notes += ages
    return rows.with_columns(mammography.dense()), notes


def _located(rows: pl.DataFrame, download: Download) -> tuple[pl.DataFrame, Join]:
    """Images by the names of their files: DICOM files, or else the PNG copies."""
    stem = r"([^/]+)\.[A-Za-z]+$"
    name = "anon_dicom_path"
    png = download.pictures[PATH].str.to_lowercase().str.ends_with(".png").any()
    dcm = download.pictures[PATH].str.to_lowercase().str.ends_with(".dcm").any()
    if "png_filename" in rows.columns and png and not dcm:
        name = "png_filename"
    rows = rows.with_columns(
        pl.col(name).str.extract(stem).alias(KEY),
        pl.col("anon_dicom_path").str.extract(stem).alias("image_id"),
        pl.col("empi_anon").alias("patient_id"),
        pl.concat_str("empi_anon", pl.lit("_"), "acc_anon").alias(EXAM),
    )
    return locate(rows, download, stem, "images")


SOURCE = Source(
    name="embed",
    title="EMBED (Emory Breast Imaging Dataset), open release",
    domain="breast",
    read=read,
    tables=(
        Table(
            "clinical",
            (CLINICAL, "EMBED_OpenData_clinical_reduced.csv"),
            FINDING,
            optional=("RACE_DESC", "ETHNIC_GROUP_DESC", "age_at_study", *BESIDE),
            rules=(
                odd_rows.one_of("side", ("L", "R", "B")),
                odd_rows.one_of("bside", ("L", "R", "B")),
                odd_rows.one_of("asses", (*ASSESSED, "X")),
                odd_rows.one_of("tissueden", tuple("12345"), mammography.whole),
                odd_rows.one_of("path_severity", tuple("0123456"), mammography.whole),
            ),
            unit=("empi_anon",),
            holds="one row per finding: side, assessment, pathology",
        ),
        Table(
            "metadata",
            (METADATA, "EMBED_OpenData_metadata_reduced.csv"),
            IMAGE,
            ("anon_dicom_path",),
            optional=("png_filename", SPOT, MAKER),
            rules=(
                odd_rows.one_of("ImageLateralityFinal", ("L", "R")),
                odd_rows.one_of(SPOT, ("0", "1"), mammography.whole),
            ),
            unit=("empi_anon",),
            holds="one row per image file",
        ),
    ),
    targets=(
        Target(
            "malignant",
            "pathology of the breast: invasive or non-invasive cancer (severity 0 "
            "or 1); 0 for 2 to 5; empty for a cancer that is not of the breast",
            "malignant",
        ),
        mammography.HIGH,
        mammography.DENSE,
    ),
    class_column="density",
    classes=mammography.DENSITY_CLASSES,
    access="agreement",
    licence="EMBED Open Data agreement: research, not commercial, no redistribution",
    terms="Its agreement forbids to release models, weights or embeddings that were trained on any "
    "part of it without written permission of Emory University.",
    facts_from="README.md and EMBED_license.md of Emory-HITI/EMBED_Open_Data",
    url="https://github.com/Emory-HITI/EMBED_Open_Data",
    citation="Jeong et al., The EMory BrEast imaging Dataset (EMBED): A Racially Diverse, Granular "
    "Dataset of 3.4 Million Screening and Diagnostic Mammographic Images, Radiology: AI 2023",
    images=480_323,
    patients=22_382,
    layout=(
        "tables/EMBED_OpenData_clinical.csv, tables/EMBED_OpenData_metadata.csv",
        "images/<cohort>/<patient>/<exam>/<image>.dcm, or the PNG copies",
    ),
    splits="None.",
    tells_label=("birads",),
    attributes={
        **mammography.EXAMS,
        **mammography.DENSITY,
        **mammography.BIRADS,
        **cells.AGE_COLUMNS,
        "race": "As recorded, in a few groups.",
        "ethnicity": "Hispanic or Non-Hispanic, as recorded.",
        "kind": "2D or C-view, the synthetic image.",
        "exam_type": "screening or diagnostic, by the description of the exam.",
        "manufacturer": "Maker of the machine, where the metadata have it.",
    },
    confounders=(
        "A finding is of a side: joined by exam alone, the healthy breast gets the other's label.",
        "Pathology has a side of its own (`bside`), which is that of the tissue.",
        "Pathology may be given with the diagnostic exam only: see option window.",
        "Who was biopsied was chosen by the reading: with unproven=empty only those are labelled.",
        "Nearly all machines are Hologic's (92 %); those of GE and Fuji are few.",
        "Diagnostic exams have spot and magnified views, which tell that something was seen.",
    ),
    options=(
        mammography.CASE,
        Option(
            "images_of",
            "Which images: full-field 2D, synthetic C-view, or both.",
            "2D",
            tuple(KINDS),
        ),
        Option(
            "exams",
            "Which exams, by their description.",
            "all",
            ("all", "screening", "diagnostic"),
        ),
        Option(
            "special_views",
            "Whether spot compression and magnification (`spot_mag`) are kept.",
            "keep",
            ("keep", "leave-out"),
        ),
        Option("maker", "Images of one maker, as `Manufacturer` of the metadata has it."),
        Option(
            "window",
            "Days after an exam in which pathology of the same breast, given with a "
            "later exam, counts for it.",
            "0",
        ),
        Option(
            "unproven",
            "A breast without pathology: 0 where it was assessed as negative or "
            "benign in all its findings, or is the other breast of a bilateral exam; or always "
            "empty.",
            "assessed",
            ("assessed", "empty"),
        ),
    ),
)
