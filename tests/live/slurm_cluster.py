"""A real Slurm on this machine, without systemd or privilege: nodes with fake GPUs, for the tests.

Every node is a `slurmd` on its own loopback port; its GPUs are links to `/dev/null`, so that Slurm counts and numbers
them as it does real ones. The instance has its own munge, its own ports and its own folder, and takes nothing from an
installed configuration.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "scontrol", "squeue", "sinfo", "sbatch", "scancel")
START_TIMEOUT_S = 90.0

CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket
CredType=cred/munge
SlurmctldPort={port}
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.%n.pid
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.%n.log
SlurmctldDebug=error
SlurmdDebug=error
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout=0
InactiveLimit=0
KillWait=2
MinJobAge=600
MaxJobCount=200000
MaxArraySize=100000
JobRequeue=1
SchedulerType=sched/builtin
SchedulerParameters=defer,batch_sched_delay=1,sched_interval=1,sched_min_interval=200000,default_queue_depth=100000
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PriorityType=priority/basic
PreemptType=preempt/none
GresTypes=gpu
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
"""
NODES = (
    "NodeName={names} NodeHostname={host} NodeAddr=127.0.0.1 Port=[{first}-{last}] CPUs=64 Sockets=2 CoresPerSocket=32"
    " ThreadsPerCore=1 RealMemory=512000 Gres=gpu:{model}:{gpus} Feature={model} State=UNKNOWN\n"
)
PARTITIONS = """\
PartitionName=main Nodes=ALL Default=NO MaxTime=INFINITE State=UP OverSubscribe=NO DefMemPerNode=1000
PartitionName=wait Nodes=ALL Default=YES MaxTime=INFINITE State=DOWN OverSubscribe=NO DefMemPerNode=1000
"""


def skip_without(*more: str) -> None:
    """Skip a test where Slurm, or one of `more` programs, is not installed."""
    import pytest

    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    absent = [name for name in (*PROGRAMS, *more) if shutil.which(name, path=path) is None]
    if absent:
        pytest.skip(f"not installed: {', '.join(absent)}")


