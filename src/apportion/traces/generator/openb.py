"""openb: Alibaba's GPU-sharing cluster of 2023.

Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent", ATC'23;
tables marked "file" are computed from the published pods and nodes (alibaba/clusterdata, cluster-trace-gpu-v2023),
whose pods name no users and no calendar.
"""

from dataclasses import dataclass
from datetime import datetime

from apportion.traces.generator.preset import Arrivals, Demand, Group, NodeKind, People, Preset
from apportion.traces.generator.quantiles import Quantiles

# fmt: off
LEVELS = (0, 1, 5, 10, 25, 50, 75, 90, 95, 97, 98, 99, 99.5, 100)
"""Percent of the pods of a kind."""
# fmt: on


@dataclass(frozen=True)
class Pods:
    """Scheduled pods of one kind: number, states, and seconds, milli-CPU and MiB at `LEVELS`."""

    best_effort: bool
    number: int
    states: tuple[float, ...]
    seconds: tuple[float, ...]
    cpu_milli: tuple[float, ...]
    memory_mib: tuple[float, ...]


# File: what kinds of pods there are (no GPU, a share of one, one, several; QoS BE and the others), how they ended
# (completed, cancelled, failed, still running when the trace was cut), how long they ran, what they asked for.
# fmt: off
NONE = (
    Pods(True, 447, (0, 0, 0, 447),
         (138, 140, 142, 144, 147, 177, 3679, 19889, 22295, 26013, 27066, 28365, 28493, 55452),
         (8000, 8000, 8000, 8000, 8000, *(32000,) * 9),
         (30517, 30517, 30517, 30517, 30517, *(49152,) * 8, 61035)),
    Pods(False, 605, (7, 0, 1, 597),
         (33, 54, 76, 100, 252, 605, 1424, 3610, 6495, 12097, 14040, 24293, 92048, 10143284),
         (8000, 8000, 12000, 12500, 12500, 12500, 15400, 16500, 16500, 16500, 16500, 20000, 32000, 32000),
         (8192, 15625, 31553, 51200, 51200, *(57344,) * 6, 62500, 65536, 65536)),
)
SHARED = (
    Pods(True, 1983, (0, 0, 1161, 822),
         (4, 12, 30, 53, 131, 367, 1485, 9919, 21256, 31465, 44662, 74629, 102164, 521659),
         (1000, 1000, 3152, 3152, 3152, 3152, 4000, *(8000,) * 7),
         (2048, 2048, 5600, 5600, 5600, 5600, 22888, *(30517,) * 7)),
    Pods(False, 590, (0, 0, 0, 590),
         (16, 35, 51, 66, 419, 912, 2375, 6398, 13357, 28555, 70806, 3232086, 3595520, 12475899),
         (2000, 6000, 6000, 6000, *(11908,) * 7, 11918, 12000, 12000),
         (6144, 6144, 6144, 8192, *(47104,) * 10)),
)
ONE = (
    Pods(True, 527, (0, 0, 466, 61),
         (5, 24, 54, 117, 152, 199, 232, 341, 1015, 1878, 2876, 6775, 9147, 12786),
         (*(3152,) * 7, *(11908,) * 7),
         (*(5600,) * 7, *(47104,) * 7)),
    Pods(False, 3029, (178, 0, 186, 2665),
         (12, 35, 56, 76, 313, 1046, 3143, 7317, 16067, 36058, 69165, 465547, 2574812, 12537496),
         (1000, 4000, 4000, 8000, 11300, 11400, 12000, 16400, 18708, 18708, *(24200,) * 4),
         (1, 15360, 16384, 24576, 32768, 49152, 49152, 64512, 80896, 93184, 93184, 93184, 125952, 125952)),
)
MANY = (
    Pods(False, 74, (7, 0, 56, 11),
         (22, 22, 36, 45, 173, 656, 6135, 67203, 187303, 779154, 947579, 1073182, 1202769, 1332357),
         (6000, 6000, 15430, 16200, 32200, 64200, 88000, 88000, *(120000,) * 6),
         (43008, 43008, 65536, 66560, 132096, 263168, 327680, 327680, 640000, 718796, *(737280,) * 4)),
)
# fmt: on

