"""A watch: quiet while nothing changes, an alarm when something does, the same when read again."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.special import expit
from tests.deploy import handmade
from typer.testing import CliRunner

from medtransfer.cli.main import app
from medtransfer.deploy.monitoring.alarms import evidence_of
from medtransfer.deploy.monitoring.config import MonitorConfig
from medtransfer.deploy.monitoring.monitor import Watch, monitor
from medtransfer.deploy.monitoring.streams import Stream, StreamKey
from medtransfer.errors import ConfigError, TableError
from medtransfer.tables.schema import write_spreadsheet

NO_PAGE = pytest.mark.usefixtures("no_page")
QUICK = MonitorConfig(replicates=20)
EXIT_ALARM = 3


@pytest.fixture(scope="module")
def bundle_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "hand.medt"
    handmade.write_by_hand(path)
    return path


@pytest.fixture
def no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charts take seconds: the page is an empty file."""
    monkeypatch.setattr("medtransfer.deploy.monitoring.monitor.monitor_page", lambda *_, **__: "")


def month(name: str, cases: int = 60, shift: float = 0.0, **columns: Any) -> pl.DataFrame:
    """Predictions of a month as `predict` writes them; labels follow the logit."""
    rng = np.random.default_rng(abs(hash_of(name)))
    logit = rng.normal(-1, 1.5, cases) + shift
    frame = pl.DataFrame(
        {
            "case_id": [f"case-{name}-{row:04d}" for row in range(cases)],
            "patient_id": [f"person-{name}-{row:04d}" for row in range(cases)],
            "cohort": "–",
            "brightness": rng.normal(0.5, 0.05, cases),
            "contrast": rng.normal(0.2, 0.02, cases),
            "logit_x": logit,
            "ood_energy": rng.normal(0, 0.5, cases),
            "month": name,
            "device": np.where(np.arange(cases) % 2, "A", "B").tolist(),
            "reason": pl.Series([None] * cases, dtype=pl.String),
        }
    )
    return frame.with_columns(**columns)


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode(), "big") % 2**32


def labels_of(*frames: pl.DataFrame, slope: float = 0.5) -> pl.DataFrame:
    """Labels that follow the logits; at a slope of a half the bundle is calibrated."""
    rows = pl.concat([frame.select("case_id", "logit_x") for frame in frames])
    chance = expit(rows["logit_x"].to_numpy() * slope)
    drawn = np.random.default_rng(0).random(len(rows)) < chance
    return rows.select("case_id").with_columns(x=pl.Series(drawn.astype(np.int64)))


def written(folder: Path, **frames: pl.DataFrame) -> dict[str, Path]:
    paths = {name: folder / f"{name}.csv" for name in frames}
    for name, frame in frames.items():
        write_spreadsheet(frame, paths[name])
    return paths


