"""Gavel: objectives as linear programs over the part of the time that each job has on each GPU model.

Narayanan et al., "Heterogeneity-aware cluster scheduling policies for deep learning workloads", OSDI 2020. X[m, j] is
the part of the time that job m runs on model j; rounds then take jobs in the order of X over what they received.

| objective | maximises or minimises | paper |
|---|---|---|
| max-min | min_m w_m t_m(X) / (weight_m t_eq_m), t_eq with an even mix; filled up where slack is left | 4.1, 4.3 |
| makespan | the time in which all could be done | 4.2 |
| ftf | max_m of time to the end over time to the end with an even part of the cluster (Themis' metric) | 4.2 |
| throughput, cost | sum of t_m(X), of t_m(X) per price of the GPUs; `deadlines` are kept while they can be | 4.2 |
| truthful | the geometric mean of t_m(X), less what each takes from the others | 4.4 |
| fifo, isolated, proportional | rules to compare with: in order of arrival, an even split, an even mix | 7.1 |

Example: `apportion simulate synthetic:philly?jobs=300 --policy gavel[objective=max-min] --cluster pool:64`
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from apportion.engine.layout import F8, I8
from apportion.engine.view import Shares, View
from apportion.model.errors import PolicyError
from apportion.policies.allocators import gavel_programs as programs
from apportion.policies.allocators.gavel_case import Case
from apportion.policies.allocators.gavel_fifo import Drawn, fastest, pack
from apportion.policies.allocators.gavel_filling import fill
from apportion.policies.allocators.gavel_packed import deal, partners
from apportion.policies.allocators.gavel_truthful import truthful
from apportion.policies.parameters import at_least, one_of

OBJECTIVES = (
    "max-min", "makespan", "ftf", "throughput", "cost", "truthful", "fifo", "isolated", "proportional",
)  # fmt: skip
PROGRAMS = ("max-min", "makespan", "ftf", "throughput", "cost")
PACKED = (*PROGRAMS, "fifo")


@dataclass
class Gavel:
    """Parts of the time by a program; see the module's text.

    Parameters
    ----------
    objective: what is optimised. aware: no = speeds on different models are taken to be alike. packed: jobs of equal
    width may share GPUs in pairs (space sharing), at speeds that the workload's profiles give.
    filling: max-min goes on for those that can have more (water filling), which makes the answer one.
    owner: job, user or group; whose weight it is that filling shares out (the largest of its jobs' weights). inside:
    fair = an owner's weight is split over its jobs, fifo = it goes to the first that can have more.
    deadlines: throughput and cost keep deadlines. prices: USD an hour by GPU model, `v100:2.5/p100:1.5`, for cost.
    parts: jobs and GPUs are dealt into so many parts that are solved alone (POP, Narayanan et al., SOSP 2021).
    solver: highs or ecos (an extra, see `linear`). reference: GPU model whose speed stands for all when not aware
    (default: the cluster's first).
    released: repeat what the released code does: makespan within 5 %, blind also to where a job cannot run, and fifo's
    defect. seed: of what fifo draws. round_s: seconds of a round (at least 1).
    """

    objective: str = "max-min"
    aware: bool = True
    packed: bool = False
    filling: bool = True
    owner: str = "job"
    inside: str = "fair"
    deadlines: bool = False
    prices: str = ""
    parts: int = 1
    solver: str = "highs"
    reference: str = ""
    released: bool = False
    seed: int = 0
    round_s: float = 360.0
    remembers = ("_drawn", "_alone_s", "_last", "_memory")
    _drawn: Drawn = field(init=False, repr=False)
    _alone_s: dict[int, float] = field(default_factory=dict, init=False, repr=False)
    _last: dict[int, tuple[float, float]] = field(default_factory=dict, init=False, repr=False)

    _memory: dict[bytes, I8] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        one_of("gavel", "objective", self.objective, OBJECTIVES)
        one_of("gavel", "owner", self.owner, ("job", "user", "group"))
        one_of("gavel", "inside", self.inside, ("fair", "fifo"))
        one_of("gavel", "solver", self.solver, ("highs", "ecos"))
        at_least("gavel", "parts", self.parts, 1)
        at_least("gavel", "round", self.round_s, 1)
        if self.solver == "ecos" and self.objective not in PROGRAMS:
            raise PolicyError(
                f"gavel: found solver=ecos with objective={self.objective}, expected {' or '.join(PROGRAMS)}"
            )
        if self.deadlines and self.objective not in ("throughput", "cost"):
            raise PolicyError(f"gavel: found deadlines with objective={self.objective}, expected throughput or cost")
        if self.owner != "job" and (self.objective != "max-min" or not self._fills):
            raise PolicyError(f"gavel: found owner={self.owner}, which needs objective=max-min with filling")
        if self.packed and (self.objective not in PACKED or not self.aware or self.solver == "ecos" or self.released):
            raise PolicyError(
                f"gavel: found packed=yes, which needs objective={'/'.join(PACKED)}, and is neither for aware=no, "
                "solver=ecos nor released=yes"
            )
        self._price = _prices(self.prices)
        if self.objective == "cost" and not self._price:
            raise PolicyError("gavel: objective=cost needs prices=MODEL:USD/MODEL:USD")
        self._drawn = Drawn(self.seed, self.released)

    @property
    def _fills(self) -> bool:
        return self.filling and self.solver == "highs"

    @property
    def shuffles(self) -> bool:
        """Say whether GPU models are given out in an order drawn each round: so it is for what does not know them."""
        return not self.aware or self.objective in ("isolated", "proportional")

    @property
    def packs(self) -> bool:
        """Say whether jobs may share GPUs."""
        return self.packed

    def decide(self, view: View) -> Shares:
        """Return the part of the time of each job on each GPU model."""
        if self.packed and view.beside is None:
            raise PolicyError("gavel: packed=yes needs the speeds of jobs that share GPUs, and this workload has none")
        if not view.jobs.size or view.capacity.sum() <= 0:
            return Shares(np.zeros(view.speed.shape))
        # columns by name, as in the released code: what a solver answers among equals hangs on it
        by_name = np.argsort([str(model) for model in view.models], kind="stable")
        share = np.zeros(view.speed.shape)
        pairs, together = [np.zeros((0, 2), np.int64)], [np.zeros((0, by_name.size))]
        for part in range(self.parts):
            of = np.flatnonzero(view.number % self.parts == part)
            if of.size:
                x = self._solve(view, of, by_name)
                if isinstance(x, tuple):
                    x, two, time = x
                    pairs.append(of[two])
                    together.append(time[:, np.argsort(by_name)])
                share[np.ix_(of, by_name)] = x
        only = self.objective == "fifo"
        if not self.packed:
            return Shares(share, only)
        return Shares(share, only, np.concatenate(pairs), np.concatenate(together))

    def _solve(self, view: View, of: I8, by_name: I8) -> F8 | tuple[F8, I8, F8]:
        """Return X, f8[jobs, models]; where jobs share GPUs also the pairs, and their parts of the time."""
        speed, capacity = view.speed[np.ix_(of, by_name)], view.capacity[by_name] / self.parts
        width, weight, number = view.gpus[of], view.weight[of], view.number[of]
        # a gang larger than all there is of a model does not run there
        speed = np.where(width[:, None] <= view.capacity[by_name], speed, 0.0)
        if self.objective == "fifo":
            if self.packed:
                return pack(fastest(speed, width, capacity), speed, width, *self._beside(view, of, by_name))
            if self.aware:
                return fastest(speed, width, capacity)
            return self._drawn.parts(number, speed, width, capacity)
        if self.objective == "isolated":
            return programs.even(width, capacity)
        if self.objective == "proportional":
            return np.broadcast_to(capacity / max(capacity.sum(), 1e-300) / of.size, speed.shape)
        case = Case(self._seen(view, speed), width, capacity, np.ones(of.size), weight, ecos=self.solver == "ecos")
        if self.packed:
            return self._in_pairs(view, of, by_name, case)
        found = self._optimum(view, of, case, by_name)
        if found is None:
            return programs.even(width, capacity)
        if self.aware or case.ecos:
            return found
        return programs.spread(found, width, case.count, capacity, case.speed > 0)

    def _optimum(self, view: View, of: I8, case: Case, by_name: I8) -> F8 | None:
        if self.objective == "truthful":
            return truthful(case.speed, case.width, case.capacity, case.weight)
        if self.objective == "makespan":
            search = programs.makespan_by_halves if self.released else programs.makespan
            return search(case, view.left[of])
        if self.objective == "ftf":
            return self._finish_time(view, of, case)
        if self.objective == "max-min":
            return self._max_min(view, of, case)
        least = np.zeros(of.size)
        if self.deadlines:
            due = np.maximum(view.deadline_s[of] - view.now_s, 1e-300)
            least = np.where(np.isfinite(due) & (due > 1e-300), view.left[of] / due, 0.0)
        price = np.ones(by_name.size)
        if self.objective == "cost":
            price = np.array([self._price_of(view.models[j]) for j in by_name])
        return programs.throughput(case, price, least)

    def _max_min(self, view: View, of: I8, case: Case) -> F8 | None:
        if case.ecos:
            return programs.max_min(case)
        owner = self._owner(view, of)
        alike = np.column_stack([case.speed, case.width, case.weight, owner])
        if self.inside == "fifo":
            alike = np.column_stack([alike, np.arange(of.size)])
        # jobs that are alike in all that counts have the same part: a row stands for all of them
        _, first, back, count = np.unique(alike, axis=0, return_index=True, return_inverse=True, return_counts=True)
        small = replace(
            case,
            speed=case.speed[first],
            width=case.width[first],
            weight=case.weight[first],
            count=count.astype(np.float64),
            names=tuple(row.tobytes() for row in alike[first]),
            memory=self._memory,
        )
        if self._fills:
            x = fill(small, None if self.owner == "job" else owner[first], self.inside == "fifo")
        else:
            x = programs.max_min(small)
        return None if x is None else x[back.ravel()]

    def _in_pairs(self, view: View, of: I8, by_name: I8, case: Case) -> F8 | tuple[F8, I8, F8]:
        """Solve with a variable for every job and every kind of job that may be beside it."""
        kind, beside = self._beside(view, of, by_name)
        owner, each = self._owner(view, of), np.arange(of.size)
        first, back, count = each, each, np.ones(of.size, np.int64)
        if self.objective == "max-min":
            # a row stands for all jobs that are alike
            alike = np.column_stack([kind, case.speed, case.width, case.weight, owner])
            if self.inside == "fifo":
                alike = np.column_stack([alike, each])
            _, first, back, count = np.unique(alike, axis=0, return_index=True, return_inverse=True, return_counts=True)
            back = back.ravel()
        rows, width = count.astype(np.float64), case.width[first]
        speed, ways, partner = partners(kind[first], rows, width, beside, case.speed[first])
        wide = replace(
            case,
            speed=np.hstack([case.speed[first], speed]),
            width=width,
            weight=case.weight[first],
            count=rows,
            ways=ways,
        )
        if self.objective != "max-min":
            x = self._optimum(view, of, wide, by_name)
        elif self._fills:
            x = fill(wide, None if self.owner == "job" else owner[first], self.inside == "fifo")
        else:
            x = programs.max_min(wide)
        if x is None:
            return programs.even(case.width, case.capacity)
        models = case.capacity.size
        x = np.where(wide.speed > 0, x, 0.0)[back]
        return (x[:, :models], *deal(x[:, models:], kind, partner[back], models))

    def _owner(self, view: View, of: I8) -> I8:
        return {"job": np.zeros(of.size, np.int64), "user": view.user[of], "group": view.group[of]}[self.owner]

    def _beside(self, view: View, of: I8, by_name: I8) -> tuple[I8, F8]:
        """Return the kind of each job, from 0 on, and speeds of kinds beside kinds."""
        assert view.kind is not None and view.beside is not None
        kinds, kind = np.unique(view.kind[of], return_inverse=True)
        return kind, view.beside[np.ix_(kinds, kinds, by_name, np.arange(2))]

    def _finish_time(self, view: View, of: I8, case: Case) -> F8 | None:
        """Keep what each job would have needed alone with an even part, which changes as jobs come and go."""
        alone = (case.speed[:, : case.capacity.size] * programs.even(case.width, case.capacity)).sum(axis=1)
        left, alone_s = view.left[of], np.zeros(of.size)
        for i, n in enumerate(view.number[of].tolist()):
            if n in self._last:
                before, speed = self._last[n]
                self._alone_s[n] = self._alone_s.get(n, 0.0) + (before - left[i]) / speed
            self._last[n] = (float(left[i]), float(alone[i]))
            alone_s[i] = self._alone_s.get(n, 0.0) + left[i] / alone[i]
        return programs.finish_time(case, left, view.now_s - view.submit_s[of], alone_s)

    def _seen(self, view: View, speed: F8) -> F8:
        """Return the speeds that the objective knows of."""
        if self.aware:
            return speed
        if self.objective in ("max-min", "truthful"):
            alike = np.ones(speed.shape)
        else:
            alike = np.repeat(self._reference(view, speed)[:, None], speed.shape[1], axis=1)
        return alike if self.released else np.where(speed > 0, alike, 0.0)

    def _reference(self, view: View, speed: F8) -> F8:
        names = sorted(str(model) for model in view.models)
        wanted = self.reference or str(view.models[0])
        if wanted not in names:
            raise PolicyError(f"gavel: found reference={wanted}, expected {' or '.join(names)}")
        known = speed[:, names.index(wanted)]
        return np.where(known > 0, known, speed.max(axis=1))

    def _price_of(self, model: str | None) -> float:
        if str(model) not in self._price:
            raise PolicyError(f"gavel: found no price of {model}, expected prices={model}:USD")
        return self._price[str(model)]


def _prices(text: str) -> dict[str, float]:
    found = {}
    for item in filter(None, text.split("/")):
        model, _, value = item.partition(":")
        try:
            found[model.strip()] = float(value)
        except ValueError:
            found[model.strip()] = -1.0
        if not found[model.strip()] > 0:
            raise PolicyError(f"gavel: found prices={text}, expected MODEL:USD/MODEL:USD, each above 0")
    return found
