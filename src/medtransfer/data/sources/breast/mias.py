"""MIAS: films of both breasts of 161 women, digitised in Britain in the 1990s."""

import re

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medtransfer.data.images.pictures import encode_png
from medtransfer.data.sources.breast import mammography
from medtransfer.data.sources.breast.mammography import EXAM
from medtransfer.data.sources.joins import KEY, coverage, locate
from medtransfer.data.sources.odd_rows import OddRows, excess, odd_share
from medtransfer.data.sources.source import PATH, Download, ImportedSource, Join, Source, Target
from medtransfer.errors import plural
from medtransfer.tables.schema import ROW, rows_of

LINE = re.compile(
    r"(mdb(\d{3}))\s+([FGD])\s+(CALC|CIRC|SPIC|MISC|ARCH|ASYM|NORM)(?:\s+([BM]))?"
    r"(?:\s+(?:\d+\s+\d+\s+\d+|\*NOTE.*))?\s*",
)
"""A line of the list: film, tissue, abnormality, severity, and where it is, if that is known."""
FILM = r"(mdb\d{3})[a-z]*\.[A-Za-z]+$"
PGM = re.compile(rb"P5\s+(?:#[^\n]*\n\s*)*(\d{1,5})\s+(\d{1,5})\s+(?:1?\d?\d|2[0-4]\d|25[0-5])\s")
"""Header of a binary PGM file with up to 255 levels."""
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
    packed = download.pictures.filter(pl.col(PATH).str.contains(FILM)).is_empty()
    originals = download.files.filter(pl.col(PATH).str.contains(r"(?i)mdb\d{3}[a-z]*\.pgm$"))
    if packed and len(originals):
        rows, join, notes = _from_pgm(rows, originals, download)
    else:
        rows, join = locate(rows, download, FILM, "films")
        notes = coverage(join)
    rows = mammography.with_cases(rows, TARGETS, download.options["case"])
    place = "image" if "image" in rows.columns else PATH
    ids = ("image_id", place, "case_id", "exam_id", "patient_id")
    columns = (*ids, "view", "laterality", *TARGETS, "tissue")
    return ImportedSource(rows.select(columns), (join,), (), notes, left_out)


def _from_pgm(
    rows: pl.DataFrame, files: pl.DataFrame, download: Download
) -> tuple[pl.DataFrame, Join, tuple[str, ...]]:
    """Films of the original ``.pgm`` files, stored as PNG in the manifest; the pixels are equal."""
    keys = files.with_columns(pl.col(PATH).str.to_lowercase().str.extract(FILM).alias(KEY))
    twice = keys.filter(pl.col(KEY).is_duplicated())[KEY].n_unique()
    download.refuse([f"{plural(twice, 'film')} in several .pgm files"] if twice else [])
    joined = rows.join(keys, on=KEY, how="inner", maintain_order="left")
    pictures: list[bytes] = []
    damaged = 0
    for path in joined[PATH]:
        pixels = pgm_pixels((download.folder / path).read_bytes())
        damaged += pixels is None
        pictures.append(b"" if pixels is None else encode_png(pixels))
    download.refuse([f"{plural(damaged, '.pgm file')} cannot be read"] if damaged else [])
    join = Join(
        left="films",
        right="image files",
        key="name",
        matched=len(joined),
        left_only=len(rows) - len(joined),
        right_only=len(keys) - len(joined),
    )
    note = f"{plural(len(joined), 'film')} in .pgm files: stored in the manifest as PNG."
    with_pictures = joined.drop(PATH, KEY).with_columns(image=pl.Series(pictures, dtype=pl.Binary))
    return with_pictures, join, (*coverage(join), note)


def pgm_pixels(data: bytes) -> NDArray[np.uint8] | None:
    """Pixels of a binary PGM file of 8 bits; None if it is none. [height, width]"""
    match = PGM.match(data)
    if match is None:
        return None
    width, height = int(match[1]), int(match[2])
    body = data[match.end() :]
    if len(body) < width * height:
        return None
    return np.frombuffer(body, np.uint8, width * height).reshape(height, width)


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
    facts_from="Info.txt and Licence.txt of the download",
    url="http://peipa.essex.ac.uk/info/mias.html",
    citation="Suckling et al., The Mammographic Image Analysis Society Digital Mammogram "
    "Database, Excerpta Medica 1994",
    images=322,
    patients=161,
    layout=(
        "Info.txt: film, tissue, abnormality, severity, x, y, radius",
        "mdb001.png (or .jpg, or the original .pgm files)",
    ),
    splits="None.",
    attributes={**mammography.EXAMS, "tissue": "F fatty, G fatty-glandular, D dense-glandular."},
    confounders=(
        "Two films in a row are of one woman: mdb001 right, mdb002 left.",
        "A film may have several lines, one per abnormality.",
        "Positions are in pixels of the 1024-pixel film, y from the bottom.",
        "Film of one screening programme: its contrast tells it from any digital set.",
    ),
    options=(mammography.CASE,),
)
