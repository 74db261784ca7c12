"""What is planted is found, and nothing else."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest
from tests.strategies import question

from medtransfer.data.audit.run import CHECKS, MIN_CASES, Finding, audit, audit_ids
from medtransfer.data.config import DataConfig
from medtransfer.data.images.scan import scan_images
from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.data.splits import assign_splits
from medtransfer.tables.manifest import Manifest, read_manifest
from medtransfer.tables.schema import write_frame

LIMIT = 1_000_000
ERRORS = {code for code, (level, _) in CHECKS.items() if level == "error"}


@dataclass(frozen=True)
class Data:
    """What an audit is given."""

    manifest: Manifest
    frame: pl.DataFrame
    facts: pl.DataFrame
    asked: DataConfig

    def findings(self) -> dict[str, Finding]:
        found = audit(self.manifest, self.frame, self.facts, self.asked)
        return {finding.code: finding for finding in found}

    def rows(self, **where: str) -> list[int]:
        """Positions of the rows of a split or cohort."""
        here = self.frame.with_row_index("place")
        return here.filter(**where)["place"].to_list()  # type: ignore[arg-type]

    def cell(self, column: str, place: int, value: object) -> "Data":
        """Another value in one cell."""
        cells = self.frame[column].to_list()
        cells[place] = value
        return self.column(column, cells)

    def column(self, column: str, cells: list[object]) -> "Data":
        """Another column, in the manifest and in the frame with its splits."""
        frame = self.frame.with_columns(pl.Series(column, cells))
        own = self.manifest.frame.with_columns(frame.select(column))
        manifest = Manifest(own, self.manifest.path, self.manifest.root, self.manifest.embedded)
        return Data(manifest, frame, self.facts, self.asked)

    def picture(self, place: int, other: int) -> "Data":
        """The same picture at two places."""
        cells = self.facts["sha256"].to_list()
        cells[place] = cells[other]
        facts = self.facts.with_columns(sha256=pl.Series(cells))
        return Data(self.manifest, self.frame, facts, self.asked)

    def asking(self, **changes: object) -> "Data":
        """Another question."""
        asked = DataConfig.model_validate({**self.asked.model_dump(), **changes})
        return Data(self.manifest, self.frame, self.facts, asked)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Data:
    """A phantom without a fault: two hospitals, patients with two cases of one to three images."""
    folder = tmp_path_factory.mktemp("clean")
    phantom = Phantom(
        hospitals={"a": Hospital(240), "b": Hospital(60)}, size=8, views=3, cases_per_patient=2
    )
    manifest = read_manifest(write_phantom(phantom, folder / "m.parquet"), targets=["malignant"])
    asked = question("malignant", train_cohorts=["a"]).model_copy(update={"attributes": ("sex",)})
    facts = scan_images(manifest, LIMIT, folder / "facts.parquet")
    return Data(manifest, assign_splits(manifest, asked), facts, asked)


def patient_in_two_splits(data: Data) -> Data:
    return data.cell(
        "patient_id", data.rows(split="train")[0], data.frame.filter(split="tune")["patient_id"][0]
    )


def patient_in_two_spellings(data: Data) -> Data:
    twin = data.frame.filter(split="tune")["patient_id"][0]
    return data.cell("patient_id", data.rows(split="train")[0], f"{twin.upper()}\u200b.0")


def long_ids_in_a_spreadsheet(data: Data) -> Data:
    return data.cell("patient_id", data.rows(split="train")[0], "1.23E+15")


def same_picture_in_two_splits(data: Data) -> Data:
    return data.picture(
        *_alike(data, data.rows(split="train", cohort="a"), data.rows(split="tune"))
    )


def _alike(data: Data, some: list[int], others: list[int]) -> tuple[int, int]:
    """Two places of different patients with the same label."""
    labels, owners = data.frame["malignant"], data.frame["patient_id"]
    return next(
        (one, other)
        for one in some
        for other in others
        if labels[one] == labels[other] and owners[one] != owners[other]
    )


def images_of_a_case_disagree(data: Data) -> Data:
    place = data.frame["case_id"].is_duplicated().arg_max()
    assert place is not None
    return data.cell("malignant", place, 1 - data.frame["malignant"][place])


def lesion_in_two_splits(data: Data) -> Data:
    patients = data.frame["patient_id"].to_list()
    both = {data.rows(split="train", cohort="a")[0], data.rows(split="tune")[0]}
    shared = {patients[place] for place in both}
    lesions: list[object] = ["SECRET-LESION" if p in shared else None for p in patients]
    split = {**data.asked.split.model_dump(), "group_columns": ["lesion"]}
    return data.column("lesion", lesions).asking(split=split)


def same_picture_of_two_patients(data: Data) -> Data:
    train = data.rows(split="train", cohort="a")
    return data.picture(*_alike(data, train, train))


def same_picture_with_two_labels(data: Data) -> Data:
    train = data.rows(split="train", cohort="a")
    labels, owners = data.frame["malignant"], data.frame["patient_id"]
    first = train[0]
    other = next(p for p in train if labels[p] != labels[first] and owners[p] != owners[first])
    return data.picture(first, other)


def only_negatives_to_train_on(data: Data) -> Data:
    cells = [
        0 if split == "train" else label
        for split, label in data.frame.select("split", "malignant").rows()
    ]
    return data.column("malignant", list(cells))


def no_labels_to_tune_on(data: Data) -> Data:
    cells = [
        None if split == "tune" else label
        for split, label in data.frame.select("split", "malignant").rows()
    ]
    return data.column("malignant", list(cells))


def few_positives_to_test_on(data: Data) -> Data:
    cells = [
        0 if cohort == "b" else label
        for cohort, label in data.frame.select("cohort", "malignant").rows()
    ]
    return data.column("malignant", list(cells))


def uncertain_label(data: Data) -> Data:
    case = data.frame["case_id"][0]
    cells = [
        -1 if own == case else label
        for own, label in data.frame.select("case_id", "malignant").rows()
    ]
    return data.column("malignant", list(cells))


def images_of_a_case_differ_in_sex(data: Data) -> Data:
    place = data.frame["case_id"].is_duplicated().arg_max()
    assert place is not None
    return data.cell("sex", place, "M" if data.frame["sex"][place] == "F" else "F")


def mirrored_breasts(data: Data) -> Data:
    sides: list[object] = ["L", *[None] * (len(data.frame) - 2), "R"]
    return data.column("laterality", sides).asking(image={"flip": "both"})


def public_sets(data: Data) -> Data:
    """The training hospital is called NIH, the other one RSNA."""
    names = {"a": "NIH chest14", "b": "rsna-2018"}
    cohorts: list[object] = [names[name] for name in data.frame["cohort"]]
    split = {**data.asked.split.model_dump(), "train_cohorts": [names["a"]]}
    return data.column("cohort", cohorts).asking(split=split)


def same_name_in_two_folders(data: Data) -> Data:
    cells: list[object] = [f"images/SECRET-{n:05d}_000.png" for n in range(len(data.frame))]
    shared = "SECRET-00000013_005"
    cells[data.rows(cohort="b")[0]] = f"rsna/{shared}.jpg"
    cells[data.rows(split="train", cohort="a")[0]] = f"nih/{shared}.png"
    return data.column("path", cells)


def scanner_of_the_sick(data: Data) -> Data:
    """One in twenty patients was examined on the other ward's scanner."""
    cells: list[object] = []
    for number, (patient, label) in enumerate(data.frame.select("patient_id", "malignant").rows()):
        odd = int(patient[-2:]) % 20 == 0
        cells.append(("ward", "clinic")[bool(label) ^ odd] + str(number % 2))
    return data.column("scanner", cells)


