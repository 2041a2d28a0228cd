"""Philly: Microsoft's training cluster, September to December 2017.

Jeon et al., "Analysis of Large-Scale Multi-Tenant GPU Clusters for DNN Training Workloads", USENIX ATC'19.
Tables marked "file" are computed from the job list that the Sia artifact publishes (siasosp23/artifacts,
sia-simulator/traces/philly.csv: 81,228 jobs from 2017-09-25; CC-BY-4.0), which has no users, states or waits.
"""

from datetime import datetime

from apportion.traces.generator.preset import Arrivals, Demand, Group, People, Preset
from apportion.traces.generator.quantiles import Quantiles

# fmt: off
HOURS = (1.29, 1.00, 1.13, 1.12, 0.71, 1.17, 1.69, 2.11, 1.12, 1.02, 1.04, 0.88,
         0.76, 0.71, 0.50, 0.56, 0.88, 0.67, 0.81, 0.73, 1.02, 0.92, 1.14, 1.02)
# fmt: on
WEEKDAYS = (0.86, 1.06, 1.13, 1.27, 1.43, 0.65, 0.60)

# File: submissions by hour of the day and by weekday, variance over mean of 10-minute counts 56.7. The
# exponent follows the sizes of the file's bursts (same group and size, at most 10 s apart), the probability
# the 56.7.
ARRIVALS = Arrivals(
    jobs_per_day=923,
    hours=HOURS,
    weekdays=WEEKDAYS,
    daily_cv=0.9,
    daily_correlation=0.8,
    batch_probability=0.2,
    batch_exponent=2.0,
    batch_largest=400,
)

# fmt: off
LEVELS = (0, 1, 5, 10, 17, 25, 30, 35, 40, 45, 50, 60, 70,
          75, 80, 85, 90, 93, 95, 97, 98, 99, 99.5, 99.9, 100)
"""Percent of jobs of a size."""
# fmt: on

# File: jobs of each size and their run times in seconds at LEVELS. Sizes 64 and 128 (9 jobs) share a curve;
# the 14 jobs of 12 or 24 GPUs are left out.
# fmt: off
SIZES: dict[int, tuple[int, tuple[float, ...]]] = {
    1: (75671, (
        1, 30, 52, 62, 71, 118, 223, 444, 630, 882, 1153, 1767, 2481,
        2732, 3803, 5376, 8586, 12425, 19168, 44033, 67544, 129101, 247475, 688208, 2601226)),
    2: (1811, (
        2, 5, 9, 11, 14, 16, 17, 18, 19, 20, 21, 25, 33,
        83, 153, 22400, 73625, 138938, 197198, 268222, 343896, 524434, 808888, 1474618, 2582803)),
    4: (1853, (
        3, 36, 75, 138, 210, 764, 1686, 4448, 7253, 12888, 17226, 36043, 78252,
        89235, 104582, 148825, 183505, 201708, 265545, 430311, 515672, 770518, 1172968, 2450121, 2750674)),
    8: (1615, (
        1, 33, 104, 211, 525, 1602, 3685, 7045, 11902, 15617, 23392, 59677, 133804,
        169066, 195968, 228984, 316507, 379430, 467426, 591900, 712786, 916393, 1101392, 2094826, 2214025)),
    16: (188, (
        2, 18, 37, 51, 126, 350, 609, 2432, 7912, 14830, 31278, 66388, 110028,
        156008, 167604, 190108, 242559, 286920, 338922, 375319, 627244, 1180661, 1392026, 1646920, 1710643)),
    32: (67, (
        2, 3, 351, 816, 890, 1182, 1294, 1775, 2572, 4349, 14262, 46923, 50578,
        53209, 54849, 56436, 61700, 71486, 76057, 104567, 116079, 124130, 126527, 128445, 128924)),
    64: (6, (
        1, 1, 2, 3, 4, 4, 264, 524, 1137, 2104, 3071, 3153, 3862,
        4322, 5662, 7003, 11833, 16826, 20154, 23483, 25147, 26811, 27643, 28309, 28475)),
    128: (3, (
        1, 1, 2, 3, 4, 4, 264, 524, 1137, 2104, 3071, 3153, 3862,
        4322, 5662, 7003, 11833, 16826, 20154, 23483, 25147, 26811, 27643, 28309, 28475)),
}
# fmt: on

# File: jobs of each virtual cluster by size (1, 2, 4, ... 128), and how its durations rank among those of the
# same size (GPU-weighted mean normal score). Nodes: 60 in proportion to GPU time, so that
# a job of 128 GPUs fits in ee9e8c. The file asks for 408 GPUs on average, a seventh of the 2,816 that the
# groups are given in the Helios artifact, which would leave every queue empty.
GROUPS = (
    Group("6214e9", 6, (39972, 50, 144, 191, 0, 0, 0, 0), 0.13),
    Group("11cb48", 2, (14547, 1408, 40, 10, 19, 0, 0, 0), -0.75),
    Group("6c71a0", 5, (9053, 37, 393, 455, 11, 0, 0, 0), -0.03),
    Group("b436b2", 8, (7237, 3, 67, 38, 47, 0, 0, 0), 0.17),
    Group("103959", 2, (1554, 33, 325, 0, 0, 0, 0, 0), 0.29),
    Group("ee9e8c", 16, (591, 109, 262, 417, 96, 13, 6, 3), 0.3),
    Group("0e4a51", 4, (1090, 164, 181, 0, 0, 0, 0, 0), 0.59),
    Group("ed69ec", 1, (1136, 0, 0, 0, 0, 0, 0, 0), 0.83),
    Group("7f04ca", 10, (204, 0, 329, 171, 11, 0, 0, 0), 0.31),
    Group("2869ce", 5, (64, 4, 10, 289, 0, 51, 0, 0), 0.14),
    Group("e13805", 1, (213, 3, 102, 36, 4, 3, 0, 0), 0.04),
)

# Hu et al., "Characterization of Large Language Model Development in the Datacenter", NSDI'24, cluster
# summary.
STATES = (60.4, 9.0, 30.5)
GPU_TIME_STATES = (32.1, 29.4, 38.6)

# No table of Philly's users is public; their skew is taken to be that of the Helios clusters (SC'21: the top
# 5 % of users hold 46-61 % of GPU time). Repeats: Weng et al., NSDI'22 (65 % of tasks in groups of five or
# more).
PEOPLE = People(users=310, sigma=1.0, taste_sigma=0.8, user_variance=0.2, repeats=3, within=0.1)

PRESET = Preset(
    name="philly",
    title="Microsoft Philly, 2017: small jobs in bursts, a few long 8-GPU jobs that take the GPU time",
    source="Philly (ATC'19; job list of the Sia artifact, states of NSDI'24 Acme)",
    origin=datetime(2017, 9, 25),
    arrivals=ARRIVALS,
    demands=tuple(Demand(gpus, jobs, Quantiles.of(LEVELS, seconds), STATES) for gpus, (jobs, seconds) in SIZES.items()),
    states=STATES,
    gpu_time_states=GPU_TIME_STATES,
    people=PEOPLE,
    groups=GROUPS,
    gpus_per_node=8,
    # Of GPU-minutes (NSDI'24), taken for jobs: 32 % idle.
    gpu_utilisation=((0, 32, 50, 75, 90, 99, 100), (0, 0, 48, 92, 99, 100, 100)),
)
