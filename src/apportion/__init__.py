"""apportion: understand, simulate and run GPU clusters.

`load` reads a trace, `simulate` runs it under a policy, `compare` under several; `Result` is what comes out.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from apportion.engine.plan import device_kernel, job_key_kernel, score_kernel, share_key_kernel
    from apportion.model import ApportionError, Cluster, NodeEvents, Signal, Trace, Workload
    from apportion.model.cluster_spec import parse_cluster
    from apportion.study.compare import Study, compare
    from apportion.study.defragment import defragment, make_room
    from apportion.study.fill import Filling, fill
    from apportion.study.fragmentation import gauge
    from apportion.study.result import Result
    from apportion.study.simulate import simulate
    from apportion.traces.registry import load

_HOME = {
    "load": "apportion.traces.registry",
    "simulate": "apportion.study.simulate",
    "compare": "apportion.study.compare",
    "Study": "apportion.study.compare",
    "fill": "apportion.study.fill",
    "gauge": "apportion.study.fragmentation",
    "defragment": "apportion.study.defragment",
    "make_room": "apportion.study.defragment",
    "Filling": "apportion.study.fill",
    "Result": "apportion.study.result",
    "parse_cluster": "apportion.model.cluster_spec",
    "Workload": "apportion.model",
    "Cluster": "apportion.model",
    "Signal": "apportion.model",
    "NodeEvents": "apportion.model",
    "Trace": "apportion.model",
    "ApportionError": "apportion.model",
    "score_kernel": "apportion.engine.plan",
    "device_kernel": "apportion.engine.plan",
    "job_key_kernel": "apportion.engine.plan",
    "share_key_kernel": "apportion.engine.plan",
}
__all__ = [
    "ApportionError",
    "Cluster",
    "Filling",
    "NodeEvents",
    "Result",
    "Signal",
    "Study",
    "Trace",
    "Workload",
    "compare",
    "defragment",
    "device_kernel",
    "fill",
    "gauge",
    "job_key_kernel",
    "load",
    "make_room",
    "parse_cluster",
    "score_kernel",
    "share_key_kernel",
    "simulate",
]


def __getattr__(name: str) -> Any:
    # imported when first used, so that the command line starts at once
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'apportion' has no attribute {name!r}")
