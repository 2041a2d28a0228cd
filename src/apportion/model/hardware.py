"""The hardware catalogue: what a GPU model can do and what it draws, each figure with its source.

Memory is of one device in MiB (vendors' GB are read as GiB, which is what the boards carry), FP16 throughput is the
dense figure of the data sheet in TFLOP/s (tensor cores where the model has them), maximum power is the board's limit
(TDP) in watts. Idle power is no data-sheet figure: see `idle_source`. Dictionaries of aliases map the names of public
traces.
"""

from __future__ import annotations

from dataclasses import dataclass

from apportion.model.errors import InputError, did_you_mean

MEASURED_60 = "Hu et al., NSDI 2024, figure of GPU power in Acme: idle devices at 60 to 66 W"
ESTIMATE = "estimate: about 15 % of the board limit, as measured on A100 (Hu et al., NSDI 2024)"


@dataclass(frozen=True)
class GpuModel:
    """One GPU model.

    Parameters
    ----------
    name: as traces and cluster files write it. memory_mib: of one device. fp16_tflops: dense, in TFLOP/s.
    idle_w, max_w: watts. source: where memory, throughput and maximum power come from. idle_source: of the idle power.
    """

    name: str
    memory_mib: int
    fp16_tflops: float
    idle_w: float
    max_w: float
    source: str
    idle_source: str = ESTIMATE


def _gib(count: int) -> int:
    return count * 1024


_NVIDIA = "NVIDIA data sheet, "
CATALOGUE: dict[str, GpuModel] = {
    model.name: model
    for model in (
        GpuModel("K80", _gib(12), 4.1, 22, 150, _NVIDIA + "Tesla K80 (half a board; FP32 rate, no FP16 units)"),
        GpuModel("M60", _gib(8), 4.8, 22, 150, _NVIDIA + "Tesla M60 (half a board; FP32 rate)"),
        GpuModel("P4", _gib(8), 5.5, 11, 75, _NVIDIA + "Tesla P4 (FP32 rate)"),
        GpuModel("P40", _gib(24), 12.0, 38, 250, _NVIDIA + "Tesla P40 (FP32 rate)"),
        GpuModel("P100", _gib(16), 18.7, 38, 250, _NVIDIA + "Tesla P100 PCIe"),
        GpuModel("V100", _gib(16), 112.0, 38, 250, _NVIDIA + "Tesla V100 PCIe"),
        GpuModel("V100M16", _gib(16), 125.0, 45, 300, _NVIDIA + "Tesla V100 SXM2, 16 GB"),
        GpuModel("V100M32", _gib(32), 125.0, 45, 300, _NVIDIA + "Tesla V100 SXM2, 32 GB"),
        GpuModel("T4", _gib(16), 65.0, 11, 70, _NVIDIA + "T4"),
        GpuModel(
            "RTX2080Ti",
            _gib(11),
            53.8,
            38,
            250,
            _NVIDIA + "Turing architecture white paper, RTX 2080 Ti (FP32 accumulate)",
        ),
        GpuModel("RTX3090", _gib(24), 71.0, 53, 350, _NVIDIA + "Ampere GA102 white paper, RTX 3090 (FP32 accumulate)"),
        GpuModel("A10", _gib(24), 125.0, 23, 150, _NVIDIA + "A10"),
        GpuModel("A30", _gib(24), 165.0, 25, 165, _NVIDIA + "A30"),
        GpuModel("A40", _gib(48), 149.7, 45, 300, _NVIDIA + "A40"),
        GpuModel("A100", _gib(40), 312.0, 60, 400, _NVIDIA + "A100 SXM4, 40 GB", MEASURED_60),
        GpuModel("A100-SXM4-80GB", _gib(80), 312.0, 60, 400, _NVIDIA + "A100 SXM4, 80 GB", MEASURED_60),
        GpuModel("A100-PCIE-40GB", _gib(40), 312.0, 38, 250, _NVIDIA + "A100 PCIe, 40 GB"),
        GpuModel("A800", _gib(80), 312.0, 60, 400, _NVIDIA + "A800 SXM4, 80 GB", MEASURED_60),
        GpuModel("L4", _gib(24), 121.0, 11, 72, _NVIDIA + "L4"),
        GpuModel("L40S", _gib(48), 362.0, 53, 350, _NVIDIA + "L40S"),
        GpuModel("H100", _gib(80), 989.4, 105, 700, _NVIDIA + "H100 SXM5"),
        GpuModel("H800", _gib(80), 989.4, 105, 700, _NVIDIA + "H100 SXM5 (H800: the same with a slower NVLink)"),
        GpuModel("H200", _gib(141), 989.4, 105, 700, _NVIDIA + "H200 SXM"),
        GpuModel("B200", _gib(180), 2250.0, 150, 1000, _NVIDIA + "DGX B200"),
        GpuModel("MI250X", _gib(128), 383.0, 84, 560, "AMD data sheet, Instinct MI250X"),
        GpuModel("MI300X", _gib(192), 1307.4, 113, 750, "AMD data sheet, Instinct MI300X"),
    )
}
"""Models by name."""

ALIASES = {
    "V100-SXM2-16GB": "V100M16",
    "V100-SXM2-32GB": "V100M32",
    "V100-PCIE-16GB": "V100",
    "A100-SXM4-40GB": "A100",
    "A100-80GB": "A100-SXM4-80GB",
    "H100-SXM5-80GB": "H100",
    "2080TI": "RTX2080Ti",
    "RTX": "RTX2080Ti",
    "TESLA-T4": "T4",
    "NVIDIA-A10": "A10",
}
"""Other names of the same models, in upper case."""


def gpu_model(name: str) -> GpuModel:
    """Return the facts of a GPU model by its name in any case, with or without a vendor's prefix.

    Raises
    ------
    InputError: the catalogue has no such model; the nearest is suggested.

    Examples
    --------
    >>> gpu_model("v100").max_w
    250
    """
    upper = {known.upper(): known for known in CATALOGUE}
    key = name.strip().upper().replace("_", "-").replace(" ", "-")
    for prefix in ("NVIDIA-", "TESLA-", "AMD-INSTINCT-"):
        key = key.removeprefix(prefix)
    key = ALIASES.get(key, upper.get(key, "")) or ALIASES.get(name.strip().upper(), "")
    if key not in CATALOGUE:
        raise InputError(
            f"unknown GPU model {name!r}{did_you_mean(name.upper(), CATALOGUE)} (known: {', '.join(CATALOGUE)})"
        )
    return CATALOGUE[key]


UNKNOWN_W = (38.0, 250.0)
"""Idle and maximum watts of a device whose model the catalogue does not know: those of the board sold most, 250 W."""


def watts_of(name: str | None) -> tuple[float, float]:
    """Return the idle and maximum watts of one device of a model; `UNKNOWN_W` where the catalogue has no such model."""
    try:
        model = gpu_model(name or "")
    except InputError:
        return UNKNOWN_W
    return float(model.idle_w), float(model.max_w)
