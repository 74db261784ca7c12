"""One table, whatever its format and whatever the command: one reading, or one refusal.

The expected cells are written by hand. `validate`, `monitor` and `import dicom` read with the same
functions, and have tests of their own beside them.
"""

import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.data.sources.trees import workbook

from medtransfer.data.config import DataConfig, LabelPolicy
from medtransfer.data.images.pictures import encode_png
from medtransfer.data.sources.combine_manifests import combine
from medtransfer.data.sources.import_source import import_source
from medtransfer.deploy.inference.sources import read_prediction_table
from medtransfer.errors import TableError
from medtransfer.evaluation.comparison.attributes.attribute_table import join_attributes
from medtransfer.runs.inputs import read_run_manifest
from medtransfer.study.template import init_study
from medtransfer.tables.manifest import read_manifest

Rows = list[dict[str, str]]
COUNT = 12
LABELS = ["1", "0", "NA", "1.0", "0", "-1", "unbekannt", " ", "1", "0.0", "nan", "0"]
SEXES = ["w", "m", "k.A.", "männlich", "weiblich", "W", "M", "", "nan", "w ", "Frau", "divers"]
SIDES = ["links", "rechts", "L", "r", "OD", "OS", "unknown", "", "gauche", "dx", "R", "left"]
MAKERS = ["GE", "ge", "GE", " Ge", "n/a", "–", "Philips", "philips", "GE", "Philips", "null", "GE"]
IDS = ["=1+2", "-1_a", "+x", "@b", "'q", "007", "7.50", "a b", "Straße 5", "1e3", "x;y", 'in"ch']
EXPECTED = {
    "image_id": IDS,
    "malignant": ["1", "0", None, "1", "0", "-1", None, None, "1", "0", None, "0"],
    "Geschlecht": ["F", "M", None, "M", "F", "F", "M", None, None, "F", "F", "divers"],
    "laterality": ["L", "R", "L", "R", "R", "L", None, None, "L", "R", "R", "L"],
    "maker": ["GE"] * 4 + [None, None, "Philips", "Philips", "GE", "Philips", None, "GE"],
}
SAID = ("'malignant': read as missing", "read as F: ", "read as M: ")
FORM = re.compile(r"was read with|Decimal commas of")
"""Notes on the form of a file, which is its own."""


def table() -> Rows:
    return [
        {
            "image_id": IDS[n],
            "path": f"films/{n:02}.png",
            "case_id": f"c{n}",
            "patient_id": f"{n:04}",
            "cohort": "Süd",
            "malignant": LABELS[n],
            "Geschlecht": SEXES[n],
            "laterality": SIDES[n],
            "maker": MAKERS[n],
        }
        for n in range(COUNT)
    ]


def _text(rows: Rows, separator: str = ",", end: str = "\n", *, quoted: bool = False) -> str:
    stream = io.StringIO()
    quoting = csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL
    writer = csv.writer(stream, delimiter=separator, lineterminator=end, quoting=quoting)
    writer.writerows([[*rows[0]], *([*row.values()] for row in rows)])
    return stream.getvalue()


def _parquet(path: Path, rows: Rows, kind: type[pl.DataType] = pl.String) -> None:
    frame = pl.DataFrame(rows, schema=dict.fromkeys(rows[0], pl.String))
    frame.with_columns(pl.col("maker", "Geschlecht").cast(kind)).write_parquet(path)


FORMATS: dict[str, Callable[[Path, Rows], object]] = {
    "comma.csv": lambda path, rows: path.write_text(_text(rows), "utf-8"),
    "quoted.csv": lambda path, rows: path.write_text(_text(rows, quoted=True), "utf-8"),
    "semicolon.csv": lambda path, rows: path.write_text(_text(rows, ";", "\r\n"), "utf-8-sig"),
    "tabs.tsv": lambda path, rows: path.write_text(_text(rows, "\t"), "utf-8"),
    "unicode.csv": lambda path, rows: path.write_text(_text(rows, "\t"), "utf-16"),
    "western.csv": lambda path, rows: path.write_text(_western(_text(rows, ";")), "cp1252"),
    "mac.csv": lambda path, rows: path.write_bytes(_text(rows, end="\r").encode()),
    "book.xlsx": lambda path, rows: workbook(path, [*rows[0]], [[*r.values()] for r in rows]),
    "plain.parquet": _parquet,
    "dictionary.parquet": lambda path, rows: _parquet(path, rows, pl.Categorical),
}


def _western(text: str) -> str:
    return text.replace("–", "-")


def written(folder: Path, name: str, rows: Rows) -> Path:
    """The table in a format, beside the images that it names."""
    (folder / "films").mkdir(exist_ok=True)
    for n in range(COUNT):
        pixels = np.random.default_rng(n).integers(0, 256, (8, 8), dtype=np.uint8)
        (folder / "films" / f"{n:02}.png").write_bytes(encode_png(pixels))
    path = folder / name
    FORMATS[name](path, rows)
    return path


def by_image(frame: pl.DataFrame) -> dict[str, dict[str, str | None]]:
    """Cells by `image_id`, without a cohort in front, labels without decimals."""
    names = [name for name in EXPECTED if name in frame.columns]
    rows = frame.select(pl.col(names).cast(pl.String)).to_dicts()
    return {str(row["image_id"]).removeprefix("Süd/"): row for row in rows}


