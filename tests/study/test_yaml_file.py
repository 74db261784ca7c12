"""study.yaml: all faults at once, each with its line and what is allowed."""

import time
from pathlib import Path

import pytest

from medtransfer.errors import ConfigError
from medtransfer.study.yaml_file import read_evaluation_config, read_pretrain, read_study

GOOD = """\
name: chest
data:
  manifest: chest.csv
  task: multi-label
  targets: [Edema, Effusion]
rungs:
  - scratch/r14x1
  - imagenet/effnet-lite0
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_study(written(folder, text))
    return str(caught.value).splitlines()


def test_a_good_file_is_read_with_its_paths_from_its_folder(tmp_path: Path) -> None:
    study = read_study(written(tmp_path, GOOD))
    assert study.data.manifest == tmp_path / "chest.csv"
    assert [entry.rung for entry in study.rungs] == ["scratch/r14x1", "imagenet/effnet-lite0"]
    assert study.reference_rung == "scratch/r14x1"
    assert study.data.targets["Edema"].uncertain == "ignore"


def test_every_fault_is_named_with_its_line(tmp_path: Path) -> None:
    text = """\
name: chest
data:
  manifest: chest.csv
  task: multilabel
  targets: [Edema, Effusion]
  splitt: {}
rungs:
  - bit-m/r50x7
  - rung: scratch/r14x1
    training: {step: 3, learning_rate: fast}
