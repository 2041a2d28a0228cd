"""The little languages inside Slurm's accounting fields: states, time limits, memory, TRES and GRES lists."""

from __future__ import annotations

import polars as pl

STATUS = {
    "COMPLETED": "completed",
    "COMPLETING": "completed",
    "CANCELLED": "cancelled",
    "FAILED": "failed",
    "TIMEOUT": "failed",
    "NODE_FAIL": "failed",
    "OUT_OF_MEMORY": "failed",
    "BOOT_FAIL": "failed",
    "DEADLINE": "failed",
    "PREEMPTED": "failed",
    "RUNNING": "censored",
    "PENDING": "censored",
    "SUSPENDED": "censored",
    "CONFIGURING": "censored",
    "STOPPED": "censored",
    "REQUEUED": None,
    "RESIZING": None,
    "REVOKED": None,
}
"""Slurm's job states -> `Workload.table['status']`; None = a record that is not the end of a job."""

CODES = (
    "PENDING",
    "RUNNING",
    "SUSPENDED",
    "COMPLETED",
    "CANCELLED",
    "FAILED",
    "TIMEOUT",
    "NODE_FAIL",
    "PREEMPTED",
    "BOOT_FAIL",
    "DEADLINE",
    "OUT_OF_MEMORY",
)
"""Base states by the number that Slurm's database stores (its low byte; higher bits are flags)."""

UNKNOWN_TIMES = ("Unknown", "None", "N/A", "NONE", "unknown")
NO_LIMIT = ("", "unlimited", "partition_limit", "invalid", "unknown", "none", "infinite", "not_set")
_UNITS = {"": 1.0, "K": 1 / 1024, "M": 1.0, "G": 1024.0, "T": 1024.0**2, "P": 1024.0**3}


def state_words(text: pl.Series) -> pl.Series:
    """Return the state without its tail (`CANCELLED by 1001`), completed where cut short (`OUT_OF_ME+`)."""
    first = text.str.strip_chars().str.to_uppercase().str.extract(r"^([A-Z_]+)", 1)
    words: dict[str, str] = {}
    for found in first.drop_nulls().unique().to_list():
        fitting = [word for word in STATUS if word == found] or [w for w in STATUS if w.startswith(found)]
        words[found] = fitting[0] if len(fitting) == 1 else found
    return first.replace_strict(words, default=None, return_dtype=pl.String)


def seconds_of_clock(text: pl.Series) -> pl.Series:
    """Return seconds from `[DD-[HH:]]MM:SS`, as `sacct` writes durations; null where it is not one."""
    parts = text.str.strip_chars().str.extract_groups(
        r"^(?:(?P<d>\d{1,9})-)?(?:(?P<h>\d{1,9}):)?(?P<m>\d{1,9}):(?P<s>\d{1,9}(?:\.\d+)?)$"
    )
    amount = [
        parts.struct.field(key).cast(pl.Float64).fill_null(0.0) * scale
        for key, scale in (("d", 86400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0))
    ]
    known = parts.struct.field("m").is_not_null()
    total = amount[0] + amount[1] + amount[2] + amount[3]
    return pl.select(pl.when(known).then(total)).to_series()


def counts(text: pl.Series) -> pl.Series:
    """Return counts such as `4` or `1.50K` (Slurm shortens by 1024) as f64; null where it is not one."""
    cell = text.str.strip_chars()
    scale = (
        cell.str.extract(r"([KMG])$", 1)
        .fill_null("")
        .replace_strict({"": 1.0, "K": 1024.0, "M": 1024.0**2, "G": 1024.0**3}, return_dtype=pl.Float64)
    )
    return cell.str.extract(r"^(\d+(?:\.\d+)?)[KMG]?$", 1).cast(pl.Float64, strict=False) * scale


def memory(text: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return MiB (null where not one) and of what: `4Gc` a core, `4000Mn` a node, `16G` the job."""
    groups = text.str.strip_chars().str.extract_groups(r"^(?P<n>\d+(?:\.\d+)?)(?P<u>[KMGTP]?)B?(?P<of>[cn]?)\??$")
    scale = groups.struct.field("u").fill_null("").replace_strict(_UNITS, return_dtype=pl.Float64)
    mib = groups.struct.field("n").cast(pl.Float64, strict=False) * scale
    return mib, groups.struct.field("of").fill_null("")


def tres_amount(text: pl.Series, key: str) -> pl.Series:
    """Return the amount of `key` in a TRES list such as `cpu=32,mem=64G` (memory in MiB), else null."""
    groups = text.str.extract_groups(rf"(?:^|,)\s*{key}=(?P<n>\d+(?:\.\d+)?)(?P<u>[KMGTP]?)")
    scale = groups.struct.field("u").fill_null("").replace_strict(_UNITS, return_dtype=pl.Float64)
    number = groups.struct.field("n").cast(pl.Float64, strict=False)
    return number * scale if key == "mem" else number


def gpus_of_tres(text: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return the GPUs (f64, null when none are named) and their models from `gres/gpu=8,gres/gpu:a100=8`.

    The plain entry is the total; without it the typed ones are added up. `gres/gpuutil` and `gres/gpumem` are
    not GPUs.
    """
    typed = text.str.extract_all(r"gres/gpu:[^=,]+=\d+")
    total = text.str.extract(r"gres/gpu=(\d+)", 1).cast(pl.Float64, strict=False)
    return _total(total, typed, r"=(\d+)$"), _models(typed, r"gpu:([^=,]+)=")


def gpus_of_gres(text: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return the GPUs (null when none are named) and models from `gpu:volta:2`, `gpu:2(S:0-1)`, `gpu`."""
    typed = text.str.extract_all(r"gpu:[^:,=()]+[:=]\d+")
    plain = text.str.extract(r"(?:^|[,:/])gpu[:=](\d+)(?:$|[,(])", 1).cast(pl.Float64, strict=False)
    bare = text.str.contains(r"(?:^|[,:/])gpu(?:$|,)").fill_null(False)
    total = _total(plain, typed, r"[:=](\d+)$")
    total = pl.select(pl.when(total.is_null() & bare).then(1.0).otherwise(total)).to_series()
    return total, _models(typed, r"gpu:([^:,=()]+)[:=]")


def _total(total: pl.Series, typed: pl.Series, pattern: str) -> pl.Series:
    added = pl.select(
        pl.lit(typed).list.eval(pl.element().str.extract(pattern, 1).cast(pl.Float64, strict=False)).list.sum()
    ).to_series()
    some = typed.list.len() > 0
    return pl.select(pl.coalesce(total, pl.when(some).then(added))).to_series()


def _models(typed: pl.Series, pattern: str) -> pl.Series:
    return pl.select(
        pl.lit(typed).list.eval(pl.element().str.extract(pattern, 1)).list.unique(maintain_order=True)
    ).to_series()
