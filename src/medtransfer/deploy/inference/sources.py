"""Cases to predict: of a manifest, of files and folders, or of arrays. Nothing is decoded here."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast, get_args

import polars as pl

from medtransfer.data.images.decode import dicom_words, is_dicom
from medtransfer.data.images.pictures import Pixels, read_file
from medtransfer.data.images.scan import image_readers
from medtransfer.deploy.inference.occasions import (
    NO_OCCASION,
    Occasion,
    header_occasions,
    table_occasions,
)
from medtransfer.errors import ConfigError, TableError, listed, plural
from medtransfer.files import file_stamp
from medtransfer.tables.manifest import MANIFEST_CONTRACT, Manifest, manifest_faults
from medtransfer.tables.schema import ENDINGS, ROW, raise_faults, read_noted_frame, typed

CaseRule = Literal["auto", "image", "series", "study", "side"]
UNNAMED = "–"
"""Patient and cohort of cases whose source does not name them."""
PICTURE_MARKS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")
PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".dcm", ".dicom", "")
UIDS = {"study": "StudyInstanceUID", "series": "SeriesInstanceUID", "side": "StudyInstanceUID"}
SIDES = ("ImageLaterality", "Laterality")

Reader = Callable[[], bytes | Pixels]


@dataclass(frozen=True)
class CaseRequest:
    """A case to predict.

    Attributes:
        case_id: Its name.
        patient_id: Its patient, if the source says.
        cohort: Its hospital, if the source says.
        images: Number of its images.
        occasion: Its month and device, if the source says.
    """

    case_id: str
    patient_id: str
    cohort: str
    images: int
    occasion: Occasion = NO_OCCASION


@dataclass(frozen=True)
class ImageRequest:
    """An image of a case.

    Attributes:
        case: Position of its case.
        place: Its place among the images of the case.
        name: As the user knows it: a path, or a row of a table.
        frame: Number of the frame in a file with several; None if it holds one.
        read: Gives its bytes, or its pixels if it is an array.
    """

    case: int
    place: int
    name: str
    frame: int | None
    read: Reader


class CaseSource(Protocol):
    """Cases with their images."""

    @property
    def cases(self) -> Sequence[CaseRequest]:
        """The cases, in the order of the output."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """Sentences on what was passed over or assumed."""
        ...

    def images(self, cases: Sequence[int]) -> Iterator[ImageRequest]:
        """The images of some cases, by position; those of a case follow each other if they can."""
        ...

    def stamp(self, case: int) -> Sequence[Any]:
        """JSON that changes when an image of a case may have changed."""
        ...


class ManifestSource:
    """Cases of a manifest, or of a table that has at least image paths."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.notes: tuple[str, ...] = manifest.notes
        indexed = manifest.frame.select("image_id", "case_id", "patient_id", "cohort")
        indexed = indexed.with_row_index("index").sort("case_id", "image_id")
        grouped = indexed.group_by("case_id", maintain_order=True).agg(
            pl.col("patient_id", "cohort").first(), pl.col("index")
        )
        rows = grouped.rows()
        self._rows: list[list[int]] = [row[3] for row in rows]
        first = [of_case[0] for of_case in self._rows]
        occasions = table_occasions(manifest.frame[first])
        self.cases = tuple(
            CaseRequest(row[0], row[1], row[2], len(row[3]), occasion)
            for row, occasion in zip(rows, occasions, strict=True)
        )
        self._place_of = {
            index: (case, place)
            for case, of_case in enumerate(self._rows)
            for place, index in enumerate(of_case)
        }

    def images(self, cases: Sequence[int]) -> Iterator[ImageRequest]:
        """The images of some cases; embedded ones in the order of their rows."""
        frame = self.manifest.frame
        frames = frame["frame"] if "frame" in frame.columns else None
        indices = [index for case in cases for index in self._rows[case]]
        for index, read in image_readers(self.manifest, indices):
            name = f"row {frame[ROW][index]}"
            number = None if frames is None else frames[index]
            yield ImageRequest(*self._place_of[index], name, number, read)

    def stamp(self, case: int) -> Sequence[Any]:
        """Rows and paths of a case with size and times of their files."""
        frame = self.manifest.frame
        if self.manifest.embedded:
            return [file_stamp(self.manifest.path), [frame[ROW][i] for i in self._rows[case]]]
        paths = [str(frame["path"][index]) for index in self._rows[case]]
        return [[path, *file_stamp(self.manifest.root / path)] for path in paths]


@dataclass(frozen=True)
class ImageFile:
    """An image file.

    Attributes:
        path: The file.
        root: Folder that it must lie below.
        name: As the user knows it.
    """

    path: Path
    root: Path
    name: str


