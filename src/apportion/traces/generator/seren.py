"""Seren: the LLM development cluster of Acme with many small jobs, March to August 2023 (tables: see `acme`)."""

from apportion.traces.generator.acme import Tables, acme
from apportion.traces.generator.quantiles import Quantiles

# Percent of GPU jobs that run at most 1, 4, 8, 16, ... s.
# fmt: off
PERCENT = (0, 2.2, 5.6, 11.8, 23.4, 31.7, 37.1, 48.9, 65.6, 79.2, 88.0, 92.9, 96.0, 97.5, 98.4, 99.2, 99.6,
           99.8, 99.9, 100)
# fmt: on

# Share of jobs; seconds at 10, 25, 50, 75, 90, 95, 99 %; usual GPUs and their spread in doublings. The text says where
# evaluation (few GPUs), pretraining (more than a hundred) and debugging (wide) lie; the others are taken in between.
# The figure's legend leaves open which of MLLM and Debug has 2.9 % and which 1.9 % of the jobs.
KINDS = {
    "Eval": (64.9, (7.0, 16.0, 129.0, 391.0, 1208.0, 2756.0, 15586.0), 1.0, 1.5),
    "SFT": (14.9, (12.0, 47.0, 197.0, 452.0, 1128.0, 2321.0, 13278.0), 8.0, 1.5),
    "Other": (14.6, (4.0, 10.0, 77.0, 356.0, 2288.0, 6735.0, 55541.0), 8.0, 1.5),
    "MLLM": (2.9, (9.0, 28.0, 253.0, 795.0, 5373.0, 22764.0, 75613.0), 16.0, 2.0),
    "Debug": (1.9, (6.0, 23.0, 114.0, 359.0, 935.0, 1888.0, 22624.0), 8.0, 3.0),
    "Pretrain": (0.9, (4.0, 50.0, 297.0, 1196.0, 24638.0, 77330.0, 313224.0), 256.0, 2.0),
}

PRESET = acme(
    Tables(
        name="seren",
        title="Acme Seren, 2023: evaluation and tuning of language models, pretraining takes the GPU time",
        jobs=663_813,
        nodes=286,
        durations=Quantiles.of(PERCENT, (1, 1, *(2.0**k for k in range(2, 20)))),
        gpus=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
        # Steps of the cumulative figure. What lies above 256 GPUs (0.3 %) is divided so that a job asks for 5.68 GPUs
        # on average, as the summary says.
        shares=(54.0, 11.4, 2.5, 28.8, 1.2, 0.9, 0.5, 0.3, 0.1, 0.1, 0.05),
        gpu_time=(1.3, 0.5, 0.6, 9.5, 1.3, 5.9, 8.5, 14.1, 14.6, 10.6, 33.1),
        kinds=KINDS,
        pretrain_gpu_time=0.695,
        states=(49.7, 7.5, 42.9),
        gpu_time_states=(21.2, 66.4, 12.4),
        # Of GPU-minutes, taken for jobs: 31 % idle.
        utilisation=((0, 31, 50, 75, 90, 99, 100), (0, 0, 99, 99, 100, 100, 100)),
    )
)
