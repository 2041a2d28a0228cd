"""Have a policy decide on a made-up situation, so that what it needs is compiled before it decides in earnest.

That takes seconds the first time on a machine. In the first cycle they would lie between looking and acting.
"""

from __future__ import annotations

import polars as pl

from apportion.live.decide import decide
from apportion.live.situation import ENDED, PENDING, RUNNING, Situation
from apportion.model.cluster import Cluster
from apportion.policies.registry import parse_policy

_NOW_S = 1000.0


def warm_up(policy: str, backfill: int = 0) -> None:
    """Let a new policy of that name decide once; the one in charge is not touched, as some remember what they saw."""
    decide(made_up(), parse_policy(policy), backfill=backfill)


def made_up() -> Situation:
    """Return a few jobs on two nodes: some over, one that runs and could be stopped, some that wait."""
    jobs = pl.DataFrame(
        {
            "job_id": ["done", "over", "runs", "large", "shares", "plain"],
            "submit_s": [0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
            "duration_s": [10.0, 20.0, 2000.0, 30.0, 40.0, 50.0],
            "tasks": [1, 1, 2, 2, 1, 1],
            "gpus": [1, 2, 4, 4, 1, 0],
            "gpu_milli": [1000, 1000, 1000, 1000, 500, 1000],
            "cpu_milli": [1000] * 6,
            "state": [ENDED, ENDED, RUNNING, PENDING, PENDING, PENDING],
            "started_s": [None, None, 10.0, None, None, None],
        }
    )
    places = pl.DataFrame({"job_id": ["runs", "runs"], "node": ["a", "b"], "devices": [15, 15]})
    nodes = pl.DataFrame({"node": ["a", "b"], "gpus": [4, 8], "cpu_milli": [8000, 8000]})
    return Situation.of(_NOW_S, Cluster.of(nodes), jobs, places)
