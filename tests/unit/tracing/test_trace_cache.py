"""A trace is made once for what it depends on."""

from __future__ import annotations

from pathlib import Path

import pytest

from dispatcher import paths
from dispatcher.tracing import cache


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    (tmp_path / "env/lib/python3.11/site-packages/torch-2.13.0.dist-info").mkdir(parents=True)
    return tmp_path / "env"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "job/pkg").mkdir(parents=True)
    (tmp_path / "job/pkg/net.py").write_text("a = 1\n")
    return tmp_path / "job"


def key(folder: Path, prefix: Path, *, code: bool = True, **request: int) -> str | None:
    return cache.key_of(request, "trial", folder, prefix, code=code)


def test_what_is_kept_is_read_again(prefix: Path, folder: Path) -> None:
    name = key(folder, prefix)
    assert name is not None
    assert cache.read(name) is None
    cache.keep(name, {"torch": "2.13.0"})
    assert cache.read(name) == {"torch": "2.13.0"}
    assert [file.suffix for file in (paths.cache_dir() / "traces").iterdir()] == [".json"]


def test_a_changed_file_of_the_jobs_changes_the_key(prefix: Path, folder: Path) -> None:
    before = key(folder, prefix)
    (folder / "pkg/net.py").write_text("a = 2\n")
    assert key(folder, prefix) != before


def test_a_file_of_an_environment_or_hidden_folder_does_not(prefix: Path, folder: Path) -> None:
    before = key(folder, prefix)
    for place in (".git", "env"):
        (folder / place).mkdir()
        (folder / place / "new.py").write_text("")
    (folder / "env/pyvenv.cfg").write_text("")
    assert key(folder, prefix) == before


def test_shapes_and_versions_change_the_key(prefix: Path, folder: Path) -> None:
    before = key(folder, prefix, batch=2)
    assert key(folder, prefix, batch=4) != before
    site = prefix / "lib/python3.11/site-packages"
    (site / "torch-2.13.0.dist-info").rename(site / "torch-2.14.0.dist-info")
    assert key(folder, prefix, batch=2) != before


def test_nothing_is_kept_where_the_version_of_torch_is_not_known(tmp_path: Path, folder: Path) -> None:
    assert key(folder, tmp_path / "nowhere") is None


def test_nothing_is_kept_of_a_folder_with_too_much_code(prefix: Path, folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(cache, "MOST_FILES", 0)
    assert key(folder, prefix) is None
    assert key(folder, prefix, code=False) is not None


def test_a_spoilt_entry_is_made_anew(prefix: Path, folder: Path) -> None:
    name = key(folder, prefix)
    assert name is not None
    cache.keep(name, {})
    (paths.cache_dir() / "traces" / f"{name}.json").write_text("{half")
    assert cache.read(name) is None
