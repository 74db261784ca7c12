"""Proofs: facts of a study that answer checklist items, with their place in the report."""

from dataclasses import dataclass

from medtransfer.errors import plural
from medtransfer.report.content import ReportData
from medtransfer.report.front_page.facts import FrontPage
from medtransfer.report.front_page.sentences import interval
from medtransfer.report.text import joined

PAGE_ONE = "page-one"


@dataclass(frozen=True)
class Proof:
    """A fact in words, and the section of the report that shows it."""

    text: str
    anchor: str


def proofs_of(data: ReportData, front: FrontPage) -> dict[str, Proof]:
    """Every fact that the study has; what it lacks is missing.

    Args:
        data: Of the report.
        front: The first page's facts.
    """
    return {**_of_data(data), **_of_methods(data), **_of_results(data, front)}


def _of_data(data: ReportData) -> dict[str, Proof]:
    proofs: dict[str, Proof] = {}
    if data.counts:
        cases = sum(count.cases for count in data.counts)
        cohorts = sorted({count.cohort for count in data.counts})
        splits = list(dict.fromkeys(count.split for count in data.counts))
        proofs["counts"] = Proof(
            f"{plural(cases, 'case')} of {joined(cohorts)}, by split ({', '.join(splits)}), with "
            "their patients and positive cases",
            "method",
        )
        proofs["flow"] = Proof("Flow of images, cases and patients, drawn", "method")
    if data.findings is not None:
        waived = sum(finding.waived is not None for finding in data.findings)
        proofs["audit"] = Proof(
            f"{plural(len(data.findings), 'finding')} of the data audit, {waived} of them waived "
            "with a reason",
            "method",
        )
    return proofs


def _of_methods(data: ReportData) -> dict[str, Proof]:
    facts = dict(data.facts)
    proofs = {
        key: Proof(f"{name}: {facts[name]}", "method")
        for key, name in (
            ("label_policy", "Label policy"),
            ("splits", "Split"),
            ("images", "Images"),
            ("seeds", "Seeds"),
            ("environment", "Environment"),
        )
        if name in facts
    }
    recipes = [name for name in facts if name.startswith("Recipe")]
    if recipes:
        proofs["recipe"] = Proof(f"Recipe of {plural(len(recipes), 'rung')}", "method")
    if data.runs is not None:
        proofs["settings"] = Proof("All settings are in study.yaml of the study's folder", "method")
    config = data.evaluation
    proofs["intervals"] = Proof(
        f"95% intervals ({config.interval}, {config.replicates:,} replicates over patients), "
        "corrected for the number of comparisons",
        "method",
    )
    proofs["metrics"] = Proof("Every metric by topic; `medtransfer metrics` defines it", "transfer")
    proofs["networks"] = Proof(f"Networks: {joined(data.rungs)}", "transfer")
    sized = [info.name for info in data.rung_infos if info.parameters is not None]
    if sized:
        proofs["rung_facts"] = Proof(
            f"Pre-training, images and weights of {plural(len(sized), 'network')}", "transfer"
        )
    return proofs


def _of_results(data: ReportData, front: FrontPage) -> dict[str, Proof]:
    studied = {line.topic for line in front.findings if line.mark != "not studied"}
    home = front.hospitals[0]
    proofs = {
        "questions": Proof(
            f"{plural(len(studied), 'question')} of five studied, each marked", PAGE_ONE
        ),
        "answers": Proof("Answers with their intervals", PAGE_ONE),
        "limits": Proof("Limitations that follow from the study's settings", "limits"),
    }
    if home.auroc.value is not None:
        proofs["internal"] = Proof(
            f"AUROC of {front.subject} at {home.cohort}: {interval(home.auroc)}", "transfer"
        )
    if home.missed.value is not None:
        proofs["decisions"] = Proof(
            f"Of 100 positive {interval(home.missed, 0)} missed, of 100 negative "
            f"{interval(home.called, 0)} called, at {front.point}",
            PAGE_ONE,
        )
    for topic, key in (("shift", "shift"), ("groups", "groups")):
        if topic in studied:
            line = next(line for line in front.findings if line.topic == topic)
            anchor = "shift" if topic == "shift" else "fairness"
            proofs[key] = Proof(line.sentence, anchor)
    sizes = [line.detectable for line in front.findings if line.detectable is not None]
    if sizes:
        proofs["detectable"] = Proof(
            "Differences that such a study would have shown, beside each answer", PAGE_ONE
        )
    if front.recommended is not None:
        proofs["recommendation"] = Proof(f"{front.recommended}: {front.reason}", PAGE_ONE)
    ensembled = data.ensembles is not None and not data.ensembles.is_empty()
    proofs["ensembling"] = Proof(
        "The seeds of a rung together are one more rung"
        if ensembled
        else "No ensemble: numbers of a rung are means over its seeds",
        "transfer",
    )
    if data.understanding is not None:
        proofs["understanding"] = Proof("Understanding of the networks", "why")
    updates: list[str] = []
    if data.adaptation is not None and not data.adaptation.is_empty():
        updates.append("adaptation with a few patients of the other hospital")
    if "retrain" in data.curves and not data.curves["retrain"].is_empty():
        updates.append("training with cases of the other hospital")
    if updates:
        proofs["updating"] = Proof(joined(updates).capitalize(), "shift")
    return proofs
