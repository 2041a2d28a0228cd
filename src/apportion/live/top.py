"""`apportion top`: a controller at work, in the terminal; needs the extra `top` (textual)."""

from __future__ import annotations

from collections.abc import Callable

from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import DataTable, Footer, Static, TabbedContent, TabPane

from apportion.live.glance import Glance
from apportion.model.errors import ApportionError

TITLES = ("queue", "nodes", "GPUs", "users", "groups", "decisions")


class Top(App[None]):
    """Shows glances.

    Parameters
    ----------
    look: takes a look. interval_s: seconds between two.
    """

    TITLE = "apportion"
    BINDINGS = [("q", "quit", "quit"), ("r", "refresh", "look now")]  # noqa: RUF012
    CSS = "#headline { padding: 0 1; background: $boost; }"

    def __init__(self, look: Callable[[], Glance], interval_s: float = 2.0) -> None:
        super().__init__()
        self.look, self.interval_s = look, interval_s

    def compose(self) -> ComposeResult:
        """Lay out the screen."""
        yield Static("", id="headline", markup=False)
        with TabbedContent():
            for title in TITLES:
                with TabPane(title, id=f"tab-{title}"), VerticalScroll():
                    yield DataTable(id=f"table-{title}", cursor_type="row", zebra_stripes=True)
        yield Footer()

    def on_mount(self) -> None:
        """Look at once, and again and again."""
        self.action_refresh()
        self.set_interval(self.interval_s, self.action_refresh)

    def action_refresh(self) -> None:
        """Take a look and show it."""
        headline = self.query_one("#headline", Static)
        try:
            found = self.look()
        except ApportionError as error:
            headline.update(str(error))
            return
        headline.update(found.headline)
        for title in TITLES:
            table: DataTable[str] = self.query_one(f"#table-{title}", DataTable)
            head, rows = found.tables.get(title, ((), []))
            at = table.cursor_coordinate
            table.clear(columns=True)
            table.add_columns(*head)
            for row in rows:
                table.add_row(*map(_plain, row))
            if rows:
                table.move_cursor(row=min(at.row, len(rows) - 1))


def _plain(text: str) -> str:
    """Return a cell without control characters, and whose brackets are no markup: it comes from users."""
    return "".join(c if c.isprintable() else "?" for c in text).replace("[", r"\[")
