"""Saturn: one of SenseTime's Helios clusters, April to September 2020 (tables: see `helios`)."""

from apportion.traces.generator.helios import Tables, helios

# fmt: off
PRESET = helios(
    Tables(
        name="saturn",
        title="SenseTime Saturn (Helios), 2020: the busiest, half of the jobs end within two minutes",
        hourly=(
            140,
            143,
            114,
            105,
            98,
            91,
            86,
            85,
            95,
            138,
            184,
            199,
            174,
            185,
            206,
            235,
            242,
            219,
            180,
            186,
            204,
            196,
            175,
            180,
        ),
        percent=(
            7.2,
            10.9,
            12.7,
            17.3,
            25.1,
            35.9,
            50.8,
            61.6,
            69.6,
            76.3,
            84.9,
            88.7,
            92.7,
            95.6,
            96.9,
            98.1,
            99.1,
            99.7,
            99.9,
            100,
        ),
        gpus=(1, 2, 4, 8, 16, 32, 64, 128),
        jobs_upto=(68.3, 71.0, 79.4, 94.9, 97.5, 99.3, 99.7, 100),
        gpu_time_upto=(5.4, 7.1, 12.7, 40.2, 57.7, 84.2, 92.9, 100),
        states=(58.2, 27.2, 14.5),
        gpu_time_states=(52.0, 38.8, 9.2),
        users=365,
        sigma=1.4,
        # 2,080 GPUs on average; its virtual clusters are not listed in what the artifact publishes.
        nodes={"saturn": (260, 1.0)},
    )
)
# fmt: on
