"""Recorded and constructed outputs; the first line of each says which of the two it is, and whence."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "fixtures" / "probe"
ORIGIN = "#: "


def recorded(name: str) -> str:
    """A fixture's text without the line on its origin."""
    first, _, text = (FOLDER / name).read_text(encoding="utf-8").partition("\n")
    assert first.startswith(ORIGIN), f"{name} does not say where it is from"
    return text


def tree(root: Path, files: dict[str, str]) -> Path:
    """A file system below `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root
