"""Checklists filled from a study's facts and a person's statements."""

from collections.abc import Mapping
from dataclasses import dataclass

from medtransfer.report.checklists.about import STATEMENTS, About
from medtransfer.report.checklists.annex_iv import ANNEX_IV
from medtransfer.report.checklists.claim import CLAIM
from medtransfer.report.checklists.fda_card import FDA_CARD
from medtransfer.report.checklists.future_ai import FUTURE_AI
from medtransfer.report.checklists.item import Checklist, Item, ItemState
from medtransfer.report.checklists.proofs import Proof
from medtransfer.report.checklists.stard_ai import STARD_AI
from medtransfer.report.checklists.tripod import TRIPOD
from medtransfer.report.text import unmarked

CHECKLISTS = (CLAIM, TRIPOD, STARD_AI, FUTURE_AI, FDA_CARD, ANNEX_IV)
STATES: tuple[ItemState, ...] = ("answered", "partly", "for a person")
EXPLANATION = """Items in our own words, numbered as published; the sources have the authors' words.
*Answered*: the study and the statements in about.yaml hold all that the item asks for, as far as a
program can tell. *Partly*: a person must add to it. *For a person*: nothing is known. A filled
checklist is no proof of quality."""
TABLE_HEAD = ("| Item | Topic | State | Answer |", "| --- | --- | --- | --- |")
SEARCHED = Proof("The report was searched for ids, file names and personal cells", "page-one")


@dataclass(frozen=True)
class FilledItem:
    """An item with its state.

    Attributes:
        item: Of the checklist.
        state: `answered` only if every fact and statement that it names is there.
        proofs: Facts that answer it.
        statements: Of people.
        missing: Fields of `about:` that would answer more of it.
    """

    item: Item
    state: ItemState
    proofs: tuple[Proof, ...]
    statements: tuple[str, ...]
    missing: tuple[str, ...]


def filled(checklist: Checklist, proofs: Mapping[str, Proof], about: About) -> list[FilledItem]:
    """Every item of a checklist with its state.

    Args:
        checklist: To fill.
        proofs: Facts of the study, from `proofs_of`.
        about: Statements, from `read_about`.
    """
    facts = {"search": SEARCHED, **proofs}
    return [_filled(item, facts, about) for item in checklist.items]


def _filled(item: Item, proofs: Mapping[str, Proof], about: About) -> FilledItem:
    shown = tuple(proofs[key] for key in item.proofs if key in proofs)
    statements = tuple(about[field] for field in item.told if field in about)
    missing = tuple(field for field in item.told if field not in about)
    whole = len(shown) == len(item.proofs) and not missing and not item.more
    state: ItemState = "answered" if whole else "partly" if shown or statements else "for a person"
    return FilledItem(item, state, shown, statements, missing)


def checklist_text(
    name: str, proofs: Mapping[str, Proof], about: About, report: str = "report.html"
) -> str:
    """All checklists as Markdown, with links into the report.

    Args:
        name: Of the study.
        proofs: Facts of the study.
        about: Statements.
        report: Address of the report, relative to the file.
    """
    parts = [
        f"# Checklists: {unmarked(name)}",
        EXPLANATION,
    ]
    for checklist in CHECKLISTS:
        items = filled(checklist, proofs, about)
        counts = {state: sum(i.state == state for i in items) for state in STATES}
        parts.append(f"## {checklist.name}")
        parts.append(
            f"{checklist.source}. "
            + ", ".join(f"{count} {state}" for state, count in counts.items())
            + f", of {len(items)}."
        )
        rows = [_row(entry, report) for entry in items]
        parts.append("\n".join([*TABLE_HEAD, *rows]))
    return "\n\n".join(parts) + "\n"


def _row(entry: FilledItem, report: str) -> str:
    answers = [f"[{unmarked(p.text)}]({report}#{p.anchor})" for p in entry.proofs]
    answers += [unmarked(text) for text in entry.statements]
    if entry.missing:
        wanted = "; ".join(f"`{field}`: {STATEMENTS[field]}" for field in entry.missing)
        answers.append(f"Missing in about.yaml: {wanted}")
    elif entry.item.more:
        answers.append("A person writes the rest.")
    cells = (entry.item.number, entry.item.topic, entry.state, " ".join(answers) or "–")
    return f"| {' | '.join(cells)} |"
