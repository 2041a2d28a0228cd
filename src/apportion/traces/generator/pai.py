"""pai: Alibaba's Platform for AI, July and August 2020.

Weng et al., "MLaaS in the Wild: Workload Analysis and Scheduling in Large-Scale Heterogeneous GPU Clusters", NSDI'22;
durations and GPU time by size as the Acme paper (NSDI'24) plots them for this trace. Figures read by eye are within a
tenth. The trace's states are not tabulated anywhere: the column `status` stays empty.
"""

from datetime import datetime

from apportion.traces.generator.preset import Arrivals, Demand, Group, NodeKind, People, Preset
from apportion.traces.generator.quantiles import Quantiles
from apportion.traces.generator.split import split_by_size

# Tasks submitted in each hour of the day (medians). Weekdays are not published; the daily spread and the batches are
# those of Venus.
# fmt: off
HOURS = (1090, 730, 530, 450, 540, 540, 600, 710, 600, 700, 1090, 1110,
         770, 760, 970, 1000, 960, 1050, 810, 800, 760, 680, 610, 520)
# fmt: on
ARRIVALS = Arrivals(
    jobs_per_day=sum(HOURS),
    hours=HOURS,
    weekdays=(1.0,) * 7,
    daily_cv=0.4,
    daily_correlation=0.2,
    batch_probability=0.055,
    batch_exponent=2.2,
    batch_largest=400,
)

# Percent of jobs that run at most 1, 4, 8, 16, ... s.
# fmt: off
PERCENT = (0, 0.1, 0.1, 0.4, 3.0, 11.9, 21.1, 29.0, 39.6, 50.9, 60.8, 69.8, 78.5, 87.1, 93.2, 97.1, 99.0, 99.7,
           99.95, 100)
# fmt: on
DURATIONS = Quantiles.of(PERCENT, (1, 1, *(2.0**k for k in range(2, 20))))

# GPUs of one instance: percent of jobs and of GPU time. What lies at or below one GPU (97.1 % and 68.1 %) is divided
# as the requests are: 15 % below a quarter, 26.5 % below a half, 13 % below one.
UP_TO_ONE = ((1, 100, 15.0), (1, 250, 26.5), (1, 500, 13.0), (1, 1000, 42.6))
ABOVE = ((2, 1.5, 4.8), (4, 0.5, 5.8), (8, 0.9, 21.3))
UP_TO_ONE_GPU_TIME = 68.1

# Gangs: instances of a task and percent of tasks. From the share of instances that lie in tasks of so many (10 and
# more 75 %, 50 32 %, 100 20 %, 200 8 %, 400 6 %, 600 2 %; 15 % alone), divided by the middle of each range. Tasks that
# ask for several GPUs an instance are taken to have one.
INSTANCES = ((1, 15.0), (4, 2.5), (22, 1.95), (70, 0.171), (140, 0.086), (280, 0.007), (480, 0.0083), (700, 0.0029))

# A third of the GPU tasks name a model (as in the cluster of ATC'23); percent of the tasks by model.
TYPED = 0.33
MODELS = (("MISC", 67.0), ("T4", 22.0), ("P100", 7.0), ("V100", 3.0), ("V100M32", 2.0))
BOUND = tuple((model, TYPED * share / sum(s for _, s in MODELS)) for model, share in MODELS)

# Half of the tasks ask for exactly six cores, 17 % for at most one, 5 % for more than twelve; seven of ten for 29.3 GB.
CPU = Quantiles.of((0, 17, 30, 35, 88, 95, 100), (1000, 1000, 2000, 4000, 6000, 12000, 24000))
MEMORY = Quantiles.of((0, 10, 20, 90, 95, 100), (2000, 2000, 8000, 30_000, 60_416, 120_000))

# The machine table: 1,814 nodes with GPUs.
GIB = 1024
NODES = (
    NodeKind(280, 8, "MISC", 96_000, 512 * GIB),
    NodeKind(798, 2, "P100", 64_000, 512 * GIB),
    NodeKind(497, 2, "T4", 96_000, 512 * GIB),
    NodeKind(45, 8, "V100", 96_000, 384 * GIB),
    NodeKind(59, 8, "V100", 96_000, 512 * GIB),
    NodeKind(135, 8, "V100M32", 96_000, 384 * GIB),
)


def _demands() -> tuple[Demand, ...]:
    # One curve for all requests of at most one GPU, told apart from those above by their GPU time.
    share = [sum(s for *_, s in UP_TO_ONE), *(s for _, s, _ in ABOVE)]
    mean = sum(s * gpus * milli for gpus, milli, s in UP_TO_ONE) / share[0] / 1000
    sizes = (mean, *(float(gpus) for gpus, *_ in ABOVE))
    curves = split_by_size(DURATIONS, sizes, share, [UP_TO_ONE_GPU_TIME, *(time for *_, time in ABOVE)])
    of_all = sum(weight for _, weight in INSTANCES)
    found = [
        Demand(gpus, s * weight / of_all, curves[0], (), tasks, milli, CPU, MEMORY, BOUND)
        for gpus, milli, s in UP_TO_ONE
        for tasks, weight in INSTANCES
    ]
    found += [
        Demand(gpus, s, curve, (), 1, 1000, CPU, MEMORY, BOUND)
        for (gpus, s, _), curve in zip(ABOVE, curves[1:], strict=True)
    ]
    return tuple(found)


DEMANDS = _demands()

PRESET = Preset(
    name="pai",
    title="Alibaba PAI, 2020: gangs of instances on fractions of GPUs of five models",
    source="PAI (NSDI'22; durations and sizes as plotted in NSDI'24 Acme; batches of Venus)",
    origin=datetime(2020, 7, 1),
    arrivals=ARRIVALS,
    demands=DEMANDS,
    states=(),
    gpu_time_states=(),
    # Jobs of a user: median 80, P90 900, P98 7,000, most 300,000; the top 5 % submit 77 % of the instances. 1.26
    # million tasks over the mean of that distribution are about 1,300 users.
    people=People(users=1300, sigma=2.2, taste_sigma=0.8, user_variance=0.3, repeats=3, within=0.08),
    groups=(Group("pai", 0, (1.0,) * len(DEMANDS)),),
    gpus_per_node=8,
    kinds=NODES,
    # Of GPU-minutes, taken for jobs: 36 % idle.
    gpu_utilisation=((0, 36, 50, 75, 90, 98, 100), (0, 0, 3, 14, 73, 98, 100)),
)
