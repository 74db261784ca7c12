"""The phantom: the same bytes for a seed, and what is planted is there."""

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from PIL import Image

from medtransfer.data.images.pictures import decode_image
from medtransfer.data.phantom import CLASSES, Hospital, Phantom, write_phantom
from medtransfer.files import sha256
from medtransfer.tables.manifest import read_manifest

KINDS = ("lesion", "radiograph")


def made(folder: Path, **plan: object) -> pl.DataFrame:
    """The rows of a phantom."""
    return pl.read_parquet(write_phantom(Phantom(**plan), folder / "m.parquet"))  # type: ignore[arg-type]


def pixels(frame: pl.DataFrame) -> NDArray[np.float64]:
    """All pictures, 0 to 1. [N, H, W(, 3)]"""
    return np.stack([decode_image(data, 10**6) for data in frame["image"]]) / 255.0


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path, kind: str) -> None:
    plan = {"kind": kind, "hospitals": {"a": Hospital(6)}, "size": 16, "views": 2}
    files = [
        write_phantom(Phantom(**plan, seed=seed), tmp_path / name)  # type: ignore[arg-type]
        for seed, name in ((3, "a.parquet"), (3, "b.parquet"), (4, "c.parquet"))
    ]
    digests = [sha256(path) for path in files]
    assert digests[0] == digests[1] != digests[2]


def test_a_hospital_does_not_change_with_the_others(tmp_path: Path) -> None:
    site = Hospital(5)
    alone = made(tmp_path, hospitals={"b": site}, size=16)
    beside = made(tmp_path, hospitals={"a": Hospital(3), "b": site}, size=16)
    assert beside.filter(cohort="b").equals(alone)


@pytest.mark.parametrize("kind", KINDS)
def test_files_and_pictures_inside_hold_the_same(tmp_path: Path, kind: str) -> None:
    phantom = Phantom(kind=kind, hospitals={"a": Hospital(5)}, size=16, views=3)  # type: ignore[arg-type]
    inside = pl.read_parquet(write_phantom(phantom, tmp_path / "m.parquet"))
    manifest = read_manifest(write_phantom(phantom, tmp_path / "m.csv"), targets=phantom.targets)
    assert len(manifest) == len(inside)
    for image_id, path in manifest.frame.select("image_id", "path").rows():
        data = inside.filter(image_id=image_id)["image"][0]
        assert (tmp_path / path).read_bytes() == data
    for name in ("case_id", "patient_id", "sex", "age", *phantom.targets):
        own = manifest.frame[name].to_list()
        assert own == inside.sort("image_id")[name].cast(pl.String).to_list()


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_phantom_keeps_the_manifests_contract(tmp_path: Path, kind: str, suffix: str) -> None:
    phantom = Phantom(kind=kind, hospitals={"a": Hospital(8)}, size=16, uncertain=0.5)  # type: ignore[arg-type]
    path = write_phantom(phantom, tmp_path / f"m{suffix}")
    manifest = read_manifest(path, targets=phantom.targets, attributes=["sex", "age"])
    assert len(manifest) == 8
    if kind == "lesion":
        read_manifest(path, class_column="diagnosis", targets=CLASSES)


def test_pictures_have_the_size_and_colours_of_their_kind(tmp_path: Path) -> None:
    for kind, shape in (("lesion", (20, 20, 3)), ("radiograph", (20, 20))):
        frame = made(tmp_path, kind=kind, hospitals={"a": Hospital(2)}, size=20)
        assert pixels(frame).shape[1:] == shape
        assert Image.open(io.BytesIO(frame["image"][0])).format == "PNG"


def test_cases_have_one_to_many_views_and_patients_their_cases(tmp_path: Path) -> None:
    frame = made(tmp_path, hospitals={"a": Hospital(60)}, size=8, views=3, cases_per_patient=4)
    views = frame.group_by("case_id").len()["len"]
    assert set(views) == {1, 2, 3}
    cases = frame.unique("case_id").group_by("patient_id").len()["len"]
    assert set(cases) == {4}
    for column in ("sex", "age"):
        assert frame.group_by("patient_id").agg(pl.col(column).n_unique())[column].max() == 1


def test_labels_are_flipped_as_often_as_asked(tmp_path: Path) -> None:
    for rate in (0.0, 0.2):
        frame = made(tmp_path, hospitals={"a": Hospital(500)}, size=8, label_noise=rate)
        wrong = (frame["malignant"] != frame["truth_malignant"]).mean()
        assert wrong == pytest.approx(rate, abs=0.05 if rate else 0)


