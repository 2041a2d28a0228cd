"""Keys that are learnt during the run: what a job will take is predicted as it is submitted, from what ended before."""

from __future__ import annotations

import math

import numpy as np

from apportion.engine.layout import ENDED, F8, REJECTED, RUNNING
from apportion.engine.plan import KEY_STATIC, OrderPlan
from apportion.engine.rerank import rerank
from apportion.engine.run import Engine
from apportion.model.errors import PolicyError, did_you_mean
from apportion.policies.parameters import at_least
from apportion.policies.protocol import Jobs
from apportion.predict.learnt import RETRAIN_S, Learnt
from apportion.predict.online import Online
from apportion.predict.predictor import MODELS, make
from apportion.predict.run_time import RunTimes

UPDATE_S = 1_800.0
"""Between two looks, unless said otherwise."""


class Learning:
    """A watcher that predicts the run time of each job shortly before it is submitted, and orders the queue by it.

    At each look it is shown which jobs have ended and how long those that run have run, and predicts the jobs that are
    submitted up to the next look.

    Parameters
    ----------
    online: the predictor at work. submit_s: f8[jobs], ascending. weight: f8[jobs], the key is this times the run time.
    update_s: seconds between two looks.
    """

    hopeful = False

    def __init__(self, online: Online, submit_s: F8, weight: F8, update_s: float) -> None:
        self.next_s = -np.inf
        self._online, self._submit_s, self._weight, self._update_s = online, submit_s, weight, update_s
        self._keys = np.zeros(submit_s.size)
        self._open = np.zeros(0, np.int64)
        self._known = 0

    def look(self, engine: Engine) -> None:
        """Learn, predict, order."""
        jobs, now = engine.arrays["jobs"], engine.number("now")
        state = jobs["state"][self._open]
        over, busy = self._open[state == ENDED], self._open[state == RUNNING]
        ended_s = jobs["started"][over] + jobs["work"][over]
        self._online.look(now, over, ended_s, busy, jobs["started"][busy])
        self._open = self._open[state != ENDED]
        self._admit(engine, now + self._update_s)
        if self._known == self._submit_s.size:
            self.next_s = np.inf
            return
        # a look before the next submission is in time
        whole = math.ceil((self._submit_s[self._known] - now) / self._update_s) - 1
        self.next_s = now + max(whole, 1) * self._update_s

    def _admit(self, engine: Engine, until_s: float) -> None:
        """Predict the jobs submitted up to `until_s`."""
        last = int(np.searchsorted(self._submit_s, until_s, side="right"))
        new = np.arange(self._known, last)
        self._known = last
        new = new[engine.arrays["jobs"]["state"][new] != REJECTED]
        if new.size:
            expected = self._online.predict(new)["duration_s"].to_numpy()
            engine.arrays["jobs"]["estimate"][new] = expected
            self._keys[new] = expected * self._weight[new]
            self._open = np.concatenate([self._open, new])
            rerank(engine, self._open, self._keys[self._open])


def check_model(name: str, model: str, contrary: bool, retrain_s: float, update_s: float) -> None:
    """Check the parameters of an order that may learn.

    contrary: whether it was told to take its keys from elsewhere (`on=`).

    Raises
    ------
    PolicyError: an unknown model, or parameters that do not go together.
    """
    if model and model not in MODELS:
        raise PolicyError(f"{name}: found predict={model}, expected {', '.join(MODELS)}{did_you_mean(model, MODELS)}")
    if model and contrary:
        raise PolicyError(f"{name}: found predict={model} and on=, expected one of them")
    if not model and (retrain_s or update_s):
        raise PolicyError(f"{name}: found retrain= or update= without predict=, expected {', '.join(MODELS)}")
    for key, value in (("retrain", retrain_s), ("update", update_s)):
        at_least(name, key, value, 0)
    if 0 < update_s < 1:
        raise PolicyError(f"{name}: found update={update_s:g}, expected at least 1")


def learning(jobs: Jobs, model: str, weight: F8, retrain_s: float, update_s: float) -> OrderPlan:
    """Return a plan whose keys are `weight` times the predicted run time.

    Where nobody watches the run (one pass over a live queue) the keys are those of the estimates the jobs came with.
    """
    table = jobs.workload.table
    online = Online(make(model), table, retrain_s or RETRAIN_S)
    watcher = Learning(online, table["submit_s"].to_numpy(), weight, update_s or UPDATE_S)
    return OrderPlan(KEY_STATIC, table["estimate_s"].fill_null(0.0).to_numpy() * weight, watcher=watcher)


def run_times_of(order: object) -> RunTimes:
    """Return what predicts run times on a live cluster under this order: its model, or a look-up if it has none."""
    model, retrain_s = getattr(order, "predict", ""), getattr(order, "retrain_s", 0.0)
    return Learnt(model=model, retrain_s=retrain_s or RETRAIN_S) if model else RunTimes()
