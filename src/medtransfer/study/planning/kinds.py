"""Kind and size of a planned run: runs of one kind train as fast as each other."""

from medtransfer.sizes.image_size import size_words
from medtransfer.study.plan import PlannedRun
from medtransfer.study.planning.speeds import RunSize


def kind_of(run: PlannedRun) -> str:
    """Kind of a run: those of one kind train as fast as each other."""
    side = f" {size_words(run.needs[1].recipe.size)}" if run.needs else ""
    config = run.cell.run.training
    is_tuned = config.tuning.mode != "linear"
    cheaper = [
        words
        for words, is_set in (
            ("growing", is_tuned and config.growth is not None),
            ("thawed", config.tuning.frozen_until < 1),
        )
        if is_set
    ]
    return " ".join([f"{run.cell.rung}{side} {config.tuning.mode}", *cheaper])


def size_of(run: PlannedRun, share_left: float = 1.0) -> RunSize:
    """Size of a planned run."""
    return RunSize(run.run_id, kind_of(run), run.num_images, share_left)
