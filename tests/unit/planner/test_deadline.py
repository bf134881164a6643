"""finish_by."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dispatcher.planner.deadline import seconds_until

NOW = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("23:30", 5400),
        ("07:30", 9.5 * 3600),
        ("2026-11-22 22:00", 86400),
        ("2026-11-21T22:10:00+00:00", 600),
        ("2026-11-20 22:00", -86400),
    ],
)
def test_a_time_of_day_is_the_next_one_and_a_date_is_itself(text, seconds):
    assert seconds == seconds_until(text, NOW)


@pytest.mark.parametrize("text", ["", "7", "25:00", "07:61", "soon", "tomorrow 07:30", "::"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match="is no time"):
        seconds_until(text, NOW)
