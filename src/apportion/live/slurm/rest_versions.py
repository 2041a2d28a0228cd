"""The versions of the REST interface: which the daemon offers, what can be said in one, and how its errors read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from apportion.live.slurm.access import Change

VERSIONS = ("v0.0.44", "v0.0.43", "v0.0.42", "v0.0.41", "v0.0.40", "v0.0.38")
"""Versions spoken here, newest first."""

OLD = "v0.0.38"
"""The version whose fields are those of `sbatch` rather than those of Slurm's own records."""

_OLD_FIELDS = frozenset(("partition", "nodelist", "nodes", "priority", "begin_time"))
"""What it takes: `nodelist` is not in its specification, and `required_nodes`, which is, is switched off."""

_VERSION = re.compile(r"/slurm/(v[0-9]+\.[0-9]+\.[0-9]+)/")


def offered(specification: Mapping[str, Any]) -> set[str]:
    """Return the versions that the daemon says it speaks."""
    paths = specification.get("paths")
    found = (_VERSION.match(path) for path in paths) if isinstance(paths, dict) else ()
    return {match.group(1) for match in found if match}


def fields_of(specification: Mapping[str, Any], version: str) -> frozenset[str]:
    """Return what a change to a job can say in a version."""
    if version == OLD:
        return _OLD_FIELDS
    value: Any = specification
    for key in ("components", "schemas", f"{version}_job_desc_msg", "properties"):
        value = value.get(key) if isinstance(value, dict) else None
    return frozenset(value) if isinstance(value, dict) else frozenset()


def body_of(version: str, change: Change) -> dict[str, Any]:
    """Return what is sent to change a job; an empty name of a node, rather than no name, frees it of its nodes."""
    count = len(change.nodes)
    body: dict[str, Any] = {"partition": change.partition}
    if version == OLD:
        body["nodelist"] = ",".join(change.nodes)
        body |= {"nodes": [count, count]} if count else {}
    else:
        body["required_nodes"] = list(change.nodes) or [""]
        body |= {"minimum_nodes": count, "maximum_nodes": count} if count else {}
    if change.priority is not None:
        body["priority"] = change.priority if version == OLD else _number(change.priority)
    if change.mark:
        body["admin_comment"] = change.mark
    if change.begin_s is not None:
        body["begin_time"] = f"uts{change.begin_s}" if version == OLD else _number(change.begin_s)
    return body


def _number(value: int) -> dict[str, Any]:
    return {"set": True, "infinite": False, "number": value}


def error_of(answer: Mapping[str, Any]) -> tuple[int, str] | None:
    """Return the number and the words of what went wrong, the number 0 where none is given."""
    both = [answer.get("errors"), answer.get("results")]
    entries = [entry for part in both if isinstance(part, list) for entry in part if isinstance(entry, dict)]
    # in `results`, 0 says that all went well
    entries = [entry for entry in entries if _error_number(entry) != 0]
    numbers = [number for number in map(_error_number, entries) if number is not None]
    if numbers:
        return max(numbers), "; ".join(dict.fromkeys(filter(None, map(_words, entries))))[:500]
    # 22.05 says of every change to a task of an array that it failed, but gives a number only where it did
    said = [words for words in map(_words, entries) if words and not words.startswith("job array update from ")]
    return (0, "; ".join(said)[:500]) if said else None


def _error_number(entry: Mapping[str, Any]) -> int | None:
    number = entry.get("error_number", entry.get("error_code"))
    return number if isinstance(number, int) else None


def _words(entry: Mapping[str, Any]) -> str:
    words = [str(entry[key]) for key in ("error", "description", "why") if entry.get(key)]
    return ": ".join(words)
