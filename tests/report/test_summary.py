"""Answers in words that match the interval."""

from collections.abc import Mapping
from typing import Any

import polars as pl
import pytest

from medtransfer.report.content import Content
from medtransfer.report.summary import answers, interval_text, p_text
from medtransfer.study.config import Study
from medtransfer.tables.comparisons import Comparison, comparisons_frame
from medtransfer.tables.results import Result, results_frame

REFERENCE, OTHER = "scratch/effnet-lite0", "imagenet/effnet-lite0"


def result(metric: str, value: float | None, low: float, high: float, **more: Any) -> Result:
    ends = (None, None) if value is None else (low, high)
    about = {"cohort": "north", **more}
    return Result(None, "test", target="y", metric=metric, value=value, low=ends[0], high=ends[1],
                  num_cases=90, num_patients=80, **about)  # fmt: skip


def content(
    rows: Mapping[str, list[Result]],
    difference: tuple[float, float, float, float] = (0.1, 0.05, 0.15, 0.001),
    fractions: tuple[float, ...] = (1.0,),
    gaps: list[tuple[str, float, float]] | None = None,
) -> Content:
    frames = [
        results_frame(found).with_columns(
            rung=pl.lit(rung), label_fraction=pl.lit(f), seed=pl.lit(None, pl.Int64),
            held_out=pl.lit(None, pl.String),
        )
        for rung, found in rows.items() for f in fractions
    ]  # fmt: skip
    for attribute, gap, p in gaps or []:
        own = [
            Result("r1", "test", "north", "y", name, value, attribute=attribute)
            for name, value in (("auroc_gap", gap), ("auroc_gap_p", p))
        ]
        groups = [result("auroc", 0.7, 0.6, 0.8, attribute=attribute, group="F")]
        for found, seed in ((own, 0), (groups, None)):
            frames.append(results_frame(found).with_columns(
                rung=pl.lit(OTHER), label_fraction=pl.lit(1.0), seed=pl.lit(seed, pl.Int64),
                held_out=pl.lit(None, pl.String)))  # fmt: skip
    value, low, high, p = difference
    compared = [
        Comparison(
            OTHER, REFERENCE, 1.0, None, cohort, "y", "auroc", value, low, high, p, p, 90, 80
        )
        for cohort in ("north", "south")
    ]
    study = Study.model_validate({
        "name": "s", "data": {"manifest": "m.csv", "task": "binary", "targets": ["y"]},
        "rungs": [REFERENCE, OTHER],
    })  # fmt: skip
    return Content(study, pl.concat(frames), comparisons_frame(compared), pl.DataFrame(),
                   pl.DataFrame(), {}, [])  # fmt: skip


def areas(reference: float = 0.7, other: float = 0.8) -> dict[str, list[Result]]:
    return {
        REFERENCE: [result("auroc", reference, reference - 0.1, reference + 0.1)],
        OTHER: [result("auroc", other, other - 0.1, other + 0.1)],
    }


def test_a_difference_whose_interval_excludes_zero_is_said_to_be_one() -> None:
    said = answers(content(areas()))[0].sentence
    assert said == (
        "On north, imagenet/effnet-lite0 is better than scratch/effnet-lite0 by 0.100 AUROC "
        "[0.050, 0.150], p < 0.01."
    )


def test_a_difference_whose_interval_holds_zero_could_not_be_shown() -> None:
    said = answers(content(areas(), difference=(0.01, -0.03, 0.05, 0.6)))[0].sentence
    assert "no difference between imagenet/effnet-lite0 and scratch/effnet-lite0 could be" in said
    assert "+0.010 [-0.030, 0.050], p = 0.60" in said
    assert "better" not in said


def test_a_worse_rung_is_called_worse() -> None:
    worse = content(areas(0.8, 0.7), difference=(-0.1, -0.15, -0.05, 0.001))
    said = answers(worse)[0].sentence
    assert "imagenet/effnet-lite0 is worse than scratch/effnet-lite0 by 0.100 AUROC" in said
    assert "[0.050, 0.150]" in said


def test_correction_takes_back_what_chance_explains() -> None:
    said = answers(content(areas(), difference=(0.1, 0.01, 0.2, 0.2)))[0].sentence
    assert "could be shown" in said


def test_what_was_not_studied_is_called_so() -> None:
    found = answers(content(areas()))
    assert [answer.studied for answer in found] == [True, False, False, False, True]
    assert all("Not studied" in answer.sentence for answer in found if not answer.studied)


def test_a_drop_is_said_with_its_interval_and_a_null_one_as_not_shown() -> None:
    rows = areas()
    for rung in rows:
        rows[rung].append(result("auroc", 0.65, 0.55, 0.75, cohort="south"))
        rows[rung].append(result("auroc_drop", 0.15, 0.02, 0.3, cohort="south"))
    said = answers(content(rows))[1].sentence
    assert "At south, imagenet/effnet-lite0 reaches AUROC 0.65 [0.55, 0.75]" in said
    assert "0.15 [0.02, 0.30] below north" in said
    rows[OTHER][-1] = result("auroc_drop", 0.05, -0.02, 0.1, cohort="south")
    assert "no drop from north could be shown" in answers(content(rows))[1].sentence


@pytest.mark.parametrize(
    ("reason", "value", "expected"),
    [
        (None, 0.6, "with 40% of the labels: 60% saved [40%, 70%]"),
        (
            "at least: the smallest label fraction already reaches it",
            0.7,
            "the smallest share run, or fewer: at least 70% saved",
        ),
        ("the reference's full-data AUROC is never reached", None, "No rung reaches the full-data"),
    ],
)
def test_labels_saved_says_how_far_it_is_known(reason, value, expected: str) -> None:
    rows = areas()
    row = result("labels_saved", value, 0.4, 0.7)
    rows[OTHER].append(Result(**{**vars(row), "reason": reason}))
    said = answers(content(rows, fractions=(0.3, 1.0)))[2].sentence
    assert expected in said


def test_a_gap_is_shown_only_after_correction_over_attributes() -> None:
    one = content(areas(), gaps=[("sex", 0.1, 0.03)])
    assert "p = 0.03: shown." in answers(one)[3].sentence
    two = content(areas(), gaps=[("sex", 0.1, 0.03), ("age", 0.2, 0.5)])
    said = answers(two)[3].sentence
    assert "p = 0.06 after correction for 2 attributes: not shown, not ruled out." in said
    assert "lowest: F, 0.70 [0.60, 0.80], 90 cases" in said


def test_numbers_without_intervals_and_missing_numbers_are_said_to_be_so() -> None:
    assert interval_text(None) == "–"
    assert interval_text({"value": None, "reason": "no positive case"}) == (
        "undefined (no positive case)"
    )
    assert interval_text({"value": 0.5, "low": None, "high": None}) == "0.50 [no interval]"
    assert [p_text(p) for p in (None, 0.001, 0.04, 1.0)] == ["", "p < 0.01", "p = 0.04", "p = 1.00"]
