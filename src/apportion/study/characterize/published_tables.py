"""The tables of `published`; the numbers that generators are calibrated with are taken from their presets."""

from __future__ import annotations

from itertools import accumulate

from apportion.study.characterize.published import Reference
from apportion.traces.generator import philly, venus

# fmt: off
SEREN = Reference(
    title="Seren: LLM development at Shanghai AI Laboratory, 2023",
    durations=(2.2, 5.6, 11.8, 23.4, 31.7, 37.1, 48.9, 65.6, 79.2, 88.0, 92.9, 96.0, 97.5, 98.4, 99.2, 99.6, 99.8,
               99.9, 100, 100),
    sizes={1: (54.0, 1.3), 2: (65.4, 1.8), 4: (67.9, 2.4), 8: (96.7, 11.9), 16: (97.9, 13.2), 32: (98.8, 19.1),
           64: (99.3, 27.6), 128: (99.6, 41.7), 256: (99.7, 56.3), 512: (99.8, 66.9), 1024: (100, 100)},
    states=(49.7, 7.5, 42.9),
    gpu_time_states=(21.2, 66.4, 12.4),
    overview={"gpu_jobs": 663_813, "gpus_mean": 5.68, "duration_mean_s": 1414.335, "duration_p50_s": 122,
              "wait_mean_s": 445.984, "wait_p50_s": 1, "duration_max_s": 1_209_604, "gpus_max": 1024},
)

KALOS = Reference(
    title="Kalos: LLM pretraining at Shanghai AI Laboratory, 2023",
    durations=(0, 0, 0, 1.5, 18.7, 38.2, 50.5, 69.1, 79.5, 85.9, 92.8, 97.1, 98.7, 99.1, 99.5, 99.7, 99.8, 99.95,
               100, 100),
    sizes={1: (86.3, 0.2), 2: (88.4, 0.2), 4: (88.4, 0.2), 8: (93.9, 0.6), 16: (94.3, 0.6), 32: (94.7, 2.0),
           64: (95.3, 3.3), 128: (95.7, 3.7), 256: (96.9, 24.9), 512: (98.1, 50.4), 1024: (100, 100)},
    states=(54.1, 6.2, 39.7),
    gpu_time_states=(31.3, 60.7, 8.0),
    overview={"gpu_jobs": 19_907, "gpus_mean": 26.77, "duration_mean_s": 1259.689, "duration_p50_s": 124,
              "wait_mean_s": 214.179, "wait_p50_s": 17, "duration_max_s": 625_740, "gpus_max": 1024},
    note="its published run times include the wait",
)

PHILLY = Reference(
    title="Philly: Microsoft, 2017",
    durations=(0, 0.2, 0.8, 3.6, 8.4, 18.9, 27.0, 31.5, 36.3, 54.9, 67.5, 79.3, 84.6, 90.3, 92.7, 94.9, 97.0, 98.4,
               99.3, 99.8),
    sizes={1: (82.4, 16.4), 2: (84.5, 19.4), 4: (92.0, 38.2), 8: (98.9, 88.0), 16: (99.8, 97.2), 32: (100, None)},
    hours=philly.HOURS,
    weekdays=philly.WEEKDAYS,
    states=philly.STATES,
    gpu_time_states=philly.GPU_TIME_STATES,
    overview={"gpu_jobs": 112_956, "gpus_mean": 1.928, "duration_mean_s": 18006.055, "duration_p50_s": 874,
              "wait_mean_s": 3760.604, "wait_p50_s": 189, "duration_max_s": 4_240_676, "gpus_max": 128},
)

HELIOS = Reference(
    title="Helios: four clusters of SenseTime, 2020",
    durations=(4.0, 6.4, 7.7, 10.7, 16.2, 24.9, 37.8, 56.6, 67.6, 75.3, 84.1, 87.5, 90.8, 94.4, 96.3, 97.8, 98.9,
               99.6, 99.9, 100),
    sizes={1: (72.2, 5.4), 2: (74.7, 7.2), 4: (80.5, 12.1), 8: (94.7, 41.3), 16: (97.7, 61.5), 32: (99.4, 86.6),
           64: (99.7, 94.4), 128: (99.9, 97.5), 256: (100, 99.9)},
    states=(62.4, 22.1, 15.5),
    gpu_time_states=(51.3, 39.4, 9.3),
    overview={"gpu_jobs": 1_580_464, "gpus_mean": 3.716, "duration_mean_s": 6651.681, "duration_p50_s": 206,
              "wait_mean_s": 862.047, "wait_p50_s": 0, "duration_max_s": 4_320_009, "gpus_max": 2048},
)

