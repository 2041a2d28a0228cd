"""A stretch of a trace, run to its end by a policy on a real Slurm, and what can be said of it afterwards.

The jobs sleep. Each writes down when it began, was stopped and ended, and goes on where it was stopped. A requeue may
cross the end of a job: Slurm learns of an end a moment after the last line of the script, and until then runs the job
again, as any system that can stop jobs. Such a run finds the work done, and writes just that down.
"""

from __future__ import annotations

import re
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
from slurm_cluster import SlurmCluster
from slurm_watch import Watch, devices

import apportion as ap
from apportion.live.controller import Controller
from apportion.live.memory import Memory
from apportion.live.slurm import Access, Slurm, SlurmBackend
from apportion.live.slurm.hostlist import expand
from apportion.model.workload import Workload
from apportion.policies.registry import parse_policy
from apportion.predict.run_time import RunTimes
from inputs import data_folder

MODELS = ("a100", "v100")
ARRAY = 10
"""Tasks of the one array."""

LATE_S = 3.0
"""A pass of Slurm's scheduler starts jobs in the order in which they were told, once a second by a clock of whole
seconds; on a loaded machine it gives up after two seconds and goes on in the next pass."""

BEGIN = """\
#!/bin/bash
now() { local at=$EPOCHREALTIME; NOW=${at/[.,]/}; }
me=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
"""
WORK = """\
if [ -f FOLDER/$me.done ]; then echo D $me 0 >> FOLDER/runs.txt; exit 0; fi
[ -f FOLDER/$me.left ] && read left < FOLDER/$me.left
now; began=$NOW
echo S $me $began $SLURM_JOB_NODELIST >> FOLDER/runs.txt
trap 'now; kill $!; echo $((left - NOW + began)) > FOLDER/$me.left; echo K $me $NOW >> FOLDER/runs.txt; exit 143' TERM
[ $left -lt 0 ] && left=0
printf -v text '%d.%06d' $((left / 1000000)) $((left % 1000000))
sleep $text & wait $! || { sleep 60 & wait $!; }  # the signal may meet the sleep first
now; > FOLDER/$me.done; echo E $me $NOW >> FOLDER/runs.txt
"""


