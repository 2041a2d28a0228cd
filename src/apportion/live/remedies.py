"""The smallest changes that would start a pending job now; each is tried on the live situation before it is told.

Changes are tried from those that cost nobody anything to those that do: less CPU or memory or another GPU model, fewer
GPUs, opening closed nodes or going first, stopping running jobs, more nodes. Of one kind the smallest that works is
told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from apportion.engine.layout import I8
from apportion.live.blocker import Scene
from apportion.live.changes import Add, Ask, Change, First, Open, Stop, kinds_of
from apportion.live.situation import RUNNING
from apportion.live.trial import Trial

GIB, CORE = 1024, 1000
TRIES = 12
"""Sets of jobs to stop, closed nodes, or kinds of nodes that are tried at most."""
MOST_NODES = 64
"""Nodes that are added at most."""


@dataclass(frozen=True)
class Remedy:
    """Changes that together start the job now; `level` and `size` order them, the smallest first.

    level: 0 the job keeps its GPUs, 1 it gets fewer, 2 others wait or a node is opened, 3 others are stopped, 4 nodes
    are added. size: within the level: the share of the request given up, nodes, or jobs (their GPUs as a fraction).
    """

    changes: tuple[Change, ...]
    level: int
    size: float

    def __str__(self) -> str:
        return " and ".join(str(change) for change in self.changes)


def find_remedies(scene: Scene) -> list[Remedy]:
    """Return changes that would start the job now, the smallest first; each was verified.

    Where no single change by the operator helps, each is tried together with going first.
    """
    found = sorted(_all(scene, ()), key=lambda r: (r.level, r.size))
    asked = any(isinstance(remedy.changes[0], Ask) for remedy in found)
    if not any(remedy.level in (2, 3) for remedy in found):
        both = sorted(_all(scene, (First(scene.trial.job_id),)), key=lambda r: (r.level, r.size))
        found += [remedy for remedy in both if not (asked and isinstance(remedy.changes[-1], Ask))]
    return sorted(found, key=lambda r: (r.level, r.size))


def _all(scene: Scene, base: tuple[Change, ...]) -> Iterator[Remedy]:
    trial = scene.trial
    if base and trial.starts(*base):
        return
    level = 2 if base else 0
    for kind, found in (
        (0, _less(scene, base, ("memory_mib",), GIB)),
        (0, _less(scene, base, ("cpu_milli",), CORE)),
        (0, _models(scene, base)),
        (1, _fewer(scene, base)),
        (2, _open(scene, base)),
        (2, _first(scene, base)),
        (3, _stop(scene, base)),
        (4, _add(scene, base)),
    ):
        for changes, size in found:
            yield Remedy((*base, *changes), max(kind, level), size)


Found = Iterator[tuple[tuple[Change, ...], float]]


def _less(scene: Scene, base: tuple[Change, ...], columns: tuple[str, ...], unit: int) -> Found:
    """Less of something: the most with which it starts, in whole units where there are several."""
    asked = int(scene.job[columns[0]])
    step = unit if asked >= 8 * unit else max(asked // 16, 1)
    if not asked:
        return

    def starts(steps: int) -> bool:
        return scene.trial.starts(*base, _ask(scene, {columns[0]: steps * step}))

    most = _most((asked - 1) // step, starts)
    if most is not None and (most or scene.trial.starts(*base, _ask(scene, {columns[0]: 0}))):
        yield (_ask(scene, {columns[0]: most * step}),), 1 - most * step / asked


def _models(scene: Scene, base: tuple[Change, ...]) -> Found:
    allowed = list(scene.job["gpu_models"])
    if not allowed:
        return
    models = scene.situation.cluster.table["gpu_model"].drop_nulls().unique(maintain_order=True).to_list()
    for model in [m for m in models if m not in allowed][:TRIES]:
        change = _ask(scene, {"gpu_models": [*allowed, model]})
        if scene.trial.starts(*base, change):
            yield (change,), 0.5
            return


def _fewer(scene: Scene, base: tuple[Change, ...]) -> Found:
    """Fewer tasks, fewer GPUs a task, or a smaller share of one."""
    for column, unit in (("tasks", 1), ("gpus", 1), ("gpu_milli", 50)):
        asked = int(scene.job[column])
        if column != "tasks" and not scene.task["gpus"]:
            continue
        if column == "gpu_milli" and asked == 1000:
            continue  # sharing a device is another way to work, not less of the same

        def starts(steps: int, column: str = column, unit: int = unit) -> bool:
            return steps > 0 and scene.trial.starts(*base, _ask(scene, {column: steps * unit}))

        top = (asked - 1) // unit
        if top <= TRIES:
            most = next((steps for steps in range(top, 0, -1) if starts(steps)), None)
        else:
            most = _most(top, starts, least=1)
        if most:
            yield (_ask(scene, {column: most * unit}),), 1 - most * unit / asked


def _open(scene: Scene, base: tuple[Change, ...]) -> Found:
    usable = set(scene.node_names(scene.usable()))
    closed = sorted(scene.situation.closed & usable)
    for node in closed[:TRIES]:
        if scene.trial.starts(*base, Open((node,))):
            yield (Open((node,)),), 1.0
            return
    if len(closed) > 1:
        best = _pruned(closed, lambda nodes: scene.trial.starts(*base, Open(tuple(nodes))))
        if best:
            yield (Open(tuple(best)),), float(len(best))


def _first(scene: Scene, base: tuple[Change, ...]) -> Found:
    if not base and scene.trial.starts(First(scene.trial.job_id)):
        yield (First(scene.trial.job_id),), 0.5


def _stop(scene: Scene, base: tuple[Change, ...]) -> Found:
    """The fewest running jobs, of equals those that hold the fewest GPUs and have run the shortest."""
    jobs = _runs(scene)
    for chosen in _room_makers(scene, jobs)[:TRIES]:
        if scene.trial.starts(*base, Stop(tuple(chosen))):
            best = _pruned(chosen, lambda ids: scene.trial.starts(*base, Stop(tuple(ids)))) if chosen[1:] else chosen
            held = sum(jobs[job]["gpus"] for job in best)
            yield (Stop(tuple(best)),), len(best) + held / (1 + scene.situation.cluster.gpus)
            return


def _add(scene: Scene, base: tuple[Change, ...]) -> Found:
    best: tuple[tuple[Change, ...], float] | None = None
    for kind in kinds_of(scene.situation.cluster)[:TRIES]:
        kind = {name: value for name, value in kind.items() if name != "nodes"}

        def starts(count: int, kind: dict[str, Any] = kind) -> bool:
            return scene.trial.starts(*base, Add(kind, count))

        count = _least(min(max(int(scene.kind["pieces"]), 1), MOST_NODES), starts)
        if count is None:
            continue
        size = count * (kind["price_usd_per_h"] or max(kind["gpus"], 1))
        if best is None or size < best[1]:
            best = (Add(kind, count),), float(size)
    if best is not None:
        yield best


def _ask(scene: Scene, columns: dict[str, Any]) -> Ask:
    return Ask(scene.trial.job_id, columns)


def _most(top: int, starts: Callable[[int], bool], least: int = 0) -> int | None:
    """Return the largest number up to `top` with which it starts, if that of `least` does."""
    if top < least or not starts(least):
        return None
    if starts(top):
        return top
    low, high = least, top
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if starts(middle) else (low, middle)
    return low


def _least(top: int, starts: Callable[[int], bool]) -> int | None:
    """Return the smallest number up to `top` with which it starts, if that of `top` does."""
    if not starts(top):
        return None
    low, high = 0, top
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if starts(middle) else (middle, high)
    return high


def _pruned(items: Sequence[str], starts: Callable[[Sequence[str]], bool]) -> list[str]:
    """Return a part of the items with which it still starts and of which none can be left out; none if all do not."""
    kept = list(items)
    if not starts(kept):
        return []
    for item in list(items):
        fewer = [other for other in kept if other != item]
        if fewer and starts(fewer):
            kept = fewer
    return kept


def _runs(scene: Scene) -> dict[str, dict[str, Any]]:
    """Return the running jobs: what each holds in all, and since when."""
    table = scene.situation.jobs
    rows = np.flatnonzero((table["state"] == RUNNING).to_numpy())
    gpus = scene.encoded.milli[rows] / 1000
    names, since = table["job_id"].gather(rows), table["started_s"].gather(rows)
    return {job: {"gpus": g, "since": s} for job, g, s in zip(names, gpus.tolist(), since)}


def _room_makers(scene: Scene, jobs: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Return sets of jobs that would make room if they stopped, the fewest and smallest first, as far as sums tell."""
    pieces = int(scene.kind["pieces"])
    tenants = _tenants(scene)
    table = scene.nodes
    need = {
        "free_milli": int(scene.task["gpus"] * scene.task["milli"]),
        "free_cpu": int(scene.task["cpu"]),
        "free_memory": int(scene.task["memory"]),
    }

    def cost(ids: Sequence[str]) -> tuple[float, ...]:
        return len(ids), sum(jobs[i]["gpus"] for i in ids), -min((jobs[i]["since"] for i in ids), default=0.0)

    per_node: list[tuple[list[str], int]] = []
    for node in scene.usable():
        record = table[node]
        if not record["up"]:
            continue
        free = {field: int(record[field]) for field in need}
        here = tenants.get(int(node), [])
        for count in range(1, pieces + 1):
            goal = {field: count * amount - free[field] for field, amount in need.items()}
            chosen = _cover(here, goal)
            if chosen is None:
                break
            per_node.append((chosen, int(node)))
    if pieces == 1:
        sets = [chosen for chosen, _ in per_node if chosen]
        return sorted({tuple(sorted(ids)): ids for ids in sets}.values(), key=cost)
    picked: set[str] = set()
    room: dict[int, int] = {}
    sets = []
    for chosen, node in sorted(per_node, key=lambda item: cost(item[0])):
        if scene.kind["apart"] and node in room:
            continue
        room[node] = room.get(node, 0) + 1
        picked.update(chosen)
        if sum(room.values()) >= pieces:
            sets.append(sorted(picked, key=lambda i: jobs[i]["gpus"]))
            break
    return [ids for ids in sets if ids]


