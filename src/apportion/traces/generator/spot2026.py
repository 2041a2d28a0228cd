"""spot2026: Alibaba's cluster with high-priority and spot jobs on six GPU models, 184 days.

Duan et al., "GFS: A Preemptive Scheduling Framework for GPU Clusters with Predictive Spot Management", ASPLOS'26;
tables computed from the released jobs by a third party (sultanul-ovi/GPU-Cluster-Spot-Resource-Dataset-Analysis) and
the released nodes. The trace has no calendar and no states.
"""

from datetime import datetime

from apportion.traces.generator.preset import Arrivals, Demand, Group, NodeKind, People, Preset
from apportion.traces.generator.quantiles import Quantiles
from apportion.traces.generator.split import split_by_size

JOBS, DAYS = 466_867, 184

# Jobs by hour of the day, in thousands. Time between two submissions: median 16 s, P90 86 s, P99 252 s.
# fmt: off
HOURS = (22.5, 15.9, 14.1, 13.4, 12.9, 14.1, 14.2, 15.0, 15.9, 17.0, 25.1, 25.7,
         19.8, 19.3, 25.3, 25.0, 27.0, 25.4, 20.0, 21.2, 21.9, 19.2, 18.8, 18.1)
# fmt: on
ARRIVALS = Arrivals(
    jobs_per_day=JOBS / DAYS,
    hours=HOURS,
    weekdays=(1.0,) * 7,
    daily_cv=0.4,
    daily_correlation=0.2,
    batch_probability=0.03,
    batch_exponent=2.2,
    batch_largest=400,
)

# Percent of jobs that run at most so long: one minute, ten, an hour, six, a day, three; P50, P90, P95, P99 and, from
# submission to the end of the trace, the longest.
DURATIONS = Quantiles.of(
    (0, 12.4, 37.1, 50, 72.0, 86.0, 90, 92.1, 94.0, 95, 99, 100),
    (5, 60, 600, 1216, 3600, 21_600, 45_773, 86_400, 259_200, 461_465, 5_663_026, DAYS * 86_400),
)

# High-priority and spot jobs: percent of jobs and of GPU time.
PRIORITIES = (("HP", 89.04, 97.6), ("Spot", 10.96, 2.4))

# Workers, GPUs of each in thousandths, percent of jobs. The totals: fractions 10.4 %, one 63.7, 2-4 10.5, 5-8 9.8,
# 9-16 2.6, 17-32 1.4, 33-64 0.7, 65-128 0.34, more 0.49; 91.6 % have one worker, the most 332.
SIZES = (
    (1, 500, 10.4),
    (1, 1000, 63.7),
    (1, 2000, 4.2),
    (2, 1000, 1.4),
    (1, 4000, 3.5),
    (4, 1000, 1.4),
    (1, 8000, 9.8),
    (2, 8000, 2.6),
    (4, 8000, 1.4),
    (8, 8000, 0.7),
    (16, 8000, 0.34),
    (32, 8000, 0.49),
)

NODES = (
    NodeKind(432, 8, "A100-SXM4-80GB"),
    NodeKind(2494, 1, "A10"),
    NodeKind(219, 8, "H800"),
    NodeKind(902, 1, "GPU-series-1"),
    NodeKind(10, 4, "GPU-series-1"),
    NodeKind(77, 8, "GPU-series-1"),
    NodeKind(122, 8, "GPU-series-2"),
    NodeKind(22, 8, "A800"),
)


def _models(gpus: int) -> tuple[tuple[str, float], ...]:
    """Return the models with nodes for a worker of `gpus` GPUs, in proportion to the GPUs of those nodes.

    Every job of the trace names its model; how many name which is not published.
    """
    held: dict[str, float] = {}
    for kind in NODES:
        if kind.gpus >= gpus and kind.gpu_model is not None:
            held[kind.gpu_model] = held.get(kind.gpu_model, 0.0) + kind.nodes * kind.gpus
    total = sum(held.values())
    return tuple((model, part / total) for model, part in held.items())


def _demands() -> tuple[Demand, ...]:
    # GPU time by size is not published. 78 % of it is in jobs of more than three days, 6 % of all: the long jobs must
    # be small. Sizes are given the same GPU time a job.
    sizes = [tasks * milli / 1000 for tasks, milli, _ in SIZES]
    shares = [jobs * percent for _, jobs, _ in PRIORITIES for *_, percent in SIZES]
    gpu_time = [time * percent for *_, time in PRIORITIES for *_, percent in SIZES]
    curves = split_by_size(DURATIONS, sizes * len(PRIORITIES), shares, gpu_time)
    cells = [(kind, jobs, size) for kind, jobs, _ in PRIORITIES for size in SIZES]
    found = []
    for (kind, jobs, (tasks, milli, percent)), curve in zip(cells, curves, strict=True):
        gpus = max(milli // 1000, 1)
        found.append(
            Demand(
                gpus,
                jobs * percent,
                curve,
                tasks=tasks,
                gpu_milli=milli // gpus,
                gpu_models=_models(gpus),
                priority=int(kind == "HP"),
                best_effort=kind == "Spot",
            )
        )
    return tuple(found)


DEMANDS = _demands()

# 84 organisations, of which the largest five hold 32, 29, 10, 5 and 4 % of the GPU time. Each is a user.
PEOPLE = People(users=84, sigma=2.3, taste_sigma=0.5, user_variance=0.2, repeats=3, within=0.08)

PRESET = Preset(
    name="spot2026",
    title="Alibaba 2026: high-priority jobs, and spot jobs on what they leave, on six GPU models",
    source="the spot trace of GFS (ASPLOS'26; published tables, nodes of the release; batches of Venus)",
    origin=datetime(2025, 1, 6),
    arrivals=ARRIVALS,
    demands=DEMANDS,
    states=(),
    gpu_time_states=(),
    people=PEOPLE,
    groups=(Group("spot2026", 0, (1.0,) * len(DEMANDS)),),
    gpus_per_node=8,
    kinds=NODES,
)
