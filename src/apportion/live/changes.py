"""Changes of a live situation: another request, nodes added, opened or drained, jobs stopped.

A change is data: it is applied to a situation, which gives another one, and says in words what it does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import polars as pl

from apportion.live.lookup import row_of
from apportion.live.situation import PENDING, Situation
from apportion.live.words import cores, gpus, mib, names, plural
from apportion.model.cluster import Cluster
from apportion.model.cluster_spec import parse_cluster
from apportion.model.errors import InputError, did_you_mean
from apportion.model.units import parse_duration


class Change(Protocol):
    """Something that could be otherwise."""

    def apply(self, situation: Situation) -> Situation:
        """Return the situation as it would be.

        Raises
        ------
        InputError: a job or node is not there.
        """
        ...

    def __str__(self) -> str:
        """Return what is done, as an order: `open node n3`."""
        ...


@dataclass(frozen=True)
class Ask:
    """Let a pending job ask for something else; `columns` are those of a workload."""

    job_id: str
    columns: dict[str, Any]

    def apply(self, situation: Situation) -> Situation:
        """Return the situation with the other request."""
        row = row_of(situation, self.job_id)
        if situation.jobs["state"][row] != PENDING:
            raise InputError(f"job {self.job_id} runs, expected one that waits")
        for name in self.columns:
            if name not in REQUEST:
                raise InputError(f"found {name!r} for job {self.job_id}, which cannot be changed"
                                 f"{did_you_mean(name, REQUEST)}")  # fmt: skip
        at = pl.int_range(pl.len()) == row
        table = situation.jobs
        new = [
            pl.when(at).then(pl.lit(value, dtype=table.schema[name])).otherwise(pl.col(name)).alias(name)
            for name, value in self.columns.items()
        ]
        return replace(situation, jobs=table.with_columns(new))

    def __str__(self) -> str:
        return f"let job {self.job_id} ask for {' and '.join(self._parts())}"

    def _parts(self) -> list[str]:
        out = []
        for name, value in self.columns.items():
            if name == "gpu_models":
                out.append(f"{' or '.join(value)} GPUs" if value else "GPUs of any model")
            elif name == "gpus":
                out.append(gpus(value * 1000) + (" a task" if self.columns.get("tasks", 1) > 1 else ""))
            elif name == "cpu_milli":
                out.append(cores(value))
            elif name == "memory_mib":
                out.append(f"{mib(value)} of memory")
            elif name == "tasks":
                out.append(plural(value, "task"))
            elif name == "gpu_milli":
                out.append(f"{value / 1000:g} of a GPU")
            else:
                out.append(f"{name} {value}")
        return out


REQUEST = ("tasks", "gpus", "gpu_milli", "cpu_milli", "memory_mib", "gpu_models", "apart", "priority", "group", "user",
           "duration_s", "estimate_s")  # fmt: skip
"""What `Ask` may change."""


@dataclass(frozen=True)
class First:
    """Let a pending job go before all others that wait."""

    job_id: str

    def apply(self, situation: Situation) -> Situation:
        """Return the situation in which no other job waits, which is the same for the job that goes first."""
        keep = (pl.col("state") != PENDING) | (pl.col("job_id") == self.job_id)
        return replace(situation, jobs=situation.jobs.filter(keep))

    def __str__(self) -> str:
        return f"let job {self.job_id} go first"


@dataclass(frozen=True)
class Stop:
    """Stop running jobs for good."""

    job_ids: tuple[str, ...]

    def apply(self, situation: Situation) -> Situation:
        """Return the situation without them."""
        for job in self.job_ids:
            row_of(situation, job)
        gone = pl.col("job_id").is_in(list(self.job_ids)) & (pl.col("state") != "ended")
        places = situation.places.filter(~pl.col("job_id").is_in(list(self.job_ids)))
        return replace(situation, jobs=situation.jobs.filter(~gone), places=places)

    def __str__(self) -> str:
        return f"stop {'job' if len(self.job_ids) == 1 else 'jobs'} {names(list(self.job_ids), 5)}"


@dataclass(frozen=True)
class Open:
    """Let closed nodes take jobs again."""

    nodes: tuple[str, ...]

    def apply(self, situation: Situation) -> Situation:
        """Return the situation with these nodes open."""
        _known(situation, self.nodes)
        return replace(situation, closed=situation.closed - set(self.nodes))

    def __str__(self) -> str:
        return f"open {'node' if len(self.nodes) == 1 else 'nodes'} {names(list(self.nodes))}"


@dataclass(frozen=True)
class Drain:
    """Let nodes take no new jobs; what runs there goes on to its end."""

    nodes: tuple[str, ...]

    def apply(self, situation: Situation) -> Situation:
        """Return the situation with these nodes closed."""
        _known(situation, self.nodes)
        return replace(situation, closed=situation.closed | set(self.nodes))

    def __str__(self) -> str:
        return f"drain {'node' if len(self.nodes) == 1 else 'nodes'} {names(list(self.nodes))}"


@dataclass(frozen=True)
class Add:
    """Add nodes: `count` copies of a node kind, a row of a cluster's table."""

    kind: dict[str, Any] = field(compare=False)
    count: int = 1

    def apply(self, situation: Situation) -> Situation:
        """Return the situation with more nodes, idle and open."""
        return replace(situation, cluster=grown(situation.cluster, self.kind, self.count))

    def __str__(self) -> str:
        return f"add {plural(self.count, 'node')} of {kind_words(self.kind)}"


