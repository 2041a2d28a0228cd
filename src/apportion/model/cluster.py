"""The cluster: a table of nodes; a node has GPUs of one model, CPU, memory and a place in the topology."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from apportion.model.errors import InputError
from apportion.model.table import REQUIRED, Column, conform

UNLIMITED = 1 << 40
"""CPU (milli) or memory (MiB) of a node that does not say: never the bottleneck."""

MAX_DEVICES = 32
"""Largest number of GPUs of a node whose devices are told apart; a pool may have any number."""

COLUMNS: dict[str, Column] = {
    "node": Column(pl.String, None, "name of the node; default: node-0000 ...", nullable=True),
    "gpu_model": Column(pl.String, None, "model of its GPUs, or null", nullable=True),
    "gpus": Column(pl.Int32, REQUIRED, "number of GPUs", minimum=0),
    "gpu_memory_mib": Column(pl.Int64, None, "memory of one GPU, or null", nullable=True, minimum=0),
    "cpu_milli": Column(pl.Int64, UNLIMITED, "milli-cores; default: never the bottleneck", minimum=0),
    "memory_mib": Column(pl.Int64, UNLIMITED, "MiB; default: never the bottleneck", minimum=0),
    "rack": Column(pl.String, None, "rack, or null", nullable=True),
    "group": Column(pl.String, None, "only jobs of this group run here; null = every job", nullable=True),
    "zone": Column(pl.String, None, "zone of price and carbon signals, or null", nullable=True),
    "price_usd_per_h": Column(pl.Float64, None, "price of the whole node, or null", nullable=True, minimum=0),
    "pooled": Column(pl.Boolean, False, "its GPUs are one divisible amount (several published simulators do so)"),
}


@dataclass(frozen=True)
class Cluster:
    """Nodes; build one with `Cluster.of`, or from text with `apportion.model.cluster_spec.parse_cluster`."""

    table: pl.DataFrame
    name: str = "cluster"

    @classmethod
    def of(cls, frame: pl.DataFrame, *, name: str = "cluster") -> Cluster:
        """Conform `frame` to the cluster's columns.

        Raises
        ------
        InputError: a value is missing or out of range, a node has too many devices, or two nodes share a name.
        """
        table = conform(frame, COLUMNS, "cluster")
        if table.height == 0:
            raise InputError("cluster: found no nodes, expected at least one")
        if table["node"].null_count():
            numbers = pl.Series([f"node-{i:04d}" for i in range(table.height)])
            table = table.with_columns(node=table["node"].fill_null(numbers))
        many = (table["gpus"] > MAX_DEVICES) & ~table["pooled"]
        if many.any():
            row = int(many.arg_max() or 0)
            raise InputError(
                f"cluster: found {table['gpus'][row]} GPUs in one node, expected at most {MAX_DEVICES} "
                f"(write pool:{table['gpus'][row]} for one undivided pool)",
                row=row + 1,
                column="gpus",
            )
        twice = table["node"].is_duplicated()
        if twice.any():
            row = int(twice.arg_max() or 0)
            raise InputError(f"cluster: found the name {table['node'][row]!r} twice", row=row + 1, column="node")
        return cls(table, name)

    @property
    def gpus(self) -> int:
        """All devices of the cluster."""
        return int(self.table["gpus"].sum())

    def __len__(self) -> int:
        return self.table.height
