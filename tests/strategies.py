"""Hypothesis strategies for what the bottom rooms are given: ids, cells, manifests, images."""

import re
from pathlib import Path

import numpy as np
import polars as pl
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from medtransfer.data.config import DataConfig
from medtransfer.tables.manifest import Manifest

FEW = settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
"""For laws that touch the disk or thousands of rows."""
SAME = settings(FEW, derandomize=True)
"""For laws with a statistical tolerance: the same examples every time."""

UNSHOWABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufdd0-\ufdef\ufffe\uffff]"
)
"""What no id holds, written for Python's patterns."""

AWKWARD = (
    "007",
    "0",
    "00",
    "1e5",
    "1.0",
    "NaN",
    "null",
    "None",
    "true",
    "-1",
    "Müller",
    "患者７",
    "a,b",
    'say "x"',
    "two\nlines",
    "semi;colon",
    "it's",
    "tab\there",
    "x" * 300,
    "é",
    "e\u0301",
    "back\\slash",
    "#1",
    "-1_a.png",
    "+",
    "=1+1",
    "@b.png",
    "'quoted",
    "'=1",
    "''-2",
    "<b>",
    "[red]",
    "{x}",
    "%s",
)
"""Ids that a careless reader changes."""

_solid = st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"))
_inside = st.one_of(_solid, st.sampled_from(" ,\"'\n;\t|"))


def ids() -> st.SearchStrategy[str]:
    """Text ids: leading zeros, other alphabets, quotes; no blanks around them, no controls."""
    free = st.builds(
        lambda first, middle, last: first + middle + last,
        _solid,
        st.text(_inside, max_size=9),
        _solid,
    )
    return st.one_of(st.sampled_from(AWKWARD), _solid, free).filter(
        lambda text: UNSHOWABLE.search(text) is None
    )


def label_cells() -> st.SearchStrategy[str]:
    """Every spelling of a label cell that is allowed."""
    return st.sampled_from(["1", "0", "-1", "", " ", "1.0", "0.0", "-1.0", " 1 ", "0.000"])


def finite() -> st.SearchStrategy[float]:
    """Any finite number."""
    return st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def manifests(
    draw: st.DrawFn,
    patients: tuple[int, int] = (3, 40),
    targets: int = 1,
    cohorts: int = 1,
    lesions: int = 0,
) -> Manifest:
    """A manifest in memory: patients with 1 to 3 cases of 1 to 2 images.

    Args:
        draw: Given by hypothesis.
        patients: Fewest and most patients.
        targets: Columns ``t0``, ``t1``, … of 1, 0, -1 and empty cells.
        cohorts: Most cohorts, ``A``, ``B``, …; a patient stays in one.
        lesions: Most values of a column `lesion` that patients share at random; 0 leaves it out.
    """
    count = draw(st.integers(*patients))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rates = rng.choice([0.03, 0.1, 0.3, 0.6], targets)
    rows: list[dict[str, str | None]] = []
    for patient in range(count):
        cohort = "ABCDEF"[rng.integers(cohorts)]
        for case in range(rng.integers(1, 4)):
            labels = {
                f"t{i}": str(rng.choice(["-1", ""])) if rng.random() < 0.1 else str(int(positive))
                for i, positive in enumerate(rng.random(targets) < rates)
            }
            lesion = {"lesion": f"L{rng.integers(lesions or 1)}" if rng.random() < 0.5 else None}
            for image in range(rng.integers(1, 3)):
                name = f"{patient:03d}-{case}-{image}"
                rows.append(
                    {
                        "image_id": name,
                        "path": f"{name}.png",
                        "case_id": f"{patient:03d}-{case}",
                        "patient_id": f"{patient:03d}",
                        "cohort": cohort,
                        **labels,
                        **(lesion if lesions else {}),
                    }
                )
    return manifest_of(pl.DataFrame(rows))


def manifest_of(frame: pl.DataFrame) -> Manifest:
    """A manifest that was never a file."""
    frame = frame.sort("image_id").with_row_index("row", offset=1).cast({"row": pl.Int64})
    return Manifest(frame, Path("manifest.parquet"), Path("/nowhere"), embedded=False)


def question(*targets: str, **split: object) -> DataConfig:
    """A data configuration that asks for some targets; `split` as in `SplitConfig`."""
    task = "binary" if len(targets) == 1 else "multi-label"
    return DataConfig.model_validate(
        {"manifest": "manifest.parquet", "task": task, "targets": list(targets), "split": split}
    )


def pixels(
    dtype: type[np.uint8] | type[np.uint16] = np.uint8, colour: bool | None = None
) -> st.SearchStrategy[NDArray[np.uint8 | np.uint16]]:
    """Grey or RGB pixels, 1 to 24 a side."""
    side = st.integers(1, 24)
    grey = st.tuples(side, side)
    rgb = st.tuples(side, side, st.just(3))
    shape = st.one_of(grey, rgb) if colour is None else (rgb if colour else grey)
    return npst.arrays(dtype, shape)