def two_targets_in_one(data: Data) -> Data:
    twice = data.column("cancer", [1 - label for label in data.frame["malignant"].to_list()])
    return twice.asking(task="multi-label", targets=["malignant", "cancer"])


def sicker_elsewhere(data: Data) -> Data:
    flip = iter(range(10**6))
    cells: list[object] = []
    cases: dict[str, int] = {}
    for cohort, case, label in data.frame.select("cohort", "case_id", "malignant").rows():
        if cohort == "b" and case not in cases:
            cases[case] = int(next(flip) % 5 != 0)
        cells.append(cases.get(case, label))
    return data.column("malignant", cells)


def one_id_of_two_people(data: Data) -> Data:
    """The first patient's cases are of a woman of 34 and of a man of 71."""
    mine = pl.col("patient_id") == data.frame["patient_id"][0]
    first = pl.col("case_id") == data.frame["case_id"][0]
    sex = pl.when(first).then(pl.lit("F")).when(mine).then(pl.lit("M")).otherwise("sex")
    age = pl.when(first).then(pl.lit("34")).when(mine).then(pl.lit("71")).otherwise(pl.lit("50"))
    cells = data.frame.select(sex=sex, age=age)
    return data.column("sex", cells["sex"].to_list()).column("age", cells["age"].to_list())


