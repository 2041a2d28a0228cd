"""Earth: one of SenseTime's Helios clusters, April to September 2020 (tables: see `helios`)."""

from apportion.traces.generator.helios import Tables, helios

# Virtual clusters of May 2020 (Helios artifact, minute series): nodes of eight GPUs, and mean busy GPUs, which stand
# for their weight among the jobs: numbers of jobs by virtual cluster are not public.
NODES = {
    "vc6YE": (26, 187.0),
    "vcvlY": (12, 64.0),
    "vchbv": (8, 26.0),
    "vcMod": (8, 33.0),
    "vc3sl": (8, 40.0),
    "vcLJZ": (8, 56.0),
    "vcpDC": (7, 51.0),
    "vcTJs": (6, 35.0),
    "vc8Sj": (6, 24.0),
    "vccaA": (4, 14.0),
    "vcSoL": (4, 15.0),
    "vcira": (3, 0.5),
    "vcJLV": (2, 11.5),
    "vcJkd": (2, 0.2),
    "vcdI0": (2, 4.5),
    "vcgkz": (1, 7.3),
}

# fmt: off
PRESET = helios(
    Tables(
        name="earth",
        title="SenseTime Earth (Helios), 2020: nine jobs of ten on one GPU, most of them 2-4 minutes long",
        hourly=(
            108,
            96,
            88,
            84,
            82,
            79,
            74,
            74,
            73,
            81,
            102,
            112,
            109,
            113,
            106,
            116,
            113,
            102,
            94,
            108,
            123,
            116,
            106,
            102,
        ),
        percent=(
            0.9,
            1.6,
            2.1,
            2.8,
            4.1,
            9.1,
            17.8,
            55.1,
            71.6,
            76.5,
            87.6,
            88.7,
            90.2,
            95.7,
            97.8,
            98.6,
            99.3,
            99.7,
            99.9,
            100,
        ),
        gpus=(1, 2, 4, 8, 16, 32, 64, 128),
        jobs_upto=(89.2, 90.0, 92.1, 97.5, 99.1, 99.7, 99.9, 100),
        gpu_time_upto=(11.5, 12.6, 18.8, 46.7, 66.8, 83.9, 91.1, 100),
        states=(73.5, 13.6, 12.9),
        gpu_time_states=(49.9, 41.9, 8.2),
        users=215,
        sigma=0.6,
        nodes=NODES,
    )
)
# fmt: on
