"""A web page in one file: template, style, script, data and the library of plots put together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from apportion.model.files import whole_file


def write_page(page: Mapping[str, str], data: object, path: Path) -> None:
    """Write a self-contained web page, whole or not at all.

    Parameters
    ----------
    page: HTML for each `{{key}}` of the template (assets/page.html). data: what the page's script draws.

    Raises
    ------
    InputError: the file cannot be written.
    """
    filled = {
        **page,
        "data": _script_json(data),
        "style": _asset("report.css"),
        "script": _asset("report.js"),
        "plotly": _plotly(),
    }
    with whole_file(path) as part, part.open("w", encoding="utf-8") as file:
        file.writelines(_filled(_asset("page.html"), filled))


def _script_json(value: object) -> str:
    """Return JSON that may stand inside a script element: no name can close it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")


def _asset(name: str) -> str:
    return (resources.files("apportion.report") / "assets" / name).read_text(encoding="utf-8")


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _filled(template: str, page: Mapping[str, str]) -> list[str]:
    """Return the template's pieces with each `{{key}}` replaced; what is put in is not looked at again."""
    out = []
    for n, piece in enumerate(template.replace("}}", "{{").split("{{")):
        out.append(piece if n % 2 == 0 else page[piece])
    return out
