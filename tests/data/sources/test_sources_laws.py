"""What holds for every source: read by key, whole or partial, quiet about patients."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from tests.data.sources import (
    tree_aptos2019,
    tree_bcn20000,
    tree_brax,
    tree_brset,
    tree_busi,
    tree_camelyon17,
    tree_cbis_ddsm,
    tree_cdd_cesm,
    tree_chexpert,
    tree_cmmd,
    tree_csaw_cc,
    tree_csv,
    tree_cxr_lt,
    tree_ddi,
    tree_derm7pt,
    tree_derm12345,
    tree_dicom,
    tree_embed,
    tree_eyepacs,
    tree_fitzpatrick17k,
    tree_folder,
    tree_ham10000,
    tree_inbreast,
    tree_isic2019,
    tree_isic2020,
    tree_isic2024,
    tree_kermany_pneumonia,
    tree_medmnist,
    tree_messidor2,
    tree_mias,
    tree_midas,
    tree_mimic_cxr,
    tree_nih_chestxray14,
    tree_nlbs,
    tree_nlm_tuberculosis,
    tree_openi,
    tree_pad_ufes_20,
    tree_padchest,
    tree_rsna_mammo_2022,
    tree_rsna_pneumonia,
    tree_scin,
    tree_vindr_cxr,
    tree_vindr_mammo,
    tree_vindr_pcxr,
    tree_vindr_physionet,
)
from tests.data.sources.trees import picture, shuffle, without_columns
from tests.strategies import FEW

from medtransfer.data.sources.catalog import SOURCES
from medtransfer.data.sources.download import list_files
from medtransfer.data.sources.import_source import read_source, write_manifest
from medtransfer.data.sources.source import ImportedSource, Table
from medtransfer.errors import TableError
from medtransfer.tables.manifest import RESERVED, read_manifest
from medtransfer.tables.schema import write_frame

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "sources"


@dataclass(frozen=True)
class Case:
    """A source with a small download of it.

    Attributes:
        source: Its name.
        tree: Writes the download.
        options: What is chosen.
        suffix: Tells two cases of one source apart.
    """

    source: str
    tree: ModuleType
    options: Mapping[str, str] = field(default_factory=dict)
    suffix: str = ""

    def read(self, folder: Path) -> ImportedSource:
        return read_source(SOURCES[self.source], folder, self.options)


CASES = [
    Case("chexpert", tree_chexpert),
    Case("nih-chestxray14", tree_nih_chestxray14),
    Case("nih-chestxray14", tree_nih_chestxray14, {"labels": "google"}, "-google"),
    Case("nih-chestxray14", tree_nih_chestxray14, {"labels": "google-all"}, "-google-all"),
    Case("mimic-cxr-jpg", tree_mimic_cxr),
    Case("mimic-cxr-jpg", tree_mimic_cxr, {"labels": "negbio"}, "-negbio"),
    Case("cxr-lt", tree_cxr_lt),
    Case("padchest", tree_padchest),
    Case("rsna-pneumonia", tree_rsna_pneumonia),
    Case("vindr-cxr", tree_vindr_cxr),
    Case("vindr-cxr", tree_vindr_physionet, {"readers": "all"}, "-physionet"),
    Case("vindr-pcxr", tree_vindr_pcxr),
    Case("ham10000", tree_ham10000),
    Case("isic-2019", tree_isic2019),
    Case("isic-2020", tree_isic2020),
    Case("isic-2024", tree_isic2024),
    Case("pad-ufes-20", tree_pad_ufes_20),
    Case("fitzpatrick17k", tree_fitzpatrick17k),
    Case("ddi", tree_ddi),
    Case("derm7pt", tree_derm7pt),
    Case("cbis-ddsm", tree_cbis_ddsm),
    Case("rsna-mammo-2022", tree_rsna_mammo_2022),
    Case("vindr-mammo", tree_vindr_mammo),
    Case("embed", tree_embed),
    Case("mias", tree_mias),
    Case("inbreast", tree_inbreast),
    Case("cmmd", tree_cmmd),
    Case("aptos-2019", tree_aptos2019),
    Case("eyepacs", tree_eyepacs),
    Case("messidor-2", tree_messidor2),
    Case("camelyon17-wilds", tree_camelyon17),
    Case("brax", tree_brax),
    Case("brset", tree_brset),
    Case("open-i", tree_openi),
    Case("cdd-cesm", tree_cdd_cesm),
    Case("nlm-tuberculosis", tree_nlm_tuberculosis),
    Case("csaw-cc", tree_csaw_cc),
    Case("nlbs", tree_nlbs),
    Case("busi", tree_busi),
    Case("kermany-pneumonia", tree_kermany_pneumonia),
    Case("bcn20000", tree_bcn20000),
    Case("derm12345", tree_derm12345),
    Case("midas", tree_midas),
    Case("scin", tree_scin),
    Case("medmnist", tree_medmnist),
    Case("folder", tree_folder),
    Case("csv", tree_csv, tree_csv.OPTIONS),
    Case("dicom", tree_dicom, tree_dicom.OPTIONS),
    Case("dicomweb", tree_dicom, tree_dicom.OPTIONS),
]
NO_ROWS_BUT_IMAGES = (
    *("folder", "cmmd", "nlm-tuberculosis", "busi", "kermany-pneumonia"),
    *("dicom", "dicomweb"),
)
"""Sources whose rows are the files themselves: none can be missing."""
every = pytest.mark.parametrize("case", CASES, ids=lambda case: case.source + case.suffix)


def tables(case: Case, folder: Path) -> list[tuple[Path, str, bool]]:
    """The delimited files of a download, with their separators and whether they have a header."""
    found: list[tuple[Path, str, bool]] = []
    for path in sorted(folder.rglob("*")):
        if path.name.removesuffix(".gz").endswith((".csv", ".txt", ".tsv")):
            known = table_of(case, path)
            if known is None and path.suffix == ".txt":
                continue  # a text in words
            separator, header = (known.separator, known.header) if known else (",", True)
            found.append((path, separator, header))
    return found


def table_of(case: Case, path: Path) -> Table | None:
    for known in SOURCES[case.source].tables:
        names = [name.rsplit("/", 1)[-1] for name in known.files]
        if any(fnmatch(path.name, n) or fnmatch(path.name + ".gz", n) for n in names):
            return known
    return None


def said(found: ImportedSource) -> str:
    return "\n".join([*(join.sentence() for join in found.joins), *found.kept, *found.notes])


def images(folder: Path) -> list[Path]:
    found = list_files(folder)[0]["path"].to_list()
    return [
        folder / name
        for name in found
        if name.lower().endswith((".png", ".jpg", ".jpeg", ".dcm", ".dicom"))
    ]


def test_every_source_has_a_small_download() -> None:
    assert {case.source for case in CASES} == set(SOURCES)


@pytest.mark.slow
@every
def test_what_is_read_is_what_was_read(case: Case, tmp_path: Path) -> None:
    case.tree.write(tmp_path)
    found = case.read(tmp_path)
    golden = GOLDEN / f"{case.source}{case.suffix}.csv"
    frame = found.frame.drop("image", strict=False).with_columns(pl.all().cast(pl.String))
    if not golden.is_file():
        write_frame(frame, golden)
        pytest.fail(f"{golden.name} was written: look at it, and commit it")
    assert_frame_equal(frame, pl.read_csv(golden, infer_schema=False))


@pytest.mark.slow
def test_every_declared_column_is_written_and_no_other(tmp_path: Path) -> None:
    written: dict[str, set[str]] = {}
    for case in CASES:
        folder = tmp_path / (case.source + case.suffix)
        case.tree.write(folder)
        written.setdefault(case.source, set()).update(case.read(folder).frame.columns)
    for name, columns in written.items():
        source = SOURCES[name]
        declared = {*(target.name for target in source.targets), *(source.attributes or {})}
        assert declared <= columns, name
        if source.tables:
            assert columns <= (declared | RESERVED | {source.class_column}) - {""}, name


@pytest.mark.slow
@every
def test_the_manifest_keeps_its_contract_wherever_it_is_written(case: Case, tmp_path: Path) -> None:
    folder = tmp_path / "down load"
    case.tree.write(folder)
    frame = case.read(folder).frame
    for place in (folder, tmp_path, tmp_path / "elsewhere" / "deep"):
        written = write_manifest(frame, folder, place / "manifest.parquet")
        manifest = read_manifest(written.path, image_root=written.image_root)
        assert len(manifest) == len(frame)
        if not manifest.embedded:
            assert all((manifest.root / path).is_file() for path in manifest.frame["path"])


@pytest.mark.slow
@every
@settings(FEW, max_examples=4)
@given(seed=st.integers(0, 10**6))
def test_the_order_of_rows_is_of_no_consequence(
    tmp_path_factory: pytest.TempPathFactory, case: Case, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("download")
    case.tree.write(folder)
    before = case.read(folder)
    for path, separator, header in tables(case, folder):
        shuffle(path, seed, separator, header=header)
    after = case.read(folder)
    assert_frame_equal(after.frame, before.frame)
    assert after.joins == before.joins
    assert after.kept == before.kept


@pytest.mark.slow
@every
def test_a_partial_download_is_accepted_and_its_coverage_said(case: Case, tmp_path: Path) -> None:
    case.tree.write(tmp_path)
    before = case.read(tmp_path)
    if "path" not in before.frame.columns or case.source in NO_ROWS_BUT_IMAGES:
        pytest.skip("the images are the rows themselves")
    gone = before.frame["path"].gather_every(3).to_list()
    for path in gone:
        (tmp_path / path).unlink(missing_ok=True)  # an image may stand in several rows
    picture(tmp_path / "another.png")
    after = case.read(tmp_path)
    assert set(after.frame["path"]) == set(before.frame["path"]) - set(gone)
    files, files_before = (
        next(join for join in found.joins if join.right == "image files")
        for found in (after, before)
    )
    assert files.matched == len(after.frame)
    assert files.left_only == files_before.left_only + len(gone)
    assert any(note.startswith("The download is partial") for note in after.notes)


@pytest.mark.slow
@every
def test_without_any_image_it_is_refused(case: Case, tmp_path: Path) -> None:
    case.tree.write(tmp_path)
    for path in [*images(tmp_path), *tmp_path.glob("*.npz")]:
        path.unlink()
    with pytest.raises(TableError, match=r"image|Image|No .npz"):
        case.read(tmp_path)


@pytest.mark.slow
@every
def test_all_missing_columns_are_named_at_once(case: Case, tmp_path: Path) -> None:
    case.tree.write(tmp_path)
    gone: list[str] = []
    for path, separator, header in tables(case, tmp_path):
        known = table_of(case, path)
        if header and known is not None:
            cut = known.columns[: min(2, len(known.columns) - 1)]  # one column has to stay
            gone += cut
            without_columns(path, cut, separator)
    if not gone:
        pytest.skip("it has no table of its own")
    with pytest.raises(TableError) as error:
        case.read(tmp_path)
    for column in gone:
        assert f"'{column}'" in str(error.value)


@every
def test_nothing_that_is_said_names_a_patient_or_a_file(case: Case, tmp_path: Path) -> None:
    case.tree.write(tmp_path)
    found = case.read(tmp_path)
    (tmp_path / found.frame["path"][0]).unlink() if "path" in found.frame.columns else None
    text = said(case.read(tmp_path)) if case.source != "folder" else said(found)
    for column in ("image_id", "patient_id", "path", "case_id"):
        for value in found.frame[column].to_list() if column in found.frame.columns else []:
            assert len(value) < 5 or value not in text


@pytest.mark.slow
@every
def test_files_that_a_desktop_leaves_behind_are_not_seen(case: Case, tmp_path: Path) -> None:
    case.tree.write(tmp_path)
    before = case.read(tmp_path)
    for path in images(tmp_path):
        picture(path.with_name("._" + path.name))
    assert_frame_equal(case.read(tmp_path).frame, before.frame)
    assert case.read(tmp_path).joins == before.joins


@every
def test_sets_of_breasts_name_the_exam_of_each_image(case: Case, tmp_path: Path) -> None:
    """`data.levels` brings the breasts of an exam together."""
    if SOURCES[case.source].domain != "breast":
        pytest.skip("no set of breasts")
    case.tree.write(tmp_path)
    frame = case.read(tmp_path).frame
    assert frame["exam_id"].null_count() == 0
    assert (frame.group_by("exam_id").agg(pl.col("patient_id").n_unique())["patient_id"] == 1).all()


def test_every_fact_of_a_published_set_says_where_it_was_read() -> None:
    published = [source for source in SOURCES.values() if source.url]
    assert [source.name for source in published if not source.facts_from] == []
    assert len(published) > 40
