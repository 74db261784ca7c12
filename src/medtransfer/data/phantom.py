"""A data set made by rule, so that the truth is known.

Small radiograph-like and lesion-like pictures with a known label, a tunable shift between
hospitals, a gap between groups, label noise and several views per case. It is what `medtransfer
demo` runs on, and the ground truth of the tests: what is planted must be found, and nothing else.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from medtransfer.data.images.pictures import encode_png
from medtransfer.files import write_bytes
from medtransfer.seeds import generator
from medtransfer.tables.schema import write_frame

Floats = NDArray[np.float64]
CLASSES = ("nevus", "keratosis", "melanoma")
"""Classes of lesion-like pictures; the last is the malignant one."""


@dataclass(frozen=True)
class Hospital:
    """Image properties of a hospital. The defaults are the reference hospital's.

    Attributes:
        cases: How many it gives.
        contrast: Factor on the distance from mid-grey.
        noise: Standard deviation of the pixel noise, on the scale 0 to 1.
        blur: Standard deviation of the blur in pixels.
        prevalence: Share of positive cases of every target.
        signal: Share of the sign that its positive cases show: at an earlier stage they show less.
    """

    cases: int
    contrast: float = 1.0
    noise: float = 0.03
    blur: float = 0.0
    prevalence: float = 0.4
    signal: float = 1.0


@dataclass(frozen=True)
class Phantom:
    """Contents of a phantom data set.

    Attributes:
        kind: ``radiograph``: grey, targets `opacity` and `nodule`; ``lesion``: colour, target
            `malignant` and class column `diagnosis`.
        hospitals: Cohort name → its pictures.
        size: Side of the square pictures, in pixels.
        views: Most images a case has; each case has 1 to `views`.
        signal: Strength of what tells positive from negative; 0 leaves nothing to learn.
        group_gap: Share of the signal that is missing for sex F, 0 to 1.
        spread: Standard deviation of the sign among cases of one label. With 0, cases of a label
            differ in nothing that tells; with more, no reader can be right about all of them.
        label_noise: Share of labels that are flipped after the picture is made.
        uncertain: Share of labels that are written as -1; `diagnosis` is then empty.
        cases_per_patient: Cases each patient has.
        seed: Everything is drawn from it.
    """

    kind: Literal["radiograph", "lesion"] = "lesion"
    hospitals: dict[str, Hospital] = field(default_factory=lambda: {"hospital-a": Hospital(360)})
    size: int = 64
    views: int = 1
    signal: float = 1.0
    group_gap: float = 0.0
    spread: float = 0.0
    label_noise: float = 0.0
    uncertain: float = 0.0
    cases_per_patient: int = 1
    seed: int = 0

    @property
    def targets(self) -> tuple[str, ...]:
        """Its target columns."""
        return ("opacity", "nodule") if self.kind == "radiograph" else ("malignant",)


def write_phantom(phantom: Phantom, manifest: Path) -> Path:
    """Make the pictures and their manifest.

    Args:
        phantom: What to make.
        manifest: ``.parquet``: pictures go into its `image` column; ``.csv``: they become PNG
            files in a folder ``images`` beside it.

    Returns:
        `manifest`. Beside the reserved columns it has the targets, `sex`, `age`, and for each
        target the truth before label noise as `truth_<target>`.
    """
    rows = [row for name, site in phantom.hospitals.items() for row in _site(phantom, name, site)]
    frame = pl.DataFrame(rows, infer_schema_length=None)
    if manifest.suffix == ".csv":
        for row in rows:
            write_bytes(manifest.parent / "images" / f"{row['image_id']}.png", row["image"])
        frame = frame.drop("image").with_columns(
            path=pl.format("images/{}.png", pl.col("image_id"))
        )
    write_frame(frame, manifest)
    return manifest


Row = dict[str, Any]
"""A row of a manifest: which targets are its columns depends on the phantom."""


def _site(phantom: Phantom, name: str, site: Hospital) -> list[Row]:
    rows: list[Row] = []
    for number in range(site.cases):
        rng = generator(phantom.seed, "phantom", name, number)
        patient = f"{name}-p{number // phantom.cases_per_patient:04d}"
        person = generator(phantom.seed, "phantom patient", patient)
        sex = str(person.choice(["F", "M"]))
        attributes = {"sex": sex, "age": int(person.integers(20, 90))}
        truth = {target: int(rng.random() < site.prevalence) for target in phantom.targets}
        strength = sign_strength(phantom, site, sex)
        labels = _labels(phantom, truth, rng)
        sign = {target: value * strength for target, value in truth.items()}
        if phantom.spread:
            sign = {t: value + phantom.spread * rng.normal() for t, value in sign.items()}
        for view in range(int(rng.integers(1, phantom.views + 1))):
            if phantom.kind == "radiograph":
                picture = _radiograph(phantom.size, sign, rng)
            else:
                picture = _lesion(phantom.size, sign, rng, fine=phantom.spread > 0)
            rows.append(
                {
                    "image_id": f"{name}-c{number:04d}-v{view}",
                    "case_id": f"{name}-c{number:04d}",
                    "patient_id": patient,
                    "cohort": name,
                    **labels,
                    **attributes,
                    **{f"truth_{target}": value for target, value in truth.items()},
                    "image": _png(_as_seen(picture, site, rng)),
                }
            )
    return rows


def sign_strength(phantom: Phantom, site: Hospital, sex: str) -> float:
    """Mean sign of positive cases of a hospital and sex; that of negative ones is 0."""
    return phantom.signal * site.signal * (1 - phantom.group_gap * (sex == "F"))


def _labels(phantom: Phantom, truth: dict[str, int], rng: np.random.Generator) -> Row:
    labels: Row = {}
    for target, value in truth.items():
        noisy = value ^ int(rng.random() < phantom.label_noise)
        labels[target] = -1 if rng.random() < phantom.uncertain else noisy
    if phantom.kind == "lesion":
        benign = CLASSES[int(rng.random() < 0.5)]
        labels["diagnosis"] = {1: CLASSES[2], 0: benign, -1: None}[labels["malignant"]]
    return labels


def _lesion(size: int, sign: dict[str, float], rng: np.random.Generator, *, fine: bool) -> Floats:
    """A pigmented blob on skin. A malignant one has a ragged border and uneven colour.

    Args:
        size: Side in pixels.
        sign: How malignant it looks: 0 not at all, 1 fully; beyond both if `fine`.
        rng: Of the case.
        fine: Uneven in small spots, from whose contrast any sign can be read.
    """
    malignant = sign["malignant"]
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    y, x = y - rng.normal(0, 0.05), x - rng.normal(0, 0.05)
    angle, radius = np.arctan2(y, x), np.hypot(y, x)
    ragged = 0.05 * np.exp(0.6 * malignant) if fine else 0.05 + 0.10 * malignant
    border = rng.uniform(0.17, 0.28) * (
        1
        + sum(
            ragged * rng.normal() / np.sqrt(k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
            for k in range(2, 9)
        )
    )
    inside = 1 / (1 + np.exp((radius - border) * rng.uniform(60, 120)))
    unevenness = 0.45 * np.exp(0.9 * malignant) if fine else 0.35 + 0.65 * malignant
    blotches = _texture(size, (0.022 if fine else 0.06) * size, rng) * unevenness
    skin = np.array([0.86, 0.68, 0.58]) * rng.uniform(0.75, 1.05)
    pigment = np.array([0.45, 0.28, 0.20]) * rng.uniform(0.8, 1.3)
    colour = pigment * (1 + 0.35 * blotches[:, :, None])
    grain = 1 + 0.05 * _texture(size, 0.03 * size, rng)
    picture = skin * (1 - inside[:, :, None]) + colour * inside[:, :, None]
    return picture * grain[:, :, None]


def _radiograph(size: int, sign: dict[str, float], rng: np.random.Generator) -> Floats:
    """Two dark lungs with ribs; an opacity is a hazy patch, a nodule a small disc."""
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    lungs = sum(
        np.exp(-((((x - side) / 0.15) ** 2 + (y / 0.32) ** 2) ** 2)) for side in (-0.2, 0.2)
    )
    ribs = np.cos(2 * np.pi * (7 * y + 3 * x**2 + rng.uniform(0, 1)))
    picture = 0.72 - 0.42 * lungs + 0.04 * ribs * lungs + 0.05 * _texture(size, 0.1 * size, rng)
    side = rng.choice([-0.2, 0.2])
    place = (x - side - rng.normal(0, 0.03)) ** 2 + (y - rng.uniform(-0.2, 0.2)) ** 2
    haze = np.exp(-place / 0.012) * (0.6 + 0.4 * _texture(size, 0.04 * size, rng))
    picture += 0.22 * sign["opacity"] * haze
    spot = (x + side - rng.normal(0, 0.03)) ** 2 + (y - rng.uniform(-0.2, 0.2)) ** 2
    picture += 0.25 * sign["nodule"] / (1 + np.exp((np.sqrt(spot) - 0.045) * 90))
    return picture


def _texture(size: int, scale: float, rng: np.random.Generator) -> Floats:
    """Smooth noise with mean 0 and standard deviation 1, at a scale in pixels. [size, size]"""
    noise = gaussian_filter(rng.normal(size=(size, size)), scale, mode="wrap")
    return (noise - noise.mean()) / noise.std()


def _as_seen(picture: Floats, site: Hospital, rng: np.random.Generator) -> Floats:
    """The picture as a hospital's device shows it."""
    if site.blur:
        spread = (site.blur, site.blur, 0)[: picture.ndim]
        picture = gaussian_filter(picture, spread)
    picture = 0.5 + (picture - 0.5) * site.contrast
    return picture + rng.normal(0, site.noise, picture.shape)


def _png(picture: Floats) -> bytes:
    return encode_png(np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8))
