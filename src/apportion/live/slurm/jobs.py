"""What `squeue` says of the jobs, as rows of `JOB_COLUMNS`.

Whose a job is shows in where it stands and in a mark that only an operator can set:

| partition | mark | state in Slurm | state here |
|---|---|---|---|
| waiting | | pending | waiting, or blocked (held, a dependency, a begin time, a limit) |
| main | yes | pending | launching; stray when Slurm put it back (begin time) or will not start it (held, a limit) |
| main | yes | running | running |
| main and waiting | | pending | stray |
| main or another | no | pending | not ours: left out |
| main or another | no | running | running and not preemptible: its nodes are taken, by others |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from apportion.live.backend import BLOCKED, ENDED, JOB_COLUMNS, LAUNCHING, RUNNING, STOPPING, STRAY, WAITING
from apportion.live.slurm import values
from apportion.live.slurm.demand import Site, demand_of
from apportion.live.slurm.hostlist import expand
from apportion.live.slurm.names import JOB_ID, SIGNALS, checked

if TYPE_CHECKING:
    from apportion.live.slurm.client import Slurm

MARK = "apportion"
"""Administrator's comment of the jobs that we launched."""

PENALTY_S = 150.0
"""Slurm lets a requeued job begin again no sooner than two minutes later; a longer wait is somebody's wish."""

SOON_S = 5.0
"""A job that was launched and begins within this is on its way; the clocks of Slurm and ours may differ a little."""

OVER = frozenset(["BF", "CA", "CD", "DL", "F", "NF", "OOM", "PR", "RV", "TO"])
PENDING = frozenset(["PD", "RD", "RF", "RH", "RQ", "SE"])
HELD = frozenset(("RD", "RH", "SE"))
BLOCKS = re.compile(
    r"Dependency|JobHeld|JobHold|JobArrayTaskLimit|Bad|Invalid|QOS|Assoc|Account|Max|Partition(?!Down)|Licenses|Resv"
    r"|Reservation|Burst|launch_failed|DeadLine|Prolog|Fed"
)
"""Reasons for which Slurm itself would not start a job wherever it stands."""

WHOLE = (
    "JobArrayID", "Partition", "NumNodes", "tres-alloc", "tres-per-job", "tres-per-node", "tres-per-task",
    "tres-per-socket", "cpus-per-tres", "mem-per-tres", "Feature", "ReqNodes", "NodeList",
)  # fmt: skip
"""Fields that are of no use when cut off."""


def widths_of_jobs() -> dict[str, int]:
    """Return the fields asked for, and how wide at first."""
    return {
        "JobArrayID": 24, "HetJobOffset": 6, "UserName": 32, "Account": 32, "QOS": 24, "Partition": 48,
        "StateCompact": 4, "Reason": 48, "SubmitTime": 14, "EligibleTime": 14, "StartTime": 14, "EndTime": 14,
        "TimeLimit": 16, "NumNodes": 12, "NumCPUs": 12, "NumTasks": 12, "NTPerNode": 10, "MinMemory": 16,
        "tres-alloc": 96, "tres-per-job": 32, "tres-per-node": 32, "tres-per-task": 32, "tres-per-socket": 32,
        "cpus-per-tres": 24, "mem-per-tres": 24, "OverSubscribe": 8, "Requeue": 3, "BatchFlag": 3, "RestartCnt": 8,
        "Nice": 12, "PriorityLong": 12, "Dependency": 24, "Feature": 48, "Reservation": 24, "ReqNodes": 64,
        "NodeList": 64, "admin_comment": 16, "comment": 64, "name": 64,
    }  # fmt: skip


@dataclass
class JobPoll:
    """Asks for all jobs."""

    slurm: Slurm
    widths: dict[str, int] = field(default_factory=widths_of_jobs)

    def rows(self) -> list[dict[str, str]]:
        """Return a row a job (a row a task of an array), in Slurm's words.

        Raises
        ------
        BackendError: Slurm does not answer.
        """
        options = ("-h", "-a", "-r", "-t", "all", "--noconvert")
        return self.slurm.table("squeue", options, self.widths, WHOLE)

    def excluded(self, partition: str) -> dict[str, str]:
        """Return the nodes that pending jobs of a partition want to avoid, for those that do."""
        answer = self.slurm.read("squeue", "-h", "-a", "-r", "-t", "PD", "-p", checked(partition), "-o", "%i %x")
        pairs = (line.split(" ", 1) for line in answer.decode("utf-8", "replace").splitlines())
        return {pair[0]: pair[1].strip() for pair in pairs if len(pair) == 2 and pair[1].strip()}


