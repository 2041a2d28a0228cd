"""Find a preset by its name; its tables are imported when it is needed."""

from __future__ import annotations

import importlib

from apportion.model.errors import InputError, did_you_mean
from apportion.traces.generator.preset import Preset

PRESETS: dict[str, str] = {
    name: name
    for name in ("philly", "venus", "earth", "saturn", "uranus", "pai", "seren", "kalos", "openb", "spot2026")
}
"""Preset name -> module of this package; the module's `PRESET` is the preset."""


def get_preset(name: str) -> Preset:
    """Return the preset called `name`.

    Raises
    ------
    InputError: there is none; the message suggests the nearest.

    Examples
    --------
    >>> get_preset("venus").capacity
    1080
    """
    if name not in PRESETS:
        raise InputError(
            f"synthetic: unknown preset {name!r}{did_you_mean(name, PRESETS)} (known: {', '.join(PRESETS)})"
        )
    found: Preset = importlib.import_module(f"apportion.traces.generator.{PRESETS[name]}").PRESET
    return found
