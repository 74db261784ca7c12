"""The Slurm engine: runs as tasks of job arrays, each the command ``medtransfer run --one RUN_ID``.

The script is written for reading, in the study's folder. The folders of the runs are the truth: a
driver that is killed loses nothing, and the next one finds the jobs that are still queued.
"""

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from medtransfer.engines.contract import EngineEvent, RunLost, RunMessage
from medtransfer.errors import ConfigError, StudyError, printable
from medtransfer.files import make_folder, read_json, write_json, write_text
from medtransfer.runs.folders import StudyFolder
from medtransfer.runs.messages import Finished, WorkerRequest

FOLDER = "slurm"
JOBS = "jobs.json"
POLL_SECONDS = 10.0
GRACE_SECONDS = 300
"""Seconds before its time limit at which Slurm asks a job to stop."""
SETTLE_SECONDS = 60.0
"""Seconds that a job may be gone before its files show how it ended: network disks are slow."""
SCRIPT = """\
#!/bin/bash
# Written by medtransfer for the study '{name}'. Each task of the array carries out one run.
# It may be submitted again at any time: a finished run ends at once, another one resumes.
#SBATCH --job-name=medtransfer-{name}
#SBATCH --array=0-{last}{at_once}
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={logs}/%A_%a.log
#SBATCH --signal=B:TERM@{grace}
{options}
set -u
cd {cwd}
run=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {runs})
{command} --one "$run" &
child=$!
# Slurm asks the script to stop; the run saves its state and ends with code 75
trap 'kill -TERM "$child" 2>/dev/null' TERM
wait "$child"; code=$?
while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
if [ "$code" -eq 75 ]; then
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_${{SLURM_ARRAY_TASK_ID}}"
fi
exit "$code"
"""