@NO_PAGE
def test_a_watch_without_a_change_is_quiet(bundle_file: Path, tmp_path: Path) -> None:
    names = ["2026-01", "2026-02", "2026-03"]
    paths = written(tmp_path, **{name: month(name) for name in names})
    arguments = ["monitor", str(bundle_file), *(str(paths[name]) for name in names[1:])]
    arguments += ["--baseline", str(paths["2026-01"]), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    first = done.output.splitlines()[0]
    assert first == (
        "Quiet: none of 14 streams changed, 120 cases (2026-02 to 2026-03) against a baseline of "
        "60 patients."
    )
    content = json.loads((tmp_path / "out" / "monitor.json").read_text("utf-8"))
    assert content["alarm"] is False
    assert len(content["streams"]) == 14
    rates = [stream["rate"] for stream in content["streams"]]
    assert sum(rates) == pytest.approx(0.05)
    table = pl.read_csv(tmp_path / "out" / "periods.csv")
    assert table["period"].unique().sort().to_list() == ["2026-02", "2026-03", "all", "baseline"]


@pytest.mark.slow
def test_a_shift_is_an_alarm_that_says_what_and_since_when(
    bundle_file: Path, tmp_path: Path
) -> None:
    before, calm = month("2026-01", 200), month("2026-02", 100)
    rare = pl.Series(["C"] * 3 + ["A"] * 147)
    shifted = month("2026-03", 150, shift=2.0).with_columns(device=rare)
    paths = written(tmp_path, a=before, b=calm, c=shifted)
    arguments = ["monitor", str(bundle_file), str(paths["c"]), str(paths["b"])]
    arguments += ["--baseline", str(paths["a"]), "-o", str(tmp_path / "out"), "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == EXIT_ALARM, done.output
    content = json.loads(done.output)
    alarms = {
        (stream["key"]["quantity"], stream["key"]["device"]): stream
        for stream in content["streams"]
        if stream["alarms"]
    }
    score = alarms["score", None]
    assert score["direction"] == "higher"
    assert score["alarm_period"] == "2026-03"  # months are sorted, whatever the order of the files
    assert 100 < score["alarm_patient"] < 200
    expected = expit(shifted["logit_x"].to_numpy() / 2).mean()
    assert score["mean"] == pytest.approx(expected)
    assert not any(quantity in ("brightness", "OOD score") for quantity, _ in alarms)
    assert any("Inputs have changed (first noticed: 2026-03)" in n for n in content["notes"])
    page = (tmp_path / "out" / "monitor.html").read_text("utf-8")
    text = page + (tmp_path / "out" / "monitor.json").read_text("utf-8") + done.output
    assert not re.search(r"(case|person)-2026", text)
    assert "score of x: higher, mean " in page
    assert "The page was searched for 500 ids and file names" in page
    assert "none is on it" in page
    assert "Not in the baseline: C." in page
    assert "&lt;10" in page  # three cases of C


@NO_PAGE
def test_what_was_seen_stays_when_more_comes(bundle_file: Path, tmp_path: Path) -> None:
    paths = written(
        tmp_path,
        a=month("2026-01", 100),
        b=month("2026-02", 100, shift=1.5),
        c=month("2026-03", 300),
    )
    watches = [
        monitor(bundle_file, [paths[n] for n in names], tmp_path / "out", baseline=paths["a"])
        for names in ("b", "bc")
    ]
    alarmed = [{e.key: e.alarm_patient for e in watch.evidence if e.alarms} for watch in watches]
    assert alarmed[0]
    assert alarmed[0].items() <= alarmed[1].items()


@NO_PAGE
def test_labels_give_measured_performance_beside_the_expected(
    bundle_file: Path, tmp_path: Path
) -> None:
    before, after = month("2026-01", 150), month("2026-02", 150)
    labels = labels_of(before, after)
    paths = written(tmp_path, a=before, b=after, labels=labels)
    watch = monitor(
        bundle_file,
        [paths["b"]],
        tmp_path / "out",
        baseline=paths["a"],
        labels=paths["labels"],
        config=QUICK,
    )
    number = next(
        n for n in watch.performance if (n.period, n.metric) == ("2026-02", "sensitivity@sens90")
    )
    ill = after.join(labels, on="case_id").filter(pl.col("x") == 1)
    called = expit(ill["logit_x"].to_numpy()) >= 0.4
    assert number.measured is not None
    assert number.measured.value == pytest.approx(called.mean())
    assert number.measured.positives == len(ill)
    assert number.expected.value == pytest.approx(called.mean(), abs=0.1)
    families = [stream.key.family for stream in watch.evidence]
    assert families.count("performance") == 2
    assert not watch.alarm


@NO_PAGE
def test_a_change_of_what_a_score_means_is_seen_by_labels_alone(
    bundle_file: Path, tmp_path: Path
) -> None:
    before, after = month("2026-01", 300), month("2026-02", 300)
    labels = labels_of(before, after, slope=3)
    mixed = labels["x"].to_numpy().copy()
    mixed[300:] = np.random.default_rng(5).permutation(mixed[300:])  # scores say nothing any more
    paths = written(tmp_path, a=before, b=after, labels=labels.with_columns(x=pl.Series(mixed)))
    watch = monitor(
        bundle_file,
        [paths["b"]],
        tmp_path / "out",
        baseline=paths["a"],
        labels=paths["labels"],
        config=QUICK,
    )
    alarms = {
        (stream.key.family, stream.key.label): stream.direction
        for stream in watch.evidence
        if stream.alarms
    }
    assert alarms == {("performance", 1): "lower", ("performance", 0): "higher"}
    assert not any("holds no longer" in note for note in watch.notes)  # no input has changed


@NO_PAGE
def test_an_alarm_of_labels_names_the_month_of_its_patient(
    bundle_file: Path, tmp_path: Path
) -> None:
    frames = [month(f"2026-0{number}", 300) for number in (1, 2, 3)]
    labels = labels_of(*frames, slope=3)
    mixed = labels["x"].to_numpy().copy()
    mixed[600:] = np.random.default_rng(5).permutation(mixed[600:])
    labels = labels.with_columns(x=pl.Series(mixed))
    paths = written(tmp_path, a=frames[0], b=frames[1], c=frames[2], labels=labels)
    watch = monitor(
        bundle_file,
        [paths["b"], paths["c"]],
        tmp_path / "out",
        baseline=paths["a"],
        labels=paths["labels"],
        config=QUICK,
    )
    periods = {one.alarm_period for one in watch.evidence if one.key.family == "performance"}
    assert periods == {"2026-03"}


@NO_PAGE
def test_a_patient_counts_once_and_not_if_it_is_in_the_baseline(
    bundle_file: Path, tmp_path: Path
) -> None:
    before, after = month("2026-01", 60), month("2026-02", 60)
    after = after.with_columns(
        patient_id=pl.Series([*before["patient_id"][:10], *(["one"] * 20), *(["–"] * 30)])
    )
    paths = written(tmp_path, a=before, b=after)
    watch = monitor(bundle_file, [paths["b"]], tmp_path / "out", baseline=paths["a"], config=QUICK)
    assert "10 patients left out: they are in the baseline." in watch.notes
    score = next(
        stream for stream in watch.evidence if stream.key == StreamKey("inputs", "score", "x")
    )
    assert score.patients == 1 + 30
    number = next(n for n in watch.periods if (n.period, n.quantity) == ("2026-02", "calls"))
    assert (number.cases, number.patients) == (50, 31)


@NO_PAGE
def test_tables_without_months_are_periods_in_the_order_of_their_names(
    bundle_file: Path, tmp_path: Path
) -> None:
    frames = [month(name).drop("month", "device", "patient_id") for name in ("x", "y", "z")]
    paths = written(tmp_path, a=frames[0], b=frames[1], c=frames[2])
    watch = monitor(
        bundle_file, [paths["c"], paths["b"]], tmp_path / "out", baseline=paths["a"], config=QUICK
    )
    assert "(table 1 to table 2)" in watch.sentence
    assert any("No table has a month" in note for note in watch.notes)
    assert any("name no patients" in note for note in watch.notes)
    assert {stream.key.device for stream in watch.evidence} == {None}


@NO_PAGE
def test_all_kinds_of_files_are_read_alike(bundle_file: Path, tmp_path: Path) -> None:
    before, after = month("2026-01"), month("2026-02")
    paths = written(tmp_path, a=before, csv=after)
    after.write_parquet(tmp_path / "b.parquet")
    after.write_ndjson(tmp_path / "b.jsonl")
    folder = tmp_path / "month"
    folder.mkdir()
    write_spreadsheet(after.head(30), folder / "1.csv")
    write_spreadsheet(after.tail(40), folder / "2.csv")  # ten cases again
    write_spreadsheet(after.head(1), folder / "2.refused.csv")
    watches: list[Watch] = [
        monitor(bundle_file, [path], tmp_path / "out", baseline=paths["a"], config=QUICK)
        for path in (paths["csv"], tmp_path / "b.parquet", tmp_path / "b.jsonl", folder)
    ]
    assert {watch.evidence for watch in watches} == {watches[0].evidence}
    assert "10 rows of cases that came before: the first counts." in watches[3].notes


@NO_PAGE
def test_members_of_an_ensemble_are_combined(tmp_path: Path) -> None:
    both = handmade.facts(
        members=2,
        training=handmade.facts().training.__class__(
            **{**vars(handmade.facts().training), "run_ids": ("a" * 12, "b" * 12), "seeds": (0, 1)}
        ),
    )
    path = tmp_path / "two.medt"
    handmade.write_by_hand(path, both)
    frame = month("2026-02")
    members = pl.concat(
        [
            frame.with_columns(pl.col("logit_x") + 2 * member, member=pl.lit(member))
            for member in (0, 1)
        ]
    )
    paths = written(tmp_path, a=month("2026-01"), b=members)
    watch = monitor(path, [paths["b"]], tmp_path / "out", baseline=paths["a"], config=QUICK)
    logits = frame["logit_x"].to_numpy()
    mean = (expit(logits) + expit(logits + 2)) / 2
    calibrated = expit(np.log(mean / (1 - mean)) / 2).mean()
    number = next(n for n in watch.periods if (n.period, n.quantity) == ("2026-02", "probability"))
    assert number.cases == 60
    assert number.value == pytest.approx(calibrated)


@NO_PAGE
def test_without_a_baseline_the_bundles_own_cases_are_it(bundle_file: Path, tmp_path: Path) -> None:
    paths = written(tmp_path, b=month("2026-02"))
    watch = monitor(bundle_file, [paths["b"]], tmp_path / "out", config=QUICK)
    assert watch.evidence == ()  # twelve cases are too few
    assert watch.sentence.startswith("Not tested: 60 cases (2026-02)")
    assert any("bundle's own test and tuning cases" in note for note in watch.notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logit_x": None}, "table 1: column 'logit_x' is missing"),
        ({"brightness": "bright"}, "table 1: column 'brightness' holds what is no number in 60"),
    ],
)
@NO_PAGE
def test_tables_that_cannot_be_used_are_refused(
    bundle_file: Path, tmp_path: Path, change: dict[str, str | None], message: str
) -> None:
    frame = month("2026-02")
    for name, value in change.items():
        frame = frame.drop(name) if value is None else frame.with_columns(pl.lit(value).alias(name))
    path = written(tmp_path, b=frame)["b"]
    done = CliRunner().invoke(app, ["monitor", str(bundle_file), str(path)])
    assert isinstance(done.exception, TableError)
    assert message in str(done.exception)


@NO_PAGE
def test_what_is_not_there_and_what_is_left_of_nothing_is_said(
    bundle_file: Path, tmp_path: Path
) -> None:
    path = written(tmp_path, b=month("2026-02"))["b"]
    with pytest.raises(TableError, match="does not exist"):
        monitor(bundle_file, [tmp_path / "none.csv"], tmp_path / "out")
    with pytest.raises(ConfigError, match="All cases are in the baseline"):
        monitor(bundle_file, [path], tmp_path / "out", baseline=path)
    with pytest.raises(ConfigError, match="nothing to watch"):
        monitor(bundle_file, [], tmp_path / "out")
    labels = written(tmp_path, labels=pl.DataFrame({"case_id": ["a"], "x": ["perhaps"]}))["labels"]
    with pytest.raises(TableError, match="'x' holds 1 wrong value in 1 row, first in row 2"):
        monitor(bundle_file, [path], tmp_path / "out", labels=labels)
    other = written(tmp_path, other=pl.DataFrame({"id": ["a"], "x": [1]}))["other"]
    with pytest.raises(TableError, match='no column "case_id"'):
        monitor(bundle_file, [path], tmp_path / "out", labels=other)
    done = CliRunner().invoke(app, ["monitor", str(bundle_file), str(path), "--false-alarms", "5"])
    assert "--false-alarms is 5" in str(done.exception)


@pytest.mark.slow
def test_a_whole_watch_keeps_the_stated_rate() -> None:
    """All streams together, correlated, alarm in at most 5 % of watches."""
    rng = np.random.default_rng(6)
    count, alarms = 200, 0
    periods = pl.Series(["2026"] * 400)
    for watch in range(count):
        shared = rng.normal(size=(460, 1))
        values = 0.7 * shared + rng.normal(size=(460, 6))
        streams = [
            Stream(
                StreamKey("inputs", "score", f"{watch} {column}"),
                values[:60, column],
                values[60:, column],
                np.arange(400),
            )
            for column in range(6)
        ]
        alarms += any(e.alarms for e in evidence_of(streams, periods, MonitorConfig()))
    assert stats.binomtest(alarms, count, 0.05, alternative="greater").pvalue > 0.001


@NO_PAGE
def test_labels_are_read_as_in_a_manifest_and_that_is_said(
    bundle_file: Path, tmp_path: Path
) -> None:
    months = month("2026-02", 40)
    labels = pl.DataFrame(
        {
            "case_id": months["case_id"],
            "x": ["ja" if n % 2 else "nein" if n % 4 else "k.A." for n in range(len(months))],
        }
    )
    paths = written(tmp_path, a=months, labels=labels)
    with pytest.raises(TableError, match="--values x=WORD:1,WORD:0"):
        monitor(bundle_file, [paths["a"]], tmp_path / "out", labels=paths["labels"])
    watch = monitor(
        bundle_file,
        [paths["a"]],
        tmp_path / "out",
        labels=paths["labels"],
        values={"x": {"ja": "1", "nein": "0"}},
    )
    assert "Labels: 'x': read as missing: 'k.A.' in 10 rows." in watch.notes
    assert any(
        note.startswith("Labels: 'x': 'ja' in 20 rows written as '1'") for note in watch.notes
    )
