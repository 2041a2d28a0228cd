"""Find policies by name: `ORDER+PLACEMENT` or `ALLOCATOR+PLACEMENT`, parameters in brackets, defaults for what is
left out; policies of other packages come in through the entry point group `apportion.policies`."""

from __future__ import annotations

import importlib
import math
import re
import warnings
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, cast

from apportion.model.errors import PolicyError, did_you_mean
from apportion.policies.parameters import build
from apportion.policies.protocol import Allocator, Order, Placement, Policy
from apportion.policies.weighted import WeightedSum

ORDERS = {
    "fifo": "orders.fifo:Fifo",
    "sjf": "orders.sjf:ShortestJobFirst",
    "ljf": "orders.ljf:LongestJobFirst",
    "smallest": "orders.smallest:SmallestFirst",
    "sju": "orders.history:ShortestByUser",
    "sjg": "orders.history:ShortestByGroup",
    "sjgg": "orders.history:ShortestByGroupAndGpus",
    "qssf": "orders.qssf:QuasiShortestServiceFirst",
    "srtf": "orders.srtf:ShortestRemainingTimeFirst",
    "las": "orders.las:LeastAttainedService",
    "tiresias": "orders.tiresias:Tiresias",
    "priority": "orders.priority:Priority",
    "fair": "orders.fair:Fair",
    "random": "orders.random:RandomOrder",
}
PLACEMENTS = {
    "best-fit": "placements.best_fit:BestFit",
    "first-fit": "placements.first_fit:FirstFit",
    "worst-fit": "placements.worst_fit:WorstFit",
    "random": "placements.random:RandomPlacement",
    "consolidate": "placements.consolidate:Consolidate",
    "spread": "placements.spread:Spread",
    "load-balance": "placements.load_balance:LoadBalance",
    "completion": "placements.completion:Completion",
    "fgd": "placements.fgd:FragmentationGradientDescent",
    "dot-product": "placements.dot_product:DotProduct",
    "power": "placements.power:Power",
    "gpu-packing": "placements.gpu_packing:GpuPacking",
    "gpu-clustering": "placements.gpu_clustering:GpuClustering",
}
ALLOCATORS = {
    "round-robin": "allocators.round_robin:RoundRobin",
    "gandiva": "allocators.gandiva:Gandiva",
    "gandiva-fair": "allocators.gandiva_fair:GandivaFair",
    "allox": "allocators.allox:AlloX",
    "afs": "allocators.afs:Afs",
    "optimus": "allocators.optimus:Optimus",
    "themis": "allocators.themis:Themis",
    "gavel": "allocators.gavel:Gavel",
    "shockwave": "allocators.shockwave:Shockwave",
}
"""Name -> module and class of this package, imported when asked for."""

DEFAULT_ORDER, DEFAULT_PLACEMENT = "fifo", "best-fit"
_HALF = re.compile(r"\s*([\w-]+)\s*(?:\[([^\]]*)\])?\s*(?:\*\s*([^\s*]+)\s*)?")


@dataclass(frozen=True)
class Entry:
    """A policy that can be asked for: `kind` is order, placement or allocator."""

    name: str
    kind: str
    target: str

    def load(self) -> Any:
        """Return the class."""
        if self.target.startswith(("orders.", "placements.", "allocators.")):
            module, _, attribute = self.target.partition(":")
            return getattr(importlib.import_module(f"apportion.policies.{module}"), attribute)
        return _foreign()[(self.kind, self.name)]


@cache
def _foreign() -> dict[tuple[str, str], Any]:
    """Return the classes of other packages: each is an `Order`, a `Placement` or an `Allocator`."""
    found: dict[tuple[str, str], Any] = {}
    for point in entry_points(group="apportion.policies"):
        try:
            cls = point.load()
            found[(_kind(cls), point.name)] = cls
        except Exception as error:  # a broken package of somebody else must not break every command
            warnings.warn(f"policy {point.name!r} of another package cannot be used: {error}", stacklevel=2)
    return found


def _kind(cls: Any) -> str:
    if hasattr(cls, "decide"):
        return "allocator"
    kind = getattr(cls, "kind", None)
    if kind in ("order", "placement"):
        return str(kind)
    raise PolicyError(f"{cls!r}: expected a class with `decide`, or with `kind` 'order' or 'placement' and `plan`")


def entries() -> list[Entry]:
    """Return every policy: orders, allocators, placements, then those of other packages."""
    own = [Entry(n, "order", t) for n, t in ORDERS.items()]
    own += [Entry(n, "allocator", t) for n, t in ALLOCATORS.items()]
    own += [Entry(n, "placement", t) for n, t in PLACEMENTS.items()]
    return own + [Entry(name, kind, "entry point") for kind, name in _foreign()]


