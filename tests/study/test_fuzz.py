"""A search with hypothesis over study files, tables and study folders: nothing but errors of the
tree, within seconds and little memory."""

import contextlib
import io
import json
import os
import resource
import shutil
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.in_process import run_here

from medtransfer.errors import MedTransferError
from medtransfer.integrity.fsck import fsck
from medtransfer.report.page import write_report
from medtransfer.study.config import Study
from medtransfer.study.yaml_file import read_pretrain, read_study
from medtransfer.tables.manifest import read_manifest
from medtransfer.tables.other_predictions import read_other_predictions

SOAK = bool(os.environ.get("SOAK"))
SECONDS = 60.0
"""Longest time of one example, on a machine that does other things too."""
EXAMPLES = 3000 if SOAK else 150
SEARCH = settings(
    deadline=None,
    max_examples=EXAMPLES,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.filter_too_much,
    ],
)
GOOD: dict[str, Any] = {
    "name": "chest",
    "data": {
        "manifest": "chest.csv",
        "task": "multi-label",
        "targets": ["Edema", "Effusion"],
        "attributes": ["sex"],
        "image": {"resize": 36, "crop": 32},
        "split": {"train_cohorts": ["north"], "tune_fraction": 0.2},
    },
    "rungs": ["scratch/r14x1", {"rung": "imagenet/effnet-lite0", "training": {"steps": 90}}],
    "label_fractions": [1.0, 0.1],
    "seeds": [0, 1],
    "sweep": {"learning_rates": [0.1, 0.01]},
    "training": {"batch_size": 8, "steps": 20, "checks": 2, "tuning": {"mode": "full"}},
    "evaluation": {"replicates": 30, "operating_points": ["sens90"]},
    "waive": {"A001": "because I know it"},
}
ODD = (
    "0x" + "f" * 5000,
    "9" * 5001,
    "2001-13-45",
    "2001-01-01",
    "1e999",
    ".nan",
    "-.inf",
    "!!binary 'x'",
    "!!int ''",
    "!!python/object:os.system x",
    "&a [1]",
    "*a",
    "? {}",
    "[" * 500,
    "{a: " * 500,
    "'\\0'",
    "\x00",
    "\x85",
    "\ud7ff",
    "<<: {a: 1}",
    "|2\n   x",
    "190:20:30",
    "~",
    "yes",
    "\u202e",
)


class Bounded:
    """Time and memory of one example."""

    def __enter__(self) -> None:
        self.begin = time.monotonic()
        self.peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def __exit__(self, *_: object) -> None:
        assert time.monotonic() - self.begin < SECONDS
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - self.peak < 2**21  # 2 GiB


