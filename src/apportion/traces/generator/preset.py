"""What describes a cluster's workload: when jobs come, how large and long, whose, how they end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from apportion.traces.generator.quantiles import Array, Quantiles

DAY_S = 86_400.0


@dataclass(frozen=True, eq=False)
class Levels:
    """How many jobs of each stratum came on each day of an observed trace; a stratum is a range of run times of a size.

    Parameters
    ----------
    bounds: for each demand, the shares (0-1) of its shortest jobs at which a new stratum begins.
    first: for each demand, the index of its first stratum; demands may share one.
    days: f64[strata, days], jobs of calendar days, the first that of the first submission.
    hours: f64[days, 24], share of the jobs of all strata in each hour of the day. span_s: of the trace.
    """

    bounds: tuple[Array, ...]
    first: tuple[int, ...]
    days: Array
    hours: Array
    span_s: float


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
    batch_gap_s: mean time between the jobs of a batch; most of Philly's bursts are jobs a few seconds apart.
    batch_mix: weights of the demands among the batches; none = those of the jobs.
    levels: the days as they were, instead of a random factor for each and of the weekdays.
    """

    jobs_per_day: float
    hours: tuple[float, ...]
    weekdays: tuple[float, ...]
    daily_cv: float
    daily_correlation: float
    batch_probability: float
    batch_exponent: float
    batch_largest: int
    batch_gap_s: float = 1.0
    batch_mix: tuple[float, ...] = ()
    levels: Levels | None = None

    def __post_init__(self) -> None:
        if len(self.hours) != 24 or len(self.weekdays) != 7:
            raise ValueError("expected 24 hour weights and 7 weekday weights")


@dataclass(frozen=True)
class Demand:
    """Jobs that ask for the same.

    Parameters
    ----------
    gpus: devices of one task. share: of all jobs; any scale. durations: their run times.
    states: weights of the states of `states.STATES` among them; none where the source tells none.
    tasks: of the gang. gpu_milli: of each device.
    cpu_milli, memory_mib: asked for by a task, drawn for each template; None = not asked for.
    gpu_models: (model, or alternatives as `A|B`; share of the jobs bound to it), shares summing to at most 1.
    kind: what the job is for, where the source tells. priority, best_effort: as in `Workload.table`.
    """

    gpus: int
    share: float
    durations: Quantiles
    states: tuple[float, ...] = ()
    tasks: int = 1
    gpu_milli: int = 1000
    cpu_milli: Quantiles | None = None
    memory_mib: Quantiles | None = None
    gpu_models: tuple[tuple[str, float], ...] = ()
    kind: str = ""
    priority: int = 0
    best_effort: bool = False

    @property
    def size(self) -> float:
        """GPUs of the whole gang, fractions for shared devices."""
        return self.tasks * self.gpus * self.gpu_milli / 1000

    @property
    def label(self) -> str:
        """The demand in words, such as `8` or `100 x 0.25`."""
        each = f"{self.gpus * self.gpu_milli / 1000:g}"
        return each if self.tasks == 1 else f"{self.tasks} x {each}"


@dataclass(frozen=True)
class NodeKind:
    """Equal nodes of the attached cluster; CPU and memory None: never the bottleneck."""

    nodes: int
    gpus: int
    gpu_model: str | None = None
    cpu_milli: int | None = None
    memory_mib: int | None = None


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
    states, gpu_time_states: shares of jobs and of GPU time in the order of `states.STATES`; none = not known.
    gpus_per_node: of the attached cluster, whose nodes are those of the groups.
    kinds: the nodes instead, where they are not alike; such a cluster is not divided among the groups.
    gpu_utilisation: percent of GPU utilisation at levels in percent, drawn for each job.
    """

    name: str
    title: str
    source: str
    origin: datetime
    arrivals: Arrivals
    demands: tuple[Demand, ...]
    states: tuple[float, ...]
    gpu_time_states: tuple[float, ...]
    people: People
    groups: tuple[Group, ...]
    gpus_per_node: int
    gpu_model: str | None = None
    kinds: tuple[NodeKind, ...] = ()
    gpu_utilisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None

    def __post_init__(self) -> None:
        if any(len(group.shares) != len(self.demands) for group in self.groups):
            raise ValueError(f"{self.name}: expected one share of each group for each size")

    @property
    def capacity(self) -> int:
        """GPUs of the preset's own cluster."""
        if self.kinds:
            return sum(kind.nodes * kind.gpus for kind in self.kinds)
        return self.gpus_per_node * sum(group.nodes for group in self.groups)

    @property
    def gpu_seconds_per_job(self) -> float:
        """Expected GPU-seconds of a job."""
        total = sum(d.share for d in self.demands)
        return sum(d.share * d.size * d.durations.mean() for d in self.demands) / total

    def natural_load(self, capacity: int) -> float:
        """GPU-seconds that arrive in a second at the natural rate over `capacity` GPUs."""
        return self.gpu_seconds_per_job * self.arrivals.jobs_per_day / (DAY_S * capacity)

    def fitting(self, rooms: tuple[int, ...]) -> Preset:
        """Return the preset without what cannot run: group i has room for jobs of at most `rooms[i]` GPUs.

        The groups that are left share the jobs of each size; a size that fits nowhere is left out.
        """
        allowed = [
            tuple(s if d.size <= room else 0.0 for d, s in zip(self.demands, g.shares, strict=True))
            for g, room in zip(self.groups, rooms, strict=True)
        ]
        kept = [i for i in range(len(self.demands)) if any(shares[i] > 0 for shares in allowed)]
        groups = tuple(
            replace(g, shares=tuple(shares[i] for i in kept)) for g, shares in zip(self.groups, allowed, strict=True)
        )
        arrivals, levels = self.arrivals, self.arrivals.levels
        if arrivals.batch_mix:
            arrivals = replace(arrivals, batch_mix=tuple(arrivals.batch_mix[i] for i in kept))
        if levels is not None:
            bounds, first = tuple(levels.bounds[i] for i in kept), tuple(levels.first[i] for i in kept)
            arrivals = replace(arrivals, levels=replace(levels, bounds=bounds, first=first))
        return replace(self, demands=tuple(self.demands[i] for i in kept), groups=groups, arrivals=arrivals)