def trace(jobs: int, gpus: int, last_submit_s: float, busy_s: float) -> Workload:
    """Return so many jobs, with all times compressed: real ones where the file is, else made after their statistics.

    Of a stretch of Philly all jobs of several GPUs are kept and as many of one GPU (of which it has 97 %). Two thirds
    want one of two models. Jobs of more than eight GPUs are gangs of whole nodes. The last rows are an array.

    Parameters
    ----------
    gpus: of the cluster. last_submit_s: when the last job comes. busy_s: how long the cluster has to work at least.
    """
    file = data_folder() / "philly" / "philly.csv"
    spec = f"philly:{file}?from=2017-10-09&limit=12000" if file.exists() else "synthetic:philly?jobs=12000&seed=1"
    table = ap.load(spec).workload.table.filter(pl.col("gpus") <= 32)
    several = table.filter(pl.col("gpus") > 1).head(jobs // 2)
    single = table.filter((pl.col("gpus") == 1) & (pl.col("submit_s") <= several["submit_s"].max()))
    single = single.gather_every(max(1, single.height // (jobs - several.height))).head(jobs - several.height)
    table = pl.concat([several, single]).sort("submit_s", maintain_order=True)
    array = table.filter(pl.col("gpus") == 1).slice(8, ARRAY)
    table = pl.concat([table.filter(~pl.col("job_id").is_in(array["job_id"].to_list())), array])
    index = pl.int_range(pl.len())
    tasks = pl.max_horizontal(pl.lit(1), pl.col("gpus") // 8)
    submit = pl.col("submit_s") - pl.col("submit_s").min()
    table = table.select(
        job_id=pl.format("t{}", index),
        group="group",
        submit_s=submit / submit.max() * last_submit_s,
        duration_s="duration_s",
        tasks=tasks,
        gpus=pl.min_horizontal("gpus", 8),
        apart=tasks > 1,
        cpu_milli=pl.lit(1000),
        memory_mib=pl.lit(1000),
    )
    table = table.with_columns(_models(table.height).alias("gpu_models"))
    size = table["tasks"] * table["gpus"]
    low, high, longest = 1e-6, 1.0, 0.75 * busy_s
    for _ in range(60):  # by how much the times are divided
        factor = (low + high) / 2
        work = float((size * (table["duration_s"] * factor).clip(0.5, longest)).sum())
        low, high = (factor, high) if work < gpus * busy_s else (low, factor)
    seconds = (pl.col("duration_s") * low).clip(0.5, longest).round(3)
    first = table["submit_s"].tail(ARRAY).min()
    in_array = index >= table.height - ARRAY
    table = table.with_columns(
        duration_s=seconds,
        submit_s=pl.when(in_array).then(pl.lit(first)).otherwise("submit_s"),
        gpu_models=pl.when(in_array).then(pl.lit([], dtype=pl.List(pl.String))).otherwise("gpu_models"),
        group=pl.when(in_array).then(pl.lit(table["group"][-1])).otherwise("group"),
    )
    return Workload.of(table, name=f"{jobs} jobs of {'Philly' if file.exists() else 'synthetic Philly'}")


def _models(count: int) -> pl.Series:
    wanted: list[list[str]] = [[[MODELS[0]], [MODELS[1]], []][i % 3] for i in range(count)]
    return pl.Series(wanted, dtype=pl.List(pl.String))


class Known(RunTimes):
    """Predicts the truth: what the jobs will take, by name (and number of the task)."""

    def __init__(self, truth: dict[str, float]) -> None:
        super().__init__()
        object.__setattr__(self, "truth", truth)

    def predict(self, history: pl.DataFrame, jobs: pl.DataFrame) -> pl.Series:
        truth: dict[str, float] = self.truth  # type: ignore[attr-defined]
        known = []
        for job, name in jobs.select("job_id", "name").iter_rows():
            task = f"{name}:{job.partition('_')[2]}" if "_" in job else name
            known.append(truth.get(task, truth.get(job, 60.0)))
        return pl.Series("duration_s", known, dtype=pl.Float64)


@dataclass(frozen=True)
class Batch:
    """A call of `sbatch`: when, its options and script, and the rows it stands for."""

    submit_s: float
    options: tuple[str, ...]
    text: str
    rows: tuple[str, ...]


def batches(work: Workload, folder: Path) -> Iterator[Batch]:
    """Yield the jobs as batch jobs in the order of submission, the array as one."""
    body = WORK.replace("FOLDER", str(folder))
    rows = list(work.table.iter_rows(named=True))
    array = rows[0:0] if len(rows) <= ARRAY else sorted(rows, key=lambda row: int(row["job_id"][1:]))[-ARRAY:]
    of_array = {row["job_id"] for row in array}
    done = False
    for row in rows:
        model = f"{row['gpu_models'][0]}:" if row["gpu_models"] else ""
        options = [f"--account={row['group']}", f"-N{row['tasks']}", f"--gres=gpu:{model}{row['gpus']}"]
        if row["job_id"] not in of_array:
            text = f"{BEGIN}left={round(row['duration_s'] * 1e6)}\n{body}"
            yield Batch(row["submit_s"], (f"--job-name={row['job_id']}", *options), text, (row["job_id"],))
        elif not done:
            done = True
            each = " ".join(str(round(one["duration_s"] * 1e6)) for one in array)
            text = f"{BEGIN}all=({each})\nleft=${{all[$SLURM_ARRAY_TASK_ID]}}\n{body}"
            options += [f"--array=0-{len(array) - 1}", "--job-name=array"]
            yield Batch(row["submit_s"], tuple(options), text, tuple(one["job_id"] for one in array))


@dataclass
class Played:
    """What came of a run.

    Parameters
    ----------
    ids: Slurm's id of each row. submitted_s: when each was submitted, from the first submission on (`zero_s`).
    told: starts and stops as the memory has them: time, cycle, action, job, nodes, outcome.
    runs: what the jobs wrote: "S", "K", "E" or "D" (began, was stopped, ended, found the work done) and when, by id.
    nodes, began: by Slurm's id, what Slurm says of the last run. shown: the nodes as the controller sees them.
    """

    work: Workload
    policy: str
    poll_s: float
    zero_s: float = 0.0
    ids: dict[str, str] = field(default_factory=dict)
    submitted_s: dict[str, float] = field(default_factory=dict)
    watch: Watch = field(default_factory=Watch)
    told: list[tuple[float, int, str, str, tuple[str, ...], str]] = field(default_factory=list)
    runs: dict[str, list[tuple[str, float]]] = field(default_factory=dict)
    nodes: dict[str, set[str]] = field(default_factory=dict)
    began: dict[str, int] = field(default_factory=dict)
    wall_s: float = 0.0
    shown: pl.DataFrame = field(default_factory=pl.DataFrame)

    def starts(self) -> dict[str, tuple[float, int, tuple[str, ...]]]:
        """Return time, cycle and nodes of the last start of every job, in the order in which they were told."""
        out: dict[str, tuple[float, int, tuple[str, ...]]] = {}
        for at, cycle, action, job, nodes, _ in self.told:
            if action == "start":
                out.pop(job, None)
                out[job] = (at, cycle, nodes)
        return out

    def stops(self) -> dict[str, int]:
        """Return how often each job was told to stop."""
        out: dict[str, int] = defaultdict(int)
        for _, _, action, job, _, _ in self.told:
            out[job] += action == "stop"
        return out

    def wrong(self) -> list[str]:
        """Return all that should not be, in words."""
        out = [f"{node} {device} was held by two jobs at once" for node, device in self.watch.doubly_booked()]
        if not any(self.watch.held):
            out.append("nobody was seen to hold a device")
        stops, starts = self.stops(), self.starts()
        for job in self.ids.values():
            marks = [mark for mark, _ in self.runs.get(job, [])]
            work = [mark for mark in marks if mark != "D"]
            if work[-1:] != ["E"] or work.count("E") != 1:
                out.append(f"{job} ended {work.count('E')} times: {marks}")
            if marks.count("S") + marks.count("D") > 1 + stops[job]:
                out.append(f"{job} ran {marks.count('S')} times and was stopped {stops[job]} times")
            if job not in starts or self.nodes.get(job) != set(starts[job][2]):
                out.append(f"{job} ran on {self.nodes.get(job)}, decided was {starts.get(job)}")
        late = self.disorder_s()
        if late > LATE_S:
            out.append(f"a job started {late:.0f} s (by Slurm's clock) after one that was decided in a later cycle")
        return out

    def disorder_s(self) -> float:
        """Return by how much a start, as Slurm says, came after one decided in a later cycle, at most."""
        latest, worst, cycles = 0, 0, defaultdict(list)
        for job, (_, cycle, _) in self.starts().items():
            if job in self.began:
                cycles[cycle].append(self.began[job])
        for _, began in sorted(cycles.items()):
            worst = max(worst, latest - min(began))
            latest = max(latest, *began)
        return float(worst)


def play(
    cluster: SlurmCluster, work: Workload, policy: str, poll_s: float = 0.5, limit_s: float = 240.0, look: bool = True,
    access: Access | None = None,
) -> Played:  # fmt: skip
    """Submit the jobs when their time comes and let a policy run them to the end.

    Parameters
    ----------
    poll_s: from the beginning of one cycle to the next. look: see who holds which devices after every cycle.
    access: how the cluster is reached; default: Slurm's programs.

    Raises
    ------
    TimeoutError: they are not over in `limit_s`.
    """
    folder = Path(tempfile.mkdtemp(prefix="jobs-", dir=cluster.folder))
    log = folder / "runs.txt"
    log.touch()
    played = Played(work, policy, poll_s)
    calls = list(batches(work, folder))
    truth = dict(work.table.select("job_id", "duration_s").iter_rows())
    for call in calls:
        if len(call.rows) > 1:
            truth |= {f"array:{i}": truth[row] for i, row in enumerate(call.rows)}
    memory = Memory(folder / "memory.sqlite")
    backend = SlurmBackend(slurm=access or Slurm(conf=cluster.conf, timeout_s=60), grace_s=0.0)
    controller = Controller(backend, parse_policy(policy), memory, run_times=Known(truth))
    controller.backend.observe()  # so that the first cycle takes no longer than the others
    played.zero_s = time.time()
    thread = threading.Thread(target=_submit, args=(cluster, calls, played), daemon=True)
    thread.start()
    began = time.monotonic()
    next_at = began
    try:
        while True:
            cycle = controller.cycle()
            played.watch.cycles.append(cycle)
            if look:
                played.watch.held.append(devices(cluster))
            if not thread.is_alive() and _ended(log) == len(work) and not cycle.running:
                break
            if time.monotonic() - began > limit_s:
                raise TimeoutError(f"not over in {limit_s} s: {_unfinished(cluster, log, played)}")
            next_at = max(next_at + poll_s, time.monotonic() - poll_s)
            time.sleep(max(0.0, next_at - time.monotonic()))
        played.wall_s = time.monotonic() - began
        observation = played.watch.cycles[-1].observation
        assert observation is not None
        played.shown = observation.nodes
        _collect(cluster, memory, log, played)
    finally:
        thread.join(10)
        memory.close()
    return played


def _ended(log: Path) -> int:
    """Return how many jobs wrote that they ended."""
    return len({line.split()[1] for line in log.read_text().splitlines() if line.startswith("E")})


def _unfinished(cluster: SlurmCluster, log: Path, played: Played) -> str:
    """Return what is known of the jobs that did not write that they ended."""
    lines = log.read_text().splitlines()
    over = {line.split()[1] for line in lines if line.startswith("E")}
    left = [job for job in played.ids.values() if job not in over]
    out = [f"{len(played.ids)} of {len(played.work)} submitted, {len(left)} without an end"]
    for job in left[:5]:
        out.append(f"{job}: {[line for line in lines if line.split()[1] == job]}")
        out.append(cluster.run("scontrol", "-o", "show", "job", job, check=False))
    return "\n".join(out)


def _submit(cluster: SlurmCluster, calls: list[Batch], played: Played) -> None:
    for call in calls:
        time.sleep(max(0.0, played.zero_s + call.submit_s - time.time()))
        name = cluster.submit(*call.options, script=call.text)
        at = time.time() - played.zero_s
        for i, row in enumerate(call.rows):
            played.ids[row] = name if len(call.rows) == 1 else f"{name}_{i}"
            played.submitted_s[row] = at


def _collect(cluster: SlurmCluster, memory: Memory, log: Path, played: Played) -> None:
    told = memory.decisions(limit=1_000_000)[::-1]
    played.told = [
        (at, cycle, action, job, tuple(filter(None, (nodes or "").split(","))), outcome)
        for at, cycle, action, job, nodes, outcome in told.drop("message").iter_rows()
    ]
    runs: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for line in log.read_text().splitlines():
        mark, job, at, *_ = line.split()
        runs[job].append((mark, int(at) / 1e6 - played.zero_s))
    played.runs = dict(runs)
    rows = cluster.run("scontrol", "-o", "show", "job").splitlines()
    for row in rows:
        if not row.startswith("JobId="):  # the rest of another job's name
            continue
        words = dict(re.findall(r"(\S+?)=(\S*)", row))
        job = f"{words['ArrayJobId']}_{words['ArrayTaskId']}" if "ArrayTaskId" in words else words["JobId"]
        played.nodes[job] = set(expand(words.get("NodeList", "").replace("(null)", "")))
        begun = words.get("StartTime", "")
        if "T" in begun:
            played.began[job] = int(time.mktime(time.strptime(begun, "%Y-%m-%dT%H:%M:%S")))