def paths(value: object, place: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Every place of a nested value."""
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    else:
        return [place]
    return [place, *(p for key, item in inner for p in paths(item, (*place, key)))]


def with_value(value: Any, place: tuple[Any, ...], new: object) -> Any:
    """A copy of a nested value with one place changed."""
    if not place:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = with_value(value[place[0]], place[1:], new)
    return copy


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


def refused_or_read(read: Any, path: Path) -> None:
    with Bounded():
        try:
            read(path)
        except MedTransferError as error:
            text = str(error)
        else:
            return
    assert len(text) > 20


@pytest.mark.slow
@SEARCH
@given(st.sampled_from(paths(GOOD)), JSON)
def test_a_setting_of_any_value_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, place: tuple[object, ...], value: object
) -> None:
    path = tmp_path_factory.getbasetemp() / "value.yaml"
    path.write_text(yaml.safe_dump(with_value(GOOD, place, value)), "utf-8")
    refused_or_read(read_study, path)
    refused_or_read(read_pretrain, path)


@pytest.mark.slow
@SEARCH
@given(st.integers(0, 2000), st.sampled_from(ODD) | st.text(max_size=40), st.integers(0, 40))
def test_a_study_file_with_anything_in_it_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, odd: str, cut: int
) -> None:
    text = yaml.safe_dump(GOOD, sort_keys=False)
    at %= len(text)
    path = tmp_path_factory.getbasetemp() / "text.yaml"
    path.write_bytes((text[:at] + odd + text[at + cut :]).encode("utf-8", "surrogatepass"))
    refused_or_read(read_study, path)


CELLS = st.text(max_size=12) | st.sampled_from(["1", "0", "-1", "", "NaN", "=1+1", "a", "a.png"])


@pytest.mark.slow
@SEARCH
@given(
    st.lists(
        st.sampled_from(
            ["image_id", "path", "case_id", "patient_id", "cohort", "y", "sex", "split", "frame"]
        )
        | st.text(max_size=8),
        min_size=1,
        max_size=9,
    ),
    st.lists(st.lists(CELLS, max_size=9), max_size=6),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-16", "cp1252", "utf-8-sig"]),
)
def test_a_text_table_of_anything_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    header: list[str],
    rows: list[list[str]],
    separator: str,
    encoding: str,
) -> None:
    path = tmp_path_factory.getbasetemp() / "table.csv"
    lines = [separator.join(cells) for cells in (header, *rows)]
    path.write_bytes("\n".join(lines).encode(encoding, "replace"))
    refused_or_read(lambda p: read_manifest(p, targets=["y"], attributes=["sex"]), path)
    refused_or_read(read_other_predictions, path)


TYPES = (
    pl.Int8(),
    pl.UInt64(),
    pl.Float32(),
    pl.String(),
    pl.Binary(),
    pl.Boolean(),
    pl.Date(),
    pl.Datetime(),
    pl.Duration(),
    pl.Time(),
    pl.Null(),
    pl.List(pl.Int64()),
    pl.Categorical(),
    pl.Struct({"a": pl.Int8()}),
    pl.Decimal(10, 2),
    pl.Array(pl.Float64(), 2),
)
NAMES = "image_id path image case_id patient_id cohort split y sex frame run_id member seed"
COLUMNS = (*NAMES.split(), "target_x", "logit_x", "prob_x", "ood_x")
VALUES = (None, 0, 1, 2.5, "a", b"x", True)


@pytest.mark.slow
@SEARCH
@given(
    st.dictionaries(st.sampled_from(COLUMNS), st.sampled_from(TYPES), min_size=1),
    st.lists(st.sampled_from(VALUES), max_size=4),
)
def test_a_parquet_table_of_any_types_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, schema: dict[str, Any], cells: list[object]
) -> None:
    path = tmp_path_factory.getbasetemp() / "table.parquet"
    stream = io.BytesIO()
    empty = [None] * len(cells)
    columns = {name: pl.Series(name, empty, dtype=kind) for name, kind in schema.items()}
    for name, kind in schema.items():
        with contextlib.suppress(TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
            columns[name] = pl.Series(name, cells, dtype=kind, strict=False)
    try:
        pl.DataFrame(columns).write_parquet(stream)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return  # polars makes columns of objects, which no file holds
    path.write_bytes(stream.getvalue())
    refused_or_read(lambda p: read_manifest(p, targets=["y"], attributes=["sex"]), path)
    refused_or_read(read_other_predictions, path)


@pytest.fixture(scope="module")
def finished(tiny_study: Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished study."""
    training = tiny_study.training.model_copy(update={"steps": 2, "checks": 1})
    study = tiny_study.model_copy(update={"training": training})
    return run_here(study, tmp_path_factory.mktemp("finished") / "s").path


@pytest.mark.slow
@settings(SEARCH, max_examples=EXAMPLES // 5)
@given(st.data())
def test_a_study_folder_with_any_file_spoilt_is_read_or_refused(
    finished: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("spoilt") / "s"
    shutil.copytree(finished, folder)
    names = [p for p in sorted(folder.rglob("*")) if p.is_file() and "cache" not in p.parts]
    path = data.draw(st.sampled_from(names))
    if path.suffix == ".json" and data.draw(st.booleans()):
        content = json.loads(path.read_text("utf-8"))
        place = data.draw(st.sampled_from(paths(content)))
        path.write_text(json.dumps(with_value(content, place, data.draw(JSON))), "utf-8")
    else:
        raw = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
        path.write_bytes(bytes(raw))
    refused_or_read(fsck, folder)
    refused_or_read(write_report, folder)
    shutil.rmtree(folder.parent)
