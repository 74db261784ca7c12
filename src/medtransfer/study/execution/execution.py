"""Execution of what a study lacks: runs to be trained, cohorts to be predicted."""

from collections.abc import Callable, Collection, Sequence
from functools import partial

from medtransfer.data.images.corruptions import Corruption
from medtransfer.engines.contract import Engine
from medtransfer.engines.local import LocalExecutor
from medtransfer.engines.local_engine import LocalEngine
from medtransfer.errors import StudyError, plural
from medtransfer.runs.events import OnEvent, Planned, RunEnded, RunExtended, RunSlow, RunStep
from medtransfer.runs.folders import Lease, StudyFolder
from medtransfer.runs.messages import RunRequest, StepDone
from medtransfer.runs.tested.additions import additions_of
from medtransfer.study.config import Keep
from medtransfer.study.execution.dispatch import TimeWatch, dispatch, never
from medtransfer.study.execution.jobs import PredictionJob, ProbeJob, TrainingJob
from medtransfer.study.execution.precisions import probed_speed
from medtransfer.study.execution.requests import request_of, run_name, runs_to_extend, with_folders
from medtransfer.study.execution.stopped import StudyStopped
from medtransfer.study.execution.workers import Workers, is_small, recorded_threads
from medtransfer.study.plan import PlannedRun
from medtransfer.study.planning.kinds import kind_of, size_of
from medtransfer.study.planning.rules import note_rules
from medtransfer.study.planning.slowness import SpeedWatch, slow_sentence
from medtransfer.study.planning.speeds import Seconds, TimeLeft, note_run, read_speeds, share_left
from medtransfer.training.bit_hyperrule import check_steps


