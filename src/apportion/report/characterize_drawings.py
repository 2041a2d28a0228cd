"""Which tables of a report on a workload are drawn, under which heading, with what note on how to read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from apportion.report import characterize_plots as plots
from apportion.report.characterize_plots import Draw

CURVE = "Curves: the share (upward) that takes at most so long (rightward, logarithmic)."
HELD = "GPU time counts each job by the GPUs it holds and for how long."
SPANS = "Dot: median. Bar: to the 90th percentile. Line: to the 99th."
TIMES = "1 is the mean hour or day, 2 is twice as much."
CAUSES = "Causes are found by a replay on the cluster, first come, first served. Behind each size: its mean wait."
LORENZ = "Each point says what part of all is with so many of the users."


@dataclass(frozen=True)
class Drawing:
    """How a table of a section is drawn.

    Parameters
    ----------
    table: of the section. heading: over the plot. draw: None where there is nothing to see. notes: how to read it.
    """

    table: str
    heading: str
    draw: Draw
    notes: tuple[str, ...] = ()


DRAWINGS: Mapping[str, Sequence[Drawing]] = {
    "machines": (Drawing("models", "", plots.draw_models),),
    "durations": (
        Drawing("cdf", "How long jobs run", plots.draw_durations, (CURVE, HELD)),
        Drawing("by_size", "Run times by size", plots.draw_spans("size", "run time"), (SPANS,)),
    ),
    "sizes": (
        Drawing("by_size", "How many GPUs jobs ask for", plots.draw_sizes, (HELD,)),
        Drawing("cdf", "Sizes beside other clusters", plots.draw_sizes_curve),
    ),
    "gangs": (Drawing("ccdf", "Gangs: tasks that start together", plots.draw_gangs),),
    "gpu_types": (Drawing("by_model", "", plots.draw_shares("model")),),
    "users": (Drawing("lorenz", "What the largest users hold", plots.draw_lorenz, (LORENZ,)),),
    "groups": (Drawing("by_group", "What groups submit and hold", plots.draw_shares("group")),),
    "rhythm": (
        Drawing("days", "Jobs over time", plots.draw_days),
        Drawing("hours", "Hours of the day", plots.draw_hours, (TIMES,)),
        Drawing("weekdays", "Days of the week", plots.draw_weekdays, (TIMES,)),
    ),
    "arrivals_series": (
        Drawing("hour", "Hours of the day", plots.draw_counted_hours, (TIMES,)),
        Drawing("weekday", "Days of the week", plots.draw_counted_weekdays, (TIMES,)),
    ),
    "nodes_series": (Drawing("day", "Nodes in use by the hour", plots.draw_day("nodes", "mean_total_nodes")),),
    "gpus_series": (
        Drawing("day", "GPUs in use by the hour", plots.draw_day("GPUs", "mean_total_gpus")),
        Drawing("groups", "GPUs in use by virtual cluster", plots.draw_one("group", "in_use", "GPUs in use")),
    ),
    "observed_waits": (
        Drawing("cdf", "How long jobs waited", plots.draw_waits, (CURVE,)),
        Drawing("by_size", "Waits by size", plots.draw_spans("size", "wait"), (SPANS,)),
        Drawing("by_group", "Waits by group", plots.draw_spans("group", "wait"), (SPANS,)),
        Drawing("by_model", "Waits by GPU model", plots.draw_spans("model", "wait"), (SPANS,)),
        Drawing("by_kind", "Waits by kind of job", plots.draw_spans("kind", "wait"), (SPANS,)),
    ),
    "waits_by_cause": (Drawing("by_size", "Why jobs of each size wait", plots.draw_causes, (CAUSES,)),),
    "states": (
        Drawing("by_state", "How jobs end", plots.draw_ends),
        Drawing("by_size", "How jobs end, by size", plots.draw_ends_by_size),
    ),
    "utilisation": (
        Drawing("cdf", "", plots.draw_utilisation),
        Drawing("by_status", "How busy, by how jobs ended", plots.draw_busy_by_end),
    ),
    "requests": (Drawing("per_gpu", "What jobs ask for beside each GPU", plots.draw_per_gpu),),
    "sharing": (Drawing("gpus", "", plots.draw_sharing),),
    "recurrence": (Drawing("repeats", "How often work comes again", plots.draw_repeats),),
    "seasonality": (
        Drawing("day", "GPUs in use by the hour", plots.draw_day("GPUs")),
        Drawing(
            "groups",
            "How regular the largest groups are",
            plots.draw_one("group", "seasonality", "movement of the load that comes again every day"),
        ),
    ),
    "power": (Drawing("watts", "", plots.draw_watts),),
    "power_off": (Drawing("steps", "", plots.draw_nodes_on),),
}
"""Section -> its drawings, the first with the sentences on the whole of it; without a heading, the section's title."""