def women_elsewhere(data: Data) -> Data:
    rows = data.frame.select("cohort", "sex").rows()
    cells: list[object] = ["F" if cohort == "b" else sex for cohort, sex in rows]
    return data.column("sex", cells)


def a_rare_group(data: Data) -> Data:
    case = data.frame.filter(split="test", cohort="a")["case_id"][0]
    cells: list[object] = [
        "X" if own == case else sex for own, sex in data.frame.select("case_id", "sex").rows()
    ]
    return data.column("sex", cells)


def a_cohort_of_two_patients(data: Data) -> Data:
    b = data.frame.filter(cohort="b")
    owners, cohorts = data.frame["patient_id"].to_list(), data.frame["cohort"].to_list()
    few = b["patient_id"].unique(maintain_order=True)[:2].to_list()
    return data.column(
        "cohort",
        ["c" if owner in few else cohort for owner, cohort in zip(owners, cohorts, strict=True)],
    )


def a_cohort_in_two_spellings(data: Data) -> Data:
    owners = data.frame["patient_id"].to_list()
    half = {*data.frame.filter(cohort="b")["patient_id"].unique(maintain_order=True)[:15]}
    cohorts = data.frame["cohort"].to_list()
    cells: list[object] = [
        "B " if owner in half else cohort for owner, cohort in zip(owners, cohorts, strict=True)
    ]
    return data.column("cohort", cells)


def names_of_patients(data: Data) -> Data:
    return data.column("remark", ["SECRET^JANE"] * len(data.frame))


def referrers(data: Data) -> Data:
    names = ["Dr. Hans Secret", "Petra Secret", "Prof. Dr. Ute Secret"]
    owners = data.frame["patient_id"].rank("dense").to_list()
    cells = [names[owner % 3] for owner in owners]
    changed = data.column("sent_by", cells)
    return changed.asking(attributes=(*data.asked.attributes, "sent_by"))


def ninety_and_over(data: Data) -> Data:
    return data.cell("age", 0, 97)


def born_today(data: Data) -> Data:
    return data.cell("age", 0, 0)


def dates_in_ids(data: Data) -> Data:
    cells: list[object] = [f"images/scan-{n}.png" for n in range(len(data.frame))]
    cells[3] = "images/SECRET^JANE-3.png"
    return data.column("path", cells)


def one_ultrasound(data: Data) -> Data:
    kinds = ["US" if n == 3 else "" for n in range(len(data.frame))]
    facts = data.facts.with_columns(modality=pl.Series(kinds))
    return Data(data.manifest, data.frame, facts, data.asked)


