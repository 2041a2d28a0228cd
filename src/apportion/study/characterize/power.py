"""What the GPUs draw: watts and energy from how many are busy, or how busy they are."""

from __future__ import annotations

import numpy as np
import polars as pl

from apportion.model.hardware import gpu_model, watts_of
from apportion.model.words import percent
from apportion.study.characterize.figures import known
from apportion.study.characterize.running import F8, HOUR_S, assumed, edges, per_bin, starts, thin
from apportion.study.characterize.section import Analysis, Section, Subject
from apportion.study.characterize.subject import says, take

LEVELS = (0.10, 0.25, 0.50, 0.75, 0.90, 0.99)
GPU_W = {"Seren": (63, 66, 96, 290, 395, 437), "Kalos": (63, 66, 101, 372, 404, 440)}
"""Quantiles of the power of a device in watts (Hu et al., NSDI 2024, data of the figure of GPU power)."""
IDLE_SHARE = {"Seren": 0.31, "Kalos": 0.34}
"""Share of the devices whose utilisation was zero, of the same clusters."""
SERVER_W = (1512, 1693, 2520, 4284, 4851, 5418)
"""Quantiles of the power of a server of Seren with eight devices, at `LEVELS`."""
BOARD = "A100-SXM4-80GB"
"""The board of both."""
KWH = 3.6e6
USED = ("submit_s", "wait_s", "duration_s", "gpu_demand", "gpu_util")

KEY, TITLE = "power", "Power and energy of the GPUs"


def look(subject: Subject) -> Section:
    """Estimate watts over time and the energy of busy and idle devices.

    A device that is not held draws the idle power of its model. A held one draws `gpu_util` of the way from idle to the
    board's limit where the trace has that column; else the share of that way that busy devices went in Acme, the mean
    of the published quantiles above the idle share. Watts of models are those of the catalogue. What the rest of a
    server draws is as in Acme, by device.
    """
    at = edges(subject)
    columns = [name for name in USED if name in subject.jobs.columns]
    held = take(subject.jobs, *columns).filter(subject.jobs["gpu_demand"] > 0)
    if at.size < 2 or not held.height:
        return Section(KEY, TITLE, skipped="no GPUs are held for ten minutes or more")
    idle_w, max_w = _watts(subject)
    start, end = starts(held)
    demand = held["gpu_demand"].to_numpy()
    measured = says(held, "gpu_util")
    low, high = sorted(busy_share(name) for name in GPU_W)
    typical = (low + high) / 2
    share = held["gpu_util"].fill_null(100 * typical).to_numpy() / 100 if measured else np.full(demand.size, typical)
    busy = per_bin(start, end, demand, at)
    drawn = per_bin(start, end, demand * (idle_w + share * (max_w - idle_w)), at)
    capacity = float(subject.cluster.gpus) if subject.cluster is not None else 0.0
    # without recorded waits jobs may ask for more at once than there is
    over = np.minimum(capacity / np.maximum(busy, 1e-9), 1.0) if capacity else np.ones(busy.size)
    busy, drawn = busy * over, drawn * over
    idle = np.maximum(capacity - busy, 0) * idle_w
    hours = (at[1] - at[0]) / HOUR_S
    total = drawn + idle
    numbers = {
        "busy_gpu_mean_w": float(drawn.sum() / busy.sum()) if busy.sum() else np.nan,
        "idle_gpu_w": idle_w,
        "mean_w": total.mean(),
        "peak_w": total.max(),
        "busy_kwh": drawn.sum() * hours / 1000,
    }
    if capacity:
        numbers |= {
            "idle_kwh": idle.sum() * hours / 1000,
            "idle_energy_share": idle.sum() / total.sum(),
            "limit_w": capacity * max_w,
        }
    if not measured:
        numbers |= {
            f"busy_{name}_kwh": float(busy.sum() * (idle_w + part * (max_w - idle_w)) * hours / 1000)
            for name, part in (("low", low), ("high", high))
        }
    still, more = rest_of_server()
    devices = capacity or float(busy.max())
    numbers["servers_kwh"] = float((total + devices * still + busy * more).sum() * hours / 1000)
    table = pl.DataFrame({"time_s": at[:-1], "busy_w": drawn, "idle_w": idle})
    found = known(numbers)
    return Section(KEY, TITLE, found, {"watts": thin(table)}, (*_sentences(found, measured, capacity), *assumed(held)))


