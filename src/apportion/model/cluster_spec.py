"""Where a cluster comes from: `100x8:V100+4x2:T4`, `pool:400`, or a YAML or CSV file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl

from apportion.model.cluster import COLUMNS, UNLIMITED, Cluster
from apportion.model.errors import InputError, did_you_mean

HELP = "NODESxGPUS[:MODEL] joined with + (100x8:V100+20x2:T4), pool:GPUS[:CPUS], or a .yaml or .csv file"
_PART = re.compile(r"(\d+)x(\d+)(?::([\w.-]+))?")
_POOL = re.compile(r"pool:(\d+)(?::(\d+(?:\.\d+)?))?")


def parse_cluster(spec: str) -> Cluster:
    """Return the cluster that `spec` names.

    `pool:400` is one undivided pool of 400 GPUs whose CPU is never the bottleneck; `pool:100:2322` has 2,322 cores.
    A YAML file is a list of node kinds, each with the columns of `Cluster.table` and `count` (default 1).

    Raises
    ------
    InputError: the text is none of these, or the file is missing or wrong.
    """
    text = spec.strip()
    pool = _POOL.fullmatch(text)
    if pool:
        cpu = round(float(pool[2]) * 1000) if pool[2] else UNLIMITED
        row: dict[str, Any] = {"node": "pool", "gpus": int(pool[1]), "cpu_milli": cpu, "pooled": True}
        return Cluster.of(pl.DataFrame([row]), name=text)
    parts = [_PART.fullmatch(p) for p in text.split("+")]
    if all(parts):
        rows = []
        for part in parts:
            assert part is not None
            rows += [{"gpus": int(part[2]), "gpu_model": part[3]}] * int(part[1])
        if not rows:
            raise InputError(f"cluster {spec!r}: found no nodes, expected at least one")
        return Cluster.of(pl.DataFrame(rows, schema={"gpus": pl.Int32, "gpu_model": pl.String}), name=text)
    path = Path(text)
    if path.suffix in (".yaml", ".yml", ".csv"):
        return read_cluster(path)
    raise InputError(f"found cluster {spec!r}, expected {HELP}")


def read_cluster(path: Path) -> Cluster:
    """Read a cluster from a YAML or CSV file with the columns of `Cluster.table`.

    Raises
    ------
    InputError: the file cannot be read or a value is wrong.
    """
    try:
        frame = pl.read_csv(path, infer_schema_length=None) if path.suffix == ".csv" else _read_yaml(path)
    except (OSError, pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the cluster: {str(error).splitlines()[0]}", file=path) from None
    try:
        return Cluster.of(frame, name=path.stem)
    except InputError as error:
        raise InputError(str(error), file=path) from None


def _read_yaml(path: Path) -> pl.DataFrame:
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"not YAML: {str(error).splitlines()[0]}", file=path) from None
    kinds = document.get("nodes") if isinstance(document, dict) else document
    if not isinstance(kinds, list) or not all(isinstance(kind, dict) for kind in kinds):
        raise InputError("expected a list of node kinds, each with `gpus` and, if wanted, `count`", file=path)
    rows: list[dict[str, Any]] = []
    for number, kind in enumerate(kinds, start=1):
        count = kind.get("count", 1)
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise InputError(f"found count {count!r}, expected a whole number", file=path, row=number)
        for key in kind:
            known = [*COLUMNS, "count"]
            near = did_you_mean(str(key), known) if key not in known else ""
            if near:  # other columns are kept; one that looks like a slip of the pen is not
                raise InputError(f"found {key!r}{near}", file=path, row=number)
        name = kind.get("node")
        for i in range(count):
            row = {k: v for k, v in kind.items() if k != "count"}
            if name is not None and count > 1:
                row["node"] = f"{name}-{i:04d}"
            rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None, strict=False)
