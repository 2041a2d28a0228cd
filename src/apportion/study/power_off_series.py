"""What switching nodes off would have saved on a cluster of which only the nodes in use are known.

The open-loop replay of Hu et al. (SC 2021, section 4.3.3): a series of nodes in use, a forecast, the control. With the
released code's forecast, which looks ahead, and with one that does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from apportion.energy.power_off import Saving, follow
from apportion.engine.layout import F8, I8
from apportion.predict.nodes import DAY, Forecast, published

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Replay:
    """What came of it.

    Parameters
    ----------
    rmse, smape_pct: error of the forecast (the published one: of each step; the other: an hour ahead), in nodes and in
    percent. off: nodes off on average. use, use_on: share of all nodes in use, and of those that are on.
    ups_per_day, downs_per_day: how often nodes are switched. woken: nodes each time. lacking: nodes that were lacking,
    summed over steps. steps: `time, used, total, on`.
    """

    rmse: float
    smape_pct: float
    off: float
    use: float
    use_on: float
    ups_per_day: float
    downs_per_day: float
    woken: float
    lacking: int
    steps: pl.DataFrame


def replay_published(frame: pl.DataFrame, saving: Saving, validate: datetime, test: datetime, end: datetime) -> Replay:
    """Replay as the released code does.

    Parameters
    ----------
    frame: `time, used, total` every ten minutes (`predict.nodes.ten_minutes`). validate, test, end: when the data that
    stops the training, the replay and its end begin.
    """
    part = [frame.filter(pl.col("time") < validate)]
    part += [
        frame.filter((pl.col("time") >= a) & (pl.col("time") < b)) for a, b in ((validate, test), (test, end))
    ]  # fmt: skip
    predicted = published(*(p.select("time", "used") for p in part))
    used = part[2]["used"].to_numpy().astype(np.float64)
    whole = np.floor(predicted)  # as there
    near, far = _mean_ahead(whole, saving.future), _mean_ahead(whole, 2 * saving.future)
    return _replay(part[2], saving, near, far, predicted, used)


def replay(
    frame: pl.DataFrame,
    saving: Saving,
    test: datetime,
    end: datetime,
    progress: Callable[[int, int], None] | None = None,
) -> Replay:
    """Replay with a forecast that knows at each step what came before it, and is fitted anew every day.

    frame, test, end: as above. progress: called with (days done, days).
    """
    known = frame.filter(pl.col("time") < end)
    first = known.filter(pl.col("time") < test).height
    values = known["used"].to_numpy().astype(np.float64)
    start: datetime = known["time"][0]
    forecast = Forecast(2 * saving.future)
    ahead = np.zeros((values.size - first, forecast.steps))
    for at in range(first, values.size, DAY):
        forecast.fit(values[:at], start)
        rows = np.arange(at, min(at + DAY, values.size))
        ahead[rows - first] = forecast.many(values, start, rows)
        if progress is not None:
            progress((at - first) // DAY + 1, -(-(values.size - first) // DAY))
    near, far = ahead[:, : saving.future].mean(axis=1), ahead.mean(axis=1)
    hour = 6
    return _replay(known[first:], saving, near, far, ahead[:-hour, hour - 1], values[first + hour :])


def _replay(frame: pl.DataFrame, saving: Saving, near: F8, far: F8, predicted: F8, truth: F8) -> Replay:
    # a gap in the series: use stays as it was
    filled = frame.with_columns(pl.col("used", "total").forward_fill().backward_fill())
    used: I8 = filled["used"].to_numpy().astype(np.int64)
    total: I8 = filled["total"].to_numpy().astype(np.int64)
    near, far = (np.where(np.isfinite(x), x, used) for x in (near, far))
    on, control = follow(saving, used, total, near, far)
    days = frame.height / DAY
    good = np.isfinite(truth) & np.isfinite(predicted)
    error, size = np.abs(predicted - truth)[good], (np.abs(predicted) + np.abs(truth))[good]
    return Replay(
        rmse=float(np.sqrt(np.mean(error**2))),
        smape_pct=float(200 * np.mean(error / size)),
        off=float((total - on).mean()),
        use=float((used / total).mean()),
        use_on=float((used / on).mean()),
        ups_per_day=control.ups / days,
        downs_per_day=control.downs / days,
        woken=control.woken / control.ups if control.ups else 0.0,
        lacking=control.lacking,
        steps=filled.select("time", "used", "total", on=pl.Series(on)),
    )


def _mean_ahead(values: F8, steps: int) -> F8:
    """Return, per row, the mean of the `steps` values from it on (of those there are)."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    first = np.arange(values.size)
    last = np.minimum(first + steps, values.size)
    return np.asarray((total[last] - total[first]) / (last - first))
