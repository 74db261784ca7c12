"""Test cases that all sides of a comparison have, and the agreement of what they say of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import polars as pl

from medtransfer.errors import StudyError, TableError, fault_list, listed, plural
from medtransfer.report.compare.side import Side
from medtransfer.tables.predictions import OOD_PREFIX
from medtransfer.tables.schema import ROW, rows_of

COLUMNS = ("run_id", "member", "case_id", "patient_id", "cohort", "split", "rung", "seed")


@dataclass(frozen=True)
class Exclusion:
    """Test cases of one side that trained or selected networks of another.

    Attributes:
        tested: The side that tested them.
        trained: The side whose networks had seen their patients.
        cases: Their number.
    """

    tested: str
    trained: str
    cases: int


@dataclass(frozen=True)
class CommonCases:
    """Predictions of all sides for the test cases that they have in common.

    Attributes:
        frame: One predictions table.
        cases: Number of common test cases.
        tested: Side to the number of its test cases.
        only: Side to the number of its test cases that no other side tested.
        excluded: Cases that were left out because of what networks were trained on.
        targets: Targets that all sides have.
        notes: What was left out, in sentences.
    """

    frame: pl.DataFrame
    cases: int
    tested: dict[str, int]
    only: dict[str, int]
    excluded: tuple[Exclusion, ...]
    targets: tuple[str, ...]
    notes: tuple[str, ...]


def align_sides(sides: Sequence[Side], *, single_label: bool) -> CommonCases:
    """Bring sides to the test cases that all have, of patients that none was trained on.

    Args:
        sides: Two or more, their rungs named apart.
        single_label: True if the targets are classes, which must then be the same.

    Raises:
        TableError: Sides say different things of a case; all such columns with their rows.
        StudyError: They have no target or no test case in common.
    """
    targets = _shared_targets(sides, single_label=single_label)
    columns = ["patient_id", "cohort", *(f"target_{name}" for name in targets)]
    if faults := list(_contradictions(sides, columns)):
        raise TableError(
            fault_list(
                "The sides do not agree on their cases",
                faults,
                "Rows of one case_id must be the same case; name different cases apart.",
            )
        )
    excluded = tuple(_exclusions(sides))
    tests = [side.tested for side in sides]
    common = tests[0]
    for tested in tests[1:]:
        common = common.join(tested, on="case_id", how="semi")
    for side in sides:
        common = common.filter(~pl.col("patient_id").is_in(side.trained.implode()))
    if common.is_empty():
        raise StudyError(_nothing_in_common(sides, excluded))
    kept = (pl.col("split") == "tune") | pl.col("case_id").is_in(common["case_id"].implode())
    sides, apart = _with_separate_training(sides)
    oods = [
        name
        for name in sides[0].frame.columns
        if name.startswith(OOD_PREFIX) and all(name in side.frame.columns for side in sides)
    ]
    logits = [f"{prefix}_{name}" for name in targets for prefix in ("target", "logit")]
    wanted = pl.col("split").is_in(["tune", "test"]) & kept
    frames = [side.frame.filter(wanted).select(*COLUMNS, *logits, *oods) for side in sides]
    only = {
        side.name: len(tested.filter(~pl.col("case_id").is_in(_cases_of(tests, but=i).implode())))
        for i, (side, tested) in enumerate(zip(sides, tests, strict=True))
    }
    return CommonCases(
        frame=pl.concat(frames, how="vertical_relaxed"),
        cases=len(common),
        tested={side.name: len(tested) for side, tested in zip(sides, tests, strict=True)},
        only=only,
        excluded=excluded,
        targets=tuple(targets),
        notes=(*_notes(sides, targets, len(common)), *apart),
    )


def _shared_targets(sides: Sequence[Side], *, single_label: bool) -> list[str]:
    """Targets that all sides have, in the order of the first.

    Raises:
        StudyError: There is none, or the classes differ.
    """
    names = [name for name in sides[0].targets if all(name in side.targets for side in sides)]
    if names and not (single_label and any(set(side.targets) != set(names) for side in sides)):
        return names
    have = "; ".join(f"{side.name}: {listed(side.targets)}" for side in sides)
    reason = "The classes are not the same" if single_label else "No target is in all"
    raise StudyError(f"{reason} ({have}). Rename columns with --columns target_NAME=COLUMN.")


def _contradictions(sides: Sequence[Side], columns: Sequence[str]) -> Iterator[str]:
    """Faults of cases that two sides know, and of which they say different things."""
    tables = [_one_row_a_case(side, columns) for side in sides]
    for i, first in enumerate(tables):
        for j, second in enumerate(tables[i + 1 :], start=i + 1):
            both = first.join(second, on="case_id", how="inner", suffix="_other").sort(ROW)
            for name in columns:
                different = both.filter(pl.col(name).ne_missing(pl.col(f"{name}_other")))
                if different.is_empty():
                    continue
                rows = rows_of(different)
                other = rows_of(different.select(pl.col(f"{ROW}_other").alias(ROW)))
                yield (
                    f"'{name}' of {plural(len(different), 'case_id')} is not the same in "
                    f"{sides[i].name} ({rows}) and {sides[j].name} ({other})"
                )


def _one_row_a_case(side: Side, columns: Sequence[str]) -> pl.DataFrame:
    numbered = side.frame.with_row_index(ROW, offset=side.first_row)
    return numbered.select(ROW, "case_id", *columns).unique("case_id", keep="first")


def _exclusions(sides: Sequence[Side]) -> Iterator[Exclusion]:
    for tested in sides:
        patients = tested.tested["patient_id"]
        for trained in sides:
            count = int(patients.is_in(trained.trained.implode()).sum())
            if trained is not tested and count:
                yield Exclusion(tested.name, trained.name, count)


def _cases_of(tests: Sequence[pl.DataFrame], *, but: int) -> pl.Series:
    """Test cases of all sides but one."""
    return pl.concat([tested["case_id"] for i, tested in enumerate(tests) if i != but]).unique()


def _nothing_in_common(sides: Sequence[Side], excluded: Sequence[Exclusion]) -> str:
    tested = ", ".join(f"{side.name} {len(side.tested):,}" for side in sides)
    text = f"No test case is left that all can be compared on (test cases: {tested})."
    seen = [
        f"{row.cases:,} of {row.tested} are of patients that {row.trained} was trained on"
        for row in excluded
    ]
    text += f" {'; '.join(seen)}." if seen else " Are the case_ids the same?"
    return (
        f"{text} Studies share their test cases if their manifests have the same column 'split', "
        "or the same patients, targets and split settings."
    )


def _with_separate_training(sides: Sequence[Side]) -> tuple[list[Side], list[str]]:
    """Sides with tuning cohorts of their own if their training cohorts are different mixtures.

    Several training cohorts are one internal test set. Networks trained elsewhere have none of that
    name, so that every cohort is then its own test set for all.
    """
    trained = [
        frozenset(side.frame.filter(pl.col("split") == "tune")["cohort"].unique()) for side in sides
    ]
    if len(set(trained)) == 1 or all(len(cohorts) < 2 for cohorts in trained):
        return list(sides), []
    tune = pl.col("split") == "tune"
    apart = [
        replace(
            side,
            frame=side.frame.with_columns(
                cohort=pl.when(tune)
                .then(pl.lit(f"training of {side.name}"))
                .otherwise(pl.col("cohort"))
            ),
        )
        for side in sides
    ]
    note = (
        "The networks were trained on different cohorts: every cohort is a test set of its own, "
        "and there is no drop from an internal one."
    )
    return apart, [note]


def _notes(sides: Sequence[Side], targets: Sequence[str], cases: int) -> Iterator[str]:
    yield f"Compared on the {plural(cases, 'test case')} that all have."
    for i, side in enumerate(sides):
        for other in sides[i + 1 :]:
            if count := len(side.run_ids & other.run_ids):
                yield f"{side.name} and {other.name} hold {plural(count, 'run')} that are the same."
    for side in sides:
        others = [name for name in side.targets if name not in targets]
        if others:
            yield f"Targets of {side.name} that not all have, left out: {listed(others)}."
        if not side.knows_training:
            yield (
                f"The patients that {side.name} was trained on are not known: whether it was "
                "trained on cases that are compared here cannot be checked."
            )
