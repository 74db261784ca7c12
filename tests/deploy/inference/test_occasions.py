"""Month and device of cases come from columns and headers, and never a day."""

from pathlib import Path

import polars as pl
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from medtransfer.deploy.inference.model import BundleModel
from medtransfer.deploy.inference.occasions import Occasion, header_occasions, table_occasions


@pytest.mark.parametrize(
    ("cell", "month"),
    [
        ("2026-03", "2026-03"),
        ("2026-03-17", "2026-03"),
        ("20260317", "2026-03"),
        ("2026/03/17", "2026-03"),
        ("2026-03-17T08:00", "2026-03"),
        ("2026.03", "2026-03"),
        ("17.03.2026", None),
        ("2026-13", None),
        ("202", None),
        (None, None),
    ],
)
def test_a_date_becomes_a_month_or_nothing(cell: str | None, month: str | None) -> None:
    frame = pl.DataFrame({"Study_Date": [cell]}, schema={"Study_Date": pl.String})
    assert table_occasions(frame) == [Occasion(month)]


def test_the_device_is_its_column_or_else_maker_and_model() -> None:
    frame = pl.DataFrame(
        {
            "maker": ["Agfa", "Agfa", None, None],
            "model": ["DX-D 100", None, "X1", None],
        }
    )
    assert [o.device for o in table_occasions(frame)] == ["Agfa DX-D 100", "Agfa", "X1", None]
    named = frame.with_columns(scanner=pl.Series(["room 1", None, None, None]))
    assert [o.device for o in table_occasions(named)] == ["room 1", "Agfa", "X1", None]
    assert table_occasions(pl.DataFrame({"path": ["a.png"]})) == [Occasion()]


def test_headers_say_month_and_device_and_names_of_persons_are_left_out(tmp_path: Path) -> None:
    data = dcmread(str(get_testdata_file("CT_small.dcm")))
    data.StudyDate, data.Manufacturer = "20260317", "SIEMENS"
    data.ManufacturerModelName = "Mobilett"
    data.save_as(tmp_path / "a.dcm")
    data.ManufacturerModelName, data.StudyDate = "Doe^Jane", ""
    data.save_as(tmp_path / "b.dcm")
    (tmp_path / "c.png").write_bytes(b"no DICOM")
    paths = [tmp_path / name for name in ("a.dcm", "b.dcm", "c.png")]
    assert header_occasions(paths) == [
        Occasion("2026-03", "Siemens MOBILETT"),
        Occasion(None, "Siemens"),
        Occasion(),
    ]


def test_predictions_carry_them_with_brightness_and_contrast(
    bundle_model: BundleModel, phantom_folder: Path, tmp_path: Path
) -> None:
    table = pl.read_parquet(phantom_folder / "lesion.parquet").head(3)
    table = table.with_columns(date=pl.lit("2026-02-01"), scanner=pl.Series(["x", "y", None]))
    table.write_parquet(tmp_path / "few.parquet")
    frame = bundle_model.predict(tmp_path / "few.parquet").frame.sort("case_id")
    expected = table.sort("case_id")
    assert frame["month"].to_list() == ["2026-02"] * 3
    assert frame["device"].to_list() == expected["scanner"].to_list()
    assert frame["brightness"].is_between(0, 1).all()
    assert frame["contrast"].is_between(0, 0.5).all()
    assert frame["brightness"].n_unique() == 3
