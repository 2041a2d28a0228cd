"""What earlier jobs took: the look-ups behind history-based orders.

Weng et al., "MLaaS in the wild", NSDI 2022. As in the published simulators the history of a job is every job submitted
before it, in the order of the table, whether or not it had ended by then.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl


def mean_of_earlier(table: pl.DataFrame, keys: Sequence[str]) -> pl.Series:
    """Return, per row, the mean `duration_s` of the rows before it with the same `keys`; null where there is none.

    With no keys: of all rows before it.
    """
    duration = pl.col("duration_s")
    total = duration.cum_sum() - duration
    count = pl.int_range(pl.len(), dtype=pl.Int64)
    if keys:
        total, count = total.over(list(keys)), count.over(list(keys))
    mean = pl.when(count > 0).then(total / count)
    return table.select(mean.alias("mean_of_earlier")).to_series()


def back_off(table: pl.DataFrame, levels: Sequence[Sequence[str]]) -> pl.Series:
    """Return the mean of earlier rows by the first of `levels` that has any; 0 for the first row of all."""
    means = [mean_of_earlier(table, keys).alias(str(i)) for i, keys in enumerate(levels)]
    return pl.select(pl.coalesce(*means, pl.lit(0.0))).to_series()
