"""A hospital's export goes through every command; nothing leaves but what was asked for by name.

Every cell, header, file and folder of the export holds a canary. What is asked for, the label, the
sex, the cohort's name and the options, has none.
"""

import io
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from medtransfer.cli import main as command_line
from medtransfer.data.sources import import_source
from tests.in_process import no_worker

CANARY = re.compile(r"qzv|02\.1903|\b1903 ", re.IGNORECASE)
"""Names, ids and texts hold ``Qzv``, dates are of February 1903."""
SENSITIVE = {"predictions.parquet", "images.parquet", "facts.parquet", "trained_on.parquet"}
BITS = {".npy", ".safetensors"}
"""Files of numbers, which hold any three letters by chance."""
COUNT = 60
ROOT = ("--image-root", "export")
HEADERLESS = "Karl Qzvmann;17.02.1903;MRN-QZV-0001;film qzv 0.png;1"
COLUMNS = "path=Datei,patient_id=Fallnummer,sex=Geschlecht,pneumonia=Pneumonie"
STUDY = """\
name: wards
data:
  manifest: {manifest}
  image_root: export
  task: binary
  targets: [pneumonia]
  attributes: [{attributes}]
  image: {{resize: 36, crop: 32}}
  split: {{train_cohorts: [north]}}
rungs: [scratch/r14x0.5]
seeds: [0]
training: {{batch_size: 8, steps: 2, checks: 1}}
evaluation: {{replicates: 30, permutations: 10}}
"""


@dataclass
class Hospital:
    """An export, and the command line in the folder that holds it.

    Attributes:
        folder: Working folder.
        printed: Everything that was printed.
    """

    folder: Path
    call: Callable[[Sequence[str]], tuple[int, str]]
    printed: list[str] = field(default_factory=list[str])

    def __call__(self, *words: str, code: int | None = 0) -> str:
        """Call a command; its output must hold no canary and its exit code be the given one."""
        ended, text = self.call(words)
        # what the user typed may be said again
        parts = [part for word in words for part in word.split("=")]
        for typed in (*words, *parts):
            text = text.replace(typed, "")
        assert not CANARY.search(text), (words, CANARY.findall(text), text)
        assert "Traceback" not in text, (words, text)
        assert code is None or ended == code, (words, ended, text)
        self.printed.append(text)
        return text

    def written_texts(self) -> dict[str, str]:
        """Every file below ``out`` that is not marked as sensitive, as text."""
        texts: dict[str, str] = {}
        for path in sorted((self.folder / "out").rglob("*")):
            if not path.is_file() or path.name in SENSITIVE or path.suffix in BITS:
                continue
            content = path.read_bytes()
            text = content.decode("latin-1")
            if path.suffix == ".parquet":
                text = str(pl.read_parquet(io.BytesIO(content)).to_dicts())
            texts[str(path.relative_to(self.folder))] = text
        return texts


def export(folder: Path, films: Sequence[bytes], name: str = "liste.csv") -> pl.DataFrame:
    """Write an export in German: films in a folder for each patient, and a table of them."""
    rows: list[dict[str, str]] = []
    for n, film in enumerate(films):
        path = folder / f"Qzvinska_Karla_{n}" / f"film qzv 17.02.1903 {n}.png"
        path.parent.mkdir(parents=True)
        path.write_bytes(film)
        rows.append(
            {
                "Nachname": f"Qzvinska{'abcdefghij'[n % 10]}",
                "Vorname": f"Qzv{n}",
                "Geburtsdatum": f"{1 + n % 28:02}.02.1903",
                "Fallnummer": f"MRN-QZV-{n:04}",
                "Zuweiser": f"Dr. Qzv{'amnt'[n % 4]}er",
                "Station": f"Ward {'ABCD'[n % 4]}",
                "Telefon": f"+49 1903 {n:06}",
                "Bemerkung": f"Herr Qzvmann stürzte am 17.02.1903 zum {n}. Mal von der Leiter",
                "Geschlecht": "wm"[n % 2] if n % 15 else "Qzvinska",
                "Befund": "ja" if n % 3 else "nein",
                "Pneumonie": str(n % 2),
                "Datei": path.relative_to(folder).as_posix(),
                "Karla Qzvinska 17.02.1903": str(n % 2),
            }
        )
    frame = pl.DataFrame(rows)
    (folder / name).write_text(frame.write_csv(separator=";"), "utf-8")
    return frame


