"""Workload, cluster, signal, hardware catalogue, units: data without behaviour."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apportion.model.cluster import Cluster
    from apportion.model.errors import ApportionError, InputError, PolicyError, UsageError
    from apportion.model.hardware import GpuModel
    from apportion.model.signal import NodeEvents, Signal
    from apportion.model.trace import QualityReport, Trace
    from apportion.model.workload import Workload

_HOME = {
    "ApportionError": "errors",
    "Cluster": "cluster",
    "GpuModel": "hardware",
    "InputError": "errors",
    "NodeEvents": "signal",
    "PolicyError": "errors",
    "QualityReport": "trace",
    "Signal": "signal",
    "Trace": "trace",
    "UsageError": "errors",
    "Workload": "workload",
}
__all__ = [
    "ApportionError",
    "Cluster",
    "GpuModel",
    "InputError",
    "NodeEvents",
    "PolicyError",
    "QualityReport",
    "Signal",
    "Trace",
    "UsageError",
    "Workload",
]


def __getattr__(name: str) -> Any:
    # imported when first used: the command line needs the errors long before any table
    if name in _HOME:
        return getattr(import_module(f"apportion.model.{_HOME[name]}"), name)
    raise AttributeError(f"module 'apportion.model' has no attribute {name!r}")
