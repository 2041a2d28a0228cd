"""What kept a job waiting, in plain words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apportion.engine import replay as seen
from apportion.engine.layout import KEY_PREEMPTIVE, KEY_SHARE, Records
from apportion.engine.rules import get_rules
from apportion.model.units import format_duration
from apportion.policies.protocol import Allocator
from apportion.study.why_state import Finished

CAUSES = {
    "capacity": "too few GPUs were free",
    "fragmentation": "enough GPUs were free, but scattered",
    "cpu": "GPUs were free, but not the CPU cores beside them",
    "memory": "GPUs were free, but not the memory beside them",
    "cpu and memory": "GPUs were free, but not CPU cores and memory beside them",
    "group": "its group's nodes were full, others had room",
    "failure": "nodes were down",
    "order": "it would have fitted, but others stood before it",
    "reservation": "it would have fitted, but would have delayed the first of the queue",
    "preemption": "it would have fitted, but jobs before it had the GPUs planned for them",
    "turn": "it would have fitted, but was not given a turn",
    "clock": "between two moments at which decisions are taken",
    "unknown": "not to be told from the run",
}
"""Every cause, as the summary says it."""

LACKS = {
    seen.CAPACITY: "capacity",
    seen.FRAGMENTATION: "fragmentation",
    seen.CPU: "cpu",
    seen.MEMORY: "memory",
    seen.CPU_AND_MEMORY: "cpu and memory",
    seen.GROUP: "group",
    seen.DOWN: "failure",
}
PREEMPTERS = {"srtf": "with less work left", "las": "that had received less GPU time"}
"""What the jobs that preempt others have in common, by the order's name."""


@dataclass(frozen=True)
class Seen:
    """What an interval of one cause showed: the least and most milli-GPU free, the most places and the best node."""

    least_free: int
    free: int
    places: int
    best: int


