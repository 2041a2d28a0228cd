"""Ordinary Python that looks at a run now and then: predictors that learn on-line, nodes that are switched off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from apportion.engine.run import Engine


class Watcher(Protocol):
    """Looks at a run after all that happened up to `next_s`.

    It may set what is known of jobs that have not arrived (`engine.arrays["jobs"]`), and open and close nodes on which
    nothing runs (`engine.switch`).

    Parameters
    ----------
    next_s: when it wants to look, inf = never again; `look` moves it on. hopeful: whether jobs that nothing else can
    start may start by what it does later.
    """

    next_s: float
    hopeful: bool

    def look(self, engine: Engine) -> None:
        """Look, at `engine.number("now")`."""
        ...
