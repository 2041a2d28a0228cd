"""What a packing experiment says, in a sentence for each plot.

Sentences are HTML: names come in already escaped and coloured.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from apportion.engine.layout import F8
from apportion.report import words
from apportion.report.fill_numbers import FULL_PCT, full_pct, mean_and_sd
from apportion.study.fill_compare import FillStudy

CROWDED_PCT = 90
"""Arrived demand at which fragments tell placements apart: nearly full, and most tasks still find a place."""
ALL_FRAGMENTS_PCT = 95


class Findings:
    """The means over seeds that the sentences are about.

    Parameters
    ----------
    study: what was run. names: of the workloads. policies: names of the placements, as HTML.
    """

    def __init__(self, study: FillStudy, names: Sequence[str], policies: Sequence[str]) -> None:
        self.policies = list(policies)
        self.names = [escape(name) for name in names]
        self.gpus = study.gpus
        self.full, self.last = full_pct(study), study.last_pct
        self.crowded = min(CROWDED_PCT, self.last)
        self.idle = _means(study.unallocated())
        self.amount, self.ratio = _means(study.values("frag_pct")), _means(study.values("frag_ratio_pct"))
        failed = study.values("failed")
        self.failed, self.turned = _means(failed), _starts(failed)
        arrivals = np.array([run.arrivals for run in study.runs], dtype=np.float64)
        self.arrivals = arrivals.reshape(len(self.names), -1).mean(axis=1).tolist()

    def headline(self) -> str:
        """Return the main finding."""
        if len(self.names) == 1:
            return self.unallocated(0)[:-1]
        idle = self.idle[..., self.full]
        average = idle.mean(axis=0)
        if np.isnan(average).any():
            return "No task arrived"
        order = np.argsort(average, kind="stable")
        first = int(order[0])
        if len(order) == 1:
            return (
                f"{self.policies[first]} leaves {_pct(idle.min())} to {_pct(idle.max())} of the GPUs unallocated "
                f"{self._when(self.full)}"
            )
        wins = int((idle[:, first] <= idle.min(axis=1)).sum())
        where = f"all {len(idle)}" if wins == len(idle) else f"{wins} of {len(idle)}"
        second = int(order[1])
        return (
            f"{self.policies[first]} leaves the fewest GPUs unallocated on {where} workloads: {_pct(average[first])} "
            f"on average {self._when(self.full)}, {self.policies[second]} {_pct(average[second])}"
        )

    def lead(self) -> str:
        """Return a second sentence under the headline: the other placements, and what more demand changes."""
        average = self.idle.mean(axis=0)
        if np.isnan(average[:, self.full]).any():
            return ""
        order = np.argsort(average[:, self.full], kind="stable")
        parts = []
        if len(order) > 2:
            others = [f"{self.policies[p]} {_pct(average[p, self.full])}" for p in order[2:]]
            parts.append(f"The others leave more: {words.names(others)}.")
        if self.last > self.full:
            shown = [f"{self.policies[p]} leaves {_pct(average[p, self.last])}" for p in order[:2]]
            parts.append(f"When {self.last} % are asked for, {words.names(shown)}.")
        return " ".join(parts)

    def unallocated(self, workload: int) -> str:
        """Return the sentence about GPUs that stay unallocated."""
        idle = self.idle[workload, :, self.full]
        if np.isnan(idle).any():
            return "No task arrived."
        best, *others = self._told(workload)
        left = f"{self.policies[best]} leaves {_pct(idle[best])} of the GPUs unallocated {self._when(self.full)}"
        total = self.gpus[workload]
        if not others:
            return f"{left}: {words.count(idle[best] * total / 100)} of {words.count(total)}."
        second = others[0]
        saved = round(float(idle[second] - idle[best]) * total / 100)
        if saved == 0:
            return f"{left}, as does {self.policies[second]}."
        more = words.plural(saved, "GPU")
        return f"{left}, {self.policies[second]} {_pct(idle[second])}: {more} more in use."

    def turned_away(self, workload: int) -> str:
        """Return the sentence about tasks that found no place."""
        failed, told = self.failed[workload], self._told(workload)
        if not failed[told, self.last].any():
            return f"Every task finds a place until {self.last} % of the GPUs are asked for."
        counts = [f"{words.count(failed[p, self.last])} under {self.policies[p]}" for p in told]
        counts[0] = counts[0].replace(" under", " find no place under", 1)
        text = f"Of {words.plural(self.arrivals[workload], 'task')}, {words.names(counts)}"
        starts = self.turned[workload, told]
        if np.isnan(starts).any():
            return f"{text}."
        return f"{text}; the first is turned away at {words.names([f'{start:.0f} %' for start in starts])}."

    def fragments(self, workload: int) -> str:
        """Return the sentence about the amount of fragments."""
        shares = self._shares(self.amount[workload], workload, " of all GPUs")
        if shares is None:
            return "No task arrived."
        return f"When {self.crowded} % of the GPUs are asked for, fragments are {shares}."

    def share_of_free(self, workload: int) -> str:
        """Return the sentence about fragments among what is free."""
        ratio = self.ratio[workload]
        shares = self._shares(ratio, workload)
        if shares is None:
            return "No task arrived."
        text = f"Of the GPUs still free at {self.crowded} %, fragments are {shares}"
        least = float(ratio[:, self.full].min())
        if len(self.policies) > 1 and least >= ALL_FRAGMENTS_PCT and self.full > self.crowded:
            text += f"; at {self.full} % nearly all that is left is, under every placement"
        return text + "."

    def by_workload(self) -> str:
        """Return the sentence about the bars: where the best placement gains most and least."""
        idle = self.idle[..., self.full]
        if np.isnan(idle).any() or idle.shape[1] < 2:
            return "" if idle.shape[1] < 2 else "No task arrived."
        winner = int(np.argmin(idle.mean(axis=0)))
        gap = np.delete(idle, winner, axis=1).min(axis=1) - idle[:, winner]
        most, least = int(np.argmax(gap)), int(np.argmin(gap))
        text = (
            f"Against the best of the others, {self.policies[winner]} gains most on {self.names[most]} "
            f"({self._gain(gap, most)})"
        )
        if gap[least] < 0:
            return f"{text}; on {self.names[least]} another leaves less ({self._gain(-gap, least)})."
        return f"{text} and least on {self.names[least]} ({self._gain(gap, least)})."

    def _gain(self, gap: F8, workload: int) -> str:
        gpus = words.plural(round(float(gap[workload]) * self.gpus[workload] / 100), "GPU")
        return f"{gap[workload]:.1f} points, {gpus}"

    def _told(self, workload: int) -> list[int]:
        """Return the placements that a sentence names: the best, the next and the last."""
        order = np.argsort(self.idle[workload, :, self.full], kind="stable").tolist()
        return order if len(order) <= 3 else [order[0], order[1], order[-1]]

    def _shares(self, values: F8, workload: int, of: str = "") -> str | None:
        told = self._told(workload)
        if np.isnan(values[told, self.crowded]).any():
            return None
        shares = [f"{_pct(values[p, self.crowded])} under {self.policies[p]}" for p in told]
        shares[0] = shares[0].replace(" under", f"{of} under", 1)
        return words.names(shares)

    def _when(self, pct: int) -> str:
        return "when demand reaches capacity" if pct == FULL_PCT else f"when {pct} % of them are asked for"


def _means(values: F8) -> F8:
    """Return the means over seeds, f8[traces, placements, percents]."""
    return mean_and_sd(np.moveaxis(values, 2, -1))[0]


def _starts(failed: F8) -> F8:
    """Return the percent at which the first task is turned away, the median over seeds, f8[traces, placements]."""
    first = np.argmax(failed > 0, axis=-1).astype(np.float64)
    first[~(failed > 0).any(axis=-1)] = np.nan
    starts: F8 = np.median(first, axis=-1)
    return starts


def _pct(value: float) -> str:
    return f"{value:.1f} %" if value < 99.95 or value == 100 else f"{value:.2f} %"
