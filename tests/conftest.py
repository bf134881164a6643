"""What every test stands on: a home of its own, no network, and nothing left running."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_socket import socket_allow_hosts

from tests.ground import MARK, settled
from tests.lab.fixtures import NETWORK, lab, lab_environment, skip_where_impossible, uses_lab, whole_lab

__all__ = ["lab", "lab_environment", "whole_lab"]

FOREIGN = ("AWS_", "GOOGLE_", "CLOUDSDK_", "DISPATCHER_", "XDG_")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--require-torch", action="store_true", help="fail where the tests marked torch would be skipped")
    parser.addoption("--require-lab", action="store_true", help="fail where the tests of the lab would be skipped")
    parser.addoption("--require-browser", action="store_true", help="fail where the tests marked browser would be skipped")
    parser.addoption("--long", action="store_true", help="run the tests marked long too")
    parser.addoption("--fuzz-count", type=int, default=10_000, help="how many spoilt job files the loader is fed")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    skip_where_impossible(items, required=config.getoption("--require-lab"))
    for item in [] if config.getoption("--long") else items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="long: --long runs it"))
    _skip_without(bool(importlib.util.find_spec("torch")), "torch", "pip install torch", items, config)
    _skip_without(bool(shutil.which("chromium")), "browser", "apt install chromium", items, config)


def _skip_without(there: bool, mark: str, fix: str, items: list[pytest.Item], config: pytest.Config) -> None:
    wanting = [] if there else [item for item in items if item.get_closest_marker(mark)]
    if wanting and config.getoption(f"--require-{mark}"):
        raise pytest.UsageError(f"{len(wanting)} tests need what is not installed: {fix}")
    for item in wanting:
        item.add_marker(pytest.mark.skip(reason=f"{mark.upper()} IS MISSING: {fix}"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    hosts = [NETWORK] if uses_lab(item) else []
    socket_allow_hosts(["127.0.0.1", "::1", *hosts], allow_unix_socket=True)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home; everything of ours lives below it, and nobody's credentials or settings are seen."""
    folder = tmp_path_factory.mktemp("home")
    for name in [name for name in os.environ if name.startswith(FOREIGN)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("DISPATCHER_HOME", str(folder / "dispatcher"))
    return folder


@pytest.fixture(autouse=True)
def nothing_left_running(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every process a test starts inherits its mark; one that outlives the test is ended, and the test fails."""
    mark = f"{MARK}={uuid.uuid4().hex}"
    monkeypatch.setenv(*mark.split("="))
    yield
    left = settled(mark.encode())
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, f"still running after the test: {left}"
