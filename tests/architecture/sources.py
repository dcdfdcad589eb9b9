"""The package's own source files, all of them, for the tests that read them."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("adapter", "activities", "workflows")
SOURCES = (
    ROOT / "__init__.py",
    ROOT / "worker.py",
    *(path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))),
)


def module_name(path: Path) -> str:
    """Return the name a source file is imported by."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[:2] == ("adapter", "testing"):
        parts = parts[1:]
    return ".".join(("agent_framework_temporal", *(part for part in parts if part != "__init__")))