# File, all 8,152 pods: percent of each (GPUs, thousandths of each). Of the pods on one GPU 56 % take it whole; 7.6 %
# ask for other shares than the five listed and are given 500.
SIZES = {
    (0, 1000): (13.35, NONE),
    **{
        (1, milli): (0.8573 * percent, SHARED)
        for milli, percent in ((810, 15.4), (470, 10.7), (320, 4.7), (650, 3.6), (230, 2.0), (500, 7.6))
    },
    (1, 1000): (0.8573 * 56.0, ONE),
    (2, 1000): (0.20, MANY),
    (4, 1000): (0.18, MANY),
    (8, 1000): (0.54, MANY),
}

# File with `gpuspec33`: models to which pods with GPUs are bound, of 7,064.
MODELS = tuple(
    (models, pods / 7064)
    for models, pods in {
        "T4": 1291,
        "G2": 331,
        "P100": 279,
        "V100M16|V100M32": 163,
        "P100|V100M16|V100M32": 103,
        "G3": 86,
        "G2|P100|T4|V100M16|V100M32": 39,
        "P100|T4|V100M16|V100M32": 33,
        "A10|G2|T4|V100M16|V100M32": 24,
        "V100M32": 20,
        "A10|T4": 6,
    }.items()
)

# File: 98 % of the pods come in the last 33 days; hour of the day in the file's own seconds, daily numbers, and
# variance over mean of 10-minute counts 2.1, which the days and hours nearly explain: no batches to speak of.
# fmt: off
HOURS = (1.44, 1.38, 1.07, 1.27, 1.27, 0.95, 0.87, 0.97, 0.70, 0.43, 0.69, 0.62,
         0.48, 0.48, 0.43, 0.86, 0.87, 1.23, 1.56, 1.37, 0.97, 1.28, 1.21, 1.61)
# fmt: on
ARRIVALS = Arrivals(
    jobs_per_day=8152 * 0.98 / 33,
    hours=HOURS,
    weekdays=(1.0,) * 7,
    daily_cv=0.43,
    daily_correlation=0.3,
    batch_probability=0.02,
    batch_exponent=2.5,
    batch_largest=20,
)

# File: the nodes with GPUs; two that differ from the others of their kind only in CPU are counted with them.
NODES = (
    NodeKind(549, 8, "G2", 96_000, 393_216),
    NodeKind(39, 8, "G3", 128_000, 786_432),
    NodeKind(387, 2, "T4", 104_000, 524_288),
    NodeKind(17, 4, "T4", 96_000, 393_216),
    NodeKind(109, 2, "P100", 16_000, 122_880),
    NodeKind(22, 2, "P100", 64_000, 262_144),
    NodeKind(3, 1, "P100", 8_000, 61_440),
    NodeKind(28, 4, "V100M16", 32_000, 131_072),
    NodeKind(8, 8, "V100M16", 64_000, 262_144),
    NodeKind(19, 1, "V100M16", 8_000, 32_768),
    NodeKind(21, 8, "V100M32", 96_000, 786_432),
    NodeKind(9, 4, "V100M32", 48_000, 376_832),
    NodeKind(2, 1, "A10", 128_000, 1_048_576),
)

DEMANDS = tuple(
    Demand(
        gpus,
        percent * pods.number / sum(each.number for each in kinds),
        Quantiles.of(LEVELS, pods.seconds),
        pods.states,
        gpu_milli=milli,
        cpu_milli=Quantiles.of(LEVELS, pods.cpu_milli),
        memory_mib=Quantiles.of(LEVELS, pods.memory_mib),
        gpu_models=MODELS if gpus else (),
        priority=0 if pods.best_effort else 1,
        best_effort=pods.best_effort,
    )
    for (gpus, milli), (percent, kinds) in SIZES.items()
    for pods in kinds
)

PRESET = Preset(
    name="openb",
    title="Alibaba openb, 2023: pods that share GPUs on six GPU models, a third bound to some of them",
    source="openb (ATC'23, cluster-trace-gpu-v2023)",
    origin=datetime(2023, 1, 2),
    arrivals=ARRIVALS,
    demands=DEMANDS,
    states=(2.6, 0.0, 25.8, 71.6),
    gpu_time_states=(8.0, 0.0, 1.8, 90.2),
    # The pods name no users: those of Venus stand in.
    people=People(users=310, sigma=1.4, taste_sigma=0.8, user_variance=0.3, repeats=3, within=0.08),
    groups=(Group("openb", 0, (1.0,) * len(DEMANDS)),),
    gpus_per_node=8,
    kinds=NODES,
)
