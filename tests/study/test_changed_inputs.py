"""Labels, images or weights that change while a study runs are refused and named."""

import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.in_process import run_here, study_digests

from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.errors import StudyError
from medtransfer.runs import transfer as spine
from medtransfer.runs.events import Event, Repaired, RunEnded, RunStep
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study

PRETRAINED = Path(spine.__file__).parents[1] / "models" / "pretrained"


@pytest.fixture
def study(tiny_study: Study, tmp_path: Path) -> Study:
    """Two runs on images that lie in files."""
    phantom = Phantom(
        kind="lesion", hospitals={"a": Hospital(40), "b": Hospital(12)}, size=32, signal=1.5, seed=3
    )
    table = write_phantom(phantom, tmp_path / "in" / "lesion.csv")
    data = tiny_study.data.model_copy(update={"manifest": table})
    return tiny_study.model_copy(update={"data": data, "seeds": (0, 1)})


def relabel(folder: Path) -> None:
    table = pl.read_csv(folder / "lesion.csv", infer_schema=False)
    flipped = pl.when(pl.int_range(pl.len()) < 3).then(1 - pl.col("malignant").cast(pl.Int64))
    table = table.with_columns(malignant=flipped.otherwise(pl.col("malignant").cast(pl.Int64)))
    table.write_csv(folder / "new.csv")
    (folder / "new.csv").rename(folder / "lesion.csv")


def repaint(folder: Path) -> None:
    first, second = sorted((folder / "images").glob("*.png"))[:2]
    shutil.copy(second, first)


def lose(folder: Path) -> None:
    sorted((folder / "images").glob("*.png"))[0].unlink()


def shorten(folder: Path) -> None:
    lines = (folder / "lesion.csv").read_text().splitlines()
    (folder / "lesion.csv").write_text("\n".join(lines[:-1]) + "\n")


def once(kind: type[Event], change: Callable[[], object]) -> Callable[[Event], None]:
    """Change something at the first event of a kind."""
    waiting = [change]

    def on_event(event: Event) -> None:
        if isinstance(event, kind) and waiting:
            waiting.pop()()

    return on_event


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (relabel, "ids, splits or labels of 3 rows, rows 2, 3, 4"),
        pytest.param(repaint, "the content of 1 image, row ", marks=pytest.mark.slow),
        pytest.param(lose, "the image is missing", marks=pytest.mark.slow),
        pytest.param(shorten, "1 row removed, row ", marks=pytest.mark.slow),
    ],
)
def test_data_that_change_between_two_runs_stop_the_study(
    study: Study, tmp_path: Path, change: Callable[[Path], None], sentence: str
) -> None:
    folder = StudyFolder(tmp_path / "s")
    with pytest.raises(StudyError) as caught:
        run_here(study, folder.path, once(RunEnded, lambda: change(tmp_path / "in")))
    assert str(caught.value).startswith("The data changed while the study ran")
    assert sentence in str(caught.value)
    assert "finished runs are kept" in str(caught.value)
    states = sorted(folder.run(run_id).state() for run_id in folder.run_ids())
    assert states == ["done", "waiting"]


@pytest.mark.slow
def test_facts_of_images_that_a_worker_wrote_again_are_not_taken_for_damage(
    study: Study, tmp_path: Path
) -> None:
    folder = StudyFolder(tmp_path / "s")

    def rewrite() -> None:  # as a worker does when times of images changed: not by this process
        pl.read_parquet(folder.images).write_parquet(folder.images, compression="uncompressed")

    run_here(study, folder.path, once(RunEnded, rewrite))
    events: list[Event] = []
    run_here(study, folder.path, events.append)
    assert not [event for event in events if isinstance(event, Repaired)]


@pytest.mark.slow
def test_with_the_old_data_back_a_stopped_study_ends_in_the_same_bits(
    study: Study, tmp_path: Path
) -> None:
    shutil.copytree(tmp_path / "in", tmp_path / "old")
    folder = StudyFolder(tmp_path / "s")
    with pytest.raises(StudyError, match="changed while the study ran"):
        run_here(study, folder.path, once(RunEnded, lambda: relabel(tmp_path / "in")))
    shutil.rmtree(tmp_path / "in")
    shutil.copytree(tmp_path / "old", tmp_path / "in")
    resumed = study_digests(run_here(study, folder.path))
    assert resumed == study_digests(run_here(study, tmp_path / "undisturbed"))


def test_labels_that_change_while_a_run_trains_keep_it_from_being_done(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = spine.fine_tune

    def changed(*args: object, **kwargs: object) -> object:
        model = train(*args, **kwargs)  # type: ignore[arg-type] — passed on as they came
        relabel(tmp_path / "in")
        return model

    monkeypatch.setattr(spine, "fine_tune", changed)
    with pytest.raises(StudyError, match="ids, splits or labels of 3 rows"):
        run_here(study, tmp_path / "s")
    folder = StudyFolder(tmp_path / "s")
    assert [folder.run(run_id).state() for run_id in folder.run_ids()] == ["waiting"]
    assert not (folder.run(folder.run_ids()[0]).path / "predictions.parquet").exists()


@pytest.mark.slow
def test_a_cache_that_is_altered_while_a_run_reads_it_makes_the_run_start_over(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = spine.fine_tune

    def changed(*args: object, **kwargs: object) -> object:
        model = train(*args, **kwargs)  # type: ignore[arg-type] — passed on as they came
        for path in (tmp_path / "s" / "cache").rglob("*.pixels"):
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 16
            path.write_bytes(bytes(content))
        return model

    one = study.model_copy(update={"seeds": (0,)})
    with monkeypatch.context() as patch:
        patch.setattr(spine, "fine_tune", changed)
        with pytest.raises(StudyError, match="was damaged while a run read it"):
            run_here(one, tmp_path / "s")
    folder = StudyFolder(tmp_path / "s")
    run = folder.run(folder.run_ids()[0])
    assert not run.checkpoint.exists()
    assert run.state() == "waiting"
    run_here(one, tmp_path / "s")
    assert run.state() == "done"


@pytest.mark.slow
def test_a_table_that_is_only_touched_goes_on(study: Study, tmp_path: Path) -> None:
    table = tmp_path / "in" / "lesion.csv"
    folder = run_here(study, tmp_path / "s", once(RunStep, table.touch))
    assert [folder.run(run_id).state() for run_id in folder.run_ids()] == ["done"] * 2


@pytest.mark.slow
def test_weights_that_change_between_two_runs_fail_the_second(study: Study, tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    shutil.copy(PRETRAINED / "tiny-10k--r26x0.25.safetensors", weights)

    def swap() -> None:
        shutil.copy(PRETRAINED / "tiny-100k--r26x0.25.safetensors", tmp_path / "new")
        (tmp_path / "new").rename(weights)

    entry = {"rung": "file/r26x0.25", "weights": weights}
    own = Study.model_validate(study.model_dump(exclude_unset=True) | {"rungs": [entry]})
    with pytest.raises(Exception, match=r"weights of rung 'file/r26x0.25' changed while.*planned"):
        run_here(own, tmp_path / "s", once(RunEnded, swap))
