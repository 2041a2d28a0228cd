"""Nodes switched off while nobody needs them, inside a simulation, and the energy that the cluster then uses.

Helios' Cluster Energy Saving (Hu et al., SC 2021, section 4.3.3) on a cluster that reacts: what waits for a node that
is off is use, too; a node that is switched on takes time to come up; only nodes on which nothing runs are switched off.
The forecast knows nothing of what lies ahead (`apportion.predict.nodes`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import polars as pl

from apportion.energy.power_off import PUBLISHED, STEP_S, Control, Saving
from apportion.energy.watts import node_watts
from apportion.engine.layout import F8, PENDING
from apportion.engine.run import Engine
from apportion.model.cluster import Cluster
from apportion.model.errors import InputError
from apportion.model.signal import NodeEvents
from apportion.policies.parameters import build
from apportion.predict.nodes import DAY, Forecast

BOOL = npt.NDArray[np.bool_]
_SPEC = re.compile(r"(?P<name>[a-z-]+)(\[(?P<given>[^\]]*)\])?")


@dataclass(frozen=True)
class PowerOff:
    """When nodes are switched off and on.

    Parameters
    ----------
    like: cluster whose published settings are used. buffer: nodes kept on beyond those in use; default: the same share
    of the nodes as published. boot_s: seconds until a node that is switched on takes jobs, in which it draws what an
    idle one does. off_w: watts of a node that is off (its management controller). retrain_s: seconds between two
    fits of the forecast; `forecast=stay` assumes that use stays as it is. never: nothing is switched off, energy is
    only counted. check_s: how often is looked whether jobs wait for nodes that are off.
    """

    like: str = "philly"
    buffer: int = -1
    boot_s: float = 300.0
    off_w: float = 10.0
    forecast: str = "trees"
    retrain_s: float = 86_400.0
    never: bool = False
    check_s: float = 60.0

    def __post_init__(self) -> None:
        for name, value, choices in (
            ("like", self.like, tuple(PUBLISHED)),
            ("forecast", self.forecast, ("trees", "stay")),
        ):
            if value not in choices:
                raise InputError(f"power-off: found {name}={value}, expected {', '.join(choices)}")
        if not (self.boot_s >= 0 and self.off_w >= 0 and self.check_s > 0 and self.retrain_s >= STEP_S):
            raise InputError("power-off: expected boot and off_w of at least 0, check above 0, retrain of at least 10m")

    def saving(self, nodes: int) -> Saving:
        """Return the settings for a cluster of so many nodes."""
        published = PUBLISHED[self.like]
        share = published.buffer / PUBLISHED_NODES[self.like]
        return replace(published, buffer=self.buffer if self.buffer >= 0 else max(round(share * nodes), 1))


PUBLISHED_NODES = {"venus": 133, "earth": 143, "saturn": 262, "uranus": 264, "philly": 420}
"""Nodes of the clusters that the settings were published for."""


def parse_power_off(text: str) -> PowerOff:
    """Return what `never`, `ces` or `ces[buffer=5,boot=5m]` says.

    Raises
    ------
    InputError, PolicyError: it says something else.
    """
    if text.strip() == "never":
        return PowerOff(never=True)
    match = _SPEC.fullmatch(text.strip())
    if match is None or match["name"] != "ces":
        raise InputError(f"found --power-off {text!r}, expected never, ces, or with parameters ces[buffer=5,boot=5m]")
    pairs = [part.partition("=") for part in (match["given"] or "").split(",") if part.strip()]
    return build(PowerOff, "ces", {key.strip(): value.strip() for key, _, value in pairs})


@dataclass
class Switch:
    """Watches a run and switches its nodes; remembers when each was off.

    Parameters
    ----------
    how: the settings. nodes: how many there are. gpus: f8[nodes]. origin: calendar time of second 0.
    """

    how: PowerOff
    gpus: F8
    origin: datetime
    start_s: float
    next_s: float = field(init=False)
    hopeful: bool = True
    off: list[tuple[int, float, float]] = field(default_factory=list, init=False)
    """Node, and from when to when it was off."""
    _closed: list[tuple[float, int, bool]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        count = self.gpus.size
        self.control = Control(self.how.saving(count))
        self.next_s = self.start_s + STEP_S
        self._step_at = self.start_s + STEP_S
        self._fit_at = self.start_s + 2 * DAY * STEP_S
        self._booting: dict[int, float] = {}
        self._off_since: dict[int, float] = {}
        self._most = 0
        self._use: list[float] = []
        self._forecast = Forecast(2 * self.control.saving.future)

    def look(self, engine: Engine) -> None:
        """Bring up what has booted, wake nodes that jobs wait for, and every ten minutes decide how many are on."""
        now = engine.number("now")
        for node in [node for node, at in self._booting.items() if at <= now]:
            del self._booting[node]
            self._closed.append((now, node, True))
            engine.switch(node, True)
        nodes = engine.arrays["nodes"]
        busy = nodes["tasks"] > 0
        lacking = self._lacking(engine)
        self._most = max(self._most, min(int(busy.sum()) + lacking, self.gpus.size))
        # what waits did not fit on the nodes that are on; those coming up are on their way for it
        self._wake(lacking - len(self._booting), now)
        if now >= self._step_at:
            self._decide(engine, now, busy)
        due = [self._step_at, *self._booting.values()]
        if self._off_since:
            due.append(now + self.how.check_s)
        self.next_s = min(due)
        waiting = int(engine.number("pending")) > 0
        self.hopeful = bool(self._booting) or (waiting and bool(self._off_since))

    def _on(self) -> int:
        """Return how many nodes are on or coming up."""
        return self.gpus.size - len(self._off_since)

    def _lacking(self, engine: Engine) -> int:
        """Return how many nodes the waiting jobs would fill."""
        arrived = int(engine.number("arrived"))
        if not int(engine.number("pending")) or not self._off_since:
            return 0
        jobs = engine.arrays["jobs"][:arrived]
        kinds = engine.arrays["kinds"]
        asked = kinds["milli"][jobs["kind"][jobs["state"] == PENDING]].sum() / 1000
        return max(int(np.ceil(asked / max(float(self.gpus.mean()), 1.0))), 1)

    def _decide(self, engine: Engine, now: float, busy: BOOL) -> None:
        used = self._most
        near, far = self._expected(used, now)
        history = self.control.saving.history
        recent = float(np.mean(self._use[-history:])) if self._use else float(used)
        self.control.on = self._on()
        wanted = min(self.control.step(used, self.gpus.size, recent, near, far), self.gpus.size)
        self._use.append(float(used))
        self._most = 0
        self._step_at += STEP_S
        if wanted > self._on():
            self._wake(wanted - self._on(), now)
        elif wanted < self._on() and not int(engine.number("pending")):
            self._sleep(engine, self._on() - wanted, now, busy)

    def _expected(self, used: int, now: float) -> tuple[float, float]:
        if self.how.forecast == "stay":
            return float(used), float(used)
        past = np.array([*self._use, float(used)])
        start = self.origin + timedelta(seconds=self._step_at - (past.size - 1) * STEP_S)
        if now >= self._fit_at:
            self._forecast.fit(past, start)
            self._fit_at = now + self.how.retrain_s
        ahead = self._forecast.ahead(past, start)
        future = self.control.saving.future
        return float(ahead[:future].mean()), float(ahead.mean())

    def _wake(self, count: int, now: float) -> None:
        for node in sorted(self._off_since, key=lambda n: -self.gpus[n])[: max(count, 0)]:
            self.off.append((node, self._off_since.pop(node), now))
            self._booting[node] = now + self.how.boot_s

    def _sleep(self, engine: Engine, count: int, now: float, busy: BOOL) -> None:
        up = engine.arrays["nodes"]["up"] == 1
        idle = np.flatnonzero(up & ~busy)
        # the last ones of the table: placements without a preference begin at the first
        for node in idle[::-1][:count]:
            engine.switch(int(node), False)
            self._off_since[int(node)] = now
            self._closed.append((now, int(node), False))

    def events(self, names: tuple[str, ...]) -> NodeEvents:
        """Return when which node stopped and began to take jobs."""
        times = np.array([at for at, _, _ in self._closed])
        up = np.array([opened for _, _, opened in self._closed], dtype=bool)
        return NodeEvents(times, tuple(names[node] for _, node, _ in self._closed), up)

    def intervals(self, end_s: float) -> list[tuple[int, float, float]]:
        """Return when which node was off, up to the end of the run."""
        still = [(node, since, end_s) for node, since in self._off_since.items() if since < end_s]
        return [*self.off, *still]


def switch_for(how: PowerOff, cluster: Cluster, submit_s: F8, origin: datetime | None) -> Switch:
    """Return the watcher of a run.

    Raises
    ------
    InputError: the cluster is a pool, which has no nodes to switch off.
    """
    if bool(cluster.table["pooled"].any()):
        raise InputError("--power-off: found a pool of GPUs, expected nodes that can be switched off")
    start = float(submit_s.min()) if submit_s.size else 0.0
    return Switch(
        how, cluster.table["gpus"].to_numpy().astype(float), origin or datetime(2000, 1, 3, tzinfo=UTC), start
    )


def energy(
    cluster: Cluster, placements: pl.DataFrame, start_s: float, end_s: float, off: list[tuple[int, float, float]],
    off_w: float = 0.0,
) -> dict[str, float]:  # fmt: skip
    """Return the energy from `start_s` to `end_s`: `energy_kwh`, and what of it nodes drew without running anything.

    placements: `node, start_s, end_s, gpus`. off: nodes and from when to when they were off.
    """
    idle_w, device_w = node_watts(cluster.table)
    span = max(end_s - start_s, 0.0)
    ends = placements["end_s"].fill_null(end_s).to_numpy().clip(max=end_s)
    held = (ends - placements["start_s"].to_numpy()).clip(min=0) * placements["gpus"].to_numpy()
    running = float((held * device_w[placements["node"].to_numpy()]).sum())
    dark = np.zeros(idle_w.size)
    for node, since, until in off:
        dark[node] += max(min(until, end_s) - max(since, start_s), 0.0)
    base = float((idle_w * (span - dark)).sum() + off_w * dark.sum())
    return {
        "energy_kwh": (base + running) / 3.6e6,
        "nodes_off_mean": float(dark.sum() / span) if span else 0.0,
        "saved_kwh": float(((idle_w - off_w) * dark).sum()) / 3.6e6,
    }
