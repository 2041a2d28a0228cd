"""Reading a page that was written: its text, what its script draws, the words of a piece."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any


def without_library(path: Path) -> str:
    """Return the page without the library of plots."""
    text = path.read_text(encoding="utf-8")
    start = text.index("plotly.js v")
    return text[:start] + text[text.index("</script>", start) :]


def plots(text: str) -> dict[str, Any]:
    """Return what the page's script draws."""
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', text, re.S)
    assert found
    drawn: dict[str, Any] = json.loads(found[1])["plots"]
    return drawn


def plain(html: str) -> str:
    """Return the words of a piece of HTML."""
    return re.sub(r"<[^>]+>", "", html).replace("\u00a0", " ").replace("&#x27;", "'")