class StudyExecution:
    """Execution of a study's missing runs."""

    def __init__(
        self,
        folder: StudyFolder,
        planned: list[PlannedRun],
        lease: Lease,
        on_event: OnEvent,
        *,
        workers: Workers,
        keep: Keep = "weights",
        corruptions: Sequence[Corruption] = (),
        make_engine: Callable[[], Engine] | None = None,
        tune_only: bool = False,
        looking: Collection[str] = (),
    ) -> None:
        """Look at what is done.

        Args:
            folder: Of the study.
            planned: Its runs.
            lease: Of the study.
            on_event: Called with every progress event.
            workers: Processes of this machine.
            keep: Content of finished runs.
            corruptions: Of the internal test cases, to be predicted too.
            make_engine: Makes the engine that trains; None for this machine.
            tune_only: Runs predict the tuning split alone, not the test split.
            looking: Ids of runs that predict test cases at each validation.
        """
        self._tune_only, self._looking = tune_only, looking
        self._make_engine = make_engine
        self._runs = {run.run_id: run for run in planned}
        self.folder, self.planned, self.lease, self.on_event = folder, planned, lease, on_event
        self.workers = workers
        self.keep: Keep = keep
        self._corruptions = corruptions
        states = [folder.run(run.run_id).state() for run in planned]
        self.waiting = [
            run
            for run, state in zip(planned, states, strict=True)
            if state not in ("done", "diverged")
        ]
        self.finished = len(planned) - len(self.waiting)
        self._speeds = read_speeds(folder, map(size_of, planned))
        note_rules(self._speeds, planned, workers)
        self._left = TimeLeft()
        self._watches: dict[str, SpeedWatch] = {}
        self._shares = {run.run_id: share_left(folder.run(run.run_id)) for run in self.waiting}

    def run_missing(self, until: Callable[[], bool] = never) -> None:
        """Run what is neither done nor diverged; a failed run leaves its error, others go on.

        Args:
            until: Asked about once a second; if it says so, runs save their state and stop.

        Raises:
            StudyStopped: A signal asked it to stop.
        """
        self.on_event(Planned(tuple(run_name(run) for run in self.planned), self.finished))
        jobs = [
            TrainingJob(self.folder, self._request(run), partial(self._step, run))
            for run in self.waiting
        ]
        engine = self._engine(len(jobs)) if self._make_engine is None else self._make_engine()
        watch = TimeWatch(until)
        is_through = dispatch(engine, jobs, self.lease, self._end_training, until=watch)
        if not is_through and not watch.is_over:
            raise StudyStopped(self.finished, len(self.planned))

    def probe(self, steps: int, until: Callable[[], bool] = never) -> None:
        """Train the first unfinished run of each kind for a few steps; its state is saved.

        Kinds that were measured already are left out.

        Args:
            steps: After which a run is stopped.
            until: As for `run_missing`.

        Raises:
            StudyStopped: A signal asked it to stop.
        """
        firsts: dict[str, PlannedRun] = {}
        for run in self.waiting:
            firsts.setdefault(kind_of(run), run)
        engine = self._engine(1)
        jobs = [
            ProbeJob(
                self.folder,
                self._request(run),
                partial(self._step, run),
                steps=steps,
                stop=engine.stop,
            )
            for kind, run in firsts.items()
            if not self._speeds.is_measured(kind)
        ]
        watch = TimeWatch(until)
        is_through = dispatch(engine, jobs, self.lease, lambda _job, _waiting: None, until=watch)
        if not is_through and not watch.is_over:
            raise StudyStopped(self.finished, len(self.planned))

    def extend_finished(self) -> None:
        """Have finished runs predict the cohorts that they have not; nothing is trained.

        Raises:
            StudyStopped: It was asked to stop.
            StudyError: Some runs could not; the others have.
        """
        waiting = runs_to_extend(self.folder, self.planned, self._corruptions)
        for event in additions_of(with_folders(self.folder, waiting)):
            self.on_event(event)
        jobs = [
            PredictionJob(
                self.folder,
                run,
                tuple(cohort.cohort for cohort in cohorts),
                recorded_threads(self.folder.run(run.run_id)),
            )
            for run, cohorts in waiting
        ]
        done: list[PredictionJob] = []

        def end(job: PredictionJob, _waiting: int) -> None:
            if job.failure is None:
                raise StudyStopped(self.finished, len(self.planned))
            done.extend([] if job.failure else [job])
            self.on_event(
                RunExtended(run_name(job.run), job.cohorts, job.failure, len(done), len(jobs))
            )

        if not dispatch(self._engine(len(jobs)), jobs, self.lease, end):
            raise StudyStopped(self.finished, len(self.planned))
        if failures := [job.failure for job in jobs if job.failure]:
            raise StudyError(
                f"{len(failures)} of {plural(len(jobs), 'finished run')} could not predict the "
                f"added cohorts: {failures[0]} The tables were not made again. Run the same "
                "command again to retry."
            )
        for run in self.planned:
            self._drop_weights(run)

    def _request(self, run: PlannedRun) -> RunRequest:
        folder, looks = self.folder.run(run.run_id), run.run_id in self._looking
        if self._make_engine is None:
            threads = self.workers.threads_of(run, folder)
        else:
            # a cluster's job has other cores than this machine: a large network takes all of them
            threads = recorded_threads(folder, run.cell.run.training.devices)
            threads = threads or (1 if is_small(run) else None)
        return request_of(run, threads, tune_only=self._tune_only, looks=looks)

    def _engine(self, num_jobs: int) -> Engine:
        return LocalEngine(
            self.folder.path,
            slots=max(1, min(self.workers.count, num_jobs)),
            cores=self.workers.cores,
            gpus=self.workers.gpus,
            make=LocalExecutor,
        )

    def _end_training(self, job: TrainingJob, _waiting: int) -> None:
        run = self._runs[job.request.run_id]
        self.waiting.remove(run)
        self._shares.pop(run.run_id, None)
        if job.was_stopped:
            return
        self.finished += 1
        folder = self.folder.run(run.run_id)
        if folder.is_done():
            note_run(self._speeds, size_of(run), folder)
        error = folder.error()
        message = "" if error is None else error.message
        self.on_event(
            RunEnded(run_name(run), folder.state(), message, self.finished, len(self.planned))
        )
        self._drop_weights(run)

    def _drop_weights(self, run: PlannedRun) -> None:
        if self.keep == "predictions" and self.folder.run(run.run_id).is_done():
            self.folder.run(run.run_id).drop_weights()

    def _step(self, run: PlannedRun, message: StepDone) -> float | None:
        """Announce a training step with the time left; the share of its speed of a slow run."""
        watch = self._watch(run)
        if watch.note(message.step) and watch.share is not None:
            text = slow_sentence(watch.share)
            self.on_event(RunSlow(run_name(run), watch.share, text))
        self._speeds.note_step(kind_of(run), message.images_per_second)
        self._shares[run.run_id] = share = 1 - message.step / message.steps
        left = self._speeds.seconds(size_of(run, share))
        self.on_event(
            RunStep(
                run=run_name(run),
                step=message.step,
                steps=message.steps,
                loss=message.loss,
                images_per_second=message.images_per_second,
                tune_auroc=message.tune_auroc,
                seconds_left=0.0 if left is None else left.middle,
                study_seconds_left=self._left.seconds(self._study_seconds),
            )
        )
        return watch.share

    def _watch(self, run: PlannedRun) -> SpeedWatch:
        """Watch on the speed of a run, from its first step on."""
        if run.run_id not in self._watches:
            config = run.cell.run.training
            is_probe = config.tuning.mode == "linear"
            self._watches[run.run_id] = SpeedWatch(
                0.0 if is_probe else run.num_images / max(1, run.steps),
                check_steps(run.steps, config.checks),
                partial(self._measured_speed, run),
            )
        return self._watches[run.run_id]

    def _measured_speed(self, run: PlannedRun) -> float | None:
        """Images per second that were measured for a run, by its finished twins or by the probe."""
        if (speed := self._speeds.finished_rate(kind_of(run))) is not None:
            return speed
        threads = recorded_threads(self.folder.run(run.run_id))
        return probed_speed(self.folder, run, threads)

    def _study_seconds(self) -> Seconds | None:
        """Time left of the study, its runs shared out over the workers."""
        unfinished = (size_of(run, self._shares.get(run.run_id, 1.0)) for run in self.waiting)
        return self._speeds.total(unfinished, self.workers.count)
