"""From a download's folder to a manifest: what every source has in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.data.images.scan import no_progress
from medtransfer.data.sources.catalog import find_source
from medtransfer.data.sources.column_mapping import entries
from medtransfer.data.sources.download import open_download
from medtransfer.data.sources.odd_rows import MAX_ODD_SHARE, OddRows
from medtransfer.data.sources.source import (
    PATH,
    Fetched,
    ImportedSource,
    Option,
    Progress,
    Source,
    kept_text,
    refuse,
    summary,
)
from medtransfer.data.sources.vocabulary import harmonise
from medtransfer.errors import ConfigError, fault_list, listed, plural, suggestion
from medtransfer.seeds import text_keys, uniforms
from medtransfer.tables.manifest import (
    RESERVED,
    SPLITS,
    free_columns,
    manifest_faults,
    readable_columns,
)
from medtransfer.tables.schema import ROW, write_frame
from medtransfer.tables.values.reading import Roles, read_cells
from medtransfer.tables.values.spellings import patient_notes
from medtransfer.tables.values.value_map import ValueMap, absent_columns, map_values

TUNE_SHARE = 0.125
"""Share of the official training patients that become `tune` where there is no such part."""
COMMON = (
    Option("images", "Folder below the download in which images are looked for."),
    Option("cohort", "Name of the cohort; the source's name unless its table has one."),
    Option("splits", "Whether the official split is written.", "official", ("official", "none")),
    Option(
        "case",
        "What gets a prediction: the source's own unit, or each image.",
        "source",
        ("source", "image"),
    ),
    Option(
        "odd_rows",
        "Largest share of a table's rows that is left out because it is not as published; above "
        "it the import stops.",
        str(MAX_ODD_SHARE),
    ),
)
"""Options that every source has."""
FIRST = (
    "image_id",
    PATH,
    "image",
    "case_id",
    "patient_id",
    "cohort",
    "split",
    "view",
    "laterality",
)


@dataclass(frozen=True)
class WrittenManifest:
    """A manifest on disk.

    Attributes:
        path: The manifest.
        image_root: Folder that its paths are relative to; None if it is the manifest's own folder.
        notes: Image counts, and joins, filters and assumptions made on the way, in sentences.
        left_out: Rows of the source's tables that are not as published.
        coverage: Of a join: cases of each target or class by cohort, with the columns `target`,
            `cohort`, `positive`, `negative`, `uncertain` and `empty`.
    """

    path: Path
    image_root: Path | None
    notes: tuple[str, ...] = ()
    left_out: tuple[OddRows, ...] = ()
    coverage: pl.DataFrame | None = None


def options_of(source: Source) -> tuple[Option, ...]:
    """The options of a source, then those of every source; its own take the place of theirs."""
    own_options = {option.name for option in source.options}
    return (*source.options, *(option for option in COMMON if option.name not in own_options))


def check_options(source: Source, given: Mapping[str, str]) -> dict[str, str]:
    """Every option of a source with its value.

    Raises:
        ConfigError: An option does not exist or holds a value that is not allowed; all of them.
    """
    options = {option.name: option for option in options_of(source)}
    faults: list[str] = []
    for name, value in given.items():
        if name not in options:
            hint = suggestion(name, options) or f"Allowed: {listed(options, 20)}."
            faults.append(f"option '{name}' does not exist. {hint}".removesuffix("."))
        elif options[name].allowed and value not in options[name].allowed:
            allowed = listed(options[name].allowed, 20)
            faults.append(f"option '{name}' holds '{value}' (allowed: {allowed})")
    if faults:
        raise ConfigError(fault_list(f"The options do not fit {source.name}", faults))
    return {name: given.get(name, option.default) for name, option in options.items()}


def import_source(
    source: str,
    folder: Path | str,
    out: Path = Path("manifest.parquet"),
    *,
    options: Mapping[str, str] | None = None,
    views: Sequence[str] = (),
    values: ValueMap | None = None,
    harmonise: bool = False,
    progress: Progress = no_progress,
) -> WrittenManifest:
    """Write the manifest of a public data set, or of a folder or table of images.

    Args:
        source: Its name; ``medtransfer sources`` lists all.
        folder: Folder that the download was unpacked to; of ``dicomweb`` the archive's address.
        out: Manifest to write, ``.csv`` or ``.parquet``.
        options: Options of the source, by name; ``medtransfer sources NAME`` lists them.
        views: Views to keep; all by default.
        values: Values to write in place of others, by column: ``{"sex": {"w": "F", "m": "M"}}``.
        harmonise: Rename targets to the domain's shared vocabulary.
        progress: Called with (done, total) where many files are read.

    Returns:
        The manifest's path, its image folder, and notes on what was read.

    Raises:
        ConfigError: The source, an option or a view does not exist, or `out` has another ending.
        TableError: A table is missing or not as published, or no image is there.
    """
    known_source = find_source(source)
    check_ending(out)
    fetched = _fetched(known_source, folder, check_options(known_source, options or {}), progress)
    imported = read_source(
        known_source,
        fetched.folder,
        options,
        views,
        values=values,
        shared_names=harmonise,
        progress=progress,
    )
    _check_secrets(imported, out)
    notes = (
        f"{known_source.title}: {summary(imported)}.",
        *fetched.notes,
        *(f"Joined {join.sentence()}." for join in imported.joins),
        *(f"Kept {text}." for text in imported.kept),
        *(odd.sentence() for odd in imported.left_out),
        *imported.notes,
        *patient_notes(imported.frame, free_columns(imported.frame)),
        *([f"Licence: {known_source.terms}"] if known_source.terms else []),
    )
    written = write_manifest(imported.frame, fetched.folder, out, notes)
    return replace(written, left_out=imported.left_out)


def read_source(
    source: Source,
    folder: Path,
    options: Mapping[str, str] | None = None,
    views: Sequence[str] = (),
    *,
    values: ValueMap | None = None,
    shared_names: bool = False,
    progress: Progress = no_progress,
) -> ImportedSource:
    """Read a public data set as it was downloaded.

    Args:
        source: Which, from the catalogue.
        folder: The folder it was unpacked to.
        options: Of `Source.options` and `COMMON`, by name.
        views: Views to keep; all by default.
        values: Values to write in place of others, by column of the manifest.
        shared_names: Whether targets get the names of the domain's shared vocabulary.
        progress: Called with (done, total) where many files are read.

    Returns:
        Rows that keep the manifest's contract, sorted by `image_id`; `path` relative to `folder`.

    Raises:
        ConfigError: An option or a view does not exist.
        TableError: A table is missing or not as published, or no image is there.
    """
    chosen = check_options(source, options or {})
    download = replace(open_download(source, folder, chosen), values=values or {})
    imported = source.read(replace(download, progress=progress))
    left_out = (*download.left_out, *imported.left_out)
    imported = replace(imported, left_out=left_out, notes=(*download.notes, *imported.notes))
    imported = imported if imported.is_read else _with_cells(imported, source, download.values)
    imported = replace(imported, frame=_placed(imported.frame, source, chosen))
    imported = _with_owners(imported)
    imported = _with_views(imported, source, views)
    imported = _with_splits(imported, chosen["splits"])
    imported = _harmonised(imported, source, chosen, wanted=shared_names)
    rows = imported.frame.sort("image_id")
    rows = rows if ROW in rows.columns else rows.with_row_index(ROW, offset=1)
    refuse(source, manifest_faults(rows))
    columns = [name for name in FIRST if name in imported.frame.columns]
    beside = [name for name in imported.frame.columns if name not in (*columns, ROW)]
    return replace(imported, frame=rows.select(*columns, *beside))


def _fetched(
    source: Source, address: Path | str, options: Mapping[str, str], progress: Progress
) -> Fetched:
    """The folder of a source's files, brought from their address if it has one."""
    if source.fetch is None:
        return Fetched(Path(address))
    return source.fetch(str(address), options, progress)


