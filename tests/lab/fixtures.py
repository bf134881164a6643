"""The lab in tests: one per process that runs them, as new for each test, and nothing left over at its end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab.image import lacking

NETWORK = "198.18.0.0/15"


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
def whole_lab() -> Iterator[object]:
    """Kept over many tests: its bridge, its slot, its servers."""
    from tests.lab.lab import Lab

    lab = Lab()
    yield lab
    lab.close()
    assert lab.hosts.remains() == []


@pytest.fixture
def lab(whole_lab: object, home: object) -> Iterator[object]:
    """A lab as new. At the end nothing may be billed, running or lying about, and nobody may have spoken as no cloud would.

    A test that leaves something on purpose calls `lab.reset()` itself.
    """
    from tests.lab.lab import Lab

    assert isinstance(whole_lab, Lab)
    whole_lab.reset()
    yield whole_lab
    left = whole_lab.settle()
    whole_lab.reset()
    assert left == [], "left over after the test"
    assert whole_lab.hosts.remains() == [], "left over by the lab itself"


@pytest.fixture
def lab_environment(lab: object, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Clients of this test, and programs it starts, reach the lab's clouds."""
    from tests.lab.lab import Lab

    assert isinstance(lab, Lab)
    environment = lab.environment()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return environment
