"""Number of workers of a study's latest command, as its folder has it."""

from medtransfer.runs.folders import StudyFolder

LOCAL = "local"
"""Engine of this machine."""
WORKERS = "workers.json"
"""Of the study's folder: processes that the latest command started at most."""


def write_workers(folder: StudyFolder, count: int, cores: int, engine: str = LOCAL) -> None:
    """Write the number of workers, for `medtransfer status`.

    Args:
        folder: Of the study.
        count: Processes at most.
        cores: Threads at most, over all of them.
        engine: Of the command.
    """
    folder.write(WORKERS, {"workers": count, "cores": cores, "engine": engine})


def read_workers(folder: StudyFolder) -> int:
    """Number of workers of the latest command; 1 where it is not known."""
    if not (folder.path / WORKERS).is_file():
        return 1
    count = folder.read(WORKERS).get("workers")
    return count if isinstance(count, int) and count > 0 else 1


def read_engine(folder: StudyFolder) -> str:
    """Engine of the latest command; that of one machine where it is not known."""
    if not (folder.path / WORKERS).is_file():
        return LOCAL
    return str(folder.read(WORKERS).get("engine", LOCAL))
