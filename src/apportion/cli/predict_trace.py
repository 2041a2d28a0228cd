"""`apportion predict TRACE --model M`: how well models predict the run times of a trace."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any


def predict_trace(
    spec: str, models: Sequence[str], retrain: str, explain: bool, json: Path | None, quiet: bool
) -> None:
    """Replay the trace under each model and print how good its predictions were.

    Raises
    ------
    UsageError: `explain` of a model that cannot. PolicyError: an unknown model. InputError: the trace cannot be read.
    """
    from apportion.cli.options import note
    from apportion.cli.outputs import show_json
    from apportion.cli.progress import bar
    from apportion.model.errors import UsageError
    from apportion.model.units import parse_duration
    from apportion.predict.predictor import make
    from apportion.report.accuracy import print_accuracy, print_shapes
    from apportion.study.accuracy import accuracy, replay
    from apportion.traces.registry import load

    retrain_s = parse_duration(retrain)
    if not retrain_s > 0:
        raise UsageError(f"found --retrain {retrain}, expected a duration above 0 such as 7d")
    made = {name: make(name) for name in models}
    if explain and not any(hasattr(model, "shapes") for model in made.values()):
        raise UsageError("--explain prints the functions of a model that has some: --model additive")
    trace = load(spec)
    if not quiet:
        for line in trace.report.lines():
            note(line)
    found: list[dict[str, Any]] = []
    for name, model in made.items():
        with bar(name, quiet) as update:
            jobs = replay(trace.workload, model, retrain_s=retrain_s, progress=update and partial(update, 0))
        found.append({"model": name, "trace": spec, **accuracy(jobs)})
        if explain and hasattr(model, "shapes"):
            found[-1]["shapes"] = model.shapes().to_dicts()
    show_json(found, json)
    if str(json) != "-":
        print_accuracy(found)
        for one in found:
            if "shapes" in one:
                print_shapes(one)
