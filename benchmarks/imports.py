"""Time and memory of importing the tables of whole public sets, with a file for every row.

    python benchmarks/imports.py [--quick]

(a) PadChest, 160,861 rows of 36 columns: the real table where the package torchxrayvision is
    installed, else one of its size made by rule. Goals: under 15 s and 500 MB.
(b) EMBED, 458,238 images with 155 columns of headers each, and 81,777 findings. Goal: under 1 GB.
(c) 30,000 small PNG files in ten class folders. Goals: under 5 s and 400 MB.
(d) The same files by a hospital's own table (semicolons, German words), and `init` of what was
    written. Goals: under 5 s and 400 MB.

An image file of one byte stands in for each image of (a) and (b). Beside (c) and (d) stands the
time of a plain loop: `os.scandir`, the table by polars, and a join. The import runs in a process
of its own; time is its processor time, memory its peak, from the start of Python to the written
manifest. MB are 10^6 bytes. --quick takes a twentieth of the rows.
"""

import argparse
import gzip
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import polars as pl

from medtransfer.data.images.pictures import encode_png
from medtransfer.data.sources.import_source import import_source
from medtransfer.study.template import draft_study

PADCHEST = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz"
PADCHEST_ROWS, EMBED_ROWS, EMBED_FINDINGS, HEADERS = 160_861, 458_238, 81_777, 155
OWN_FILES, OWN_CLASSES, OWN_PICTURES = 30_000, 10, 40
MAX_SECONDS = {"padchest": 15.0, "folder": 5.0, "csv": 5.0}
MAX_MB = {"padchest": 500.0, "embed": 1000.0, "folder": 400.0, "csv": 400.0}
OPTIONS = {
    "csv": {"columns": "path=Bild,patient_id=Patient,sex=Geschlecht,age=Alter", "targets": "mal"}
}
"""Options of an import."""
QUICK = 20


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a twentieth of the rows")
    parser.add_argument("--only", choices=list(PARTS), action="append", help="one of them; repeat")
    parser.add_argument("--part", choices=list(PARTS), help="one import, in this process")
    parser.add_argument("--folder", type=Path, help="its download")
    options = parser.parse_args()
    if options.part:
        return measure(options.part, options.folder)
    missed: list[str] = []
    for name, write in PARTS.items():
        if options.only and name not in options.only:
            continue
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / name
            write(folder, options.quick)
            arguments = [sys.executable, __file__, "--part", name, "--folder", str(folder)]
            done = subprocess.run(arguments, check=False)
        missed += [name] * (done.returncode != 0)
    print(f"goals missed: {', '.join(missed) or 'none'}")
    return 1 if missed else 0


def measure(name: str, folder: Path) -> int:
    """Import a download, print what it took and the goals; 1 if a goal was missed."""
    written = import_source(
        name, folder, folder.parent / "manifest.parquet", options=OPTIONS.get(name)
    )
    if name == "csv":
        draft_study(written.path)
    seconds = time.process_time()
    megabytes = peak_megabytes()
    if name in ("folder", "csv"):
        plain_loop(folder)
        print(f"{name}: the plain loop takes {time.process_time() - seconds:.2f} s")
    rows = pl.scan_parquet(written.path).select(pl.len()).collect().item()
    most = MAX_SECONDS.get(name, float("inf"))
    goals = [f"{most:.0f} s"] * (name in MAX_SECONDS) + [f"{MAX_MB[name]:,.0f} MB"]
    print(
        f"{name}: {rows:,} images in {seconds:.1f} s, {megabytes:,.0f} MB (goal: under "
        f"{' and '.join(goals)})",
        flush=True,
    )
    return 0 if seconds < most and megabytes < MAX_MB[name] else 1


def peak_megabytes() -> float:
    """Peak memory of this process; `ru_maxrss` would include that of the parent before `exec`."""
    status = Path("/proc/self/status").read_text()
    kilobytes = next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]
    return int(kilobytes) * 1024 / 1e6


