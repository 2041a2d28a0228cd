"""Page parts that are built from the package when the site is built, so that they never go stale.

A page holds a line such as `<!-- build: formats -->`; `fill` puts the text of that name in its place. MkDocs
calls `on_page_markdown`; tests and scripts call `fill`.
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from apportion.model import cluster, workload
from apportion.model.table import REQUIRED, Column
from apportion.model.units import format_duration
from apportion.policies import registry as policies
from apportion.policies.parameters import written
from apportion.traces.downloads import DOWNLOADS
from apportion.traces.format import Format
from apportion.traces.options import COMMON
from apportion.traces.registry import all_formats

_MARK = re.compile(r"^<!-- build: ([\w-]+) -->$", re.MULTILINE)
_SECTION = re.compile(r"^(\w[\w ]*)\n-+\n", re.MULTILINE)
_OPTION = re.compile(r"(?:^|(?<=\. ))([a-z_]+): ")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the marks of a page; MkDocs calls this before it renders one."""
    return fill(markdown)


def fill(markdown: str) -> str:
    """Return the page with every `<!-- build: NAME -->` replaced by what NAME builds.

    Raises
    ------
    KeyError: nothing of that name can be built.
    """
    return _MARK.sub(lambda mark: PARTS[mark[1]](), markdown)


def formats() -> str:
    """Return a section for every trace format."""
    return "\n\n".join(_format(fmt) for fmt in all_formats())


def format_table() -> str:
    """Return the table of trace formats."""
    rows = [(f"[`{f.name}`](#{f.name})", f.title, f.licence) for f in all_formats()]
    return _table(("format", "what it is", "licence of the data"), rows)


def common_options() -> str:
    """Return the options that every format takes."""
    return _table(("option", "meaning"), [(f"`{key}=`", text) for key, text in COMMON.items()])


def downloads() -> str:
    """Return the table of what `apportion fetch` knows."""
    rows = []
    for name, found in DOWNLOADS.items():
        size = f"{max(found.size_mb, 1):,.0f} MB" if found.size_mb else "not stated"
        then = found.then if " " in found.then else f"`{found.then}`"
        rows.append((f"`{name}`", found.title, size, found.licence, then))
    return _table(("name", "what", "about", "licence", "then"), rows)


def orders() -> str:
    """Return a section for every order."""
    return _policies("order")


def placements() -> str:
    """Return a section for every placement."""
    return _policies("placement")


def allocators() -> str:
    """Return a section for every allocator."""
    return _policies("allocator")


def workload_columns() -> str:
    """Return the table of a workload's columns."""
    return _columns(workload.COLUMNS)


def cluster_columns() -> str:
    """Return the table of a cluster's columns."""
    return _columns(cluster.COLUMNS)


PARTS: Mapping[str, Callable[[], str]] = {
    "formats": formats,
    "format-table": format_table,
    "common-options": common_options,
    "downloads": downloads,
    "orders": orders,
    "placements": placements,
    "allocators": allocators,
    "workload-columns": workload_columns,
    "cluster-columns": cluster_columns,
}
"""Name in a page's mark -> what builds the text."""


def _format(fmt: Format) -> str:
    reader = sys.modules[fmt.read.__module__]
    parts = _sections(inspect.getdoc(fmt.read) or "")
    about = _sections(inspect.getdoc(reader) or "")[""].partition("\n\n")[2]
    fetched = [f"`apportion fetch {name}`" for name in DOWNLOADS if name == fmt.name]
    named = fmt.paper == "-" or re.search(r"\n\s*Sources?: ", fmt.read.__doc__ or "")
    facts = {
        "Paper": "" if named else fmt.paper,
        "From": "; ".join([_linked(fmt.source), *fetched]),
        "Licence": fmt.licence,
        "Example": f"`{fmt.example}`",
    }
    text = [f"### {fmt.name} {{ #{fmt.name} }}", fmt.title[0].upper() + fmt.title[1:] + "."]
    text += ["\n".join(f"- {name}: {value}" for name, value in facts.items() if value)]
    text += [_prose(about)] if about else []
    text += [_prose(parts[""])]
    if "Options" in parts:
        text += ["**Options**", _options(parts["Options"])]
    return "\n\n".join(text)


