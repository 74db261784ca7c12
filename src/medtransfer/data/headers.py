"""What DICOM files say of themselves, and whether two decoders agree about them."""

import numpy as np
import polars as pl

from medtransfer.data.dicom.workers import ask_comparison
from medtransfer.data.findings import Finding, about_rows, enumerated
from medtransfer.data.scan import map_pictures
from medtransfer.errors import ImageError, plural
from medtransfer.seeds import text_keys, uniforms
from medtransfer.tables.manifest import Manifest
from medtransfer.tables.schema import ROW

TEXT_MODALITIES = ("US", "SC", "OT", "XC", "ES")
"""DICOM modalities whose pixels often hold a name: ultrasound, secondary capture, photographs."""
COMPARED = 8
"""Files of each transfer syntax that a second decoder unpacks too."""


def written_files(frame: pl.DataFrame, facts: pl.DataFrame) -> list[Finding]:
    """P004: files whose header says that there is writing in the pixels, or whose modality does.

    ``BurnedInAnnotation = NO`` is not believed: it is often set without anybody having looked.

    Args:
        frame: The manifest's rows.
        facts: From `scan_images`, in the same order.
    """
    rows = frame.select(ROW).hstack(facts.select("modality", "burned_in"))
    said = rows.filter(pl.col("burned_in") == "YES")
    kinds = rows.filter(pl.col("modality").is_in(TEXT_MODALITIES))
    found = [f"{plural(len(said), 'file')} that say so themselves"] if len(said) else []
    counts = kinds.group_by("modality").len().sort("modality").iter_rows()
    found += [f"{plural(count, 'file')} of modality {kind}" for kind, count in counts]
    both = pl.concat([said, kinds])
    return [about_rows("P004", enumerated(found), both)] if found else []


def disagreeing_decoders(
    manifest: Manifest, facts: pl.DataFrame, pixel_limit: int
) -> list[Finding]:
    """C006: files of which a second decoder makes other pixels than the one that is used.

    A few files of each transfer syntax are compared, the same every time; where no second decoder
    is there, none is. Files that cannot be unpacked are found elsewhere.

    Args:
        manifest: The images.
        facts: From `scan_images`.
        pixel_limit: Most pixels an image may claim.
    """
    found: list[str] = []
    rows: list[int] = []
    for name in facts["syntax"].unique().sort():
        looked = _sample(facts, name) if name else []
        apart: list[int] = []
        seconds: set[str] = set()
        for index, said in map_pictures(
            manifest, looked, lambda data, frame: ask_comparison(data, pixel_limit, frame)
        ):
            if not isinstance(said, ImageError) and not said.agrees:
                apart.append(manifest.frame[ROW][index])
                seconds.add(said.second)
        if apart:
            of = f"{len(apart)} of {plural(len(looked), 'file')} compared"
            found.append(f"{name}: {of}, by {' and '.join(sorted(seconds))}")
            rows += apart
    return [Finding("C006", enumerated(found), tuple(sorted(rows)))] if found else []


def _sample(facts: pl.DataFrame, syntax: str) -> list[int]:
    """Positions of a few files of a transfer syntax, drawn by their contents."""
    places = np.flatnonzero((facts["syntax"] == syntax).to_numpy())
    keys = text_keys(facts["sha256"].gather(places))
    draws = uniforms(0, "second decoder", np.zeros(len(places), np.int64), keys)
    return np.sort(places[np.argsort(draws)[:COMPARED]]).tolist()