def busy_share(name: str) -> float:
    """Return how far from idle to the board's limit busy devices of a published cluster were on average.

    The quantiles are joined by straight lines; those above the idle share are the busy devices.
    """
    board = gpu_model(BOARD)
    at = np.linspace(IDLE_SHARE[name], LEVELS[-1], 1000)
    watts = np.interp(at, LEVELS, GPU_W[name]).mean()
    return float((watts - board.idle_w) / (board.max_w - board.idle_w))


def rest_of_server() -> tuple[float, float]:
    """Return the watts by device that the rest of a server draws when idle, and how many more when the device is busy.

    From the 10 % and 90 % quantiles of servers and devices of Seren.
    """
    idle = SERVER_W[0] / 8 - GPU_W["Seren"][0]
    busy = SERVER_W[4] / 8 - GPU_W["Seren"][4]
    return idle, busy - idle


def _watts(subject: Subject) -> tuple[float, float]:
    """Return the idle and maximum watts of a device, the mean over the cluster, else over what jobs ran on."""
    if subject.cluster is not None and subject.cluster.gpus:
        table = subject.cluster.table.select(model="gpu_model", weight="gpus")
    elif says(subject.jobs, "model"):
        table = take(subject.jobs, "model", "gpu_s").rename({"gpu_s": "weight"})
    else:
        return watts_of(None)
    by_model = table.group_by("model").agg(pl.col("weight").sum()).filter(pl.col("weight") > 0)
    if not by_model.height:
        return watts_of(None)
    watts: F8 = np.array([watts_of(name) for name in by_model["model"].to_list()])
    idle, most = np.average(watts, axis=0, weights=by_model["weight"].to_numpy())
    return float(idle), float(most)


def _sentences(numbers: dict[str, float], measured: bool, capacity: float) -> list[str]:
    out = []
    if capacity and "idle_energy_share" in numbers:
        out.append(
            f"Of the energy of the GPUs, {percent(numbers['idle_energy_share'])} goes to devices that nobody holds "
            f"({numbers['idle_kwh']:,.0f} of {numbers['busy_kwh'] + numbers['idle_kwh']:,.0f} kWh): switching idle "
            "nodes off can save at most that, and what the rest of those servers draws."
        )
        out.append(
            f"The GPUs draw {numbers['mean_w'] / 1000:,.1f} kW on average and {numbers['peak_w'] / 1000:,.1f} kW at "
            f"the peak; {numbers['limit_w'] / 1000:,.1f} kW if all of them were at their limit."
        )
    else:
        out.append(
            f"The GPUs that jobs held drew {numbers['busy_kwh']:,.0f} kWh, {numbers['mean_w'] / 1000:,.1f} kW on "
            f"average and {numbers['peak_w'] / 1000:,.1f} kW at the peak."
        )
    out.append(f"With the servers around them it is about {numbers['servers_kwh']:,.0f} kWh.")
    if measured:
        out.append("Watts follow the measured utilisation of each job, in a straight line from idle to the limit.")
    else:
        out.append(
            f"The trace does not say how busy the GPUs were: held ones are taken to draw "
            f"{numbers['busy_gpu_mean_w']:,.0f} W each, as busy ones did in two published clusters "
            f"({numbers['busy_low_kwh']:,.0f} to {numbers['busy_high_kwh']:,.0f} kWh between the two)."
        )
    return out


ANALYSES = (
    Analysis(
        KEY,
        TITLE,
        ("duration_s",),
        look,
        "Hu et al., Characterization of Large Language Model Development in the Datacenter, NSDI'24",
    ),
)