class FileSource:
    """Cases of image files; those of DICOM files by their headers, whose `studies` it knows."""

    def __init__(self, files: Sequence[ImageFile], rule: CaseRule, notes: Sequence[str]) -> None:
        self.rule = rule
        groups: dict[str, list[ImageFile]] = {}
        named: set[str] = set()
        without = 0
        for file in files:
            case = case_by_header(file.path, rule) if rule != "image" else None
            without += case is None and rule != "image"
            named |= set() if case is None else {case}
            groups.setdefault(file.name if case is None else case, []).append(file)
        self._files = [sorted(groups[name], key=lambda f: f.name) for name in sorted(groups)]
        occasions = header_occasions([of_case[0].path for of_case in self._files])
        self.cases = tuple(
            CaseRequest(name, UNNAMED, UNNAMED, len(of_case), occasion)
            for name, of_case, occasion in zip(sorted(groups), self._files, occasions, strict=True)
        )
        # without a header there is no study; UIDs have no blanks
        self.studies = [name.split(" ")[0] if name in named else None for name in sorted(groups)]
        self.notes = tuple(notes)
        if without:
            note = (
                f"{plural(without, 'file')} without a study in the header: each is a case of its "
                "own. A table with path and case_id says which belong together."
            )
            self.notes = (*self.notes, note)

    def images(self, cases: Sequence[int]) -> Iterator[ImageRequest]:
        """The images of some cases."""
        for case in cases:
            for place, file in enumerate(self._files[case]):
                yield ImageRequest(
                    case, place, file.name, None, lambda file=file: read_file(file.path, file.root)
                )

    def first_file(self, case: int) -> Path:
        """The first file of a case, whose header stands for it."""
        return self._files[case][0].path

    def stamp(self, case: int) -> Sequence[Any]:
        """Files of a case with their size and times."""
        return [[file.name, *file_stamp(file.path)] for file in self._files[case]]


class ArraySource:
    """Cases of arrays in memory, one image each, or several."""

    def __init__(self, arrays: Sequence[Sequence[Pixels]]) -> None:
        self._arrays = arrays
        self.notes: tuple[str, ...] = ()
        width = len(str(max(0, len(arrays) - 1)))
        self.cases = tuple(
            CaseRequest(f"{number:0{width}d}", UNNAMED, UNNAMED, len(images))
            for number, images in enumerate(arrays)
        )

    def images(self, cases: Sequence[int]) -> Iterator[ImageRequest]:
        """The images of some cases."""
        for case in cases:
            for number, pixels in enumerate(self._arrays[case]):
                name = f"image {number} of case {self.cases[case].case_id}"
                yield ImageRequest(case, number, name, None, lambda pixels=pixels: pixels)

    def stamp(self, case: int) -> Sequence[Any]:
        """Arrays are never resumed."""
        return [case]


def case_rule(rule: CaseRule, images_per_case: int) -> CaseRule:
    """Meaning of `auto`: the study if the bundle was trained on cases of several images.

    Raises:
        ConfigError: There is no such rule.
    """
    if rule not in get_args(CaseRule):
        raise ConfigError(f"--case is '{rule}' (allowed: {listed(get_args(CaseRule))}).")
    if rule != "auto":
        return rule
    return "study" if images_per_case > 1 else "image"


def case_source(inputs: Any, rule: CaseRule, *, images_per_case: int) -> CaseSource:
    """The cases that a user asks for.

    Args:
        inputs: A manifest or its path; paths of files and folders; or arrays: uint8 or uint16,
            [height, width] or [height, width, 3] each, or a list of them for each case.
        rule: How DICOM files are brought together to cases; `auto` takes the study if the bundle
            was trained on cases of several images, else every image alone.
        images_per_case: Largest number of images of a training case.

    Raises:
        ConfigError: There is nothing to predict, or inputs are of no kind that is known.
        TableError: The table cannot be read.
    """
    rule = case_rule(rule, images_per_case)
    if isinstance(inputs, Manifest):
        return ManifestSource(inputs)
    if isinstance(inputs, (str, Path)):
        inputs = [inputs]
    given = list(cast("Iterable[Any]", inputs))
    if not given:
        raise ConfigError("There is nothing to predict: name files, a folder or a table.")
    if not all(isinstance(item, (str, Path)) for item in given):
        return ArraySource(checked_arrays(given))
    named = [Path(path) for path in given]
    tables = [path for path in named if path.suffix.lower() in ENDINGS]
    if tables and len(named) > 1:
        raise ConfigError("Name one table, or files and folders, not both.")
    if tables:
        return ManifestSource(read_prediction_table(tables[0]))
    files, notes = image_files(named)
    if not files:
        raise ConfigError(f"There is no image in {listed(named)}. {' '.join(notes)}".rstrip())
    return FileSource(files, rule, notes)


