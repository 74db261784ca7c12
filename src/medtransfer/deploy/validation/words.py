"""Words for a validation: what a hospital is told, in sentences and as a table."""

from collections.abc import Iterator

import polars as pl

from medtransfer.deploy.validation.from_predictions import LocalValidation, Numbers
from medtransfer.deploy.validation.judgement import Judgement, Measured
from medtransfer.errors import plural
from medtransfer.evaluation.scoring.estimate import MetricKey

AS_CARRIED, RECALIBRATED = "as carried", "recalibrated"
PER = 100


def verdict_sentence(validation: LocalValidation) -> str:
    """The first line: the hospital, its patients, and the answer."""
    network, verdict = validation.network, validation.verdict
    run, cases = network.run, network.cases
    parts = [plural(run.patients(cases), "patient")]
    if len(run.names) == 1:
        ill = cases & (run.targets[:, 0] == 1)
        parts[0] += f" ({run.patients(ill):,} with {run.names[0]})"
    sentence = f"{network.hospital}, {parts[0]}: {verdict.answer}."
    if verdict.answer != "too few cases to say":
        return sentence
    if verdict.needed is None:
        return f"{sentence} No number of patients can be given: {_why_no_number(validation)}."
    return (
        f"{sentence} About {verdict.needed:,} patients are expected to decide, if the network is "
        "as good here as promised."
    )


def _why_no_number(validation: LocalValidation) -> str:
    reasons = [
        judgement.reason
        for judgement in validation.verdict.carried
        if judgement.side == "unclear" and judgement.needed is None and judgement.reason
    ]
    return reasons[0] if reasons else "nothing could be judged"


def verdict_lines(validation: LocalValidation) -> Iterator[str]:
    """Lines below it: missed and called at the operating point, before and after recalibration."""
    metrics = [judgement.metric for judgement in validation.verdict.carried]
    points = [m.partition("@")[2] for m in metrics if "@" in m]
    points = list(dict.fromkeys(points or validation.network.evaluation.operating_points))
    target = validation.network.target
    for point in points[:1]:
        promised = validation.promised.get(MetricKey(target, f"sensitivity@{point}"))
        yield decisions_line(f"{AS_CARRIED} ({point})", validation.here, target, point, promised)
        if validation.recalibration is not None:
            after = validation.recalibration
            label = f"{after.arm} with {after.fit_patients} local"
            yield decisions_line(label, after.numbers, target, point)
    auroc = validation.here.get(MetricKey(target, "auroc"))
    promised = validation.promised.get(MetricKey(target, "auroc"))
    if auroc is not None and auroc.value is not None:
        text = f"AUROC {_number(auroc)}"
        if promised is not None and promised.value is not None:
            text += f" (promised {_number(promised)})"
        yield text
    for judgement in validation.verdict.carried:
        if judgement.reason is not None and judgement.side == "unclear":
            yield f"{judgement.metric}: {judgement.reason}"


def decisions_line(
    label: str, numbers: Numbers, target: str, point: str, promised: Measured | None = None
) -> str:
    """Missed and called per 100 at an operating point."""
    subject = "a finding" if target == "macro" else target
    missed = numbers.get(MetricKey(target, f"sensitivity@{point}"))
    cleared = numbers.get(MetricKey(target, f"specificity@{point}"))
    was = (
        f" (promised {PER * (1 - promised.value):.0f})"
        if promised is not None and promised.value is not None
        else ""
    )
    return (
        f"{label}: of 100 with {subject} {_complement(missed)} are missed{was}, of 100 without "
        f"{_complement(cleared)} are called"
    )


def _complement(measured: Measured | None) -> str:
    """100 minus a share in percent, with its interval."""
    if measured is None or measured.value is None:
        return "an unknown number"
    text = f"{PER * (1 - measured.value):.0f}"
    if measured.low is None or measured.high is None:
        return text
    return f"{text} [{PER * (1 - measured.high):.0f}, {PER * (1 - measured.low):.0f}]"


def _number(measured: Measured) -> str:
    if measured.low is None or measured.high is None:
        return f"{measured.value:.2f}"
    return f"{measured.value:.2f} [{measured.low:.2f}, {measured.high:.2f}]"


def verdict_table(validation: LocalValidation) -> pl.DataFrame:
    """The judged metrics, one row each: promised, here, difference, side of the margin."""
    verdict = validation.verdict
    stages = ((AS_CARRIED, verdict.carried), (RECALIBRATED, verdict.recalibrated))
    rows = [
        _row(stage, judgement, validation.config.margin)
        for stage, judgements in stages
        for judgement in judgements
    ]
    return pl.DataFrame(rows, infer_schema_length=None)


def _row(stage: str, judgement: Judgement, margin: float) -> dict[str, str | float | int | None]:
    promised, local = judgement.promised, judgement.here
    return {
        "stage": stage,
        "target": judgement.target,
        "metric": judgement.metric,
        "promised": promised.value,
        "promised_low": promised.low,
        "promised_high": promised.high,
        "here": local.value,
        "here_low": local.low,
        "here_high": local.high,
        "difference": judgement.difference,
        "low": judgement.low,
        "high": judgement.high,
        "margin": margin,
        "side": judgement.side,
        "patients": local.patients,
        "needed": judgement.needed,
        "reason": judgement.reason,
    }
