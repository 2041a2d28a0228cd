"""Prepare a Slurm cluster for a policy, look whether it is prepared, and put it back."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apportion.live.backend import BackendError
from apportion.live.slurm.client import Slurm
from apportion.live.slurm.jobs import MARK, PENDING, JobPoll
from apportion.live.slurm.names import JOB_ID, checked
from apportion.live.slurm.nodes import gpus_of, left_out_of

OK, WARN, BAD = "ok", "warn", "bad"
OLDEST = (20, 11)
"""First version whose `scontrol` and `squeue` say what is needed."""

SUGGESTED = "defer,batch_sched_delay=1,sched_interval=1,sched_min_interval=200000"
"""`SchedulerParameters` with which started jobs start within about a second."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at: `level` is ok, warn or bad; `fix` says what to change, empty if nothing."""

    level: str
    what: str
    fix: str = ""


def doctor(slurm: Slurm, main: str = "main", wait: str = "wait") -> list[Finding]:
    """Return what was found, in the order in which it should be put right; it changes nothing.

    Parameters
    ----------
    main, wait: partition where jobs run, and where they wait.

    Raises
    ------
    BackendError: a name is none.
    """
    checked(main), checked(wait)
    try:
        config = slurm.config()
    except BackendError as error:
        munge = any(word in str(error).lower() for word in ("munge", "authentication"))
        fix = "start munged, with the key of the cluster" if munge else "run this where squeue works"
        return [Finding(BAD, f"Slurm does not answer: {error}", fix)]
    found = [Finding(OK, "Slurm answers, and accepts the caller (munge)"), _version(config), _rights(slurm, config)]
    found += _partitions(slurm, main, wait)
    found += _nodes(slurm, main)
    found += _scheduling(config)
    return found


def _version(config: Mapping[str, str]) -> Finding:
    text = config.get("slurm_version", "")
    parts = text.split(".")
    known = len(parts) > 1 and parts[0].isdecimal() and parts[1].isdecimal()
    if not known:
        return Finding(WARN, f"Slurm's version is not known ({text!r})", "this was tested with 22.05")
    if (int(parts[0]), int(parts[1])) < OLDEST:
        return Finding(BAD, f"Slurm {text}", f"needs {OLDEST[0]}.{OLDEST[1]} or newer")
    return Finding(OK, f"Slurm {text}")


