"""Moments as screens show them: on this computer's clock, with its zone."""

from __future__ import annotations

import time

import pytest

from dispatcher.moments import show_time

NOON = 1_795_262_400.0
"""2026-11-21 12:00 UTC."""


@pytest.fixture(params=[("UTC", "12:00 UTC", "Sun 22 Nov 12:00 UTC"), ("Europe/Rome", "13:00 CET", "Sun 22 Nov 13:00 CET")])
def zone(request, monkeypatch):
    monkeypatch.setenv("TZ", request.param[0])
    time.tzset()
    yield request.param[1:]
    monkeypatch.undo()
    time.tzset()


def test_today_is_shown_by_its_time_and_another_day_by_its_name(zone):
    today, tomorrow = zone
    assert today == show_time(NOON, NOON - 3600)
    assert tomorrow == show_time(NOON + 86400, NOON)


def test_another_year_and_a_receipt_are_shown_whole(zone):
    clock = zone[0].replace(":00 ", ":00:00 ")
    assert f"21 Nov 2026 {clock}" == show_time(NOON)
    assert f"21 Nov 2026 {clock}" == show_time(NOON, NOON + 365 * 86400)
