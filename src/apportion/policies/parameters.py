"""Parameters in brackets, as in `las[quantum=1h]`: read by the types of a policy's fields, and checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

from apportion.model.errors import InputError, PolicyError, did_you_mean
from apportion.model.units import parse_duration

P = TypeVar("P")
YES, NO = ("yes", "true", "on", "1"), ("no", "false", "off", "0")


def build(kind: type[P], name: str, given: Mapping[str, str]) -> P:
    """Return `kind(**given)` with every value read as its field's type.

    A field whose name ends in `_s` is a duration and is written without the suffix (`quantum=6m`); so is one whose name
    would be a word of Python (`lambda_`).

    Raises
    ------
    PolicyError: an unknown parameter, or a value of the wrong type; the message shows what was found.
    """
    hints = get_type_hints(kind)
    own = [f.name for f in dataclasses.fields(kind) if f.init]  # type: ignore[arg-type]
    fields = {written(name): name for name in own}
    values: dict[str, Any] = {}
    for key, text in given.items():
        if key not in fields:
            known = f"known: {', '.join(fields)}" if fields else "it has none"
            raise PolicyError(f"{name}: unknown parameter {key!r}{did_you_mean(key, fields)} ({known})")
        values[fields[key]] = _read(name, key, text, fields[key], hints[fields[key]])
    return kind(**values)


def written(field: str) -> str:
    """Return how the user writes a field: `quantum` for `quantum_s`, `lambda` for `lambda_`."""
    return field.removesuffix("_s").removesuffix("_")


def _read(name: str, key: str, text: str, field: str, kind: Any) -> Any:
    try:
        if field.endswith("_s"):
            return parse_duration(text)
        if kind is bool:
            if text.lower() in YES + NO:
                return text.lower() in YES
            raise InputError("")
        return kind(text)
    except (ValueError, InputError):
        wanted = "a duration such as 60, 5m or 1h" if field.endswith("_s") else _WORDS.get(kind, "text")
        raise PolicyError(f"{name}: found {key}={text}, expected {wanted}") from None


_WORDS: dict[Any, str] = {bool: "yes or no", int: "a whole number", float: "a number"}


def one_of(name: str, key: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise `PolicyError` unless `value` is one of `choices`."""
    if value not in choices:
        raise PolicyError(f"{name}: found {key}={value}, expected {' or '.join(choices)}{did_you_mean(value, choices)}")


def at_least(name: str, key: str, value: float, minimum: float) -> None:
    """Raise `PolicyError` when `value` is below `minimum`."""
    if not value >= minimum:
        raise PolicyError(f"{name}: found {key}={value:g}, expected at least {minimum:g}")


def between(name: str, key: str, value: float, low: float, high: float) -> None:
    """Raise `PolicyError` unless `value` is above `low` and at most `high`."""
    if not low < value <= high:
        raise PolicyError(f"{name}: found {key}={value:g}, expected more than {low:g} and at most {high:g}")
