"""Waiting for what is not yet so."""

from __future__ import annotations

import threading

from dispatcher.retries import Policy, SystemClock, wait_until
from tests.fakes import FakeClock

POLICY = Policy(first=1, longest=4, patience=10)


def test_it_returns_what_it_found_and_pauses_longer_each_time():
    clock, looks = FakeClock(0), []

    def look():
        looks.append(clock.now())
        return "found" if len(looks) == 5 else None

    assert "found" == wait_until(look, Policy(1, 4, 60), clock)
    assert [0, 1, 3, 7, 11] == looks


def test_it_gives_up_before_its_patience_is_overdrawn():
    clock = FakeClock(0)
    assert wait_until(lambda: None, POLICY, clock) is None
    assert 7 == clock.now()


def test_a_cancelled_wait_ends_at_once():
    asked, looks = threading.Event(), []
    asked.set()
    assert wait_until(lambda: looks.append(1), POLICY, FakeClock(0), asked) is None
    assert [1] == looks


def test_the_system_clock_grows_and_wakes_when_asked():
    clock, asked = SystemClock(), threading.Event()
    before = clock.monotonic()
    assert clock.sleep(0.001) is False
    asked.set()
    assert clock.sleep(60, asked) is True
    assert 0 < clock.monotonic() - before < 30
    assert clock.now() > 1_700_000_000
