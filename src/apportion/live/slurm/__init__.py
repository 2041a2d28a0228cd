"""A Slurm cluster as a backend: jobs wait in a partition that is down, and are moved to the one that runs them.

`SlurmBackend` is the backend, `doctor`, `install` and `uninstall` prepare a cluster for it and put it back.
"""

from apportion.live.slurm.backend import SlurmBackend
from apportion.live.slurm.client import Slurm
from apportion.live.slurm.setup import Finding, doctor, install, uninstall

__all__ = ["Finding", "Slurm", "SlurmBackend", "doctor", "install", "uninstall"]
