"""Fetches that are interrupted: the link is cut, or the client killed, while outputs come home."""

from __future__ import annotations

import getpass
import hashlib
import random
import shlex
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dispatcher.errors import HostError
from dispatcher.hosts.collect import collect
from dispatcher.hosts.ssh import SshHost, Target
from dispatcher.retries import SystemClock
from tests.guarantees.real.place import RUN, Place, place
from tests.sshd import Wire

FILES = 24
MAKE = """
import os, random
dice = random.Random(5)
for number in range(24):
    os.makedirs(f"out/{number % 5}", exist_ok=True)
    with open(f"out/{number % 5}/file {number}.bin", "wb") as file:
        file.write(dice.randbytes(dice.randrange(0, 400_000)))
"""


@dataclass
class Fetches:
    """What was interrupted, and what was wrong with it."""

    cuts: int = 0
    kills: int = 0
    wrong: list[str] = field(default_factory=list)


def interrupted(cuts: int, kills: int) -> Fetches:
    done = Fetches()
    cut_links(done, cuts)
    kill_clients(done, kills)
    return done


class OneTry(SystemClock):
    """No patience between tries, so that what is interrupted is seen."""

    def sleep(self, seconds: float, cancel: threading.Event | None = None) -> bool:
        return super().sleep(min(seconds, 0.01), cancel)


def cut_links(done: Fetches, cuts: int) -> None:
    """The link breaks again and again under one fetch after the other; each goes on where the last one stopped."""
    dice = random.Random(3)
    with place() as at:
        there = at.folder / "sshd" / "home" / "job"
        there.mkdir()
        subprocess.run([sys.executable, "-c", MAKE], cwd=there, check=True)
        truth = hashes(there)
        wire = Wire(at.server.port, rate=4e6)
        target = Target("desk", "127.0.0.1", getpass.getuser(), wire.port, at.server.key, (at.server.host_key,))
        number, home = 0, at.folder / "home-0"
        try:
            while done.cuts < cuts:
                home = at.folder / f"home-{number}"
                whole = _fetch_once(done, target, wire, there, home, dice)
                done.wrong += [f"after a cut: {one}" for one in differing(truth, home, whole=whole)]
                number += whole
        finally:
            wire.close()


def _fetch_once(done: Fetches, target: Target, wire: Wire, there: Path, home: Path, dice: random.Random) -> bool:
    """Whether it came to its end, over however many cuts."""
    over = threading.Event()

    def cutter() -> None:
        while not over.wait(dice.uniform(0.05, 1.0)):
            wire.cut()
            done.cuts += 1

    thread = threading.Thread(target=cutter)
    thread.start()
    try:
        host = SshHost.open(target, str(there.parent), clock=OneTry())
        try:
            collect(host, str(there), ("out",), home, in_place=False)
        finally:
            host.close()
    except HostError:
        return False
    finally:
        over.set()
        thread.join()
    return True


def kill_clients(done: Fetches, kills: int) -> None:
    """mlrun itself dies while it fetches: the machine is not cleared before all is home and verified."""
    while done.kills < kills:
        with place() as at:
            _one_run(done, at, kills)


def _one_run(done: Fetches, at: Place, kills: int) -> None:
    dice = random.Random(done.kills)
    at.wire.rate = 2e6
    driver = at.drive(f"{shlex.quote(sys.executable)} -c {shlex.quote(MAKE)}", "out")
    there = at.server.home / ".local/share/dispatcher/runs" / f"mlrun-{RUN}-1.work"
    home = at.folder / "work"
    wait(lambda: (there / "out").exists() and len(hashes(there)) == FILES, driver)
    truth: dict[str, str] = {}
    while done.kills < kills:
        wait(lambda: any(home.glob(".mlrun-*.part/*")), driver)
        truth = truth or hashes(there)
        time.sleep(dice.uniform(0.0, 0.3))
        if driver.poll() is not None:
            break
        driver.kill()
        driver.wait()
        done.kills += 1
        _compare(done, truth, there, home)
        driver = at.drive()
    driver.wait(timeout=120)
    done.wrong += [f"at the end: {one}" for one in differing(truth, home, whole=True)]
    done.wrong += ["the machine was not cleared at the end"] if there.exists() else []


def _compare(done: Fetches, truth: dict[str, str], there: Path, home: Path) -> None:
    left = hashes(there)
    at_home = hashes(home)
    if any(left.get(name) != digest and at_home.get(name) != digest for name, digest in truth.items()):
        done.wrong.append("the machine was cleared before all was home")
    done.wrong += [f"after a kill: {one}" for one in differing(truth, home, whole=False)]


def wait(look: object, driver: subprocess.Popen[bytes], seconds: float = 60.0) -> None:
    """Until it is so, or the driver is at its end."""
    begun = time.monotonic()
    while not look() and driver.poll() is None:  # type: ignore[operator]
        assert time.monotonic() - begun < seconds, "it did not come to pass"
        time.sleep(0.002)


def hashes(folder: Path) -> dict[str, str]:
    """What stands below out/ under its own name."""
    found = {}
    for file in sorted(folder.glob("out/**/*")):
        with suppress(FileNotFoundError):
            if file.is_file():
                found[str(file.relative_to(folder))] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def differing(truth: dict[str, str], home: Path, *, whole: bool) -> list[str]:
    """Files at home that are not the machine's, and, where all should be here, those that lack."""
    here = hashes(home)
    return [name for name in {*here, *(truth if whole else ())} if here.get(name) != truth.get(name)]
