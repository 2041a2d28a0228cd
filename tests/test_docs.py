"""The documents: what they show runs, what they link to is there, and nothing that exists is missing from them."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from apportion.model.cluster_spec import parse_cluster
from apportion.policies.registry import entries, parse_policy
from apportion.traces.registry import FORMATS, load
from inputs import REPOSITORY
from test_published import HELIOS, PAI

DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
FENCE = re.compile(r"^(<!-- fragment -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def hooks() -> ModuleType:
    """Return the site's hooks."""
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def text_of(page: Path) -> str:
    """Return a page as the site shows it."""
    text = page.read_text(encoding="utf-8")
    return str(hooks().fill(text)) if page.parent == DOCS else text


def prose_of(page: Path) -> str:
    """Return a page without its blocks of code."""
    return FENCE.sub("", text_of(page))


def anchors(page: Path) -> set[str]:
    """Return the names that a link to this page may end in."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose_of(page), re.MULTILINE):
        named = re.search(r"\{ #([\w-]+) \}$", heading)
        words = re.sub(r"[^\w\s-]", "", heading).strip().lower()
        found.add(named[1] if named else re.sub(r"[-\s]+", "-", words))
    return found


def links(page: Path) -> list[str]:
    """Return what the page links to inside the repository, pictures left out."""
    text = re.sub(r"`[^`]*`", "", prose_of(page))
    found = re.findall(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)", re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text))
    return [link for link in found if "://" not in link]


def commands(page: Path) -> list[str]:
    """Return the command lines of a page: those in shell blocks, and those in the text."""
    text = text_of(page)
    found = []
    for _, language, block in FENCE.findall(text):
        if language == "sh":
            lines = block.replace("\\\n", " ").splitlines()
            found += [line for line in lines if line.startswith("apportion ")]
    return found + re.findall(r"`(apportion [^`]+)`", prose_of(page).replace("\n", " "))


def command_line() -> Any:
    """Return the command line as an object that can parse."""
    import typer

    from apportion.cli.app import app

    return typer.main.get_command(app)


COMMANDS = [(page.name, line) for page in PAGES for line in commands(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {link}"
        assert page.parent != DOCS or target.is_relative_to(DOCS), f"{page.name}: {link} is not on the site"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pictures_are_there(page: Path) -> None:
    for picture in re.findall(r"!\[[^\]]*\]\(([^)\s]+)\)", prose_of(page)):
        assert (page.parent / picture).is_file(), f"{page.name} shows {picture}"


@pytest.mark.parametrize("page", [p for p in PAGES if "```python" in text_of(p)], ids=lambda page: page.name)
def test_code_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page run from top to bottom in one namespace."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": page.stem}
    for number, (fragment, language, block) in enumerate(FENCE.findall(text_of(page))):
        if language == "python" and not fragment:
            exec(compile(block, f"<{page.name}, block {number}>", "exec", dont_inherit=True), names)


@pytest.mark.parametrize(("page", "line"), COMMANDS, ids=[f"{page}: {line}" for page, line in COMMANDS])
def test_commands_are_understood(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    group = command_line()
    if words[0].startswith("-"):
        assert words[0] in {"--help", *(option for p in group.params for option in p.opts)}
        return
    assert words[0] in group.commands, f"{page} speaks of {line}"
    if len(words) == 1:
        return  # only its name is mentioned
    command = group.commands[words[0]]
    if words[1] == "--help":
        return
    given = command.make_context(words[0], words[1:]).params
    for policy in [given.get("policy"), *(given.get("policies") or ())]:
        if policy is not None:
            parse_policy(policy)
    cluster = given.get("cluster")
    if cluster is not None and Path(cluster).suffix not in (".yaml", ".csv"):
        parse_cluster(cluster)
    trace = given.get("trace")
    if trace is not None and trace.startswith("synthetic:"):
        assert len(load(trace).workload)
    elif trace is not None and ":" in trace:
        assert trace.partition(":")[0] in FORMATS


def test_there_are_commands_to_check() -> None:
    assert len(COMMANDS) > 50


def test_commands_page_has_every_flag() -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    known = {"--help", "--version", "--install-completion", "--show-completion"}
    for name, command in command_line().commands.items():
        assert re.search(rf"^## .*\b{name}\b", page, re.MULTILINE), name
        for option in (option for p in command.params for option in (*p.opts, *p.secondary_opts)):
            if option.startswith("--"):
                known.add(option)
                assert option in known and f"`{option}`" in page, f"{name} {option}"
    for option in re.findall(r"`(--[\w-]+)`", page):
        assert option in known, f"commands.md has {option}"


def test_every_policy_and_format_has_its_place() -> None:
    policies, traces = text_of(DOCS / "policies.md"), anchors(DOCS / "traces.md")
    headings = " ".join(re.findall(r"^### (.+)$", policies, re.MULTILINE))
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    for entry in entries():
        if ":" in entry.target:
            assert re.search(rf"(?<![\w-]){entry.name}(?![\w-])", headings), entry.name
            assert f"`{entry.name}`" in readme, entry.name
    for name in FORMATS:
        assert name in traces
        assert name == "synthetic" or f"`{name}`" in readme, name


def test_nothing_is_left_to_build() -> None:
    for page in PAGES:
        assert "<!-- build:" not in FENCE.sub("", re.sub(r"`[^`]*`", "", text_of(page)))


def test_a_mark_without_a_builder_is_noticed() -> None:
    with pytest.raises(KeyError):
        hooks().fill("<!-- build: nonsense -->")


def test_reproduced_numbers_are_those_of_the_tests() -> None:
    page = (DOCS / "validation.md").read_text(encoding="utf-8")
    for rows in PAI.values():
        for jct, wait, makespan in rows.values():
            assert f"{jct:.2f} / {wait:.2f} / {makespan}" in page
    for pairs in HELIOS.values():
        for jct, wait in pairs.values():
            assert f"{jct:.2f} / {wait:.2f}" in page


def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(build, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in tmp_path.rglob("*.html"):
        loads = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text())
        assert loads == [], f"{page.name} loads from the network"
