"""The cases of a gallery are those that the numbers name, worst first."""

import numpy as np
import polars as pl
import pytest
from scipy.special import logit

from medtransfer.deploy.gallery.gallery import gallery_choice
from medtransfer.deploy.gallery.selection import GalleryChoice, chosen_point, chosen_sections
from medtransfer.errors import ConfigError


def table(
    names: tuple[str, ...], probabilities: list[list[float]], truth: list[int]
) -> pl.DataFrame:
    """Predictions of one run; a tuning case of each label in front."""
    tune = [[0.2] * len(names), [0.8] * len(names)]
    rows = np.array([*tune, *probabilities])
    labels = np.array([0, 1, *truth])
    count = len(rows)
    return pl.DataFrame(
        {
            "run_id": ["r"] * count,
            "member": [0] * count,
            "case_id": ["t0", "t1", *(f"c{row}" for row in range(count - 2))],
            "patient_id": [f"p{row}" for row in range(count)],
            "cohort": ["a"] * (count - 1) + ["b"],
            "split": ["tune", "tune", *["test"] * (count - 2)],
            **{
                f"target_{name}": (labels == place).astype(float)
                if len(names) > 1
                else labels.astype(float)
                for place, name in enumerate(names)
            },
            **{f"logit_{name}": logit(rows[:, place]) for place, name in enumerate(names)},
            "ood_energy": np.arange(count, dtype=float),
        }
    )


BINARY = table(("x",), [[0.92], [0.99], [0.1], [0.85], [0.05]], [0, 0, 1, 1, 0])
SEX = pl.DataFrame({"case_id": ["c0", "c1", "c2"], "sex": ["F", "M", "F"]})
POINT = "youden"


def ids(choice: GalleryChoice, predictions: pl.DataFrame = BINARY) -> list[list[str]]:
    sections = chosen_sections(predictions, SEX, "binary", choice)
    return [[case.case_id for case in section.cases] for section in sections]


def test_errors_are_the_wrong_calls_the_farthest_from_their_label_first() -> None:
    assert ids(GalleryChoice(point=POINT)) == [["c1", "c0", "c2"]]
    (section,) = chosen_sections(BINARY, SEX, "binary", GalleryChoice(point=POINT, count=1))
    assert (section.total, len(section.cases)) == (3, 1)
    case = section.cases[0]
    assert (case.truth, case.answer) == ("0", "1")
    assert case.words == "far from its label by 0.99"


def test_uncertain_cases_are_the_nearest_to_the_threshold() -> None:
    (order,) = ids(GalleryChoice("uncertain", point=POINT))
    assert order[0] == "c3"
    assert set(order) == {"c0", "c1", "c2", "c3", "c4"}


def test_foreign_cases_are_the_highest_scores() -> None:
    assert ids(GalleryChoice("ood", count=2)) == [["c4", "c3"]]
    with pytest.raises(ConfigError, match=r"no OOD detector 'knn' \(energy\)"):
        ids(GalleryChoice("ood", detector="knn"))


def test_a_case_is_called_at_the_point_in_every_order() -> None:
    predictions = table(("x",), [[0.6], [0.99], [0.75]], [0, 0, 1])
    calls = [
        {case.case_id: case.answer for case in section.cases}
        for order in ("uncertain", "ood")
        for section in chosen_sections(
            predictions, SEX, "binary", GalleryChoice(order, point=POINT)
        )
    ]
    assert calls == [{"c0": "0", "c1": "1", "c2": "0"}] * 2


def test_groups_and_cohorts_leave_the_others_out() -> None:
    assert ids(GalleryChoice(point=POINT, group=("sex", "F"))) == [["c0", "c2"]]
    assert ids(GalleryChoice("uncertain", point=POINT, cohort="b")) == [["c4"]]
    for choice, message in (
        (GalleryChoice(point=POINT, group=("age", "1")), r"'age', which is no attribute .*\(sex\)"),
        (GalleryChoice(point=POINT, group=("sex", "O")), "No test case has sex=O"),
        (GalleryChoice(point=POINT, cohort="c"), r"no cohort 'c' \(a, b\)"),
        (GalleryChoice(point=POINT, target="y"), "no target 'y'"),
    ):
        with pytest.raises(ConfigError, match=message):
            ids(choice)


def test_classes_are_ranked_by_the_probability_of_the_true_one() -> None:
    predictions = table(("x", "y"), [[0.6, 0.5], [0.9, 0.1], [0.2, 0.6]], [1, 1, 1])
    (section,) = chosen_sections(predictions, SEX, "single-label", GalleryChoice(point=POINT))
    assert [case.case_id for case in section.cases] == ["c1", "c0"]
    assert [(case.truth, case.answer) for case in section.cases] == [("y", "x"), ("y", "x")]
    choice = GalleryChoice("uncertain", point=POINT, target="y", count=1)
    (section,) = chosen_sections(predictions, SEX, "single-label", choice)
    assert [case.case_id for case in section.cases] == ["c0"]


def test_what_is_typed_is_checked() -> None:
    assert gallery_choice(ood=True, group="sex=F", count=3) == GalleryChoice(
        "ood", 3, group=("sex", "F")
    )
    with pytest.raises(ConfigError, match="--errors and --ood cannot"):
        gallery_choice(errors=True, ood=True)
    with pytest.raises(ConfigError, match="write it as attribute=value"):
        gallery_choice(group="sex")
    with pytest.raises(ConfigError, match="-n is 0"):
        gallery_choice(count=0)
    assert chosen_point(("sens90", "youden"), None) == "sens90"
    with pytest.raises(ConfigError, match="--point is 'spec80'"):
        chosen_point(("sens90",), "spec80")
