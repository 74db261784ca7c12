"""Gallery of images that look the same: the pairs that the check of a study found, side by side."""

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from medtransfer.data.audit.findings import CHECKS
from medtransfer.data.audit.pixels import PAIR_COLUMNS, rows_mark
from medtransfer.data.config import DataConfig
from medtransfer.deploy.gallery.gallery import PAGE, Gallery, require_outside
from medtransfer.deploy.gallery.page import CardSection, PairCard, gallery_page
from medtransfer.deploy.gallery.pictures import (
    CasePicture,
    image_contents,
    picture,
    shown_pixels,
)
from medtransfer.errors import ConfigError, ImageError, StudyError, plural
from medtransfer.files import write_text
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.inputs import read_run_manifest
from medtransfer.study.config import Study
from medtransfer.study.status import find_study
from medtransfer.study.yaml_file import read_study
from medtransfer.tables.manifest import Manifest
from medtransfer.tables.schema import ROW

PAIRS = "pairs.csv"
ORDER = ("A008", "A010", "A004", "A009")
"""Findings of pairs, the worst first."""


def make_duplicates_gallery(
    study: Path | str | None, out: Path | str, *, count: int = 50
) -> Gallery:
    """Write a local page with images that look the same, as `check` found them.

    Args:
        study: The study file, or the folder of a study that was run; by default the only study in
            ``./studies``.
        out: Folder of the gallery; never the study's own.
        count: Pairs of each finding.

    Returns:
        The page and the pairs on it.

    Raises:
        ConfigError: `out` lies in the study's folder, or `count` is below 1.
        StudyError: The study was not checked, no pair was found, or the manifest has changed since.
    """
    if count < 1:
        raise ConfigError(f"-n is {count} (allowed: 1 and more).")
    where = None if study is None else Path(study)
    folder, out = find_study(where), Path(out)
    require_outside(folder, out)
    config = _config(folder, where)
    pairs = _pairs(folder)
    shown = _ShownPairs(read_run_manifest(config.data), config.data)
    cards: list[CardSection] = []
    number = 0
    for code in ORDER:
        of_code = pairs.filter(pl.col("code") == code)
        if of_code.is_empty():
            continue
        of_section = list(shown.cards(of_code.head(count), number))
        number += len(of_section)
        lead = f"{len(of_section):,} of {plural(len(of_code), 'pair')}"
        cards.append(CardSection(f"{code}: {CHECKS[code][1]}", lead, of_section))
    lines = ("Pairs of images that look the same, from the last `medtransfer check`.",)
    page = out / PAGE
    write_text(page, gallery_page(f"{config.name}: images that look the same", lines, cards))
    return Gallery(page, number, lines, None)


class _ShownPairs:
    """Images of a manifest, in pairs of rows."""

    def __init__(self, manifest: Manifest, data: DataConfig) -> None:
        self._manifest, self._limit = manifest, data.pixel_limit
        frame = manifest.frame
        self._places = {row: place for place, row in enumerate(frame[ROW])}
        labels = [data.class_column] if data.class_column else list(data.names)
        self._facts = [name for name in (*labels, *data.attributes) if name in frame.columns]

    def cards(self, pairs: pl.DataFrame, before: int) -> Iterator[PairCard]:
        """A card for each pair.

        Raises:
            StudyError: The manifest has other rows, or has them in another order.
        """
        rows = pairs.select("row", "other_row").rows()
        if {*pairs["manifest"]} != {rows_mark(self._manifest.frame)}:
            raise StudyError(
                "The manifest has other rows than when it was checked. `medtransfer check` looks "
                "for copies again."
            )
        places = [(self._places[first], self._places[second]) for first, second in rows]
        contents = image_contents(self._manifest, [place for both in places for place in both])
        alike = pairs.select("likeness", "turn").rows()
        for number, both in enumerate(places, start=before + 1):
            likeness, turn = alike[number - before - 1]
            pictures, notes = self._pictures([contents[place] for place in both])
            first, second = (self._manifest.frame.row(place, named=True) for place in both)
            yield PairCard(
                number=number,
                head=" and ".join(f"{row['case_id']} ({row['cohort']})" for row in (first, second)),
                line=f"rows {first[ROW]} and {second[ROW]}; similarity {likeness:.2f}, {turn}",
                facts=[
                    f"{name} {_cell(first[name])} and {_cell(second[name])}" for name in self._facts
                ],
                pictures=pictures,
                notes=notes,
            )

    def _pictures(
        self, contents: list[tuple[bytes, int | None]]
    ) -> tuple[list[CasePicture], list[str]]:
        pictures: list[CasePicture] = []
        notes: list[str] = []
        for content, frame in contents:
            try:
                pictures.append(picture(*shown_pixels(content, self._limit, frame)))
            except ImageError as error:
                notes.append(f"an image {error}")
        return pictures, notes


def _cell(value: object) -> str:
    return "–" if value is None else str(value)


def _config(folder: StudyFolder, where: Path | None) -> Study:
    """Settings of a study, from its file or from the copy in its folder."""
    is_file = where is not None and where.suffix in (".yaml", ".yml")
    if folder.path.is_file():
        raise StudyError(
            f'"{folder.path}" is neither a study file (.yaml) nor the folder of a study.'
        )
    path = where if where is not None and is_file else folder.path / "study.yaml"
    if not path.is_file():
        raise StudyError(
            f'"{folder.path}" holds no study.yaml, which `medtransfer run` writes. Name the study '
            "file: `medtransfer gallery study.yaml --duplicates`."
        )
    return read_study(path)


def _pairs(folder: StudyFolder) -> pl.DataFrame:
    path = folder.path / PAIRS
    if not path.is_file():
        raise StudyError(
            f'"{folder.path}" has no {PAIRS}: `medtransfer check` was not run, or found no images '
            "that look the same."
        )
    pairs = pl.read_csv(path, schema_overrides=PAIR_COLUMNS)
    if "manifest" not in pairs.columns:
        raise StudyError(
            f"{PAIRS} is of an earlier version and does not tell which manifest its rows are of. "
            "`medtransfer check` makes it again."
        )
    return pairs
