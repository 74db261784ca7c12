"""LaTeX of tables, for `booktabs` and a document that is set with `inputenc` utf8."""

from collections.abc import Sequence

from medtransfer.report.components import ReportTable

ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": "$-$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
    "<": "$<$",
    ">": "$>$",
    "\N{NO-BREAK SPACE}": "~",
    "–": "--",
}
WIDE = 40
"""Letters from which a column of text is set as a paragraph."""


def escaped(text: str) -> str:
    """A text as LaTeX; letters that TeX would take as commands are escaped."""
    return " ".join("".join(ESCAPES.get(letter, letter) for letter in text).split())


def latex_tables(tables: Sequence[ReportTable]) -> str:
    r"""A file with every table, to be read by ``\\input``."""
    head = "% Tables by medtransfer; needs \\usepackage{booktabs} and \\usepackage[utf8]{inputenc}."
    return "\n\n".join([head, *(latex_table(table) for table in tables)]) + "\n"


def latex_table(table: ReportTable) -> str:
    """One table as a float with its caption and notes."""
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(' '.join([table.caption, *table.notes]))}}}",
        rf"\begin{{tabular}}{{{_columns(table)}}}",
        r"\toprule",
        _row(table.head),
        r"\midrule",
        *(_row(row) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines)


def _columns(table: ReportTable) -> str:
    widths = [max(map(len, column), default=0) for column in zip(*table.rows, strict=True)]
    widths = widths or [0] * len(table.head)
    return "".join(
        "r" if place in table.numeric else r"p{6cm}" if width > WIDE else "l"
        for place, width in enumerate(widths)
    )


def _row(cells: Sequence[str]) -> str:
    return " & ".join(escaped(cell) for cell in cells) + r" \\"
