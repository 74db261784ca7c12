"""Images that runs read: the plan, `prepare` and `gc` take them from the same settings."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from medtransfer.runs.inputs import CacheRequest, cache_requests, input_spec, known_architecture
from medtransfer.study.caches import study_needs
from medtransfer.study.config import Study
from medtransfer.study.grid import expand
from medtransfer.study.plan import SplitData, plan_runs, read_data

SETTINGS = {
    "sizes": {"axes": {"data.image.crop": [24, 32]}},
    "codecs": {"axes": {"data.image.jpeg_quality": [80, 95]}},
    "modes": {"axes": {"training.tuning.mode": ["full", "linear"]}},
    "controls": {"controls": ["border_only", "patch_shuffled"]},
}


def recipes(needs: Iterable[CacheRequest]) -> set[tuple[tuple[str, object], ...]]:
    return {tuple(sorted(need.recipe.metadata().items())) for need in needs}


@pytest.mark.parametrize("name", SETTINGS)
def test_what_is_prepared_is_what_every_run_reads(
    tiny_study: Study, tmp_path: Path, name: str
) -> None:
    fields = tiny_study.model_dump(exclude_unset=True)
    training = {k: v for k, v in fields.get("training", {}).items() if k != "tuning"}
    study = Study.model_validate({**fields, "training": training, **SETTINGS[name]})
    data = read_data(study, tmp_path / "images.parquet")
    planned = plan_runs(study, data)
    read: set[tuple[tuple[str, object], ...]] = set()
    for run in planned:
        frame = SplitData.of(data, run.cell.run).frame
        spec = input_spec(run.cell.run, known_architecture(run.cell.rung), frame, data.facts)
        own = recipes(cache_requests(run.cell.run, spec, frame))
        assert recipes(run.needs) == own
        read |= own
    assert recipes(study_needs(expand(study, data.manifest.frame), data)) == read
    assert len(read) > 1