@dataclass
class SlurmCluster:
    """A running instance.

    Parameters
    ----------
    folder: all its files. models: GPU model of every node, by name. gpus: of one node.
    """

    folder: Path
    models: dict[str, str]
    gpus: int
    port: int
    commands: int = field(default=0)

    @property
    def conf(self) -> Path:
        """Its `slurm.conf`."""
        return self.folder / "etc" / "slurm.conf"

    @property
    def env(self) -> dict[str, str]:
        """The environment its programs and clients run in."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
        path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
        return {**kept, "SLURM_CONF": str(self.conf), "PATH": path}

    def run(self, *argv: str, stdin: str | None = None, check: bool = True, timeout_s: float = 60.0) -> str:
        """Run a program of the instance and return what it printed."""
        done = subprocess.run(
            argv, env=self.env, cwd=self.folder, input=stdin, capture_output=True, text=True, timeout=timeout_s,
            errors="surrogateescape", start_new_session=True,
        )  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout if check else done.stdout + done.stderr

    def submit(self, *options: str, script: str = "#!/bin/sh\nsleep 1\n") -> str:
        """Submit a batch script; return the job's id."""
        out = self.run("sbatch", "--parsable", "-o", "/dev/null", *options, stdin=script)
        return out.strip().split(";")[0]

    def state(self, job: str) -> str:
        """Return the job's state in Slurm's words, empty if it is not known."""
        return self.run("squeue", "-h", "-a", "-t", "all", "-j", job, "-o", "%T", check=False).strip()

    def until(self, condition: str, job: str, timeout_s: float = 60.0) -> None:
        """Wait until the job is in a state."""
        limit = time.monotonic() + timeout_s
        while (state := self.state(job)) != condition:
            if time.monotonic() > limit:
                raise TimeoutError(f"job {job} is {state}, expected {condition}")
            time.sleep(0.2)

    def clear(self) -> None:
        """Cancel every job and wait until no node is in use."""
        user = pwd.getpwuid(os.getuid()).pw_name
        self.run("scancel", "-u", user, check=False)
        limit = time.monotonic() + 30
        while self.run("squeue", "-h", "-a", "-o", "%i", check=False).strip() and time.monotonic() < limit:
            time.sleep(0.2)

    def start_controller(self, *options: str) -> None:
        """Start `slurmctld`."""
        self.run("slurmctld", *options)

    def start_node(self, node: str) -> None:
        """Start the `slurmd` of a node."""
        (self.folder / "spool" / node).mkdir(parents=True, exist_ok=True)
        self.run("slurmd", "-N", node)

    def kill(self, daemon: str, number: int = signal.SIGTERM, wait_s: float = 10.0) -> None:
        """Signal a daemon by its pid file (`slurmctld`, `slurmd.n1`, `munged`) and wait until it is gone."""
        try:
            pid = int((self.folder / "run" / f"{daemon}.pid").read_text())
        except (OSError, ValueError):
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        limit = time.monotonic() + wait_s
        while _alive(pid) and time.monotonic() < limit:
            time.sleep(0.05)
        if _alive(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def wait_ready(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Wait until all nodes are idle."""
        limit = time.monotonic() + timeout_s
        while True:
            out = self.run("sinfo", "-h", "-p", "main", "-o", "%T %D", check=False)
            if out.split() == ["idle", str(len(self.models))]:
                return
            if time.monotonic() > limit:
                raise TimeoutError(f"Slurm did not come up in {timeout_s:.0f} s: {out.strip()}")
            time.sleep(0.2)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (OSError, IndexError):
        return False


def free_ports(count: int) -> int:
    """Return the first of `count` consecutive free ports below 32768, where the system gives none to others."""
    chance = random.SystemRandom()
    for _ in range(200):
        first = chance.randrange(12000, 32700 - count)
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise RuntimeError("found no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True


def _write(folder: Path, models: Mapping[str, int], gpus: int, port: int, extra: str) -> dict[str, str]:
    """Write the configuration; return the model of every node."""
    user = pwd.getpwuid(os.getuid()).pw_name
    host = socket.gethostname().split(".")[0]
    for name in ("etc", "run", "log", "state", "spool", "dev"):
        (folder / name).mkdir(parents=True)
    for path in (folder, folder / "run"):
        path.chmod(0o755)
    for i in range(gpus):
        (folder / "dev" / f"gpu{i}").symlink_to("/dev/null")
    key = folder / "etc" / "munge.key"
    key.touch(0o600)
    key.write_bytes(os.urandom(128))
    conf = CONF.format(host=host, user=user, folder=folder, port=port)
    gres, of = "", {}
    first = 1
    for model, count in models.items():
        names = f"n[{first}-{first + count - 1}]"
        conf += NODES.format(
            names=names, host=host, first=port + 1 + first, last=port + first + count, model=model, gpus=gpus
        )
        gres += f"NodeName={names} Name=gpu Type={model} File={folder}/dev/gpu[0-{gpus - 1}]\n"
        of.update({f"n{i}": model for i in range(first, first + count)})
        first += count
    (folder / "etc" / "slurm.conf").write_text(conf + extra.replace("{folder}", str(folder)) + PARTITIONS)
    (folder / "etc" / "gres.conf").write_text(gres)
    return of


@contextlib.contextmanager
def slurm_cluster(
    models: Mapping[str, int],
    gpus: int = 8,
    extra: str = "",
    before: Callable[[SlurmCluster], None] = lambda cluster: None,
) -> Iterator[SlurmCluster]:
    """Bring up a cluster and take it down again.

    Parameters
    ----------
    models: nodes of each GPU model. gpus: of one node. extra: further lines of `slurm.conf`, its folder as `{folder}`.
    before: called before `slurmctld` is started.
    """
    folder = Path(tempfile.mkdtemp(prefix="apportion-slurm-"))
    nodes = sum(models.values())
    port = free_ports(nodes + 2)
    of = _write(folder, models, gpus, port, extra)
    cluster = SlurmCluster(folder, of, gpus, port)
    run = folder / "run"
    try:
        version = cluster.run("slurmctld", "-V").split()[-1].split(".")
        if (int(version[0]), int(version[1])) > (22, 5):
            (folder / "etc" / "cgroup.conf").write_text("CgroupPlugin=disabled\nIgnoreSystemd=yes\n")
        cluster.run(
            "munged", "--force", "--num-threads=4", f"--key-file={folder}/etc/munge.key",
            f"--socket={run}/munge.socket", f"--pid-file={run}/munged.pid", f"--log-file={folder}/log/munged.log",
            f"--seed-file={run}/munge.seed",
        )  # fmt: skip
        before(cluster)
        cluster.start_controller("-c")
        for node in of:
            cluster.start_node(node)
        cluster.wait_ready()
        yield cluster
    finally:
        _down(cluster)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def rest_daemon(cluster: SlurmCluster) -> Iterator[Path]:
    """Run `slurmrestd` beside a cluster; give the path of its socket.

    Raises
    ------
    FileNotFoundError: it is not installed. TimeoutError: it does not come up.
    """
    program = shutil.which("slurmrestd", path=cluster.env["PATH"])
    if program is None:
        raise FileNotFoundError("slurmrestd is not installed")
    path, log = cluster.folder / "run" / "rest.sock", cluster.folder / "log" / "rest.log"
    path.unlink(missing_ok=True)
    env = {**cluster.env, "SLURMRESTD_SECURITY": "disable_user_check,disable_unshare_files,disable_unshare_sysv"}
    release = cluster.run(program, "-V").split()[-1].split(".")
    plugin = "openapi/v0.0.38" if (int(release[0]), int(release[1])) < (23, 11) else "slurmctld"
    options = ["-a", "rest_auth/local", "-s", plugin, f"unix:{path}"]
    with log.open("wb") as out:
        process = subprocess.Popen([program, *options], env=env, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + START_TIMEOUT_S
        while not _listens(path):
            if process.poll() is not None or time.monotonic() > limit:
                raise TimeoutError(f"slurmrestd did not come up: {log.read_text(errors='replace')}")
            time.sleep(0.1)
        yield path
    finally:
        process.terminate()
        process.wait(10)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _down(cluster: SlurmCluster) -> None:
    """Cancel jobs, stop the daemons, and end whatever of this instance is left."""
    with contextlib.suppress(Exception):
        cluster.clear()
    for path in sorted((cluster.folder / "run").glob("slurm*.pid")):
        cluster.kill(path.stem)
    cluster.kill("munged")
    ours = f"SLURM_CONF={cluster.conf}".encode()
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError, ValueError):
            if ours in path.read_bytes().split(b"\0") and int(path.parent.name) != os.getpid():
                os.kill(int(path.parent.name), signal.SIGKILL)
