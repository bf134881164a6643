"""The lab in tests: one per process that runs them, as new for each test, and nothing left over at its end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.image import lacking
from tests.lab.lab import SETTLE_SECONDS, Lab
from tests.lab.net import RANGE

NETWORK = str(RANGE)


def wanting(items: list[pytest.Item]) -> list[pytest.Item]:
    """Tests that a lab's hosts are for."""
    return [item for item in items if uses_lab(item)]


def uses_lab(item: pytest.Item) -> bool:
    return "whole_lab" in getattr(item, "fixturenames", ()) or item.get_closest_marker("lab") is not None


def skip_where_impossible(items: list[pytest.Item], *, required: bool) -> None:
    """Without root or tools these tests are skipped, loudly; where they are required that is an error."""
    concerned = wanting(items)
    why = lacking() if concerned else ""
    if why and required:
        raise pytest.UsageError(f"{len(concerned)} tests need the lab: {why}")
    for item in concerned if why else ():
        item.add_marker(pytest.mark.skip(reason=f"THE LAB IS MISSING: {why}"))


@pytest.fixture(scope="session")
def whole_lab() -> Iterator[Lab]:
    """Kept over many tests: its bridge, its slot, its servers."""
    lab = Lab()
    yield lab
    lab.close()
    assert lab.hosts.remains() == []


@contextmanager
def as_new(lab: Lab, seconds: float = SETTLE_SECONDS) -> Iterator[Lab]:
    """Nothing may be left of what was done with the lab, once what is being deleted has had its time."""
    lab.reset()
    yield lab
    left = lab.settle(seconds)
    lab.reset()
    assert left == [], f"left over: {left}"
    assert (remains := lab.hosts.remains()) == [], f"left over by the lab itself: {remains}"


@pytest.fixture
def lab(whole_lab: Lab, home: Path) -> Iterator[Lab]:
    """A lab as new. At the end nothing may be billed, running or lying about, and nobody may have spoken as no cloud would.

    A test that leaves something on purpose calls `lab.reset()` itself.
    """
    with as_new(whole_lab):
        yield whole_lab


@pytest.fixture
def lab_environment(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Clients of this test, and programs it starts, reach the lab's clouds."""
    environment = lab.environment()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment
