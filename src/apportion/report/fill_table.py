"""The table of a packing experiment in its web page: a column a placement, the least of each row marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from apportion.engine.layout import F8
from apportion.report.measures import best
from apportion.report.page import COLOURS


@dataclass(frozen=True)
class Row:
    """A row: its name, mean and standard deviation of each placement (NaN: nothing to say), decimals to show."""

    name: str
    mean: F8
    sd: F8
    digits: int


def table(head: str, groups: Sequence[tuple[str, Sequence[Row]]], policies: Sequence[str]) -> str:
    """Return the table as HTML.

    Parameters
    ----------
    head: what the rows are. groups: headings and the rows under them. policies: names of the placements, as HTML.
    """
    columns = "".join(f'<th scope="col">{policy}</th>' for policy in policies)
    body = []
    for heading, rows in groups:
        span = len(policies) + 1
        body.append(f'<tr class="group"><th scope="rowgroup" colspan="{span}">{escape(heading)}</th></tr>')
        body += [_row(row) for row in rows]
    spread = any((~np.isnan(row.sd)).any() for _, rows in groups for row in rows)
    notes = ["Lower is better"] + ["✓ least of its row"] * (len(policies) > 1)
    notes += ["mean and standard deviation over seeds"] * spread
    top = f'<thead><tr><th scope="col">{head}</th>{columns}</tr></thead>'
    html = f'<table class="metrics" style="--n:{len(policies)}">{top}<tbody>{"".join(body)}</tbody></table>'
    return f'<div class="scroll">{html}</div><p class="note">{"; ".join(notes)}.</p>'


def tiles(groups: Sequence[tuple[str, Sequence[Row]]]) -> str:
    """Return the numbers of a single run as HTML, a list for each group of them."""
    lists = []
    for heading, rows in groups:
        cells = [
            f"<div><dt>{escape(row.name)}</dt><dd>{_value(float(row.mean[0]), row.digits)}</dd></div>" for row in rows
        ]
        lists.append(f"<div><h3>{escape(heading)}</h3><dl>{''.join(cells)}</dl></div>")
    return f'<div class="tiles">{"".join(lists)}</div>'


def _row(row: Row) -> str:
    values = [None if np.isnan(value) else float(value) for value in row.mean]
    marked = best(values, lower_is_better=True)
    most = max((value for value in values if value is not None), default=0.0)
    state = "best tied" if all(marked) else "best"
    cells = []
    for i, (value, sd, is_best) in enumerate(zip(values, row.sd.tolist(), marked)):
        if value is None:
            cells.append('<td class="none">–</td>')
            continue
        bar = f"--w:{100 * value / most:.1f}%;--c:var(--p{i % COLOURS})" if most else "--w:0%"
        tick = '<span class="tick" title="least">✓</span>' if is_best else ""
        spread = "" if np.isnan(sd) else f'<span class="change">±{sd:,.{row.digits}f}</span>'
        cells.append(
            f'<td class="{state if is_best else "plain"}" style="{bar}" title="{value:,.6g}">'
            f"<span class=value>{tick}{_value(value, row.digits)}</span>{spread}<i></i></td>"
        )
    return f'<tr><th scope="row">{escape(row.name)}</th>{"".join(cells)}</tr>'


def _value(value: float, digits: int) -> str:
    return "–" if np.isnan(value) else f"{value:,.{digits}f}"
