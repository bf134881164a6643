"""`finish_by`: from what people write to seconds left."""

from __future__ import annotations

from datetime import datetime, timedelta


def seconds_until(text: str, now: datetime) -> float:
    """Seconds from `now` to "07:30" (the next one) or "2026-11-22 07:30". Raises ValueError where it cannot be read."""
    stripped = text.strip()
    if len(stripped) <= 5:
        moment = _today(stripped, now)
        if moment <= now:
            moment += timedelta(days=1)
        return (moment - now).total_seconds()
    try:
        moment = datetime.fromisoformat(stripped)
    except ValueError:
        raise ValueError(f"{text!r} is no time. Write 07:30 or 2026-11-22 07:30") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=now.tzinfo)
    return (moment - now).total_seconds()


def _today(text: str, now: datetime) -> datetime:
    hour, colon, minute = text.partition(":")
    if not (colon and hour.isdigit() and minute.isdigit() and int(hour) < 24 and int(minute) < 60):
        raise ValueError(f"{text!r} is no time. Write 07:30 or 2026-11-22 07:30")
    return now.replace(hour=int(hour), minute=int(minute), second=0, microsecond=0)
