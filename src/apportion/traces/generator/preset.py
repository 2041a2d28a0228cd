"""What describes a cluster's workload: when jobs come, how large and long, whose, how they end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from apportion.traces.generator.quantiles import Quantiles

DAY_S = 86_400.0


@dataclass(frozen=True)
class Arrivals:
    """Submissions over time.

    Parameters
    ----------
    jobs_per_day: natural rate.
    hours, weekdays: relative weights of the hours 0-23 and of Monday-Sunday; any scale.
    daily_cv: coefficient of variation of the day's own factor. daily_correlation: of its logarithm from day
    to day.
    batch_probability: share of submissions that bring several jobs of one user within seconds.
    batch_exponent, batch_largest: such a batch has k jobs, 2 <= k <= largest, with probability ~ k^-exponent.
    """

    jobs_per_day: float
    hours: tuple[float, ...]
    weekdays: tuple[float, ...]
    daily_cv: float
    daily_correlation: float
    batch_probability: float
    batch_exponent: float
    batch_largest: int

    def __post_init__(self) -> None:
        if len(self.hours) != 24 or len(self.weekdays) != 7:
            raise ValueError("expected 24 hour weights and 7 weekday weights")


@dataclass(frozen=True)
class Demand:
    """Jobs of one size.

    Parameters
    ----------
    gpus: devices asked for. share: of all jobs; any scale. durations: their run times.
    states: weights of completed, cancelled and failed among them.
    """

    gpus: int
    share: float
    durations: Quantiles
    states: tuple[float, float, float]


@dataclass(frozen=True)
class Group:
    """A virtual cluster.

    Parameters
    ----------
    nodes: that are its own when the cluster is divided.
    shares: weight of its jobs among the jobs of each size, in the order of `Preset.demands`.
    score: mean normal score of its jobs' durations among all jobs of the same size; 0 = like everyone's.
    """

    name: str
    nodes: int
    shares: tuple[float, ...]
    score: float = 0.0


@dataclass(frozen=True)
class People:
    """Users and how they repeat themselves.

    Parameters
    ----------
    users: how many. sigma: standard deviation of the logarithm of their numbers of jobs.
    taste_sigma: the same for how much a user prefers each size.
    user_variance: share (0-1) of the variance of log-durations of a size that lies between users, not their
    jobs.
    repeats: mean number of submissions of one template (a job with the same user, name and size).
    within: standard deviation of log-durations inside a template over that of all jobs.
    """

    users: int
    sigma: float
    taste_sigma: float
    user_variance: float
    repeats: float
    within: float


@dataclass(frozen=True)
class Preset:
    """One cluster's workload.

    Parameters
    ----------
    source: paper and tables. origin: calendar time of second 0 (its weekday matters).
    states, gpu_time_states: completed, cancelled, failed as shares of jobs and of GPU time.
    gpus_per_node: of the attached cluster, whose nodes are those of the groups.
    """

    name: str
    title: str
    source: str
    origin: datetime
    arrivals: Arrivals
    demands: tuple[Demand, ...]
    states: tuple[float, float, float]
    gpu_time_states: tuple[float, float, float]
    people: People
    groups: tuple[Group, ...]
    gpus_per_node: int
    gpu_model: str | None = None

    def __post_init__(self) -> None:
        if any(len(group.shares) != len(self.demands) for group in self.groups):
            raise ValueError(f"{self.name}: expected one share of each group for each size")

    @property
    def capacity(self) -> int:
        """GPUs of the preset's own cluster."""
        return self.gpus_per_node * sum(group.nodes for group in self.groups)

    @property
    def gpu_seconds_per_job(self) -> float:
        """Expected GPU-seconds of a job."""
        total = sum(d.share for d in self.demands)
        return sum(d.share * d.gpus * d.durations.mean() for d in self.demands) / total

    def natural_load(self, capacity: int) -> float:
        """GPU-seconds that arrive in a second at the natural rate over `capacity` GPUs."""
        return self.gpu_seconds_per_job * self.arrivals.jobs_per_day / (DAY_S * capacity)

    def fitting(self, rooms: tuple[int, ...]) -> Preset:
        """Return the preset without what cannot run: group i has room for jobs of at most `rooms[i]` GPUs.

        The groups that are left share the jobs of each size; a size that fits nowhere is left out.
        """
        allowed = [
            tuple(s if d.gpus <= room else 0.0 for d, s in zip(self.demands, g.shares, strict=True))
            for g, room in zip(self.groups, rooms, strict=True)
        ]
        kept = [i for i in range(len(self.demands)) if any(shares[i] > 0 for shares in allowed)]
        groups = tuple(
            replace(g, shares=tuple(shares[i] for i in kept)) for g, shares in zip(self.groups, allowed, strict=True)
        )
        return replace(self, demands=tuple(self.demands[i] for i in kept), groups=groups)