class Words:
    """Sentences about one job of a finished run."""

    def __init__(self, run: Finished, job: int) -> None:
        self.run, self.job = run, job
        enc = run.encoded
        self.kind = enc.kinds[enc.kind[job]]
        self.task = enc.tasks[self.kind["shape"]]
        self.open = enc.nodes[run.access(job) == seen.OPEN]
        models = run.result.workload.table["gpu_models"][job].to_list()
        self.model = " or ".join(models) + " " if models else ""
        self.milli = int(self.kind["milli"])
        self.order_name = run.policy.name.partition("+")[0].partition("[")[0]

    def who(self, job: int) -> str:
        """Return a job's id."""
        return str(self.run.result.jobs["job_id"][job])

    def demand(self) -> str:
        """Return what the job asks for: `16 GPUs`, `4 tasks of 8 V100 GPUs each`."""
        row = self.run.result.workload.table.row(self.job, named=True)
        per_task = row["gpus"] * row["gpu_milli"]
        if row["tasks"] == 1 or per_task == 0:
            return gpus(self.milli, self.model)
        return f"{row['tasks']} tasks of {gpus(per_task, self.model)} each"

    def lacking(self, cause: str, what: Seen) -> str:
        """Return why the job did not fit."""
        if cause == "capacity":
            return self._capacity(what)
        if cause == "fragmentation":
            return self._scattered(what)
        if cause == "group":
            return self._group(what)
        if cause == "failure":
            nodes = "1 node it may use was" if what.best == 1 else f"{what.best} of the nodes it may use were"
            return f"{nodes} down, on which it would have fitted"
        return self._beside(cause, what)

    def _capacity(self, what: Seen) -> str:
        if self.milli == 0:
            return "none of the nodes it may use was up"
        least, most = what.least_free, what.free
        if most == 0 and self.milli <= 1000:
            return f"no {self.model}GPU was free"
        if most == 0:
            return f"none of the {gpus(self.milli, self.model)} it needs was free"
        so_many = f"only {most / 1000:g}" if least == most else f"at most {most / 1000:g}"
        return f"{so_many} of the {gpus(self.milli, self.model)} it needs {'was' if most == 1000 else 'were'} free"

    def _scattered(self, what: Seen) -> str:
        size = int(self.task["gpus"])
        up_to = "up to " if what.least_free < what.free else ""
        free = f"{up_to}{gpus(what.free, self.model)} free"
        if self.kind["pieces"] > 1:
            return f"{self._room(what)} of {self._piece()} ({free}, but scattered)"
        if self.task["milli"] < 1000 and size == 1:
            need = f"no {self.model}GPU with {self.task['milli'] / 1000:g} of it free"
            return f"{need} ({free} in all, but at most {what.best / 1000:g} on one)"
        return f"no {self.model}node with {self._piece()} free ({free}, but at most {what.best} on one node)"

    def _piece(self) -> str:
        size, milli = int(self.task["gpus"]), int(self.task["milli"])
        return gpus(size * milli) if milli == 1000 or size == 1 else f"{milli / 1000:g} of {size} GPUs"

    def _room(self, what: Seen) -> str:
        places = f"{what.places:,}" if what.places else "none"
        return f"room for {places} of its {self.kind['pieces']} pieces"

    def _group(self, what: Seen) -> str:
        group = self.run.result.jobs["group"][self.job]
        owned = self.open[self.open["group"] >= 0]
        elsewhere = f"{gpus(what.best)} {'is' if what.best == 1000 else 'are'} free elsewhere"
        shared = self.open.size - owned.size
        nodes = plural(self.open.size, "node")
        whose = f"its group {group} has {nodes}" if not shared else f"group {group} may use {nodes}"
        state = "all busy" if what.free == 0 else f"with at most {gpus(what.free)} free, too few or too scattered"
        if not owned.size:
            whose = f"its group {group} owns no node and {plural(shared, 'node')} {'is' if shared == 1 else 'are'}"
            whose += " open to all"
        return f"{whose}, {state}; {elsewhere}"

    def _beside(self, cause: str, what: Seen) -> str:
        cores, memory = self.task["cpu"] / 1000, int(self.task["memory"])
        need = {"cpu": f"{cores:g} CPU cores", "memory": mib(memory)}.get(cause)
        need = need or f"{cores:g} CPU cores with {mib(memory)}"
        most = mib(what.best) if cause == "memory" else f"{what.best / 1000:g} cores"
        where = f"beside {self._piece()} " if self.task["gpus"] else ""
        detail = self._room(what) if self.kind["pieces"] > 1 else f"at most {most} on one node"
        lead = "GPUs were free, but not" if self.task["gpus"] else "no node had"
        return f"{lead} the {need} it needs {where}({detail})"

    def passed_over(self, cause: str, head: int) -> str:
        """Return why the job did not start although it would have fitted."""
        if cause == "turn":
            assert isinstance(self.run.policy.order, Allocator)
            rules = self.run.result.facts.get("rules")
            every = format_duration(get_rules(rules).round_s if rules else self.run.policy.order.round_s)
            return f"not given a turn by {self.order_name} (it decides every {every})"
        if cause == "preemption":
            return f"it would have fitted, but {self.order_name} had planned its GPUs for jobs {self.preempters()}"
        if cause == "reservation":
            if head < 0:
                return "starting it would have delayed the first of the queue (reservation)"
            return f"starting it would have delayed job {self.who(head)} (reservation)"
        if cause == "order":
            if self.run.order.mode == KEY_SHARE:
                return f"behind the job of a {self._sharer()} that had received no more, in strict order"
            if head < 0:
                return "behind the head of the queue in strict order"
            need = gpus(int(self.run.encoded.milli[head]))
            return f"behind job {self.who(head)} (head of the queue, needs {need}) in strict order"
        if cause == "clock":
            return f"decisions are taken at multiples of {format_duration(self.run.granularity)} only"
        restarts = self.run.result.jobs["restarts"].sum()
        if restarts and self.run.failures is None:
            return "nodes were down (give the failures of the run to see which)"
        return "by the run's log it would have fitted"

    def preempters(self) -> str:
        """Return what the jobs that preempt others have in common."""
        return PREEMPTERS.get(self.order_name, f"that {self.order_name} puts first")

    def interrupted(self, at: float, nodes: list[int]) -> str:
        """Return what ended a run of the job at time `at` on `nodes`."""
        jobs, names = self.run.result.jobs, self.run.result.cluster.table["node"]
        events = self.run.failures
        failed: list[int] = []
        if events is not None:
            now = (self.run.ticks(events.times_s) == at) & ~events.up
            down = {events.nodes[i] for i in np.flatnonzero(now)}
            failed = [n for n in nodes if names[n] in down]
        elif jobs["restarts"][self.job] and not jobs["preemptions"][self.job]:
            failed = nodes
        if failed:
            which = f"node {names[failed[0]]}" if len(failed) == 1 else f"one of {len(failed)} nodes"
            return f"{which} failed while it ran; it had to start again"
        if events is None and jobs["restarts"][self.job]:
            return "it was preempted, or a node failed while it ran"
        if isinstance(self.run.policy.order, Allocator):
            return f"suspended by {self.order_name}"
        return f"preempted by jobs {self.preempters()}"

    def received(self, at: float) -> str | None:
        """Return, for an order that shares, what its user or group had received by then, and how many less."""
        order = self.run.order
        if order.mode != KEY_SHARE:
            return None
        served = self.run.served(at)
        waiting = np.unique(order.share[self.run.waiting(at)])
        mine = int(order.share[self.job])
        less = int((served[waiting] < served[mine]).sum())
        what = self._sharer()
        name = (self.run.encoded.users if what == "user" else self.run.encoded.groups)[mine]
        others = f"{plural(less, what)} with waiting jobs less" if less else f"no {what} with waiting jobs less"
        return f"{what} {name} had received {served[mine] / 3600:,.1f} GPU-h by then, {others}"

    def _sharer(self) -> str:
        return "group" if self.run.order.share is self.run.encoded.group else "user"

    def cause(self, code: int) -> str:
        """Return the cause of a step by its code."""
        if code != seen.FITS:
            return LACKS[code]
        if isinstance(self.run.policy.order, Allocator):
            return "turn"
        if self.run.order.mode == KEY_PREEMPTIVE:
            return "preemption"
        return {"easy": "reservation", "strict": "order"}.get(self.run.backfill, "unknown")

    def rejected(self) -> tuple[str, str]:
        """Return why the job can never run here, and the smallest change with which it would."""
        steps = self.run.on_empty(self.job)
        code, free, places, best = (int(v[0]) for v in (steps.code, steps.free, steps.places, steps.best))
        asks = f"asks for {self.demand()}"
        total, pieces = gpus(free, self.model), int(self.kind["pieces"])
        piece = self._with_cpu(self.task)
        more = plural(max(pieces - places, 1), "more node")
        if code == seen.GROUP:
            group = self.run.result.jobs["group"][self.job]
            return (f"{asks}; the nodes its group {group} may use have {total}", "other groups' nodes would do")
        if not self.open.size or (free == 0 and self.milli):
            return (f"{asks}; the cluster has none", f"it would run with {plural(pieces, 'node')} of {piece}")
        if code == seen.CAPACITY:
            missing = gpus(self.milli - free, self.model)
            return (f"{asks}; the nodes it may use have {total}", f"it would run with {missing} more")
        if code == seen.FRAGMENTATION and pieces > 1:
            return (f"{asks}; its nodes take {places} of {pieces} pieces", f"it would run with {more} of {piece}")
        if code == seen.FRAGMENTATION:
            return (f"{asks}; the largest node has {gpus(best * 1000)}", f"it would run with a node of {piece}")
        lack = self.lacking(LACKS.get(code, "cpu"), Seen(free, free, places, best))
        return (
            f"{asks}; {lack.replace('were free, but not', 'are there, but not')}",
            f"it would run with {more} of {piece}",
        )

    def _with_cpu(self, task: Records) -> str:
        row = self.run.result.workload.table.row(self.job, named=True)
        parts = [gpus(int(task["gpus"]) * 1000, self.model)] if row["gpus"] else []
        parts += [f"{task['cpu'] / 1000:g} CPU cores"] if task["cpu"] else []
        parts += [mib(int(task["memory"]))] if task["memory"] else []
        return " and ".join(([", ".join(parts[:-1])] if parts[:-1] else []) + parts[-1:])


def gpus(milli: int, model: str = "") -> str:
    """Return `1 GPU`, `0.5 GPUs`, `37 V100 GPUs` (`model` ends in a space)."""
    return f"{milli / 1000:,g} {model}GPU{'' if milli == 1000 else 's'}"


def mib(amount: int) -> str:
    """Return `512 MiB`, `96 GiB`."""
    return f"{amount / 1024:.4g} GiB of memory" if amount >= 1024 else f"{amount} MiB of memory"


def plural(count: int, noun: str) -> str:
    """Return `1 node`, `2 nodes`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
