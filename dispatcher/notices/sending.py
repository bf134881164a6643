"""One notice to one address, by apprise or the desktop's own programs."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from typing import Any

from dispatcher.notices.addresses import DESKTOP, Address

DESKTOP_SECONDS = 10.0
APPRISE_DESKTOPS = ("dbus://", "gnome://")
_NO_DESKTOP = "nothing here shows notices: apt install libnotify-bin"


def trouble(address: Address) -> str:
    """Why a notice could not be sent there, as far as that is known without sending one; "" where nothing is."""
    if address.why:
        return address.why
    if address.url == DESKTOP:
        return "" if _desktop_program("", "") or _apprise_desktop() else _NO_DESKTOP
    return "" if _service(address.url) else "apprise knows no such address"


def send(address: Address, title: str, text: str, *, bad: bool) -> str:
    """Why it was not taken; "" where it was. What the service itself says is not told: it may repeat the address."""
    if why := trouble(address):
        return why
    try:
        if address.url == DESKTOP and (argv := _desktop_program(title, text)):
            return "" if _ran(argv) else f"{argv[0]} failed"
        service = _apprise_desktop() if address.url == DESKTOP else _service(address.url)
        taken = service.notify(body=text, title=title, notify_type="failure" if bad else "info")
    except Exception as error:  # noqa: BLE001 - a notice never hurts the run, whatever a service's library raises
        return type(error).__name__
    return "" if taken else "it was not taken"


def _service(url: str) -> Any:
    """apprise's object for an address; None where it knows none."""
    log = logging.getLogger("apprise")  # it would say the address
    log.addHandler(logging.NullHandler())
    log.propagate = False
    try:
        import apprise

        return apprise.Apprise.instantiate(url)
    except Exception:  # noqa: BLE001 - it loads a hundred services; none of them may hurt the run
        return None


def _apprise_desktop() -> Any:
    return next((found for one in APPRISE_DESKTOPS if (found := _service(one)) is not None), None)


def _desktop_program(title: str, text: str) -> list[str]:
    """The command that shows a notice; none where there is no such program."""
    if sys.platform == "darwin" and shutil.which("osascript"):
        script = "on run argv\ndisplay notification (item 2 of argv) with title (item 1 of argv)\nend run"
        return ["osascript", "-e", script, title, text]
    return ["notify-send", "--app-name=mlrun", "--", title, text] if shutil.which("notify-send") else []


def _ran(argv: list[str]) -> bool:
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=DESKTOP_SECONDS,
        check=False,
    )
    return done.returncode == 0
