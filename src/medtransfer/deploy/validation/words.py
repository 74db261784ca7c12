"""Words for a validation: what a hospital is told, in sentences and as a table."""

from collections.abc import Iterator

import polars as pl

from medtransfer.deploy.validation.from_predictions import LocalValidation, Numbers
from medtransfer.deploy.validation.judgement import Judgement, Measured
from medtransfer.deploy.validation.verdict import VerdictAnswer
from medtransfer.evaluation.scoring.estimate import MetricKey
from medtransfer.language.numbers import localised, translate_plural
from medtransfer.language.reasons import reason_text
from medtransfer.language.translation import template, translate
from medtransfer.report.text import bracketed, fixed

AS_CARRIED, RECALIBRATED = "as carried", "recalibrated"
PER = 100
ANSWERS: dict[VerdictAnswer, str] = {
    "holds": template("{hospital}, {patients}: holds."),
    "does not hold": template("{hospital}, {patients}: does not hold."),
    "holds after recalibration": template("{hospital}, {patients}: holds after recalibration."),
    "too few cases to say": template("{hospital}, {patients}: too few cases to say."),
}
"""First sentence of every answer."""
DECISIONS = template(
    "{label}: of 100 with {finding} {missed} are missed, of 100 without {called} are called"
)
DECISIONS_PROMISED = template(
    "{label}: of 100 with {finding} {missed} are missed (promised {promised}), of 100 without "
    "{called} are called"
)


def verdict_sentence(validation: LocalValidation) -> str:
    """The first line: the hospital, its patients, and the answer, in the language in use."""
    network, verdict = validation.network, validation.verdict
    run, cases = network.run, network.cases
    patients = translate_plural("{count} patient", "{count} patients", run.patients(cases))
    if len(run.names) == 1:
        ill = cases & (run.targets[:, 0] == 1)
        patients = translate(
            "{patients} ({ill} with {finding})",
            patients=patients,
            ill=localised(f"{run.patients(ill):,}"),
            finding=run.names[0],
        )
    answer = translate(ANSWERS[verdict.answer], hospital=network.hospital, patients=patients)
    if verdict.answer != "too few cases to say":
        return answer
    if verdict.needed is None:
        none = translate(
            "No number of patients can be given: {why}.", why=_why_no_number(validation)
        )
        return f"{answer} {none}"
    needed = translate(
        "About {needed} patients are expected to decide, if the network is as good here as "
        "promised.",
        needed=localised(f"{verdict.needed:,}"),
    )
    return f"{answer} {needed}"


def _why_no_number(validation: LocalValidation) -> str:
    reasons = [
        judgement.reason
        for judgement in validation.verdict.carried
        if judgement.side == "unclear" and judgement.needed is None and judgement.reason
    ]
    return reason_text(reasons[0]) if reasons else translate("nothing could be judged")


def verdict_lines(validation: LocalValidation) -> Iterator[str]:
    """Lines below it: missed and called at the operating point, before and after recalibration."""
    metrics = [judgement.metric for judgement in validation.verdict.carried]
    points = [m.partition("@")[2] for m in metrics if "@" in m]
    points = list(dict.fromkeys(points or validation.network.evaluation.operating_points))
    target = validation.network.target
    for point in points[:1]:
        promised = validation.promised.get(MetricKey(target, f"sensitivity@{point}"))
        label = translate("as carried ({point})", point=point)
        yield decisions_line(label, validation.here, target, point, promised)
        if validation.recalibration is not None:
            after = validation.recalibration
            patients = localised(f"{after.fit_patients}")
            label = translate("{arm} with {patients} local", arm=after.arm, patients=patients)
            yield decisions_line(label, after.numbers, target, point)
    auroc = validation.here.get(MetricKey(target, "auroc"))
    promised = validation.promised.get(MetricKey(target, "auroc"))
    if auroc is not None and auroc.value is not None:
        yield _auroc_line(auroc, promised)
    for judgement in validation.verdict.carried:
        if judgement.reason is not None and judgement.side == "unclear":
            why = reason_text(judgement.reason)
            yield translate("{metric}: {why}", metric=judgement.metric, why=why)


def decisions_line(
    label: str, numbers: Numbers, target: str, point: str, promised: Measured | None = None
) -> str:
    """Missed and called per 100 at an operating point, in the language in use."""
    missed = numbers.get(MetricKey(target, f"sensitivity@{point}"))
    cleared = numbers.get(MetricKey(target, f"specificity@{point}"))
    values = {
        "label": label,
        "finding": translate("a finding") if target == "macro" else target,
        "missed": _complement(missed),
        "called": _complement(cleared),
    }
    if promised is None or promised.value is None:
        return translate(DECISIONS, **values)
    return translate(DECISIONS_PROMISED, promised=_per_hundred(promised.value), **values)


def _per_hundred(share: float) -> str:
    """100 minus a share in percent."""
    return fixed(PER * (1 - share), 0)


def _complement(measured: Measured | None) -> str:
    """100 minus a share in percent, with its interval."""
    if measured is None or measured.value is None:
        return translate("an unknown number")
    text = _per_hundred(measured.value)
    if measured.low is None or measured.high is None:
        return text
    return f"{text} {bracketed(_per_hundred(measured.high), _per_hundred(measured.low))}"


def _auroc_line(auroc: Measured, promised: Measured | None) -> str:
    """AUROC here, beside the promised one if there is one."""
    if promised is None or promised.value is None:
        return translate("AUROC {value}", value=_number(auroc))
    value, promise = _number(auroc), _number(promised)
    return translate("AUROC {value} (promised {promised})", value=value, promised=promise)


def _number(measured: Measured) -> str:
    if measured.value is None:
        return "–"
    if measured.low is None or measured.high is None:
        return fixed(measured.value)
    return f"{fixed(measured.value)} {bracketed(fixed(measured.low), fixed(measured.high))}"


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
