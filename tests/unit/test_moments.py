from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from dispatcher.moments import comes_twice, read_moment, show_moment, zone_named

ROME = ZoneInfo("Europe/Rome")
NOW = datetime(2026, 11, 21, 18, 40, tzinfo=ROME)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("23:00", "2026-11-21T23:00+01:00"),
        ("07:30", "2026-11-22T07:30+01:00"),
        ("18:40", "2026-11-22T18:40+01:00"),
        ("tonight 23:00", "2026-11-21T23:00+01:00"),
        ("tonight 01:00", "2026-11-22T01:00+01:00"),
        ("Tomorrow 01:00", "2026-11-22T01:00+01:00"),
        ("tomorrow at 9:05", "2026-11-22T09:05+01:00"),
        ("2026-12-24 22:00", "2026-12-24T22:00+01:00"),
        ("2026-12-24T22:00-05:00", "2026-12-24T22:00-05:00"),
        ("2027-07-01T22:00", "2027-07-01T22:00+02:00"),
    ],
)
def test_times_are_read_as_people_mean_them(text, meant):
    assert datetime.fromisoformat(meant) == read_moment(text, NOW, ROME)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("yesterday", "is no time"),
        ("25:00", "no time of day"),
        ("today 09:00", "is past"),
        ("2026-11-20 09:00", "is past"),
        ("2026-12-24", "has no time of day. Write 2026-12-24 01:00"),
        ("", "is no time"),
    ],
)
def test_what_is_no_time_to_come_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        read_moment(text, NOW, ROME)


def test_an_hour_that_the_clock_skips_is_refused_with_the_one_after_it():
    with pytest.raises(ValueError, match=r"does not exist on 28 Mar 2027: the clock goes forward. Write 03:30"):
        read_moment("2027-03-28 02:30", NOW, ROME)


def test_an_hour_that_comes_twice_means_the_first():
    moment = read_moment("2027-10-31 02:30", NOW, ROME)
    assert (True, datetime(2027, 10, 31, 0, 30, tzinfo=UTC)) == (comes_twice(moment), moment.astimezone(UTC))
    assert not comes_twice(NOW)


def test_the_night_before_the_clock_changes_is_as_long_as_it_is():
    before = datetime(2027, 3, 27, 23, 0, tzinfo=ROME)
    assert "in 4 h" in show_moment(read_moment("04:00", before, ROME), before)


def test_a_moment_is_said_with_zone_and_distance():
    assert "Sun 22 Nov 01:00 (Europe/Rome), in 6 h 20" == show_moment(read_moment("tonight 01:00", NOW, ROME), NOW)


def test_zones_are_known_by_name_or_are_this_computers():
    assert ROME == zone_named("Europe/Rome")
    assert datetime.now(zone_named(None)).utcoffset() is not None
    for wrong in ("Mars/Base", "../etc/passwd", ""):
        with pytest.raises(ValueError, match="no time zone"):
            zone_named(wrong)
