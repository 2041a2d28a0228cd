"""The public traces that can be downloaded: addresses, checksums where the publisher gives them, licences."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One file: its name here, its address, its SHA-256 where published, its exact bytes where known."""

    file: str
    url: str
    sha256: str | None = None
    size: int | None = None


@dataclass(frozen=True)
class Download:
    """One public trace.

    Parameters
    ----------
    size_mb: about how much is downloaded, 0 when the source does not say. then: what to do with the files.
    """

    title: str
    parts: tuple[Part, ...]
    licence: str
    source: str
    size_mb: float
    then: str


_RAW = "https://raw.githubusercontent.com"
_PAI = "https://aliopentrace.oss-cn-beijing.aliyuncs.com/v2020GPUTraces"
_ALIBABA = "https://github.com/alibaba/clusterdata"

_PAI_TABLES = {
    "job_table": ("5aad7f7caac501136d14ed6a48e40546f825d7b0617a3a4f337e2348fe0a6cb0", 60.0),
    "task_table": ("cd1d6dc3215d2a8607ccf6b6dd952b5db776df86926c73259fea7c1499ac40e5", 34.0),
    "instance_table": ("1bf1e423a7ce3f8d086699801c362fd56a7182abdb234139e5ebbed97995ca06", 663.0),
    "sensor_table": ("9a0b82e8bdf3949281e4ba1423d9b4b34847e52799eecb138966de46da69c7a0", 388.0),
    "group_tag_table": ("722fef30b7fb7aa50dabd79155614b5423a9d65cf45a9b26c590d57725423a14", 53.0),
    "machine_spec": ("cc0d38a4045af1b1af8179de8b1b54b1ddd995e6160d6d061a6b1000f1276c2d", 0.03),
    "machine_metric": ("53ad917193d3b1dd0f3055e723148b1f36c2f81789b014ea2930a7875892eef5", 198.0),
}
_OPENB_PODS = (
    "default",
    *(f"cpu{n}" for n in ("0", "037", "050", "072", "100", "200", "235", "250", "300")),
    *(f"gpushare{n}" for n in (20, 40, 60, 80, 100)),
    *(f"gpuspec{n}" for n in ("05", "10", "20", "25", "33")),
    *(f"multigpu{n}" for n in (20, 30, 40, 50)),
)
_OPENB_FILES = (
    "openb_node_list_all_node.csv",
    "openb_node_list_gpu_node.csv",
    *(f"openb_pod_list_{variant}.csv" for variant in _OPENB_PODS),
)


def _github(repository: str, *paths: str) -> tuple[Part, ...]:
    return tuple(Part(path.rpartition("/")[2], f"{_RAW}/{repository}/HEAD/{path}") for path in paths)