def _check_secrets(imported: ImportedSource, out: Path) -> None:
    """Refuse a manifest beside the secret of its pseudonyms: whoever gets one would get both.

    Raises:
        ConfigError: They share a folder.
    """
    for secret in imported.secrets:
        if secret.resolve().parent == out.resolve().parent:
            raise ConfigError(
                f'The secret "{secret}" lies in the folder of the manifest. Keep it elsewhere, or '
                "write the manifest elsewhere with --out."
            )


def _with_cells(imported: ImportedSource, source: Source, values: ValueMap) -> ImportedSource:
    """The rows with their cells read, as those of any manifest."""
    faults = absent_columns(imported.frame, values)
    frame, notes = map_values(imported.frame, values)
    targets = [target.name for target in source.targets if target.name in frame.columns]
    roles = Roles(targets, source.class_column or None, classes=list(source.classes or {}))
    cells = read_cells(frame, readable_columns(frame), roles, values)
    refuse(source, [*faults, *cells.faults])
    return replace(
        imported, frame=cells.frame, notes=(*imported.notes, *notes, *cells.notes), is_read=True
    )


def check_ending(path: Path) -> None:
    """Refuse a manifest that is neither ``.csv`` nor ``.parquet``, before anything is read.

    Raises:
        ConfigError: Another ending.
    """
    if path.suffix.lower() not in (".csv", ".parquet"):
        raise ConfigError(f'"{path.name}" must end in .csv or .parquet.')


