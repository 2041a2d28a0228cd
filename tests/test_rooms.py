"""The house is in order: no room imports from a room above it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import apportion

ROOMS = ["model", "traces", "engine", "energy", "predict", "policies", "live", "study", "report", "cli"]
"""From the cellar up; what stands in none of them is the front door, which everybody may pass."""

HOUSE = Path(apportion.__file__).parent
FILES = sorted(HOUSE.rglob("*.py"))


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[0] == "apportion" and parts[1] in ROOMS else None


def imported(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(HOUSE)))
def test_imports_point_downwards(file: Path) -> None:
    room = file.relative_to(HOUSE).parts[0]
    if room not in ROOMS:
        return
    for module in imported(file):
        other = room_of(module)
        assert other is None or ROOMS.index(other) <= ROOMS.index(room), f"{room} imports {module}"


def test_every_folder_is_a_room() -> None:
    folders = {path.name for path in HOUSE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= set(ROOMS)