def _rights(slurm: Slurm, config: Mapping[str, str]) -> Finding:
    """Say whether the caller may start the jobs of others: root, SlurmUser, or operator in the accounting."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    if os.getuid() == 0 or config.get("slurmuser", "").split("(")[0] == user:
        return Finding(OK, f"{user} may start every job")
    if config.get("accountingstoragetype", "").endswith("none"):
        return Finding(
            BAD,
            f"{user} may start only its own jobs",
            f"run as {config.get('slurmuser', 'SlurmUser').split('(')[0]} (without accounting there are no operators)",
        )
    done = slurm.start("sacctmgr", ("-n", "-P", "show", "user", user, "format=adminlevel"))
    level = done.stdout.decode("utf-8", "replace").strip()
    if level in ("Operator", "Administrator"):
        return Finding(OK, f"{user} is {level}")
    return Finding(BAD, f"{user} may start only its own jobs", f"sacctmgr modify user {user} set adminlevel=operator")


def _partitions(slurm: Slurm, main: str, wait: str) -> list[Finding]:
    running, waiting = slurm.partition(main), slurm.partition(wait)
    if running is None:
        return [Finding(BAD, f"partition {main} does not exist", "name the partition where jobs run: --main NAME")]
    found = []
    if running.get("state") != "UP":
        found.append(
            Finding(
                BAD, f"partition {main} is {running.get('state')}", f"scontrol update PartitionName={main} State=UP"
            )
        )
    if waiting is None:
        fix = f"add to slurm.conf: {partition_line(running, wait)}"
        return [*found, Finding(BAD, f"partition {wait} does not exist", fix)]
    if waiting.get("state") != "DOWN":
        found.append(
            Finding(
                BAD,
                f"partition {wait} is {waiting.get('state')}: Slurm starts its jobs by itself",
                f"scontrol update PartitionName={wait} State=DOWN",
            )
        )
    differ = [key for key in SAME if key in running and running.get(key) != waiting.get(key)]
    if differ:
        found.append(
            Finding(
                WARN,
                f"partitions {main} and {wait} differ in {', '.join(differ)}: jobs accepted there may not start here",
                "give both the same",
            )
        )
    if waiting.get("default") != "YES":
        found.append(
            Finding(
                WARN,
                f"jobs are not submitted to {wait} by default: those in {main} start past the policy",
                f"scontrol update PartitionName={wait} Default=YES",
            )
        )
    return found or [Finding(OK, f"partition {main} is up, {wait} is down and the default")]


SAME = ("nodes", "maxtime", "defmempernode", "defmempercpu", "maxmempernode", "oversubscribe", "allowgroups",
        "allowaccounts", "allowqos", "qos")  # fmt: skip
"""Settings in which the two partitions should agree."""


def _nodes(slurm: Slurm, main: str) -> list[Finding]:
    try:
        rows = slurm.node_rows(main)
    except BackendError as error:
        return [Finding(BAD, str(error))]
    names = {row["NodeList"]: gpus_of(row["Gres"]) for row in rows}
    with_gpus = {name: each for name, each in names.items() if each[1]}
    if not with_gpus:
        return [Finding(BAD, f"no node of {main} has GPUs", "set GresTypes=gpu and Gres=gpu:TYPE:COUNT on the nodes")]
    untyped = [name for name, (model, _) in with_gpus.items() if model is None]
    if untyped:
        return [
            Finding(
                WARN,
                f"the GPUs of {len(untyped)} nodes have no type (such as {untyped[0]})",
                "write Gres=gpu:TYPE:COUNT, and Type= in gres.conf; else policies see GPUs of one kind",
            )
        ]
    models = sorted({str(model) for model, _ in with_gpus.values()})
    total = Finding(OK, f"{sum(n for _, n in with_gpus.values())} GPUs on {len(with_gpus)} nodes ({', '.join(models)})")
    return [total, *_left_out(rows)]


def _left_out(rows: Sequence[Mapping[str, str]]) -> list[Finding]:
    """Return what to say of nodes with GPUs of several types, of which policies place the most frequent."""
    left = {row["NodeList"]: left_out_of(row["Gres"]) for row in rows}
    mixed = {name: more for name, more in left.items() if more}
    if not mixed:
        return []
    types = ", ".join(sorted({kind or "untyped" for more in mixed.values() for kind in more}))
    idle = sum(sum(more.values()) for more in mixed.values())
    what = f"{len(mixed)} nodes have GPUs of several types (such as {min(mixed)}): policies place one of them, "
    return [Finding(WARN, f"{what}and leave {idle} GPUs idle ({types})", "give them the same Type=, or other nodes")]


def _scheduling(config: Mapping[str, str]) -> list[Finding]:
    found = []
    select = config.get("selecttype", "")
    if select and "cons_tres" not in select:
        found.append(Finding(BAD, f"SelectType={select} does not count GPUs", "SelectType=select/cons_tres"))
    if config.get("jobrequeue") != "1":
        found.append(Finding(WARN, "JobRequeue=0: no job can be suspended unless it says --requeue", "JobRequeue=1"))
    if config.get("preempttype", "preempt/none") != "preempt/none":
        found.append(Finding(WARN, f"Slurm preempts by itself ({config['preempttype']})", "PreemptType=preempt/none"))
    kind = config.get("schedulertype", "")
    if kind != "sched/builtin":
        found.append(
            Finding(WARN, f"SchedulerType={kind}: works, but starts are slower", "SchedulerType=sched/builtin")
        )
    if "defer" not in config.get("schedulerparameters", "").split(","):
        found.append(Finding(WARN, "every start runs Slurm's scheduler (no defer)", f"SchedulerParameters={SUGGESTED}"))
    age = config.get("minjobage", "").split()
    if age and age[0].isdecimal() and 0 < int(age[0]) < 60:
        found.append(
            Finding(WARN, f"MinJobAge={age[0]}: jobs may be forgotten before their end is seen", "MinJobAge=300")
        )
    if config.get("accountingstoragetype", "").endswith("none"):
        what = "no accounting: there is no past to learn run times from"
        found.append(Finding(WARN, what, "AccountingStorageType=accounting_storage/slurmdbd"))
    return found or [Finding(OK, "scheduling, requeueing and accounting are set")]


def partition_line(running: Mapping[str, str], wait: str) -> str:
    """Return the line of `slurm.conf` of a waiting partition that takes what the running one takes."""
    names = {
        "nodes": "Nodes", "maxtime": "MaxTime", "defaulttime": "DefaultTime", "defmempernode": "DefMemPerNode",
        "defmempercpu": "DefMemPerCPU", "allowgroups": "AllowGroups", "allowaccounts": "AllowAccounts",
        "allowqos": "AllowQos", "oversubscribe": "OverSubscribe",
    }  # fmt: skip
    plain = ("ALL", "NONE", "UNLIMITED", "NO")
    kept = [f"{name}={running[key]}" for key, name in names.items() if running.get(key, "ALL") not in plain]
    return " ".join([f"PartitionName={checked(wait)}", *kept, "State=DOWN", "Default=YES"])


def install(slurm: Slurm, main: str = "main", wait: str = "wait", apply: bool = False) -> list[str]:
    """Return what is to be done so that a policy can take charge; with `apply`, do what can be done at run time.

    What is done at run time lasts until Slurm's controller reads its file again: the line belongs there, too.

    Raises
    ------
    BackendError: there is no partition `main`, or Slurm refuses.
    """
    running = slurm.partition(main)
    if running is None:
        raise BackendError(f"found no partition {main!r}, expected the one where jobs run")
    lines = []
    waiting = slurm.partition(wait)
    if waiting is None:
        line = partition_line(running, wait)
        lines.append(f"slurm.conf: {line}")
        if apply:
            _ask(slurm, f"create {line}")
    elif waiting.get("state") != "DOWN":
        lines.append(f"scontrol update PartitionName={wait} State=DOWN")
        if apply:
            _ask(slurm, f"update PartitionName={checked(wait)} State=DOWN")
    lines += [f"{finding.what}: {finding.fix}" for finding in _scheduling(slurm.config()) if finding.fix]
    return lines


def uninstall(slurm: Slurm, main: str = "main", wait: str = "wait", apply: bool = False) -> list[str]:
    """Return what puts the cluster back: waiting jobs go to the main partition, the waiting partition goes.

    Raises
    ------
    BackendError: Slurm refuses; calling it again goes on.
    """
    checked(main), checked(wait)
    commands = []
    for row in JobPoll(slurm).rows():
        job = row["JobArrayID"]
        waits = row["Partition"] == wait and row["StateCompact"] in PENDING
        launched = row["admin_comment"] == MARK and row["StateCompact"] in PENDING
        if JOB_ID.fullmatch(job) and (waits or launched):
            commands.append(
                f"update JobId={job} Partition={main}" + (" ReqNodeList= AdminComment=" if launched else "")
            )
            if launched and row["PriorityLong"] != "0":
                commands.append(f"release {job}")  # Slurm sets its own priority again
    there = slurm.partition(wait) is not None
    # the partition must go last, and a default must stay
    last = [f"update PartitionName={main} Default=YES", f"delete PartitionName={wait}"] if there else []
    if apply:
        answers = slurm.tell(commands)
        refused = [f"{c}: {a}" for c, a in zip(commands, answers, strict=True) if a and not c.startswith("release")]
        if refused:
            raise BackendError(f"Slurm refuses {refused[0]}" + (f" and {len(refused) - 1} more" if refused[1:] else ""))
        for command in last:
            _ask(slurm, command)
    return [f"scontrol {command}" for command in [*commands, *last]]


def _ask(slurm: Slurm, command: str) -> None:
    (answer,) = slurm.tell([command])
    if answer:
        raise BackendError(f"Slurm refuses {command!r}: {answer}")
