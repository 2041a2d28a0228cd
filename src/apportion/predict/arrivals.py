"""Who will submit jobs next: blocks of the recent past, taken at the same time of day, come again.

A block bootstrap (Künsch, Annals of Statistics 17, 1989): jobs come in bursts (a user submits fifty at once) and with
the hours of the day; blocks of some hours keep both, single jobs drawn one by one would keep neither.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from apportion.engine.layout import F8, I8

DAY_S = 86_400.0


@dataclass(frozen=True)
class Arrivals:
    """Draws future submissions from past ones.

    Parameters
    ----------
    submit_s: f8[jobs], ascending, of the past jobs, all of them since `since_s` and before `now_s`.
    block_s: length of a block in seconds. days: from so many days on a block comes from the same time of day; a shorter
    past is cut into shorter blocks, an eighth of it, from any time.
    """

    submit_s: F8
    since_s: float
    now_s: float
    block_s: float = 6 * 3600.0
    days: float = 3.0

    def draw(self, seed: tuple[int, ...], until_s: float) -> tuple[I8, F8]:
        """Return which past jobs come again after now and before `until_s`, and when, ascending.

        The same seed gives the same jobs whatever `until_s` is, up to it.
        """
        span = self.now_s - self.since_s
        nothing = np.zeros(0, np.int64), np.zeros(0)
        if span <= 0 or not self.submit_s.size or until_s <= self.now_s:
            return nothing
        daily = span >= self.days * DAY_S
        length = self.block_s if daily else min(self.block_s, span / 8)
        count = int(np.ceil((until_s - self.now_s) / length))
        offset = np.arange(count) * length
        share = np.random.default_rng(seed).random(count)
        if daily:
            # days back at which the whole block is known
            least = np.ceil((offset + length) / DAY_S)
            most = np.floor((offset + span) / DAY_S)
            shift = offset - DAY_S * (least + np.floor(share * (most - least + 1)))
        else:
            shift = -span + share * (span - length)
        source = self.now_s + shift
        first = np.searchsorted(self.submit_s, source)
        last = np.searchsorted(self.submit_s, source + length)
        size = last - first
        block = np.repeat(np.arange(count), size)
        rows = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size) + np.repeat(first, size)
        at = self.submit_s[rows] - source[block] + self.now_s + offset[block]
        keep = (at < until_s) & (at > self.now_s)
        return rows[keep], at[keep]
