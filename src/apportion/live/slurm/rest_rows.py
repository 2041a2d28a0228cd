"""Jobs and nodes as the REST daemon says them, as rows in the words of `squeue` and `sinfo`, whatever the version."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from apportion.live.backend import BackendError
from apportion.live.slurm import values
from apportion.live.slurm.access import Row
from apportion.live.slurm.jobs import OVER, WHOLE, widths_of_jobs
from apportion.live.slurm.records import clean

_TEXTS = {
    "Account": "account", "QOS": "qos", "Partition": "partition", "tres-per-job": "tres_per_job",
    "tres-per-node": "tres_per_node", "tres-per-task": "tres_per_task", "tres-per-socket": "tres_per_socket",
    "cpus-per-tres": "cpus_per_tres", "mem-per-tres": "memory_per_tres", "Dependency": "dependency",
    "Feature": "features", "Reservation": "resv_name", "ReqNodes": "required_nodes", "NodeList": "nodes",
    "admin_comment": "admin_comment", "comment": "comment", "name": "name",
}  # fmt: skip
_COUNTS = {"NumNodes": "node_count", "NumCPUs": "cpus", "NumTasks": "tasks"}
_NUMBERS = {"NTPerNode": "tasks_per_node", "RestartCnt": "restart_cnt", "Nice": "nice", "PriorityLong": "priority"}
_TIMES = {"SubmitTime": "submit_time", "EligibleTime": "eligible_time", "StartTime": "start_time",
          "EndTime": "end_time"}  # fmt: skip
_STATES = {
    # what a job is just doing, before what it is
    "COMPLETING": "CG", "STAGE_OUT": "SO", "CONFIGURING": "CF", "RESIZING": "RS", "REQUEUED": "RQ",
    "REQUEUE_FED": "RF", "REQUEUE_HOLD": "RH", "SPECIAL_EXIT": "SE", "STOPPED": "ST", "REVOKED": "RV",
    "RESV_DEL_HOLD": "RD", "SIGNALING": "SI",
    "PENDING": "PD", "RUNNING": "R", "SUSPENDED": "S", "COMPLETED": "CD", "CANCELLED": "CA", "FAILED": "F",
    "TIMEOUT": "TO", "NODE_FAIL": "NF", "PREEMPTED": "PR", "BOOT_FAIL": "BF", "DEADLINE": "DL",
    "OUT_OF_MEMORY": "OOM",
}  # fmt: skip
_TASKS = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10})(?::([0-9]{1,10}))?)?")
_WIDTHS = widths_of_jobs()
MOST_TASKS = 4_000_001
"""Slurm allows no larger number of a task."""


def job_rows_of(job: object) -> list[Row]:
    """Return the row of a job, or those of the tasks of an array that wait as one.

    Of a long list of tasks Slurm says only the beginning (`SLURM_BITSTR_LEN`); the others follow as these start.

    Raises
    ------
    BackendError: it is no job.
    """
    number = flat(job.get("job_id")) if isinstance(job, dict) else None
    if not isinstance(job, dict) or not isinstance(number, int):
        raise BackendError(f"slurmrestd: found {str(job)[:80]!r}, expected a job")
    row = {name: _cut(text_of(job.get(key)), None if name in WHOLE else _WIDTHS[name]) for name, key in _TEXTS.items()}
    row |= {name: str(flat(job.get(key)) or 1) for name, key in _COUNTS.items()}
    row |= {name: str(flat(job.get(key)) or 0) for name, key in _NUMBERS.items()}
    row |= {name: str(flat(job.get(key)) or "N/A") for name, key in _TIMES.items()}
    limit, offset = flat(job.get("time_limit")), flat(job.get("het_job_offset"))
    memory = flat(job.get("memory_per_node")) or flat(job.get("memory_per_cpu")) or 0
    row |= {
        "HetJobOffset": str(offset or 0) if flat(job.get("het_job_id")) else "N/A",
        "UserName": _cut(text_of(job.get("user_name")) or str(flat(job.get("user_id"))), _WIDTHS["UserName"]),
        "StateCompact": _state(job.get("job_state")),
        "Reason": _cut(text_of(job.get("state_description")) or text_of(job.get("state_reason")), _WIDTHS["Reason"]),
        "TimeLimit": "UNLIMITED" if limit is None else f"{int(limit)}:00",
        "MinMemory": f"{int(memory)}M",
        "tres-alloc": _cut(text_of(job.get("tres_alloc_str")) or text_of(job.get("tres_req_str"))),
        "OverSubscribe": "NO" if "none" in text_of(job.get("shared")).split(",") else "OK",
        "Requeue": str(int(job.get("requeue") is True)),
        "BatchFlag": str(int(job.get("batch_flag") is True)),
    }
    if flat(job.get("cpus")) is None:  # so it is of a job that ended before it ran
        row["NumCPUs"] = values.tres(row["tres-alloc"]).get("cpu", "1")
    array, task = flat(job.get("array_job_id")), flat(job.get("array_task_id"))
    listed = text_of(job.get("array_task_string"))
    # an array whose tasks were all cancelled one by one stays behind as a job that ended
    if not array or (task is None and not listed and row["StateCompact"] in OVER):
        return [{**row, "JobArrayID": str(number)}]
    # the number of the job is that of the whole array: no task may go by it
    tasks = tasks_of(listed) if task is None else [task]
    return [{**row, "JobArrayID": f"{array}_{each}"} for each in tasks]


def node_row_of(node: object) -> Row:
    """Return the row of a node.

    Raises
    ------
    BackendError: it is no node.
    """
    if not isinstance(node, dict) or not text_of(node.get("name")):
        raise BackendError(f"slurmrestd: found {str(node)[:80]!r}, expected a node")
    words = [text_of(node.get("state")), text_of(node.get("state_flags"))]
    return {
        "NodeList": _cut(text_of(node.get("name"))),
        "Gres": _cut(text_of(node.get("gres"))),
        "CPUs": str(flat(node.get("cpus")) or 0),
        "Memory": str(flat(node.get("real_memory")) or 0),
        "StateComplete": "+".join(filter(None, words)).replace(",", "+").lower(),
        "Threads": str(flat(node.get("threads")) or 1),
        "Features": _cut(text_of(node.get("features"))),
        "Reason": _cut(text_of(node.get("reason")), 96),
    }


def partitions_of(node: Mapping[str, Any]) -> list[str]:
    """Return the partitions a node is in."""
    return text_of(node.get("partitions")).split(",")


def flat(value: object) -> int | float | None:
    """Return a number given as such or as `{set, infinite, number}`, or None where there is none or no bound.

    Examples
    --------
    >>> flat(3), flat({"set": True, "infinite": False, "number": 3}), flat({"set": False, "number": 0}), flat(None)
    (3, 3, None, None)
    """
    if isinstance(value, dict):
        value = None if value.get("infinite") or not value.get("set", True) else value.get("number")
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def text_of(value: object) -> str:
    """Return a text given as such or as a list of words."""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return value if isinstance(value, str) else ""


def tasks_of(text: str) -> list[int | float]:
    """Return the numbers of the tasks in a list, those that are whole where it is cut off.

    Examples
    --------
    >>> tasks_of("0-8:4,11%2"), tasks_of("1-2,5,9...%3"), tasks_of("")
    ([0, 4, 8, 11], [1, 2, 5], [])
    """
    parts = text.split("%")[0].split(",")
    if "..." in text:
        parts.pop()
    tasks: list[int | float] = []
    for match in filter(None, map(_TASKS.fullmatch, parts)):
        first, last, step = (int(number) if number else None for number in match.groups())
        tasks += range(first or 0, min(last if last is not None else first or 0, MOST_TASKS) + 1, step or 1)
    return tasks


def _state(value: object) -> str:
    """Return the short word for what older versions name by one word, newer ones by several."""
    words = text_of(value).split(",")
    return next((short for word, short in _STATES.items() if word in words), words[0])


def _cut(text: str, width: int | None = None) -> str:
    """Return a text that can be shown, no longer than `squeue` would give it."""
    return clean(text.encode("utf-8", "replace")[:width])