PLANTED: dict[str, tuple[Callable[[Data], Data], str]] = {
    "A001": (patient_in_two_splits, "1 patient in more than one split"),
    "A002": (same_picture_in_two_splits, "1 image in more than one split or cohort"),
    "A003": (images_of_a_case_disagree, "1 case with contradictory labels in 'malignant'"),
    "A005": (lesion_in_two_splits, "1 value of 'lesion' in more than one split"),
    "A006": (same_picture_of_two_patients, "1 image listed under several patients of one split"),
    "A007": (same_picture_with_two_labels, "1 image with contradictory labels in 'malignant'"),
    "A016": (mirrored_breasts, "flip is 'both', but 'laterality' is set for 2 images"),
    "A011": (scanner_of_the_sick, r"'scanner' alone predicts malignant with AUROC 0\.9"),
    "A014": (same_name_in_two_folders, "1 image name in more than one split or cohort"),
    "A015": (public_sets, "NIH chest14, rsna-2018: RSNA pneumonia took its films from NIH"),
    "A018": (patient_in_two_spellings, "2 patient ids that may be 1 patient, in more than one"),
    "A019": (long_ids_in_a_spreadsheet, "1 patient id in scientific notation"),
    "A020": (
        one_id_of_two_people,
        "^'sex' is both F and M for 1 patient id; 'age' differs by 20 years or more for 1 patient",
    ),
    "A026": (a_cohort_in_two_spellings, "^'B ' and 'b' may be one cohort$"),
    "B001": (only_negatives_to_train_on, r"malignant in train: 0 positive, \d+ negative"),
    "B002": (few_positives_to_test_on, "malignant in cohort b: 0 positive, 60 negative"),
    "B003": (uncertain_label, "'malignant' is uncertain in 1% of a, 0% of b"),
    "B004": (images_of_a_case_differ_in_sex, "1 case with several values of 'sex'"),
    "B005": (no_labels_to_tune_on, "^no labelled case in tune$"),
    "B006": (two_targets_in_one, r"cancer is the opposite of malignant in \d+ cases"),
    "B007": (sicker_elsewhere, r"malignant: 36% \[29%, 42%\] in training cohorts, 80% \["),
    "B008": (women_elsewhere, r"'sex' in cohort b differs by [45]\d% of the patients"),
    "B009": (a_rare_group, "1 of 3 groups of 'sex' in test with fewer than 10 cases"),
    "B010": (born_today, "'age' is 0 or less, or over 120, in 1 row"),
    "P001": (names_of_patients, "'remark' has cells that look like DICOM person names"),
    "P002": (ninety_and_over, "'age' is over 89 in 1 row"),
    "P003": (dates_in_ids, "'path' in 1 row"),
    "P004": (one_ultrasound, "^1 file of modality US$"),
    "P006": (a_rare_group, "^'sex': 1 value of fewer than 10 patients, fewer than 10 in all$"),
    "P007": (a_cohort_of_two_patients, "^'c' has fewer than 10 patients$"),
    "P005": (referrers, "^'sent_by' has cells that look like names of persons$"),
}
BESIDE = {
    "A001": {"A020"},
    "A007": {"A006"},
    "B001": {"B007"},
    "B002": {"B007"},
    "B004": {"A020"},
    "B005": {"B003"},
    "P002": {"A020"},
    "B009": {"P006"},
    "P006": {"B009"},
    "P007": {"B002", "B009"},
}
"""What cannot but be found beside a planted fault: labels that are not there are gaps."""
CONCERNED = {
    "A001": "patient_id",
    "A002": "sha256",
    "A003": "case_id",
    "A005": "lesion",
    "A006": "sha256",
    "A007": "sha256",
    "B004": "case_id",
}
"""Checks that name rows, and the column whose value those rows share."""


def test_every_check_of_the_table_is_planted_and_no_other() -> None:
    of_pictures = {"A004", "A008", "A009", "A010", "A012", "A013", "A021"}  # test_audit_pixels.py
    of_pictures |= {code for code in CHECKS if code.startswith("C")}
    assert set(PLANTED) == set(CHECKS) - of_pictures - {
        *("A017", "A022", "A023"),  # of rungs
        *("A024", "A025"),  # of covariates: study/test_covariates.py
    }


