"""The text of a systemd unit that runs the controller with few rights."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

UNIT = """\
# /etc/systemd/system/apportion.service
#
# The user needs the right to start the jobs of others: make it an operator of Slurm
#   sacctmgr add user apportion account=root adminlevel=operator
# or, without accounting, run as SlurmUser (User= below). Nothing here needs root.
[Unit]
Description=apportion: {policy} in charge of Slurm
After=network-online.target slurmctld.service munge.service
Wants=network-online.target

[Service]
User=apportion
Group=apportion
ExecStart={command}
# SLURM_JWT=... for --rest, in a file that only root can read
EnvironmentFile=-/etc/apportion/token
# SIGTERM ends it after the running cycle; killed at any other point it goes on from what is so
Restart=always
RestartSec=5
TimeoutStopSec=60
# its memory, its log and what is compiled: /var/lib/apportion, /var/log/apportion, /var/cache/apportion
StateDirectory=apportion
LogsDirectory=apportion
CacheDirectory=apportion
StateDirectoryMode=0750
Environment=NUMBA_CACHE_DIR=/var/cache/apportion
# it reads slurm.conf and talks to munge and slurmctld, and needs nothing else
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictSUIDSGID=yes
RestrictRealtime=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
LockPersonality=yes
SystemCallArchitectures=native
UMask=0027
MemoryMax=1G

[Install]
WantedBy=multi-user.target
"""


def unit(policy: str, flags: Sequence[str] = ()) -> str:
    """Return the unit that runs `policy`; `flags` go to the command line as they are."""
    program = Path(sys.argv[0]).absolute() if Path(sys.argv[0]).name == "apportion" else Path("/usr/bin/apportion")
    words = [
        str(program), "live", "slurm", policy, "--memory", "/var/lib/apportion/memory.sqlite", "--log",
        "/var/log/apportion/live.jsonl", *flags,
    ]  # fmt: skip
    # systemd puts its own values for % and $, even between quotes
    command = " ".join(shlex.quote(word).replace("%", "%%").replace("$", "$$") for word in words)
    return UNIT.format(policy=policy.replace("%", "%%"), command=command)
