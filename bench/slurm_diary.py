"""What the jobs of `bench.chaos_slurm` wrote of themselves, and what must not stand there."""

from __future__ import annotations

import collections
import math
import time
from dataclasses import dataclass, field
from pathlib import Path

from apportion.live.slurm.hostlist import expand
from bench.chaos import Broken

Marks = list[tuple[str, float, tuple[str, ...]]]
"""Of a job: "S", "K" or "E" (began, was stopped, ended), when, and where it began."""

WINDOW_S = 12.0
"""What happened so shortly before Slurm's controller was killed it may have forgotten: it saves every 5 s."""
MOMENT_S = 5.0
"""Between what a job writes and Slurm knowing of it; between a restart of Slurm's controller and its knowing all."""


@dataclass
class Diary:
    """The jobs' log, and what was done to Slurm meanwhile.

    Parameters
    ----------
    log: written by the jobs. submitted: when each was. kills: of Slurm's controller: when, and when it was back.
    deaths: of nodes. by_slurm: what Slurm itself lost, and did twice, when it was killed. slow: how many times longer
    than usual things take on this machine; the times above are stretched by it.
    """

    log: Path
    submitted: dict[str, float] = field(default_factory=dict)
    kills: list[tuple[float, float]] = field(default_factory=list)
    deaths: list[tuple[float, str]] = field(default_factory=list)
    by_slurm: collections.Counter[str] = field(default_factory=collections.Counter)
    slow: float = 1.0

    def marks(self) -> dict[str, Marks]:
        """Return what each job wrote."""
        out: dict[str, Marks] = collections.defaultdict(list)
        for line in self.log.read_text().splitlines():
            mark, job, at, *nodes = line.split()
            out[job].append((mark, int(at) / 1e6, expand(nodes[0]) if nodes else ()))
        return out

    def ended_well(self, job: str) -> bool:
        """Return whether a job wrote that it ended, and Slurm cannot have forgotten it."""
        at = [at for mark, at, _ in self.marks().get(job, []) if mark == "E"]
        # its last line comes a moment before Slurm knows
        return bool(at) and at[-1] < time.time() - MOMENT_S * self.slow and not self._forgotten(at[-1])

    def _forgotten(self, at: float, until: float = math.inf) -> bool:
        """Return whether Slurm's controller was killed (not later than `until`) so soon that it may have forgotten."""
        before, after = WINDOW_S * self.slow, MOMENT_S * self.slow
        return any(killed - before <= at <= back + after and killed <= until for killed, back in self.kills)

    def judge(self, job: str, state: str) -> None:
        """Look at what became of a job; `state`: what Slurm says of it, or "gone".

        Raises
        ------
        Broken: it was lost, or ran twice, and Slurm's own forgetting does not explain it.
        """
        marks = self.marks().get(job, [])
        ends = [at for mark, at, _ in marks if mark == "E"]
        if not ends:
            moments = [self.submitted[job], *(at for _, at, _ in marks)]
            # what its node reports as it dies Slurm may take for a failed start, and does not run the job again
            failed = state == "F JobLaunchFailure" and self._died_on(marks[-1:])
            if state.split()[0] in ("PD", "R", "CG", "CF") or not (failed or any(map(self._forgotten, moments))):
                raise Broken(f"{job} never ended: {state}, {marks}")
            self.by_slurm["jobs lost" if state == "gone" else f"jobs given up ({state})"] += 1
            return
        if len(ends) > 1 or marks[-1][0] != "E":
            if not any(map(self._forgotten, ends)):
                raise Broken(f"{job} ran again after it had ended: {marks}")
            self.by_slurm["ran again after they had ended"] += 1
        self._one_at_a_time(job, marks)

    def _died_on(self, runs: Marks, until: float = math.inf) -> bool:
        """Return whether a node of a run died in it, not later than `until`."""
        return any(
            began <= at + 1.0 and at <= until and node in nodes
            for mark, began, nodes in runs
            for at, node in self.deaths
            if mark == "S"
        )

    def _one_at_a_time(self, job: str, marks: Marks) -> None:
        running: tuple[float, tuple[str, ...]] | None = None
        for mark, at, nodes in marks:
            if mark == "S":
                if running is not None and not self._explained(running, at):
                    raise Broken(f"{job} ran twice at once: {marks}")
                running = (at, nodes)
            else:
                running = None

    def _explained(self, run: tuple[float, tuple[str, ...]], until: float) -> bool:
        """Return whether a run that wrote no end was cut off: its node died, or Slurm forgot it and ended it."""
        began, nodes = run
        if self._died_on([("S", began, nodes)], until):
            return True
        forgotten = self._forgotten(began, until)
        self.by_slurm["runs cut off"] += forgotten
        return forgotten
