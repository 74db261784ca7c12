"""Defects of data read in other people's code (facts/peers.md 5.9): the audit finds each.

Every test makes the table or the tree of one defect in small; what lives in code and not in data
is tested in tests/evaluation/test_peers_defects.py.
"""

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from tests.strategies import manifest_of, question

from medtransfer.data.audit.run import Finding, audit
from medtransfer.data.images.pictures import encode_png
from medtransfer.data.images.scan import scan_images
from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.data.splits import assign_splits
from medtransfer.errors import TableError
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.image_checks import audit_manifest
from medtransfer.tables.manifest import read_manifest
from medtransfer.tables.schema import write_frame

IMAGES = 800


def chest(rng: np.random.Generator) -> pl.DataFrame:
    """Films of patients with three or four each, as in CheXpert and NIH."""
    patient = rng.integers(0, IMAGES // 4, IMAGES)
    label = rng.integers(0, 2, IMAGES // 4)[patient] ^ (rng.random(IMAGES) < 0.1)
    return pl.DataFrame(
        {
            "image_id": [f"{n:08d}_{p:03d}" for n, p in enumerate(patient)],
            "path": [f"img_{n:05d}.png" for n in range(IMAGES)],
            "case_id": [f"c{n}" for n in range(IMAGES)],
            "patient_id": [f"p{p}" for p in patient],
            "cohort": "nih",
            "y": label.astype(np.int64),
        }
    )


def found_in(frame: pl.DataFrame, **split: object) -> dict[str, Finding]:
    manifest, asked = manifest_of(frame), question("y", **split)
    found = audit(manifest, assign_splits(manifest, asked), None, asked)
    return {finding.code: finding for finding in found}


def by_image(rng: np.random.Generator, count: int) -> pl.Series:
    names = np.array(["train", "tune", "test", "test"])
    return pl.Series(rng.permutation(names[np.arange(count) % 4]))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_split_by_image_is_found(rng: np.random.Generator) -> None:
    # SubpopBench splits the index of images: of CheXpert's test images 85 % have a patient in train
    # SLAMPAI shuffles PadChest's images; nnU-Net folds over cases
    frame = chest(rng).with_columns(split=by_image(rng, IMAGES))
    found = found_in(frame)["A001"]
    assert "patients in more than one split" in found.sentence
    torn = frame.filter(pl.col("split").n_unique().over("patient_id") > 1)
    assert len(found.rows) == len(torn) > 0.8 * IMAGES


def test_our_own_split_has_no_such_leak(rng: np.random.Generator) -> None:
    assert "A001" not in found_in(chest(rng))


def test_lesions_that_a_split_ignores_are_found(rng: np.random.Generator) -> None:
    # BenchMD and others: HAM10000 by image, though 10,015 photographs show 7,470 lesions
    lesion = rng.integers(0, 600, IMAGES)
    frame = chest(rng).with_columns(
        patient_id=pl.col("image_id"),
        lesion_id=pl.Series(lesion).cast(pl.String),
        split=by_image(rng, IMAGES),
    )
    found = found_in(frame, group_columns=["lesion_id"])
    assert "values of 'lesion_id' in more than one split" in found["A005"].sentence
    drawn = found_in(frame.drop("split"), group_columns=["lesion_id"])
    assert "A005" not in drawn


def test_a_validation_set_drawn_anew_from_the_training_set_is_refused_or_found(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    # BenchMD: sample(frac=.8) without a seed, twice: four in five validation images are in train
    frame = chest(rng)
    train = frame.sample(fraction=0.8, seed=1).with_columns(split=pl.lit("train"))
    valid = frame.sample(fraction=0.2, seed=2).with_columns(split=pl.lit("tune"))
    both = pl.concat([train, valid])
    write_frame(both, tmp_path / "m.parquet")
    with pytest.raises(TableError, match="'image_id' is not unique"):
        read_manifest(tmp_path / "m.parquet")
    renamed = both.with_row_index("n").with_columns(
        image_id=pl.format("i{}", "n"), case_id=pl.format("c{}", "n")
    )
    found = found_in(renamed.drop("n"))
    assert {"A001", "A014"} <= set(found)
    again = frame.join(valid.select("path"), on="path", how="semi")
    inside = again.join(train.select("path"), on="path", how="semi")
    assert f"{len(inside)} image names in more than one split" in found["A014"].sentence


def test_folders_with_files_of_the_same_names_are_no_copies(rng: np.random.Generator) -> None:
    # CheXpert calls its files view1_frontal.jpg in the folder of every study
    frame = chest(rng)
    path = pl.format("{}/{}/view1_frontal.jpg", "patient_id", "case_id")
    assert "A014" not in found_in(frame.with_columns(path=path))


def test_a_target_set_inside_the_source_is_found_by_its_name_and_by_its_images(
    rng: np.random.Generator,
) -> None:
    # BenchMD: "BCN 20000" has 25,331 images, which is all of ISIC 2019, with HAM10000 in it
    names = [f"ISIC_{n:07d}" for n in range(IMAGES)]
    source = chest(rng).with_columns(
        cohort=pl.lit("BCN 20000"), path=pl.format("isic/{}.jpg", pl.Series(names))
    )
    target = source.head(100).with_columns(
        *(pl.format("ham-{}", name).alias(name) for name in ("image_id", "case_id", "patient_id")),
        cohort=pl.lit("HAM10000"),
        path=pl.col("path").str.replace("isic", "ham"),
    )
    found = found_in(pl.concat([source, target]), train_cohorts=["BCN 20000"])
    assert "ISIC 2019 (25,331 images), with HAM10000 in it" in found["A015"].sentence
    assert found["A014"].sentence == "100 image names in more than one split or cohort"
    assert len(found["A014"].rows) == 200


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("NIH", "rsna_pneumonia"),
        ("nih-chestxray14", "Google 2019"),
        ("ham10000", "ISIC2020"),
        ("kermany", "pneumoniamnist"),
    ],
)
def test_public_sets_that_share_images_are_found_by_name(
    rng: np.random.Generator, one: str, other: str
) -> None:
    half = pl.Series([one] * 400 + [other] * 400)
    frame = chest(rng).with_columns(cohort=half, patient_id=pl.col("image_id"))
    assert "A015" in found_in(frame, train_cohorts=[one])


@pytest.mark.parametrize(("one", "other"), [("hamburg", "isicle"), ("north", "south")])
def test_hospitals_of_similar_names_are_not(rng: np.random.Generator, one: str, other: str) -> None:
    half = pl.Series([one] * 400 + [other] * 400)
    frame = chest(rng).with_columns(cohort=half, patient_id=pl.col("image_id"))
    assert "A015" not in found_in(frame, train_cohorts=[one])


def test_labels_taken_from_other_images_of_the_patient_are_found(tmp_path: Path) -> None:
    # torchxrayvision: groupby(patient).first() takes the first known value of every column, so that
    # the label of a kept film comes from another film. The same film then stands with two labels.
    phantom = Phantom(hospitals={"a": Hospital(120)}, size=32, cases_per_patient=2)
    table = pl.read_parquet(write_phantom(phantom, tmp_path / "m.parquet"))
    first = table.group_by("patient_id", maintain_order=True).agg(
        pl.all().exclude("malignant").last(), pl.col("malignant").first()
    )
    renamed = first.with_columns(
        *(pl.format("kept-{}", name).alias(name) for name in ("image_id", "case_id"))
    )
    both = pl.concat([table, renamed.select(table.columns)])
    write_frame(both, tmp_path / "both.parquet")
    manifest, asked = read_manifest(tmp_path / "both.parquet"), question("malignant")
    facts = scan_images(manifest, 10**6, tmp_path / "facts.parquet")
    found = audit(manifest, assign_splits(manifest, asked), facts, asked)
    wrong = table.group_by("patient_id").agg(pl.col("malignant").n_unique())
    count = wrong.filter(pl.col("malignant") > 1).height
    finding = next(f for f in found if f.code == "A007")
    assert finding.sentence == f"{count} images with contradictory labels in 'malignant'"


def test_labels_in_the_order_of_another_list_contradict_the_copies(tmp_path: Path) -> None:
    # BenchMD's VinDr-CXR: files by glob, labels in the order of a CSV. No single label can be shown
    # to be wrong; where images are there twice, as in real sets, the labels contradict.
    phantom = Phantom(kind="radiograph", hospitals={"a": Hospital(90)}, size=64)
    table = pl.read_parquet(write_phantom(phantom, tmp_path / "m.parquet"))
    copies = table.head(30).with_columns(
        *(pl.format("again-{}", name).alias(name) for name in ("image_id", "case_id")),
        image=pl.Series([jpeg(data) for data in table["image"].head(30)]),
    )
    both = pl.concat([table, copies]).drop("nodule", "truth_nodule", "truth_opacity")
    shuffled = both.with_columns(opacity=both["opacity"].shuffle(seed=3))
    found = checked(shuffled, tmp_path / "wrong")
    assert (
        "pairs of images that look the same with contradictory labels in 'opacity'"
        in found["A010"].sentence
    )
    assert "A010" not in checked(both, tmp_path / "right")


def test_cases_that_were_resampled_are_counted_twice_and_found(tmp_path: Path) -> None:
    # SubpopBench's CXRMultisite resamples the minority with replacement, for the evaluation too
    phantom = Phantom(hospitals={"a": Hospital(120), "b": Hospital(60)}, size=32)
    table = pl.read_parquet(write_phantom(phantom, tmp_path / "m.parquet"))
    again = (
        table.filter(cohort="b")
        .head(20)
        .with_columns(
            *(
                pl.format("again-{}", name).alias(name)
                for name in ("image_id", "case_id", "patient_id")
            )
        )
    )
    both = pl.concat([table, again])
    write_frame(both, tmp_path / "both.parquet")
    manifest = read_manifest(tmp_path / "both.parquet")
    asked = question("malignant", train_cohorts=["a"])
    facts = scan_images(manifest, 10**6, tmp_path / "facts.parquet")
    found = {f.code: f for f in audit(manifest, assign_splits(manifest, asked), facts, asked)}
    assert found["A006"].sentence == "20 images listed under several patients of one split"
    assert len(found["A006"].rows) == 40


def test_a_sixteen_bit_film_cut_to_white_and_one_of_the_other_polarity_are_found(
    tmp_path: Path,
) -> None:
    # BenchMD's VinDr-CXR: .convert("L") of 16 bits saturates, MONOCHROME1 is not inverted
    phantom = Phantom(kind="radiograph", hospitals={"a": Hospital(90)}, size=64)
    table = pl.read_parquet(write_phantom(phantom, tmp_path / "m.parquet"))
    images = table["image"].to_list()
    for place in (3, 30):
        pixels = np.asarray(Image.open(io.BytesIO(images[place])))
        images[place] = encode_png(np.full_like(pixels, 255))
        images[place + 1] = encode_png(255 - np.asarray(Image.open(io.BytesIO(images[place + 1]))))
    table = table.drop("nodule", "truth_nodule", "truth_opacity")
    found = checked(table.with_columns(image=pl.Series(images)), tmp_path / "checked")
    assert found["C001"].rows == (4, 31)
    assert found["C002"].rows == (5, 32)


def test_a_column_that_says_how_the_diagnosis_was_made_is_found(rng: np.random.Generator) -> None:
    # HAM10000's dx_type: whoever was followed up had a naevus; MulTaBench's second leak
    frame = chest(rng)
    how = pl.when(pl.col("y") == 1).then(pl.lit("histo"))
    seen = pl.Series(np.where(rng.random(IMAGES) < 0.4, "histo", "follow_up"))
    found = found_in(frame.with_columns(dx_type=how.otherwise(seen)))
    assert "'dx_type' alone predicts y with AUROC" in found["A011"].sentence
    renamed = frame.with_columns(notes_of=how.otherwise(seen))
    assert "A011" not in found_in(renamed)  # 0.8 alone is no proof where nobody knows the column


def test_a_site_that_is_the_label_is_found(rng: np.random.Generator) -> None:
    # sets of COVID-19 joined from one hospital of sick and one of healthy
    frame = chest(rng).with_columns(
        cohort=pl.when(pl.col("y") == 1).then(pl.lit("sick")).otherwise(pl.lit("healthy")),
        patient_id=pl.col("image_id"),
    )
    assert "'cohort' alone predicts y with AUROC 1.00" in found_in(frame)["A011"].sentence


def test_a_class_that_is_listed_twice_is_found(rng: np.random.Generator) -> None:
    # BenchMD's MIMIC: the index of classes repeats Atelectasis and lacks No Finding
    frame = chest(rng).rename({"y": "Atelectasis"})
    frame = frame.with_columns(No_Finding=pl.col("Atelectasis"))
    manifest, asked = manifest_of(frame), question("Atelectasis", "No_Finding")
    found = audit(manifest, assign_splits(manifest, asked), None, asked)
    sentence = next(f.sentence for f in found if f.code == "B006")
    assert sentence == f"No_Finding is equal to Atelectasis in {IMAGES} cases"


def test_an_age_of_zero_that_stands_for_unknown_is_found(rng: np.random.Generator) -> None:
    # torchxrayvision: age 0 of CheXpert is set to None after it was copied to the common field
    ages = rng.integers(20, 80, IMAGES)
    ages[[5, 7, 90]] = 0
    frame = chest(rng).with_columns(age_years=pl.Series(ages))
    assert found_in(frame)["B010"].sentence.endswith("in 3 rows")
    infants = frame.with_columns(age_years=pl.Series(rng.integers(0, 5, IMAGES)))
    assert "B010" not in found_in(infants)


@pytest.mark.parametrize(
    ("column", "cells", "rows"),
    [
        ("age", ["97", "58"], 1),
        ("PatientAge", ["097Y", "90+"], 2),
        ("Alter", ["91 Jahre", "6 Monate"], 1),
        ("age", [">95", "50"], 1),
        ("age", ["90", "58"], 0),
        ("age", ["90+", ">89"], 0),
        ("age", ["089Y", "096M"], 0),
        ("dosage", ["97", "95"], 0),
    ],
)
def test_ages_that_identify_are_found_as_hospitals_write_them(
    rng: np.random.Generator, column: str, cells: list[str], rows: int
) -> None:
    frame = chest(rng)
    few = pl.Series(column, [*cells, *["50"] * (len(frame) - len(cells))])
    found = found_in(frame.with_columns(few))
    assert ("P002" in found) == bool(rows)
    if rows:
        count = "1 row" if rows == 1 else f"{rows} rows"
        assert found["P002"].sentence == f"'{column}' is over 89 in {count}"


def test_an_age_of_months_is_no_age_of_zero(rng: np.random.Generator) -> None:
    frame = chest(rng)
    few = ["006M", "10 days", *["045Y"] * (len(frame) - 2)]
    assert "B010" not in found_in(frame.with_columns(age=pl.Series(few)))


def jpeg(data: bytes) -> bytes:
    stream = io.BytesIO()
    Image.open(io.BytesIO(data)).save(stream, "JPEG", quality=80)
    return stream.getvalue()


def checked(table: pl.DataFrame, folder: Path) -> dict[str, Finding]:
    """`medtransfer check MANIFEST`."""
    write_frame(table, folder.with_suffix(".parquet"))
    data, _ = audit_manifest(folder.with_suffix(".parquet"), StudyFolder(folder))
    return {finding.code: finding for finding in data.findings}


def test_numbers_of_two_hospitals_are_no_copies_and_codes_are(rng: np.random.Generator) -> None:
    # hospitals export img_0001.png and so on; after `join` the folder alone keeps them apart
    frame = chest(rng)
    south = frame.with_columns(
        *(pl.format("s-{}", name).alias(name) for name in ("image_id", "case_id", "patient_id")),
        cohort=pl.lit("south"),
    )
    assert "A014" not in found_in(pl.concat([frame, south]), train_cohorts=["nih"])
    for name in ("{}/00000013_{}.png", "{}/a4c1f00b93d2{}.png"):
        path = pl.format(name, "cohort", pl.int_range(pl.len()) % IMAGES)
        both = pl.concat([frame, south]).with_columns(path=path)
        found = found_in(both, train_cohorts=["nih"])
        assert f"{IMAGES} image names" in found["A014"].sentence


def test_an_attribute_that_a_cohort_lacks_is_no_difference_of_its_people(
    rng: np.random.Generator,
) -> None:
    frame = chest(rng).with_columns(sex=pl.Series(["F", "M"] * (IMAGES // 2)))
    frame = frame.with_columns(sex=pl.col("sex").first().over("case_id"))
    south = frame.head(400).with_columns(
        *(pl.format("s-{}", name).alias(name) for name in ("image_id", "case_id", "patient_id")),
        cohort=pl.lit("south"),
    )
    some = pl.when(pl.int_range(pl.len()) % 5 == 0).then("sex")
    for cells in (pl.lit(None, pl.String), some):
        both = pl.concat([frame, south.with_columns(sex=cells)])
        manifest = manifest_of(both)
        asked = question("y", train_cohorts=["nih"]).model_copy(update={"attributes": ("sex",)})
        found = audit(manifest, assign_splits(manifest, asked), None, asked)
        assert "B008" not in {finding.code for finding in found}


def test_random_codes_in_ids_are_no_dates(rng: np.random.Generator) -> None:
    frame = chest(rng)
    numbers = rng.permutation(np.arange(19_000_000, 19_990_000, 1_237))[:IMAGES]
    codes = {
        "as MIMIC": [f"p{n}/s{n}.jpg" for n in numbers],
        "UUIDs": [f"{n:08x}-{20010000 + n % 99:08d}-2001-0203-{n:012x}.png" for n in numbers],
        "dashed": [f"20{n % 90 + 10}0101-2001-0203-8abc-{n:012x}.png" for n in numbers],
        "digests": [f"a19991231b{n:030x}" for n in numbers],
    }
    for name, paths in codes.items():
        assert "P003" not in found_in(frame.with_columns(path=pl.Series(paths))), name
    for paths in (
        [f"scan_2019{1 + n % 12:02d}{1 + n % 28:02d}_{n}.png" for n in range(IMAGES)],
        [f"{n}/1987-03-0{1 + n % 9}.png" if n < 3 else f"{n}.png" for n in range(IMAGES)],
        [f"{n}_20190{1 + n % 9}15.png" if n < 3 else f"{n}.png" for n in range(IMAGES)],
    ):
        assert "P003" in found_in(frame.with_columns(path=pl.Series(paths)))
