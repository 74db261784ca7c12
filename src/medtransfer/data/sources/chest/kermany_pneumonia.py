"""Kermany's chest films: children of one to five years, with pneumonia or without."""

from collections.abc import Iterable

import polars as pl

from medtransfer.data.sources import cells
from medtransfer.data.sources.odd_rows import odd_share
from medtransfer.data.sources.source import (
    PATH,
    Download,
    ImportedSource,
    Option,
    Source,
    Target,
)
from medtransfer.errors import plural

FILM = r"(?:^|/)(train|val|test)/(NORMAL|PNEUMONIA)/([^/]+)\.(?:jpe?g|png)$"
"""Path of a film: its part, its class, and its name. Version 3 has no folder `val`."""
PARTS = {"train": "train", "val": "tune", "test": "test"}
PERSON = r"^(person\d+)_(?:bacteria|virus)_\d+(?:_\d+)?$"
CAUSE = r"^person\d+_(bacteria|virus)_\d+(?:_\d+)?$"
"""Names of ill children in version 2, which Kaggle has: ``person1_bacteria_1``."""
WELL = r"^((?:NORMAL2-)?IM-\d+)-\d+(?:-\d+)?$"
"""Names of healthy children in version 2: ``IM-0115-0001``, ``NORMAL2-IM-0383-0001``."""
NUMBERED = r"^(?:NORMAL|BACTERIA|VIRUS)-(\d+)-\d+$"
"""Names of version 3, the patient in the middle: ``BACTERIA-1135262-0001``."""
NUMBERED_CAUSE = r"^(NORMAL|BACTERIA|VIRUS)-\d+-\d+$"
PNEUMONIA = {"normal": "0", "bacteria": "1", "virus": "1"}
NO_FINDING = {"normal": "1", "bacteria": "0", "virus": "0"}
FOLDERS = {"normal": "NORMAL", "bacteria": "PNEUMONIA", "virus": "PNEUMONIA"}
COLUMNS = (
    *("image_id", PATH, "case_id", "patient_id", "split", "view"),
    *("Pneumonia", "No Finding", "cause", "age_band"),
)


def read(download: Download) -> ImportedSource:
    """Films by the names of their folders and files."""
    path, name = pl.col(PATH), pl.col("image_id")
    parts = {"_part": 1, "_class": 2, "image_id": 3}
    pictures = download.pictures.with_columns(
        path.str.extract(FILM, group).alias(column) for column, group in parts.items()
    )
    films = _nearest(pictures.filter(name.is_not_null()))
    cause = pl.coalesce(name.str.extract(CAUSE), name.str.extract(NUMBERED_CAUSE))
    well = pl.when(name.str.contains(WELL)).then(pl.lit("normal"))
    films = films.with_columns(pl.coalesce(cause.str.to_lowercase(), well).alias("cause"))
    named = films.filter(cells.renamed("cause", FOLDERS, "_folder") == pl.col("_class"))
    odd = len(films) - len(named)
    download.refuse(_faults(films, odd, odd_share(download.options)))
    rows = named.sort("image_id").with_columns(
        _patient(by_cause=download.options["persons"] == "cause"),
        cells.renamed("cause", PNEUMONIA, "Pneumonia"),
        cells.renamed("cause", NO_FINDING, "No Finding"),
        cells.renamed("_part", PARTS, "split"),
        case_id=name,
        view=pl.lit("AP"),
        age_band=pl.lit("0-19"),
    )
    notes = [f"{plural(odd, 'film')} whose name tells no patient of its folder: left out."] * (
        odd > 0
    )
    if others := len(pictures) - len(films):
        notes.append(f"{plural(others, 'image')} outside the folders, or once more: left out.")
    rows, torn = _whole(rows.select(COLUMNS))
    return ImportedSource(rows, (), (), (*notes, *torn))


def _nearest(films: pl.DataFrame) -> pl.DataFrame:
    """One file per film: Kaggle's archive holds all once more, in a folder further down."""
    depth = pl.col(PATH).str.count_matches("/", literal=True)
    top = depth == depth.min().over("_part", "_class", "image_id")
    return films.filter(top)