def parse_policy(text: str) -> Policy:
    """Return the policy that `text` names, such as `sjf`, `fifo+consolidate`, `las[quantum=1h]+spread`, `best-fit`.

    A placement may be a weighted sum: `sjf+fgd*0.7+power*0.3`.

    Raises
    ------
    PolicyError: an unknown name (the nearest is suggested), an unknown parameter, or a wrong value.
    """
    parts = [_part(text, part) for part in _split(text)]
    weighted = [weight is not None for _, _, weight in parts]
    first = 0 if not weighted or weighted[0] else 1
    if not parts or (any(weighted) and not all(weighted[first:])) or (not any(weighted) and len(parts) > 2):
        raise PolicyError(
            f"found policy {text!r}, expected ORDER+PLACEMENT or ALLOCATOR+PLACEMENT, the placement perhaps a sum with "
            "weights: sjf+fgd*0.7+power*0.3"
        )
    order = placement = None
    if first == 1:
        name, given, _ = parts[0]
        kinds = ("order", "allocator", "placement") if len(parts) == 1 else ("order", "allocator")
        found = _find(name, kinds)
        made = build(found.load(), name, given)
        if found.kind == "placement":
            placement = made
        else:
            order = made
    if parts[first:]:
        placement = _placement(parts[first:])
    return Policy(
        text.strip(),
        order if order is not None else _default(DEFAULT_ORDER, ("order",)),
        placement if placement is not None else _default(DEFAULT_PLACEMENT, ("placement",)),
    )


def parse_placement(text: str) -> Placement:
    """Return the placement that `text` names, such as `fgd`, `fgd[ties=random]` or `fgd*0.7+power*0.3`.

    Raises
    ------
    PolicyError: as `parse_policy`; also for an order or an allocator.
    """
    parts = [_part(text, part) for part in _split(text)]
    if not parts or (len(parts) > 1 and any(weight is None for _, _, weight in parts)):
        raise PolicyError(f"found {text!r}, expected a placement such as fgd, or a sum: fgd*0.7+power*0.3")
    return _placement(parts)


Part = tuple[str, dict[str, str], "float | None"]
"""Name, parameters, weight (None = not written)."""


def _part(text: str, part: str) -> Part:
    match = _HALF.fullmatch(part)
    if not match:
        raise PolicyError(f"found policy {part!r}, expected a name with parameters in brackets: las[quantum=1h]")
    weight = None
    if match[3] is not None:
        try:
            weight = float(match[3])
        except ValueError:
            weight = math.nan
        if not 0 < weight < math.inf:
            raise PolicyError(f"found weight {match[3]!r} in {text.strip()!r}, expected a number above 0")
    return match[1], _pairs(match[1], match[2]), weight


def _placement(parts: list[Part]) -> Placement:
    made = [(name, weight, build(_find(name, ("placement",)).load(), name, given)) for name, given, weight in parts]
    if len(made) == 1 and made[0][1] is None:
        return cast(Placement, made[0][2])
    total = WeightedSum(tuple((name, 1.0 if weight is None else weight, part) for name, weight, part in made))
    total.plan()  # says what cannot be added up
    return total


def _default(name: str, kinds: tuple[str, ...]) -> Any:
    return build(_find(name, kinds).load(), name, {})


def _find(name: str, kinds: tuple[str, ...]) -> Entry:
    known = [e for e in entries() if e.kind in kinds]
    for kind in kinds:
        for entry in known:
            if entry.kind == kind and entry.name == name:
                return entry
    names = sorted({e.name for e in known})
    what = "policy" if len(kinds) > 1 else kinds[0]
    raise PolicyError(f"unknown {what} {name!r}{did_you_mean(name, names)} (known: {', '.join(names)})")


def _split(text: str) -> list[str]:
    """Split at plus signs outside brackets."""
    parts, depth = [""], 0
    for char in text:
        depth += (char == "[") - (char == "]")
        if char == "+" and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts if text.strip() else []


def _pairs(name: str, inside: str | None) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for item in (inside or "").split(","):
        if not item.strip():
            continue
        key, equals, value = item.partition("=")
        if not equals:
            raise PolicyError(f"{name}: found {item.strip()!r}, expected parameter=value")
        pairs[key.strip()] = value.strip()
    return pairs


__all__ = ["Allocator", "Entry", "Order", "Placement", "Policy", "entries", "parse_placement", "parse_policy"]
