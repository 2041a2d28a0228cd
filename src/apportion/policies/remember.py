"""What an allocator remembers from round to round, as JSON: so that a controller that is started again goes on.

An allocator names its attributes in `remembers`: numbers, texts, bytes, lists, tuples, dictionaries, arrays,
generators of `random`, and dataclasses of these that the allocator's module knows by name. Nothing is executed when it
is read back.
"""

from __future__ import annotations

import base64
import math
import random
import sys
from collections.abc import Container
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from apportion.model.errors import PolicyError
from apportion.policies.protocol import Allocator


def remembered(allocator: Allocator) -> dict[str, Any]:
    """Return the attributes that `allocator` remembers, ready for JSON; {} where it remembers nothing.

    Raises
    ------
    PolicyError: one of them is of a kind that cannot be kept.

    Examples
    --------
    >>> from apportion.policies.registry import parse_policy
    >>> sorted(remembered(parse_policy("themis").order))
    ['_due', '_last_s', '_until']
    """
    return {name: _packed(getattr(allocator, name), name) for name in getattr(allocator, "remembers", ())}


def recall(allocator: Allocator, state: dict[str, Any]) -> None:
    """Give `allocator` back what `remembered` said; attributes that are not in it stay as they are."""
    known = vars(sys.modules[type(allocator).__module__])
    for name in getattr(allocator, "remembers", ()):
        if name in state:
            setattr(allocator, name, _unpacked(state[name], known))


def only(state: dict[str, Any], numbers: Container[int]) -> dict[str, Any]:
    """Return what is remembered without jobs that are gone: dictionaries by `View.number` keep these numbers."""
    out = {}
    for name, value in state.items():
        by_job = isinstance(value, dict) and "dict" in value and all(isinstance(k, int) for k, _ in value["dict"])
        out[name] = {"dict": [pair for pair in value["dict"] if pair[0] in numbers]} if by_job else value
    return out


def _packed(value: Any, name: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        # JSON has no word for these
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [_packed(one, name) for one in value]
    if isinstance(value, tuple):
        return {"tuple": [_packed(one, name) for one in value]}
    if isinstance(value, dict):
        return {"dict": [[_packed(key, name), _packed(one, name)] for key, one in value.items()]}
    if isinstance(value, np.ndarray) and value.dtype.kind in "bif":
        return {"array": value.dtype.str, "shape": list(value.shape), "values": _packed(value.ravel().tolist(), name)}
    if isinstance(value, random.Random):
        return {"random": _packed(value.getstate(), name)}
    if is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: _packed(getattr(value, field.name), name) for field in fields(value)}
        return {"class": type(value).__name__, "fields": parts}
    raise PolicyError(f"found {type(value).__name__} in {name}, which cannot be remembered")


def _unpacked(value: Any, known: dict[str, Any]) -> Any:
    if isinstance(value, list):
        return [_unpacked(one, known) for one in value]
    if not isinstance(value, dict):
        return value
    if "float" in value:
        return float(value["float"])
    if "bytes" in value:
        return base64.b64decode(value["bytes"])
    if "tuple" in value:
        return tuple(_unpacked(one, known) for one in value["tuple"])
    if "dict" in value:
        return {_unpacked(key, known): _unpacked(one, known) for key, one in value["dict"]}
    if "array" in value:
        return np.array(_unpacked(value["values"], known), np.dtype(value["array"])).reshape(value["shape"])
    if "random" in value:
        drawn = random.Random()
        drawn.setstate(_unpacked(value["random"], known))
        return drawn
    kind = known[value["class"]]
    made = object.__new__(kind)
    for name, one in value["fields"].items():
        object.__setattr__(made, name, _unpacked(one, known))
    return made
