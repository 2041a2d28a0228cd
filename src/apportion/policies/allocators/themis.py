"""Themis: GPUs are leased, and what is free goes to those whose finish time is least fair, by auction.

Mahajan, Balasubramanian, Singhvi, Venkataraman, Akella, Phanishayee and Chawla, "Themis: fair and efficient GPU cluster
scheduling", NSDI 2020.

    rho_j = T_shared / T_ideal
    T_shared = time since the submission + R_j / f_j(g)     R_j what is left, f_j the speed with g GPUs
    T_ideal = all its work on G / N_j GPUs                  N_j jobs there on average while j was there

When a lease ends, and when jobs came or went, the GPUs that are free are offered to the worst 1 - f of the jobs without
a lease. They bid 1 / rho for every size they can have, against waiting for one lease more; the auction (`auction`)
gives each a bundle, of which it keeps the part c_j: an elastic job gives up GPUs, one of fixed size time of its lease.
What is left goes to the others, the worst rho first, while they fit. Leases that begin at different times would end at
as many, and an auction would follow the other within seconds. A lease therefore goes on to the next multiple of
`together` x `lease`: those that end close together are auctioned together, and nobody gets less time than it won.

With `form=filter` there is no auction: every `round` those whose lease is over and those that wait are taken in the
order of rho_j = time there / (deserved_j / w_j + R_j) while they fit, where deserved_j grows by min(G / n, w_j) for n
jobs.

Example: `apportion simulate synthetic:philly?jobs=300 --policy themis[lease=20m] --cluster pool:64`
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from apportion.engine.layout import F8, I8
from apportion.engine.view import Decision, View
from apportion.model.errors import PolicyError
from apportion.policies.allocators.auction import Bids, auction
from apportion.policies.allocators.carried import Carried
from apportion.policies.allocators.sizes import at, fitting, placed, speeds, steps
from apportion.policies.parameters import at_least, between, one_of


@dataclass
class Themis:
    """Leases by finish-time fairness; see the module's text.

    Parameters
    ----------
    f: part of the jobs that does not bid (0 to below 1). lease_s: seconds of a lease (at least 1). form: `auction` or
    `filter`. round_s: seconds between two looks of the filter (at least 1). together: leases are longer by less than
    this part of `lease`, so that several end at once (0 = each ends by itself, to 1 = all at multiples of `lease`).
    """

    f: float = 0.8
    lease_s: float = 1200.0
    form: str = "auction"
    round_s: float = 300.0
    together: float = 0.05
    every_round = True
    remembers = ("_until", "_due", "_last_s")
    _until: Carried = field(default_factory=lambda: Carried(-np.inf), init=False, repr=False)
    _due: Carried = field(default_factory=lambda: Carried(0.0), init=False, repr=False)
    """The time-integral of the jobs that were there (auction), or of the GPUs it deserved (filter)."""
    _last_s: float = field(default=-np.inf, init=False, repr=False)

    def __post_init__(self) -> None:
        between("themis", "f", 1 - self.f, 0, 1)
        at_least("themis", "lease", self.lease_s, 1)
        at_least("themis", "round", self.round_s, 1)
        if not 0 <= self.together <= 1:
            raise PolicyError(f"themis: found together={self.together:g}, expected 0 to 1")
        one_of("themis", "form", self.form, ("auction", "filter"))

    @property
    def on_change(self) -> bool:
        """Say that an auction is held as soon as jobs came or went."""
        return self.form == "auction"

    def decide(self, view: View) -> Decision:
        """Return the GPUs of each job."""
        if view.now_s < self._last_s:
            # another run
            self._until, self._due, self._last_s = Carried(-np.inf), Carried(0.0), -np.inf
        due = self._count(view)
        until = self._until.of(view.number)
        kept = view.running & (until > view.now_s)
        gpus = np.where(kept, view.held, 0.0)
        free = view.capacity_gpus - gpus.sum()
        apply = np.flatnonzero(~kept & (view.gpus > 0))
        least, most = steps(view)
        part = np.ones(view.jobs.size)
        if self.form == "auction":
            rho = self._auction(view, (least, most), apply, due, gpus, part, int(free))
        else:
            rho = (view.now_s - view.submit_s) / np.maximum(due / np.maximum(view.gpus, 1e-9) + view.remaining_s, 1e-9)
        _fill(view, apply, rho, gpus)
        gpus, model = placed(view, gpus, least)
        new = ~kept & (gpus > 0)
        until = np.where(new, self._ends(view.now_s, part), until)
        leased = gpus > 0
        self._until.keep(view.number[leased], until[leased])
        soonest = float(until.min(initial=np.inf, where=leased))
        again = min(soonest, view.now_s + self.lease_s) if self.form == "auction" else None
        return Decision(gpus, np.lexsort((view.submit_s, -rho)), model, again)

    def _ends(self, now_s: float, part: F8) -> F8:
        """Return when leases of these parts of a whole one end."""
        # a lease of no length would be asked for at once again
        end: F8 = now_s + np.maximum(self.lease_s * part, 1.0)
        step_s = self.together * self.lease_s
        if self.form == "auction" and step_s > 0:
            end = np.maximum(np.ceil(end / step_s) * step_s, end)
        return end

    def _count(self, view: View) -> F8:
        """Add what was there since the last look to each job's integral; return the integrals."""
        n = view.jobs.size
        since = np.maximum(self._last_s, view.submit_s)
        rate = n if self.form == "auction" else np.minimum(view.capacity_gpus / max(n, 1), view.gpus)
        due: F8 = self._due.of(view.number) + rate * np.maximum(view.now_s - since, 0.0)
        self._due.keep(view.number, due)
        self._last_s = view.now_s
        return due

    def _auction(self, view: View, bounds: tuple[F8, F8], apply: I8, due: F8, gpus: F8, part: F8, offer: int) -> F8:
        """Set GPUs and the part of a lease of those that win; return rho of all."""
        least, most = bounds
        speed = speeds(view, most)
        elapsed = view.now_s - view.submit_s
        there = np.divide(due, elapsed, out=np.full(due.size, float(view.jobs.size)), where=elapsed > 0)
        ideal_s = _alone(view, least, most, speed, view.capacity_gpus / np.maximum(there, 1.0))
        rho = (elapsed + view.remaining_s) / ideal_s
        bidders = apply[np.argsort(-rho[apply], kind="stable")][: int(np.ceil((1 - self.f) * apply.size))]
        bidders = bidders[least[bidders] <= offer]
        if offer <= 0 or not bidders.size:
            return rho
        elastic = most > least
        # of each bidder: nothing, then each of its sizes
        options = np.where(elastic, np.floor(most) - least + 1, 1.0)[bidders].astype(np.int64) + 1
        of = np.repeat(bidders, options)
        step = np.arange(of.size) - np.repeat(np.cumsum(options) - options, options)
        size = np.where(step > 0, least[of] + step - 1, 0.0)
        fast = at(speed[of], size, view.gpus[of])
        waits = elapsed[of] + self.lease_s + view.remaining_s[of]
        shared = np.where(step > 0, elapsed[of] + view.remaining_s[of] / np.maximum(fast, 1e-9), waits)
        value = ideal_s[of] / np.maximum(shared, 1e-9)
        won, keeps = auction(Bids(options, np.ceil(size).astype(np.int64), value), offer)
        won, whole = won.astype(np.float64), np.floor(keeps * won)
        wins, grows = won > 0, elastic[bidders]
        # what an elastic job does not keep it gives up at once, if the rest is enough to run on
        less = wins & grows & (whole >= least[bidders])
        gpus[bidders] = np.where(less, whole, np.where(wins, np.where(grows, won, least[bidders]), gpus[bidders]))
        part[bidders] = np.where(wins & ~less, keeps, part[bidders])
        return rho


def _fill(view: View, apply: I8, rho: F8, gpus: F8) -> None:
    """Give what is left to those without any, the worst first."""
    without = apply[gpus[apply] == 0]
    fits = fitting(without[np.argsort(-rho[without], kind="stable")], view.gpus, view.capacity_gpus - gpus.sum())
    gpus[fits] = view.gpus[fits]


def _alone(view: View, least: F8, most: F8, speed: F8, share: F8) -> F8:
    """Return the seconds all of a job's work takes on its share of the cluster: on whole GPUs, or part of the time."""
    size = np.clip(np.floor(share), least, most)
    fast = np.maximum(at(speed, size, view.gpus), 1e-9) * np.minimum(share / np.maximum(least, 1e-9), 1.0)
    out: F8 = np.maximum((view.attained_s + view.remaining_s) / np.maximum(fast, 1e-9), 1e-9)
    return out
