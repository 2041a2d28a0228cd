"""Load a trace and run it once, with progress, for the commands that need a single result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from apportion.cli import options as opt

if TYPE_CHECKING:
    from apportion.study.result import Result


def run_one(
    trace: str,
    policy: str,
    cluster: str | None,
    settings: dict[str, Any],
    *,
    failures: Path | None,
    seed: int,
    quiet: bool,
) -> Result:
    """Return the result of `policy` on the trace and the cluster that were named; `settings` as from `run_settings`."""
    from apportion.cli.progress import bar, interruptible
    from apportion.policies.registry import parse_policy
    from apportion.study.simulate import simulate

    chosen = parse_policy(policy)
    loaded, machine = opt.load_trace(trace, cluster, quiet)
    opt.check_nodes(failures, settings["failures"], machine)
    with bar(policy, quiet) as update:
        return interruptible(
            simulate,
            loaded.workload,
            machine,
            chosen,
            seed=seed,
            trace=trace,
            progress=None if update is None else lambda done, of: update(0, done, of),
            **settings,
        )
