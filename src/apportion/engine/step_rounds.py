"""Rounds in steps of training, as in the simulators of Gavel and Shockwave: see `engine.rules` for what that means."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace

import numpy as np
import numpy.typing as npt

from apportion.engine import loop
from apportion.engine.adapting import Batches
from apportion.engine.classes import Classes
from apportion.engine.layout import F8, I8, PENDING, RUNNING
from apportion.engine.patience import Patience
from apportion.engine.round_log import RoundLog
from apportion.engine.rules import Rules
from apportion.engine.run import Engine
from apportion.engine.speeds import Speeds
from apportion.engine.turns import Turns
from apportion.engine.view import Decides, Decision, View

Bools = npt.NDArray[np.bool_]

FULL_S = 5.0
"""A round is nearly full when it lasts at most so much less than it could."""


@dataclass(frozen=True)
class Doing:
    """What jobs do in a round, an entry a job, in the order in which they were taken.

    Parameters
    ----------
    job: i8, row. model: i8. beside: i8, the other job on its GPUs, -1 = none. guest: whether the GPUs are the other's.
    steps: f8. end_s: f8, when it is done with them. over: whether it then ends. failed: whether nothing comes of it.
    seconds: f8, that it runs.
    """

    job: I8
    model: I8
    beside: I8
    guest: Bools
    steps: F8
    end_s: F8
    over: Bools
    failed: Bools
    seconds: F8

    def only(self, some: Bools | I8) -> Doing:
        """Return some of the entries."""
        if some.dtype == bool and some.all():
            return self
        return Doing(*[getattr(self, column)[some] for column in COLUMNS])


COLUMNS = tuple(column.name for column in fields(Doing))


def _nothing() -> Doing:
    none, number, no = np.zeros(0), np.zeros(0, np.int64), np.zeros(0, bool)
    return Doing(number, number, number, no, none, none, no, no, none)


@dataclass
class StepRounds:
    """Carries an allocator's decisions out, round by round.

    Parameters
    ----------
    speeds: of the run. rules: how a round goes. work_s: f8[jobs], profiled run times. batches: batch sizes that change.
    seed: of the order in which GPU models are given out, None = it stays. packs: jobs may share GPUs in pairs.
    """

    speeds: Speeds
    rules: Rules
    work_s: F8
    batches: Batches | None = None
    packs: bool = False
    turns: Turns = field(init=False)
    classes: Classes = field(init=False)
    log: RoundLog = field(init=False)
    sizes: list[float] = field(default_factory=list, init=False)
    """GPUs of each run, in the order of their starts."""
    _patience: Patience = field(default_factory=Patience, init=False)
    seed: int | None = None
    order: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        count, models = self.speeds.speed.shape
        if self.packs:
            self.speeds.pair()
        order = self.order or tuple(range(models))
        self.turns = Turns(count, models, self.rules.round_s, self.rules.reset_s, order, self.seed, self.packs)
        self.classes = Classes(self.speeds.encoded)
        self._busy = np.zeros(models)
        self.log = RoundLog(self.speeds.models, self._busy)
        self._done = np.zeros(count)
        self._total = self.speeds.units.copy()
        self._ran = np.zeros(count)
        self._failures = np.zeros(count, np.int64)
        self._now = _nothing()
        self._beside = np.full(count, -1)
        self._task = -1
        self._ran_before = np.zeros(count, bool)
        self._at = np.full(count, -1)
        self._last_end = 0.0
        self._seen = 0

    def round(self, engine: Engine, allocator: Decides) -> None:
        """Settle the last round, and begin the next."""
        now = engine.number("now")
        self._settle(engine)
        active = self._active(engine)
        arrived = int(engine.number("arrived"))
        self.turns.due |= arrived > self._seen
        self._seen = arrived
        if self.batches is not None:
            self.batches.look(active, self._done)
        width = self.speeds.gpus[active]
        speed = self.speeds.speed[active]
        self.turns.meet(active, width)
        picked = self._pick(engine, allocator, active, width, speed, now)
        last = arrived == engine.arrays["jobs"].size
        if last and not picked and not np.isnan(self.turns.share[active]).all():
            # nothing runs and nothing comes: the released code does not wait for the next shares then
            self.turns.forget()
            picked = self._pick(engine, allocator, active, width, speed, now)
        self._begin(engine, active, picked, now)

    def _active(self, engine: Engine) -> I8:
        state = engine.arrays["jobs"]["state"][: int(engine.number("arrived"))]
        return np.flatnonzero((state == PENDING) | (state == RUNNING))

    def _settle(self, engine: Engine) -> None:
        """Count what was done in the round that is over."""
        if not self._now.job.size:
            return
        # the jobs that were last come first, as in the released code, where it is a heap
        now = self._now.only(np.lexsort((self._now.job, -self._now.end_s)))
        self._ran[now.job] += now.seconds
        alone = now.beside < 0
        # that a pair failed is held against neither, nor does it count for them when it did not
        self._failures[now.job[now.failed & alone]] += 1
        self._failures[now.job[~now.failed & alone]] = 0
        well = now.only(~now.failed)
        self._done[well.job] += well.steps
        own = well.only(~well.guest)
        self.turns.credit(own.job, own.model, own.seconds, own.beside)
        self.turns.due |= bool((now.failed | now.over).any())
        if self.batches is not None:
            for job in self.batches.asks(now.job[now.failed | ~now.over]).tolist():
                self._change(job)
        for i in np.flatnonzero(now.failed & (self._failures[now.job] >= self.rules.failures)):
            job = int(now.job[i])
            if self._done[job] < self._total[job]:
                # else nothing was left to do, after a change of the batch size
                self.log.given_up.append(job)
            loop.end_at(engine.root, job, now.end_s[i])
        self._last_end = engine.number("now")
        self._ran_before[:] = False
        self._ran_before[now.job] = True
        self._now = _nothing()

    def _change(self, job: int) -> None:
        if self.batches is None:
            return
        found = self.batches.change(job, self._done[job], self._total[job])
        if found is not None:
            self._done[job], self._total[job], self.speeds.speed[job] = found

    def _pick(
        self, engine: Engine, allocator: Decides, active: I8, width: F8, speed: F8, now: float
    ) -> list[tuple[int, int, int]]:
        if not active.size:
            return []
        capacity = self.speeds.capacity(engine)
        wants = getattr(allocator, "every_round", False) or self.turns.wants_shares(now)
        if wants:
            answer = self.log.ask(allocator, self._view(engine, active, capacity))
            if isinstance(answer, Decision):
                order = np.arange(active.size) if answer.start_order is None else answer.start_order
                models = np.zeros(active.size, np.int64) if answer.model is None else answer.model
                return [(int(i), -1, int(models[i])) for i in order if answer.gpus[i] > 0]
            self.turns.reset(now, active, answer)
            self.log.share(active, answer, self.turns.deficit[active])
        kind = None if self.speeds.kind is None else self.speeds.kind[active]
        return self.turns.pick(active, width, speed, capacity, kind, self.speeds.beside)

    def _view(self, engine: Engine, active: I8, capacity: F8) -> View:
        table = engine.arrays["jobs"]
        done, total = self._done[active], self._total[active]
        speed = self.speeds.speed[active]
        unit_s = self.work_s[active] / np.maximum(total, 1e-12)
        view = self.speeds.view(engine, active, capacity, speed, done, total - done, done * unit_s, table)
        return view if self.batches is None else replace(view, epoch=self.batches.epochs_done(active, done))

    def _begin(self, engine: Engine, active: I8, picked: list[tuple[int, int, int]], now: float) -> None:
        table = np.array(picked, np.int64).reshape(-1, 3)
        own, other, model = active[table[:, 0]], np.where(table[:, 1] < 0, -1, active[table[:, 1]]), table[:, 2]
        chosen = self._turns_of(own, other, model, now)
        self._carry_out(engine, active, chosen, now)
        there = engine.arrays["jobs"]["state"][chosen.job] == RUNNING
        self._now = chosen.only(there)
        self.log.round(now, chosen.job[~there])
        busy = self._now.only(~self._now.guest)
        np.add.at(self._busy, busy.model, busy.seconds * self.speeds.gpus[busy.job])
        if busy.job.size:
            engine.root["round_at"] = busy.end_s.max()
        else:
            arrived = int(engine.number("arrived"))
            submit = engine.arrays["jobs"]["submit"]
            engine.root["round_at"] = submit[arrived] if arrived < submit.size else now + self.rules.round_s
            if self._patience.is_over(engine):
                engine.root["round_at"] = np.inf

    def _turns_of(self, own: I8, other: I8, model: I8, now: float) -> Doing:
        """Return what these jobs, some of them with another one beside them, do in the round."""
        rules, pairs = self.rules, np.flatnonzero(other >= 0)
        # a guest stands behind its host
        place = np.arange(own.size) + np.cumsum(other >= 0) - (other >= 0)
        job, on, beside = (np.zeros(own.size + pairs.size, np.int64) for _ in range(3))
        guest = np.ones(job.size, bool)
        guest[place] = False
        job[place], on[place], beside[place] = own, model, other
        behind = place[pairs] + 1
        job[behind], on[behind], beside[behind] = other[pairs], model[pairs], own[pairs]
        speed = self.speeds.speed[job, on]
        if pairs.size and self.speeds.kind is not None and self.speeds.beside is not None:
            both = self.speeds.beside[self.speeds.kind[own[pairs]], self.speeds.kind[other[pairs]], model[pairs]]
            speed[place[pairs]], speed[behind] = both[:, 0], both[:, 1]
        steps = np.minimum(np.floor(speed * rules.round_s), self._total[job] - self._done[job])
        end = np.maximum(now, now + steps / speed)
        # both of a pair are done with the round when the later one is
        end[place[pairs]] = end[behind] = np.maximum(end[place[pairs]], end[behind])
        seconds = end - self._last_end
        if rules.restart_s > 0 and self.log.starts:
            cold = ~self._ran_before[job] & (seconds > max(rules.round_s - FULL_S, 0))
            part = np.where(cold, (seconds - rules.restart_s) / np.maximum(seconds, 1e-300), 1.0)
            seconds = np.where(cold, seconds - rules.restart_s, seconds)
            steps = np.where(cold, np.floor(steps * part), steps)
        if rules.each_gpu:
            # a last part of a step is enough for a single GPU
            gpus = self.speeds.gpus[job]
            failed = np.where(gpus > 1, steps < gpus, steps <= 0) | (seconds <= 0)
        else:
            failed = (steps <= 0) & (seconds <= 0)
        failed[place[pairs]] |= failed[behind]
        failed[behind] = failed[place[pairs]]
        late = np.zeros(job.size, bool)
        if np.isfinite(rules.overtime):
            late = self._ran[job] + seconds > np.floor(self.work_s[job] * rules.overtime)
        over = ~failed & ((self._total[job] - (self._done[job] + steps) <= 0) | late)
        return Doing(job, on, beside, guest, steps, end, over, failed, seconds)

    def _carry_out(self, engine: Engine, active: I8, chosen: Doing, now: float) -> None:
        """Stop and start what changed; what does not fit on the nodes waits."""
        running = active[engine.arrays["jobs"]["state"][active] == RUNNING]
        held = self.speeds.held
        self._at[chosen.job] = np.arange(chosen.job.size)
        at = self._at[running]
        stays = (at >= 0) & (held[running] == chosen.model[at]) & (self._beside[running] == chosen.beside[at])
        stopped, stay = running[~stays], at[stays]
        self._at[chosen.job] = -1
        new = np.ones(chosen.job.size, bool)
        new[stay] = False
        first, behind = chosen.only(new & ~chosen.guest), chosen.only(new & chosen.guest)
        kinds = self.classes.of_all(engine, first.job, first.model)
        ends, done = np.where(first.over, first.end_s, np.inf), 0
        while True:
            done += loop.carry_out(engine.root, stopped, first.job[done:], kinds[done:], ends[done:])
            stopped = stopped[:0]
            if done >= first.job.size:
                break
            engine.grow()
        began = first.only(ends >= 0)
        held[began.job], self._beside[began.job] = began.model, began.beside
        self.sizes += self.speeds.gpus[began.job].tolist()
        for i in np.flatnonzero(np.isin(behind.beside, began.job)):
            self._join(engine, int(behind.job[i]), int(behind.beside[i]), behind.end_s[i] if behind.over[i] else np.inf)
            held[behind.job[i]], self._beside[behind.job[i]] = behind.model[i], behind.beside[i]
        for i in stay[chosen.over[stay]]:
            while not loop.end_at(engine.root, int(chosen.job[i]), chosen.end_s[i]):
                engine.grow()

    def _join(self, engine: Engine, guest: int, host: int, end_s: float) -> None:
        if self._task < 0:
            self._task = self.classes.nothing(engine)
        engine.arrays["jobs"]["remaining"][guest] = end_s - engine.number("now")
        while not loop.join(engine.root, guest, host, self._task):
            engine.grow()
        self.sizes.append(0.0)
