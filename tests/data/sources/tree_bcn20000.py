"""BCN20000 as Figshare has it: several images of a lesion, an image without one, age 0, the table
of the test images without diagnoses."""

from pathlib import Path

from tests.data.sources.trees import picture, table

HEADER = (
    *("bcn_filename", "age_approx", "anatom_site_general", "diagnosis", "lesion_id"),
    *("capture_date", "sex", "split"),
)
PEOPLE = [("55.0", "anterior torso", "male"), ("70.0", "head/neck", "female"), ("0.0", "", "")]
# number, person, diagnosis, lesion
IMAGES = [
    (1, 0, "MEL", "BCN_0003884"),
    (3, 0, "MEL", "BCN_0003884"),
    (4, 1, "BCC", "BCN_0001021"),
    (6, 1, "AK", "BCN_0000712"),
    (8, 2, "NV", ""),
    (9, 2, "SCC", "BCN_0002200"),
    (11, 1, "BKL", "BCN_0002201"),
    (12, 1, "DF", "BCN_0002202"),
    (13, 0, "VASC", "BCN_0002203"),
]


def write(folder: Path) -> None:
    """The training table with its images, and a test image."""
    rows = [
        (f"BCN_{n:010d}.jpg", age, site, diagnosis, lesion, "2012-05-16", sex, "train")
        for n, person, diagnosis, lesion in IMAGES
        for age, site, sex in [PEOPLE[person]]
    ]
    table(folder / "bcn_20k_train.csv", HEADER, rows)
    for number, row in enumerate(rows):
        picture(folder / "BCN_20k_train" / "bcn_20k_train" / str(row[0]), number)
    table(folder / "bcn_20k_test.csv", ("bcn_filename", "split"), [("BCN_0000000002.jpg", "test")])
    picture(folder / "BCN_20k_test" / "bcn_20k_test" / "BCN_0000000002.jpg", 99)
