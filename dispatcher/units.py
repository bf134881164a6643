"""Sizes, durations and money: read and written as people do."""

from __future__ import annotations

import math
import re

KIB, MIB, GIB, TIB = 2**10, 2**20, 2**30, 2**40
GB = 10**9

_DECIMAL = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "PB": 10**15}
_BINARY = {"KIB": KIB, "MIB": MIB, "GIB": GIB, "TIB": TIB, "PIB": 2**50}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) *([kmgtp]?i?b?)", re.IGNORECASE)
_DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?) *d)? *(?:(\d+(?:\.\d+)?) *h)? *(?:(\d+(?:\.\d+)?) *m(?:in)?)? *(?:(\d+(?:\.\d+)?) *s)?"
)
_STEPS = ((86400.0, "d"), (3600.0, "h"), (60.0, "m"), (1.0, "s"))


def parse_bytes(text: str | float, *, nameplate: bool = False) -> float:
    """Bytes in "1.1GB", "16GiB" or a plain number of bytes.

    `nameplate` reads GB as GiB, as memory is sold. A bare letter ("16G") is read like "16GB". Raises ValueError.
    """
    if isinstance(text, (int, float)):
        return _positive(float(text), text)
    found = _SIZE.fullmatch(text.strip().replace("_", ""))
    if not found:
        raise ValueError(f"{text!r} is not a size. Write 16GB, 1.5TB or 500MB")
    number, unit = float(found.group(1)), found.group(2).upper()
    if unit in ("K", "M", "G", "T", "P"):
        unit += "B"
    if nameplate and len(unit) == 2 and unit != "IB":
        unit = unit[0] + "IB"
    factor = _BINARY.get(unit) or _DECIMAL.get(unit)
    if factor is None:
        raise ValueError(f"{text!r} is not a size. Write 16GB, 1.5TB or 500MB")
    return _positive(number * factor, text)


def parse_seconds(text: str | float) -> float:
    """Seconds in "2h", "90m", "1h30m", "45 s" or a plain number of seconds. Raises ValueError."""
    if isinstance(text, (int, float)):
        return _positive(float(text), text)
    stripped = text.strip().lower()
    if stripped == "0":
        return 0.0
    found = _DURATION.fullmatch(stripped)
    if not stripped or not found or not any(found.groups()):
        raise ValueError("not a duration. Write 2h, 90m or 1h30m")
    parts = (float(group or 0) * factor for group, (factor, _) in zip(found.groups(), _STEPS, strict=True))
    return _positive(sum(parts), text)


def show_bytes(count: float) -> str:
    """1.1 GB, 23.0 MB, 512 B: decimal, three figures."""
    for factor, unit in ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= factor:
            return f"{_three(count / factor)} {unit}"
    return f"{count:.0f} B"


def show_gib(gib: float) -> str:
    """3.6 GiB, 0.09 GiB, 1,230 GiB, 19.6 TiB, 18.7 PiB."""
    for factor, unit in ((1024.0**2, "PiB"), (1024.0, "TiB")):
        if gib >= 10 * factor:
            return f"{_three(gib / factor)} {unit}"
    return f"{_three(gib)} GiB"


def show_seconds(seconds: float) -> str:
    """48 s, 12 min, 1 h 35, 3 d 4 h: two figures that matter."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d}"
    hours = round(seconds / 3600)
    if hours < 365 * 24:
        return f"{hours // 24} d {hours % 24} h"
    return f"{_three(hours / 8766)} years"


def show_clock(seconds: float) -> str:
    """0:45, 52:00, 1:02:03: for tables of phases; longer than a week in words."""
    if seconds > 7 * 86400:
        return show_seconds(seconds)
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def show_usd(usd: float) -> str:
    """$0.20, <$0.01, $1,234, $2.50e+09: free is a word, and said elsewhere."""
    if usd >= 1e6:
        return f"${usd:.2e}"
    if 0 < usd < 0.005:
        return "<$0.01"
    return f"${usd:,.2f}" if usd < 1000 else f"${usd:,.0f}"


def show_count(count: float) -> str:
    """1,234 · 23.7 million · 8.03 billion · 1.0e+18."""
    for factor, word in ((1e12, "trillion"), (1e9, "billion"), (1e6, "million")):
        if count >= factor:
            return f"{count:.1e}" if count >= 1e15 else f"{_three(count / factor)} {word}"
    return f"{count:,.0f}"


def show_flop(flop: float) -> str:
    """24 PFLOP, 1.55 TFLOP: an amount of work, not a rate."""
    for factor, prefix in ((1e21, "Z"), (1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M")):
        if flop >= factor:
            return f"{_three(flop / factor)} {prefix}FLOP"
    return f"{flop:,.0f} FLOP"


def _three(value: float) -> str:
    if value >= 1e6:
        return f"{value:.2e}"
    if value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 0.995 else f"{value:.2f}"


def _positive(value: float, text: str | float) -> float:
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{text!r} is not a finite, positive amount")
    return value
