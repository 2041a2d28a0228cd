"""What a node draws: a server's own power, and its devices idle and busy.

Fitted to the quantiles that Hu et al. (NSDI 2024) publish for Acme: a server without GPUs draws 540 W (median), one
with eight idle A100 1,512 W (P10; 60 W a device), one with all busy about 4,900 W (P90; 395 W a device of 400 W).
"""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.engine.layout import F8
from apportion.model.hardware import watts_of

SERVER_W = 540.0
"""A server without GPUs."""
SLOT_W = 61.5
"""What a device adds to an idle server besides its own idle power (fans, links, losses): (1,512 - 540) / 8 - 60."""
BUSY_SHARE = 0.7
"""Draw of a device in use above idle, as a share of what is between idle and maximum: busy A100 draw 290 to 395 W of
400, jobs that hold a device use it part of the time."""


def node_watts(cluster: pl.DataFrame) -> tuple[F8, F8]:
    """Return, per node, the watts it draws switched on with nothing running, and what a device in use adds.

    cluster: the columns `gpus` and `gpu_model` of a cluster's table.
    """
    gpus = cluster["gpus"].to_numpy().astype(np.float64)
    by_model = {name: watts_of(name) for name in cluster["gpu_model"].unique().to_list()}
    idle = np.array([by_model[name][0] for name in cluster["gpu_model"].to_list()])
    most = np.array([by_model[name][1] for name in cluster["gpu_model"].to_list()])
    return SERVER_W + gpus * (SLOT_W + idle), BUSY_SHARE * (most - idle)
