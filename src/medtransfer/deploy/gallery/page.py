"""Page of a gallery: it holds patients' images, and says so first."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from jinja2 import Environment, PackageLoader, StrictUndefined

from medtransfer.deploy.gallery.pictures import CasePicture
from medtransfer.deploy.gallery.selection import GalleryCase

WARNING = (
    "This page holds images of patients. Keep it on this machine; it is no part of the report and "
    "must not be passed on."
)


@dataclass(frozen=True)
class CaseCard:
    """A case on the page.

    Attributes:
        number: Its place in the gallery, from 1.
        case: The case.
        facts: Attributes of the case, as ``sex F``.
        pictures: Its images.
        maps: Heat maps of the same images; empty without any.
        notes: Reasons for what is missing, and numbers of the heat maps.
    """

    number: int
    case: GalleryCase
    facts: Sequence[str]
    pictures: Sequence[CasePicture]
    maps: Sequence[CasePicture] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class PairCard:
    """Two images side by side.

    Attributes:
        number: Place of the pair in the gallery, from 1.
        head: The cases of both, with their hospitals.
        line: How alike they are.
        facts: What is known of both.
        pictures: Both, or those that can be read.
        notes: Reasons for what is missing.
    """

    number: int
    head: str
    line: str
    facts: Sequence[str]
    pictures: Sequence[CasePicture]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class CardSection:
    """Cards under one title.

    Attributes:
        title: Of the section.
        lead: How many there are, of how many.
        cards: The cases or pairs.
    """

    title: str
    lead: str
    cards: Sequence[CaseCard] | Sequence[PairCard]


def gallery_page(title: str, lines: Sequence[str], sections: Sequence[CardSection]) -> str:
    """The page as text; it needs no script and makes no request.

    Args:
        title: Of the page.
        lines: What is shown, of which run, and the check of the heat maps.
        sections: The cases.
    """
    environment = Environment(
        loader=PackageLoader("medtransfer", "deploy/gallery"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("gallery.html.j2").render(
        title=title,
        warning=WARNING,
        lines=lines,
        sections=[
            {
                "title": section.title,
                "lead": section.lead,
                "cards": [_card(card) for card in section.cards],
            }
            for section in sections
        ],
        made=(
            f"Created on {datetime.now(UTC).date().isoformat()} with medtransfer "
            f"{version('medtransfer')}."
        ),
    )


def _card(card: CaseCard | PairCard) -> dict[str, object]:
    if isinstance(card, PairCard):
        return {
            "is_pair": True,
            "number": card.number,
            "head": card.head,
            "line": card.line,
            "facts": ", ".join(card.facts),
            "pictures": [_image(picture) for picture in card.pictures],
            "notes": card.notes,
        }
    case = card.case
    truth = "no label" if case.truth is None else f"label {case.truth}"
    return {
        "is_pair": False,
        "number": card.number,
        "head": f"{case.case_id} ({case.cohort})",
        "line": (
            f"{truth}, called {case.answer}; {case.target} {case.probability:.3f}; {case.words}"
        ),
        "facts": ", ".join(card.facts),
        "pictures": [_image(picture) for picture in (*card.pictures, *card.maps)],
        "notes": card.notes,
    }


def _image(picture: CasePicture) -> dict[str, str]:
    return {
        "source": f"data:image/png;base64,{base64.b64encode(picture.png).decode()}",
        "ratio": f"{picture.ratio:.4f}",
    }