def test_a_clean_phantom_has_no_findings(clean: Data) -> None:
    assert clean.findings() == {}


@pytest.mark.parametrize("code", PLANTED)
def test_what_is_planted_is_found_and_nothing_else(clean: Data, code: str) -> None:
    plant, sentence = PLANTED[code]
    found = plant(clean).findings()
    assert set(found) == {code} | BESIDE.get(code, set())
    assert found[code].level == CHECKS[code][0]
    assert re.search(sentence, found[code].sentence)


@pytest.mark.parametrize(("code", "shared"), CONCERNED.items())
def test_findings_name_every_row_concerned_and_no_other(
    clean: Data, code: str, shared: str
) -> None:
    planted = PLANTED[code][0](clean)
    rows = planted.findings()[code].rows
    frame = planted.frame.with_columns(planted.facts["sha256"])
    concerned = frame.filter(pl.col("row").is_in(rows))
    assert concerned[shared].n_unique() == 1
    assert frame.filter(pl.col(shared) == concerned[shared][0])["row"].sort().to_list() == [*rows]


@pytest.mark.parametrize("code", PLANTED)
def test_sentences_hold_no_identifiers(clean: Data, code: str) -> None:
    planted = PLANTED[code][0](clean)
    names = {
        name
        for column in ("image_id", "case_id", "patient_id")
        for name in planted.frame[column].to_list()
    } | {"SECRET-LESION"}
    text = " ".join(finding.sentence for finding in planted.findings().values())
    assert not [name for name in names if name in text]
    assert "SECRET" not in text
    assert not [digest for digest in planted.facts["sha256"] if digest in text]


def test_all_faults_are_found_together_errors_first(clean: Data) -> None:
    data = clean
    planted = ["B003", "B002", "B004", "A005", "A002"]
    for code in planted:
        data = PLANTED[code][0](data)
    found = audit(data.manifest, data.frame, data.facts, data.asked)
    assert [finding.code for finding in found] == [
        "A002",
        "A005",
        "A020",
        "B002",
        "B004",
        "B003",
        "B007",
    ]


def test_a_patient_seen_at_two_hospitals_is_an_error(clean: Data) -> None:
    there = clean.frame.filter(cohort="b")["patient_id"][0]
    moved = clean.cell("patient_id", clean.rows(split="train")[0], there)
    assert "1 patient in more than one split" in moved.findings()["A001"].sentence


def test_a_patient_seen_at_two_pooled_hospitals_is_an_error(clean: Data) -> None:
    pooled = clean.asking(split={**clean.asked.split.model_dump(), "train_cohorts": None})
    train = pooled.rows(split="train", cohort="a")[0]
    frame = pooled.frame.with_columns(
        split=pl.when(pl.col("cohort") == "b").then(pl.lit("train")).otherwise("split")
    )
    there = frame.filter(cohort="b")["patient_id"][0]
    moved = Data(pooled.manifest, frame, pooled.facts, pooled.asked).cell(
        "patient_id", train, there
    )
    assert moved.findings()["A001"].sentence == "1 patient in more than one cohort"


def test_shifted_data_inside_the_training_data_are_an_error(clean: Data) -> None:
    inside, outside = clean.rows(cohort="a")[:5], clean.rows(cohort="b")[:5]
    data = clean
    for place, other in zip(outside, inside, strict=True):
        data = data.picture(place, other)
    assert data.findings()["A002"].sentence == "5 images in more than one split or cohort"
    assert len(data.findings()["A002"].rows) == 10


def test_a_picture_of_the_internal_test_among_the_shifted_data_is_an_error(clean: Data) -> None:
    data = clean.picture(clean.rows(cohort="b")[0], clean.rows(cohort="a", split="test")[0])
    assert set(data.findings()) == {"A002"}


