"""How the engine's functions are compiled."""

from __future__ import annotations

from typing import Any

from numba import njit

entry: Any = njit(cache=True, nogil=True)
"""For functions that Python calls."""

inner: Any = njit(cache=True, nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, forceinline=True)
"""For functions that only compiled code calls: no wrapper, and no copying of the run's many arrays at each call."""
