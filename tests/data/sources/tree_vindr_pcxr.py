"""VinDr-PCXR as PhysioNet gives it out: a column per disease, marks with and without decimals, a
film with two diseases, ages in months and in years."""

from pathlib import Path

from tests.data.sources.trees import dicom_header, picture, table

from medtransfer.data.sources.chest.vindr_pcxr import SHARED

DISEASES = tuple(SHARED)
TRAIN = {
    "03a1": ("Pneumonia", "Bronchitis"),
    "03b2": ("Brocho-pneumonia",),
    "03c3": ("No finding",),
    "03d4": ("Other disease",),
}
TEST = {"07e5": ("No finding",), "07f6": ("Bronchiolitis",)}
PEOPLE = {"03a1": ("006M", "M"), "03b2": ("002Y", "F"), "03c3": ("014D", "O")}


def write(folder: Path) -> None:
    """Both parts; the headers of three films name the child."""
    for split, films, one, zero in (("train", TRAIN, "1.0", "0.0"), ("test", TEST, "1", "0")):
        table(
            folder / f"image_labels_{split}.csv",
            ("image_id", "rad_ID", *DISEASES),
            [
                (film, "R1", *(one if name in found else zero for name in DISEASES))
                for film, found in films.items()
            ],
        )
        for number, film in enumerate(films):
            path = folder / split / f"{film}.dicom"
            if film in PEOPLE:
                age, sex = PEOPLE[film]
                dicom_header(path, PatientAge=age, PatientSex=sex)
            else:
                picture(path, number)