def test_identical_files_of_two_patients_are_found_from_the_files(tmp_path: Path) -> None:
    phantom = Phantom(hospitals={"a": Hospital(120)}, size=8)
    path = write_phantom(phantom, tmp_path / "m.parquet")
    frame = pl.read_parquet(path)
    pictures = frame["image"].to_list()
    pictures[1:4] = [pictures[0]] * 3
    split = pl.Series(["train"] * 2 + ["tune"] * 40 + ["test"] * 38 + ["train"] * 40)
    write_frame(frame.with_columns(image=pl.Series(pictures), split=split), path)
    manifest, asked = read_manifest(path), question("malignant")
    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    found = audit(manifest, assign_splits(manifest, asked), facts, asked)
    assert [(f.code, f.rows) for f in found if f.code in ERRORS] == [("A002", (1, 2, 3, 4))]


def test_ten_of_each_class_are_enough(clean: Data) -> None:
    cases = clean.frame.filter(cohort="b")["case_id"].unique().sort().to_list()
    for positives, weak in ((MIN_CASES, False), (MIN_CASES - 1, True)):
        chosen = set(cases[:positives])
        cells: list[object] = [
            int(case in chosen) if cohort == "b" else label
            for cohort, case, label in clean.frame.select("cohort", "case_id", "malignant").rows()
        ]
        assert ("B002" in clean.column("malignant", cells).findings()) == weak


def test_a_manifest_without_a_target_is_audited_by_its_ids_and_files(clean: Data) -> None:
    torn = patient_in_two_splits(clean)
    ids = Manifest(torn.frame, Path("m.parquet"), Path("/nowhere"), embedded=False)
    assert [f.code for f in audit_ids(ids, torn.facts)] == ["A001", "A020"]
    assert [f.code for f in audit_ids(clean.manifest, None)] == []
    apart = clean.picture(clean.rows(cohort="b")[0], clean.rows(cohort="a")[0])
    assert [f.code for f in audit_ids(apart.manifest, apart.facts)] == ["A002"]


def test_without_files_what_needs_no_file_is_found_all_the_same(clean: Data) -> None:
    torn = patient_in_two_splits(clean)
    found = audit(torn.manifest, torn.frame, None, torn.asked)
    assert [finding.code for finding in found] == ["A001", "A020"]


@pytest.mark.shared
def test_the_photographs_filed_twice_in_a_real_set_are_found(shared: Path, tmp_path: Path) -> None:
    # Patient299 and Patient300 of retina_dr are the same two photographs with different grades
    frame = pl.read_parquet(shared / "retina_dr.parquet").select(
        "image_id", "patient_id", "maculopathy", "image", case_id="image_id", cohort="site"
    )
    write_frame(frame, tmp_path / "m.parquet")
    manifest, asked = read_manifest(tmp_path / "m.parquet"), question("maculopathy")
    facts = scan_images(manifest, LIMIT, tmp_path / "facts.parquet")
    found = audit(manifest, assign_splits(manifest, asked), facts, asked)
    twice = next(finding for finding in found if finding.code in ("A002", "A006"))
    owners = frame.with_row_index("row", offset=1).filter(pl.col("row").is_in(twice.rows))
    assert set(owners["patient_id"]) == {"Patient299", "Patient300"}


@pytest.mark.parametrize(
    ("target", "flip", "found"),
    [
        ("left_effusion", "horizontal", True),
        ("Right hilum", "both", True),
        ("laterality", "horizontal", True),
        ("left_effusion", "vertical", False),
        ("left_effusion", "none", False),
        ("bright_spot", "both", False),
        ("cleft", "horizontal", False),
    ],
)
def test_a_target_that_names_a_side_is_not_mirrored(
    clean: Data, target: str, flip: str, found: bool
) -> None:
    renamed = clean.column(target, clean.frame["malignant"].to_list())
    asked = renamed.asking(targets=[target], image={"flip": flip})
    assert ("A016" in asked.findings()) == found
