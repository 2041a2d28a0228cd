"""Rounds in steps of training, as in the simulators of Gavel and Shockwave: see `engine.rules` for what that means."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from apportion.engine import loop
from apportion.engine.adapting import Batches
from apportion.engine.classes import Classes
from apportion.engine.layout import F8, I8, PENDING, RUNNING
from apportion.engine.round_log import RoundLog
from apportion.engine.rules import Rules
from apportion.engine.run import Engine
from apportion.engine.speeds import Speeds
from apportion.engine.turns import Turns
from apportion.engine.view import Decides, Decision, View

FULL_S = 5.0
"""A round is nearly full when it lasts at most so much less than it could."""


@dataclass
class Turn:
    """What a job does in a round: GPU model, the other job on its GPUs (-1 = none) and whether it is the other's guest,
    steps, when it is done with them, whether it then ends."""

    model: int
    beside: int
    guest: bool
    steps: float
    end_s: float
    over: bool
    failed: bool
    seconds: float


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
    seed: int | None = None
    order: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        count, models = self.speeds.speed.shape
        self.turns = Turns(count, models, self.rules.round_s, self.rules.reset_s, self.order, self.seed, self.packs)
        self.classes = Classes(self.speeds.encoded)
        self._busy = np.zeros(models)
        self.log = RoundLog(self.speeds.models, self._busy)
        self._done = np.zeros(count)
        self._total = self.speeds.units.copy()
        self._ran = np.zeros(count)
        self._failures = np.zeros(count, np.int64)
        self._now: dict[int, Turn] = {}
        self._beside = np.full(count, -1)
        self._nothing = -1
        self._before: set[int] = set()
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
        if not self._now:
            return
        # the jobs that were last come first, as in the released code, where it is a heap
        for job, turn in sorted(self._now.items(), key=lambda item: (-item[1].end_s, item[0])):
            self._ran[job] += turn.seconds
            if turn.failed:
                # that a pair failed is held against neither
                self._failures[job] += turn.beside < 0
                self.turns.due = True
                self._change(job)
                if self._failures[job] >= self.rules.failures:
                    if self._done[job] < self._total[job]:
                        # else nothing was left to do, after a change of the batch size
                        self.log.given_up.append(job)
                    loop.end_at(engine.root, job, turn.end_s)
                continue
            if turn.beside < 0:
                self._failures[job] = 0
            self._done[job] += turn.steps
            if not turn.guest:
                self.turns.credit(job, turn.model, turn.seconds, turn.beside)
            if turn.over:
                self.turns.due = True
            else:
                self._change(job)
        self._last_end = engine.number("now")
        self._before = set(self._now)
        self._now = {}

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
        for i, k, model in picked:
            job = int(active[i])
            if k < 0:
                self._now[job] = self._turn(job, model, now)
            else:
                self._pair(job, int(active[k]), model, now)
        chosen = list(self._now)
        self._carry_out(engine, active, now)
        self.log.round(now, np.array([job for job in chosen if job not in self._now], np.int64))
        for job, turn in self._now.items():
            self._busy[turn.model] += 0.0 if turn.guest else turn.seconds * self.speeds.gpus[job]
        if self._now:
            engine.root["round_at"] = max(turn.end_s for turn in self._now.values())
        else:
            arrived = int(engine.number("arrived"))
            submit = engine.arrays["jobs"]["submit"]
            engine.root["round_at"] = submit[arrived] if arrived < submit.size else now + self.rules.round_s

    def _turn(self, job: int, model: int, now: float) -> Turn:
        rules, speed = self.rules, self.speeds.speed[job, model]
        steps = min(float(int(speed * rules.round_s)), self._total[job] - self._done[job])
        end = max(now, now + steps / speed)
        seconds = end - self._last_end
        cold = bool(self.log.starts) and job not in self._before and rules.restart_s > 0
        if cold and seconds > max(rules.round_s - FULL_S, 0):
            part = (seconds - rules.restart_s) / seconds
            seconds -= rules.restart_s
            steps = float(int(steps * part))
        failed = steps <= 0 and seconds <= 0
        if rules.each_gpu:
            failed = steps < max(self.speeds.gpus[job], 1) or seconds <= 0
        late = (
            self._ran[job] + seconds > int(self.work_s[job] * rules.overtime) if np.isfinite(rules.overtime) else False
        )
        over = not failed and (self._total[job] - (self._done[job] + steps) <= 0 or late)
        return Turn(model, -1, False, steps, end, over, failed, seconds)

    def _pair(self, host: int, guest: int, model: int, now: float) -> None:
        """Let two jobs share their GPUs for the round; both are done with it when the later one is."""
        assert self.speeds.kind is not None and self.speeds.beside is not None
        jobs = (host, guest)
        speed = self.speeds.beside[self.speeds.kind[host], self.speeds.kind[guest], model]
        steps = [
            min(float(int(speed[n] * self.rules.round_s)), self._total[job] - self._done[job])
            for n, job in enumerate(jobs)
        ]
        end = max(now, *(now + steps[n] / speed[n] for n in (0, 1)))
        seconds = end - self._last_end
        failed = seconds <= 0 or min(steps) < (max(self.speeds.gpus[host], 1) if self.rules.each_gpu else 1)
        for n, job in enumerate(jobs):
            over = not failed and self._total[job] - (self._done[job] + steps[n]) <= 0
            self._now[job] = Turn(model, jobs[1 - n], n == 1, steps[n], end, over, failed, seconds)

    def _carry_out(self, engine: Engine, active: I8, now: float) -> None:
        """Stop and start what changed; what does not fit on the nodes waits."""
        running = engine.arrays["jobs"]["state"][active] == RUNNING
        held = self.speeds.held
        stay = {
            j
            for j in active[running].tolist()
            if j in self._now and held[j] == self._now[j].model and self._beside[j] == self._now[j].beside
        }
        stopped = np.array([j for j in active[running].tolist() if j not in stay], np.int64)
        guests = [j for j, turn in self._now.items() if turn.guest and j not in stay]
        started = np.array([j for j, turn in self._now.items() if not turn.guest and j not in stay], np.int64)
        kinds = np.array([self.classes.of(engine, int(j), self._now[int(j)].model) for j in started], np.int64)
        ends = np.array([self._now[int(j)].end_s if self._now[int(j)].over else np.inf for j in started], np.float64)
        at = 0
        while True:
            at += loop.carry_out(engine.root, stopped, started[at:], kinds[at:], ends[at:])
            stopped = stopped[:0]
            if at >= started.size:
                break
            engine.grow()
        for job, end in zip(started.tolist(), ends.tolist(), strict=True):
            turn = self._now[job]
            if end < 0:
                del self._now[job]
                self._now.pop(turn.beside, None)
            else:
                held[job], self._beside[job] = turn.model, turn.beside
                self.sizes.append(self.speeds.gpus[job])
        for job in guests:
            if job in self._now:
                self._join(engine, job)
        for job in stay:
            turn = self._now[job]
            if turn.over:
                while not loop.end_at(engine.root, job, turn.end_s):
                    engine.grow()

    def _join(self, engine: Engine, guest: int) -> None:
        turn, table = self._now[guest], engine.arrays["jobs"]
        if self._nothing < 0:
            self._nothing = self.classes.nothing(engine)
        table["remaining"][guest] = (turn.end_s if turn.over else np.inf) - engine.number("now")
        while not loop.join(engine.root, guest, turn.beside, self._nothing):
            engine.grow()
            table = engine.arrays["jobs"]
        self.speeds.held[guest], self._beside[guest] = turn.model, turn.beside
        self.sizes.append(0.0)
