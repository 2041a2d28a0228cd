"""The `?key=value&key=value` part of a trace spec, read with a type and checked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from apportion.model.errors import InputError, did_you_mean
from apportion.model.units import parse_duration

COMMON = {
    "from": "first submission kept: a date (2017-10-01) or seconds",
    "to": "submissions before this are kept: a date or seconds",
    "limit": "keep the first N jobs",
    "seed": "seed of anything sampled",
}


class Options:
    """Options of one trace spec; each reader takes what it knows, and what nobody took is an error.

    Parameters
    ----------
    given: the pairs as written. what: the format's name, for messages.
    """

    def __init__(self, given: Mapping[str, str], what: str) -> None:
        self._given = dict(given)
        self._known: list[str] = list(COMMON)
        self._what = what

    def text(self, key: str, default: str | None = None) -> str | None:
        """Return the text of `key`."""
        self._known.append(key)
        return self._given.get(key, default)

    def choice(self, key: str, choices: tuple[str, ...], default: str) -> str:
        """Return the value of `key`, which must be one of `choices`."""
        value = self.text(key, default) or default
        if value not in choices:
            raise InputError(
                f"{self._what}: found {key}={value}, expected one of {', '.join(choices)}"
                + did_you_mean(value, choices)
            )
        return value

    def number(self, key: str, default: float | None = None, minimum: float | None = None) -> float | None:
        """Return the value of `key` as a number."""
        value = self.text(key)
        if value is None:
            return default
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not (number == number and abs(number) != float("inf")) or (minimum is not None and number < minimum):
            bound = f" of at least {minimum:g}" if minimum is not None else ""
            raise InputError(f"{self._what}: found {key}={value}, expected a number{bound}")
        return number

    def integer(self, key: str, default: int | None = None, minimum: int | None = None) -> int | None:
        """Return the value of `key` as a whole number."""
        number = self.number(key, default, minimum)
        if number is None:
            return None
        if number != int(number):
            raise InputError(f"{self._what}: found {key}={number}, expected a whole number")
        return int(number)

    def moment(self, key: str) -> datetime | float | None:
        """Return the value of `key` as a calendar time, or as seconds when it is a number or a duration."""
        value = self.text(key)
        if value is None:
            return None
        try:
            return float(value)
        except ValueError:
            pass
        try:
            if len(value) == 10:
                day = date.fromisoformat(value)
                return datetime(day.year, day.month, day.day)
            return datetime.fromisoformat(value).replace(tzinfo=None)
        except ValueError:
            pass
        try:
            return parse_duration(value)
        except InputError:
            raise InputError(
                f"{self._what}: found {key}={value}, expected a date such as 2017-10-01 or seconds"
            ) from None

    def finish(self) -> None:
        """Raise `InputError` for the first key that no reader took, naming the nearest known one."""
        for key in self._given:
            if key not in self._known:
                known = sorted(set(self._known))
                raise InputError(
                    f"{self._what}: unknown option {key!r}{did_you_mean(key, known)} (known: {', '.join(known)})"
                )
