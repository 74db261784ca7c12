"""DERM12345 as its archives unpack: folders by label, a patient in both parts, every group of the
tree of classes."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = (
    *("image_id", "patient_id", "image_type", "copyright-license", "split", "super_class"),
    *("malignancy", "main_class_1", "main_class_2", "sub_class", "label"),
)
TREE = {
    "acb": ("melanocytic", "benign", "banal", "compound", "acral"),
    "isl": ("melanocytic", "benign", "lentigo", "lentigo", "ink_spot_lentigo"),
    "mel": ("melanocytic", "malignant", "melanoma", "melanoma", "melanoma"),
    "sk": ("nonmelanocytic", "benign", "keratinocytic", "keratinocytic", "seborrheic_keratosis"),
    "ak": (
        "nonmelanocytic",
        "indeterminate",
        "keratinocytic",
        "keratinocytic",
        "actinic_keratosis",
    ),
    "ch": ("nonmelanocytic", "malignant", "keratinocytic", "keratinocytic", "cutaneous_horn"),
    "ks": ("nonmelanocytic", "malignant", "vascular", "vascular", "kaposi_sarcoma"),
}
TRAIN = [
    ("DERM_125494", "PID_130179", "acb"),
    ("DERM_830572", "PID_130179", "acb"),
    ("DERM_178032", "PID_130179", "isl"),
    ("DERM_100311", "PID_210257", "mel"),
    ("DERM_100312", "PID_253526", "sk"),
    ("DERM_100313", "PID_253526", "ak"),
    ("DERM_100314", "PID_420775", "ch"),
    ("DERM_100315", "PID_299828", "ks"),
]
TEST = [("DERM_900001", "PID_800001", "mel"), ("DERM_900002", "PID_299828", "acb")]
HOMES = {"train": "derm12345_train_part_1", "test": "derm12345_test"}


def write(folder: Path) -> None:
    """Both tables and the folders of both parts."""
    seed = 0
    for part, images in (("train", TRAIN), ("test", TEST)):
        rows = [
            (name, patient, "dermoscopic", "CC-BY", part, *TREE[label], label)
            for name, patient, label in images
        ]
        table(folder / f"derm12345_metadata_{part}.csv", HEADER, rows)
        for name, _, label in images:
            picture(folder / HOMES[part] / label / f"{name}.jpg", seed)
            seed += 1
