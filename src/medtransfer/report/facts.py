"""Plain facts that stand beside the tables of a report."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class KnownRung:
    """What is known of a rung; of another framework's network it may be the name alone.

    Attributes:
        name: On the page.
        pretraining: What its weights were learned from.
        images: How many images that was.
        parameters: Weights of the network.
        full: Its name in the tables, where that is too long for the page.
    """

    name: str
    pretraining: str | None = None
    images: int | None = None
    parameters: int | None = None
    full: str = ""


@dataclass(frozen=True)
class Count:
    """Who was used for what: one split of one cohort.

    Attributes:
        cohort: Where the cases come from.
        split: What they were used for.
        cases: How many.
        patients: How many.
        positive: Positive cases of each target.
        masked: Cases without a label of each target, where known.
        images: How many, where known.
    """

    cohort: str
    split: str
    cases: int
    patients: int
    positive: dict[str, int]
    masked: dict[str, int] = field(default_factory=dict[str, int])
    images: int | None = None


@dataclass(frozen=True)
class Found:
    """One finding of the audit, with the reason why the study went on in spite of it."""

    code: str
    level: str
    check: str
    sentence: str
    waived: str | None = None