def _tenants(scene: Scene) -> dict[int, list[tuple[str, dict[str, int]]]]:
    """Return, by node, the jobs that run there and what they hold there, the smallest first."""
    table = scene.situation.jobs
    row_of = {job: i for i, job in enumerate(table["job_id"])}
    node_of = {name: i for i, name in enumerate(scene.situation.cluster.table["node"])}
    out: dict[int, dict[str, dict[str, int]]] = {}
    piece: dict[str, int] = {}
    for job, node in scene.situation.places.select("job_id", "node").iter_rows():
        kind = scene.encoded.kinds[scene.encoded.kind[row_of[job]]]
        number = piece[job] = piece.get(job, -1) + 1
        task = scene.encoded.tasks[kind["shape"] if number < kind["count"] else kind["rest"]]
        held = out.setdefault(node_of[node], {}).setdefault(job, {"free_milli": 0, "free_cpu": 0, "free_memory": 0})
        held["free_milli"] += int(task["gpus"] * task["milli"])
        held["free_cpu"] += int(task["cpu"])
        held["free_memory"] += int(task["memory"])
    return {node: sorted(held.items(), key=lambda item: item[1]["free_milli"]) for node, held in out.items()}


def _cover(here: list[tuple[str, dict[str, int]]], goal: dict[str, int]) -> list[str] | None:
    """Return the fewest jobs of a node whose amounts reach the goal (a greedy choice), or None."""
    left = {field: amount for field, amount in goal.items() if amount > 0}
    if not left:
        return []
    for job, held in here:  # one that does it alone, the smallest
        if all(held[field] >= amount for field, amount in left.items()):
            return [job]
    chosen: list[str] = []
    rest = list(here)
    while left and rest:
        best = max(rest, key=lambda item: sum(min(item[1][f], a) / a for f, a in left.items()))
        rest.remove(best)
        gain = {field: amount - best[1][field] for field, amount in left.items()}
        if gain == left:
            continue
        chosen.append(best[0])
        left = {field: amount for field, amount in gain.items() if amount > 0}
    return None if left else chosen


def relevant(scene: Scene, most: int) -> pl.DataFrame:
    """Return the running jobs that hold most GPUs on nodes the job may use.

    Columns: `job_id, user, gpus, since_s, until_s` (expected end), most GPUs first, of equals the soonest end.
    """
    usable: I8 = scene.usable()
    on = set(scene.node_names(usable))
    held: dict[str, float] = {}
    for node, tenants in _tenants(scene).items():
        if scene.situation.cluster.table["node"][node] in on:
            for job, amount in tenants:
                held[job] = held.get(job, 0.0) + amount["free_milli"] / 1000
    table = scene.situation.jobs.filter(pl.col("state") == RUNNING)
    frame = table.select(
        "job_id",
        "user",
        gpus=pl.Series([held.get(job, 0.0) for job in table["job_id"]], dtype=pl.Float64),
        since_s="started_s",
        until_s=pl.col("started_s") + pl.col("duration_s") - pl.col("attained_s"),
    )
    return frame.filter(pl.col("gpus") > 0).sort("gpus", "until_s", descending=[True, False]).head(most)


__all__ = ["Remedy", "Trial", "find_remedies", "relevant"]
