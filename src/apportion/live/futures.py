"""Possible futures of a live situation: how long its jobs take, who comes next. Drawn once, tried under any policy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from apportion.engine.layout import F8, I8
from apportion.live.situation import ENDED, RUNNING, Situation
from apportion.model.workload import COLUMNS, Workload
from apportion.predict.arrivals import Arrivals
from apportion.predict.run_time import RunTimes, Sampler

STREAM_S = 14 * 86_400.0
"""How far back jobs are looked at to say who comes next."""
LONG_S = 3 * 86_400.0
"""A history that reaches so far back knows the running jobs that began in it."""
LOOK_BACK = 20_000
"""Ended jobs from which run times and arrivals are drawn, the last ones: a controller itself looks back on fewer."""
FEW = 20
"""Submissions with which a past is worth copying."""


@dataclass(frozen=True)
class Later:
    """Jobs that will be submitted: rows of `Futures.stream`, submissions ascending, and seconds of work."""

    rows: I8
    submit_s: F8
    work_s: F8


@dataclass(frozen=True)
class Futures:
    """Draws of the future; the same number always gives the same future, whatever is tried in it.

    Parameters
    ----------
    draws: how many. seed: of everything drawn.
    job_ids: of the situation's jobs, in its order. run_times: what their run times are drawn from.
    stream: past jobs, by submission, that come again as later ones; `duration_s` and `estimate_s` as predicted.
    arrivals: how they come; None = nobody comes. stream_s: what the work of later ones is drawn from; a job of the
    stream that has ended comes again with the run time it had.
    """

    draws: int
    seed: int
    now_s: float
    job_ids: tuple[str, ...]
    run_times: Sampler
    stream: pl.DataFrame
    arrivals: Arrivals | None
    stream_s: Sampler
    _row_of: dict[str, int] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls,
        situation: Situation,
        history: pl.DataFrame | None = None,
        *,
        run_times: RunTimes | None = None,
        draws: int = 100,
        seed: int = 0,
        arrivals: bool = True,
    ) -> Futures:
        """Draw futures of a situation.

        Parameters
        ----------
        history: jobs that ended, oldest end first (columns of a workload, `duration_s` what they took), of which the
        last `LOOK_BACK` count; default: those of the situation. arrivals: whether jobs go on being submitted as in the
        last two weeks.
        """
        run_times = run_times or RunTimes()
        jobs = situation.jobs
        past = (history if history is not None else jobs.filter(pl.col("state") == ENDED)).tail(LOOK_BACK)
        known_past = past
        past = _with_running(situation, past, run_times, seed)
        sampler = run_times.sampler(past, jobs, _ran(situation))
        stream, process = _stream(situation, known_past) if arrivals else (jobs.clear(), None)
        open_ = stream["state"] != ENDED if stream.height else pl.Series([], dtype=pl.Boolean)
        ran = np.where(open_.to_numpy(), stream["ran_s"].to_numpy(), 0.0) if stream.height else np.zeros(0)
        drawn = run_times.sampler(past, stream, ran)
        if stream.height:
            known = np.flatnonzero(~open_.to_numpy())
            drawn = drawn.knowing(known, stream["duration_s"].to_numpy()[known])
            expected = run_times.predict(known_past, stream)
            stream = stream.with_columns(duration_s=expected, estimate_s=expected).drop("state", "ran_s")
        ids = tuple(jobs["job_id"])
        return cls(
            draws, seed, situation.now_s, ids, sampler, stream, process, drawn, {job: i for i, job in enumerate(ids)}
        )

    def work_s(self, draw: int, situation: Situation) -> F8:
        """Return seconds of work in all of each job of a situation, f8[jobs], in a draw.

        situation: that of the futures, or one changed from it; jobs it has and that one has not take as predicted.
        """
        work = self.run_times.draw(np.random.default_rng((self.seed, draw, 0)))
        table = situation.jobs
        if len(self.job_ids) == table.height and self.job_ids == tuple(table["job_id"]):
            return work
        rows = np.array([self._row_of.get(job, -1) for job in table["job_id"]], np.int64)
        return np.where(rows >= 0, work[rows], table["duration_s"].to_numpy())

    def later(self, draw: int, until_s: float) -> Later:
        """Return who is submitted before `until_s` in a draw."""
        if self.arrivals is None:
            return Later(np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
        rows, submit = self.arrivals.draw((self.seed, draw, 1), until_s)
        work = self.stream_s.draw(np.random.default_rng((self.seed, draw, 2)))
        return Later(rows, submit, work[rows])


def _ran(situation: Situation) -> F8:
    """Return how long each job has run: f8[jobs], seconds."""
    running = situation.jobs["state"] == RUNNING
    since = situation.now_s - situation.jobs["started_s"].fill_null(situation.now_s)
    current = np.where(running.to_numpy(), np.maximum(since.to_numpy(), 0.0), 0.0)
    return np.asarray(situation.jobs["attained_s"].to_numpy() + current, np.float64)


def _with_running(situation: Situation, past: pl.DataFrame, run_times: RunTimes, seed: int) -> pl.DataFrame:
    """Return the history with the running jobs, each with a time it may take.

    A young history knows only short jobs: the long ones have not ended. They are put in as Efron does ("The two sample
    problem with censored data", 1967), to the right of what they have run. Of the ended jobs those submitted before
    the history begins are left out, or the long ones would count twice.
    """
    running = situation.jobs.filter(pl.col("state") == RUNNING)
    if not past.height or not running.height:
        return past
    since = _complete_since(past, past)
    if situation.now_s - since < LONG_S:
        return past
    ran = _ran(situation)[(situation.jobs["state"] == RUNNING).to_numpy()]
    drawn = run_times.sampler(past, running, ran).draw(np.random.default_rng((seed, 0, 3)))
    running = running.with_columns(duration_s=pl.Series(drawn))
    keep = [name for name in past.columns if name in running.columns]
    both = pl.concat([past.select(keep), running.select(keep)], how="vertical_relaxed")
    return both.filter(pl.col("submit_s") >= since)


def _stream(situation: Situation, past: pl.DataFrame) -> tuple[pl.DataFrame, Arrivals | None]:
    """Return every job submitted lately, and how they came."""
    jobs = situation.jobs.with_columns(ran_s=pl.Series(_ran(situation))).filter(pl.col("state") != ENDED)
    ended = past.with_columns(state=pl.lit(ENDED), ran_s=pl.lit(0.0))
    keep = [name for name in jobs.columns if name in COLUMNS or name in ("state", "ran_s", "limit_s", "name")]
    frames = [frame.select([name for name in keep if name in frame.columns]) for frame in (ended, jobs)]
    both = pl.concat(frames, how="diagonal_relaxed").sort("submit_s", maintain_order=True)
    since = max(_complete_since(past, both), situation.now_s - STREAM_S)
    both = both.filter((pl.col("submit_s") >= since) & (pl.col("submit_s") <= situation.now_s))
    if both.height < FEW:
        return both, None
    return both, Arrivals(both["submit_s"].to_numpy().astype(np.float64), since, situation.now_s)


def recent(situation: Situation, past: pl.DataFrame) -> Workload:
    """Return every job submitted lately; those that have not ended take as long as is expected of them."""
    stream, _ = _stream(situation, past)
    stream = stream.with_columns(duration_s=pl.max_horizontal("duration_s", "ran_s"))
    return Workload.of(stream.drop("state", "ran_s"), name="recent jobs")


def _complete_since(past: pl.DataFrame, both: pl.DataFrame) -> float:
    """Return from when on no submission is missing: the history begins with an end, not with a submission."""
    first = float(both["submit_s"].min() or 0.0)  # type: ignore[arg-type]
    if not past.height:
        return first
    end = past["ended_s"] if "ended_s" in past.columns else past["submit_s"] + past["duration_s"]
    since = float(end.min())  # type: ignore[arg-type]
    return since if int((both["submit_s"] >= since).sum()) >= FEW else first
