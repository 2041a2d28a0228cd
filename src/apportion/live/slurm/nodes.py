"""What `sinfo` says of the nodes of a partition, as rows of `NODE_COLUMNS`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from apportion.live.backend import NODE_COLUMNS
from apportion.live.slurm import values
from apportion.live.slurm.names import checked

if TYPE_CHECKING:
    from apportion.live.slurm.client import Slurm

CLOSED = frozenset(
    (
        "down", "drain", "drained", "draining", "fail", "failing", "error", "inval", "invalid", "invalid_reg", "maint",
        "maintenance", "reserved", "resv", "unknown", "unk", "future", "futr", "not_responding", "no_respond",
        "reboot_issued", "reboot_requested", "reboot", "boot", "blocked", "perfctrs", "npc",
    )
)  # fmt: skip
"""Words in a node's state that mean that it takes nothing new."""

_WHOLE = ("NodeList", "Gres", "StateComplete", "Features")


def _widths() -> dict[str, int]:
    return {
        "NodeList": 64, "Gres": 64, "CPUs": 10, "Memory": 14, "StateComplete": 64, "Threads": 6, "Features": 128,
        "Reason": 96,
    }  # fmt: skip


@dataclass
class NodePoll:
    """Asks for the nodes of a partition."""

    slurm: Slurm
    partition: str
    widths: dict[str, int] = field(default_factory=_widths)

    def rows(self) -> list[dict[str, str]]:
        """Return a row a node, in Slurm's words.

        Raises
        ------
        BackendError: Slurm does not answer.
        """
        options = ("-h", "-N", "-p", checked(self.partition))
        return self.slurm.table("sinfo", options, self.widths, _WHOLE)


def node_frame(rows: list[dict[str, str]]) -> pl.DataFrame:
    """Return the nodes as `NODE_COLUMNS`; of a node with GPUs of two types, the type it has more of."""
    out = []
    for row in rows:
        model, gpus = gpus_of(row["Gres"])
        words = state_words(row["StateComplete"])
        shut = sorted(words & CLOSED)
        reason = row["Reason"] if row["Reason"] not in ("none", "None", "(null)") else ""
        out.append(
            {
                "node": row["NodeList"],
                "gpu_model": model,
                "gpus": gpus,
                "cpu_milli": values.count(row["CPUs"]) * 1000,
                "memory_mib": int(values.mib(row["Memory"]) or 0),
                "group": None,
                "open": not shut,
                "reason": " ".join(filter(None, ("+".join(shut), f"({reason})" if reason else ""))) if shut else "",
            }
        )
    return pl.DataFrame(out, schema=NODE_COLUMNS, orient="row")


def gpus_of(text: str) -> tuple[str | None, int]:
    """Return the model and number of a node's GPUs.

    Examples
    --------
    >>> gpus_of("gpu:a100:8(S:0-1),shard:32"), gpus_of("gpu:4"), gpus_of("(null)")
    (('a100', 8), (None, 4), (None, 0))
    """
    found = _types(text)
    if not found:
        return None, 0
    kind = max(found, key=lambda each: found[each])
    return kind or None, found[kind]


def left_out_of(text: str) -> dict[str, int]:
    """Return the GPUs of a node that policies do not place, by type: a node is seen as having one model.

    Examples
    --------
    >>> left_out_of("gpu:a100:7,gpu:t4:1")
    {'t4': 1}
    """
    seen = gpus_of(text)[0] or ""
    return {kind: number for kind, number in _types(text).items() if kind != seen}


def _types(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for name, kind, number in values.generic(text) or []:
        if name == "gpu":
            found[kind] = found.get(kind, 0) + number
    return found


def state_words(text: str) -> set[str]:
    """Return the words of a node's state.

    Examples
    --------
    >>> sorted(state_words("mixed+drain")), sorted(state_words("idle*"))
    (['drain', 'mixed'], ['idle', 'not_responding'])
    """
    words = set(re.split(r"[+\s]+", re.sub(r"[*~#!%$@^-]+$", "", text.lower())))
    if text.endswith("*"):
        words.add("not_responding")
    return words


def threads_of(rows: list[dict[str, str]]) -> int:
    """Return the threads of a core, the most that any node has: Slurm gives out whole cores."""
    return max((values.count(row["Threads"], 1) for row in rows), default=1)


def features_of(rows: list[dict[str, str]]) -> dict[str, set[str]]:
    """Return which nodes have each feature."""
    out: dict[str, set[str]] = {}
    for row in rows:
        for name in row["Features"].split(","):
            out.setdefault(name.strip(), set()).add(row["NodeList"])
    return out