@dataclass(frozen=True)
class View:
    """How the rows are to be seen.

    Parameters
    ----------
    main, wait: partitions. now_s: seconds since the epoch. site: facts of the nodes. excluded: see `JobPoll`.
    cooling: jobs that Slurm would not start a moment ago, and why.
    """

    main: str
    wait: str
    now_s: float
    site: Site
    excluded: Mapping[str, str] = field(default_factory=dict)
    cooling: Mapping[str, str] = field(default_factory=dict)


def job_frame(rows: Iterable[Mapping[str, str]], view: View) -> pl.DataFrame:
    """Return the jobs that are ours or hold our nodes, as `JOB_COLUMNS`.

    Raises
    ------
    BackendError: a list of nodes is not one.
    """
    out = []
    for row in rows:
        state = row["StateCompact"]
        if state in OVER:
            out.append(_ended(row, view))
        elif state in PENDING:
            out += _pending(row, view)
        else:
            out += _holding(row, view)
    return pl.DataFrame(out, schema=JOB_COLUMNS, orient="row")


def _common(row: Mapping[str, str], view: View, holds: int = 0) -> tuple[dict[str, object], str]:
    """Return what holds of a job in any state, and why no policy can place it."""
    demand = demand_of(row, view.site, holds)
    account = row["Account"]
    return {
        "job_id": row["JobArrayID"],
        "user": row["UserName"],
        "group": "" if account == "(null)" else account,
        "name": row["name"],
        "submit_s": values.moment(row["SubmitTime"]) or 0.0,
        "tasks": demand.tasks,
        "gpus": demand.gpus,
        "gpu_milli": 1000,
        "cpu_milli": demand.cpu_milli,
        "memory_mib": demand.memory_mib,
        "gpu_models": list(demand.gpu_models),
        "apart": demand.tasks > 1,
        "priority": -_nice(row["Nice"]),
        "limit_s": values.limit_s(row["TimeLimit"]),
        "preemptible": row["Requeue"] == "1" and row["BatchFlag"] == "1",
        "why": "",
        "started_s": None,
        "ended_s": None,
        "nodes": [],
        "devices": None,
    }, demand.unfit


def _nice(text: str) -> int:
    value = int(text) if re.fullmatch(r"-?[0-9]{1,10}", text) else 0
    return max(min(value, 2**31 - 1), -(2**31 - 1))


def _ended(row: Mapping[str, str], view: View) -> dict[str, object]:
    common, _ = _common(row, view)
    started, ended = values.moment(row["StartTime"]), values.moment(row["EndTime"])
    if started == ended:
        started = None
    return {**common, "state": ENDED, "why": row["Reason"], "started_s": started, "ended_s": ended}


def _holding(row: Mapping[str, str], view: View) -> list[dict[str, object]]:
    nodes = [node for node in expand(row["NodeList"]) if node in view.site.models]
    ours = row["Partition"] == view.main and row["admin_comment"] == MARK
    completing = row["StateCompact"] == "CG"
    # a job that completes in the waiting partition was requeued, and so was one that has no node left
    leaving = completing and (row["Partition"] == view.wait or (ours and not nodes))
    if not nodes and not ours and not leaving:
        return []
    common, _ = _common(row, view, len(expand(row["NodeList"])))
    return [
        {
            **common,
            "tasks": max(len(nodes), 1),
            "apart": len(nodes) > 1,
            "state": STOPPING if leaving else RUNNING,
            # of a requeued job Slurm says when it was requeued
            "started_s": None if completing else values.moment(row["StartTime"]),
            "preemptible": bool(ours and common["preemptible"] and row["StateCompact"] in ("R", "CF")),
            "nodes": nodes,
        }
    ]