DOWNLOADS: dict[str, Download] = {
    "philly": Download(
        "Microsoft Philly, 82,247 jobs as a table",
        _github("siasosp23/artifacts", "sia-simulator/traces/philly.csv"),
        "CC-BY-4.0",
        "https://github.com/siasosp23/artifacts",
        3.4,
        "philly:philly.csv",
    ),
    "philly-raw": Download(
        "Microsoft Philly, the published logs: 117,325 jobs, utilisation a minute",
        (
            Part(
                "trace-data.tar.gz",
                "https://media.githubusercontent.com/media/msr-fiddle/philly-traces/master/trace-data.tar.gz",
                "2037ccf63a725a02be718b0e1aeee6142c90b7f62d0d849295120e9f6ba13d2c",
                1_055_988_361,
            ),
        ),
        "CC-BY-4.0",
        "https://github.com/msr-fiddle/philly-traces",
        1056.0,
        "tar -xzf trace-data.tar.gz (6.6 GB), then philly-raw:trace-data",
    ),
    "helios": Download(
        "SenseTime Helios: Venus, Earth, Saturn, Uranus, 3.4 M jobs",
        _github("S-Lab-System-Group/HeliosData", "data.zip"),
        "CC-BY-4.0",
        "https://github.com/S-Lab-System-Group/HeliosData",
        36.4,
        "unzip data.zip, then helios:data/Venus",
    ),
    "openb": Download(
        "Alibaba GPU sharing 2023: 1,523 nodes, 8,152 pods, 24 variants",
        _github("alibaba/clusterdata", *(f"cluster-trace-gpu-v2023/csv/{file}" for file in _OPENB_FILES)),
        "as stated in alibaba/clusterdata (an Apache-2.0 copy: hkust-adsl/kubernetes-scheduler-simulator)",
        f"{_ALIBABA}/tree/master/cluster-trace-gpu-v2023",
        14.0,
        "openb:openb?pods=default",
    ),
    "dlrm2025": Download(
        "Alibaba disaggregated recommendation inference 2025, 23,871 instances",
        _github("alibaba/clusterdata", "cluster-trace-gpu-v2025/disaggregated_DLRM_trace.csv"),
        "as stated in alibaba/clusterdata",
        f"{_ALIBABA}/tree/master/cluster-trace-gpu-v2025",
        2.1,
        "dlrm2025:disaggregated_DLRM_trace.csv",
    ),
    "spot2026": Download(
        "Alibaba spot GPUs 2026: 4,278 nodes, 466,867 jobs",
        _github(
            "alibaba/clusterdata",
            "cluster-trace-v2026-spot-gpu/node_info_df.csv",
            "cluster-trace-v2026-spot-gpu/job_info_df.csv",
        ),
        "as stated in alibaba/clusterdata",
        f"{_ALIBABA}/tree/master/cluster-trace-v2026-spot-gpu",
        0.0,
        "spot2026:spot2026",
    ),
    "acme": Download(
        "Shanghai AI Lab Acme: Seren and Kalos, 880,740 jobs",
        _github("InternLM/AcmeTrace", "data/job_trace/trace_seren.csv", "data/job_trace/trace_kalos.csv"),
        "CC-BY-4.0",
        "https://github.com/InternLM/AcmeTrace",
        108.0,
        "acme:acme/trace_seren.csv",
    ),
    "gaia": Download(
        "PAI-derived job lists of GAIA (seconds and hours)",
        _github("umassos/GAIA", "src/cluster_traces/pai_1k.csv", "src/cluster_traces/pai-100k.csv"),
        "MIT",
        "https://github.com/umassos/GAIA",
        3.8,
        "gaia:gaia/pai_1k.csv?unit=s",
    ),
    "supercloud": Download(
        "MIT Supercloud: the Slurm log, 460,497 jobs",
        (
            Part(
                "slurm-log.csv",
                "https://mit-supercloud-dataset.s3.amazonaws.com/datacenter-challenge/202201/slurm-log.csv",
            ),
        ),
        "as stated at dcc.mit.edu",
        "https://dcc.mit.edu",
        0.0,
        "supercloud:slurm-log.csv",
    ),
    "pai": Download(
        "Alibaba PAI 2020: the tables that the reader joins (jobs, tasks, instances, groups, machines)",
        tuple(
            Part(f"pai_{table}.tar.gz", f"{_PAI}/pai_{table}.tar.gz", _PAI_TABLES[table][0])
            for table in ("job_table", "task_table", "instance_table", "group_tag_table", "machine_spec")
        ),
        "CC-BY-4.0",
        f"{_ALIBABA}/tree/master/cluster-trace-gpu-v2020",
        810.0,
        "unpack each (tar -xzf), then pai:pai",
    ),
    **{
        f"pai-{table.replace('_', '-')}": Download(
            f"Alibaba PAI 2020: the table pai_{table}",
            (Part(f"pai_{table}.tar.gz", f"{_PAI}/pai_{table}.tar.gz", checksum),),
            "CC-BY-4.0",
            f"{_ALIBABA}/tree/master/cluster-trace-gpu-v2020",
            size_mb,
            f"tar -xzf pai_{table}.tar.gz, then pai: with its folder",
        )
        for table, (checksum, size_mb) in _PAI_TABLES.items()
    },
}
"""Name -> what it is. GitHub addresses use HEAD, so that a renamed default branch does not break them."""
