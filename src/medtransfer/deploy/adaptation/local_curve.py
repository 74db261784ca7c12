"""Adaptation curve of a bundle at one hospital: every arm by number of its patients."""

from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from medtransfer.deploy.bundle.schema import BundleFacts
from medtransfer.deploy.validation.local_network import LocalNetwork
from medtransfer.errors import plural
from medtransfer.evaluation.comparison.adaptation.config import AdaptConfig
from medtransfer.evaluation.comparison.adaptation.curve import ArmCurve, ArmKey, arm_curves
from medtransfer.evaluation.comparison.adaptation.reading import LOSS
from medtransfer.evaluation.comparison.adaptation.summary import arm_rows
from medtransfer.evaluation.comparison.adaptation.table import AdaptRow, adapt_frame
from medtransfer.evaluation.comparison.grid_key import GridKey
from medtransfer.evaluation.comparison.seed_means import HEADLINE
from medtransfer.posthoc.adaptation.home_features import HomeFeatures
from medtransfer.tables.results import CASE, MACRO

Curves = Mapping[ArmKey, ArmCurve]


def hospital_curves(
    network: LocalNetwork, config: AdaptConfig, features: Sequence[HomeFeatures]
) -> Curves:
    """Measure every arm that trains no network at a hospital, as a study does.

    Args:
        network: Predictions of the bundle at home and at the hospital.
        config: Arms, numbers of patients, draws.
        features: Of the hospital's cases by each network, for `probe`; none without them.
    """
    measured = arm_curves(
        network.frame,
        network.run.task,
        network.evaluation,
        config,
        {},
        features=features,
        fit=network.fit,
    )
    return {curve.key: curve for curve in measured}


def curve_table(
    facts: BundleFacts, curves: Curves, config: AdaptConfig, trained: Sequence[ArmCurve] = ()
) -> pl.DataFrame:
    """Adaptation curves of a bundle at a hospital, as a study has them.

    Args:
        facts: Of the bundle.
        curves: From `hospital_curves`.
        config: Of these curves.
        trained: Curves of arms that train, each with one draw of the patients.
    """
    key = GridKey(facts.network.rung, facts.training.label_fraction)
    if not curves:
        return adapt_frame([])
    rows = list(arm_rows(key, [curves], config))
    if trained:
        all_curves = {**curves, **{curve.key: curve for curve in trained}}
        arms = {curve.key.arm for curve in trained}
        once = config.model_copy(update={"draws": 1})
        rows += [row for row in arm_rows(key, [all_curves], once) if row.arm in arms]
    return adapt_frame(rows)


def curve_lines(table: pl.DataFrame, arm: str) -> Iterator[str]:
    """Log loss and AUROC of an arm by number of patients, a line each, or why there are none."""
    rows = [AdaptRow(**row) for row in table.filter(pl.col("arm") == arm).to_dicts()]
    by_size: dict[int, list[AdaptRow]] = {}
    for row in rows:
        by_size.setdefault(row.patients, []).append(row)
    for size, of_size in by_size.items():
        parts = [_part(of_size, metric, word) for metric, word in WORDS.items()]
        yield f"{arm} of {plural(size, 'patient')}: {', '.join(part for part in parts if part)}"


WORDS = {LOSS: "log loss", HEADLINE: "AUROC"}


def _part(rows: list[AdaptRow], metric: str, word: str) -> str:
    of_metric = {row.target: row for row in rows if row.metric == metric}
    if not of_metric:
        return ""
    first = next(iter(of_metric))
    row = of_metric[next((name for name in (MACRO, CASE) if name in of_metric), first)]
    if row.value is None:
        return f"no {word} ({row.reason})"
    interval = "" if row.low is None else f" [{row.low:.3f}, {row.high:.3f}]"
    change = "" if row.difference is None else f" ({row.difference:+.3f} from carried)"
    return f"{word} {row.value:.3f}{interval}{change}"