@pytest.fixture
def hospital(
    phantom_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Hospital:
    films = pl.read_parquet(phantom_folder / "radiograph.parquet")["image"].head(COUNT)
    export(tmp_path / "export", films.to_list())
    export(tmp_path / "other", films.to_list()[::-1])

    def call(words: Sequence[str]) -> tuple[int, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["medtransfer", *words])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        printed = capfd.readouterr()
        number = ended.value.code
        return number if isinstance(number, int) else 0, printed.out + printed.err

    return Hospital(tmp_path, call)


def imported(hospital: Hospital, source: str = "export", cohort: str = "north") -> str:
    """Import an export; the manifest's path."""
    out = f"data/{cohort}.csv"
    options = ("--option", "targets=pneumonia", "--option", f"cohort={cohort}")
    hospital("import", "csv", source, "--out", out, "--columns", COLUMNS, *options)
    return out


def written_study(hospital: Hospital, manifest: str, attributes: str = "sex") -> str:
    text = STUDY.format(manifest=manifest, attributes=attributes)
    (hospital.folder / "study.yaml").write_text(text)
    return "study.yaml"


def test_import_join_init_and_check_print_no_canary(hospital: Hospital) -> None:
    north, south = imported(hospital), imported(hospital, "other", "south")
    columns = pl.read_csv(hospital.folder / north).columns
    assert "Nachname" not in columns
    hospital(
        "join", north, south, "--out", "data/both.csv", *ROOT, "--image-root", "other", code=None
    )
    hospital("join", north, north, "--out", "data/twice.csv", code=2)
    hospital("init", north, "--out", "out/drafted.yaml")
    drafted = (hospital.folder / "out/drafted.yaml").read_text()
    assert not CANARY.search(drafted)
    hospital("check", north, *ROOT, "--out", "out/check", code=None)
    hospital("check", north, *ROOT, "--out", "out/check", "--json", code=None)
    for name, text in hospital.written_texts().items():
        assert not CANARY.search(text), name


def test_with_all_columns_kept_persons_are_found_and_none_is_printed(hospital: Hospital) -> None:
    keep = ("--option", "targets=pneumonia", "--option", "others=keep", "--option", "cohort=north")
    hospital("import", "csv", "export", "--out", "data/all.csv", "--columns", COLUMNS, *keep)
    text = hospital("init", "data/all.csv", "--out", "out/drafted.yaml")
    assert "may name a person: 'Nachname' is named like a name; 'Zuweiser'" in text, text
    drafted = (hospital.folder / "out/drafted.yaml").read_text()
    assert not CANARY.search(drafted)
    assert "Zuweiser" not in drafted
    found = hospital("check", "data/all.csv", *ROOT, "--out", "out/check", code=None)
    for column in ("Nachname", "Geburtsdatum", "Zuweiser", "Telefon", "Bemerkung"):
        assert f"'{column}'" in found
    assert "P003" in found
    for attribute in ("Zuweiser", "Nachname", "Geburtsdatum"):
        study = written_study(hospital, "data/all.csv", attribute)
        assert "P005 error" in hospital("check", study, "--out", "out/study", code=2)
        assert "P005" in hospital("run", study, "--out", "out/study", code=2)
    for name, content in hospital.written_texts().items():
        assert not CANARY.search(content), name


WRONG = (
    (),
    ("--columns", "path=Datei"),
    ("--columns", "path=Datum,patient_id=Fallnummer"),
    ("--columns", COLUMNS, "--option", "targets=Befund"),
    ("--columns", COLUMNS, "--option", "targets=sex"),
    ("--columns", COLUMNS, "--option", "targets=Nachname"),
    ("--columns", COLUMNS, "--option", "findings=Bemerkung"),
    ("--columns", COLUMNS, "--option", "findings=Nachname"),
    ("--columns", f"{COLUMNS},split=Station"),
    ("--columns", f"{COLUMNS},cohort=Zuweiser"),
    ("--columns", f"{COLUMNS},age=Geburtsdatum"),
    ("--columns", f"{COLUMNS},case_id=Nachname"),
    ("--columns", f"{COLUMNS},fitzpatrick=Vorname,view=Nachname,laterality=Vorname"),
    ("--columns", COLUMNS, "--option", "empty=Station=x"),
    ("--columns", COLUMNS, "--values", "sex=x:F"),
    ("--columns", COLUMNS, "--values", "Befund=ja:1,nein:0", "--option", "targets=Befund"),
    ("--columns", COLUMNS, "--option", "delimiter=comma"),
    ("--columns", COLUMNS, "--option", "encoding=utf-16"),
    ("--columns", COLUMNS, "--option", "table=none.csv"),
    ("--columns", COLUMNS, "--option", "images=nowhere"),
    ("--columns", COLUMNS, "--view", "PA"),
)


@pytest.mark.slow
@pytest.mark.parametrize("options", WRONG, ids=lambda options: " ".join(options)[-40:])
def test_options_that_do_not_fit_print_no_canary(
    hospital: Hospital, options: Sequence[str]
) -> None:
    hospital("import", "csv", "export", "--out", "data/m.csv", *options, code=None)
    if (hospital.folder / "data/m.csv").is_file():
        hospital("init", "data/m.csv", "--out", "out/s.yaml", code=None)
        hospital("check", "data/m.csv", *ROOT, "--out", "out/check", code=None)
    assert not any(CANARY.search(text) for text in hospital.written_texts().values())


def test_tables_without_a_header_and_tables_that_are_no_manifest_print_no_canary(
    hospital: Hospital,
) -> None:
    bare = hospital.folder / "bare"
    bare.mkdir()
    (bare / "t.csv").write_text("\n".join([HEADERLESS] * 30))
    hospital("import", "csv", "bare", "--out", "data/m.csv", code=2)
    hospital("import", "csv", "bare", "--out", "data/m.csv", "--columns", "path=file", code=2)
    for table in ("bare/t.csv", "export/liste.csv"):
        hospital("init", table, code=2)
        hospital("check", table, code=2)
        hospital("join", table, table, code=2)
        hospital("evaluate", table, "--out", "out/e", code=2)
        hospital("size", table, code=None)
        hospital("savings", table, "--reference", "x", code=2)
    hospital("import", "folder", "export", "--out", "data/f.csv", code=None)
    hospital("import", "folder", "export", "--option", r"patient=^(\d+)_", code=2)
    hospital("import", "padchest", "export", code=2)
    hospital("status", "export", code=2)
    hospital("fsck", "export", code=None)
    hospital("report", "export", code=2)
    hospital("rank", "export", code=2)


def test_damaged_files_print_no_canary(hospital: Hospital) -> None:
    manifest = imported(hospital)
    study = written_study(hospital, manifest)
    film = sorted((hospital.folder / "export").rglob("*.png"))
    film[0].write_bytes(film[0].read_bytes()[:300])
    film[1].write_text("<html>Qzvinska</html>")
    film[2].unlink()
    for command in ("check", "prepare", "run"):
        hospital(command, study, "--out", "out/study", code=2)
    hospital("check", manifest, *ROOT, "--out", "out/check", code=2)
    assert not any(CANARY.search(text) for text in hospital.written_texts().values())


def test_a_traceback_holds_no_cell(hospital: Hospital, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "".join(("Q", "z", "v"))  # a traceback quotes the lines of the program

    def fail(*_args: object, **_more: object) -> None:
        try:
            raise KeyError(name)
        except KeyError as error:
            raise ValueError(f"could not convert '{name}' to float") from error

    monkeypatch.setattr(import_source, "import_source", fail)
    code, text = hospital.call(["import", "csv", "export"])
    assert code == 1
    assert not CANARY.search(text)
    assert "ValueError" in text
    assert "KeyError" in text
    assert "in fail" in text


@pytest.mark.slow
def test_a_study_and_its_evaluation_leave_no_canary(hospital: Hospital) -> None:
    study = written_study(hospital, imported(hospital))
    place = ("--out", "out/study")
    with no_worker():
        hospital("check", study, *place)
        hospital("prepare", study, *place)
        hospital("run", study, *place, "--json")
        hospital("run", study, *place)
    for words in (["status"], ["status", "--json"], ["report"], ["fsck"], ["rank"]):
        hospital(words[0], "out/study", *words[1:], code=None)
    hospital("size", "out/study", code=None)
    predictions = "out/study/predictions.parquet"
    hospital("evaluate", predictions, "--out", "out/evaluation", "--manifest", "data/north.csv")
    keep = ("--option", "targets=pneumonia", "--option", "others=keep")
    hospital("import", "csv", "export", "--out", "data/all.csv", "--columns", COLUMNS, *keep)
    with_all = ("evaluate", predictions, "--out", "out/other", "--manifest", "data/all.csv")
    hospital(*with_all)
    hospital(*with_all, "--json")
    hospital(*with_all, "--attributes", "Station")
    for wrong in ("Zuweiser", "Nachname", "Geburtsdatum", "patient_id", "nothing"):
        hospital(*with_all, "--attributes", wrong, code=2)
    hospital(*with_all, "--columns", "case_id=patient_id,target_x=logit_pneumonia", code=2)
    for folder in ("out/study", "out/evaluation", "out/other"):
        page = (hospital.folder / folder / "report.html").read_text()
        assert "none is on it." in page
    for name, text in hospital.written_texts().items():
        if not name.startswith("out/other"):  # stations were asked for by name
            assert not CANARY.search(text), name
    for path in (hospital.folder / "out").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.slow
def test_commands_after_a_study_leave_no_canary(hospital: Hospital) -> None:
    manifest = imported(hospital)
    study = written_study(hospital, manifest)
    place, bundle = ("--out", "out/study"), "out/net.medt"
    with no_worker():
        hospital("plan", study, *place)
        hospital("run", study, *place)
        hospital("drift", "out/study", code=None)
    for words in (
        ("logs", "out/study"),
        ("cancel", "out/study"),
        ("retry", "out/study"),
        ("gc", "out/study"),
        ("recommend", "out/study"),
        ("export-log", "out/study", "--out", "out/log"),
        ("leaderboard", "out/study", "--out", "out/board"),
        ("watch", "nowhere"),
        ("serve", bundle, "--port", "0", "--trusted", "none"),
    ):
        hospital(*words, code=None)
    hospital("forget", "out/study", "--patient", "MRN-QZV-0001", code=None)
    hospital("forget", "out/study", "--patient", "MRN-QZV-9999", code=None)
    hospital("export", "out/study", "--out", bundle)
    hospital("show", bundle)
    # predictions are of cases and name them: they lie where the manifest lies
    root = ("--image-root", "export")
    hospital("predict", bundle, manifest, "--out", "data/p.csv", code=None)
    hospital("predict", bundle, "export", "--out", "data/files.csv", code=None)
    hospital("validate", bundle, manifest, "--out", "out/valid", *root, code=None)
    hospital("validate", bundle, "data/south.csv", "--out", "out/valid", code=2)
    hospital("adapt", bundle, manifest, "--out", "out/here.medt", *root, code=None)
    south = imported(hospital, "other", "south")
    words = ("--values", "sex=F:M", "--attributes", "sex")
    south_root = ("--image-root", "other")
    hospital("validate", bundle, south, "--out", "out/valid", *south_root, *words, code=None)
    hospital("monitor", bundle, "data/files.csv", "--out", "out/monitor", code=None)
    hospital("monitor", bundle, "data/files.csv", "--labels", "export/liste.csv", code=2)
    hospital("features", "scratch/r14x0.5", manifest, *root, "--out", "data/f.parquet", code=None)
    hospital("compare", "out/study", "out/study", "--out", "out/compared", code=None)
    hospital("gallery", "out/study", "--out", "data/gallery", code=None)
    hospital("auto", manifest, *root, "--out", "out/auto", "--hours", "x", code=2)
    for name, text in hospital.written_texts().items():
        assert not CANARY.search(text), name
