"""Nothing that could name a patient leaves the tables that are marked as sensitive."""

import io
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

SENSITIVE = {"predictions.parquet", "images.parquet"}
"""Tables that carry ids, by name; docs/explanation/privacy.md lists them."""
CANARIES = ("DOE^JANE", "MRN-4711", "case-jane", "jane-doe-film")


@pytest.fixture
def canaries(phantom_folder: Path, tmp_path: Path) -> Path:
    """A manifest whose every id and path is a canary, and one image is damaged."""
    table = pl.read_parquet(phantom_folder / "radiograph.parquet").head(40)
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    rows = table.with_row_index("n")
    for row in rows.iter_rows(named=True):
        (folder / "images" / f"jane-doe-film-{row['n']}.png").write_bytes(row["image"])
    rows.select(
        image_id=pl.format("jane-doe-film-{}", "n"),
        path=pl.format("images/jane-doe-film-{}.png", "n"),
        case_id=pl.format("case-jane-{}", "case_id"),
        patient_id=pl.format("DOE^JANE MRN-4711 {}", "patient_id"),
        cohort=pl.lit("north"),
        opacity="opacity",
        sex="sex",
    ).write_csv(folder / "chest.csv")
    (tmp_path / "study.yaml").write_text(
        """\
name: private
data:
  manifest: data/chest.csv
  task: binary
  targets: [opacity]
  attributes: [sex]
  image: {resize: 36, crop: 32}
rungs: [scratch/r14x0.5]
seeds: [0]
training: {batch_size: 8, steps: 2, checks: 1}
evaluation: {replicates: 30, permutations: 10}
"""
    )
    return tmp_path


def called(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "medtransfer", *words],
        cwd=folder, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    return f"{done.returncode}\n{done.stdout}\n{done.stderr}"


def leaks(text: str) -> list[str]:
    return [canary for canary in CANARIES if canary in text]


def test_no_canary_is_in_any_output_but_the_sensitive_tables(canaries: Path) -> None:
    for words in (["check", "study.yaml"], ["run", "study.yaml"], ["status"], ["report"]):
        said = called(canaries, *words)
        assert said.startswith("0\n"), said
        assert not leaks(said), words
    written = [p for p in (canaries / "studies").rglob("*") if p.is_file()]
    assert len(written) > 15
    for path in written:
        if path.name in SENSITIVE or path.suffix == ".npy":
            continue
        content = path.read_bytes()
        text = content.decode("latin-1")
        if path.suffix == ".parquet":
            text += str(pl.read_parquet(io.BytesIO(content)).to_dicts())
        assert not leaks(text), path.name


@pytest.mark.parametrize("damage", ["missing", "truncated", "html", "label", "twice", "leak"])
def test_errors_name_rows_and_no_patient(canaries: Path, damage: str) -> None:
    manifest = canaries / "data" / "chest.csv"
    picture = canaries / "data" / "images" / "jane-doe-film-3.png"
    table = pl.read_csv(manifest, infer_schema=False)
    match damage:
        case "missing":
            picture.unlink()
        case "truncated":
            picture.write_bytes(picture.read_bytes()[:400])
        case "html":
            picture.write_text("<!DOCTYPE html><html>DOE^JANE</html>")
        case "label":
            table = table.with_columns(opacity=pl.lit("yes"))
        case "twice":
            table = pl.concat([table, table.head(1)])
        case _:
            first = table["image_id"][0]
            twin = canaries / "data" / "images" / f"{first}.png"
            for name in table["image_id"].tail(20):
                (twin.parent / f"{name}.png").write_bytes(twin.read_bytes())
    table.write_csv(manifest)
    said = called(canaries, "run", "study.yaml")
    assert said.startswith("2\n"), said
    assert "row" in said or "A002" in said
    assert not leaks(said)
    assert "Traceback" not in said


def test_pictures_are_only_in_the_cache(canaries: Path) -> None:
    called(canaries, "run", "study.yaml")
    for path in (canaries / "studies").rglob("*"):
        if path.is_file() and "cache" not in path.parts:
            head = path.read_bytes()[:8]
            assert not head.startswith((b"\x89PNG", b"\xff\xd8"))
            with pytest.raises(OSError):
                Image.open(path)
