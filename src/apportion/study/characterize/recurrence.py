"""How often the same work comes again, and how well its run time is foretold by what it took before."""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.model.words import percent
from apportion.study.characterize.figures import cdf, known
from apportion.study.characterize.running import starts
from apportion.study.characterize.section import Analysis, Section, Subject
from apportion.study.characterize.subject import says, take

NAMES = ("template", "job_name", "name", "array_job")
"""Columns that name the work of a job; the first under which some work comes again is taken."""
DEMAND = ("tasks", "gpus", "gpu_milli", "cpu_milli", "memory_mib")
"""What tells jobs of one user apart where no column names their work."""
MEMORY = 101
"""Earlier jobs of a kind that are remembered, the last ones; an odd number has a median that is one of them."""
CLOSE = 0.25
"""An error that is small, of the true run time (Weng et al., NSDI 2022)."""
MOST_JOBS = 2_000_000
TIMES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000)

KEY, TITLE = "recurrence", "How often work comes again, and how well it is foretold"


def look(subject: Subject) -> Section:
    """Group jobs by who submits and what; foretell each by the median of those of its group that had ended before.

    Only the past counts: a job is foretold by jobs of its group that had ended when it was submitted, of these the last
    `MEMORY`.
    """
    keys = _keys(subject.jobs)
    jobs = take(subject.jobs, "submit_s", "duration_s").with_columns(
        end_s=pl.Series(starts(subject.jobs)[1]), group_number=_numbers(subject.jobs, keys)
    )
    runs = jobs["group_number"].value_counts()["count"]
    repeats = _repeats(runs)
    sampled = jobs.height > MOST_JOBS
    if sampled:  # whole groups, so that the past of each stays whole
        part = MOST_JOBS / jobs.height
        jobs = jobs.filter(pl.col("group_number").hash(seed=0) <= int(part * (2**64 - 1)))
    told = foretell(jobs)
    numbers: dict[str, float] = {
        "groups": float(len(runs)),
        "median_runs": float(runs.median() or 0),  # type: ignore[arg-type]
        "jobs_in_groups_of_5_share": float(runs.filter(runs >= 5).sum()) / max(float(runs.sum()), 1.0),
        "foretold_share": told.height / max(jobs.height, 1),
    }
    if told.height > 1:
        true, guess = told["duration_s"], told["foretold_s"]
        numbers["within_25_pct_share"] = float(((guess - true).abs() <= CLOSE * true).mean())  # type: ignore[arg-type]
        factor = np.exp(np.abs(np.log(np.maximum(guess.to_numpy(), 1) / np.maximum(true.to_numpy(), 1))))
        numbers["median_error_factor"] = float(np.median(factor))
        ranks = told.select(pl.col("duration_s", "foretold_s").rank()).to_numpy()
        if ranks.std(axis=0).all():
            numbers["rank_correlation"] = float(np.corrcoef(ranks.T)[0, 1])
    found = known(numbers)
    named = any(name in keys for name in NAMES)
    sentences = _sentences(found, named)
    if sampled:
        sentences.append(f"Foretold are {jobs.height:,} jobs of groups drawn at random, of {subject.jobs.height:,}.")
    return Section(KEY, TITLE, found, {"repeats": repeats}, tuple(sentences))


def _keys(jobs: pl.DataFrame) -> list[str]:
    """Return the columns that say which jobs are alike."""
    who = [name for name in ("user", "group") if says(jobs, name)][:1]
    for name in NAMES:
        if says(jobs, name) and jobs[name].n_unique() <= 0.9 * jobs.height:
            return [*who, name]
    return [*who, *(name for name in DEMAND if says(jobs, name))]


def _numbers(jobs: pl.DataFrame, keys: list[str]) -> pl.Series:
    """Number the groups of jobs with the same `keys`."""
    if not keys:
        return pl.zeros(jobs.height, dtype=pl.Int64, eager=True)
    alike = take(jobs, *keys)
    distinct = alike.unique(maintain_order=True).with_row_index("number")
    numbers = alike.join(distinct, on=keys, how="left", maintain_order="left", nulls_equal=True)["number"]
    return numbers.cast(pl.Int64)


def _repeats(runs: pl.Series) -> pl.DataFrame:
    """Return `runs, groups_share, jobs_share`: of groups, and of jobs, those with at least so many runs."""
    at = [times - 0.5 for times in TIMES if times == 1 or bool((runs >= times).any())]
    jobs = [float(runs.filter(runs > least).sum()) / max(float(runs.sum()), 1.0) for least in at]
    return pl.DataFrame({"runs": [int(x + 0.5) for x in at], "groups_share": 1 - cdf(runs, at), "jobs_share": jobs})


def foretell(jobs: pl.DataFrame) -> pl.DataFrame:
    """Return `duration_s, foretold_s` of the jobs that some job of their group ended before.

    Parameters
    ----------
    jobs: `group_number`, `submit_s`, `end_s`, `duration_s`.
    """
    past = (
        jobs.select("group_number", "end_s", "duration_s")
        .sort("group_number", "end_s")
        .with_columns(
            foretold_s=pl.col("duration_s").rolling_median(MEMORY, min_samples=1).over("group_number"),
        )
        .select("group_number", "foretold_s", time_s="end_s")
        .sort("time_s")
    )
    asked = jobs.select("group_number", "duration_s", time_s="submit_s").sort("time_s")
    told = asked.join_asof(past, on="time_s", by="group_number", strategy="backward", check_sortedness=False)
    return told.select("duration_s", "foretold_s").drop_nulls()


def _sentences(numbers: dict[str, float], named: bool) -> list[str]:
    share = numbers["jobs_in_groups_of_5_share"]
    out = [
        f"{percent(share)} of the jobs are work that comes at least five times: "
        + ("what they will take can be learned." if share >= 0.5 else "most of the work is new when it comes.")
        if named
        else f"The trace does not name the work; {percent(share)} of the jobs are of a user and a demand that come at "
        "least five times."
    ]
    if "within_25_pct_share" in numbers:
        close = numbers["within_25_pct_share"]
        out.append(
            f"The median of earlier like jobs foretells {percent(close)} of run times to within 25 %; half of the "
            f"guesses are off by a factor of {numbers['median_error_factor']:.1f} or more."
        )
    if "rank_correlation" in numbers:
        rank = numbers["rank_correlation"]
        worth = (
            "good enough to put short jobs first by it"
            if rank >= 0.5
            else "some help to put short jobs first"
            if rank >= 0.25
            else "too little to put short jobs first by it"
        )
        out.append(f"Which of two jobs is longer is foretold with a rank correlation of {rank:.2f}: {worth}.")
    return out


ANALYSES = (
    Analysis(
        KEY,
        TITLE,
        ("duration_s",),
        look,
        "Weng et al., MLaaS in the Wild, NSDI'22; Hu et al., Characterization and Prediction, SC'21",
    ),
)