def _pending(row: Mapping[str, str], view: View) -> list[dict[str, object]]:
    partitions = row["Partition"].split(",")
    marked = row["admin_comment"] == MARK
    if view.wait not in partitions and not (marked and view.main in partitions):
        return []
    common, unfit = _common(row, view)
    if partitions == [view.wait]:
        why = _blocked(row, view) or unfit
        return [{**common, "state": BLOCKED if why else WAITING, "why": why or row["Reason"]}]
    back = _begins_later(row, view, SOON_S) or refused(row) or not marked
    if back:
        return [{**common, "state": STRAY, "why": row["Reason"]}]
    nodes = [node for node in expand(row["ReqNodes"]) if node in view.site.models]
    return [{**common, "state": LAUNCHING, "why": row["Reason"], "nodes": nodes}]


def refused(row: Mapping[str, str]) -> bool:
    """Return whether Slurm would not start this pending job wherever it stands."""
    return bool(BLOCKS.match(row["Reason"])) or row["PriorityLong"] == "0" or row["StateCompact"] in HELD


def penalised(row: Mapping[str, str], now_s: float) -> bool:
    """Return whether a job waits only because it was requeued a moment ago."""
    begins, requeued = values.moment(row["StartTime"]), _requeued_s(row)
    return begins is not None and requeued is not None and now_s < begins <= requeued + PENALTY_S


def may_begin_s(row: Mapping[str, str], now_s: float) -> int | None:
    """Return from when on, by Slurm's clock, a job that was requeued a moment ago may run; None leaves it to Slurm.

    A node takes a job that comes within the second in which it was killed there for the killed one: it refuses to run
    it, and Slurm lets the job fail. That is what Slurm's two minutes are for; the next second will do.
    """
    begins, requeued = values.moment(row["StartTime"]), _requeued_s(row)
    if requeued is None or now_s > requeued + PENALTY_S:
        return None
    wished = begins is not None and begins > now_s and not penalised(row, now_s)
    return None if wished else int(requeued) + 1


def _requeued_s(row: Mapping[str, str]) -> float | None:
    """Return when a pending job was requeued: Slurm sets its time of submission anew when the last node let go."""
    return values.moment(row["SubmitTime"]) if values.count(row["RestartCnt"]) > 0 else None


def signal_of(row: Mapping[str, str]) -> str | None:
    """Return the signal a job wants before it is stopped: `--comment=checkpoint:USR1`."""
    match = re.search(r"\bcheckpoint:(?:SIG)?([A-Z0-9]{2,5})\b", row["comment"])
    return match.group(1) if match and match.group(1) in SIGNALS else None


def _begins_later(row: Mapping[str, str], view: View, within_s: float = 0.0) -> bool:
    """Return whether a pending job may not begin yet, nor within so many seconds.

    Slurm says so as a reason only when it has looked at the job.
    """
    start, eligible = values.moment(row["StartTime"]), values.moment(row["EligibleTime"])
    if row["Reason"] == "BeginTime":
        # the reason stays for a moment after the begin time was taken away
        begin = start if start is not None else eligible
        return begin is None or begin > view.now_s + within_s
    return eligible is not None and eligible > view.now_s + within_s


def _blocked(row: Mapping[str, str], view: View) -> str:
    """Return why a job of the waiting partition is not to be started, empty if it is."""
    job = row["JobArrayID"]
    if refused(row):
        return row["Reason"]
    if row["Dependency"] not in ("(null)", ""):
        return "Dependency"
    if _begins_later(row, view) and not penalised(row, view.now_s):
        return "BeginTime"
    if not JOB_ID.fullmatch(job) or row["HetJobOffset"] not in ("N/A", ""):
        return "it is a heterogeneous job, which no policy places"
    if row["Reservation"] not in ("(null)", ""):
        return f"it asks for the reservation {row['Reservation']}, which is Slurm's to give"
    if row["ReqNodes"] not in ("", "(null)", "N/A") and row["admin_comment"] != MARK:
        return "it names its nodes, which a policy would override; submit it without --nodelist"
    if set(expand(view.excluded.get(job, ""))) & set(view.site.models):
        return "it excludes nodes, which policies do not know of; submit it without --exclude"
    return view.cooling.get(job, "")
