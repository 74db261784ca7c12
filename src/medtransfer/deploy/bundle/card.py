"""Model card of a bundle (after Mitchell et al. 2019), and the page that `show` prints."""

from collections.abc import Iterator
from typing import Any, cast

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from medtransfer.deploy.bundle.facts.targets import LevelFacts, PromisedNumber, TargetFacts
from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.bundle.schema import BundleFacts, OnnxFacts, level_facts
from medtransfer.errors import plural, printable
from medtransfer.sizes.image_size import height_width, sides_words

NOT_A_DEVICE = (
    "Not a medical device: for research. Validate it on your own labelled cases before use "
    "(`medtransfer validate`)."
)
MAX_SHOWN_TARGETS = 12
"""Targets that `show` prints; the card lists all."""


def bundle_card(facts: BundleFacts) -> str:
    """Model card, Markdown.

    Args:
        facts: Of the bundle.
    """
    environment = Environment(
        loader=PackageLoader("medtransfer", "deploy/bundle"),
        autoescape=select_autoescape(default=False),  # the card is Markdown
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    cast("Any", environment).filters.update(number=number_text, cell=_cell)
    template = environment.get_template("model_card.md.j2")
    return template.render(
        facts=facts,
        points=list(point_rows(facts)),
        discrimination=[n for n in facts.promises if n.metric == "auroc"],
        deferral=deferral_sentence(facts),
        steps=input_steps(facts),
        levels=[(level_sentence(u), list(point_rows(level_facts(facts, u)))) for u in facts.levels],
        onnx=None if facts.onnx is None else onnx_sentence(facts.onnx),
        not_a_device=NOT_A_DEVICE,
    )


def bundle_page(bundle: Bundle, *, trusted: bool = False) -> str:
    """One screen of text on a bundle.

    Args:
        bundle: The bundle.
        trusted: True if its signature was checked against a key that the user trusts.
    """
    facts, training = bundle.facts, bundle.facts.training
    lines = [
        f"{printable(facts.name, 80)}: {facts.network.rung}, {facts.task}, "
        f"{plural(len(facts.targets), 'target')}"
        + (f", {plural(facts.members, 'network')} together" if facts.members > 1 else ""),
        (
            f"  trained on   {plural(training.train_cases, 'case')} of "
            f"{plural(training.train_patients, 'patient')} ({', '.join(training.cohorts)})"
        ),
        (
            f"  fitted on    {plural(training.tune_cases, 'case')} of "
            f"{plural(training.tune_patients, 'patient')}: thresholds, calibrators, sets"
        ),
        *(f"  further      {printable(t.sentence(), 300)}" for t in facts.further_training),
        f"  taken        {printable(training.why, 300)}",
        (
            f"  input        {sides_words(facts.input.crop)} px, {facts.network.pool} over "
            "the images of a case"
        ),
    ]
    if facts.clinical:
        names = ", ".join(printable(column.name) for column in facts.clinical[0])
        lines.append(f"  clinical     {names}: a column each of the table, or --clinical TABLE")
    for number in (n for n in facts.promises if n.metric == "auroc" and n.split == "test"):
        if number.target in (facts.names[0], "macro") or len(facts.targets) <= MAX_SHOWN_TARGETS:
            lines.append(
                f"  AUROC        {printable(number.target)} at {printable(number.cohort)}: "
                f"{number_text(number)}"
            )
    for target in facts.targets[:MAX_SHOWN_TARGETS]:
        lines += _point_lines(facts, target)
    if len(facts.targets) > MAX_SHOWN_TARGETS:
        lines.append(f"  and {len(facts.targets) - MAX_SHOWN_TARGETS} more targets (see the card)")
    for level in facts.levels:
        lines.append(f"  unit         {level_sentence(level)}")
        of_units = level_facts(facts, level)
        for target in of_units.targets[:MAX_SHOWN_TARGETS]:
            lines += _point_lines(of_units, target)
    detectors = ", ".join(detector.name for detector in facts.detectors) or "none"
    lines.append(f"  OOD gate     {detectors}")
    lines.append(f"  deferred     {deferral_sentence(facts)}")
    lines += [
        f"  licence      {one.subject}: {printable(one.terms, 200)}" for one in facts.licences
    ]
    if facts.onnx is not None:
        lines.append(f"  ONNX         {onnx_sentence(facts.onnx)}")
    if facts.expires is not None:
        over = " (it has expired)" if bundle.has_expired else ""
        lines.append(f"  expires      after {facts.expires.isoformat()}{over}")
    if facts.parent is not None:
        lines.append(f"  supersedes   bundle {facts.parent[:12]}")
        lines += [f"  changed      {printable(change, 300)}" for change in facts.changes]
    signature = bundle.signature
    if signature is not None:
        checked = "" if trusted else "; --trusted KEY checks it"
        lines.append(f"  signed       by key {signature.key_id}{checked}")
    lines.append(f"  digest       {bundle.digest[:12]}, written by medtransfer {facts.medtransfer}")
    return "\n".join([*lines, NOT_A_DEVICE])


def point_rows(facts: BundleFacts) -> Iterator[tuple[str, str, str, str, float, str, str]]:
    """Target, point, use, cohort, threshold, sensitivity and specificity of every point."""
    by_key = {(n.target, n.metric, n.split, n.cohort): n for n in facts.promises}
    places = list(dict.fromkeys((n.split, n.cohort) for n in facts.promises))
    for target in facts.targets:
        for point, threshold in target.thresholds.items():
            if threshold is None:
                continue
            for split, cohort in places:
                rates = [
                    by_key.get((target.name, f"{metric}@{point}", split, cohort))
                    for metric in ("sensitivity", "specificity")
                ]
                if rates != [None, None]:
                    first, second = (number_text(rate) for rate in rates)
                    yield target.name, point, split, cohort, threshold, first, second


def number_text(number: PromisedNumber | None) -> str:
    """A number with its interval: ``0.86 [0.82, 0.89]``; a dash with a reason if undefined."""
    if number is None:
        return "–"
    if number.value is None:
        return f"– ({number.reason or 'undefined'})"
    if number.low is None or number.high is None:
        return f"{number.value:.3f}"
    return f"{number.value:.3f} [{number.low:.3f}, {number.high:.3f}]"


def deferral_sentence(facts: BundleFacts) -> str:
    """The rule of deferral in words."""
    rule = facts.deferral
    parts: list[str] = []
    if rule.set_method is not None:
        parts.append(f"the prediction set ('{rule.set_method}') has not exactly one answer")
    if rule.ood and facts.detectors:
        parts.append("a detector flags it as out of distribution")
    if rule.missing_images:
        parts.append("one of its images could not be read")
    return f"a case is left to a person if {' or '.join(parts)}" if parts else "nothing"


def level_sentence(level: LevelFacts) -> str:
    """The rule of a level in words."""
    rules = {"max": "the highest logit", "mean": "the mean probability"}
    return f"cases of one {printable(level.name, 80)} together, by {rules[level.rule]} of them"


def onnx_sentence(onnx: OnnxFacts) -> str:
    """Opset of the ONNX networks, and their difference from torch."""
    precision = (
        ""
        if onnx.precision_difference is None
        else f", {onnx.precision_difference:.2g} from torch in the study's precision"
    )
    return (
        f"opset {onnx.opset} in float32 by {onnx.exporter}; on {onnx.inputs} generated images the "
        f"logits differ from torch in float32 by at most {onnx.logit_difference:.2g}{precision} "
        f"({onnx.runtime})"
    )


def input_steps(facts: BundleFacts) -> list[str]:
    """Steps from a file to the network's input, for another language to do the same."""
    given = facts.input
    mean, std = (", ".join(f"{v:.6g}" for v in values) for values in (given.mean, given.std))
    lossy = (
        [f"Encode as JPEG of quality {given.quality} and decode again."]
        if given.coding == "jpeg"
        else []
    )
    high, wide = height_width(given.crop)
    order = "" if high == wide else " (height × width)"
    framing = given.framing
    region = (
        f"Cut out the {framing.words()}, by version {framing.rules} of the rules in "
        "docs/reference/bundle.md; an image without a clear breast stays whole."
    )
    image = "the whole image" if framing.is_whole else "it"
    return [
        (
            f"Decode the file ({given.decoder}); DICOM by the rules '{given.dicom_rules}', black "
            "is 0; turn photographs upright as their EXIF says."
        ),
        *([] if framing.is_whole else [region]),
        (
            f"Resize {image} to {sides_words(given.crop)} pixels{order}, {given.interpolation} and "
            "antialiased, whatever its proportions; round to its 8 or 16 bits."
        ),
        *lossy,
        "Divide by 255, or by 65,535 with 16 bits; repeat grey to three channels.",
        f"Subtract the mean ({mean}) and divide by the standard deviation ({std}) per channel.",
        (
            f"Pass all images of a case through the network, take the {facts.network.pool} of "
            "their features, and apply the head."
        ),
    ]


def _point_lines(facts: BundleFacts, target: TargetFacts) -> Iterator[str]:
    for name, point, split, cohort, threshold, sensitivity, specificity in point_rows(facts):
        if name == target.name and split == "test":
            yield (
                f"  {point:<12} {printable(name)} at {printable(cohort)}: probability from "
                f"{threshold:.3g}, sensitivity {sensitivity}, specificity {specificity}"
            )


def _cell(text: str) -> str:
    """Text that does not break a Markdown table."""
    return printable(text, 300).replace("|", "\\|")
