"""When will it start: quantiles of a pending job's start, from the live situation run on into possible futures.

Not a promise: jobs that run longer than they ever did, users who never came before and nodes that fail are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict, Unpack

import numpy as np
import polars as pl

from apportion.engine.layout import F8
from apportion.live.forward import Forward, is_static
from apportion.live.futures import Futures
from apportion.live.lookup import row_of
from apportion.live.situation import PENDING, RUNNING, Situation
from apportion.model.errors import InputError, did_you_mean
from apportion.model.units import format_duration
from apportion.model.workload import COLUMNS
from apportion.policies.protocol import Policy
from apportion.predict.calibration import Calibration
from apportion.predict.run_time import RunTimes

QUANTILES = (0.1, 0.5, 0.9)
HORIZON_S = 30 * 86_400.0
"""How far ahead a start is looked for."""
DRAWS, FEWER_DRAWS = 100, 40
"""Possible futures that are looked at; fewer under orders that share or suspend, whose every pass looks at all jobs."""
REQUEST_ID = "request"
"""The id of a job that is only asked about."""


@dataclass(frozen=True)
class Forecast:
    """When a job starts.

    Parameters
    ----------
    job_id, policy, now_s: what it is about. waits_s: f8[draws], ascending, seconds from now to the start in every draw,
    inf = not within `horizon_s`. quantiles: level -> seconds from now, calibrated where `calibrated_on` (past
    predictions) is not 0. state: of the job; one that runs has started. impossible: it fits not even the idle cluster.
    """

    job_id: str
    policy: str
    now_s: float
    waits_s: F8
    quantiles: dict[float, float]
    horizon_s: float = HORIZON_S
    calibrated_on: int = 0
    state: str = PENDING
    impossible: bool = False

    @property
    def median_s(self) -> float:
        """Seconds from now, half of the draws start before."""
        return float(np.quantile(self.waits_s, 0.5, method="inverted_cdf")) if self.waits_s.size else 0.0

    def sentences(self) -> list[str]:
        """Return the prediction in plain words."""
        if self.impossible:
            return [f"job {self.job_id} can not start: it does not fit the idle cluster"]
        if self.state == RUNNING:
            return [f"job {self.job_id} runs since {format_duration(self.now_s + self.waits_s[0])}"]
        finite = self.waits_s[np.isfinite(self.waits_s)]
        if not finite.size:
            return [f"job {self.job_id} does not start within {format_duration(self.horizon_s)} in any of "
                    f"{self.waits_s.size} possible futures"]  # fmt: skip
        if self.waits_s[-1] <= 0:
            return [f"job {self.job_id} starts now"]
        if len(self.quantiles) == 1 or self.waits_s[0] == self.waits_s[-1]:
            return [f"job {self.job_id} starts in {self._in(next(iter(self.quantiles)))}"]
        low, high = min(self.quantiles), max(self.quantiles)
        middle = min(self.quantiles, key=lambda level: abs(level - 0.5))
        out = [
            f"job {self.job_id} starts in about {self._in(middle)}, "
            f"with {100 * (high - low):.0f} % chance between {self._in(low)} and {self._in(high)}"
        ]
        never = 1 - finite.size / self.waits_s.size
        if never:
            out.append(f"in {100 * never:.0f} % of the possible futures not within {format_duration(self.horizon_s)}")
        on = f"calibrated on {self.calibrated_on:,} past predictions" if self.calibrated_on else "not calibrated yet"
        return [*out, f"{self.waits_s.size} possible futures under {self.policy}; {on}"]

    def _in(self, level: float) -> str:
        wait = self.quantiles[level]
        return format_duration(wait) if np.isfinite(wait) else f"more than {format_duration(self.horizon_s)}"

    def summary(self) -> dict[str, Any]:
        """Return the prediction for JSON; a start beyond the horizon is null."""
        return {
            "job_id": self.job_id,
            "policy": self.policy,
            "state": self.state,
            "now_s": self.now_s,
            "draws": int(self.waits_s.size),
            "wait_s": {f"p{100 * level:g}": _finite(wait) for level, wait in self.quantiles.items()},
            "start_s": {f"p{100 * level:g}": _finite(self.now_s + wait) for level, wait in self.quantiles.items()},
            "beyond_horizon": float(np.isinf(self.waits_s).mean()) if self.waits_s.size else 0.0,
            "horizon_s": self.horizon_s,
            "calibrated_on": self.calibrated_on,
            "impossible": self.impossible,
        }


class Drawing(TypedDict, total=False):
    """How futures are drawn and read, see `predict_starts`."""

    draws: int | None
    seed: int
    quantiles: Sequence[float]
    calibration: Calibration | None
    arrivals: bool
    horizon_s: float
    backfill: int
    futures: Futures | None


def predict_start(
    situation: Situation,
    policy: Policy,
    job: str | Mapping[str, Any],
    history: pl.DataFrame | None = None,
    *,
    run_times: RunTimes | None = None,
    **drawing: Unpack[Drawing],
) -> Forecast:
    """Predict when a pending job, or one submitted now, starts.

    Parameters
    ----------
    job: the id of a job of the situation, or a request: columns of a workload such as `{"gpus": 4, "user": "ann"}`.
    history, run_times, drawing: as for `predict_starts`.

    Raises
    ------
    InputError: the job is not known (the nearest is named), has ended, or the request is wrong.
    """
    if not isinstance(job, str):
        if drawing.get("futures") is not None:
            raise InputError("found futures for a request, which they do not know; expected none")
        situation, job = with_request(situation, job, history, run_times or RunTimes())
    return predict_starts(situation, policy, [job], history, run_times=run_times, **drawing)[0]


def predict_starts(
    situation: Situation,
    policy: Policy,
    jobs: Sequence[str],
    history: pl.DataFrame | None = None,
    *,
    run_times: RunTimes | None = None,
    draws: int | None = None,
    seed: int = 0,
    quantiles: Sequence[float] = QUANTILES,
    calibration: Calibration | None = None,
    arrivals: bool = True,
    horizon_s: float = HORIZON_S,
    backfill: int = 0,
    futures: Futures | None = None,
) -> list[Forecast]:
    """Predict when each of these jobs starts, all in the same futures.

    Parameters
    ----------
    history: jobs that ended, oldest end first; default: those of the situation. run_times: looks run times up in it.
    draws: possible futures; default: `DRAWS`, or `FEWER_DRAWS` under orders whose passes take long.
    quantiles: between 0 and 1. calibration: learnt from past predictions.
    arrivals: whether jobs go on being submitted. backfill, seed: as the controller has them.
    futures: drawn already, of this very situation (then `history` to `arrivals` do not matter).

    Raises
    ------
    InputError: a job is not known (the nearest is named) or has ended.
    """
    if draws is None:
        draws = DRAWS if is_static(situation, policy, seed) else FEWER_DRAWS
    _check(draws, quantiles)
    rows = np.array([row_of(situation, job) for job in jobs], np.int64)
    running = (situation.jobs["state"].gather(rows) == RUNNING).to_numpy()
    waits = np.zeros((0, rows.size))
    able = np.ones(rows.size, bool)
    if not running.all():
        if futures is None:
            futures = Futures.of(situation, history, run_times=run_times, draws=draws, seed=seed, arrivals=arrivals)
        forward = Forward(situation, policy, futures, backfill=backfill, seed=seed)
        able = np.array([forward.can_run(int(row)) for row in rows])
        waiting = np.flatnonzero(~running)
        waits = np.zeros((futures.draws, rows.size))
        for draw, ran in enumerate(forward.runs(rows[waiting], horizon_s)):
            waits[draw, waiting] = ran.start_s - situation.now_s
    out = []
    for i, job in enumerate(jobs):
        about = (job, policy.name, situation.now_s)
        if running[i]:
            since = float(situation.jobs["started_s"][int(rows[i])]) - situation.now_s
            out.append(Forecast(*about, np.array([since]), dict.fromkeys(quantiles, since), horizon_s, state=RUNNING))
            continue
        mine = np.sort(waits[:, i])
        found = dict(zip(quantiles, _read(mine, quantiles, calibration).tolist(), strict=True))
        size = calibration.size if calibration is not None else 0
        out.append(Forecast(*about, mine, found, horizon_s, size, impossible=not able[i]))
    return out


def _read(waits: F8, quantiles: Sequence[float], calibration: Calibration | None) -> F8:
    if waits[-1] <= 0:
        return np.zeros(len(quantiles))  # it starts in this very moment: nothing is left to chance
    if calibration is None or not np.isfinite(waits[0]):
        return quantiles_of(waits, quantiles)
    return calibration.quantiles(waits, quantiles)


def quantiles_of(waits: F8, levels: Sequence[float]) -> F8:
    """Return quantiles of ascending waits, some of which may be infinite."""
    at = np.asarray(levels) * (waits.size - 1)
    low = np.floor(at).astype(int)
    high = np.ceil(at).astype(int)
    share = at - low
    with np.errstate(invalid="ignore"):
        between = waits[low] + share * (waits[high] - waits[low])
    return np.where(share == 0, waits[low], np.where(np.isfinite(waits[high]), between, np.inf))


def with_request(
    situation: Situation, request: Mapping[str, Any], history: pl.DataFrame | None, run_times: RunTimes
) -> tuple[Situation, str]:
    """Return the situation with one more pending job, submitted now, and its id.

    Raises
    ------
    InputError: the request names a column that no job has, or a value is wrong.
    """
    known = [*COLUMNS, "name", "limit_s"]
    for key in request:
        if key not in known:
            raise InputError(f"request: found {key!r}, which jobs do not have{did_you_mean(key, known)}")
    taken = set(situation.jobs["job_id"])
    name = str(request.get("job_id") or REQUEST_ID)
    while name in taken:
        name += "+"
    given = {key: value for key, value in request.items() if key not in ("duration_s", "submit_s", "job_id")}
    kinds = {key: situation.jobs.schema[key] for key in given if key in situation.jobs.columns}
    row: dict[str, Any] = {"job_id": name, "submit_s": situation.now_s, "duration_s": 0.0, **given}
    try:
        one = pl.DataFrame([row], schema_overrides=kinds)
    except (TypeError, pl.exceptions.PolarsError):
        raise InputError(f"request: found {dict(request)!r}, expected values as in a workload") from None
    fresh = Situation.of(situation.now_s, situation.cluster, one, situation.places.clear()).jobs
    if "name" in situation.jobs.columns and "name" not in fresh.columns:
        fresh = fresh.with_columns(name=pl.lit(""))
    past = history if history is not None else situation.jobs.filter(pl.col("state") == "ended")
    given_s = request.get("duration_s")
    expected = pl.Series([float(given_s)]) if given_s else run_times.predict(past, fresh)
    number = int(situation.jobs["number"].max() or 0) + 1 if situation.jobs.height else 0  # type: ignore[arg-type]
    fresh = fresh.with_columns(duration_s=expected, estimate_s=expected, number=pl.lit(number, pl.Int64))
    return replace(situation, jobs=pl.concat([situation.jobs, fresh], how="diagonal_relaxed")), name


def _check(draws: int, quantiles: Sequence[float]) -> None:
    if draws < 1:
        raise InputError(f"found {draws} draws, expected at least 1")
    for level in quantiles:
        if not 0 < level < 1:
            raise InputError(f"found quantile {level!r}, expected a number between 0 and 1")


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
