"""MIAS: films of both breasts of 161 women, digitised in Britain in the 1990s."""

import re

import polars as pl

from medtransfer.data.sources.breast import mammography
from medtransfer.data.sources.breast.mammography import EXAM
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.odd_rows import OddRows, excess, odd_share
from medtransfer.data.sources.source import PATH, Download, ImportedSource, Source, Target
from medtransfer.errors import plural
from medtransfer.tables.schema import ROW, rows_of

LINE = re.compile(
    r"(mdb(\d{3}))\s+([FGD])\s+(CALC|CIRC|SPIC|MISC|ARCH|ASYM|NORM)(?:\s+([BM]))?"
    r"(?:\s+(?:\d+\s+\d+\s+\d+|\*NOTE.*))?\s*",
)
"""A line of the list: film, tissue, abnormality, severity, and where it is, if that is known."""
EXAMPLE = " (expected e.g.: mdb001 G CIRC B 535 425 197)"
CELLS = ("image_id", "number", "tissue", "code", "severity")
KINDS = ("calcification", "circumscribed", "spiculated", "other_mass", "distortion", "asymmetry")
CODES = dict(zip(("CALC", "CIRC", "SPIC", "MISC", "ARCH", "ASYM"), KINDS, strict=True))
TARGETS = ("malignant", "abnormal", *KINDS, "dense_glandular")


def read(download: Download) -> ImportedSource:
    """One row per film from one line per abnormality."""
    findings, left_out = _lines(download)
    code = pl.col("code")
    films = findings.group_by("image_id").agg(
        pl.col("number", "tissue").first(),
        (pl.col("severity") == "M").any().alias("malignant"),
        (code != "NORM").any().alias("abnormal"),
        *((code == letters).any().alias(name) for letters, name in CODES.items()),
        (pl.col("tissue") == "D").any().alias("dense_glandular"),
    )
    # of a pair, the odd film is the right breast of a woman and the even one the left
    pair = ((pl.col("number") + 1) // 2).cast(pl.String).str.zfill(3)
    rows = films.sort("image_id").with_columns(
        pl.col(TARGETS).cast(pl.Int64).cast(pl.String),
        pl.when(pl.col("number") % 2 == 1)
        .then(pl.lit("R"))
        .otherwise(pl.lit("L"))
        .alias("laterality"),
        pl.concat_str(pl.lit("mias-"), pair).alias("patient_id"),
        pl.lit("MLO").alias("view"),
        pl.col("image_id").alias(KEY),
    )
    rows = rows.with_columns(pl.col("patient_id").alias(EXAM))
    rows, join = locate(rows, download, r"(mdb\d{3})[a-z]*\.[A-Za-z]+$", "films")
    rows = mammography.with_cases(rows, TARGETS, download.options["case"])
    columns = ("image_id", PATH, "case_id", "patient_id", "view", "laterality", *TARGETS, "tissue")
    return ImportedSource(rows.select(columns), (join,), (), coverage(join), left_out)


def _lines(download: Download) -> tuple[pl.DataFrame, tuple[OddRows, ...]]:
    """Lines of ``Info.txt`` that are of a film, and those of films with a line that is odd.

    Other lines are its preface.
    """
    names = download.files.filter(pl.col(PATH).str.contains(r"(?i)(?:^|/)info\.txt$"))[PATH]
    if len(names) != 1:
        how = "is not" if names.is_empty() else "is more than once"
        download.refuse([f"Info.txt {how} below the folder"])
    text = (download.folder / names[0]).read_bytes().decode("utf-8", "replace")
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
    films = [(number, line) for number, line in lines if line.startswith("mdb")]
    if not films:
        download.refuse([f"Info.txt names no film{EXAMPLE}"])
    rows = [
        (number, line[:6], *(match.groups()[1:] if (match := LINE.fullmatch(line)) else [None] * 4))
        for number, line in films
    ]
    schema = {ROW: pl.Int64, **dict.fromkeys(CELLS, pl.String)}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    odd = table.filter(pl.col("tissue").is_null())
    if odd.is_empty():
        return _numbered(table), ()
    beside = table.join(odd, on="image_id", how="semi").join(odd, on=ROW, how="anti")
    many = f"{plural(len(odd), 'line')} cannot be read, {rows_of(odd)}{EXAMPLE}"
    left_out = OddRows("Info.txt", len(table), tuple(odd[ROW]), tuple(beside[ROW]), (many,))
    limit = odd_share(download.options)
    download.refuse(excess(left_out, limit) if left_out.share > limit else [])
    return _numbered(table.join(odd, on="image_id", how="anti")), (left_out,)


def _numbered(table: pl.DataFrame) -> pl.DataFrame:
    """The lines with the film's number."""
    return table.with_columns(pl.col("number").cast(pl.Int64))


SOURCE = Source(
    name="mias",
    title="MIAS (mini-MIAS)",
    domain="breast",
    read=read,
    targets=(
        Target("malignant", "any abnormality of the film is malignant", "malignant"),
        Target("abnormal", "the list names an abnormality, benign or malignant"),
        *(Target(name, f"the list names {code}") for code, name in CODES.items()),
        Target("dense_glandular", "tissue D; the letters F, G and D are no BI-RADS densities"),
    ),
    licence="research only, see its Licence.txt; not to be rented, leased or sold",
    url="http://peipa.essex.ac.uk/info/mias.html",
    citation="Suckling et al., The Mammographic Image Analysis Society Digital Mammogram "
    "Database, Excerpta Medica 1994",
    images=322,
    patients=161,
    layout=(
        "Info.txt: film, tissue, abnormality, severity, x, y, radius",
        "mdb001.png (or .jpg: its .pgm files have to be converted first)",
    ),
    splits="None.",
    attributes={"tissue": "F fatty, G fatty-glandular, D dense-glandular."},
    confounders=(
        "Two films in a row are of one woman: mdb001 right, mdb002 left.",
        "A film may have several lines, one per abnormality.",
        "Positions are in pixels of the 1024-pixel film, y from the bottom.",
        "Film of one screening programme: its contrast tells it from any digital set.",
    ),
    options=(mammography.CASE,),
)
