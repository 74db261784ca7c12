"""Selection of an automatic study: probes first, then halving, on the tuning split alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from medtransfer.errors import StudyError, fault_list, listed, plural
from medtransfer.runs.events import Decided, Event, OnEvent
from medtransfer.runs.folders import StudyFolder
from medtransfer.study.config import Study
from medtransfer.study.drafting.fingerprint import Machine
from medtransfer.study.planning.plan_study import plan_study
from medtransfer.study.planning.study_plan import StudyPlan
from medtransfer.study.schedule import select_on_tuning
from medtransfer.study.selection.candidates import Candidates, has_features
from medtransfer.study.selection.clock import Clock
from medtransfer.study.selection.decisions import Decision, Decisions, SelectionStage
from medtransfer.study.selection.halving import (
    MAX_CONTENDERS,
    MIN_KEPT,
    SEED_COUNTS,
    Cut,
    Dropped,
    TunedRung,
    best_of,
    common_seeds,
    finalists,
    half,
    plan_race,
    within_time,
)
from medtransfer.study.selection.pace import MAX_SHARE, Pace
from medtransfer.study.selection.stage_runs import (
    measured_rungs,
    memory_by_rung,
    read_stage,
    reasons_of,
    scores_of,
    seconds_by_rung,
    steps_by_rung,
    tested_share,
)
from medtransfer.study.selection.stage_sentences import mode_text, race_text, scores_text
from medtransfer.study.selection.stages import (
    SHORT_SHARE,
    final_study_of,
    full_study_of,
    probe_study_of,
    short_study_of,
)

PROBE_SHARE = 1 / 3
"""Share of the time that linear probes may take by estimate."""
PROBE_LIMIT = 1 / 2
"""Share of the time after which probes that have not ended are given up."""
FINAL_SHARE = 0.2
"""Share of the time that is kept for the test cases and the tables at least; they took 18 % of half
an hour on a busy machine (benchmarks/RESULTS.md)."""
TABLES_SHARE = 0.12
"""Part of it for the tables and the report, where the test cases take longer than the rest."""
STOP_SHARE = 0.1
"""Share of the time that runs may take to stop at most."""
MEASURE_SHARE = 0.1
"""Share of the time that measuring the speed of fine-tuning may take."""
MEASURED_STEPS = 5
"""Steps of fine-tuning that measure its speed; they count when the rung is fine-tuned."""


@dataclass(frozen=True)
class Selector:
    """The stages of an automatic study, each ended by a decision that is written once.

    Attributes:
        folder: Of the study.
        base: Study that the stages are made from.
        machine: This machine.
        clock: Time that was used.
        on_event: Called with every progress event.
        workers: Runs that are carried out at once; None for what suits the machine.
    """

    folder: StudyFolder
    base: Study
    machine: Machine
    clock: Clock
    on_event: OnEvent
    workers: int | None = None

    @cached_property
    def pace(self) -> Pace:
        """Silences of the runs, by the same clock."""
        return Pace(self.clock.now)

    @property
    def _decisions(self) -> Decisions:
        return Decisions(self.folder)

    def select(self, candidates: Candidates) -> Study:
        """Carry out the stages that are not decided yet.

        Args:
            candidates: Rungs that can be tried.

        Returns:
            The study of the finalists; no run has predicted a test case yet.

        Raises:
            MedTransferError: Something a user can mend.
            StudyStopped: Ctrl-C or SIGTERM; state is saved.
        """
        tried = self._decided("candidates", lambda: self._choose_candidates(candidates))
        probes = self._decided("probes", lambda: self._probe(tried.kept))
        race = self._decided("race", lambda: self._plan_race(probes.kept))
        entrants = race.kept
        if len(race.kept) > 2:
            entrants = self._decided("short", lambda: self._run_short(race)).kept
        full = None
        if entrants:
            full = self._decided("full", lambda: self._run_full(entrants))
        final = self._decided("finalists", lambda: self._choose_finalists(race, probes, full))
        modes = final.modes or {}
        return final_study_of(self.base, {rung: modes[rung] for rung in final.kept}, final.seeds)

    def _decided(self, stage: SelectionStage, decide: Callable[[], Decision]) -> Decision:
        """The decision of a stage: the one that was written, else a new one."""
        decision = self._decisions.find(stage)
        if decision is None:
            decision = self._decisions.record(decide())
            self.clock.note(least=0)
        self.on_event(Decided(stage, decision.sentence))
        return decision

    def _choose_candidates(self, candidates: Candidates) -> Decision:
        """Rungs whose probes fit the machine and the time."""
        plan = self._plan(probe_study_of(self.base, candidates.rungs))
        fitting, too_large = self._fitting(candidates.rungs, plan)
        most = PROBE_SHARE * self.clock.seconds
        seconds = seconds_by_rung(plan)
        timed = within_time({rung: seconds.get(rung) for rung in fitting}, most)
        order = [rung for rung in candidates.rungs if rung in timed.kept]
        text = f"{plural(len(order), 'rung')} can be tried: {listed(order, 12)}."
        if candidates.left_out:
            away = plural(len(candidates.left_out), "rung")
            text += f" {away} of the ladder left out: no weights on this machine."
        return Decision(
            stage="candidates",
            kept=tuple(order),
            dropped=(*too_large, *timed.dropped, *candidates.left_out),
            sentence=text,
            tune_auroc={},
            seconds=_known(seconds),
            seconds_left=self._left(),
        )

    def _probe(self, rungs: Sequence[str]) -> Decision:
        """Linear probes of all rungs that have features; the better half contends."""
        probed = [rung for rung in rungs if has_features(rung)]
        others = [rung for rung in rungs if rung not in probed]
        cut, scores = Cut((), ()), dict[str, float | None]()
        if probed:
            study = probe_study_of(self.base, probed)
            self._train(study, lambda: self.clock.spent > PROBE_LIMIT * self.clock.seconds)
            runs = read_stage(self.folder)
            scores = scores_of(runs)
            keep = min(MAX_CONTENDERS, half(len(probed)))
            cut = best_of(scores, keep, reasons_of(runs))
        kept = (*cut.kept, *others)
        if not kept:
            messages = [f"{item.rung}: {item.reason}" for item in cut.dropped]
            raise StudyError(fault_list("No rung can be selected", messages, ""))
        text = f"Linear probes of {plural(len(probed), 'rung')}: {scores_text(scores, cut.kept)}."
        return Decision(
            stage="probes",
            kept=kept,
            dropped=cut.dropped,
            sentence=text,
            tune_auroc=_known(scores),
            seconds={},
            seconds_left=self._left(),
        )

    def _plan_race(self, ranked: Sequence[str]) -> Decision:
        """Measure the speed of fine-tuning, and plan as much of it as the time allows."""
        if self.base.training.tuning.mode == "linear":
            text = "No fine-tuning: the study file asks for linear probes."
            return Decision(
                stage="race",
                kept=(),
                dropped=(),
                sentence=text,
                tune_auroc={},
                seconds={},
                seeds=tuple(range(SEED_COUNTS[0])),
            )
        study = full_study_of(self.base, ranked)
        plan = self._plan(study)
        fitting, too_large = self._fitting(ranked, plan)
        lowest = seconds_by_rung(plan, "low")
        hopeful = plan_race(fitting, lowest, SHORT_SHARE, self._left()).entrants
        worth = [rung for rung in fitting if rung in hopeful or lowest[rung] is None]
        seconds = seconds_by_rung(plan)
        if worth:
            seconds |= self._measure(worth)
        left = self._left()
        race = plan_race(fitting, seconds, SHORT_SHARE, left)
        return Decision(
            stage="race",
            kept=race.entrants,
            dropped=(*too_large, *race.dropped),
            sentence=race_text(race, left),
            tune_auroc={},
            seconds=_known({rung: seconds[rung] for rung in fitting}),
            seconds_left=left,
            seeds=tuple(range(race.seeds)),
        )

    def _measure(self, rungs: Sequence[str]) -> dict[str, float | None]:
        """Seconds of the whole schedule of each rung, by a few steps; None if there was no time."""
        study = full_study_of(self.base, rungs)
        end = self.clock.spent + MEASURE_SHARE * self.clock.seconds
        self._train(study, lambda: self.clock.spent > end, steps=MEASURED_STEPS)
        plan = self._plan(study)
        measured, seconds = measured_rungs(plan), seconds_by_rung(plan)
        return {rung: seconds[rung] if rung in measured else None for rung in rungs}

    def _run_short(self, race: Decision) -> Decision:
        """Fine-tune on the short schedule; the better half goes on."""
        later = plan_race(
            race.kept[: half(len(race.kept))], race.seconds, 0.0, float("inf")
        ).seconds
        # of the whole schedule, and not of the study that was planned last: a command that resumes
        # finds the short one there
        whole = steps_by_rung(self._plan(full_study_of(self.base, race.kept)))
        study = short_study_of(self.base, {rung: whole[rung] for rung in race.kept})
        self._train(study, lambda: self._left() <= later + self._stop_seconds())
        return self._halved("short", half(len(race.kept)), "Short schedule")

    def _run_full(self, rungs: Sequence[str]) -> Decision:
        """Fine-tune on the whole schedule."""
        self._train(full_study_of(self.base, rungs), self._has_to_stop)
        return self._halved("full", len(rungs), "Whole schedule")

    def _halved(self, stage: SelectionStage, keep: int, what: str) -> Decision:
        runs = read_stage(self.folder)
        scores = scores_of(runs)
        cut = best_of(scores, keep, reasons_of(runs))
        return Decision(
            stage=stage,
            kept=cut.kept,
            dropped=cut.dropped,
            sentence=f"{what}: {scores_text(scores, cut.kept)}.",
            tune_auroc=_known(scores),
            seconds={},
            seconds_left=self._left(),
        )

    def _choose_finalists(
        self, race: Decision, probes: Decision, full: Decision | None
    ) -> Decision:
        """The two best rungs, each in its better mode, at seeds that both have."""
        tuned: Mapping[str, float] = {} if full is None else full.tune_auroc
        scores: dict[TunedRung, float] = {
            **{(rung, "linear"): score for rung, score in probes.tune_auroc.items()},
            **{(rung, "full"): score for rung, score in tuned.items()},
        }
        arms = finalists(scores)
        if not arms:
            raise StudyError(
                "No rung was trained to its end within the time. Ask for more hours, or name "
                "smaller rungs."
            )
        modes = dict(arms)
        # the head of a probe is fitted to its optimum: further seeds would say nothing more
        wanted = race.seeds if "full" in modes.values() else tuple(range(SEED_COUNTS[-1]))
        self._train(final_study_of(self.base, modes, wanted), self._has_to_stop)
        done = {
            rung: [
                run.seed
                for run in read_stage(self.folder)
                if run.rung == rung and run.state == "done"
            ]
            for rung in modes
        }
        seeds = self._affordable(common_seeds(done), tuple(modes))
        dropped = _losers(scores, modes)
        names = " and ".join(f"{rung} ({mode_text(mode)})" for rung, mode in arms)
        return Decision(
            stage="finalists",
            kept=tuple(modes),
            dropped=dropped,
            sentence=f"Finalists: {names}, at {plural(len(seeds), 'seed')}.",
            tune_auroc={f"{rung} {mode}": score for (rung, mode), score in scores.items()},
            seconds={},
            seconds_left=self._left(),
            modes=modes,
            seeds=seeds,
        )

    def _train(self, study: Study, until: Callable[[], bool], steps: int | None = None) -> None:
        """Train what is missing of a stage, until its time is over."""
        self.pace.begin_stage()

        def is_over() -> bool:
            self.clock.note()
            return until()

        select_on_tuning(
            study,
            self.folder.path,
            self._hear,
            until=is_over,
            steps=steps,
            workers=self.workers,
        )

    def _plan(self, study: Study) -> StudyPlan:
        return plan_study(study, self.folder.path, self._hear, workers=self.workers)

    def _hear(self, event: Event) -> None:
        self.clock.note()
        self.pace.hear(event)
        self.on_event(event)

    def _left(self) -> float:
        """Seconds that are left for training: some are kept for the test cases and the tables."""
        tests = self._test_seconds(self.pace.dearest(MIN_KEPT))
        kept = max(FINAL_SHARE * self.clock.seconds, TABLES_SHARE * self.clock.seconds + tests)
        return self.clock.left - min(kept, MAX_SHARE * self.clock.seconds)

    def _has_to_stop(self) -> bool:
        """True when runs at work must be told to stop, so that they have stopped in time."""
        return self._left() <= self._stop_seconds()

    def _stop_seconds(self) -> float:
        return self.pace.stop_seconds(STOP_SHARE * self.clock.seconds)

    def _test_seconds(self, rungs: Sequence[str]) -> float:
        """Seconds in which a run of each rung predicts the test cases."""
        return self.pace.test_seconds(rungs, tested_share(self.folder)) if rungs else 0.0

    def _affordable(self, seeds: tuple[int, ...], rungs: Sequence[str]) -> tuple[int, ...]:
        """As many seeds as have their test cases predicted in the time that is left."""
        tables = TABLES_SHARE * self.clock.seconds
        count = len(seeds)
        while count > 1 and self._test_seconds([*rungs] * count) > self.clock.left - tables:
            count -= 1
        return seeds[:count]

    def _fitting(
        self, rungs: Sequence[str], plan: StudyPlan
    ) -> tuple[list[str], tuple[Dropped, ...]]:
        """Rungs whose runs fit the memory; that of GPUs is not known here."""
        if self.machine.gpus:
            return list(rungs), ()
        needed = memory_by_rung(plan)
        too_large = tuple(
            Dropped(
                rung,
                f"needs about {needed[rung] / 2**30:.1f} GiB, and "
                f"{self.machine.memory / 2**30:.1f} GiB are available",
            )
            for rung in rungs
            if needed.get(rung, 0.0) > self.machine.memory
        )
        names = {item.rung for item in too_large}
        return [rung for rung in rungs if rung not in names], too_large


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    """The numbers that are known, by rung."""
    return {rung: value for rung, value in values.items() if value is not None}


def _losers(scores: Mapping[TunedRung, float], modes: Mapping[str, str]) -> tuple[Dropped, ...]:
    """Rungs with a tuning number that are no finalists."""
    last = min(scores[arm] for arm in modes.items())
    best: dict[str, float] = {}
    for (rung, _), score in scores.items():
        best[rung] = max(score, best.get(rung, 0.0))
    return tuple(
        Dropped(rung, f"tuning AUROC {score:.3f}, below {last:.3f} of the last finalist")
        for rung, score in sorted(best.items(), key=lambda item: -item[1])
        if rung not in modes
    )
