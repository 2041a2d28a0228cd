"""The fragmentation gauge and the advice that goes with it, as lines for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apportion.model.snapshot import ROW
from apportion.report.words import plural
from apportion.study.defragment import Move, Plan
from apportion.study.fragmentation import WORDS, Gauge

CLASSES, NODES = 10, 8
"""Rows of the tables shown at most."""


def gauge_lines(gauge: Gauge) -> list[str]:
    """Return how much is stranded, why, for whom and where."""
    on = gauge.occupied
    free, stranded = gauge.free_gpus, gauge.stranded_gpus
    held = f"{plural(len(on.snapshot), 'task')} {'holds' if len(on.snapshot) == 1 else 'hold'}"
    kinds = (
        f"{plural(on.board.targets.size, 'typical kind')} of {'those that run' if on.own else on.target.workload.name}"
    )
    out = [
        f"{plural(len(on.cluster), 'node')} with {plural(gauge.capacity_gpus, 'GPU')}: "
        f"{held} {_gpus(gauge.allocated_gpus)}, {_gpus(free)} are free",
        f"stranded: {_gpus(stranded)} GPUs, {_share(stranded, free)} of what is free, "
        f"{_share(stranded, gauge.capacity_gpus)} of capacity",
        f"  free GPUs that the next task could not use where they are, drawn from {kinds}",
    ]
    if free == 0:
        return out
    out += ["", "what becomes of the free GPUs"]
    split = sorted(gauge.buckets.items(), key=lambda item: -item[1])
    out += _aligned([(_gpus(gpus), _share(gpus, free), WORDS[name]) for name, gpus in split if gpus > 0], right=2)
    out += ["", "by GPU model"]
    models = [
        (row["gpu_model"] or "-", _gpus(row["gpus"]), _gpus(row["free_gpus"]), _gpus(row["stranded_gpus"]),
         _share(row["stranded_gpus"], row["free_gpus"]), WORDS[row["reason"]] if row["reason"] else "")
        for row in gauge.models.iter_rows(named=True)
    ]  # fmt: skip
    out += _aligned([("model", "GPUs", "free", "stranded", "of free", "mostly because"), *models], right=5)
    shown = gauge.classes.head(CLASSES)
    out += ["", "for which typical tasks: how many more would fit, and the free GPUs they cannot use"]
    classes = [
        (_share(row["share"], 1), _count(row["room"]), _gpus(row["stranded_gpus"]), _gpus(row["contribution_gpus"]),
         _task(row), WORDS[row["reason"]] if row["reason"] else "")
        for row in shown.iter_rows(named=True)
    ]  # fmt: skip
    head = ("share", "more fit", "cannot use", "its part", "task", "mostly because")
    out += _aligned([head, *classes], right=4)
    if gauge.classes.height > shown.height:
        rest = float(gauge.classes["contribution_gpus"][shown.height :].sum())
        out.append(
            f"  and {plural(gauge.classes.height - shown.height, 'other kind')}: {_gpus(rest)} of all that is stranded"
        )
    return out + _node_lines(gauge)


def _node_lines(gauge: Gauge) -> list[str]:
    found = gauge.nodes.filter(gauge.nodes["stranded_gpus"] > 0)
    rows = [
        (_gpus(row["stranded_gpus"]), _gpus(row["free_gpus"]), _cores(row["free_cpu_milli"]), row["node"],
         row["gpu_model"] or "-", WORDS[row["reason"]])
        for row in found.head(NODES).iter_rows(named=True)
    ]  # fmt: skip
    if not rows:
        return []
    head = ("stranded", "free", "free cores", "node", "model", "mostly because")
    out = ["", "on which nodes, the most stranded first", *_aligned([head, *rows], right=3)]
    if found.height > NODES:
        rest = float(found["stranded_gpus"][NODES:].sum())
        out.append(f"  and {plural(found.height - NODES, 'other node')}: {_gpus(rest)}")
    return out


def plan_lines(plan: Plan) -> list[str]:
    """Return the moves, one a line."""
    if plan.demand is not None:
        return ["", f"to make room for {plan.demand}", *_room_lines(plan)]
    if not plan.moves:
        return ["", "no single move of a task would free GPUs"]
    freed = plan.stranded_before - plan.stranded_after
    of = f"stranded {_gpus(plan.stranded_before)} to {_gpus(plan.stranded_after)}"
    frees = "move that frees" if len(plan.moves) == 1 else "moves that free"
    return ["", f"{len(plan.moves)} {frees} {_amount(freed)} ({of})", *_move_lines(plan.moves)]


def _room_lines(plan: Plan) -> list[str]:
    if plan.node is None:
        return [f"  {plan.reason}"]
    where = f"{plan.node}{_devices(plan.devices)}"
    if not plan.moves:
        return [f"  there is room now, on {where}"]
    change = f"stranded {_gpus(plan.stranded_before)} to {_gpus(plan.stranded_after)}"
    return [*_move_lines(plan.moves), f"  then it fits on {where} ({change})"]


def _move_lines(moves: Sequence[Move]) -> list[str]:
    out = []
    for number, move in enumerate(moves, start=1):
        freed = move.frees_gpus
        effect = f"frees {_amount(freed)}" if freed >= 0 else f"strands {_amount(-freed)} more"
        stop = "; it must stop before it starts again" if move.stop_first else ""
        task = _task({"gpus": move.gpus, "gpu_milli": move.gpu_milli, "cpu_milli": move.cpu_milli})
        out.append(
            f"  {number}. move job {move.job_id} ({ROW} {move.row}; {task}) from {move.from_node}"
            f"{_devices(move.from_devices)} to {move.to_node}{_devices(move.to_devices)}: {effect} "
            f"({_exact(move.stranded_before)} to {_exact(move.stranded_after)}){stop}"
        )
    return out


def _task(row: dict[str, Any]) -> str:
    whole = plural(row["gpus"], "GPU")
    share = f"{row['gpu_milli'] / 1000:g} GPU"
    if row["gpu_milli"] == 1000:
        parts = [whole]
    else:
        parts = [f"{row['gpus']} x {share}" if row["gpus"] > 1 else share] if row["gpus"] else ["no GPU"]
    if row["cpu_milli"]:
        parts.append(f"{_cores(row['cpu_milli'])} cores")
    if row.get("gpu_models") is not None:
        parts.append("on " + ("|".join(row["gpu_models"]) or "a model that is not here"))
    return ", ".join(parts)


def _devices(devices: Sequence[int]) -> str:
    if not devices:
        return ""
    return f" device{'' if len(devices) == 1 else 's'} {','.join(map(str, devices))}"


def _gpus(value: float) -> str:
    if value == round(value):
        return f"{value:,.0f}"
    return f"{value:,.1f}" if value >= 0.05 else "<0.1"


def _exact(value: float) -> str:
    return f"{value:,.3f}".rstrip("0").rstrip(".") if abs(value) >= 0.0005 else "0"


def _amount(gpus: float) -> str:
    text = _exact(gpus)
    return f"{text} GPU" if text == "1" else f"{text} GPUs"


def _count(number: int | None) -> str:
    return "any" if number is None else f"{number:,}"


def _cores(milli: int | None) -> str:
    return "-" if milli is None else f"{milli / 1000:,.6g}"


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole > 0 else "-"


def _aligned(rows: Sequence[Sequence[str]], right: int) -> list[str]:
    """Return rows as columns; the first `right` of them are flush right, but for text under a heading of names."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    numbers = [i < right and all(not row[i][:1].isalpha() for row in rows[1:]) for i in range(len(widths))]
    lines = []
    for row in rows:
        cells = [cell.rjust(w) if n else cell.ljust(w) for cell, w, n in zip(row, widths, numbers, strict=True)]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return lines
