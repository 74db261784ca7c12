"""SCIN as its bucket holds it: up to three images a case, weighted lists with quotes of both kinds,
a case whose first conditions weigh the same, one image under two cases, ages and types unknown."""

from pathlib import Path

from tests.data.sources.trees import picture, table

RACES = ("race_ethnicity_asian", "race_ethnicity_white", "race_ethnicity_other_race")
CASES = (
    *("case_id", "source", "release", "year", "age_group", "sex_at_birth"),
    *("fitzpatrick_skin_type", *RACES, "related_category"),
    *("image_1_path", "image_2_path", "image_3_path"),
    *("image_1_shot_type", "image_2_shot_type", "image_3_shot_type"),
)
LABELS = (
    *("case_id", "dermatologist_skin_condition_on_label_name", "weighted_skin_condition_label"),
    "dermatologist_fitzpatrick_skin_type_label_1",
    "dermatologist_fitzpatrick_skin_type_label_2",
    "dermatologist_fitzpatrick_skin_type_label_3",
    "race_ethnicity_two_or_more_after_mitigation",
)
UNKNOWN = ("AGE_UNKNOWN", "OTHER_OR_UNSPECIFIED", "")
# case, (age, sex, own type), races, images
PEOPLE = [
    ("-1000600354148496558", ("AGE_18_TO_29", "FEMALE", "FST3"), ("YES", "", ""), ("11", "12", "")),
    ("-1002039107727665188", UNKNOWN, ("", "", ""), ("21", "", "")),
    ("1003358831658393077", ("AGE_40_TO_49", "MALE", "FST6"), ("YES", "YES", ""), ("31", "", "33")),
    (
        "1003826561155964328",
        ("AGE_80_OR_ABOVE", "FEMALE", "NONE_IDENTIFIED"),
        ("", "YES", ""),
        ("41", "11", ""),
    ),
    ("1003844406100696311", ("AGE_60_TO_69", "MALE", "FST1"), ("", "", "YES"), ("51", "", "")),
]
# case, weighted list, types as seen, two or more races
CONDITIONS = [
    ("-1000600354148496558", "{'Eczema': 0.69, 'Psoriasis': 0.31}", ("FST3", "FST3", ""), ""),
    ("-1002039107727665188", "{}", ("FST2", "", ""), ""),
    (
        "1003358831658393077",
        "{'Kaposi\\'s sarcoma': 0.4, \"SK/ISK\": 0.6}",
        ("FST5", "FST6", ""),
        "",
    ),
    ("1003826561155964328", "{'Tinea': 0.5, 'Eczema': 0.5}", ("", "", ""), ""),
    (
        "1003844406100696311",
        '{"Actinic Keratosis": 0.34, "Melanoma": 0.33, \'Xerosis\': 0.33}',
        ("FST1", "FST1", "FST1"),
        "YES",
    ),
]
SHOTS = ("CLOSE_UP", "AT_AN_ANGLE", "AT_DISTANCE")


def write(folder: Path) -> None:
    """Both tables and the images."""
    cases = [
        (
            *(case, "SCIN", "1.0.0", 2023, *person, *races, "RASH"),
            *(f"dataset/images/-32057421768038937{name}.png" if name else "" for name in images),
            *(shot if name else "" for shot, name in zip(SHOTS, images, strict=True)),
        )
        for case, person, races, images in PEOPLE
    ]
    labels = [(case, "[]", text, *types, more) for case, text, types, more in CONDITIONS]
    table(folder / "dataset" / "scin_cases.csv", CASES, cases)
    table(folder / "dataset" / "scin_labels.csv", LABELS, labels)
    for number, name in enumerate(sorted({n for *_, images in PEOPLE for n in images if n})):
        picture(folder / "dataset" / "images" / f"-32057421768038937{name}.png", number)