def grown(cluster: Cluster, kind: dict[str, Any], count: int) -> Cluster:
    """Return the cluster with `count` more nodes of a kind."""
    taken = set(cluster.table["node"])
    fresh = (f"new-{i:04d}" for i in range(count + len(taken)))
    named = [name for name in fresh if name not in taken][:count]
    given = {name: value for name, value in kind.items() if name in cluster.table.columns and name != "node"}
    schema = {name: cluster.table.schema[name] for name in given}
    rows = pl.DataFrame([given] * count, schema=schema).with_columns(node=pl.Series(named, dtype=pl.String))
    return Cluster.of(pl.concat([cluster.table, rows], how="diagonal"), name=cluster.name)


def kind_words(kind: dict[str, Any]) -> str:
    """Return `8 A100 GPUs`, `8 GPUs (group red)`."""
    group = f" (group {kind['group']})" if kind.get("group") else ""
    return gpus(1000 * kind["gpus"], kind.get("gpu_model") or "") + group


def kinds_of(cluster: Cluster) -> list[dict[str, Any]]:
    """Return the distinct kinds of nodes, in the order of their first node, each with `nodes`, how many there are."""
    columns = [name for name in KIND if name in cluster.table.columns]
    distinct = cluster.table.group_by(columns, maintain_order=True).agg(nodes=pl.len())
    return distinct.to_dicts()


KIND = ("gpu_model", "gpus", "gpu_memory_mib", "cpu_milli", "memory_mib", "group", "price_usd_per_h", "pooled")
"""What makes two nodes of one kind."""

_HELP = "+4x8:A100, drain:NODE, drain:rack=NAME, open:NODE, stop:JOB, JOB:gpus=4 or JOB:gpus=4,cpu_milli=8000"
_TEXT = re.compile(r"(drain|open|stop):(.+)")


def parse_change(text: str, situation: Situation) -> Change:
    """Return the change that a text means.

    `+4x8:A100` adds nodes; `drain:NODE` and `open:NODE` also take `rack=`, `gpu_model=` or `group=` with a value, and
    several nodes joined with commas; `stop:JOB`; `JOB:gpus=4,memory_mib=65536` another request.

    Raises
    ------
    InputError: it is none of these, or names what is not there.
    """
    if text.startswith("+"):
        return added(text[1:], situation.cluster)
    match = _TEXT.fullmatch(text)
    if match:
        verb, what = match[1], match[2]
        if verb == "stop":
            jobs = tuple(part.strip() for part in what.split(","))
            for job in jobs:
                row_of(situation, job)
            return Stop(jobs)
        nodes = _nodes(what, situation)
        return Drain(nodes) if verb == "drain" else Open(nodes)
    job, colon, columns = text.rpartition(":")
    if not colon or "=" not in columns:
        raise InputError(f"found change {text!r}, expected {_HELP}")
    row_of(situation, job)
    return Ask(job, dict(_value(part) for part in columns.split(",")))


def added(text: str, cluster: Cluster) -> Add:
    """Return the addition that `4x8:A100` means; CPU, memory and price are those of such nodes in the cluster.

    Raises
    ------
    InputError: it is not one kind of nodes.
    """
    fresh = parse_cluster(text)
    kinds = kinds_of(fresh)
    if len(kinds) != 1:
        raise InputError(f"found {text!r}, expected nodes of one kind such as 4x8:A100")
    kind = kinds[0]
    count = int(kind.pop("nodes"))
    alike = [k for k in kinds_of(cluster) if (k["gpus"], k["gpu_model"]) == (kind["gpus"], kind["gpu_model"])]
    open_ = [k for k in alike if k["group"] is None] or alike
    return Add({name: value for name, value in (open_[0] if open_ else kind).items() if name != "nodes"}, count)


def _nodes(what: str, situation: Situation) -> tuple[str, ...]:
    column, equals, value = what.partition("=")
    table = situation.cluster.table
    if equals:
        if column not in ("rack", "gpu_model", "group", "zone"):
            raise InputError(f"found {what!r}, expected a node, or rack=, gpu_model=, group= or zone= with a value")
        found = tuple(table.filter(pl.col(column) == value)["node"])
        if not found:
            known = [str(name) for name in table[column].drop_nulls().unique()]
            raise InputError(f"no node has {column} {value!r}{did_you_mean(value, known)}")
        return found
    nodes = tuple(part.strip() for part in what.split(","))
    _known(situation, nodes)
    return nodes


def _known(situation: Situation, nodes: Sequence[str]) -> None:
    known = set(situation.cluster.table["node"])
    for name in nodes:
        if name not in known:
            raise InputError(f"found node {name!r}, which the cluster does not have{did_you_mean(name, known)}")


def _value(part: str) -> tuple[str, Any]:
    name, _, text = part.partition("=")
    name = name.strip()
    if name not in REQUEST:
        raise InputError(f"found {name!r}, which a job does not ask for{did_you_mean(name, REQUEST)}")
    if name in ("user", "group"):
        return name, text
    if name == "gpu_models":
        return name, [model for model in text.split("|") if model]
    if name in ("duration_s", "estimate_s"):
        return name, parse_duration(text)
    if name == "apart":
        return name, text.lower() in ("1", "true", "yes")
    if not re.fullmatch(r"-?\d+", text) or (text.startswith("-") and name != "priority"):
        raise InputError(f"found {name} {text!r}, expected a whole number")
    if name == "tasks" and int(text) == 0:
        raise InputError("found tasks 0, expected at least 1")
    return name, int(text)
