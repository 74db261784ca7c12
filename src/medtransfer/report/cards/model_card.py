"""Model card of the network that a study recommends, for people and for machines.

After Mitchell et al. 2019. Its numbers are those of the report's first page.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version

from medtransfer.models.ladder import LADDER
from medtransfer.report.checklists.about import STATEMENTS, About
from medtransfer.report.content import ReportData, RungInfo
from medtransfer.report.flow.counts import flow_texts
from medtransfer.report.front_page.facts import FrontPage, HospitalFacts, QuestionLine
from medtransfer.report.front_page.sentences import interval
from medtransfer.report.text import unmarked

TOLD = (
    *("provider", "intended_use", "users", "population", "setting", "data_source"),
    *("reference_standard", "labelled_by", "ethics", "consent", "risks", "oversight"),
)
"""Statements of people that a card holds."""
NOT_A_DEVICE = "Not a medical device: for research."


@dataclass(frozen=True)
class NetworkFacts:
    """Facts about the network of a card.

    Attributes:
        name: Readable name.
        rung: Its name in tables and files.
        pretraining: Data that its initial weights were trained on.
        pretraining_images: Number of these.
        parameters: Number of weights.
        licence: Of the initial weights.
        seeds: Networks that were trained.
        recipe: Settings of its training, in words.
    """

    name: str
    rung: str
    pretraining: str | None
    pretraining_images: int | None
    parameters: int | None
    licence: str
    seeds: int
    recipe: str


@dataclass(frozen=True)
class ModelCard:
    """A model card.

    Attributes:
        study: Name of the study.
        network: The network.
        recommended: True if the study recommends it; else it is the one whose numbers it details.
        reason: Why, or what a recommendation would need.
        condition: Where and for whom the recommendation holds.
        statements: Of people, by field of `about:`.
        missing: Fields that nobody has filled.
        data: Counts of each cohort and split, as text: small ones are hidden.
        policies: Label policy, split and images, in words.
        operating_point: In words; empty without one.
        hospitals: Performance at each.
        findings: Answer to each of the five questions.
        not_concluded: Sentences that must not be concluded.
        cautions: Limitations that follow from the settings.
    """

    study: str
    network: NetworkFacts
    recommended: bool
    reason: str
    condition: str
    statements: dict[str, str]
    missing: tuple[str, ...]
    data: tuple[dict[str, str], ...]
    policies: dict[str, str]
    operating_point: str
    hospitals: tuple[HospitalFacts, ...]
    findings: tuple[QuestionLine, ...]
    not_concluded: tuple[str, ...]
    cautions: tuple[str, ...] = ()

    def plain(self) -> dict[str, object]:
        """The card as a JSON object."""
        return {"medtransfer": version("medtransfer"), "notice": NOT_A_DEVICE, **asdict(self)}


def model_card(data: ReportData, front: FrontPage, about: About) -> ModelCard:
    """Fill a model card from a study's facts and a person's statements.

    Args:
        data: Of the report, its rungs under readable names.
        front: The first page's facts.
        about: Statements, from `read_about`.
    """
    infos = {info.name: info for info in data.rung_infos}
    facts = dict(data.facts)
    return ModelCard(
        study=data.name,
        network=_network(infos[front.subject], data, facts),
        recommended=front.recommended == front.subject,
        reason=front.reason,
        condition=front.condition,
        statements={field: about[field] for field in TOLD if field in about},
        missing=tuple(field for field in TOLD if field not in about),
        data=tuple(_counts(data)),
        policies={k: facts[k] for k in ("Task", "Label policy", "Split", "Images") if k in facts},
        operating_point=front.point,
        hospitals=front.hospitals,
        findings=front.findings,
        not_concluded=front.not_concluded,
        cautions=data.cautions,
    )


def card_text(card: ModelCard) -> str:
    """A card as Markdown."""
    return "\n\n".join(_parts(card)) + "\n"


def _network(info: RungInfo, data: ReportData, facts: Mapping[str, str]) -> NetworkFacts:
    rung = info.full_name or info.name
    return NetworkFacts(
        name=info.name,
        rung=rung,
        pretraining=info.pretraining,
        pretraining_images=info.images,
        parameters=info.parameters,
        licence=LADDER[rung].licence if rung in LADDER else "",
        seeds=data.seeds,
        recipe=facts.get(f"Recipe, {rung}", ""),
    )


def _counts(data: ReportData) -> Iterator[dict[str, str]]:
    texts = flow_texts(data.counts, data.evaluation.minimum_group)
    for (cohort, split), counts in texts.splits.items():
        yield {"cohort": cohort, "split": split, **counts}


def _parts(card: ModelCard) -> Iterator[str]:
    """Parts of the Markdown text."""
    network = card.network
    verb = "recommended" if card.recommended else "not recommended over another; the report details"
    yield f"# Model card: {unmarked(network.name)}"
    yield f"{NOT_A_DEVICE} Made from the study *{unmarked(card.study)}*: {verb} it."
    yield f"{unmarked(card.reason)} {unmarked(card.condition)}".strip()
    yield "## Network"
    yield _list(
        {
            "Rung": network.rung,
            "Pre-training": network.pretraining or "not known",
            "Images of pre-training": _number(network.pretraining_images),
            "Weights": _number(network.parameters),
            "Licence of the initial weights": network.licence or "not known",
            "Networks trained (seeds)": str(network.seeds),
            "Training": network.recipe or "not known",
        }
    )
    yield "## Use"
    yield _list({STATEMENTS[field].rstrip("."): text for field, text in card.statements.items()})
    if card.missing:
        wanted = "; ".join(f"`{f}`: {STATEMENTS[f].rstrip('.')}" for f in card.missing)
        yield f"For a person to state in about.yaml: {wanted}."
    yield "## Data"
    yield _table(card.data)
    yield _list(card.policies)
    yield "## Performance"
    if card.operating_point:
        yield f"Missed and called at {card.operating_point}."
    yield _table([_hospital_row(hospital) for hospital in card.hospitals])
    yield "\n".join(
        f"- **{line.question}** ({line.mark}) {unmarked(line.sentence)}" for line in card.findings
    )
    yield "## What must not be concluded"
    yield "\n".join(f"- {unmarked(text)}" for text in (*card.not_concluded, *card.cautions))


def _hospital_row(hospital: HospitalFacts) -> dict[str, str]:
    return {
        "Hospital": hospital.cohort + (" (training)" if hospital.trained else ""),
        "Test cases": hospital.cases,
        "AUROC": interval(hospital.auroc),
        "Missed of 100 with": interval(hospital.missed, 0),
        "Called of 100 without": interval(hospital.called, 0),
    }


def _list(entries: Mapping[str, str]) -> str:
    if not entries:
        return "Nothing was stated."
    return "\n".join(f"- {name}: {unmarked(text)}" for name, text in entries.items())


def _table(rows: Sequence[Mapping[str, str]]) -> str:
    """Rows with the same keys as a Markdown table."""
    if not rows:
        return "No counts."
    head = list(rows[0])
    lines = [head, ["---"] * len(head), *([unmarked(row[k]) for k in head] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(count: int | None) -> str:
    return "not known" if count is None else f"{count:,}"
