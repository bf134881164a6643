"""Times as people write them, in a zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dispatcher.units import show_seconds

NOON = 12
FORMS = "Write 23:00, tonight 23:00, tomorrow 01:00 or 2026-11-22 01:00"
_WORDED = re.compile(r"(?:(today|tonight|tomorrow)\s+(?:at\s+)?)?(\d{1,2}):(\d{2})", re.IGNORECASE)


def zone_named(name: str | None) -> tzinfo:
    """A zone by its name, or this computer's. Raises ValueError for an unknown one."""
    if name is None:
        from tzlocal import get_localzone

        return get_localzone()
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone. Write one like Europe/Rome, America/New_York or UTC") from None


def read_moment(text: str, now: datetime, zone: tzinfo) -> datetime:
    """The moment that `text` means, in `zone`; `now` is aware. A bare 07:30 is the next one.

    Raises ValueError for what is no time, lies in the past, or falls into the hour that a clock skips. Of a time that comes
    twice, when clocks go back, the first one is meant.
    """
    words, here = text.strip(), now.astimezone(zone)
    worded = _WORDED.fullmatch(words)
    found = _worded(worded, here, text) if worded else _dated(words, zone, text)
    if not _exists(found):
        after = found.astimezone(UTC).astimezone(found.tzinfo)
        raise ValueError(f"{text!r} does not exist on {found:%d %b %Y}: the clock goes forward. Write {after:%H:%M}")
    if seconds_between(now, found) <= 0:
        raise ValueError(f"{text!r} is past: it is {here:%H:%M on %d %b} in {zone_name(here)}")
    return found


def comes_twice(moment: datetime) -> bool:
    """Whether the clock shows this time twice, because it goes back."""
    return moment.replace(fold=0).utcoffset() != moment.replace(fold=1).utcoffset() and _exists(moment)


def show_moment(moment: datetime, now: datetime) -> str:
    """Sun 22 Nov 01:00 (Europe/Rome), in 6 h 20."""
    seconds = seconds_between(now, moment)
    when = f"in {show_seconds(seconds)}" if seconds >= 0 else f"{show_seconds(-seconds)} ago"
    return f"{moment:%a %d %b %H:%M} ({zone_name(moment)}), {when}"


def show_time(moment: float, now: float | None = None) -> str:
    """18:10 CET, Sun 22 Nov 18:10 CET, 22 Nov 2027 18:10:00 CET: Unix seconds on this computer's clock, with its zone.

    As short as it can be understood `now`, else whole.
    """
    there = datetime.fromtimestamp(moment).astimezone()
    here = None if now is None else datetime.fromtimestamp(now).astimezone()
    if here is None or there.year != here.year:
        return f"{there:%d %b %Y %H:%M:%S} {there.tzname()}"
    day = "" if there.date() == here.date() else f"{there:%a %d %b} "
    return f"{day}{there:%H:%M} {there.tzname()}"


def seconds_between(first: datetime, second: datetime) -> float:
    """Seconds that really pass; subtracting two datetimes of one zone would count what its clock shows."""
    return second.timestamp() - first.timestamp()


def zone_name(moment: datetime) -> str:
    """Europe/Rome; the offset where the zone has no name."""
    return getattr(moment.tzinfo, "key", None) or moment.tzname() or "UTC"


def _worded(found: re.Match[str], here: datetime, text: str) -> datetime:
    word, hour, minute = (found.group(1) or "").lower(), int(found.group(2)), int(found.group(3))
    if hour > 23 or minute > 59:
        raise ValueError(f"{text!r} is no time of day. {FORMS}")
    day = here.date() + timedelta(days=1 if word == "tomorrow" else 0)
    moment = datetime.combine(day, time(hour, minute), here.tzinfo)
    rolls = word == "" or (word == "tonight" and hour < NOON)  # "tonight 01:00" is after midnight
    return datetime.combine(day + timedelta(days=1), time(hour, minute), here.tzinfo) if rolls and moment <= here else moment


def _dated(words: str, zone: tzinfo, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(words)
    except ValueError:
        raise ValueError(f"{text!r} is no time. {FORMS}") from None
    if len(words) <= len("2026-11-22"):
        raise ValueError(f"{text!r} has no time of day. Write {words} 01:00")
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _exists(moment: datetime) -> bool:
    """Clocks that go forward skip an hour: what they skip does not survive the way to UTC and back."""
    back = moment.astimezone(UTC).astimezone(moment.tzinfo)
    return back.replace(tzinfo=None) == moment.replace(tzinfo=None)
