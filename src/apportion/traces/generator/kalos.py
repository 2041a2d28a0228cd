"""Kalos: the LLM development cluster of Acme with the large jobs, March to August 2023 (tables: see `acme`).

The published run times of Kalos include the time in the queue: the curve starts at 16 s.
"""

from apportion.traces.generator.acme import Tables, acme
from apportion.traces.generator.quantiles import Quantiles

# Percent of GPU jobs that run at most 8, 16, 32, ... s; the longest ran 0.63 million seconds, as the summary says.
# fmt: off
PERCENT = (0, 1.5, 18.7, 38.2, 50.5, 69.1, 79.5, 85.9, 92.8, 97.1, 98.7, 99.1, 99.5, 99.7, 99.8, 99.95, 100)
# fmt: on

# As in Seren.
KINDS = {
    "Eval": (92.8, (22.0, 39.0, 111.0, 324.0, 1388.0, 2491.0, 6258.0), 1.0, 1.2),
    "Pretrain": (3.2, (66.0, 245.0, 707.0, 6283.0, 43151.0, 92533.0, 280596.0), 512.0, 2.0),
    "Debug": (2.7, (36.0, 119.0, 327.0, 602.0, 1128.0, 1706.0, 3992.0), 16.0, 2.5),
    "Other": (1.3, (22.0, 46.0, 293.0, 1010.0, 32766.0, 112976.0, 588430.0), 8.0, 1.5),
}

PRESET = acme(
    Tables(
        name="kalos",
        title="Acme Kalos, 2023: pretraining on hundreds of GPUs beside small evaluations",
        jobs=19_907,
        nodes=302,
        durations=Quantiles.of(PERCENT, (*(2.0**k for k in range(3, 19)), 630_000.0)),
        gpus=(1, 2, 8, 16, 32, 64, 128, 256, 512, 1024),
        # Steps of the cumulative figure; 1024 is set (1.9 in the figure) so that a job asks for 26.77 GPUs on average,
        # as the summary says. A GPU time printed as 0.0 is half of its last digit.
        shares=(86.3, 2.1, 5.5, 0.4, 0.4, 0.6, 0.4, 1.2, 1.2, 1.5),
        gpu_time=(0.2, 0.05, 0.4, 0.05, 1.4, 1.3, 0.4, 21.2, 25.5, 49.6),
        kinds=KINDS,
        pretrain_gpu_time=0.955,
        states=(54.1, 6.2, 39.7),
        gpu_time_states=(31.3, 60.7, 8.0),
        # Of GPU-minutes, taken for jobs: 34 % idle.
        utilisation=((0, 34, 50, 75, 90, 99, 100), (0, 0, 98, 99, 100, 100, 100)),
    )
)
