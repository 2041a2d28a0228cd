"""Statistics that several analyses share: quantiles by something, shares of the largest, spread of counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
"""Quantiles of every table of a distribution, interpolated between neighbours."""

MOST_ROWS = 20
"""Rows of a table by group, model or kind: those with the most jobs."""

F8 = npt.NDArray[np.float64]


def in_order(jobs: pl.DataFrame, value: str, keys: Sequence[str] = ()) -> pl.DataFrame:
    """Return the rows where `value` is known, by ascending `value`: then quantiles of anything are look-ups.

    Only `value` and `keys` are kept, and text becomes categories: whole tables of millions of jobs are never sorted.
    """
    text = [pl.col(key).cast(pl.Categorical) for key in keys if jobs.schema[key] == pl.String]
    frame = jobs.lazy().select(value, *keys).with_columns(text)
    if jobs[value].null_count():
        frame = frame.drop_nulls(value)
    return frame.sort(value).collect()


def quantiles(values: pl.Series) -> dict[str, float]:
    """Return `mean, p5 ... p99, max` of the values that are there; nothing where there are none."""
    inside = values.drop_nulls().sort().to_numpy()  # at once where they are known to be sorted
    if not len(inside):
        return {}
    return {"mean": float(inside.mean())} | _looked_up(inside) | {"max": float(inside[-1])}


def name(level: float) -> str:
    """Return `p5` for 0.05."""
    return f"p{100 * level:g}"


def by(frame: pl.DataFrame, key: str, value: str, most: int = MOST_ROWS) -> pl.DataFrame:
    """Return `key, jobs, share, mean, p5 ... p99, max` of `value`, a row for each value of `key`.

    Parameters
    ----------
    frame: best as `in_order` returns it, which several keys share. Rows whose key is null or empty are left out.
    most: rows of the table; of more kinds those with the most jobs. Labels of sizes are in their order.
    """
    if frame.schema[key] == pl.String or not frame[value].flags["SORTED_ASC"]:
        frame = in_order(frame, value, [key])
    keys, values = frame[key], frame[value].to_numpy()
    codes = keys.to_physical().cast(pl.Int32).fill_null(-1).to_numpy() + 1
    counts = np.bincount(codes)
    counts[0] = 0
    starts = np.concatenate([[0], np.cumsum(np.bincount(codes))])
    # a stable sort of small numbers is linear, and leaves the values of each key in their order
    small = codes.astype(np.uint16) if len(counts) < 1 << 16 else codes
    order = np.argsort(small, kind="stable")
    present = np.flatnonzero(counts)
    firsts = keys.gather(order[starts[present]]).cast(pl.String).to_list()
    named = [(code, label) for code, label in zip(present, firsts) if label]
    total = sum(int(counts[code]) for code, _ in named)
    if not isinstance(keys.dtype, pl.Enum):
        named = sorted(named, key=lambda item: (-counts[item[0]], item[1]))[:most]
    rows = []
    for code, label in named:
        mine = values[order[starts[code] : starts[code] + counts[code]]]
        about = {"mean": float(mine.mean())} | _looked_up(mine) | {"max": float(mine[-1])}
        rows.append({key: label, "jobs": int(counts[code]), "share": counts[code] / total} | about)
    columns = ("share", "mean", *(name(q) for q in LEVELS), "max")
    return pl.DataFrame(rows, schema={key: pl.String, "jobs": pl.Int64} | dict.fromkeys(columns, pl.Float64))


def _looked_up(ascending: F8) -> dict[str, float]:
    """Return the quantiles of sorted values, interpolated between neighbours."""
    at = np.array(LEVELS) * (len(ascending) - 1)
    low = at.astype(np.int64)
    below, above = ascending[low], ascending[np.minimum(low + 1, len(ascending) - 1)]
    return {name(q): float(v) for q, v in zip(LEVELS, below + (above - below) * (at - low))}


def ordered(table: pl.DataFrame, key: str, weight: str, most: int = MOST_ROWS) -> pl.DataFrame:
    """Return labels of sizes in their order; other keys as text, the `most` with the largest `weight` first."""
    if isinstance(table.schema[key], pl.Enum):
        return table.sort(key).with_columns(pl.col(key).cast(pl.String))
    named = table.with_columns(pl.col(key).cast(pl.String))
    return named.sort([weight, key], descending=[True, False]).head(most)


def cdf(values: pl.Series, at: Sequence[float], weights: pl.Series | None = None) -> F8:
    """Return the share of the values, or of their weights, that do not exceed each of `at` (ascending)."""
    # every value falls into one bin, and the bins add up: no sort of all of them
    bins = np.searchsorted(np.asarray(at, dtype=np.float64), values.to_numpy(), side="left")
    counts = np.bincount(bins, None if weights is None else weights.to_numpy(), minlength=len(at) + 1)
    total = counts.sum()
    return np.asarray(np.cumsum(counts[: len(at)]) / total if total > 0 else np.zeros(len(at)))


def share_of_top(amounts: F8, part: float) -> float:
    """Return the share of the total that the largest `part` (0 to 1) of the holders have.

    A part that is no whole number of holders is interpolated, as on a Lorenz curve.
    """
    total = float(amounts.sum())
    if total <= 0:
        return float("nan")
    holders = part * len(amounts)
    whole = min(int(holders), len(amounts) - 1)
    # what is asked for is a small part of many: no need to sort the others
    most = np.sort(np.partition(amounts, len(amounts) - 1 - whole)[len(amounts) - 1 - whole :])
    return float(most[1:].sum() + (holders - whole) * most[0]) / total


def gini(amounts: F8) -> float:
    """Return the Gini coefficient: 0 where all hold the same, near 1 where one holds all."""
    total = float(amounts.sum())
    if total <= 0 or len(amounts) == 0:
        return float("nan")
    ranks = np.arange(1, len(amounts) + 1)
    return float(2 * np.sum(ranks * np.sort(amounts)) / (len(amounts) * total) - (len(amounts) + 1) / len(amounts))


def dispersion(counts: F8) -> float:
    """Return variance over mean of counts: 1 for arrivals that know nothing of each other, more for bursts."""
    mean = float(counts.mean())
    return float(counts.var()) / mean if mean > 0 else float("nan")


def known(numbers: dict[str, float]) -> dict[str, float]:
    """Return the numbers that are finite, as plain floats: JSON knows no others."""
    return {key: float(value) for key, value in numbers.items() if np.isfinite(value)}
