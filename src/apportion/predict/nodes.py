"""How many nodes will be in use: the forecast behind Helios' Cluster Energy Saving, as published and without the leak.

Hu et al., SC 2021, section 4.3.3. The released code predicts each ten-minute step from the calendar and from use 3
hours and 1 hour before that very step (`published`); its control then reads predictions of the next 5 or 10 hours,
which were made from use of hours that lie ahead. `Forecast` predicts the change of use over every horizon from what is
known now, and can be used on a running cluster.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

from apportion.engine.layout import F8, I8

STEP = timedelta(minutes=10)
HOUR, DAY = 6, 144
"""Steps."""
ROUNDS, PATIENCE = 10_000, 200
"""Boosting rounds at most, and without improvement on the validation data."""
BOOSTING: dict[str, Any] = {
    "metric": "rmse",
    "bagging_fraction": 0.85,
    "bagging_freq": 1,
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
}


def ten_minutes(time: pl.Series, **values: pl.Series) -> pl.DataFrame:
    """Return the largest value of each ten minutes, a row for every step: `time` and the values, null in gaps."""
    frame = pl.DataFrame({"time": time, **values}).sort("time")
    frame = frame.group_by_dynamic("time", every="10m").agg(pl.all().max())
    return frame.upsample("time", every="10m")


def published_features(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the released code's features of each step: calendar, use 1 h before (mean, median and standard deviation
    of 30 and 60 minutes) and use 3 h before, also smoothed."""
    at = pl.col("time").dt
    used = pl.col("used").cast(pl.Float64)
    calendar = [
        at.year().alias("year"), at.month().alias("month"), at.day().alias("day"), at.hour().alias("hour"),
        at.minute().alias("minute"), at.weekday().alias("weekday"), at.ordinal_day().alias("yearday"),
        at.week().alias("week"),
    ]  # fmt: skip
    lagged = used.shift(HOUR)
    rolled: list[pl.Expr] = []
    for size in (HOUR // 2, HOUR):
        window = pl.concat_list([lagged.shift(k) for k in range(size)])
        whole = pl.sum_horizontal(lagged.shift(k).is_null() for k in range(size)) == 0
        for name in ("mean", "median", "std"):
            # over the window itself: running sums leave rounding errors, on which trees split
            value = getattr(window.list, name)()
            rolled.append(pl.when(whole).then(value).alias(f"{name}_{size}"))
    ago = 3 * HOUR
    smooth = 0.5 * used.shift(ago) + 0.25 * (used.shift(ago + 1) + used.shift(ago - 1))
    return frame.select(*calendar, *rolled, used.shift(ago).alias("ago_3h"), smooth.alias("ago_3h_smooth"))


def published(train: pl.DataFrame, validate: pl.DataFrame, test: pl.DataFrame) -> F8:
    """Return the released code's prediction of each step of `test`, f8[steps]; see the module's text for what is wrong.

    train, validate, test: `time` and `used` every ten minutes, one after the other. As there, gaps count as zero nodes
    in the labels, and the features of `test` do not look back before it.
    """
    both = pl.concat([train, validate])
    features = published_features(both).to_numpy().astype(np.float64)
    labels = both["used"].fill_null(0).to_numpy().astype(np.float64)
    model = _boost(features, labels, train.height)
    return np.asarray(model.predict(published_features(test).to_numpy().astype(np.float64)), np.float64)


def _boost(features: F8, labels: F8, first: int, patience: int = PATIENCE) -> Any:
    """Return trees fitted on the first rows, stopped early on the others."""
    import lightgbm

    data = lightgbm.Dataset(features[:first], labels[:first])
    check = lightgbm.Dataset(features[first:], labels[first:], reference=data)
    stop = lightgbm.early_stopping(patience, verbose=False)
    return lightgbm.train(BOOSTING, data, ROUNDS, valid_sets=[check], callbacks=[stop])


@dataclass
class Forecast:
    """Use of the coming steps, from what is known now.

    Parameters
    ----------
    steps: horizon. every: horizons that trees are taught; those in between are interpolated. origins: moments of the
    past that teach at most.
    """

    steps: int
    every: int = 10
    origins: int = 2_500
    _model: Any = field(default=None, init=False)

    def fit(self, used: F8, start: datetime) -> None:
        """Learn from f8[steps] of the past, nan in gaps, the first at `start`; the last fifth tells when to stop.

        With less than two days it learns nothing, and use is forecast to stay.
        """
        if used.size < 2 * DAY:
            return
        horizons = self._horizons()
        last = used.size - int(horizons[-1])
        origins = np.unique(np.linspace(DAY, last - 1, min(self.origins, max(last - DAY, 1))).astype(np.int64))
        features, labels = [], []
        for h in horizons:
            features.append(self._features(used, start, origins, int(h)))
            labels.append(used[origins + h] - used[origins])
        x, y = np.concatenate(features), np.concatenate(labels)
        when = np.tile(origins, horizons.size)
        known = np.isfinite(y)
        # what teaches ends before what is checked on begins, with all that its labels know
        split = int(np.quantile(origins, 0.8))
        early, late = known & (when + horizons[-1] < split), known & (when >= split)
        if early.sum() < 100 or late.sum() < 20:
            return
        order = np.concatenate([np.flatnonzero(early), np.flatnonzero(late)])
        self._model = _boost(x[order], y[order], int(early.sum()), PATIENCE // 8)

    def ahead(self, used: F8, start: datetime) -> F8:
        """Return the forecast of the next steps after the last of `used`, f8[steps]; `used` as for `fit`."""
        now = used[-1]
        if self._model is None or used.size <= DAY:
            return np.full(self.steps, now)
        horizons = self._horizons()
        origin = np.array([used.size - 1])
        rows = np.concatenate([self._features(used, start, origin, int(h)) for h in horizons])
        change = np.asarray(self._model.predict(rows), np.float64)
        steps = np.arange(1, self.steps + 1)
        return np.asarray(np.interp(steps, np.append(0, horizons), np.append(0.0, change)) + now, np.float64)

    def many(self, used: F8, start: datetime, origins: I8) -> F8:
        """Return the forecasts made at several moments, f8[origins, steps]: row by row what `ahead` gives."""
        now = used[origins][:, None]
        if self._model is None:
            return np.repeat(now, self.steps, axis=1)
        horizons = self._horizons()
        change = np.stack(
            [np.asarray(self._model.predict(self._features(used, start, origins, int(h)))) for h in horizons], axis=1
        )
        change[origins < DAY] = 0.0
        grid = np.concatenate([[0], horizons])
        padded = np.concatenate([np.zeros((origins.size, 1)), change], axis=1)
        steps = np.arange(1, self.steps + 1)
        right = np.searchsorted(grid, steps).clip(1)
        share = (steps - grid[right - 1]) / (grid[right] - grid[right - 1])
        return np.asarray(now + padded[:, right - 1] * (1 - share) + padded[:, right] * share)

    def _horizons(self) -> I8:
        return np.unique(np.append(np.arange(1, self.steps + 1, self.every), self.steps))

    def _features(self, used: F8, start: datetime, origins: I8, horizon: int) -> F8:
        """Return f8[origins, features] of what is known at each moment, and of the calendar at the horizon."""
        minutes = start.hour * 60 + start.minute + 10 * (origins + horizon)
        weekday = (start.weekday() + minutes // 1440) % 7
        now = used[origins]
        back = {k: used[np.maximum(origins - k, 0)] for k in (1, 3, HOUR, 3 * HOUR)}
        # the last time of the day of the horizon that is known, and use at this time of that day
        days = -(-horizon // DAY)
        then, before = origins + horizon - days * DAY, origins - days * DAY
        yesterday = np.where(before >= 0, used[np.maximum(then, 0)] - used[np.maximum(before, 0)], np.nan)
        spread = _spread(used)[origins]
        columns = [
            np.full(origins.size, float(horizon)), (minutes % 1440) / 60, weekday.astype(float), now,
            *(now - value for value in back.values()), yesterday, spread,
        ]  # fmt: skip
        return np.stack(columns, axis=1)


def _spread(used: F8) -> F8:
    """Return, per step, use now less its mean of the last day (of what there is of it)."""
    known = np.where(np.isfinite(used), used, 0.0)
    total = np.concatenate([[0.0], np.cumsum(known)])
    count = np.concatenate([[0.0], np.cumsum(np.isfinite(used))])
    last = np.arange(1, used.size + 1)
    first = np.maximum(last - DAY, 0)
    return np.asarray(used - (total[last] - total[first]) / np.maximum(count[last] - count[first], 1))
