"""The fingerprint of a manifest: counts, sizes, no ids; and the comments that follow from it."""

import json
from pathlib import Path

import polars as pl
from tests.study.test_template import drafted, manifest

from medtransfer.study.drafting.fingerprint import sizes_of_facts
from medtransfer.study.template import draft_study


def test_a_fingerprint_counts_what_the_manifest_holds(tmp_path: Path) -> None:
    path = manifest(
        tmp_path,
        ("north", "north", "south"),
        edema=["1", "0", "", "0", "1", "-1"] * 5,
        laterality=["L", "R"] * 15,
    )
    facts = draft_study(path).fingerprint
    assert (facts.images, facts.cases, facts.patients) == (30, 30, 30)
    assert (facts.train_cohort, facts.train_cases) == ("north", 20)
    assert facts.side_columns == ("laterality",)
    assert facts.sizes is None  # no image is there
    (trained,) = facts.trained_labels(["edema"])
    assert (trained.positive, trained.negative, trained.unlabelled) == (10, 10, 0)
    assert "30 cases of 30 patients in 2 cohorts; 30 images (sizes unknown)" in facts.sentence


def test_a_fingerprint_holds_no_id(tmp_path: Path) -> None:
    path = manifest(tmp_path, edema=["1", "0"] * 10)
    table = pl.read_csv(path).with_columns(patient_id=pl.format("Patient-{}", "patient_id"))
    table.write_csv(path)
    text = json.dumps(draft_study(path).fingerprint.plain())
    assert "Patient-" not in text
    assert "i1" not in text


def test_sizes_are_those_of_the_images_that_can_be_read(phantom_folder: Path) -> None:
    sizes = draft_study(phantom_folder / "lesion.parquet").fingerprint.sizes
    assert sizes is not None
    assert sizes.channels == 3
    assert sizes.width >= 32


def test_sizes_are_medians_and_the_largest_depth() -> None:
    facts = {"width": [10, 20, 90], "height": [5, 7, 6], "bits": [8, 8, 16], "channels": [1, 1, 3]}
    sizes = sizes_of_facts(pl.DataFrame(facts))
    assert sizes is not None
    assert (sizes.width, sizes.height, sizes.bits, sizes.channels) == (20, 6, 16, 3)


def test_the_study_file_says_which_rule_gave_a_setting(tmp_path: Path) -> None:
    labels = ["1"] * 12 + ["0"] * 2000
    sides = ["L", "R"] * 1006
    study, text = drafted(manifest(tmp_path, edema=labels, laterality=sides))
    assert study.training.loss.weights == "balanced"
    assert "# rule loss: a step of 128 cases holds 0.8 of the rarest side of 'edema'" in text
    assert "# rule flips: column 'laterality' tells the sides apart" in text
    assert "DECIDE: flips" not in text
    assert "# fixed: three show the spread" in text
    assert "Consider [youden]" in " ".join(text.split())
