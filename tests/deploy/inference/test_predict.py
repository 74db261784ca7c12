"""A bundle predicts what its study predicted, from any input, and no bad file stops it."""

import json
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose
from tests.deploy import handmade

from medtransfer.data.images.decode import decode
from medtransfer.data.images.pictures import encode_png
from medtransfer.deploy.bundle.export import export_bundle
from medtransfer.deploy.bundle.reader import Bundle
from medtransfer.deploy.bundle.schema import DeferralRule
from medtransfer.deploy.inference import model as model_module
from medtransfer.deploy.inference import predict_files as files_module
from medtransfer.deploy.inference.decisions import CaseImagesRead, case_decisions
from medtransfer.deploy.inference.follow import follow_folder
from medtransfer.deploy.inference.model import BundleModel, load_bundle
from medtransfer.deploy.inference.pixels import InputRules
from medtransfer.deploy.inference.predict_files import predict_files, prediction_summary
from medtransfer.errors import BundleError, ConfigError, TableError
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study


@pytest.fixture(scope="module")
def model(bundle: Bundle) -> BundleModel:
    return load_bundle(bundle.path, device="cpu")


@pytest.fixture(scope="module")
def pictures(phantom_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images of the phantom as files, a folder for each hospital."""
    folder = tmp_path_factory.mktemp("pictures")
    for image in pl.read_parquet(phantom_folder / "lesion.parquet").iter_rows(named=True):
        path = folder / image["cohort"] / f"{image['case_id']}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(image["image"])
    return folder


def study_scores(study: StudyFolder, bundle: Bundle) -> pl.DataFrame:
    (run_id,) = bundle.facts.training.run_ids
    return study.run(run_id).predictions()


def largest_difference(study: pl.DataFrame, bundled: pl.DataFrame, column: str) -> float:
    both = study.join(bundled, on="case_id", suffix="_bundle")
    assert len(both) == len(study)
    return float(np.abs((both[column] - both[f"{column}_bundle"]).to_numpy()).max())


def test_a_manifest_is_predicted_as_in_the_study(
    finished: StudyFolder, bundle: Bundle, model: BundleModel, phantom_folder: Path
) -> None:
    outcome = model.predict(phantom_folder / "lesion.parquet")
    ours = study_scores(finished, bundle)
    assert largest_difference(ours, outcome.scores, "logit_malignant") < 1e-5
    # the covariance of 24 cases magnifies the rounding of features, most of all in far cases
    pair = ours.join(outcome.scores, on="case_id", suffix="_bundle", maintain_order="left")
    assert_allclose(pair["ood_mahalanobis_bundle"], pair["ood_mahalanobis"], rtol=1e-3)
    frame, target = outcome.frame, bundle.facts.targets[0]
    logits = frame["logit_malignant"].to_numpy()
    temperature = target.calibrators[0].parameters["temperature"][0]
    assert_allclose(frame["probability_malignant"], 1 / (1 + np.exp(-logits / temperature)))
    threshold = target.thresholds["sens90"]
    assert threshold is not None
    called = 1 / (1 + np.exp(-logits)) >= threshold
    assert frame["call_malignant_sens90"].to_list() == called.astype(int).tolist()
    flagged = frame["ood_mahalanobis"] > bundle.facts.detectors[0].threshold
    assert frame["ood"].to_list() == flagged.to_list()
    assert frame["reason"].null_count() == len(frame)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["full", "linear", "partial", "low-rank"])
@pytest.mark.parametrize(
    ("rung", "pool", "table", "target"),
    [
        ("scratch/r14x0.5", "mean", "radiograph", "opacity"),
        ("tiny-10k/r26x0.25", "attention", "radiograph", "opacity"),
        ("scratch/timm:vit_tiny_patch16_224", "max", "radiograph", "opacity"),
        ("scratch/mobilenetv2", "mean", "lesion", "malignant"),
    ],
)
def test_every_family_and_way_of_tuning_is_predicted_as_in_its_study(
    phantom_folder: Path, tmp_path: Path, mode: str, rung: str, pool: str, table: str, target: str
) -> None:
    from tests.in_process import run_here

    if mode == "linear" and pool == "attention":
        pool = "max"  # a linear probe learns no attention
    manifest = phantom_folder / f"{table}.parquet"
    study = Study.model_validate(
        {
            "name": "parity",
            "data": {
                "manifest": manifest,
                "task": "binary",
                "targets": [target],
                "image": {"resize": 36, "crop": 32},
            },
            "rungs": [{"rung": rung, "pool": pool}],
            "seeds": [0],
            "training": {
                "batch_size": 8,
                "micro_batch": 8,
                "steps": 3,
                "checks": 1,
                "tuning": {"mode": mode},
            },
            "evaluation": {"replicates": 20, "permutations": 0},
        }
    )
    folder = run_here(study, tmp_path / "study")
    made = export_bundle(folder, tmp_path / "a.medt")
    outcome = load_bundle(made.path, device="cpu").predict(manifest)
    scores = study_scores(folder, made)
    assert largest_difference(scores, outcome.scores, f"logit_{target}") < 1e-5


def test_files_folders_arrays_and_tables_give_the_same_numbers(
    model: BundleModel, pictures: Path, tmp_path: Path
) -> None:
    paths = sorted((pictures / "b").glob("*.png"))[:6]
    by_folder = model.predict(pictures / "b").frame
    for path in paths:
        shutil.copy(path, tmp_path / path.name)
    table = tmp_path / "incoming.csv"
    pl.DataFrame({"path": [path.name for path in paths]}).write_csv(table)
    arrays = [decode(path.read_bytes(), 10**6) for path in paths]
    expected = by_folder.filter(pl.col("case_id").is_in([str(path) for path in paths]))
    for inputs in (paths, arrays, table):
        frame = model.predict(inputs).frame
        assert len(frame) == len(paths)
        assert_allclose(frame["logit_malignant"], expected["logit_malignant"], atol=1e-6)


def test_images_of_a_case_are_pooled_and_a_missing_one_defers_it(
    model: BundleModel, pictures: Path, tmp_path: Path
) -> None:
    first, second, *_ = sorted((pictures / "b").glob("*.png"))
    for path in (first, second):
        shutil.copy(path, tmp_path / path.name)
    (tmp_path / "broken.png").write_bytes(first.read_bytes()[:60])
    rows = {
        "path": [first.name, second.name, first.name, "broken.png", "broken.png", "gone.png"],
        "image_id": list("123456"),
        "case_id": ["pair", "pair", "half", "half", "none", "none"],
    }
    pl.DataFrame(rows).write_csv(tmp_path / "t.csv")
    outcome = model.predict(tmp_path / "t.csv")
    by_case = {row["case_id"]: row for row in outcome.frame.iter_rows(named=True)}
    alone = model.predict([first]).frame
    assert by_case["pair"]["images"] == 2
    assert by_case["half"]["images_refused"] == 1
    assert by_case["half"]["deferred"]
    assert "1 image could not be read" in by_case["half"]["deferred_because"]
    assert_allclose(by_case["half"]["logit_malignant"], alone["logit_malignant"][0], atol=1e-6)
    assert by_case["none"]["logit_malignant"] is None
    assert by_case["none"]["reason"].startswith("the image ")
    assert len(outcome.refused) == 3
    assert outcome.unpredicted == 1


def test_bad_files_are_listed_with_reasons_and_the_rest_is_written(
    model: BundleModel, pictures: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "incoming"
    shutil.copytree(pictures / "b", folder)
    good = sorted(folder.iterdir())
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes(good[0].read_bytes()[:100])
    (folder / "notes.txt").write_text("not an image")
    (folder / "odd.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"junk")
    for ending in ("csv", "parquet", "jsonl"):
        out = tmp_path / f"out.{ending}"
        files = predict_files(model, folder, out)
        assert len(files.outcome.frame) == len(good) + 3
        assert files.refused is not None
        refused = [Path(name).name for name in pl.read_csv(files.refused)["image"]]
        assert sorted(refused) == ["cut.png", "empty.png", "odd.dcm"]
        assert "1 file of other kinds passed over" in prediction_summary(files)
        assert not out.with_name(f"{out.name}.parts").exists()
        if ending == "parquet":
            assert pl.read_parquet(out).equals(files.outcome.frame)
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["case_id"]
    with pytest.raises(ConfigError, match=r"ends in '.xml' \(allowed: .csv, .parquet, .jsonl\)"):
        predict_files(model, folder, tmp_path / "out.xml")


def test_a_stopped_pass_goes_on_where_it_was(
    model: BundleModel, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files_module, "PART_CASES", 10)
    whole = predict_files(model, pictures / "b", tmp_path / "whole.csv")

    def stop(done: int, _total: int) -> None:
        if done >= 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_files(model, pictures / "b", tmp_path / "out.csv", on_progress=stop)
    decoded: list[int] = []
    original = model_module.decode_images

    def count(requests, rules):  # type: ignore[no-untyped-def]
        for pair in original(requests, rules):
            decoded.append(1)
            yield pair

    monkeypatch.setattr(model_module, "decode_images", count)
    predict_files(model, pictures / "b", tmp_path / "out.csv")
    assert len(decoded) == len(whole.outcome.frame) - 10
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_bundle_that_has_expired_predicts_only_on_demand(tmp_path: Path) -> None:
    made = handmade.write_by_hand(tmp_path / "a.medt", handmade.facts(expires=date(2020, 1, 1)))
    with pytest.raises(BundleError, match="expired on 2020-01-01"):
        load_bundle(made.path)
    assert load_bundle(made.path, after_expiry=True).facts.expires == date(2020, 1, 1)


def test_a_bundle_that_expires_while_a_folder_is_followed_predicts_no_more(tmp_path: Path) -> None:
    made = handmade.write_by_hand(tmp_path / "a.medt", handmade.facts(expires=date(2020, 1, 1)))
    model = load_bundle(made.path, after_expiry=True)
    model.after_expiry = False  # its last day has passed
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"no image")
    with pytest.raises(BundleError, match="expired on 2020-01-01"):
        follow_folder(model, tmp_path / "in", tmp_path / "out", still=0, until=lambda: True)
    assert not list((tmp_path / "out").iterdir())


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    made = handmade.write_by_hand(tmp_path / "a.medt")
    pixels = np.zeros((40, 40), dtype=np.uint8)
    with pytest.raises(BundleError, match=r"(?s)belong to another network.*is missing"):
        load_bundle(made.path, device="cpu").predict([pixels])


def test_nothing_to_predict_is_said(model: BundleModel, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to predict"):
        model.predict([])
    with pytest.raises(ConfigError, match="There is no image in"):
        model.predict(tmp_path)
    with pytest.raises(ConfigError, match="does not exist"):
        model.predict(tmp_path / "gone")
    with pytest.raises(ConfigError, match="float64 of shape"):
        model.predict([np.zeros((4, 4))])
    with pytest.raises(ConfigError, match="--case is 'limb'"):
        model.predict(tmp_path, case="limb")  # type: ignore[arg-type]
    (tmp_path / "t.csv").write_text("file\na.png\n")
    with pytest.raises(TableError, match='has no column "path"'):
        model.predict(tmp_path / "t.csv")
    (tmp_path / "u.csv").write_text("path\n../a.png\n")
    with pytest.raises(TableError, match="leaves the folder"):
        model.predict(tmp_path / "u.csv")


def test_modalities_that_were_not_trained_on_are_refused_unless_asked_for(bundle: Bundle) -> None:
    given = bundle.facts.input
    assert InputRules.of(given).modalities == frozenset()  # pictures name none
    film = replace(given, modalities=("DX",))
    assert InputRules.of(film).modalities == {"CR", "DX", "RG"}
    assert InputRules.of(film, any_modality=True).modalities == frozenset()
    assert InputRules.of(replace(given, modalities=("MG",))).modalities == {"MG"}


def scores_of(names: tuple[str, ...], logits: list[list[float]], ood: float = 0.0) -> pl.DataFrame:
    rows = len(logits)
    return pl.DataFrame(
        {
            "run_id": ["by hand"] * rows,
            "member": [0] * rows,
            "case_id": [f"c{row}" for row in range(rows)],
            "patient_id": ["–"] * rows,
            "cohort": ["–"] * rows,
            "split": ["test"] * rows,
            **{f"target_{name}": pl.Series([None] * rows, dtype=pl.Float64) for name in names},
            **{f"logit_{name}": [row[i] for row in logits] for i, name in enumerate(names)},
            "ood_energy": [ood] * rows,
        }
    )


def test_decisions_follow_the_rule_of_the_bundle() -> None:
    whole = {f"c{row}": CaseImagesRead(1, 0) for row in range(3)}
    facts = handmade.facts()
    frame = case_decisions(facts, scores_of(("x",), [[-4.0], [0.0], [4.0]]), whole)
    # an answer is in the set if 1 - p is at most 0.7
    assert frame["set_x"].to_list() == ["0", "0|1", "1"]
    assert frame["deferred"].to_list() == [False, True, False]
    assert frame["call_x_sens90"].to_list() == [0, 1, 1]
    assert_allclose(frame["probability_x"], 1 / (1 + np.exp(-np.array([-4.0, 0, 4]) / 2)))
    foreign = case_decisions(facts, scores_of(("x",), [[-4.0]], ood=1.5), whole)
    assert foreign["ood_by"].to_list() == ["energy"]
    assert foreign["deferred_because"][0] == "out of distribution by energy"
    never = handmade.facts(deferral=DeferralRule(None, None, ood=False, missing_images=False))
    calm = case_decisions(never, scores_of(("x",), [[0.0]], ood=1.5), {"c0": CaseImagesRead(1, 1)})
    assert calm["deferred"].to_list() == [False]
    assert "set_x" not in calm.columns


def test_classes_have_one_set_and_one_answer() -> None:
    given = handmade.target()
    case = handmade.target("case", sets=given.sets[:1], calibrators=given.calibrators[:1])
    plain = tuple(handmade.target(n, calibrators=(), calibrator=None, sets=()) for n in "xyz")
    facts = handmade.facts("single-label", ("x", "y", "z"), targets=plain, case=case)
    scores = scores_of(("x", "y", "z"), [[5.0, 0.0, 0.0], [0.1, 0.0, 0.0]])
    frame = case_decisions(facts, scores, {f"c{row}": CaseImagesRead(1, 0) for row in range(2)})
    assert frame["class"].to_list() == ["x", "x"]
    assert frame["set"].to_list() == ["x", "x|y|z"]
    assert frame["deferred"].to_list() == [False, True]
    total = frame.select(pl.sum_horizontal("probability_x", "probability_y", "probability_z"))
    assert_allclose(total.to_series(), 1.0)


def test_a_wide_image_and_16_bits_are_taken(model: BundleModel, tmp_path: Path) -> None:
    wide = np.random.default_rng(0).integers(0, 255, (20, 90), dtype=np.uint8)
    deep = wide.astype(np.uint16) * 257
    (tmp_path / "wide.png").write_bytes(encode_png(wide))
    (tmp_path / "deep.png").write_bytes(encode_png(deep))
    frame = model.predict(tmp_path).frame
    assert_allclose(*frame["logit_malignant"].to_list(), atol=2e-3)
