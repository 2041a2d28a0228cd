"""Classes of jobs that come up during a run: bound to a GPU model, or of another size than was asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from apportion.engine.encode import Encoded, make_kind
from apportion.engine.layout import I8, TASK
from apportion.engine.run import Engine
from apportion.engine.state import index_arrays
from apportion.engine.world import KIND


@dataclass
class Classes:
    """Makes classes when they are first wanted.

    Parameters
    ----------
    encoded: of the run.
    """

    encoded: Encoded
    _known: dict[tuple[int, int, int | None], int] = field(default_factory=dict, init=False)
    _shapes: dict[tuple[int, ...], int] = field(init=False)

    def __post_init__(self) -> None:
        self._shapes = {tuple(int(v) for v in task): i for i, task in enumerate(self.encoded.tasks)}

    def of(self, engine: Engine, job: int, model: int = -1, gpus: int | None = None) -> int:
        """Return the class of a job.

        Parameters
        ----------
        model: index of the GPU model it is bound to, -1 = as it was submitted. gpus: as one piece of so many, None = as
        it was submitted.
        """
        own = int(self.encoded.kind[job])
        bound = model if len(self.encoded.models) > 1 else -1
        if bound < 0 and gpus is None:
            return own
        key = (own, bound, gpus)
        if key not in self._known:
            self._known[key] = self._make(engine, *key)
        return self._known[key]

    def of_all(self, engine: Engine, jobs: I8, models: I8) -> I8:
        """Return the classes of jobs bound to GPU models, i8; of the size that they were submitted with."""
        if len(self.encoded.models) <= 1:
            return self.encoded.kind[jobs].astype(np.int64)
        return np.array([self.of(engine, j, m) for j, m in zip(jobs.tolist(), models.tolist(), strict=True)], np.int64)

    def nothing(self, engine: Engine) -> int:
        """Return the task that asks for nothing: of a job that stands beside another on its places."""
        row = make_kind(engine.arrays["nodes"], self._shapes, 1, (0, 0, 0, 0), 0, -1)
        self._attach_tasks(engine)
        return int(row[0])

    def _make(self, engine: Engine, own: int, model: int, gpus: int | None) -> int:
        kinds = engine.arrays["kinds"]
        task = engine.arrays["tasks"][kinds["shape"][own]]
        per_task, count = max(int(task["gpus"]), 1), int(kinds["count"][own])
        if gpus is not None:
            # a resized job is one piece; its CPU and memory grow and shrink with it
            demand = (
                gpus,
                int(task["milli"]),
                int(task["cpu"]) * gpus // per_task,
                int(task["memory"]) * gpus // per_task,
            )
            count = 1
        elif int(kinds["rest"][own]) >= 0:
            # larger than a node of any model: split anew for the nodes of this one
            rest = engine.arrays["tasks"][kinds["rest"][own]]
            whole = tuple(int(task[name]) * count + int(rest[name]) for name in ("gpus", "cpu", "memory"))
            demand, count = (whole[0], int(task["milli"]), whole[1], whole[2]), 1
        else:
            demand = (int(task["gpus"]), int(task["milli"]), int(task["cpu"]), int(task["memory"]))
        mask = 1 << model if model >= 0 else int(task["models"])
        row = make_kind(engine.arrays["nodes"], self._shapes, count, demand, mask, int(task["group"]))
        self._attach_tasks(engine)
        made = np.array([row], KIND)
        made["apart"] = kinds["apart"][own] if gpus is None else 0
        engine.attach("kinds", np.append(kinds, made))
        return int(engine.arrays["kinds"].size) - 1

    def _attach_tasks(self, engine: Engine) -> None:
        if len(self._shapes) > engine.arrays["tasks"].size:
            tasks = np.array(list(self._shapes), TASK)
            for name, array in index_arrays(engine.arrays["nodes"], tasks, engine.arrays["seconds"].size > 0).items():
                if name != "nodes":
                    engine.attach(name, array)
            engine.root["seen"] = 0