def read_prediction_table(path: Path, image_root: Path | None = None) -> Manifest:
    """A table of images to predict: a manifest, or any table with paths.

    Without `image_id` an image is named by its path, without `case_id` every image is a case.

    Raises:
        TableError: It has no image paths, or they lead out of its folder.
    """
    table = read_noted_frame(path, MANIFEST_CONTRACT, skip=("image",))
    frame = table.frame
    is_parquet = path.suffix.lower() == ".parquet"
    embedded = is_parquet and "image" in pl.read_parquet_schema(path)
    if not embedded and "path" not in frame.columns:
        raise TableError(
            f'Table "{path.name}" has no column "path" with the image files to predict (optional: '
            "case_id, patient_id, cohort, frame)."
        )
    if not embedded and frame["path"].null_count():
        raise TableError(
            f'Table "{path.name}": column "path" is empty in '
            f"{plural(frame['path'].null_count(), 'row')}."
        )
    row = pl.format("row {}", ROW)
    name = row if embedded else pl.col("path").cast(pl.String)
    has_frames = "frame" in frame.columns and not embedded
    if has_frames:
        name = pl.concat_str(name, pl.lit(" frame "), pl.col("frame").cast(pl.String).fill_null(""))
    for column, value in (
        ("image_id", name),
        ("case_id", pl.col("image_id")),
        ("patient_id", pl.lit(UNNAMED)),
        ("cohort", pl.lit(UNNAMED)),
    ):
        if column not in frame.columns:
            frame = frame.with_columns(value.alias(column))
    frame = frame.drop("split", strict=False)
    checked = frame.with_columns(image=pl.lit(b"")) if embedded else frame
    raise_faults(MANIFEST_CONTRACT, path, manifest_faults(checked))
    frame = typed(frame, MANIFEST_CONTRACT).sort("image_id")
    root = (image_root or path.parent).resolve()
    return Manifest(frame, path, root, embedded, table.notes)


def image_files(paths: Sequence[Path]) -> tuple[list[ImageFile], list[str]]:
    """Image files that a user names, and those in folders, told by their first bytes.

    Args:
        paths: Files, which are taken whatever they are, and folders.

    Returns:
        The files, and sentences on what was passed over.

    Raises:
        ConfigError: A path does not exist.
    """
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise ConfigError(f"{listed(missing)} does not exist.")
    files: list[ImageFile] = []
    passed_over = 0
    for path in paths:
        if not path.is_dir():
            files.append(ImageFile(path, path.resolve().parent, str(path)))
            continue
        root = path.resolve()
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                file = Path(folder) / name
                if _may_be_image(file):
                    files.append(ImageFile(file, root, str(file)))
                else:
                    passed_over += 1
    notes = [f"{plural(passed_over, 'file')} of other kinds passed over."] if passed_over else []
    return list({file.name: file for file in files}.values()), notes


def case_by_header(path: Path, rule: CaseRule) -> str | None:
    """Name of the case that a DICOM file belongs to; None if its header does not say."""
    words = dicom_words(path, [UIDS[rule], *SIDES])
    if words is None or UIDS[rule] not in words:
        return None
    side = next((words[name] for name in SIDES if name in words), "")
    return f"{words[UIDS[rule]]} {side}".rstrip() if rule == "side" else words[UIDS[rule]]


def checked_arrays(inputs: Sequence[Any]) -> list[list[Pixels]]:
    """Arrays by case.

    Raises:
        ConfigError: An array is not uint8 or uint16, or has another shape.
    """
    cases: list[list[Any]] = [
        list(cast("Iterable[Any]", case)) if isinstance(case, (list, tuple)) else [case]
        for case in inputs
    ]
    for number, images in enumerate(cases):
        for image in images:
            shape = cast("tuple[int, ...]", getattr(image, "shape", ()))
            kind = str(getattr(image, "dtype", type(image).__name__))
            is_grey, is_rgb = len(shape) == 2, len(shape) == 3 and shape[2] == 3
            if kind not in ("uint8", "uint16") or not (is_grey or is_rgb) or min(shape) == 0:
                raise ConfigError(
                    f"Case {number} holds {kind} of shape {shape} (allowed: uint8 or uint16, "
                    "[height, width] or [height, width, 3], black is 0)."
                )
    if any(not images for images in cases):
        raise ConfigError("A case without an image cannot be predicted.")
    return cases


def _may_be_image(path: Path) -> bool:
    """True for regular files whose first bytes or whose name are an image's."""
    if path.name.startswith(".") or not path.is_file():
        return False
    try:
        with path.open("rb") as stream:
            head = stream.read(132)
    except OSError:
        return True  # it is refused with the reason
    is_image = head.startswith(PICTURE_MARKS) or is_dicom(head)
    is_named = path.suffix.lower() in PICTURE_ENDINGS
    return (is_image and path.name.upper() != "DICOMDIR") or is_named
