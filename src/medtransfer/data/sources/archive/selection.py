"""Selection of the images of an export: what is left out, why, and how much of it."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl
from pydicom import uid as pydicom_uid
from pydicom.uid import UID

from medtransfer.data.images.dicom.header import DIRECTORY, INTENTS, MODALITIES
from medtransfer.data.sources.archive.headers import (
    BROKEN,
    FILE,
    OTHER,
    OUTSIDE,
    PIXELS,
    STATUS,
)
from medtransfer.data.sources.column_mapping import entries
from medtransfer.errors import ConfigError, fault_list, listed, plural, suggestion
from medtransfer.tables.values.missing_words import value_counts

STORAGE = "1.2.840.10008.5.1.4.1.1."
SECONDARY_CAPTURE = "secondary captures"
KINDS = {
    re.escape(DIRECTORY) + "$": "lists of files (DICOMDIR)",
    re.escape(STORAGE) + r"11\.": "presentation states",
    re.escape(STORAGE) + r"88\.59$": "key object selections",
    re.escape(STORAGE) + r"88\.": "structured reports",
    re.escape(STORAGE) + r"104\.": "documents",
    re.escape(STORAGE) + r"481\.": "radiotherapy objects",
    re.escape(STORAGE) + r"(?:30|6[678])(?:\.|$)": "segmentations, maps and raw data",
    re.escape(STORAGE) + r"9\.": "waveforms",
    re.escape(STORAGE) + r"7(?:\.|$)": SECONDARY_CAPTURE,
}
"""Patterns of SOP classes that are no images for a study → their kind, the first that fits."""
SCREENS = r"SCREEN|DOSE_INFO|DOSE REPORT|REPORT"
"""Parts of an Image Type that are pictures of a screen."""
VOLUMES = ("CT", "MR", "PT", "NM")
"""Modalities whose images are slices: a study of hundreds is not a case of a few views."""
WHY, MODALITY, INTENT = "_why", "_modality", "_intent"
FAULTY = ("unreadable DICOM files", "DICOM files that are cut off")
"""Reasons of which the files are listed, by number."""
MAX_LISTED_FILES = 200


@dataclass(frozen=True)
class Selection:
    """The images that are kept.

    Attributes:
        frame: Their rows.
        left_out: Numbers of files by reason.
        faulty: Numbers of the files that are broken or cut off.
        notes: Sentences on both.
    """

    frame: pl.DataFrame
    left_out: Mapping[str, int]
    faulty: tuple[int, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Filters:
    """The user's choice of images.

    Attributes:
        modalities: Modalities to keep; all but `VOLUMES` if there are none.
        classes: SOP classes to keep, as identifiers; all if there are none.
        intent: Presentation intent to leave out; empty for none.
        captures: Whether secondary captures are kept.
        burned_in: Whether images are kept that say they have text burned in.
    """

    modalities: tuple[str, ...]
    classes: tuple[str, ...]
    intent: str
    captures: bool
    burned_in: bool


def read_filters(options: Mapping[str, str]) -> Filters:
    """The filters of an import's options.

    Raises:
        ConfigError: A modality or a SOP class is not of the standard; all of them.
    """
    faults: list[str] = []
    modalities = [word.upper() for word in entries(options["modality"])]
    for word in (word for word in modalities if word not in MODALITIES):
        hint = suggestion(word, MODALITIES) or "Examples: DX, CR, MG, US."
        faults.append(f"modality '{word}' is not of the standard. {hint}".removesuffix("."))
    names = _storage_classes()
    classes: list[str] = []
    for word in entries(options["sop_class"]):
        match = [uid for name, uid in names.items() if word in (uid, name)]
        hint = suggestion(word, names)
        if match:
            classes += match
        else:
            faults.append(f"SOP class '{word}' is not of the standard. {hint}".rstrip(". "))
    if faults:
        raise ConfigError(fault_list("The images cannot be chosen so", faults))
    unwanted = {"presentation": "FOR PROCESSING", "processing": "FOR PRESENTATION", "any": ""}
    return Filters(
        tuple(modalities),
        tuple(classes),
        unwanted[options["intent"]],
        options["captures"] == "keep",
        options["burned_in"] == "keep",
    )


def select_images(headers: pl.DataFrame, filters: Filters) -> Selection:
    """The images among the files of an export.

    Args:
        headers: From `headers.read_header_frame`.
        filters: The user's choice.
    """
    frame = headers.with_columns(
        _of_list("Modality", MODALITIES).alias(MODALITY),
        _of_list("PresentationIntentType", INTENTS).alias(INTENT),
    ).with_columns(_why(filters).alias(WHY))
    kept = frame.filter(pl.col(WHY).is_null())
    is_copy = pl.col("SOPInstanceUID").is_not_null() & ~pl.col("SOPInstanceUID").is_first_distinct()
    copies = kept.filter(is_copy)
    kept = kept.filter(~is_copy)
    left_out = value_counts(frame[WHY].drop_nulls())
    if len(copies):
        left_out["copies of an image that is kept (the same SOP Instance UID)"] = len(copies)
    faulty = tuple(frame.filter(pl.col(WHY).is_in(FAULTY))[FILE])
    notes = tuple(_notes(len(frame), kept, left_out, faulty))
    return Selection(kept.drop(WHY), left_out, faulty, notes)


def _storage_classes() -> dict[str, str]:
    """SOP classes of stored objects, by their names in the standard."""
    identifiers = [value for value in vars(pydicom_uid).values() if isinstance(value, UID)]
    return {uid.name: str(uid) for uid in identifiers if uid.startswith(STORAGE)}


def unwanted_kind(uid: str, frames: int, modality: str, filters: Filters) -> str | None:
    """Reason for which an image that an archive offers is not fetched; None if it is.

    Args:
        uid: Its SOP class.
        frames: Its number of frames.
        modality: Modality of its series; empty if the archive does not say.
        filters: The user's choice.
    """
    for pattern, kind in KINDS.items():
        if re.match(pattern, uid) and not (filters.captures and kind == SECONDARY_CAPTURE):
            return kind
    if frames > 1:
        return "files of several frames"
    if filters.modalities and modality and modality not in filters.modalities:
        return "images of another modality"
    if not filters.modalities and modality in VOLUMES:
        return f"slices of {', '.join(VOLUMES)}"
    return "images of another SOP class" if filters.classes and uid not in filters.classes else None


def class_name(uid: str | None) -> str:
    """Name of a SOP class in the standard; a word for others, which must not be quoted."""
    if not uid:
        return "no SOP class"
    name = UID(uid).name
    return "a private SOP class" if name == uid else name


def _of_list(column: str, allowed: Iterable[str]) -> pl.Expr:
    """An entry in capitals if it is of a closed list."""
    text = pl.col(column).str.to_uppercase()
    return pl.when(text.is_in(list(allowed))).then(text)


def _why(filters: Filters) -> pl.Expr:
    """Reason for which a file is left out, the first that holds; null for an image to keep."""
    uid = pl.col("SOPClassUID").fill_null("")
    kinds = [(uid.str.contains("^" + pattern), kind) for pattern, kind in KINDS.items()]
    if filters.captures:
        kinds = [(hit, kind) for hit, kind in kinds if kind != SECONDARY_CAPTURE]
    frames = pl.col("NumberOfFrames").str.extract(r"^\+?0*(\d+)").cast(pl.Int64, strict=False)
    chosen = filters.modalities or tuple(m for m in MODALITIES if m not in VOLUMES)
    reasons: list[tuple[pl.Expr, str]] = [
        (pl.col(STATUS) == OTHER, "files that are not DICOM"),
        (pl.col(STATUS) == OUTSIDE, "links that leave the folder"),
        (pl.col(STATUS) == BROKEN, FAULTY[0]),
        *kinds,
        (pl.col("ImageType").str.contains(SCREENS), "screenshots"),
        (frames > 1, "files of several frames"),
        (pl.col(PIXELS) == "cut", FAULTY[1]),
        ((pl.col(PIXELS) == "none") | pl.col("Rows").is_null(), "objects without pixels"),
    ]
    if not filters.modalities:
        text = f"slices of {', '.join(VOLUMES)}, kept with --option modality=…"
        reasons.append((pl.col(MODALITY).is_in(VOLUMES), text))
    else:
        others = ~pl.col(MODALITY).is_in(chosen).fill_null(value=False)
        reasons.append((others, "images of another modality"))
    if filters.classes:
        others = ~uid.is_in(list(filters.classes))
        reasons.append((others, "images of another SOP class"))
    if filters.intent:
        text = f"images {filters.intent}, kept with --option intent=any"
        reasons.append((pl.col(INTENT) == filters.intent, text))
    if not filters.burned_in:
        marked = pl.col("BurnedInAnnotation").str.to_uppercase() == "YES"
        reasons.append((marked, "images with text burned in"))
    why = pl.when(pl.lit(value=False)).then(pl.lit(""))
    for hit, reason in reasons:
        why = why.when(hit).then(pl.lit(reason))
    return why.otherwise(None)


def _notes(
    total: int, kept: pl.DataFrame, left_out: Mapping[str, int], faulty: tuple[int, ...]
) -> list[str]:
    notes = [f"{plural(total, 'file')}: {plural(len(kept), 'image')} kept."]
    if left_out:
        counts = sorted(left_out.items(), key=lambda item: -item[1])
        notes[0] += f" Left out: {', '.join(f'{reason} ({count:,})' for reason, count in counts)}."
    if faulty:
        numbers = listed(faulty, MAX_LISTED_FILES)
        notes.append(
            f"Broken or cut off: file{'s' * (len(faulty) > 1)} {numbers}, counted from 1 in the "
            "order of their paths (names may hold patients, so they are not printed)."
        )
    if len(kept):
        modalities = value_counts(kept[MODALITY].fill_null("not of the standard"))
        classes: Counter[str] = Counter()
        for uid, count in value_counts(kept["SOPClassUID"].fill_null("")).items():
            classes[class_name(uid)] += count
        notes.append(f"By modality: {_counts(modalities)}. By SOP class: {_counts(classes)}.")
    return notes


def _counts(counts: Mapping[str, int]) -> str:
    """``DX 30, CR 20``, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{word} {count:,}" for word, count in ordered)