def write_manifest(
    frame: pl.DataFrame, folder: Path, path: Path, notes: tuple[str, ...] = ()
) -> WrittenManifest:
    """Write an imported frame as a manifest.

    Paths are relative to the manifest's own folder if the images lie below it, else to `folder`.

    Args:
        frame: From `read_source`.
        folder: What its `path` cells are relative to.
        path: ``.csv`` or ``.parquet``.
        notes: Sentences on how the frame was made, for the caller.

    Raises:
        ConfigError: Another ending.
    """
    check_ending(path)
    if "image" in frame.columns and path.suffix.lower() == ".csv":
        raise ConfigError(f'"{path.name}" must end in .parquet: the images are stored in it.')
    manifest_folder, images = path.parent.resolve(), folder.resolve()
    image_root = None
    if PATH in frame.columns and images.is_relative_to(manifest_folder):
        below = images.relative_to(manifest_folder).as_posix()
        start = "" if below == "." else below + "/"
        frame = frame.with_columns(pl.concat_str(pl.lit(start), pl.col(PATH)).alias(PATH))
    elif PATH in frame.columns:
        image_root = folder
    write_frame(frame, path)
    return WrittenManifest(path, image_root, notes)


def _harmonised(
    imported: ImportedSource, source: Source, options: Mapping[str, str], *, wanted: bool
) -> ImportedSource:
    """Targets under shared names, if that is wanted; an own table's by those of another source."""
    like = options.get("like", "")
    if not wanted:
        if like:
            raise ConfigError("--option like=SOURCE is of no use without --harmonise.")
        return imported
    words = find_source(like) if like else source
    imported = harmonise(imported, words)
    shared = {target.name for target in words.targets}
    unshared = [name for name in entries(options.get("targets", "")) if name not in shared]
    notes = [f"{listed(unshared)}: not a target of {words.title}, name kept."] if unshared else []
    return replace(imported, notes=(*imported.notes, *notes))


