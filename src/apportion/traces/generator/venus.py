"""Venus: one of SenseTime's Helios clusters, April to September 2020.

Hu et al., "Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU Datacenters", SC'21.
Distribution functions are read from the paper's vector figures (exact to 0.1 points), arrivals from the
10-minute counts and nodes from the VC table that the Lucid artifact publishes (S-Lab-System-Group/Lucid,
data/Venus).
"""

from datetime import datetime

from apportion.traces.generator.preset import Arrivals, Demand, Group, People, Preset
from apportion.traces.generator.quantiles import Quantiles
from apportion.traces.generator.split import split_by_size

# fmt: off
HOURS = (0.90, 0.66, 0.60, 0.38, 0.27, 0.21, 0.19, 0.22, 0.37, 0.80, 1.29, 1.47,
         1.16, 1.30, 1.56, 1.66, 1.73, 1.73, 1.28, 1.31, 1.34, 1.36, 1.15, 1.04)
# fmt: on
WEEKDAYS = (1.02, 1.10, 1.27, 1.20, 0.95, 0.68, 0.77)

# Lucid's cluster_throughput.csv: GPU jobs by hour and weekday; variance over mean of 10-minute counts 15.4,
# mean 4.8, P99 26. The daily factor has the spread of daily totals that weekdays leave.
ARRIVALS = Arrivals(
    jobs_per_day=691.8,
    hours=HOURS,
    weekdays=WEEKDAYS,
    daily_cv=0.4,
    daily_correlation=0.2,
    batch_probability=0.055,
    batch_exponent=2.2,
    batch_largest=400,
)

# Percent of GPU jobs that run at most 2^k s. The last two knots are set within the accuracy of reading (99.9
# at 2^20) so that the natural load comes near the published use of the GPUs (72 % of 1,022 on average).
# fmt: off
PERCENT = (0, 1.9, 4.1, 6.4, 9.6, 14.8, 23.2, 37.6, 55.1, 65.1, 72.9, 78.5, 83.7, 86.9, 89.6, 92.3, 95.4,
           97.5, 98.9, 99.6, 99.95, 100)
# fmt: on
DURATIONS = Quantiles.of(PERCENT, (1, 1, *(2.0**k for k in range(2, 22))))

GPUS = (1, 2, 4, 8, 16, 32, 64, 96, 128)

# Percent of jobs and of GPU time of each size. What lies above 64 GPUs (1.3 % and 9.1 %) is divided so that a
# job asks for 6.73 GPUs on average, as the 10-minute counts say.
JOBS = (51.8, 5.6, 7.4, 25.2, 4.1, 3.7, 0.9, 0.9, 0.4)
GPU_TIME = (4.6, 3.4, 4.8, 29.3, 16.2, 25.1, 7.5, 5.7, 3.4)

# Completed, cancelled, failed in percent of jobs by size: Helios, all four clusters.
STATES_BY_SIZE = (
    (66.8, 18.5, 14.7),
    (40.5, 32.5, 27.0),
    (57.6, 19.4, 23.0),
    (55.1, 29.2, 15.7),
    (42.8, 46.3, 10.9),
    (43.9, 41.1, 15.0),
    (21.3, 68.5, 10.2),
    (21.3, 68.5, 10.2),
    (21.3, 68.5, 10.2),
)
STATES = (52.6, 27.2, 20.2)
GPU_TIME_STATES = (51.6, 39.9, 8.5)

# Lucid's vc_config.csv: nodes of each VC. Their shares of jobs are not public: taken in proportion to the
# nodes, among the VCs where a job fits.
NODES = {
    "vcEwI": 9,
    "vcWoR": 5,
    "vcHvQ": 8,
    "vcvGl": 20,
    "vc8Gr": 6,
    "vcKeu": 12,
    "vcKrE": 4,
    "vcYVn": 11,
    "vchbv": 4,
    "vcLTP": 8,
    "vchA3": 3,
    "vcJsw": 32,
    "vcefl": 10,
    "vcvlY": 2,
    "vcgkz": 1,
}
GPUS_PER_NODE = 8

# Top 1/5/10/20/50 % of about 310 users hold 32/60/75/88/99 % of GPU time; repeats as in Weng et al., NSDI'22.
PEOPLE = People(users=310, sigma=1.4, taste_sigma=0.8, user_variance=0.3, repeats=3, within=0.08)

PRESET = Preset(
    name="venus",
    title="SenseTime Venus (Helios), 2020: half of the jobs on one GPU, gangs of 8-32 take the GPU time",
    source="Venus (Helios, SC'21; arrivals and nodes of the Lucid artifact)",
    origin=datetime(2020, 4, 1),
    arrivals=ARRIVALS,
    demands=tuple(
        Demand(gpus, jobs, durations, states)
        for gpus, jobs, durations, states in zip(
            GPUS, JOBS, split_by_size(DURATIONS, GPUS, JOBS, GPU_TIME), STATES_BY_SIZE, strict=True
        )
    ),
    states=STATES,
    gpu_time_states=GPU_TIME_STATES,
    people=PEOPLE,
    groups=tuple(
        Group(name, nodes, tuple(float(nodes) if g <= nodes * GPUS_PER_NODE else 0.0 for g in GPUS))
        for name, nodes in NODES.items()
    ),
    gpus_per_node=GPUS_PER_NODE,
)