def _patient(*, by_cause: bool) -> pl.Expr:
    """`patient_id` by the name of a film; a person's number with the cause, or alone."""
    name = pl.col("image_id")
    person = name.str.extract(PERSON)
    if by_cause:
        person = person + pl.lit("_") + pl.col("cause")
    return pl.coalesce(person, name.str.extract(WELL), name.str.extract(NUMBERED)).alias(
        "patient_id"
    )


def _faults(films: pl.DataFrame, odd: int, limit: float) -> Iterable[str]:
    """Faults of a folder without films, with two copies of one, or with films of other names."""
    if films.is_empty():
        yield "no image such as train/NORMAL/IM-0115-0001.jpeg is below the folder"
        return
    if copies := int(films["image_id"].is_duplicated().sum()):
        yield (
            f"{plural(copies, 'image')} of one name in several folders: choose one with "
            "--option images=FOLDER"
        )
    if odd / len(films) > limit:
        yield (
            f"{odd:,} of {plural(len(films), 'film')} ({odd / len(films):.1%}) have a name that "
            f"tells no patient of its folder (allowed: {limit:.3g}, option odd_rows)"
        )


def _whole(rows: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """The rows without their split if a patient has films in several parts of it, and a note."""
    torn = rows.filter(pl.col("split").n_unique().over("patient_id") > 1)["patient_id"].n_unique()
    if not torn:
        return rows, []
    whose = "1 patient has" if torn == 1 else f"{torn:,} patients have"
    note = (
        f"{whose} films in several of the folders train, val and test: they are no split, and "
        "the study draws its own by patient."
    )
    return rows.drop("split"), [note]


SOURCE = Source(
    name="kermany-pneumonia",
    title="Kermany (chest films of children)",
    domain="chest",
    read=read,
    targets=(
        Target("Pneumonia", "pneumonia, graded by two physicians on the film", "Pneumonia"),
        Target("No Finding", "filed as normal", "No Finding"),
    ),
    licence="CC BY 4.0",
    facts_from="people, readers, licence and 5,856 films: "
    "https://labelbox.com/datasets/chest-x-ray-images/; films per part: "
    "https://huggingface.co/datasets/hf-vision/chest-xray-pneumonia; names of version 2: "
    "github.com/lecuong1502/BTL_Machine_Learning; names of version 3: "
    "ai-assignment/data/dataset.js of github.com/mariakang/clever-cat",
    url="https://data.mendeley.com/datasets/rscbjbr9sj",
    citation="Kermany et al., Identifying medical diagnoses and treatable diseases by image-based "
    "deep learning, Cell 2018",
    images=5_856,
    layout=(
        "chest_xray/train/NORMAL/IM-0115-0001.jpeg, train/PNEUMONIA/person1_bacteria_1.jpeg",
        "chest_xray/val/…, test/… (version 3: test/NORMAL/NORMAL-1049278-0001.jpeg, no val)",
    ),
    splits="Folders: of version 2 5,216 films are train, 16 are tune (`val`), 624 are test. They "
    "are left out if a patient is in several.",
    tells_label=("cause",),
    attributes={
        "cause": "Normal, bacteria or virus, by the name of the file.",
        "age_band": "All are children of one to five years: `0-19`.",
    },
    confounders=(
        "Children of one hospital in Guangzhou: films of adults are another population.",
        (
            "Version 2 numbers ill children by cause: person100 has films of bacteria in test and "
            "of a virus in train."
        ),
        (
            "Films of one number and two causes are as alike as those of strangers (mean "
            "correlation of pixels 0.716 and 0.717; one number and one cause: 0.764; 1,354 films): "
            "number and cause are taken for the patient. The owners do not say what it means."
        ),
        "16 films are too few to tune on: `splits=none` lets the study draw its own parts.",
        "73 % of the films show pneumonia.",
    ),
    known_as=("kermany",),
    options=(
        Option(
            "persons",
            "Patient of a film such as person1_bacteria_1: number and cause, or the number alone.",
            "cause",
            ("cause", "number"),
        ),
    ),
)
