"""MedMNIST: small pictures in one file, for trying things out."""

import io
import zipfile

import numpy as np
import polars as pl

from medtransfer.data.images.pictures import encode_png
from medtransfer.data.sources.source import PATH, Download, ImportedSource, Option, Overlap, Source
from medtransfer.errors import TableError, listed
from medtransfer.sizes.archives import require_array_sizes

PARTS = {"train": "train", "val": "tune", "test": "test"}
NOTE = (
    "Fixture, not evidence: there are no patient ids, so each image counts as a patient of its "
    "own, and the pictures are tiny."
)


def read(download: Download) -> ImportedSource:
    """The pictures and labels of one ``.npz`` file, pictures as PNG."""
    paths = [path for path in download.files[PATH] if path.endswith(".npz")]
    wanted = download.options["file"]
    files = [path for path in paths if not wanted or path == wanted]
    if len(files) != 1:
        raise TableError(
            f"{'No' if not files else 'More than one'} .npz file is below {download.folder} "
            f"(there: {listed(paths) or 'none'}). Name one with --option file=NAME.npz."
        )
    name = files[0].rsplit("/", 1)[-1]
    require_array_sizes(download.folder / files[0], name, TableError)
    try:
        with np.load(
            io.BytesIO((download.folder / files[0]).read_bytes()), allow_pickle=False
        ) as z:
            arrays = {key: z[key] for key in z.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise TableError(f"{name} is not a readable .npz file.") from error
    missing = [f"{p}_{k}" for p in PARTS for k in ("images", "labels") if f"{p}_{k}" not in arrays]
    download.refuse([f"{name} lacks the arrays {listed(missing)}"] if missing else [])
    download.refuse(
        f"{name}: {part} has {len(arrays[f'{part}_images']):,} images and "
        f"{len(arrays[f'{part}_labels']):,} labels"
        for part in PARTS
        if len(arrays[f"{part}_images"]) != len(arrays[f"{part}_labels"])
    )
    download.refuse(
        f"{name}: {part} holds volumes of three axes {arrays[f'{part}_images'].shape[1:]}, and "
        "medtransfer reads flat images; export slices to a folder and import that"
        for part in PARTS
        if is_volume(arrays[f"{part}_images"])
    )
    frames = [_part(arrays[f"{p}_images"], arrays[f"{p}_labels"], p) for p in PARTS]
    cohort = name.removesuffix(".npz").removeprefix("medmnist_").split("_")[0]
    rows = pl.concat(frames).with_columns(cohort=pl.lit(cohort))
    return ImportedSource(rows, (), (), (NOTE,))


def is_volume(images: np.ndarray) -> bool:
    """True for images of three axes, other than two and colours. [n, ...]"""
    return images.ndim > 4 or (images.ndim == 4 and images.shape[-1] not in (1, 3))


def _part(images: np.ndarray, labels: np.ndarray, part: str) -> pl.DataFrame:
    """One part: several label columns are targets, one of two values too, else a class."""
    names = [f"{part}-{number:06d}" for number in range(len(images))]
    labels = labels.reshape(len(images), -1)
    columns = {f"label_{i}": labels[:, i].astype(str) for i in range(labels.shape[1])}
    columns = columns if len(columns) > 1 else {"label": labels[:, 0].astype(str)}
    return pl.DataFrame(
        {
            "image_id": names,
            "image": [encode_png(image) for image in images],
            "case_id": names,
            "patient_id": names,
            "split": [PARTS[part]] * len(names),
            **columns,
        }
    )


SOURCE = Source(
    name="medmnist",
    known_as=("chestmnist", "dermamnist", "pneumoniamnist", "breastmnist"),
    overlaps=(
        Overlap("kermany", "pneumoniamnist", "PneumoniaMNIST is the set of Kermany, resized"),
        Overlap("busi", "breastmnist", "BreastMNIST is BUSI, resized"),
    ),
    title="MedMNIST",
    domain="any",
    read=read,
    licence="CC BY 4.0; DermaMNIST CC BY-NC 4.0",
    facts_from="medmnist/info.py of github.com/MedMNIST/MedMNIST",
    url="https://medmnist.com",
    citation="Yang et al., MedMNIST v2, Scientific Data 2023",
    layout=("pneumoniamnist.npz (one subset, any size)",),
    splits="train, val as tune, test.",
    confounders=("There are no patient ids: numbers are no evidence.",),
    options=(Option("file", "The .npz file, if there are several in the folder."),),
)
