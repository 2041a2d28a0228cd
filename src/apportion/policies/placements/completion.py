"""Completion: the node whose free GPU keeps the most value for the tasks still to come.

This package's own placement. FGD asks what a typical task could not use on a node now; this asks what a node's holes
will be filled with. A device with h free has the value v(h) = sum over classes i of q_i (s_i - l c_i / n_i + v(h -
s_i)), best classes first: s_i what the class takes of the device, c_i its CPU, n_i its devices, l the price of CPU. The
waiting is limited: q_i is at most rho x its frequency among tasks with GPUs (on an idle device, r x its share of GPU
demand), and all q_i add up to at most 1; so a hole that only a rare task fills is worth little. A node is worth V(n) =
min over prices l of (l x free CPU + sum of v(h_d)), times 1 + psi (pressure - 1) for its GPU model, and points(n) =
V(after) - V(before) in whole milli-GPU, most first, ties by `ties`. v is computed once, before the run; rho is chosen
then as well, by filling a row of bare devices with random draws from the typical tasks.

Example: `apportion simulate synthetic:philly?jobs=2000 --policy fifo+completion`
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apportion.engine.fit import shares_one
from apportion.engine.jit import entry, inner
from apportion.engine.layout import F8, I8, Records
from apportion.engine.plan import PlacementPlan, device_kernel, score_kernel
from apportion.engine.world import tables
from apportion.policies.parameters import at_least, one_of
from apportion.policies.ties import NAME, TIES, tied

STEP = 10
"""Milli-GPU of one step of the value table."""
FULL = 1000 // STEP
PRICES = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0)
"""Prices of CPU, in GPUs per (mean CPU that the typical tasks ask for beside a GPU)."""
PATIENCE = (6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 32, 36, 40)
"""Values of rho that are tried."""
CLOSE_PCT = 0.03
"""Of values of rho whose outcomes differ by less than this the smallest is taken."""
STREAMS, MOST_DEVICES = 12, 6000
"""Random draws of tasks for the choice of rho, and the longest row of devices filled with them."""


@inner
def _expected(sizes, worth, most, h, values):
    """Return the value of a hole of h steps, classes in descending worth, each up to `most`; `values`: of holes < h."""
    gain = np.empty(sizes.size)
    for i in range(sizes.size):
        gain[i] = worth[i] + values[h - sizes[i]] if sizes[i] <= h else -1.0
    left = 1.0
    total = 0.0
    for i in np.argsort(-gain):
        if gain[i] <= 0 or left <= 0:
            break
        q = min(most[i], left)
        total += q * gain[i]
        left -= q
    return total


@entry
def value_table(sizes, gpus, cpu, frequency, demand, prices, rho, r):
    """Return v, f8[prices, FULL + 1], in milli-GPU.

    sizes, gpus: i8[classes], steps of one device and devices; cpu: f8[classes], milli-cores; frequency, demand:
    f8[classes], shares of the tasks and of the GPU demand; prices: f8, milli-GPU per milli-core.
    """
    v = np.zeros((prices.size, FULL + 1))
    some = np.flatnonzero(gpus == 1)
    for p in range(prices.size):
        worth = sizes * STEP - prices[p] * cpu / gpus
        for h in range(1, FULL):
            v[p, h] = _expected(sizes[some], worth[some], rho * frequency[some], h, v[p])
        v[p, FULL] = _expected(sizes, worth, r * demand, FULL, v[p])
    return v


@entry
def _fill_devices(devices, draws, v):
    """Return the share of a row of devices that is left over when the drawn sizes are placed by value alone."""
    count = np.zeros(FULL + 1, np.int64)
    count[FULL] = devices
    used = 0
    for s in draws:
        best = -1
        most = -np.inf
        for h in range(s, FULL + 1):
            if count[h] > 0 and v[h - s] - v[h] > most + 1e-9:
                best, most = h, v[h - s] - v[h]
        if best >= 0:
            count[best] -= 1
            count[best - s] += 1
            used += s
    return 1 - used / (FULL * devices)


@inner
def _value(w, node, free_cpu, device, taken, idle_taken):
    """Return V of a node with so much CPU free, `taken` steps less on a device, or so many idle devices less."""
    table = tables(w)
    prices = np.int64(table[0])
    row = 1 + prices + (node.model + 1) * prices * (FULL + 1)
    best = np.inf
    for p in range(prices):
        v = row + p * (FULL + 1)
        value = table[1 + p] * free_cpu
        left = idle_taken
        if node.pooled:
            steps = (node.free_milli - taken * STEP) // STEP - idle_taken * FULL
            value += (steps // FULL) * table[v + FULL] + table[v + steps % FULL]
        else:
            for d in range(node.gpus):
                h = node.free[d] // STEP
                if d == device:
                    h = (node.free[d] - taken) // STEP
                elif left > 0 and node.free[d] == 1000:
                    left -= 1
                    h = 0
                value += table[v + h]
        best = min(best, value)
    return best


@inner
def _best(w, node, task):
    """Return the best device (-1 = no choice) and the value it keeps, in milli-GPU."""
    cpu = node.free_cpu - task.cpu
    if not shares_one(node, task):
        whole = task.gpus if task.milli == 1000 else 0
        if node.pooled:
            return -1, _value(w, node, cpu, -1, task.gpus * task.milli // STEP, 0)
        return -1, _value(w, node, cpu, -1, 0, whole)
    best = -1
    most = -np.inf
    for d in range(node.gpus):
        if node.free[d] < task.milli:
            continue
        value = _value(w, node, cpu, d, task.milli, 0)
        if best < 0 or value > most + 1e-6 or (value > most - 1e-6 and node.free[d] < node.free[best]):
            best, most = d, value
    return best, most


@score_kernel
def completion(w, node, task):
    """Return the value lost, in whole milli-GPU."""
    return np.rint(_value(w, node, node.free_cpu, -1, 0, 0) - _best(w, node, task)[1])


@device_kernel
def completion_device(w, node, task):
    """Return the device that keeps the most value, of equal ones the fullest."""
    return _best(w, node, task)[0]


@dataclass(frozen=True)
class Completion:
    """The node whose free GPU keeps the most value; see the module's text.

    Parameters
    ----------
    rho: how many times its frequency a task is waited for; 0 = chosen beforehand. r: the same on an idle device, as a
        multiple of the task's share of GPU demand. psi: weight of the pressure on a GPU model.
    ties: name, random or best-fit.
    """

    rho: float = 0.0
    r: float = 3.0
    psi: float = 0.1
    ties: str = NAME

    def __post_init__(self) -> None:
        for name in ("rho", "r", "psi"):
            at_least("completion", name, getattr(self, name), 0)
        one_of("completion", "ties", self.ties, TIES)

    def plan(self) -> PlacementPlan:
        """Return the plan."""
        return tied(PlacementPlan(completion, completion_device, popularity=1.0, tables=self._tables), self.ties)

    def _tables(self, nodes: Records, targets: Records) -> F8:
        """Return (number of prices, the prices, v by GPU model; the first model is that of nodes without one)."""
        asked = targets[targets["milli"] > 0]
        sizes = -(-asked["milli"] // STEP)
        gpus, cpu = asked["gpus"], asked["cpu"].astype(float)
        share = asked["share"] / max(asked["share"].sum(), 1e-12)
        demand = share * asked["milli"] * gpus
        cpu_per_gpu = (cpu * share).sum() / max(demand.sum() / 1000, 1e-12)
        prices = np.array(PRICES) * (1000 / cpu_per_gpu) if cpu_per_gpu > 0 else np.zeros(1)
        models = int(nodes["model"].max(initial=-1)) + 1
        if not asked.size:  # no task asks for a GPU, so none is worth anything
            return np.concatenate([[1.0], np.zeros(1 + (models + 1) * (FULL + 1))])
        rho = self.rho or _chosen_rho(sizes, gpus, share, int(nodes["gpus"].sum()))
        out = np.zeros((models + 1, prices.size, FULL + 1))
        for model in range(-1, models):
            named = (asked["models"] >> max(model, 0)) & 1 == 1 if model >= 0 else np.zeros(asked.size, bool)
            fits = (asked["models"] == 0) | named
            if not fits.any():
                continue
            own = demand[fits] / demand[fits].sum()
            v = value_table(sizes[fits], gpus[fits], cpu[fits], share[fits], own, prices, rho, self.r)
            if v[0, FULL] > 0:
                v[:, FULL] *= 1000 / v[0, FULL]  # an idle device is worth what it is when CPU is free
            out[model + 1] = v
        out *= 1 + self.psi * (_pressure(nodes, asked, demand) - 1)[:, None, None]
        return np.concatenate([[prices.size], prices, out.ravel()])


def _pressure(nodes: Records, asked: Records, demand: F8) -> F8:
    """Return, by GPU model (first: none given), the demand that may use it over the GPUs it may use, least = 1."""
    models = int(nodes["model"].max(initial=-1)) + 1
    capacity = np.array([nodes["gpus"][nodes["model"] == model].sum() for model in range(-1, models)], float)
    out = np.zeros(models + 1)
    for task, amount in zip(asked, demand, strict=True):
        bits = [model >= 0 and (int(task["models"]) >> model) & 1 == 1 for model in range(-1, models)]
        usable = np.ones(models + 1, bool) if task["models"] == 0 else np.array(bits)
        if capacity[usable].sum() > 0:
            out[usable] += amount / capacity[usable].sum()
    there = (capacity > 0) & (out > 0)
    if not there.any():
        return np.ones(models + 1)
    return np.where(there, out / out[there].min(), 1.0)


def _chosen_rho(sizes: I8, gpus: I8, share: F8, devices: int) -> float:
    """Return the smallest rho that leaves nearly the least over on a row of bare devices filled with random tasks."""
    devices = min(max(devices, 1), MOST_DEVICES)
    distinct, position = np.unique(sizes, return_inverse=True)
    frequency = np.bincount(position, share)
    mean = float((sizes * gpus * share).sum())
    random = np.random.default_rng(0)
    streams = []
    for _ in range(STREAMS):
        drawn = random.choice(sizes.size, int(devices * FULL / mean * 1.2) + 50, p=share / share.sum())
        pieces = np.repeat(sizes[drawn], gpus[drawn])
        streams.append(pieces[: int(np.searchsorted(np.cumsum(pieces), devices * FULL))])
    one, nothing, free = np.ones(distinct.size, np.int64), np.zeros(distinct.size), np.zeros(1)
    left = []
    for rho in PATIENCE:
        v = value_table(distinct, one, nothing, frequency, frequency, free, float(rho), float(rho))[0]
        v[FULL] = 1000
        left.append(100 * np.mean([_fill_devices(devices, stream, v) for stream in streams]))
    close = np.flatnonzero(np.array(left) <= min(left) + CLOSE_PCT)
    return float(PATIENCE[int(close[0])])
