"""What is handed to the system's own schedulers, as text."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from xml.sax.saxutils import escape

CRON_MARK = "# mlrun-schedule"
CRON_EVERY = "*/5 * * * *"
"""Cron forgets what was due while the computer was off: mlrun itself looks what is."""


def systemd_service(argv: Sequence[str], environment: Mapping[str, str], what: str) -> str:
    """The service that a timer starts. Values are quoted as systemd.syntax(7) reads them."""
    lines = [f"Environment={_quoted(f'{name}={value}')}" for name, value in environment.items()]
    return "\n".join(
        [
            "[Unit]",
            f"Description=mlrun: {_plain(what)}",
            "[Service]",
            "Type=exec",
            *lines,
            f"ExecStart={' '.join(_quoted(word).replace('$', '$$') for word in argv)}",
            "",
        ]
    )


def systemd_timer(at: datetime, what: str) -> str:
    """A timer for one moment; Persistent has it start late rather than never."""
    moment = at.astimezone(UTC)
    return "\n".join(
        [
            "[Unit]",
            f"Description=mlrun: {_plain(what)}",
            "[Timer]",
            f"OnCalendar={moment:%Y-%m-%d %H:%M:%S} UTC",
            "AccuracySec=1s",
            "Persistent=true",
            "[Install]",
            "WantedBy=timers.target",
            "",
        ]
    )


def launchd_agent(label: str, argv: Sequence[str], environment: Mapping[str, str], at: datetime) -> str:
    """An agent for one moment, in this computer's zone: launchd knows no other, and no year."""
    local = at.astimezone()
    when = {"Month": local.month, "Day": local.day, "Hour": local.hour, "Minute": local.minute}
    variables = "".join(f"<key>{escape(name)}</key><string>{escape(value)}</string>" for name, value in environment.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n'
        '<plist version="1.0"><dict>\n'
        f"<key>Label</key><string>{escape(label)}</string>\n"
        f"<key>ProgramArguments</key><array>{''.join(f'<string>{escape(one)}</string>' for one in argv)}</array>\n"
        f"<key>EnvironmentVariables</key><dict>{variables}</dict>\n"
        "<key>StartCalendarInterval</key><dict>"
        + "".join(f"<key>{name}</key><integer>{number}</integer>" for name, number in when.items())
        + "</dict>\n</dict></plist>\n"
    )


def cron_line(argv: Sequence[str], environment: Mapping[str, str]) -> str:
    """The one line that looks for what is due. A percent sign ends a cron command unless it is escaped."""
    words = ["env", *(f"{name}={value}" for name, value in environment.items()), *argv]
    return f"{CRON_EVERY} {shlex.join(words)} >/dev/null 2>&1 {CRON_MARK}".replace("%", "\\%")


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("\n", "\\n")
    return f'"{escaped}"'


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("%", "%%")
