"""Traces kept by what they depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dispatcher import paths

MOST_FILES, MOST_BYTES = 2000, 50_000_000
"""Code over this is not read to find out whether it changed: the trace is made anew."""
PACKAGES = ("torch", "transformers", "timm", "torchvision")
SKIPPED = {"node_modules", "site-packages", "__pycache__", "runs"}


def key_of(request: dict[str, Any], trial: str, workdir: Path, prefix: Path, *, code: bool) -> str | None:
    """What the trace depends on as one word; None where that cannot be told cheaply."""
    versions = sorted(_installed(prefix))
    if not any(name.startswith("torch-") for name in versions):
        return None
    found = hashlib.sha256()
    for part in (json.dumps(request, sort_keys=True), trial, *versions, str(prefix)):
        found.update(part.encode() + b"\0")
    if code and not _digested(found, workdir):
        return None
    return found.hexdigest()


def read(key: str) -> dict[str, Any] | None:
    """The answer kept under `key`."""
    try:
        found = json.loads(_file(key).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def keep(key: str, answer: dict[str, Any]) -> None:
    """Keep an answer; where it cannot be written, it is made anew next time."""
    file = _file(key)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(answer), encoding="utf-8")
        partial.replace(file)
    except OSError:
        return


def _file(key: str) -> Path:
    return paths.cache_dir() / "traces" / f"{key}.json"


def _installed(prefix: Path) -> Iterator[str]:
    """Names with versions of what the trace runs on, as the environment's folders state them."""
    for package in PACKAGES:
        yield from (found.name for found in prefix.glob(f"lib/python3*/site-packages/{package}-*.dist-info"))


def _digested(found: Any, workdir: Path) -> bool:
    """Add every Python file of the job's folder; False where there are too many."""
    size = 0
    for count, file in enumerate(_python_files(workdir), start=1):
        try:
            data = file.read_bytes()
        except OSError:
            return False
        size += len(data)
        if count > MOST_FILES or size > MOST_BYTES:
            return False
        found.update(str(file.relative_to(workdir)).encode() + b"\0" + data + b"\0")
    return True


def _python_files(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name in SKIPPED:
            continue
        if entry.is_dir() and not entry.is_symlink() and not (entry / "pyvenv.cfg").exists():
            yield from _python_files(entry)
        elif entry.suffix == ".py":
            yield entry
