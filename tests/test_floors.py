"""Imports run one way: a package uses those below it, and none above it or beside it."""

import ast
import tomllib
from pathlib import Path

from relocation_warehouse.ground.paths import PACKAGES

ROOT = Path(__file__).parents[1]
HOUSE = "relocation_warehouse"
FLOORS = (
    ("analysis", "ground"),
    ("survey",),
    ("contract",),
    ("expectations", "lake"),
    ("receiving",),
    ("results",),
    ("engines",),
    ("models",),
    ("publication",),
    ("bi", "demonstration"),
    ("dagster_project",),
    ("command",),
)
"""From the ground up; those named together stand side by side. CONTRIBUTING.md says what each holds."""
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module: str) -> str | None:
    parts = module.split(".")
    room = parts[1] if parts[0] == HOUSE and len(parts) > 1 else parts[0]
    return room if room in FLOOR else None


def folder(room: str) -> Path:
    return next(p for p in (ROOT / room, ROOT / HOUSE / room) if p.is_dir())


def imports(path: Path) -> list[tuple[str, int]]:
    collected = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            # `from package import room` names a room as well
            names = [f"{node.module}.{a.name}" for a in node.names] if node.module == HOUSE else [node.module]
            collected += [(name, node.lineno) for name in names]
        elif isinstance(node, ast.Import):
            collected += [(a.name, node.lineno) for a in node.names]
    return collected


def test_every_package_has_a_floor():
    rooms = {p.name for p in (ROOT / HOUSE).iterdir() if (p / "__init__.py").exists()}
    assert rooms <= set(FLOOR)
    assert all(folder(room).is_dir() for room in FLOOR)


def test_imports_run_down():
    climbs, n_seen = [], 0
    for room, floor in FLOOR.items():
        for path in folder(room).rglob("*.py"):
            for module, line in imports(path):
                other = room_of(module)
                if other is None or other == room:
                    continue
                n_seen += 1
                if FLOOR[other] >= floor:
                    climbs.append(f"{path.relative_to(ROOT)}, line {line}: {room} imports {module}")
    assert climbs == []
    assert n_seen > 200, "no import was looked at"


def test_what_is_installed_and_type_checked_are_the_packages_with_a_floor():
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]
    assert {HOUSE, *(room for room in FLOOR if (ROOT / room).is_dir())} == {*PACKAGES}
    assert {*tools["mypy"]["packages"]} == {*PACKAGES}
    assert {*tools["setuptools"]["packages"]["find"]["include"]} == {f"{name}*" for name in PACKAGES}
