"""Curves of published clusters, to lay beside those of a trace.

Where nothing else is said, numbers are read from the vector figures of Hu et al., "Characterization of Large Language
Model Development in the Datacenter" (NSDI'24, which redraws Philly, Helios and PAI), and of Hu et al.,
"Characterization and Prediction of Deep Learning Workloads in Large-Scale GPU Datacenters" (SC'21: Venus, Earth,
Saturn, Uranus); they are exact to about 0.1 points. Overviews and final states are those of the cluster summary
released with the former.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from apportion.model.errors import UsageError, did_you_mean

DURATION_S = tuple(2.0**k for k in (0, *range(2, 21)))
"""Run times at which the published distribution functions are tabulated."""


@dataclass(frozen=True)
class Reference:
    """What is published about one cluster; what is not is empty.

    Parameters
    ----------
    title: whose and when. durations: percent of GPU jobs that run at most `DURATION_S`, as far as they go.
    sizes: largest number of GPUs -> percent of jobs, and of GPU time (None where it is not published).
    hours, weekdays: relative submissions in the hours 0 to 23, and from Monday to Sunday; any scale.
    states, gpu_time_states: completed, cancelled and failed in percent of GPU jobs and of GPU time.
    top_gpu_time, top_wait: percent of users -> percent of GPU time, and of waiting, that the largest of them hold.
    overview: numbers of the overview, under the names that it uses. note: what to know before comparing.
    """

    title: str
    durations: tuple[float, ...] = ()
    sizes: Mapping[int, tuple[float, float | None]] = field(default_factory=dict)
    hours: tuple[float, ...] = ()
    weekdays: tuple[float, ...] = ()
    states: tuple[float, ...] = ()
    gpu_time_states: tuple[float, ...] = ()
    top_gpu_time: Mapping[float, float] = field(default_factory=dict)
    top_wait: Mapping[float, float] = field(default_factory=dict)
    overview: Mapping[str, float] = field(default_factory=dict)
    note: str = ""


NAMES = ("seren", "kalos", "philly", "helios", "pai", "venus", "earth", "saturn", "uranus")
"""Clusters of which something is published."""


def get_reference(name: str) -> Reference:
    """Return what is published about the cluster `name`.

    Raises
    ------
    UsageError: nothing is; the message suggests the nearest.

    Examples
    --------
    >>> get_reference("pai").sizes[1]
    (97.1, 68.1)
    """
    if name not in NAMES:
        raise UsageError(f"found {name!r} to compare with{did_you_mean(name, NAMES)} (known: {', '.join(NAMES)})")
    from apportion.study.characterize.published_tables import REFERENCES

    return REFERENCES[name]
