"""Who submits: sizes, users and the templates that users repeat, drawn for each submission."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from apportion.traces.generator.preset import Preset
from apportion.traces.generator.quantiles import Array
from apportion.traces.generator.split import normal_quantile

Index = npt.NDArray[np.int64]

TEMPLATE_SKEW = 2.0
"""Of a user's K templates, number K x U^2 (U uniform) is used: few are run all the time, most a few times."""

LARGEST_BATCH_SHARE = 0.25
"""A batch holds at most this share of the jobs of its size, or one burst would decide the size's statistics.
It asks for at most the whole cluster, or one gang submitted in a loop would fill it for weeks."""


class Submitters(NamedTuple):
    """i64[submissions] each: index of the size, user and template; and what the indices mean.

    user_group: i64[users], group of each user. effect: f64[templates], normal score of a template's duration.
    name: i64[templates], number of the template among those of its user.
    """

    size: Index
    user: Index
    template: Index
    user_group: Index
    effect: Array
    name: Index


def apportioned(shares: Array, total: int, rng: np.random.Generator | None = None) -> Index:
    """Return whole numbers that sum to `total` in proportion to `shares`.

    Each is its exact proportion rounded up or down; a random start makes the expectation exact for rare
    sizes.
    """
    start = 0.5 if rng is None else float(rng.random())
    upto = np.floor(np.cumsum(shares) / np.sum(shares) * total + start).astype(np.int64)
    upto[-1] = total
    return np.diff(np.minimum(upto, total), prepend=0)


def submitters(preset: Preset, counts: Index, rng: np.random.Generator) -> Submitters:
    """Draw the size, user and template of each submission of `counts` jobs."""
    size = _sizes(preset, counts, rng)
    user_group, weight = _users(preset, rng)
    repeats = preset.people.repeats
    user = np.empty(len(counts), dtype=np.int64)
    template = np.empty(len(counts), dtype=np.int64)
    group_score: Array = np.array([g.score for g in preset.groups], dtype=np.float64)
    score: Array = group_score[user_group]
    mood = rng.standard_normal((weight.shape[1],))
    effects: list[Array] = []
    names: list[Index] = []
    named = np.zeros(weight.shape[1], dtype=np.int64)
    offset = 0
    for s in range(len(preset.demands)):
        mine = np.flatnonzero(size == s)
        cumulative = np.cumsum(weight[s])
        cumulative /= cumulative[-1]
        who = np.searchsorted(cumulative, rng.random(len(mine)), side="right")
        expected = len(mine) / repeats * weight[s] / np.sum(weight[s])
        several: Index = np.maximum(np.rint(expected), 1).astype(np.int64)
        which = np.floor(several[who] * rng.random(len(mine)) ** TEMPLATE_SKEW).astype(np.int64)
        first = np.cumsum(several) - several
        user[mine] = who
        template[mine] = offset + first[who] + which
        owner = np.repeat(np.arange(len(several)), several)
        own = rng.standard_normal(len(owner))
        share = preset.people.user_variance
        effects.append(score[owner] + np.sqrt(share) * mood[owner] + np.sqrt(1 - share) * own)
        names.append(named[owner] + np.arange(len(owner)) - first[owner])
        named += several
        offset += len(owner)
    return Submitters(size, user, template, user_group, np.concatenate(effects), np.concatenate(names))


def _sizes(preset: Preset, counts: Index, rng: np.random.Generator) -> Index:
    """Return the size of each submission so that the jobs, not the submissions, have the wanted mix.

    Batches draw theirs freely; single jobs then fill up what is missing of each size.
    """
    shares = np.array([d.share for d in preset.demands], dtype=np.float64)
    gpus = np.array([d.size for d in preset.demands])
    quota = apportioned(shares, int(np.sum(counts)), rng)
    cumulative = np.cumsum(shares) / np.sum(shares)
    size = np.searchsorted(cumulative, rng.random(len(counts)), side="right").astype(np.int64)
    size = np.minimum(size, len(shares) - 1)
    if preset.arrivals.batch_mix:
        several = np.flatnonzero(counts > 1)
        mix = np.cumsum(preset.arrivals.batch_mix)
        drawn = np.minimum(np.searchsorted(mix, rng.random(len(several)) * mix[-1], side="right"), len(mix) - 1)
        for s in range(len(shares)):
            mine = np.flatnonzero(drawn == s)
            drawn[mine[np.cumsum(counts[several[mine]]) > quota[s]]] = int(np.argmax(shares))
        size[several] = drawn
    crowd = (counts > quota[size] * LARGEST_BATCH_SHARE) | (counts * gpus[size] > preset.capacity)
    size[crowd & (counts > 1)] = int(np.argmax(shares))
    single = counts == 1
    taken = np.bincount(size[~single], weights=counts[~single], minlength=len(shares))
    missing = np.maximum(quota - taken, 0.0)
    if np.any(single) and np.sum(missing) > 0:
        fill = apportioned(missing, int(np.sum(single)), rng)
        size[single] = rng.permutation(np.repeat(np.arange(len(shares)), fill))
    return size


def _users(preset: Preset, rng: np.random.Generator) -> tuple[Index, Array]:
    """Return each user's group, i64[users], and weight among the jobs of each size, f64[sizes, users]."""
    people = preset.people
    shares = np.array([g.shares for g in preset.groups], dtype=np.float64)
    mix = np.array([d.share for d in preset.demands])
    column = np.sum(shares, axis=0)
    share = shares / np.where(column > 0, column, 1.0)
    # Small groups still have several users: their number grows with the square root of a group's jobs.
    in_group = np.maximum(apportioned(np.sqrt(share @ mix), people.users), 1)
    group = rng.permutation(np.repeat(np.arange(len(in_group)), in_group))
    levels = (np.arange(len(group)) + 0.5) / len(group)
    activity = np.exp(people.sigma * normal_quantile(levels))
    taste = np.exp(people.taste_sigma * rng.standard_normal((len(mix), len(group))))
    weight = activity * taste
    for g in range(len(in_group)):
        inside = group == g
        weight[:, inside] *= (share[g] / np.sum(weight[:, inside], axis=1))[:, None]
    return group.astype(np.int64), weight
