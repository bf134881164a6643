"""What development installs is named by hash."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LINE = re.compile(r"([a-z0-9-]+)==[\w.!+]+ --hash=sha256:[0-9a-f]{64}")


def test_the_lock_holds_every_package_of_development_by_hash_and_names_no_place_to_fetch_it():
    lines = [line for line in (ROOT / "requirements-dev.lock").read_text().splitlines() if not line.startswith("#")]
    found = [LINE.fullmatch(line) for line in lines]
    assert [line for line, one in zip(lines, found, strict=True) if one is None] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = {name_of(one) for one in [*project["dependencies"], *extras["dev"], *extras["demo"]]} - {"mlrun-dispatcher"}
    assert wanted - {one[1] for one in found if one} == set()


def name_of(requirement: str) -> str:
    return re.split(r"[\[<>=;! ]", requirement)[0].lower().replace("_", "-").replace(".", "-")
