"""What fits a node, and taking and giving back its devices."""

from __future__ import annotations

from apportion.engine.jit import inner
from apportion.engine.layout import UNBOUNDED
from apportion.model.cluster import MAX_DEVICES


@inner
def allowed(node, task):
    """Say whether the task may run on this kind of node, however full it is."""
    if task.models != 0 and (node.model < 0 or (task.models >> node.model) & 1 == 0):
        return False
    return task.group == -1 or node.group == -1 or node.group == task.group


@inner
def fits(node, task):
    """Return how many tasks of this shape the node could still take."""
    if node.up == 0 or not allowed(node, task):
        return 0
    n = UNBOUNDED
    if task.cpu > 0:
        n = min(n, node.free_cpu // task.cpu)
    if task.memory > 0:
        n = min(n, node.free_memory // task.memory)
    need = task.gpus * task.milli
    if n == 0 or need == 0:
        return n
    if node.free_milli < need:
        return 0
    if node.pooled:
        return min(n, node.free_milli // need)
    if task.milli == 1000:
        return min(n, node.idle // task.gpus)
    room = 0
    for d in range(node.gpus):
        room += node.free[d] // task.milli
    if task.gpus == 1:
        return min(n, room)
    return min(n, _gangs_of_shares(node, task, room // task.gpus))


@inner
def _gangs_of_shares(node, task, most):
    # t tasks of k distinct devices fit iff the devices, each used by at most t tasks, offer k * t places
    for t in range(most, 0, -1):
        places = 0
        for d in range(node.gpus):
            places += min(node.free[d] // task.milli, t)
        if places >= task.gpus * t:
            return t
    return 0


@inner
def shares_one(node, task):
    """Say whether the task shares one device, so that a device rule has a choice."""
    return task.gpus == 1 and task.milli < 1000 and not node.pooled


@inner
def _greet(node, task, sign):
    if task.gpus > 0:
        node.guests[0 if task.milli < 1000 else min(task.gpus, MAX_DEVICES)] += sign


@inner
def take(node, task, device):
    """Allocate one task; return the bit set of its devices (0 in a pool).

    device: the one a task that shares one gets, -1 = the fullest that has enough.
    """
    node.free_cpu -= task.cpu
    node.free_memory -= task.memory
    node.tasks += 1
    _greet(node, task, 1)
    need = task.gpus * task.milli
    node.free_milli -= need
    if node.pooled or need == 0:
        return 0
    mask = 0
    left = task.gpus
    if task.milli == 1000:
        for d in range(node.gpus):
            if node.free[d] == 1000:
                node.free[d] = 0
                mask |= 1 << d
                left -= 1
                if left == 0:
                    break
        node.idle -= task.gpus
        return mask
    while left > 0:
        d = device if device >= 0 and task.gpus == 1 else fullest_device(node, task, mask)
        if node.free[d] == 1000:
            node.idle -= 1
        node.free[d] -= task.milli
        mask |= 1 << d
        left -= 1
    return mask


@inner
def fullest_device(node, task, used):
    """Return the device with the least free among those with enough, without those in the bit set `used`."""
    best = -1
    for d in range(node.gpus):
        if (used >> d) & 1 == 0 and node.free[d] >= task.milli and (best < 0 or node.free[d] < node.free[best]):
            best = d
    return best


@inner
def give_back(node, task, mask):
    """Undo `take`."""
    node.free_cpu += task.cpu
    node.free_memory += task.memory
    node.tasks -= 1
    _greet(node, task, -1)
    node.free_milli += task.gpus * task.milli
    if task.milli == 0:
        # what only stands beside another has a mask, and nothing to give
        return
    d = 0
    while mask != 0:
        if mask & 1:
            node.free[d] += task.milli
            if node.free[d] == 1000:
                node.idle += 1
        mask >>= 1
        d += 1


@inner
def take_again(node, task, mask):
    """Undo `give_back`: allocate one task on just these devices."""
    node.free_cpu -= task.cpu
    node.free_memory -= task.memory
    node.tasks += 1
    _greet(node, task, 1)
    node.free_milli -= task.gpus * task.milli
    d = 0
    while mask != 0:
        if mask & 1:
            if node.free[d] == 1000:
                node.idle -= 1
            node.free[d] -= task.milli
        mask >>= 1
        d += 1