def test_labels_are_uncertain_as_often_as_asked(tmp_path: Path) -> None:
    frame = made(tmp_path, hospitals={"a": Hospital(500)}, size=8, uncertain=0.3)
    assert (frame["malignant"] == -1).mean() == pytest.approx(0.3, abs=0.06)
    assert set(frame["truth_malignant"]) == {0, 1}


def test_each_hospital_has_its_prevalence(tmp_path: Path) -> None:
    sites = {"a": Hospital(400, prevalence=0.1), "b": Hospital(400, prevalence=0.7)}
    frame = made(tmp_path, hospitals=sites, size=8)
    rates = frame.group_by("cohort").agg(pl.col("malignant").mean()).sort("cohort")
    assert rates["malignant"].to_list() == pytest.approx([0.1, 0.7], abs=0.06)


def test_the_diagnosis_goes_with_the_label(tmp_path: Path) -> None:
    noise = {"label_noise": 0.2, "uncertain": 0.3}
    frame = made(tmp_path, hospitals={"a": Hospital(200)}, size=8, **noise)
    assert set(frame.filter(malignant=-1)["diagnosis"]) == {None}
    assert set(frame.filter(malignant=1)["diagnosis"]) == {CLASSES[2]}
    assert set(frame.filter(malignant=0)["diagnosis"]) == set(CLASSES[:2])


def separation(frame: pl.DataFrame, truth: str = "truth_malignant") -> float:
    """How well the contrast inside pictures tells the classes apart: Cohen's d."""
    spread = pixels(frame)[:, 8:24, 8:24].std(axis=(1, 2, 3))
    positive = (frame[truth] == 1).to_numpy()
    groups = spread[positive], spread[~positive]
    pooled = np.sqrt((groups[0].var() + groups[1].var()) / 2)
    return float((groups[0].mean() - groups[1].mean()) / pooled)


def test_there_is_as_much_to_learn_as_asked(tmp_path: Path) -> None:
    sites = {"a": Hospital(300)}
    none, some, much = (
        separation(made(tmp_path, hospitals=sites, size=32, signal=signal)) for signal in (0, 1, 2)
    )
    assert abs(none) < 0.3
    assert none + 0.4 < some < much - 0.3


def test_there_is_less_to_learn_about_the_group_with_the_gap(tmp_path: Path) -> None:
    sites = {"a": Hospital(400)}
    for gap, learnt in ((0.0, True), (1.0, False)):
        frame = made(tmp_path, hospitals=sites, size=32, signal=2, group_gap=gap)
        f, m = (separation(frame.filter(sex=sex)) for sex in "FM")
        assert m > 1
        assert (f > 1) == learnt
        assert learnt or abs(f) < 0.35


@pytest.mark.parametrize("target", ["opacity", "nodule"])
def test_findings_of_a_radiograph_are_brighter_than_the_lung(tmp_path: Path, target: str) -> None:
    frame = made(tmp_path, kind="radiograph", hospitals={"a": Hospital(200)}, size=32, signal=2)
    other = "nodule" if target == "opacity" else "opacity"
    alone = frame.filter(pl.col(f"truth_{other}") == 0)
    brightness = pixels(alone).mean(axis=(1, 2))
    positive = (alone[f"truth_{target}"] == 1).to_numpy()
    assert brightness[positive].mean() > brightness[~positive].mean() + 0.002


def roughness(frame: pl.DataFrame) -> float:
    """Mean square step between neighbouring pixels."""
    return float((np.diff(pixels(frame), axis=1) ** 2).mean())


def test_hospitals_differ_in_contrast_noise_and_blur_as_asked(tmp_path: Path) -> None:
    plain = Hospital(30, noise=0.0)
    sites = {
        "plain": plain,
        "flat": Hospital(30, noise=0.0, contrast=0.5),
        "noisy": Hospital(30, noise=0.1),
        "blurred": Hospital(30, noise=0.0, blur=1.5),
    }
    frames = {
        name: made(tmp_path, hospitals={"a": site}, size=32, seed=5) for name, site in sites.items()
    }
    seen = {name: pixels(frame) for name, frame in frames.items()}
    # the same lesions through four devices
    inside = (seen["plain"] > 0.02) & (seen["plain"] < 0.98)
    flat = 0.5 + 0.5 * (seen["plain"] - 0.5)
    assert np.abs(seen["flat"] - flat)[inside].max() < 0.01
    noise = (seen["noisy"] - seen["plain"])[(seen["plain"] > 0.35) & (seen["plain"] < 0.65)]
    assert noise.std() == pytest.approx(0.1, rel=0.1)
    assert roughness(frames["blurred"]) < 0.5 * roughness(frames["plain"])
    assert roughness(frames["noisy"]) > 3 * roughness(frames["plain"])