# Hours: medians of tasks an hour, read by eye off a figure of Weng et al., NSDI'22 (10 percent).
PAI = Reference(
    title="PAI: Alibaba, 2020",
    durations=(0.1, 0.1, 0.4, 3.0, 11.9, 21.1, 29.0, 39.6, 50.9, 60.8, 69.8, 78.5, 87.1, 93.2, 97.1, 99.0, 99.7,
               99.95, 100),
    sizes={1: (97.1, 68.1), 2: (98.6, 72.9), 4: (99.1, 78.7), 8: (100, None)},
    hours=(1090, 730, 530, 450, 540, 540, 600, 710, 600, 700, 1090, 1110, 770, 760, 970, 1000, 960, 1050, 810, 800,
           760, 680, 610, 520),
    overview={"gpu_jobs": 1_037_085, "gpus_mean": 0.683, "duration_mean_s": 4787.109, "duration_p50_s": 480.667,
              "wait_mean_s": 401.742, "wait_p50_s": 9, "duration_max_s": 626_371, "gpus_max": 8},
)

# The preset's last knots are moved within the accuracy of reading; its sizes above 64 GPUs are a division of the rest.
VENUS = Reference(
    title="Venus: SenseTime, 2020",
    durations=(*venus.PERCENT[1:-2], 99.9),
    sizes={gpus: (round(jobs, 1), round(time, 1)) for gpus, jobs, time in zip(
        venus.GPUS[:7], accumulate(venus.JOBS), accumulate(venus.GPU_TIME))},
    hours=venus.HOURS,
    weekdays=venus.WEEKDAYS,
    states=venus.STATES,
    gpu_time_states=venus.GPU_TIME_STATES,
    top_gpu_time={1: 32, 5: 60, 10: 75, 20: 88, 50: 99},
    top_wait={1: 35, 5: 62, 10: 78, 20: 93},
)

EARTH = Reference(
    title="Earth: SenseTime, 2020",
    durations=(0.9, 1.6, 2.1, 2.8, 4.1, 9.1, 17.8, 55.1, 71.6, 76.5, 87.6, 88.7, 90.2, 95.7, 97.8, 98.6, 99.3, 99.7,
               99.9, 100),
    sizes={1: (89.2, 11.5), 2: (90.0, 12.6), 4: (92.1, 18.8), 8: (97.5, 46.7), 16: (99.1, 66.8), 32: (99.7, 83.9),
           64: (99.9, 91.1)},
    hours=(108, 96, 88, 84, 82, 79, 74, 74, 73, 81, 102, 112, 109, 113, 106, 116, 113, 102, 94, 108, 123, 116, 106,
           102),
    states=(73.5, 13.6, 12.9),
    gpu_time_states=(49.9, 41.9, 8.2),
    top_gpu_time={1: 20, 5: 46, 10: 64, 20: 83, 50: 99},
    top_wait={1: 41, 5: 65, 10: 76, 20: 89},
)

SATURN = Reference(
    title="Saturn: SenseTime, 2020",
    durations=(7.2, 10.9, 12.7, 17.3, 25.1, 35.9, 50.8, 61.6, 69.6, 76.3, 84.9, 88.7, 92.7, 95.6, 96.9, 98.1, 99.1,
               99.7, 99.9, 100),
    sizes={1: (68.3, 5.4), 2: (71.0, 7.1), 4: (79.4, 12.7), 8: (94.9, 40.2), 16: (97.5, 57.7), 32: (99.3, 84.2),
           64: (99.7, 92.9)},
    hours=(140, 143, 114, 105, 98, 91, 86, 85, 95, 138, 184, 199, 174, 185, 206, 235, 242, 219, 180, 186, 204, 196,
           175, 180),
    states=(58.2, 27.2, 14.5),
    gpu_time_states=(52.0, 38.8, 9.2),
    top_gpu_time={1: 31, 5: 61, 10: 77, 20: 90, 50: 99.5},
    top_wait={1: 46, 5: 72, 10: 84, 20: 94},
)

URANUS = Reference(
    title="Uranus: SenseTime, 2020",
    durations=(2.0, 3.8, 4.9, 7.6, 13.4, 22.6, 36.3, 48.3, 59.0, 72.3, 80.0, 85.0, 88.8, 91.7, 94.4, 96.8, 98.5,
               99.4, 99.8, 99.9),
    sizes={1: (66.3, 3.3), 2: (69.4, 4.5), 4: (73.7, 8.4), 8: (92.3, 39.8), 16: (97.9, 64.6), 32: (99.6, 91.8),
           64: (100, 98.9)},
    hours=(56, 49, 28, 17, 18, 26, 34, 20, 25, 54, 85, 97, 119, 109, 125, 121, 138, 112, 88, 104, 111, 95, 100, 86),
    states=(60.7, 20.1, 19.2),
    gpu_time_states=(50.9, 38.7, 10.4),
    top_gpu_time={1: 21, 5: 50, 10: 68, 20: 85, 50: 99},
    top_wait={1: 71, 5: 82, 10: 89, 20: 96},
)
# fmt: on

REFERENCES = {
    "seren": SEREN,
    "kalos": KALOS,
    "philly": PHILLY,
    "helios": HELIOS,
    "pai": PAI,
    "venus": VENUS,
    "earth": EARTH,
    "saturn": SATURN,
    "uranus": URANUS,
}
"""Name -> what is published."""
