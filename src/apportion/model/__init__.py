"""Workload, cluster, signal, hardware catalogue, units: data without behaviour."""

from apportion.model.cluster import Cluster
from apportion.model.errors import ApportionError, InputError, PolicyError, UsageError
from apportion.model.signal import NodeEvents, Signal
from apportion.model.trace import QualityReport, Trace
from apportion.model.workload import Workload

__all__ = [
    "ApportionError",
    "Cluster",
    "InputError",
    "NodeEvents",
    "PolicyError",
    "QualityReport",
    "Signal",
    "Trace",
    "UsageError",
    "Workload",
]
