"""What a job asks for besides GPUs, and how well it uses them: models, CPU, memory, GPU utilisation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import polars as pl

from apportion.traces.generator.preset import Demand, Preset
from apportion.traces.generator.quantiles import Array, Quantiles

Index = npt.NDArray[np.int64]


def requests(
    preset: Preset, size: Index, template: Index, held: Mapping[str, int], rng: np.random.Generator
) -> dict[str, pl.Series]:
    """Return the columns besides user, time and GPUs that the preset's tables tell.

    The jobs of a template ask for the same, so one draw is made for each template.

    Parameters
    ----------
    size, template: i64[jobs], index of each job's demand and template. held: GPUs of each model in the cluster;
    a job is not bound to models that cannot hold it.
    """
    demands = preset.demands
    templates = int(np.max(template)) + 1 if len(template) else 0
    of = np.zeros(templates, dtype=np.int64)
    of[template] = size
    columns: dict[str, pl.Series] = {}
    plain: dict[str, tuple[type[pl.DataType], list[object], object]] = {
        "tasks": (pl.Int32, [d.tasks for d in demands], 1),
        "gpu_milli": (pl.Int32, [d.gpu_milli if d.gpus else 0 for d in demands], 1000),
        "priority": (pl.Int32, [d.priority for d in demands], 0),
        "best_effort": (pl.Boolean, [d.best_effort for d in demands], False),
        "type": (pl.String, [d.kind for d in demands], ""),
    }
    for name, (dtype, values, default) in plain.items():
        if any(value != default for value in values):
            columns[name] = pl.Series(values, dtype=dtype).gather(size)
    if any(d.priority for d in demands):
        columns["preemptible"] = pl.Series([d.priority == 0 for d in demands], dtype=pl.Boolean).gather(size)
    for name in ("cpu_milli", "memory_mib"):
        tables: list[Quantiles | None] = [getattr(d, name) for d in demands]
        if any(tables):
            columns[name] = pl.Series(_amounts(tables, of, rng)).gather(template)
    if any(d.gpu_models for d in demands):
        words, chosen = _models(demands, of, held, rng)
        lists = pl.Series([word.split("|") if word else [] for word in words], dtype=pl.List(pl.String))
        columns["gpu_models"] = lists.gather(chosen[template])
    if preset.gpu_utilisation is not None:
        levels, percent = preset.gpu_utilisation
        drawn = np.interp(100 * rng.random(len(size)), levels, percent)
        columns["gpu_util"] = pl.Series(np.round(drawn, 1))
    return columns


def _amounts(tables: list[Quantiles | None], of: Index, rng: np.random.Generator) -> Index:
    levels = rng.random(len(of))
    drawn = np.zeros(len(of), dtype=np.int64)
    for s, table in enumerate(tables):
        if table is not None:
            mine = np.flatnonzero(of == s)
            # Requests are round numbers: the next knot, nothing in between.
            knot = np.searchsorted(table.levels, levels[mine])
            drawn[mine] = np.rint(table.seconds[knot]).astype(np.int64)
    return drawn


def _models(
    demands: tuple[Demand, ...], of: Index, held: Mapping[str, int], rng: np.random.Generator
) -> tuple[list[str], Index]:
    """Return words (`A|B`, "" = any) and, for each template, the index of its word."""
    words = ["", *dict.fromkeys(word for d in demands for word, _ in d.gpu_models)]
    number = {word: i for i, word in enumerate(words)}
    point: Array = rng.random(len(of))
    chosen = np.zeros(len(of), dtype=np.int64)
    for s, demand in enumerate(demands):
        fitting = [
            (number[word], share)
            for word, share in demand.gpu_models
            if sum(held.get(model, 0) for model in word.split("|")) >= demand.size
        ]
        if not fitting:
            continue
        bound = sum(share for _, share in demand.gpu_models)
        upto = np.cumsum([share for _, share in fitting])
        upto *= bound / upto[-1]
        mine = np.flatnonzero(of == s)
        index = np.searchsorted(upto, point[mine], side="right")
        chosen[mine] = np.array([*(i for i, _ in fitting), 0])[np.minimum(index, len(fitting))]
    return words, chosen
