"""What a reader makes of a file of the outside world: workload, cluster, signals, and how good the data was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from apportion.model.cluster import Cluster
from apportion.model.signal import NodeEvents, Signal
from apportion.model.workload import Workload


@dataclass
class QualityReport:
    """What a reader did to the rows of a file.

    Parameters
    ----------
    rows_read: data rows seen. jobs: jobs that came out.
    dropped, repaired: reason in plain words -> rows. censored: jobs whose end was not observed.
    notes: facts the user should know, one sentence each.
    """

    rows_read: int = 0
    jobs: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    repaired: dict[str, int] = field(default_factory=dict)
    censored: int = 0
    notes: list[str] = field(default_factory=list)

    def drop(self, reason: str, rows: int) -> None:
        """Count `rows` left out because of `reason`; none are not mentioned."""
        if rows:
            self.dropped[reason] = self.dropped.get(reason, 0) + int(rows)

    def repair(self, reason: str, rows: int) -> None:
        """Count `rows` changed because of `reason`; none are not mentioned."""
        if rows:
            self.repaired[reason] = self.repaired.get(reason, 0) + int(rows)

    def lines(self) -> list[str]:
        """Return the report as short lines for the terminal."""
        read = f"{self.rows_read:,} rows read, " if self.rows_read else ""
        out = [f"{read}{self.jobs:,} jobs"]
        out += [f"dropped {n:,}: {reason}" for reason, n in self.dropped.items()]
        out += [f"repaired {n:,}: {reason}" for reason, n in self.repaired.items()]
        if self.censored:
            out.append(f"censored {self.censored:,}: the end was not observed; they run for the time observed")
        return out + self.notes


@dataclass(frozen=True)
class Trace:
    """A workload with the cluster it came from (where the source says), signals and the quality report."""

    workload: Workload
    cluster: Cluster | None = None
    signals: Mapping[str, Signal | NodeEvents] = field(default_factory=dict)
    report: QualityReport = field(default_factory=QualityReport)
    spec: str = ""
