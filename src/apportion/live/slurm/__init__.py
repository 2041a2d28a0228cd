"""A Slurm cluster as a backend: jobs wait in a partition that is down, and are moved to the one that runs them.

`SlurmBackend` is the backend, `Slurm` (its programs) and `Rest` (its REST daemon) are the ways to reach it; `doctor`,
`install` and `uninstall` prepare a cluster for it and put it back.
"""

from apportion.live.slurm.access import Access
from apportion.live.slurm.backend import SlurmBackend
from apportion.live.slurm.client import Slurm
from apportion.live.slurm.rest import Rest, rest_finding
from apportion.live.slurm.setup import Finding, doctor, install, uninstall

__all__ = ["Access", "Finding", "Rest", "Slurm", "SlurmBackend", "doctor", "install", "rest_finding", "uninstall"]
