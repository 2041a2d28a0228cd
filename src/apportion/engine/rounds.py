"""The door for allocators: the loop stops at a round, hands out a view, and carries out what comes back.

A job that gets what it has goes on undisturbed; one that gets nothing is suspended; one that gets another number of
GPUs or another model is restarted, and progresses as fast as it then can.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from apportion.engine.active import active, launch, standing, suspend
from apportion.engine.classes import Classes
from apportion.engine.company import Company
from apportion.engine.encode import Encoded
from apportion.engine.layout import F8, I4, I8, RUNNING
from apportion.engine.patience import Patience
from apportion.engine.round_log import RoundLog
from apportion.engine.run import Engine
from apportion.engine.speeds import Speeds, speeds_of
from apportion.engine.turns import Turns
from apportion.engine.view import Decides, Decision, View


@dataclass
class Rounds:
    """Carries an allocator's decisions out.

    Parameters
    ----------
    encoded: of the run. least, most: f8[jobs], GPU bounds of elastic jobs. round_s: seconds between rounds.
    numbers: i8[jobs], lasting names of the jobs; default their row numbers. rows: i4[jobs], as in `Engine.set_rates`:
    for jobs that are put on whatever model there is; None = all are as fast everywhere.
    """

    encoded: Encoded
    least: F8
    most: F8
    round_s: float
    numbers: I8 | None = None
    rows: I4 | None = None
    speeds: Speeds = field(init=False)
    classes: Classes = field(init=False)
    log: RoundLog = field(init=False)
    sizes: list[float] = field(default_factory=list, init=False)
    """GPUs of each run, in the order of their starts."""
    _held: F8 = field(init=False)
    _turns: Turns | None = field(default=None, init=False)
    _shared: I8 = field(init=False)
    _last_s: float = field(default=0.0, init=False)
    _next_s: float = field(default=0.0, init=False)
    _patience: Patience = field(default_factory=Patience, init=False)
    company: Company = field(init=False)
    _active: I8 = field(default_factory=lambda: np.zeros(0, np.int64), init=False)
    _seen: int = field(default=0, init=False)
    """How many had arrived when `_active` was read."""

    def __post_init__(self) -> None:
        self._held = np.zeros(len(self.encoded.kind))
        self.speeds = speeds_of(self.encoded, self.least, self.most)
        self.classes = Classes(self.encoded)
        self.log = RoundLog(self.speeds.models)
        self._shared = np.zeros(0, np.int64)
        self.company = Company(self.speeds, self.classes, self._held, self.sizes)

    def hold(self, jobs: I8) -> None:
        """Note that these jobs already run, with what they ask for."""
        self._held[jobs] = self.encoded.milli[jobs] / 1000

    def view(self, engine: Engine) -> View:
        """Return what an allocator may look at now."""
        jobs = self._active = active(engine.root, self._active, self._seen)
        self._seen = int(engine.number("arrived"))
        if self.numbers is not None:
            jobs = jobs[np.argsort(self.numbers[jobs], kind="stable")]
        running, submit, work, left = standing(engine.root, jobs)
        done, per_second = work - left, self.speeds.per_second[jobs]
        nodes = engine.arrays["nodes"].view()
        nodes.flags.writeable = False
        return View(
            engine.number("now"),
            jobs,
            running,
            self.encoded.milli[jobs] / 1000,
            np.where(running, self._held[jobs], 0.0),
            submit,
            done,
            left,
            self.least[jobs],
            self.most[jobs],
            self.encoded.user[jobs].astype(np.int64),
            self.encoded.group[jobs].astype(np.int64),
            nodes,
            float((nodes["gpus"] * nodes["up"]).sum()),
            jobs if self.numbers is None else self.numbers[jobs],
            self.speeds.models,
            self.speeds.capacity(engine),
            self.speeds.speed[jobs],
            done * per_second,
            left * per_second,
            self.speeds.weight[jobs],
            self.speeds.deadline_s[jobs],
            on=np.where(running, self._on(engine, jobs), -1),
            scaling=self.speeds.scaling,
            kind=None if self.speeds.kind is None else self.speeds.kind[jobs],
            beside=self.speeds.beside,
        )

    def _on(self, engine: Engine, jobs: I8) -> I8:
        """Return the GPU model each job runs or ran on, -1 = none; where it was not told, that of its first node."""
        held = self.speeds.held
        unknown = jobs[(held[jobs] < 0) & (self.encoded.milli[jobs] > 0)]
        if unknown.size:
            run = engine.arrays["jobs"]["run"][unknown]
            unknown, run = unknown[run >= 0], run[run >= 0]
            node = engine.arrays["puts"]["node"][engine.arrays["runs"]["put"][run]]
            held[unknown] = np.maximum(engine.arrays["nodes"]["model"][node], 0)
        return self.speeds.held[jobs]

    def round(self, engine: Engine, allocator: Decides) -> None:
        """Ask the allocator what it wants, and carry it out; shares of time are turned into who is next."""
        on_change = bool(getattr(allocator, "on_change", False))
        packs = bool(getattr(allocator, "packs", False))
        if packs:
            self.speeds.pair()
            packs = self.speeds.beside is not None
        # where a job shares GPUs and ends, the other one goes faster at once, not from the next round on
        engine.root["wake_on_change"] = on_change or packs
        if packs:
            self.company.part(engine, self._credit)
            if engine.number("now") < self._next_s and not on_change:
                engine.root["round_at"] = self._next_s
                return
        view = self.view(engine)
        if self._turns is not None:
            self._turns.meet(view.jobs, view.gpus)
        if self._turns is None or self._turns_due(view):
            answer = self.log.ask(allocator, view)
            if isinstance(answer, Decision):
                self.apply(engine, view, answer)
                return
            if self._turns is None:
                shuffled = 0 if getattr(allocator, "shuffles", False) else None
                jobs, models = self.speeds.speed.shape
                self._turns = Turns(jobs, models, self.round_s, 0.0, (), shuffled, packs)
                self._turns.meet(view.jobs, view.gpus)
            self._turns.reset(view.now_s, view.jobs, answer)
            self.log.share(view.jobs, answer, self._turns.deficit[view.jobs])
            self._shared = view.jobs
        picked = self._turns.pick(view.jobs, view.gpus, view.speed, view.capacity, view.kind, view.beside)
        gpus, model = np.zeros(view.jobs.size), np.full(view.jobs.size, -1, np.int64)
        beside = np.full(view.jobs.size, -1, np.int64)
        first, second, on = np.array(picked, np.int64).reshape(-1, 3).T
        gpus[first], model[first] = view.gpus[first], on
        both = second >= 0
        one, two = first[both], second[both]
        gpus[two], model[two], beside[two] = view.gpus[two], on[both], one
        self.apply(engine, view, Decision(gpus, first, model, beside=beside))

    def _turns_due(self, view: View) -> bool:
        """Note what those that ran received since the last round; say whether others are there now."""
        ran = view.running & ~self.company.guests(view.jobs)
        self._credit(view.jobs[ran], self.company.others(view.jobs[ran]), view.now_s)
        return not np.array_equal(view.jobs, self._shared)

    def _credit(self, jobs: I8, beside: I8, now_s: float) -> None:
        """Note that jobs ran up to now, alone (-1) or with another one."""
        if self._turns is not None:
            since = np.maximum(self._last_s, self.company.since_s[jobs])
            self._turns.credit(jobs, np.maximum(self.speeds.held[jobs], 0), now_s - since, beside)

    def apply(self, engine: Engine, view: View, decision: Decision) -> None:
        """Suspend, resize and start; then set the time of the next round."""
        # what asks for no GPU is not the allocator's to give: it runs as soon as a node has the CPU
        wanted = np.where(view.gpus > 0, decision.gpus, 0.0)
        model = np.full(view.jobs.size, -1, np.int64) if decision.model is None else decision.model.copy()
        beside = np.full(view.jobs.size, -1, np.int64) if decision.beside is None else decision.beside
        stays = view.running & (wanted == view.held) & ((model < 0) | (self.speeds.held[view.jobs] == model))
        stays = self.company.stay(view.jobs, stays, beside)
        suspend(engine.root, view.jobs[view.running & ~stays])
        order = np.arange(view.jobs.size) if decision.start_order is None else decision.start_order
        without = np.flatnonzero((view.gpus == 0) & ~view.running)
        starts = order[((wanted > 0) & ~stays & (beside < 0))[order]]
        guest = np.full(view.jobs.size, -1, np.int64)
        guests = np.flatnonzero(beside >= 0)
        guest[beside[guests]] = view.jobs[guests]
        model[without] = -1
        self._start(engine, view, np.concatenate([without, starts]), wanted, model, guest)
        self.company.seat(engine, view.jobs, stays, beside, model)
        chosen = view.jobs[wanted > 0]
        self.log.round(view.now_s, chosen[engine.arrays["jobs"]["state"][chosen] != RUNNING])
        self._last_s = view.now_s
        again = decision.again_s
        self._next_s = again if again is not None and again > view.now_s else view.now_s + self.round_s
        engine.root["round_at"] = np.inf if self._patience.is_over(engine) else self._next_s

    def _start(self, engine: Engine, view: View, at: I8, gpus: F8, model: I8, guest: I8) -> None:
        """Start the jobs at these positions of the view, in this order.

        gpus: f8, what each gets; model: i8, on which model, -1 = any; guest: i8, who is to share them, -1 = nobody.
        """
        jobs, gpus, model, guest = view.jobs[at], gpus[at], model[at], guest[at]
        rate, kind = np.ones(at.size), np.empty(at.size, np.int64)
        resized = gpus != view.gpus[at]
        kind[~resized] = self.classes.of_all(engine, jobs[~resized], model[~resized])
        for i in np.flatnonzero(resized):
            kind[i] = self.classes.of(engine, int(jobs[i]), int(model[i]), round(float(gpus[i])))
            rate[i] = self.speeds.scaling.relative(int(jobs[i]), float(gpus[i]))
        for i in np.flatnonzero((model >= 0) & self.speeds.profiled[jobs] & (guest < 0)):
            rate[i] *= self.speeds.relative(int(jobs[i]), int(model[i]))
        for i in np.flatnonzero(guest >= 0):
            rate[i] = self.speeds.relative_beside(int(jobs[i]), int(guest[i]), int(model[i]))
        if self.rows is not None:
            engine.arrays["profile"][jobs] = np.where((model < 0) & ~resized, self.rows[jobs], -2)
        fits, done = np.zeros(at.size, bool), 0
        while (done := launch(engine.root, jobs, kind, rate, done, fits)) < at.size:
            engine.grow()
        self._held[jobs] = np.where(fits, gpus, 0.0)
        self.speeds.held[jobs[fits]] = model[fits]
        self.sizes.extend(gpus[fits].tolist())
