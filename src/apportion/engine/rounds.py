"""The door for allocators: the loop stops at a round, hands out a view, and carries out what comes back.

A job that gets what it has goes on undisturbed; one that gets nothing is suspended; one that gets another number of
GPUs or another model is restarted, and progresses as fast as it then can.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from apportion.engine import loop
from apportion.engine.classes import Classes
from apportion.engine.company import Company
from apportion.engine.encode import Encoded
from apportion.engine.layout import F8, I8, PENDING, RUNNING
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
    numbers: i8[jobs], lasting names of the jobs; default their row numbers.
    """

    encoded: Encoded
    least: F8
    most: F8
    round_s: float
    numbers: I8 | None = None
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
        table = engine.arrays["jobs"]
        arrived = int(engine.number("arrived"))
        state = table["state"][:arrived]
        jobs = np.flatnonzero((state == PENDING) | (state == RUNNING))
        if self.numbers is not None:
            jobs = jobs[np.argsort(self.numbers[jobs], kind="stable")]
        now = engine.number("now")
        running = state[jobs] == RUNNING
        ran = np.where(running, (now - table["started"][jobs]) * table["rate"][jobs], 0.0)
        left = table["remaining"][jobs] - ran
        nodes = engine.arrays["nodes"].view()
        nodes.flags.writeable = False
        return View(
            now,
            jobs,
            running,
            self.encoded.milli[jobs] / 1000,
            np.where(running, self._held[jobs], 0.0),
            table["submit"][jobs],
            table["work"][jobs] - left,
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
            (table["work"][jobs] - left) * self.speeds.per_second[jobs],
            left * self.speeds.per_second[jobs],
            self.speeds.weight[jobs],
            self.speeds.deadline_s[jobs],
            on=np.where(running, self._on(engine, jobs), -1),
            scaling=self.speeds.scaling,
            kind=None if self.speeds.kind is None else self.speeds.kind[jobs],
            beside=self.speeds.beside,
        )

    def _on(self, engine: Engine, jobs: I8) -> I8:
        """Return the GPU model each job runs or ran on, -1 = none; where it was not told, that of its first node."""
        table, nodes = engine.arrays["jobs"], engine.arrays["nodes"]
        for j in jobs[(self.speeds.held[jobs] < 0) & (table["run"][jobs] >= 0) & (self.encoded.milli[jobs] > 0)]:
            put = engine.arrays["runs"]["put"][table["run"][j]]
            self.speeds.held[j] = max(nodes["model"][engine.arrays["puts"]["node"][put]], 0)
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
        for i, k, m in picked:
            gpus[i], model[i] = view.gpus[i], m
            if k >= 0:
                gpus[k], model[k], beside[k] = view.gpus[k], m, i
        first = np.array([i for i, _, _ in picked], np.int64)
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
        wanted = np.asarray(decision.gpus, float)
        model = np.full(view.jobs.size, -1, np.int64) if decision.model is None else decision.model
        beside = np.full(view.jobs.size, -1, np.int64) if decision.beside is None else decision.beside
        stays = view.running & (wanted == view.held) & ((model < 0) | (self.speeds.held[view.jobs] == model))
        stays = self.company.stay(view.jobs, stays, beside)
        for j in view.jobs[view.running & ~stays]:
            loop.suspend(engine.root, int(j))
        order = np.arange(view.jobs.size) if decision.start_order is None else decision.start_order
        for i in np.flatnonzero((view.gpus == 0) & ~view.running):
            # what asks for no GPU is not the allocator's to give: it runs as soon as a node has the CPU
            self._start(engine, int(view.jobs[i]), 0.0, 0.0, -1)
        guest = {int(beside[k]): int(view.jobs[k]) for k in np.flatnonzero(beside >= 0)}
        for i in order:
            if wanted[i] > 0 and not stays[i] and beside[i] < 0:
                size, asked = float(wanted[i]), float(view.gpus[i])
                self._start(engine, int(view.jobs[i]), size, asked, int(model[i]), guest.get(int(i), -1))
        self.company.seat(engine, view.jobs, stays, beside, model)
        chosen = view.jobs[wanted > 0]
        self.log.round(view.now_s, chosen[engine.arrays["jobs"]["state"][chosen] != RUNNING])
        self._last_s = view.now_s
        again = decision.again_s
        self._next_s = again if again is not None and again > view.now_s else view.now_s + self.round_s
        engine.root["round_at"] = np.inf if self._patience.is_over(engine) else self._next_s

    def _start(self, engine: Engine, job: int, gpus: float, asked: float, model: int, guest: int = -1) -> None:
        kind = self.classes.of(engine, job, model, None if gpus == asked else round(gpus))
        size = self.speeds.scaling.relative(job, gpus) if gpus != asked else 1.0
        if guest < 0:
            rate = size * self.speeds.relative(job, model)
        else:
            rate = self.speeds.relative_beside(job, guest, model)
        engine.arrays["jobs"]["rate"][job] = rate
        while True:
            answer = loop.launch(engine.root, job, kind)
            if answer >= 0:
                break
            engine.grow()
        self._held[job] = gpus if answer else 0.0
        if answer:
            self.speeds.held[job] = model
            self.sizes.append(gpus)