class SlurmEngine:
    """Submits runs as job arrays and follows them by their folders and ``squeue``."""

    def __init__(
        self,
        study: Path,
        *,
        options: Sequence[str] = (),
        at_once: int | None = None,
    ) -> None:
        """Find the jobs of an earlier driver.

        Args:
            study: The study's folder, on a disk that all nodes share.
            options: For ``sbatch``: ``--partition=gpu``.
            at_once: Tasks that run at once, at most; None for what Slurm allows.

        Raises:
            ConfigError: An option is none.
        """
        self._folder = StudyFolder(study)
        self._options = check_sbatch(options)
        self._at_once = at_once
        self._new: list[str] = []
        self._jobs = self._read_jobs()
        self._active: dict[str, float | None] = {}
        self._earlier: set[str] | None = None
        self._is_stopping = False

    @property
    def slots(self) -> int:
        """Number of runs that are carried out at once: as many as Slurm starts."""
        return sys.maxsize

    def has_room(self, _request: WorkerRequest, /) -> bool:
        """True: a queue takes any number."""
        return True

    def submit(self, request: WorkerRequest, /) -> None:
        """Queue a run, unless a job of an earlier driver has it still."""
        self._active[request.run_id] = None
        if self._earlier is None:
            self._earlier = self._queued()
        if request.run_id not in self._earlier:
            request.folder(self._folder).describe(request.record())
            self._new.append(request.run_id)

    def poll(self) -> EngineEvent | None:
        """The next run that has ended; None after some seconds without one.

        Raises:
            StudyError: ``sbatch`` refused the script.
        """
        if self._is_stopping:
            return self._leave()
        if self._new:
            self._submit_array()
        if (event := self._ended()) is None:
            time.sleep(POLL_SECONDS)
        return event

    def stop(self) -> None:
        """Leave the jobs in the queue: the same command follows them again."""
        self._is_stopping = True

    def close(self) -> None:
        """Leave the jobs in the queue."""

    def _leave(self) -> EngineEvent | None:
        run_id = next(iter(self._active), None)
        if run_id is None:
            return None
        del self._active[run_id]
        reason = "its job stays in the queue"
        return RunLost(run_id, reason, "run the same command again to follow it", was_stopped=True)

    def _submit_array(self) -> None:
        """Write the script and the list of runs of one array, and submit it."""
        place = make_folder(self._folder.path / FOLDER)
        number = len(list(place.glob("*.sh")))
        runs, script = place / f"{number:04d}.txt", place / f"{number:04d}.sh"
        write_text(runs, "".join(f"{run_id}\n" for run_id in self._new))
        write_text(script, self._script(runs))
        printed = _call(["sbatch", "--parsable", str(script)])
        job = printed.strip().split(";")[0]
        if not job.isdigit():
            raise StudyError(f"sbatch printed '{printable(printed)}' in place of a job's number.")
        self._jobs[job] = list(self._new)
        write_json(place / JOBS, self._jobs)
        self._new.clear()

    def _script(self, runs: Path) -> str:
        path = self._folder.path.absolute()
        command = [sys.executable, "-P", "-m", "medtransfer", "run", str(path / "study.yaml")]
        return SCRIPT.format(
            name=str(self._folder.read("study.json")["name"]),
            last=len(self._new) - 1,
            at_once=f"%{self._at_once}" if self._at_once else "",
            logs=path / FOLDER,
            grace=GRACE_SECONDS,
            options="\n".join(f"#SBATCH {option}" for option in self._options),
            cwd=shlex.quote(str(Path.cwd())),
            runs=shlex.quote(str(runs.absolute())),
            command=shlex.join([*command, "--out", str(path)]),
        )

    def _ended(self) -> EngineEvent | None:
        """A run that has ended, by its folder, or whose job is gone."""
        queued: set[str] | None = None
        for run_id, gone_since in list(self._active.items()):
            state = self._folder.run(run_id).state()
            if state != "waiting":
                del self._active[run_id]
                error = self._folder.run(run_id).error()
                message = "" if error is None else error.message
                return RunMessage(run_id, Finished(state, message))
            queued = self._queued() if queued is None else queued
            if run_id in queued:
                self._active[run_id] = None
            elif gone_since is None:
                self._active[run_id] = time.monotonic()
            elif time.monotonic() - gone_since > SETTLE_SECONDS:
                del self._active[run_id]
                reason = "the Slurm job of the run ended without a result"
                return RunLost(run_id, reason, f"its output is in {FOLDER}/ of the study's folder")
        return None

    def _queued(self) -> set[str]:
        """Runs whose array tasks wait or run; all of a job that Slurm cannot be asked about."""
        queued: set[str] = set()
        for job, runs in list(self._jobs.items()):
            command = ["squeue", "--noheader", "--array", "--format=%K", f"--jobs={job}"]
            try:
                printed = _call(command)
            except StudyError as error:
                if "Invalid job id" not in str(error):
                    queued.update(runs)
                    continue
                printed = ""
            places = {int(word) for word in printed.split() if word.isdigit()}
            queued.update(run for place, run in enumerate(runs) if place in places)
            if not places:
                del self._jobs[job]
        return queued

    def _read_jobs(self) -> dict[str, list[str]]:
        path = self._folder.path / FOLDER / JOBS
        try:
            return cast("dict[str, list[str]]", read_json(path)) if path.is_file() else {}
        except StudyError:  # damaged: its runs are submitted again, and a lease parts the two
            return {}


def check_sbatch(options: Sequence[str]) -> list[str]:
    """Options for ``sbatch``, one a line of the script.

    Raises:
        ConfigError: One is none, or one that the script sets itself.
    """
    words = [word for text in options for word in shlex.split(text)]
    for word in words:
        if not word.startswith("--") or "\n" in word or "\r" in word:
            raise ConfigError(
                f"--sbatch holds '{printable(word)}' (allowed: long options with '=', such as "
                "--partition=gpu)."
            )
        if word.split("=")[0] in ("--array", "--output", "--open-mode", "--signal", "--requeue"):
            raise ConfigError(f"--sbatch holds '{printable(word)}', which the script sets itself.")
    return words


def require_slurm() -> None:
    """Refuse a machine without Slurm, before any data are read.

    Raises:
        StudyError: ``sbatch`` or ``squeue`` is not installed.
    """
    for command in ("sbatch", "squeue"):
        if shutil.which(command) is None:
            raise _not_installed(command)


def _not_installed(command: str) -> StudyError:
    return StudyError(
        f"'{command}' is not installed here. Run `medtransfer run --on slurm` on a login node of "
        "the cluster."
    )


def _call(command: list[str]) -> str:
    """Output of a command of Slurm.

    Raises:
        StudyError: It is not installed, or failed.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603 — our own words
    except FileNotFoundError:
        raise _not_installed(command[0]) from None
    except subprocess.TimeoutExpired:
        raise StudyError(f"'{command[0]}' has not answered for 120 s.") from None
    if done.returncode:
        raise StudyError(
            f"'{command[0]}' ended with code {done.returncode}: {printable(done.stderr, 300)}"
        )
    return done.stdout
