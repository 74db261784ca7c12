"""Tables without empty columns and rows, which name what they leave out."""

from medtransfer.report.components import ReportTable, without_empty_rows

HEAD = ["Metric", "Cohort", "one", "two"]
NUMERIC = frozenset({2, 3})


def table(*rows: list[str], notes: tuple[str, ...] = ()) -> ReportTable:
    return ReportTable(HEAD, rows, "", NUMERIC, notes)


def test_rows_of_dashes_fold_into_one_line_that_says_why() -> None:
    folded = without_empty_rows(
        table(
            ["AUROC", "north", "0.80", "– ᵇ"],
            ["ECE", "north", "– ᵃ", "– ᵃ"],
            ["ECE", "south", "– ᵃ", "–"],
            notes=("ᵃ no probability", "ᵇ one class"),
        )
    )
    assert [row[0] for row in folded.rows] == ["AUROC"]
    assert folded.folded == ["ECE, north", "ECE, south"]
    assert folded.folded_reason == "no probability"
    assert folded.notes == ["ᵇ one class"]


def test_different_reasons_stand_beside_their_rows() -> None:
    folded = without_empty_rows(
        table(
            ["AUROC", "north", "0.80", "0.90"],
            ["ECE", "north", "– ᵃ", "– ᵃ"],
            ["F1", "north", "– ᵇ", "–"],
            notes=("ᵃ no probability", "ᵇ one class"),
        )
    )
    assert folded.folded == ["ECE, north (no probability)", "F1, north (one class)"]
    assert folded.folded_reason == ""


def test_a_table_without_any_number_stays_as_it_is() -> None:
    empty = table(["ECE", "north", "–", "–"])
    assert without_empty_rows(empty) == empty
    words = ReportTable(["a", "b"], [["–", "–"], ["x", "y"]])
    assert without_empty_rows(words) == words


def test_a_row_with_one_number_stays() -> None:
    kept = table(["ECE", "north", "–", "0.1"], ["F1", "north", "0.2", "0.3"])
    assert without_empty_rows(kept) == kept
