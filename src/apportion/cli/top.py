"""`apportion top`: a controller at work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from apportion.cli.live import MEMORY

if TYPE_CHECKING:
    from apportion.live.glance import Glance


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="top")(top)


def top(
    memory: Annotated[Path, typer.Option(help="The controller's file.")] = MEMORY,
    interval: Annotated[float, typer.Option(min=0.2, help="Seconds between two looks.")] = 2.0,
    once: Annotated[bool, typer.Option("--once", help="Print one look and end.")] = False,
    demo: Annotated[bool, typer.Option("--demo", help="Look at a small simulated cluster instead.")] = False,
) -> None:
    """Watch nodes, queue, shares and decisions of a controller, through its file.

    Example: apportion top --demo --once
    """
    from apportion.live.glance import glance
    from apportion.model.errors import UsageError

    if demo:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            _show(_demo(Path(folder) / "memory.sqlite"))
        return
    if once:
        _show(glance(memory))
        return
    glance(memory)  # a missing file is said before the screen is taken
    try:
        from apportion.live.top import Top
    except ImportError:
        raise UsageError("textual is not installed: pip install 'apportion[top]', or use --once") from None
    Top(lambda: glance(memory), interval).run()


def _demo(path: Path) -> Glance:
    """Run a simulated cluster for a while and look at it."""
    from apportion.live.controller import Controller
    from apportion.live.glance import glance
    from apportion.live.memory import Memory
    from apportion.live.simulated import SimulatedCluster
    from apportion.model.cluster_spec import parse_cluster
    from apportion.policies.registry import parse_policy
    from apportion.traces.registry import load

    work = load("synthetic:philly?jobs=60&seed=1").workload
    cluster = SimulatedCluster(work, parse_cluster("4x8:V100"))
    memory = Memory(path)
    controller = Controller(cluster, parse_policy("sjf+best-fit"), memory)
    memory.set_fact("policy", "sjf+best-fit")
    for _ in range(40):
        cluster.advance(cluster.next_event_s())
        controller.cycle()
    memory.beat(cluster.now_s)
    memory.draw(cluster.observe())
    memory.close()
    return glance(path, cluster.now_s)


def _show(found: Glance, rows: int = 12) -> None:
    """Print tables, the first rows of each."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    console.print(Text(found.headline))
    for title, (head, lines) in found.tables.items():
        left = len(lines) - rows
        table = Table(title=title + (f" (and {left:,} more)" if left > 0 else ""), title_justify="left")
        for name in head:
            table.add_column(name)
        for line in lines[:rows]:
            table.add_row(*(Text("".join(c if c.isprintable() else "?" for c in cell)) for cell in line))
        console.print(table)
