"""What pairs of jobs were given and have received: jobs of equal width that may share all their GPUs.

Narayanan et al., OSDI 2020 (Gavel), section 3.1 and the released code. A pair stands beside its two jobs in the queue
of every GPU model, with a share, a deficit and a priority of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from apportion.engine.layout import F8, I8


@dataclass
class Pairs:
    """All pairs of the jobs that are there, in the order in which they came about: by the younger job, then the older.

    Parameters
    ----------
    models: GPU models. half_s: half a round; that much counts as received when shares are computed anew.
    """

    models: int
    half_s: float
    older: I8 = field(init=False)
    """i8[pairs], row of the workload."""
    younger: I8 = field(init=False)
    share: F8 = field(init=False)
    """f8[pairs, models], nan where none was computed yet."""
    received: F8 = field(init=False)
    deficit: F8 = field(init=False)
    _jobs: I8 = field(init=False)

    def __post_init__(self) -> None:
        self.older = self.younger = self._jobs = np.zeros(0, np.int64)
        self.share = self.received = self.deficit = np.zeros((0, self.models))

    def meet(self, active: I8, width: F8) -> None:
        """Let pairs of those that went go, and add those of the ones that came; active: i8, ascending rows."""
        if np.array_equal(active, self._jobs):
            return
        kept = np.isin(self.older, active) & np.isin(self.younger, active)
        came = np.flatnonzero(~np.isin(active, self._jobs))
        new = [(np.flatnonzero(width[:i] == width[i]), i) for i in came.tolist()]
        older = active[np.concatenate([before for before, _ in new])] if new else active[:0]
        younger = active[np.repeat(came, [before.size for before, _ in new])]
        # nothing received yet, not even half a round: as in the released code, where they are owed it at first
        nothing = np.zeros((older.size, self.models))
        self.older, self.younger = np.append(self.older[kept], older), np.append(self.younger[kept], younger)
        self.share = np.concatenate([self.share[kept], nothing + np.nan])
        self.received, self.deficit = (
            np.concatenate([array[kept], nothing]) for array in (self.received, self.deficit)
        )
        self._jobs = active.copy()

    def reset(self, elapsed_s: float, pairs: I8, together: F8) -> None:
        """Take new shares; pairs: i8[given, 2], rows of the workload, the older first; f8[given, models]."""
        owed = np.nan_to_num(self.share) * elapsed_s
        self.deficit = self.deficit + (owed - (self.received - self.half_s))
        self.received = np.full(self.share.shape, self.half_s)
        self.share = np.zeros(self.share.shape)
        if pairs.size:
            self.share[self.find(pairs[:, 0], pairs[:, 1])] = together

    def find(self, older: I8, younger: I8) -> I8:
        """Return where these pairs stand; they must be there."""
        wide = int(self._jobs[-1]) + 1
        found: I8 = np.searchsorted(self.younger * wide + self.older, younger * wide + older)
        return found
