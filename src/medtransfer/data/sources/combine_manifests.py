"""Several manifests as one: cohorts side by side, ids apart, paths from one folder."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from medtransfer.data.images.scan import absence_text, absent_files
from medtransfer.data.sources.import_source import WrittenManifest, write_manifest
from medtransfer.data.sources.source import PATH
from medtransfer.errors import TableError, fault_list, listed, plural
from medtransfer.tables.guessed_targets import guessed_targets, label_counts, negatives_notes
from medtransfer.tables.manifest import (
    Manifest,
    free_columns,
    label_text,
    read_manifest,
)
from medtransfer.tables.schema import ROW
from medtransfer.tables.values.folding import name_words
from medtransfer.tables.values.personal_columns import listed_columns, personal_faults
from medtransfer.tables.values.spellings import patient_notes, plain_id
from medtransfer.tables.values.value_map import OPTION, ValueMap, absent_columns

IDS = ("image_id", "case_id", "patient_id")
OF_ALL = (
    f"{OPTION} of join changes all manifests alike: where hospitals mean different things by one "
    "word, say it when each is imported."
)


@dataclass(frozen=True)
class Combined:
    """Manifests put together.

    Attributes:
        frame: All rows, sorted by `image_id`.
        folder: What `path` cells are relative to: the folder that holds all of the images.
        notes: What was done to ids, splits and columns, in sentences.
        coverage: Cases of each target or class by cohort, from `label_counts`.
    """

    frame: pl.DataFrame
    folder: Path
    notes: tuple[str, ...]
    coverage: pl.DataFrame


def join_manifests(
    manifests: Sequence[Path],
    out: Path = Path("joined.parquet"),
    image_roots: Sequence[Path] = (),
    values: ValueMap | None = None,
) -> WrittenManifest:
    """Concatenate the manifests of several cohorts into one.

    Ids are prefixed with their cohort, so that two hospitals may use the same ones.

    Args:
        manifests: Two or more manifests, each of other cohorts.
        out: Manifest to write, ``.csv`` or ``.parquet``.
        image_roots: Image folder of each manifest, in the same order; each manifest's own folder
            by default.
        values: Values to read in place of others, by column: ``{"sex": {"w": "F", "m": "M"}}``.

    Returns:
        The manifest's path, its image folder, and notes on ids, splits, columns and counts.

    Raises:
        ConfigError: `out` has another ending.
        TableError: As for `read_manifest`, a cohort is in two manifests, images are not below
            their image root, or only some manifests store their images; all faults.
    """
    combined = combine(manifests, image_roots, values)
    counts = combined.frame.group_by("cohort").len().sort("cohort")
    cohorts = ", ".join(f"{cohort}: {count:,} images" for cohort, count in counts.iter_rows())
    written = write_manifest(combined.frame, combined.folder, out, (*combined.notes, cohorts))
    return replace(written, coverage=combined.coverage)


def combine(
    paths: Sequence[Path], roots: Sequence[Path] = (), values: ValueMap | None = None
) -> Combined:
    """Put manifests into one.

    Args:
        paths: Two or more manifests.
        roots: Folder that the paths of each are relative to, in the same order; each manifest's
            own by default.
        values: Values to read in place of others, by column; a manifest may lack the column.

    Raises:
        TableError: A manifest does not keep its contract, a cohort is in two of them, images are
            not below the folder of `roots`, or some hold their pictures and others do not; all
            faults.
    """
    given: list[Path | None] = [*roots] or [None] * len(paths)
    if len(paths) < 2 or len(given) != len(paths):
        raise TableError(
            f"{plural(len(paths), 'manifest')} and {plural(len(roots), 'image root')} were named; "
            "name two or more manifests, and either no image root or one for each, in order."
        )
    pairs = zip(paths, given, strict=True)
    manifests = [
        read_manifest(path, image_root=root, values=values, whole=False) for path, root in pairs
    ]
    unseen = {
        m: f"{cohorts_text(manifests[m])}: {absence_text(manifests[m], absent)}"
        for m in range(len(manifests))
        if not (absent := absent_files(manifests[m])).is_empty()
    }
    _refuse_faults(manifests, values or {}, [unseen[m] for m in unseen if given[m] is not None])
    folder, frames = _with_common_root(manifests)
    notes = _column_notes(manifests)
    frames, split_notes = _with_splits(frames)
    whole = pl.concat([_own_ids(frame) for frame in frames], how="diagonal_relaxed")
    notes += [f"{text}. Name the image folders with --image-root." for text in unseen.values()]
    notes = ["Ids were given their cohort in front: cohort/id.", *split_notes, *notes]
    notes += _shared_patients(frames)
    cell_notes = [
        f"{cohorts_text(manifest)}: {note}"
        for manifest in manifests
        for note in (
            *manifest.notes,
            *patient_notes(manifest.frame, free_columns(manifest.frame)),
        )
    ]
    cell_notes += [OF_ALL] if any(OPTION in note for note in cell_notes) else []
    targets, class_column = guessed_targets(whole)
    classes = whole.select(label_text(class_column)).to_series() if class_column else None
    names = targets if classes is None else classes.drop_nulls().unique().sort().to_list()
    notes += negatives_notes(whole)
    coverage = label_counts(whole, names, class_column)
    return Combined(whole.sort("image_id"), folder, (*cell_notes, *notes), coverage)


def cohorts_text(manifest: Manifest) -> str:
    """The cohorts of a manifest, for a message."""
    return listed(manifest.frame["cohort"].unique().sort())


def _refuse_faults(
    manifests: Sequence[Manifest], values: ValueMap, absences: Sequence[str]
) -> None:
    if reasons := [fault for m in manifests for fault in personal_faults(m.frame, ["cohort"])]:
        raise TableError(fault_list("The manifests cannot be joined", [*dict.fromkeys(reasons)]))
    cohorts = [name for m in manifests for name in m.frame["cohort"].unique().sort()]
    twice = sorted({name for name in cohorts if cohorts.count(name) > 1})
    faults = [
        f"cohort '{name}' is in {cohorts.count(name)} of them: import one with --option cohort=NAME"
        for name in twice
    ]
    faults += absences
    if len({manifest.embedded for manifest in manifests}) > 1:
        faults.append("some hold their pictures and others name files: they cannot share a table")
    columns = dict.fromkeys(name for m in manifests for name in m.frame.columns)
    faults += absent_columns(pl.DataFrame(schema=dict.fromkeys(columns, pl.String)), values)
    if faults:
        raise TableError(fault_list("The manifests cannot be joined", faults))


def _with_common_root(manifests: Sequence[Manifest]) -> tuple[Path, list[pl.DataFrame]]:
    """The folder above all images, and the frames with paths from there."""
    if manifests[0].embedded:
        pictures = [_with_pictures(manifest) for manifest in manifests]
        return manifests[0].root, pictures
    folder = Path(os.path.commonpath([manifest.root for manifest in manifests]))
    frames: list[pl.DataFrame] = []
    for manifest in manifests:
        below = manifest.root.relative_to(folder).as_posix()
        start = "" if below == "." else below + "/"
        cell = pl.concat_str(pl.lit(start), pl.col(PATH)).alias(PATH)
        frames.append(_texts(manifest).with_columns(cell))
    return folder, frames


def _with_pictures(manifest: Manifest) -> pl.DataFrame:
    pictures = pl.read_parquet(manifest.path, columns=["image"])["image"]
    frame = _texts(manifest)
    return frame.with_columns(image=pictures.gather(manifest.frame[ROW] - 1))


def _texts(manifest: Manifest) -> pl.DataFrame:
    """Rows without their numbers; free columns as text, so that 1 and 1.0 are one label."""
    frame = manifest.frame
    return frame.with_columns(label_text(name) for name in free_columns(frame)).drop(ROW)


def _own_ids(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(
        pl.concat_str("cohort", pl.lit("/"), name).alias(name) for name in IDS
    )


def _shared_patients(frames: Sequence[pl.DataFrame]) -> list[str]:
    """A note on patient ids that several cohorts have, also in another spelling."""
    ids = [frame.lazy().select("cohort", key=plain_id("patient_id")).unique() for frame in frames]
    owners = pl.concat(ids).group_by("key").agg(pl.col("cohort").n_unique()).collect()
    shared = int((owners["cohort"] > 1).sum())
    if not shared:
        return []
    note = (
        f"{plural(shared, 'patient id')} of several cohorts, written alike or nearly: with their "
        "cohort in front they count as different patients. If they are the same people, put their "
        "rows into one table under one cohort."
    )
    return [note]


def _with_splits(frames: list[pl.DataFrame]) -> tuple[list[pl.DataFrame], list[str]]:
    """A split column is all or nothing."""
    there = ["split" in frame.columns for frame in frames]
    if all(there) or not any(there):
        return frames, []
    notes = "Not every manifest has a split: it is left out, and the study draws its own."
    return [frame.drop("split", strict=False) for frame in frames], [notes]


def _column_notes(manifests: Sequence[Manifest]) -> list[str]:
    """Columns that some manifests lack: their cells are empty there."""
    columns = [free_columns(manifest.frame) for manifest in manifests]
    every = list(dict.fromkeys(name for names in columns for name in names))
    notes: list[str] = []
    for manifest, names in zip(manifests, columns, strict=True):
        absent = [name for name in every if name not in names]
        if absent:
            notes.append(
                f"{cohorts_text(manifest)}: {listed_columns(absent, 30)} not there, left empty."
            )
    common = [name for name in every if all(name in names for names in columns)]
    spellings: dict[str, list[str]] = {}
    for name in every:
        spellings.setdefault("".join(name_words(name)), []).append(name)
    notes += [
        f"{listed_columns(twins)} differ in spelling alone and stay {len(twins)} columns: give "
        "them one name if they are one."
        for twins in spellings.values()
        if len(twins) > 1
    ]
    return [*notes, f"Columns of all: {listed_columns(common, 30) or 'none'}."]
