"""Accounting for the Slurm of the tests: a MariaDB and a `slurmdbd` of their own, on loopback."""

from __future__ import annotations

import contextlib
import getpass
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import slurm_cluster as plain
from slurm_cluster import SlurmCluster, free_ports

PROGRAMS = ("slurmdbd", "sacct", "sacctmgr", "mariadbd", "mariadb", "mariadb-install-db")
DAEMON = """\
AuthType=auth/munge
AuthInfo=socket={folder}/run/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser={user}
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={storage}
StorageUser=slurm
StoragePass=slurm
StorageLoc=accounting
"""
SETTINGS = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={{folder}}/run/munge.socket
AccountingStorageTRES=gres/gpu,gres/gpu:a100,gres/gpu:v100
"""
ACCOUNT = "CREATE USER slurm@'127.0.0.1' IDENTIFIED BY 'slurm'; GRANT ALL ON accounting.* TO slurm@'127.0.0.1'"
TRIES = 200


@contextlib.contextmanager
def database(port: int) -> Iterator[None]:
    """Run a MariaDB in which Slurm may keep its accounting."""
    with tempfile.TemporaryDirectory(prefix="apportion-mariadb-", ignore_cleanup_errors=True) as folder:
        socket, user = f"--socket={folder}/socket", f"--user={getpass.getuser()}"
        data, plainly = f"--datadir={folder}/data", "--auth-root-authentication-method=normal"
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", data, user, plainly, "--skip-test-db"], check=True,
            capture_output=True,
        )  # fmt: skip
        daemon = subprocess.Popen(
            ["mariadbd", "--no-defaults", data, user, socket, f"--port={port}", "--bind-address=127.0.0.1"],
            stderr=subprocess.DEVNULL,
        )
        try:
            for _ in range(TRIES):
                made = ["mariadb", "--no-defaults", socket, "-u", "root", "-e", ACCOUNT]
                if subprocess.run(made, capture_output=True, check=False).returncode == 0:
                    break
                time.sleep(0.2)
            yield
        finally:
            daemon.terminate()
            daemon.wait()


@contextlib.contextmanager
def accounted_cluster() -> Iterator[SlurmCluster]:
    """Bring up a cluster of two nodes of eight A100 and one of eight V100 that keeps accounts."""
    storage = free_ports(2)
    port = storage + 1

    def before(cluster: SlurmCluster) -> None:
        """Start `slurmdbd`, which has to know the cluster first."""
        text = DAEMON.format(folder=cluster.folder, port=port, user=getpass.getuser(), storage=storage)
        file: Path = cluster.conf.with_name("slurmdbd.conf")
        file.touch(0o600)
        file.write_text(text)
        cluster.run("slurmdbd")
        for _ in range(TRIES):
            if "Adding" in cluster.run("sacctmgr", "-i", "add", "cluster", "test", check=False):
                return
            time.sleep(0.2)
        raise TimeoutError("slurmdbd did not come up")

    models = {"a100": 2, "v100": 1}
    with database(storage), plain.slurm_cluster(models, extra=SETTINGS.format(port=port), before=before) as cluster:
        yield cluster