label_fractions: [0.1, 1.5]
seeds: [0, -1]
"""
    said = faults(tmp_path, text)
    task = "study.yaml:4: data.task holds multilabel (allowed: binary, multi-label, single-label)"
    for expected in (
        f"{task}. Did you mean 'multi-label'?",
        "study.yaml:6: 'data.splitt' is not a setting. Did you mean 'split'?",
        "study.yaml:11: label_fractions holds 1.5 (allowed: over 0 up to 1)",
        "study.yaml:12: seeds holds -1 (allowed: whole numbers from 0 below 2147483648)",
        "study.yaml:10: 'rungs.training.step' is not a setting. Did you mean 'steps'?",
        "study.yaml:10: rungs.training.learning_rate holds fast (allowed: over 0 below 10)",
    ):
        assert expected in said
    rung = "study.yaml:8: rung 'bit-m/r50x7' does not exist. Did you mean 'bit-m/r50x3'"
    assert any(line.startswith(rung) for line in said)
    assert said[-1] == "7 faults; nothing was run."


def test_settings_that_conflict_are_all_named(tmp_path: Path) -> None:
    text = f"{GOOD}seeds: [1, 1]\nreference: scratch/r14x2\nretrain_fractions: [0.5]\n"
    message = "\n".join(faults(tmp_path, text))
    assert "seeds holds 1 twice" in message
    assert "reference 'scratch/r14x2' is not among the rungs" in message
    assert "retrain_fractions needs a shifted cohort" in message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("task: multi-label", "task: binary"), "a binary task has one target, not 2"),
        (("task: multi-label", "task: single-label"), "needs class_column"),
        (("name: chest", "name: ../chest"), "name holds ../chest (allowed: text that fits"),
        (("  - imagenet", "  - scratch/r14x1\n  - imagenet"), "rungs holds scratch/r14x1 twice"),
        (("rungs:", "reference: scratch/r26x1\nrungs:"), "reference 'scratch/r26x1' is not among"),
        (("rungs:", "waive: {A001: no}\nrungs:"), "waive.A001 holds"),
        (("rungs:", "waive: {A999: because I know}\nrungs:"), "'A999' is not a check"),
        (("rungs:", "seeds: []\nrungs:"), "seeds holds []"),
        (("rungs:", "data: {}\nrungs:"), "key 'data' is given twice"),
        (("name: chest", ""), "'name' is missing"),
        (("targets: [Edema, Effusion]", "targets: {Edema: {empty: maybe}}"), "that fits ^(ignore"),
        (("[Edema, Effusion]", "[[Edema], Effusion]"), "a list within its list (allowed: names)"),
        (("targets", "image: {resize: 64, crop: 80}\n  targets"), "crop 80 is larger than resize"),
        (("targets", "image: {resize: 64}\n  targets"), "resize and crop go together"),
        (("rungs:", "training: {steps: 5}\nrungs:"), "checks is 10, more than steps (5)"),
        (("targets", "split: {tune_fraction: .6, test_fraction: .5}\n  targets"), "together are"),
        (("rungs:", "evaluation: {operating_points: [sens900]}\nrungs:"), "operating_points"),
        (
            ("rungs:", "evaluation: {metrics: core}\nrungs:"),
            "holds core (allowed: a list). Write evaluation.metrics: [core]",
        ),
        (("rungs:", "evaluation: {healthy_targets: [edema]}\nrungs:"), "Did you mean 'Edema'?"),
        (("rungs:", "evaluation: {intersections: [[sex, age]]}\nrungs:"), "which is no attribute"),
    ],
)
def test_each_kind_of_fault_says_what_and_what_is_allowed(
    tmp_path: Path, change: tuple[str, str], expected: str
) -> None:
    text = GOOD.replace(*change)
    assert text != GOOD
    said = "\n".join(faults(tmp_path, text))
    assert expected in said
    assert "study.yaml:" in said
    assert "Traceback" not in said


def test_a_word_of_none_of_several_lists_is_one_fault_with_all_of_them(tmp_path: Path) -> None:
    lines = faults(tmp_path, f"{GOOD}adapt:\n  arms: [thresold, probe, nonsense]\nensemble: all\n")
    allowed = (
        "carried, threshold, intercept, platt, temperature, isotonic, prevalence, probe, "
        "sequential, shifted-only"
    )
    assert lines == [
        f"study.yaml:10: adapt.arms holds thresold (allowed: {allowed}). Did you mean 'threshold'?",
        f"study.yaml:10: adapt.arms holds nonsense (allowed: {allowed})",
        "study.yaml:11: ensemble holds all (allowed: seeds)",
        "3 faults; nothing was run.",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is not a mapping"),
        ("- a\n- b\n", "is not a mapping"),
        ("name: [\n", "is not valid YAML"),
        ("a: &x 1\nb: *x\n", "uses YAML aliases"),
        ("name: !!python/object/apply:os.system ['true']\n", "is not valid YAML"),
        ("a: 1\n" * 300_000, "bytes (allowed: 1,000,000)"),
        (f"a: {'[' * 3000}{']' * 3000}\n", "study.yaml:1: has more than 40 lists and mappings"),
        (f"a: {'{a: ' * 3000}{'}' * 3000}\n", "study.yaml:1: has more than 40 lists"),
        ("? [a]\n: 1\n", "study.yaml:1: is not valid YAML: found unhashable key"),
        ("a: \0\n", "is not valid YAML"),
    ],
    ids=["empty", "list", "torn", "alias", "code", "huge", "deep", "deep map", "key", "null"],
)
def test_what_is_no_study_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in "\n".join(faults(tmp_path, text))


@pytest.mark.parametrize(
    "value",
    ["9" * 5001, "0x" + "f" * 9000, "2001-13-45", "!!int ''", "!!bool x", "!!float y", "1e999"],
)
def test_a_value_that_is_not_what_it_looks_like_is_named_by_its_setting(
    tmp_path: Path, value: str
) -> None:
    said = faults(tmp_path, f"{GOOD}seeds: [0, {value}]\n")
    assert said[0].startswith("study.yaml:9: seeds holds ")
    assert len(said[0]) < 140


def test_a_study_of_too_many_runs_is_refused_at_once(tmp_path: Path) -> None:
    values = [str(number) for number in range(1, 101)]
    sweep = (
        f"sweep:\n  learning_rates: [{', '.join(f'0.{v}1' for v in values)}]\n"
        f"  steps: [{', '.join(f'{v}00' for v in values)}]\n"
        f"  weight_decays: [{', '.join(f'0.{v}1' for v in values)}]\n"
    )
    begin = time.monotonic()
    said = faults(tmp_path, f"{GOOD}{sweep}seeds: [{', '.join(values)}]\n")
    assert time.monotonic() - begin < 5  # a second where nothing else runs
    assert "The study has 200,000,000 runs (allowed: up to 100,000)" in said[0]
    assert "MEDTRANSFER_MAX_RUNS" in said[0]


def test_a_file_that_is_not_there_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"does not exist. `medtransfer init MANIFEST` writes"):
        read_study(tmp_path / "study.yaml")


def test_a_file_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_bytes(b"name: a\ndata: \xff\xfe\n")
    with pytest.raises(ConfigError, match=r"study.yaml:2: is not UTF-8 text"):
        read_study(tmp_path / "study.yaml")


def test_a_rungs_own_training_stands_on_the_studys(tmp_path: Path) -> None:
    text = GOOD.replace("  - scratch/r14x1", "  - rung: scratch/r14x1\n    training: {steps: 900}")
    study = read_study(written(tmp_path, text + "training: {batch_size: 32, steps: 100}\n"))
    first, second = (study.training_of(entry) for entry in study.rungs)
    assert (first.steps, first.batch_size) == (900, 32)
    assert (second.steps, second.batch_size) == (100, 32)


def test_the_schema_accepts_what_we_accept_and_flags_what_we_refuse() -> None:
    import jsonschema
    import yaml

    from medtransfer.study.config import Study

    schema = Study.model_json_schema()
    good = yaml.safe_load(GOOD)
    jsonschema.validate(good, schema)
    good["rungs"] = [{"rung": rung, "pool": "max"} for rung in good["rungs"]]
    good["data"]["targets"] = {"Edema": {"empty": "zeros"}, "Effusion": None}
    jsonschema.validate(good, schema)
    for key, value in (("surprise", 1), ("label_fractions", [2]), ("seeds", ["x"])):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**good, key: value}, schema)


def test_a_file_of_each_kind_that_is_not_there_is_called_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r'Study file ".*" does not exist. `medtransfer init'):
        read_study(tmp_path / "x.yaml")
    with pytest.raises(ConfigError, match=r'Recipe ".*" does not exist. docs/how-to/pretrain.md'):
        read_pretrain(tmp_path / "x.yaml")
    with pytest.raises(ConfigError, match=r'Settings file ".*" does not exist. It is YAML with'):
        read_evaluation_config(tmp_path / "x.yaml")
    (tmp_path / "x.csv").write_text("a\n1\n")
    with pytest.raises(ConfigError, match=r'"x.csv" is a table, not a settings file'):
        read_evaluation_config(tmp_path / "x.csv")