def expected_rows(columns: Sequence[str]) -> dict[str, dict[str, str | None]]:
    return {IDS[n]: {name: EXPECTED[name][n] for name in columns} for n in range(COUNT)}


def without_decimals(rows: dict[str, dict[str, str | None]]) -> dict[str, dict[str, str | None]]:
    whole = {"1.0": "1", "0.0": "0"}
    return {
        name: {**row, "malignant": whole.get(row["malignant"] or "", row["malignant"])}
        for name, row in rows.items()
    }


def cells(rows: dict[str, dict[str, str | None]]) -> dict[str, dict[str, str | None]]:
    return {
        name: {column: cell for column, cell in row.items() if column != "image_id"}
        for name, row in rows.items()
    }


@pytest.mark.parametrize("name", FORMATS)
def test_a_table_is_read_alike_in_every_format_and_by_every_command(
    tmp_path: Path, name: str
) -> None:
    path = written(tmp_path, name, table())
    names = ["Geschlecht", "laterality", "maker"]
    wanted = cells(expected_rows(list(EXPECTED)))

    manifest = read_manifest(path, targets=["malignant"], attributes=names)
    assert cells(without_decimals(by_image(manifest.frame))) == wanted
    notes = [note for note in manifest.notes if not FORM.search(note)]
    assert all(any(part in note for note in notes) for part in SAID), notes
    assert any("'maker': read as missing" in note for note in notes), notes

    data = DataConfig(
        manifest=path, task="binary", targets={"malignant": LabelPolicy()}, attributes=tuple(names)
    )
    study = read_run_manifest(data)
    assert study.frame.equals(manifest.frame)
    assert study.notes[: len(manifest.notes)] == manifest.notes

    other = tmp_path / "other.csv"
    other.write_text(_text([{**row, "cohort": "other"} for row in table()]), "utf-8")
    joined = combine([path, other]).frame.filter(pl.col("cohort") == "Süd")
    plain = [column for column in EXPECTED if column not in ("maker", "malignant")]
    shown = cells(by_image(joined.select(plain)))
    assert shown == cells(expected_rows(plain))

    options = {"table": name, "targets": "malignant", "others": "keep"}
    taken = import_source("csv", tmp_path, tmp_path / "out.parquet", options=options)
    frame = pl.read_parquet(taken.path)
    kept = [column for column in EXPECTED if column != "maker"]
    assert cells(by_image(frame.select(kept))) == cells(expected_rows(kept))
    again = read_manifest(taken.path, targets=["malignant"], attributes=names, image_root=tmp_path)
    assert cells(by_image(again.frame)) == wanted

    predictions = pl.DataFrame({"case_id": [f"c{n}" for n in range(COUNT)], "target_y": [0, 1] * 6})
    attributes = join_attributes(predictions, path, names, None, 1)
    groups = attributes.frame.sort(pl.col("case_id").str.slice(1).cast(pl.Int64))
    for column in names:
        assert groups[column].to_list() == EXPECTED[column], column

    assert sorted(read_prediction_table(path).frame["image_id"]) == sorted(IDS)
    drafted = init_study(path, tmp_path / "study.yaml")
    assert all(any(part in note for note in drafted.notes) for part in SAID)


def changed(column: str, cells_by_row: dict[int, str]) -> Rows:
    rows = table()
    for n, cell in cells_by_row.items():
        rows[n][column] = cell
    return rows


REFUSED = {
    "a patient in a word for none": (changed("patient_id", {2: "NA", 5: "NA"}), "'patient_id'"),
    "no patient": (changed("patient_id", {2: " "}), "'patient_id' is empty in 1 row"),
    "labels in words": (
        changed("malignant", dict.fromkeys(range(COUNT), "ja")),
        "say what words mean with --values malignant=WORD:1,WORD:0",
    ),
    "an image twice": (changed("image_id", {2: "=1+2"}), "'image_id' is not unique"),
    "a case of two patients": (changed("case_id", {3: "c2"}), "images of different 'patient_id'"),
    "a target that is absent": ([{**row, "malign": "1"} for row in table()], ""),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", REFUSED)
def test_a_table_is_refused_alike_in_every_format(tmp_path: Path, kind: str) -> None:
    rows, part = REFUSED[kind]
    target = "malignat" if not part else "malignant"
    texts: dict[str, str] = {}
    for name in FORMATS:
        path = written(tmp_path, name, rows)
        with pytest.raises(TableError) as caught:
            read_manifest(path, targets=[target], attributes=["Geschlecht"])
        texts[name] = re.sub(r"rows? [\d, ]+", "row # ", str(caught.value).replace(name, "T"))
        data = DataConfig(manifest=path, task="binary", targets={target: LabelPolicy()})
        with pytest.raises(TableError) as of_study:
            read_run_manifest(data)
        assert ("`values: {COLUMN:" in str(of_study.value)) == ("--values" in texts[name])
    assert len({*texts.values()}) == 1, texts
    assert part in texts["comma.csv"]