def _placed(frame: pl.DataFrame, source: Source, options: Mapping[str, str]) -> pl.DataFrame:
    """The frame with its cohort and its cases as asked for, and no column that is not declared."""
    if source.tables:
        declared = {*(target.name for target in source.targets), *(source.attributes or {})}
        declared |= {*RESERVED, source.class_column} - {""}
        frame = frame.select(name for name in frame.columns if name in declared)
    if options["cohort"]:
        frame = frame.with_columns(cohort=pl.lit(options["cohort"]))
    elif "cohort" not in frame.columns:
        frame = frame.with_columns(cohort=pl.lit(source.name))
    if options["case"] == "image":
        frame = frame.with_columns(case_id=pl.col("image_id"))
    return frame


def _with_owners(imported: ImportedSource) -> ImportedSource:
    """Cases of one patient each: a case that names several becomes one per patient."""
    frame = imported.frame
    shared = frame.filter(pl.col("patient_id").n_unique().over("case_id") > 1)
    if shared.is_empty():
        return imported
    parted = pl.concat_str("case_id", pl.lit("_"), "patient_id")
    torn = pl.col("case_id").is_in(shared["case_id"].unique().implode())
    frame = frame.with_columns(pl.when(torn).then(parted).otherwise("case_id").alias("case_id"))
    note = (
        f"{plural(shared['case_id'].n_unique(), 'case')} of several patients "
        f"({plural(len(shared), 'image')}): grouped by case and patient."
    )
    return replace(imported, frame=frame, notes=(*imported.notes, note))


def _with_views(found: ImportedSource, source: Source, views: Sequence[str]) -> ImportedSource:
    if not views:
        return found
    there = found.frame["view"].drop_nulls() if "view" in found.frame.columns else pl.Series([""])
    values = sorted(set(there.to_list()) - {""})
    faults: list[str] = []
    for view in (view for view in views if view not in values):
        same = [name for name in values if name.lower() == view.lower()]
        near = f"Did you mean '{same[0]}'?" if same else suggestion(view, values)
        faults.append(f"view '{view}' is not in it. {near}".rstrip(". "))
    if faults:
        advice = f"Its views: {listed(values, 20) or 'none'}."
        raise ConfigError(fault_list(f"{source.title} cannot be cut to views", faults, advice))
    kept = found.frame.filter(pl.col("view").is_in(list(views)).fill_null(value=False))
    text = kept_text(len(kept), len(found.frame), f"view = {' or '.join(views)}")
    return replace(found, frame=kept, kept=(*found.kept, text))


def _with_splits(found: ImportedSource, wanted: str) -> ImportedSource:
    """The official split, made whole: `tune` is drawn where it has none, or the column goes."""
    frame = found.frame
    if "split" not in frame.columns:
        return found
    if wanted == "none":
        return replace(found, frame=frame.drop("split"))
    there = set(frame["split"].drop_nulls().to_list())
    notes = found.notes
    if there == {"train", "test"}:
        frame, drawn = _with_tune(frame)
        notes = (*notes, f"The official split has no tuning part: {drawn} of train became tune.")
        there = set(frame["split"].to_list())
    if there != set(SPLITS) or frame["split"].null_count():
        some = ", ".join(name for name in SPLITS if name in there) or "none"
        split_note = (
            f"The official split is not whole here ({some}): it is left out, and the study draws "
            "its own by patient."
        )
        return replace(found, frame=frame.drop("split"), notes=(*notes, split_note))
    return replace(found, frame=frame, notes=notes)


def _with_tune(frame: pl.DataFrame) -> tuple[pl.DataFrame, str]:
    """A fixed share of the training patients, at least one, by their id alone, as `tune`."""
    patients = frame.filter(pl.col("split") == "train")["patient_id"].unique().sort()
    keys = text_keys(patients.to_list())
    draws = uniforms(0, "official tune", np.zeros(len(keys), np.int64), keys)
    chosen = patients.filter(pl.Series(draws <= max(TUNE_SHARE, draws.min())))
    tuned = pl.col("patient_id").is_in(chosen.implode()) & (pl.col("split") == "train")
    frame = frame.with_columns(split=pl.when(tuned).then(pl.lit("tune")).otherwise("split"))
    return frame, plural(len(chosen), "patient")
