"""Synthetic workloads calibrated to published clusters: `synthetic:PRESET?jobs=100000&seed=7&load=0.9`.

Options: `jobs` (10,000) or `days`; `seed` (0); `load`, GPU-seconds asked for over capacity x span (by default
the natural arrival rate); `gpus`, capacity of the attached cluster; `vcs=yes`, nodes divided among the
virtual clusters; `deadlines=yes` and `elastic=yes` add the columns `deadline_s`, `min_gpus` and `max_gpus`. The
column `job_name` names the template that a user repeats: what a predictor from history can learn from.
"""

from __future__ import annotations

from pathlib import Path

from apportion.model.trace import Trace
from apportion.traces.format import Format
from apportion.traces.generator.generate import generate
from apportion.traces.generator.presets import get_preset
from apportion.traces.options import Options


def read(location: Path, options: Options) -> Trace:
    """Generate the workload of the preset named by `location`; times are whole seconds from
    `Workload.origin`.

    Raises
    ------
    InputError: the preset is unknown or an option is out of range.

    Examples
    --------
    >>> from apportion.traces.options import Options
    >>> trace = read(Path("venus"), Options({"jobs": "50", "load": "0.9"}, "synthetic"))
    >>> len(trace.workload), trace.cluster.gpus
    (50, 1080)
    """
    preset = get_preset(str(location) if location.name else "")
    return generate(
        preset,
        jobs=options.integer("jobs"),
        seed=options.integer("seed", 0, minimum=0) or 0,
        load=options.number("load"),
        days=options.number("days"),
        gpus=options.integer("gpus"),
        divided=options.choice("vcs", ("yes", "no"), "no") == "yes",
        deadlines=options.choice("deadlines", ("yes", "no"), "no") == "yes",
        elastic=options.choice("elastic", ("yes", "no"), "no") == "yes",
    )


FORMAT = Format(
    name="synthetic",
    title="a workload like that of a published cluster, of any length and load",
    paper="the papers of the presets: Philly (ATC'19), Helios (SC'21), PAI (NSDI'22), openb (ATC'23), Acme (NSDI'24), "
    "GFS (ASPLOS'26)",
    source="generated; nothing to download",
    licence="none: no line of the original traces is in it",
    example="synthetic:philly?jobs=5000&load=0.9",
    read=read,
)
