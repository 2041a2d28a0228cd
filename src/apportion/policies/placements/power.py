"""Power: the node whose draw grows least, so that idle devices and sockets stay idle.

Lettich et al., "Power- and fragmentation-aware online scheduling for GPU datacenters" (PWR), CCGrid 2025. A device in
use draws its maximum, another its idle watts (see the hardware catalogue); a CPU is made of sockets of 32 hardware
threads, each 120 W in use and 15 W idle. With D the watts that placing the task adds on node n, points(n) = 100 (1 -
D / D_max), where D_max is what it would add on idle devices of the hungriest model of the cluster: a scale of its own,
where the paper spreads the nodes at hand over 0 to 100. A task that shares a device gets the fullest.

Example: `apportion simulate synthetic:philly?jobs=2000 --policy "fifo+fgd*0.7+power*0.3"`
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.engine.fit import fullest_device, shares_one
from apportion.engine.jit import inner
from apportion.engine.plan import PlacementPlan, score_kernel
from apportion.model.cluster import UNLIMITED
from apportion.policies.parameters import one_of
from apportion.policies.ties import NAME, TIES, tied

SOCKET_MILLI = 32_000
"""Milli-cores (hardware threads) of one socket, as in the paper: Intel Xeon E5-2682 v4."""
SOCKET_W = 120.0 - 15.0
"""What a socket draws in use beyond idle, in watts."""


@inner
def _woken(node, task):
    """Return the devices that the task would wake up."""
    if task.gpus == 0:
        return 0
    if shares_one(node, task):
        return 1 if node.free[fullest_device(node, task, 0)] == 1000 else 0
    if task.milli == 1000 or node.pooled:
        return task.gpus
    return max(0, task.gpus - (node.gpus - node.idle))


@score_kernel
def power(w, node, task):
    """Return minus the points."""
    most = task.gpus * w.widest_w
    added = _woken(node, task) * (node.max_w - node.idle_w)
    if node.cpu < UNLIMITED:
        used = node.cpu - node.free_cpu
        sockets = -(-(used + task.cpu) // SOCKET_MILLI) - -(-used // SOCKET_MILLI)
        added += sockets * SOCKET_W
        most += -(-task.cpu // SOCKET_MILLI) * SOCKET_W
    return -100 * (1 - added / most) if most > 0 else -100.0


@dataclass(frozen=True)
class Power:
    """The node whose draw grows least; see the module's text. `ties`: name, random or best-fit."""

    ties: str = NAME

    def __post_init__(self) -> None:
        one_of("power", "ties", self.ties, TIES)

    def plan(self) -> PlacementPlan:
        """Return the plan."""
        return tied(PlacementPlan(power, points=True), self.ties)