def write_padchest(folder: Path, quick: bool) -> None:
    """The real table, or one made by rule, and its images."""
    folder.mkdir(parents=True)
    package = find_spec("torchxrayvision")
    if package is not None and package.origin is not None:
        source = Path(package.origin).parent / "data" / PADCHEST
        table = pl.read_csv(source, infer_schema=False)
    else:
        print("padchest: torchxrayvision is absent, the table is made by rule")
        table = padchest_by_rule(np.random.default_rng(0))
    table = table.head(len(table) // QUICK) if quick else table
    with gzip.open(folder / PADCHEST, "wt", encoding="utf-8", newline="") as file:
        file.write(table.write_csv())
    stand_ins(folder, table.select(pl.concat_str("ImageDir", pl.lit("/"), "ImageID")).to_series())


def padchest_by_rule(rng: np.random.Generator) -> pl.DataFrame:
    """A table with the size of PadChest's."""
    count = PADCHEST_ROWS
    terms = ["normal", "unchanged", "cardiomegaly", "pleural effusion", "nodule", "scoliosis"]
    lists = [repr(list(rng.choice(terms, rng.integers(1, 5), replace=False))) for _ in range(5000)]
    lists = [text.replace("np.str_(", "").replace(")", "") for text in lists]
    study = rng.integers(0, count * 2 // 3, count)
    number = pl.int_range(count, eager=True).cast(pl.String)
    named = {
        "ImageID": number.map_elements(lambda n: f"2168401113669640122838{n:0>30}.png", pl.String),
        "ImageDir": pl.Series(rng.integers(0, 55, count).astype(str)),
        "StudyDate_DICOM": pl.Series(rng.integers(2008, 2018, count).astype(str)) + "0704",
        "StudyID": pl.Series(study).map_elements(lambda n: f"21684011136696{n:0>30}", pl.String),
        "PatientID": pl.Series(study).map_elements(lambda n: f"8468{n:0>30}", pl.String),
        "PatientBirth": pl.Series(rng.integers(1920, 2000, count).astype(str)) + ".0",
        "PatientSex_DICOM": pl.Series(rng.choice(["F", "M"], count)),
        "Projection": pl.Series(rng.choice(["PA", "L", "AP_horizontal"], count)),
        "MethodLabel": pl.Series(rng.choice(["RNN_model", "Physician"], count)),
        "Labels": pl.Series(rng.choice(lists, count)),
        "Report": pl.Series(["radiolog torax sin cambi respect estudi previ " * 5] * count),
    }
    rest = {f"Header {n}": pl.Series(rng.random(count).round(6).astype(str)) for n in range(25)}
    return pl.DataFrame({**named, **rest})


def write_embed(folder: Path, quick: bool) -> None:
    """Tables of EMBED's size and width, and the images."""
    (folder / "tables").mkdir(parents=True)
    rng = np.random.default_rng(0)
    images, findings = (n // (QUICK if quick else 1) for n in (EMBED_ROWS, EMBED_FINDINGS))
    exams = findings * 9 // 10
    exam = np.minimum(np.arange(findings), rng.integers(0, exams, findings))
    patient = exam // 3
    clinical = pl.DataFrame(
        {
            "empi_anon": (60_000_000 + patient).astype(str),
            "acc_anon": (8_000_000_000 + exam).astype(str),
            "study_date_anon": [f"{2013 + n % 8}-03-1{n % 9}" for n in exam],
            "desc": rng.choice(["MG Screening Bilateral", "MG Diagnostic Left w/CAD"], findings),
            "age_at_study": rng.integers(40, 90, findings).astype(str),
            "tissueden": [f"{1 + n % 4}.0" for n in exam],
            "asses": rng.choice(list("ANBPSMK"), findings),
            "side": rng.choice(["L", "R", "B", ""], findings),
            "bside": rng.choice(["L", "R", "", "", "", ""], findings),
            "path_severity": rng.choice(["0.0", "1.0", "4.0", "", "", "", ""], findings),
            "RACE_DESC": rng.choice(["Asian", "Caucasian or White", "Not Recorded"], findings),
            "ETHNIC_GROUP_DESC": rng.choice(["Hispanic or Latino", "Patient Declines"], findings),
        }
    )
    clinical.write_csv(folder / "tables" / "EMBED_OpenData_clinical.csv")
    of_exam = rng.integers(0, exams, images)
    names = [f"1.2.846.113620.2.455.{n:030d}.dcm" for n in range(images)]
    paths = [f"cohort_1/{60_000_000 + e // 3}/{8_000_000_000 + e}" for e in of_exam]
    metadata = pl.DataFrame(
        {
            "empi_anon": (60_000_000 + of_exam // 3).astype(str),
            "acc_anon": (8_000_000_000 + of_exam).astype(str),
            "anon_dicom_path": [
                f"/mnt/NAS2/mammo/anon_dicom/{place}/{name}"
                for place, name in zip(paths, names, strict=True)
            ],
            "FinalImageType": rng.choice(["2D", "2D", "2D", "cview"], images),
            "ImageLateralityFinal": rng.choice(["L", "R"], images),
            "ViewPosition": rng.choice(["CC", "MLO"], images),
            "spot_mag": rng.choice(["0.0", "0.0", "1.0"], images),
            "Manufacturer": rng.choice(["HOLOGIC, Inc.", "GE MEDICAL SYSTEMS"], images),
        }
    )
    shades = pl.Series(rng.integers(0, 4096, images).astype(str))
    metadata = metadata.with_columns(
        shades.alias(f"Header {n}") for n in range(HEADERS - len(metadata.columns))
    )
    metadata.write_csv(folder / "tables" / "EMBED_OpenData_metadata.csv")
    # one folder per thousand images: half a million folders would take the time, not the import
    stand_ins(folder, (f"images/{n // 1000}/{name}" for n, name in enumerate(names)))


def write_folder(folder: Path, quick: bool) -> None:
    """Small pictures in class folders."""
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (OWN_PICTURES, 32, 32), dtype=np.uint8)
    (folder.parent / "pictures").mkdir(parents=True)
    pictures = [folder.parent / "pictures" / f"{number}.png" for number in range(OWN_PICTURES)]
    for picture, grey in zip(pictures, pixels, strict=True):
        picture.write_bytes(encode_png(grey))
    for number in range(OWN_CLASSES):
        (folder / f"class{number}").mkdir(parents=True)
    for number in range(OWN_FILES // (QUICK if quick else 1)):
        path = folder / f"class{number % OWN_CLASSES}" / f"film{number:05d}.png"
        os.link(pictures[number % OWN_PICTURES], path)


def write_csv(folder: Path, quick: bool) -> None:
    """The same files, and a table that names them."""
    write_folder(folder, quick)
    numbers = range(OWN_FILES // (QUICK if quick else 1))
    table = {
        "Bild": [f"class{n % OWN_CLASSES}\\film{n:05d}.PNG" for n in numbers],
        "Patient": [f"{n // 2:05d}" for n in numbers],
        "Geschlecht": [("w", "m")[n // 2 % 2] for n in numbers],
        "Alter": [f"{30 + n // 2 % 50},5" for n in numbers],
        "mal": [str(n % 2) for n in numbers],
        "Befund": ["o.B. Kontrolle in einem Jahr"] * len(numbers),
    }
    pl.DataFrame(table).write_csv(folder / "befunde.csv", separator=";")


def plain_loop(folder: Path) -> pl.DataFrame:
    """What a user would write: the files, the table, and a join."""
    paths = [
        f"{place.name}/{file.name}"
        for place in folder.iterdir()
        if place.is_dir()
        for file in os.scandir(place)
    ]
    files = pl.DataFrame({"path": paths})
    if not (folder / "befunde.csv").exists():
        return files.with_columns(label=pl.col("path").str.extract(r"^([^/]+)/"))
    table = pl.read_csv(folder / "befunde.csv", separator=";", infer_schema=False)
    key = pl.col("Bild").str.replace("\\", "/", literal=True).str.to_lowercase()
    return table.with_columns(path=key).join(files, on="path")


def stand_ins(folder: Path, paths: Iterable[str]) -> None:
    """A file of one byte per path."""
    made: set[str] = set()
    for path in paths:
        place = path.rpartition("/")[0]
        if place not in made:
            (folder / place).mkdir(parents=True, exist_ok=True)
            made.add(place)
        file = os.open(folder / path, os.O_CREAT | os.O_WRONLY)
        os.write(file, b"x")
        os.close(file)


PARTS: dict[str, Callable[[Path, bool], None]] = {
    "padchest": write_padchest,
    "embed": write_embed,
    "folder": write_folder,
    "csv": write_csv,
}

if __name__ == "__main__":
    sys.exit(main())
