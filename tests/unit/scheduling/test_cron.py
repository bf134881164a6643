from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from dispatcher.scheduling.cron import check, next_firing

ROME = ZoneInfo("Europe/Rome")
NOW = datetime(2026, 11, 20, 18, 40, tzinfo=ROME)


def test_nights_of_the_week():
    first = next_firing("0 1 * * 1-5", NOW)
    assert (datetime(2026, 11, 23, 1, 0, tzinfo=ROME), datetime(2026, 11, 24, 1, 0, tzinfo=ROME)) == (
        first,
        next_firing("0 1 * * 1-5", first),
    )


def test_a_skipped_hour_fires_after_it_and_a_doubled_one_once():
    forward = next_firing("30 2 * * *", datetime(2027, 3, 27, 12, 0, tzinfo=ROME))
    assert "2027-03-28T03:00:00+02:00" == forward.isoformat()
    back = next_firing("30 2 * * *", datetime(2027, 10, 30, 12, 0, tzinfo=ROME))
    assert "2027-11-01T02:30:00+01:00" == next_firing("30 2 * * *", back).isoformat()


@pytest.mark.parametrize("wrong", ["* * * *", "61 * * * *", "every night", "0 0 31 2 *"])
def test_what_is_no_expression_or_never_fires_is_refused(wrong):
    with pytest.raises(ValueError, match=r"cron|never"):
        next_firing(wrong, NOW)


@pytest.mark.parametrize("often", ["* * * * *", "*/5 * * * *", "0,1 1 * * *"])
def test_what_fires_too_often_is_refused(often):
    with pytest.raises(ValueError, match="at most every 15 min"):
        check(often, NOW)
    check("*/15 * * * *", NOW)
