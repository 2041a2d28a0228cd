"""The most important findings of a report on a workload: those that concern the largest part of time or GPUs.

Each candidate has a weight from 0 to 1: the part of GPU time, of the GPUs or of the time that jobs stay which it is
about. What is lost counts in full; what only describes the load (who holds it, when it comes) counts half. A section
of the page gives one finding at most, so that three of them tell of three things.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from apportion.report import words
from apportion.study.characterize.report import Report
from apportion.study.characterize.section import Section
from apportion.study.characterize.waits_by_cause import SHORT

DESCRIBES = 0.5
LEAST = 0.02
"""What concerns less than this is no finding."""

Numbers = Mapping[str, float]


@dataclass(frozen=True)
class Finding:
    """What is said first. section: where it is from. short: in a few words. sentence: what it means."""

    section: str
    weight: float
    short: str
    sentence: str


def findings(report: Report, topics: Mapping[str, str], most: int = 3) -> list[Finding]:
    """Return the weightiest findings, one for each topic at most.

    Parameters
    ----------
    topics: section -> the part of the page that it stands in.
    """
    known = {section.key: section for section in report.sections if not section.skipped}
    found = [one for look in CANDIDATES for one in look(known) if one.weight >= LEAST]
    chosen: dict[str, Finding] = {}
    for one in sorted(found, key=lambda one: -one.weight):
        chosen.setdefault(topics.get(one.section, one.section), one)
    return list(chosen.values())[:most]


Known = Mapping[str, Section]


def _load(known: Known) -> Iterator[Finding]:
    n = known["overview"].numbers if "overview" in known else {}
    if _scattered(n):
        most, span = words.duration(n["span_of_95pct_s"]), words.duration(n["span_s"])
        said = next(sentence for sentence in known["overview"].sentences if most in sentence)
        short = f"Nearly all jobs come within {most} of {span}"
        yield Finding("overview", DESCRIBES * (1 - n["span_of_95pct_s"] / n["span_s"]), short, said)
    if _scattered(n) or n.get("offered_load", 0.0) <= 0:
        return
    load, sentence = n["offered_load"], known["overview"].sentences[0]
    if load > 1:
        short = f"Jobs ask for {words.percent(load)} of the GPUs: the queue can only grow"
        yield Finding("overview", 1 - 1 / load, short, sentence)
    else:
        short = f"Jobs ask for {words.percent(load)} of the GPUs, {words.percent(1 - load)} stay free on average"
        yield Finding("overview", 1 - load, short, sentence)


def _scattered(n: Numbers) -> bool:
    """Return whether averages over the whole span say little: most jobs come in a small part of it."""
    return n.get("span_of_95pct_s", 0.0) < 0.5 * n.get("span_s", 0.0)


def _waits(known: Known) -> Iterator[Finding]:
    if "observed_waits" in known:
        n = known["observed_waits"].numbers
        part = n.get("part_of_stay", 0.0)
        short = f"{words.percent(part)} of the time from submission to end is waiting"
        yield Finding("observed_waits", part, short, known["observed_waits"].sentences[0])
    if "waits_by_cause" in known and "overview" in known:
        section = known["waits_by_cause"]
        wait, run = section.numbers["mean_wait_s"], known["overview"].numbers.get("duration_mean_s", 0.0)
        share, cause = max((section.numbers[f"{cause}_share"], cause) for cause in SHORT)
        if share > 0:
            short = f"{words.percent(share)} of the waiting is for {FOR[cause]}"
            said = f"First come, first served, jobs would wait {words.duration(wait)} on average on this cluster."
            yield Finding("waits_by_cause", wait / (wait + run), short, f"{said} {section.sentences[0]}")


FOR = {
    "capacity": "want of GPUs",
    "fragmentation": "scattered GPUs",
    "quota": "used-up quotas",
    "cpu_or_memory": "want of CPU or memory",
    "order": "their place in the queue",
}


def _lost(known: Known) -> Iterator[Finding]:
    if "states" not in known:
        return
    section = known["states"]
    failed, cancelled = (section.numbers.get(f"{end}_gpu_time_share", 0.0) for end in ("failed", "cancelled"))
    short = f"{words.percent(failed + cancelled)} of GPU time goes into jobs that are cancelled or fail"
    said = (
        f"{words.percent(cancelled)} of GPU time is of jobs that were cancelled, {words.percent(failed)} of jobs that"
    )
    daily = section.numbers.get("failed_gpu_h_per_day", 0.0)
    said += f" failed: {words.amount(daily)} GPU-hours a day end in failures." if daily else " failed."
    yield Finding("states", failed + cancelled, short, said)


def _idle(known: Known) -> Iterator[Finding]:
    if "utilisation" in known:
        section = known["utilisation"]
        busy = section.numbers["gpu_time_mean_util_pct"] / 100
        yield Finding("utilisation", 1 - busy, f"Held GPUs are {words.percent(busy)} busy", section.sentences[0])
    for key, what in (("nodes_series", "nodes"), ("gpus_series", "GPUs")):
        if key in known and "in_use_share" in known[key].numbers:
            idle = 1 - known[key].numbers["in_use_share"]
            yield Finding(
                key, idle, f"{words.percent(idle)} of the {what} are idle", " ".join(known[key].sentences[:2])
            )
    if "power_off" in known:
        n = known["power_off"].numbers
        off = 1 - n["use"] / n["use_of_nodes_on"] if n["use_of_nodes_on"] > 0 else 0.0
        short = f"{words.count(n['nodes_off_mean'])} nodes could be off on average"
        yield Finding("power_off", off, short, known["power_off"].sentences[0])
    if "power" in known and "overview" in known and not _scattered(known["overview"].numbers):
        idle = known["power"].numbers.get("idle_energy_share", 0.0)
        short = f"{words.percent(idle)} of the energy of the GPUs goes to idle ones"
        yield Finding("power", idle, short, known["power"].sentences[0])


def _stranded(known: Known) -> Iterator[Finding]:
    if "requests" in known:
        n = known["requests"].numbers
        for name, what in (("cores", "cores"), ("memory_gib", "memory")):
            asked, offered = n.get(f"{name}_per_gpu_asked", 0.0), n.get(f"{name}_per_gpu_offered", 0.0)
            if asked > offered > 0:
                said = next(s for s in known["requests"].sentences if s.startswith("For each GPU") and what in s)
                yield Finding("requests", 1 - offered / asked, f"Nodes run out of {what} before GPUs", said)
    if "sharing" in known:
        saved = known["sharing"].numbers.get("mean_saving_share", 0.0)
        short = f"Sharing devices saves {words.percent(saved)} of the GPUs"
        yield Finding("sharing", saved, short, known["sharing"].sentences[1])


def _who(known: Known) -> Iterator[Finding]:
    if "durations" in known:
        n = known["durations"].numbers
        few, held = n.get("over_1d_share", 0.0), n.get("over_1d_gpu_time_share", 0.0)
        if few > 0 and held > 0:
            short = (
                "A few long jobs decide how full the cluster is"
                if held >= 0.5
                else f"Jobs of under a day hold {words.percent(1 - held)} of GPU time"
            )
            yield Finding("durations", DESCRIBES * (held - few), short, known["durations"].sentences[1])
    if "users" in known:
        held = known["users"].numbers.get("top_5pct_gpu_time_share", 0.0)
        short = "A few users hold most of the GPU time" if held >= 0.5 else "Many users share the GPU time"
        yield Finding("users", DESCRIBES * (held - 0.05), short, known["users"].sentences[0])
    if "groups" in known:
        n = known["groups"].numbers
        both = min(n.get("overloaded_groups", 0.0), n.get("half_empty_groups", 0.0))
        if both:
            short = "Some groups ask for more than their nodes hold, others leave theirs half empty"
            yield Finding("groups", 2 * both / n["groups"], short, known["groups"].sentences[-1])


def _when(known: Known) -> Iterator[Finding]:
    whole = "overview" in known and not _scattered(known["overview"].numbers)
    if whole and "rhythm" in known and "dispersion_10min" in known["rhythm"].numbers:
        n = known["rhythm"].numbers
        # independent arrivals have 1; bursts alone, without waits, are worth little
        short = f"Jobs come in bursts: up to {words.count(n['jobs_in_10min_max'])} in ten minutes"
        if n["dispersion_10min"] >= 2:
            weight = DESCRIBES**2 * (1 - 1 / n["dispersion_10min"])
            yield Finding("rhythm", weight, short, known["rhythm"].sentences[0])
    if "arrivals_series" in known and known["arrivals_series"].numbers.get("dispersion", 0.0) >= 2:
        n = known["arrivals_series"].numbers
        short = f"Jobs come in bursts: up to {words.count(n['max_count'])} in {words.duration(n['bin_s'])}"
        sentence = known["arrivals_series"].sentences[1]
        yield Finding("arrivals_series", DESCRIBES**2 * (1 - 1 / n["dispersion"]), short, sentence)
    if "seasonality" in known and known["seasonality"].numbers.get("seasonality", 0.0) > 0.5:
        gap = known["seasonality"].numbers.get("diurnal_inequality", 0.0)
        short = f"Day and night are {words.percent(gap)} of the GPUs apart"
        yield Finding("seasonality", DESCRIBES * gap, short, " ".join(known["seasonality"].sentences[:2]))


CANDIDATES: Sequence[Callable[[Known], Iterator[Finding]]] = (_load, _waits, _lost, _idle, _stranded, _who, _when)