def _options(section: str) -> str:
    """Return a list from `key: meaning. key: meaning.`, and the paragraphs after it as they are."""
    first, _, rest = section.partition("\n\n")
    pieces = _OPTION.split(" ".join(first.split()))
    lines = [f"- `{key}=`: {text.strip()}" for key, text in zip(pieces[1::2], pieces[2::2], strict=True)]
    return "\n".join(lines) + (f"\n\n{rest}" if rest else "")


def _policies(kind: str) -> str:
    by_module: dict[str, list[policies.Entry]] = {}
    for entry in policies.entries():
        module, colon, _ = entry.target.partition(":")
        if entry.kind == kind and colon:  # those of other packages are documented there
            by_module.setdefault(module, []).append(entry)
    return "\n\n".join(_policy(module, entries) for module, entries in by_module.items())


def _policy(module: str, entries: list[policies.Entry]) -> str:
    doc = inspect.getdoc(importlib.import_module(f"apportion.policies.{module}")) or ""
    body, _, example = doc.partition("Example: ")
    anchor = f"{entries[0].kind}-{entries[0].name}"
    text = [f"### {', '.join(entry.name for entry in entries)} {{ #{anchor} }}", _prose(body)]
    for entry in entries:
        rows = _parameters(entry.load())
        text += [_table(("parameter", "default", "meaning"), rows)] if rows else []
    command = re.sub(r"(?<= )(\S+[?&\[]\S*)", r"'\1'", example.strip().strip("`"))
    return "\n\n".join([*text, f"```sh\n{command}\n```"])


def _parameters(cls: type) -> list[tuple[str, str, str]]:
    """Return name, default and meaning of what may stand in a policy's brackets."""
    section = _sections(inspect.getdoc(cls) or "").get("Parameters", "")
    meaning = dict(re.findall(r"^(\w+): (.*(?:\n[ \t]+.*)*)", section, re.MULTILINE))
    rows = []
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        value: Any = field.default
        if field.name.endswith("_s"):
            value = format_duration(value)
        elif isinstance(value, bool):
            value = "yes" if value else "no"
        text = " ".join(meaning.get(field.name, "").split())
        rows.append((f"`{written(field.name)}`", f"`{value}`", text))
    return rows


def _columns(columns: Mapping[str, Column]) -> str:
    rows = []
    for name, column in columns.items():
        default = "required" if column.default is REQUIRED else _default(column)
        rows.append((f"`{name}`", f"`{_dtype(column.dtype)}`", default, column.doc))
    return _table(("column", "type", "default", "meaning"), rows)


def _default(column: Column) -> str:
    if column.default is None:
        return "null"
    if column.default == cluster.UNLIMITED:
        return "no limit"
    if isinstance(column.default, bool):
        return "true" if column.default else "false"
    return "empty" if column.default in ("", []) else f"`{column.default}`"


def _dtype(dtype: Any) -> str:
    text = str(dtype)
    shorter = {"Int": "i", "Float": "f", "String": "str", "Boolean": "bool", "List": "list"}
    for long, short in shorter.items():
        text = text.replace(long, short)
    return text


def _sections(doc: str) -> dict[str, str]:
    """Return the text before the first underlined heading under "", that of each heading under its name."""
    pieces = _SECTION.split(doc.strip() + "\n")
    return {"": pieces[0].strip()} | {name: text.strip() for name, text in zip(pieces[1::2], pieces[2::2], strict=True)}


def _prose(text: str) -> str:
    """Return a docstring as Markdown: a literal block that `::` opens is an indented block there as well."""
    return re.sub(r"::\n\n", ":\n\n", text.strip())


def _linked(text: str) -> str:
    return re.sub(r"https?://[^\s;,)]+", r"<\g<0>>", text)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a Markdown table; a bar inside a cell is escaped."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines)
