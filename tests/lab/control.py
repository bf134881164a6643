"""The lab by hand: scripts/lab up, status, fault, preempt, console, shell, wire, bill, down."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.lab import image, kernel, net
from tests.lab.daemon import socket_of
from tests.lab.image import LabError

STOP_SECONDS = 60.0
ROOT = Path(__file__).resolve().parents[2]


def ask(name: str, verb: str, cloud: str = "", /, **arguments: Any) -> Any:
    """What the lab of this name answers."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(str(socket_of(name)))
            client.sendall(json.dumps({"verb": verb, "cloud": cloud, "arguments": arguments}).encode() + b"\n")
            with client.makefile() as lines:
                answer = json.loads(lines.readline() or '{"error": "the lab went away"}')
        except OSError:
            raise LabError("no lab is up: scripts/lab up starts one") from None
    if "error" in answer:
        raise LabError(answer["error"])
    return answer["answer"]


def is_up(name: str) -> bool:
    try:
        ask(name, "status")
    except LabError:
        return False
    return True


def up(name: str) -> dict[str, str]:
    """Start the lab unless it is up; what to export."""
    if why := image.lacking():
        raise LabError(why)
    image.build()
    if not is_up(name):
        _start(name)
    exports: dict[str, str] = ask(name, "exports")
    return exports


def _start(name: str) -> None:
    net.RUN.mkdir(parents=True, exist_ok=True)
    log = net.RUN / f"{name}.log"
    with log.open("wb") as out:
        command = [sys.executable, "-m", "tests.lab.daemon", name]
        done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False)
    if done.returncode:
        raise LabError(f"the lab did not start ({log}):\n{log.read_text(errors='replace')[-2000:]}")


def down(name: str) -> None:
    """Stop the lab and leave nothing; where it died, what it left is swept."""
    if is_up(name):
        daemon = ask(name, "down")
        until = time.monotonic() + STOP_SECONDS
        while not kernel.dead(daemon):
            if time.monotonic() > until:
                raise LabError(f"the lab does not go down: {net.RUN / name}.log")
            time.sleep(0.05)
    net.take_slot().release()
    for file in (socket_of(name), net.RUN / f"{name}.log"):
        file.unlink(missing_ok=True)


def main(argv: list[str]) -> None:
    given = parser().parse_args(argv)
    try:
        given.act(given)
    except LabError as error:
        sys.exit(f"lab: {error}")


def parser() -> argparse.ArgumentParser:
    whole = argparse.ArgumentParser(prog="scripts/lab", description="Stand-in clouds with real hosts on this machine.")
    whole.add_argument("--name", default="lab", help="which lab, where several are up")
    verbs = whole.add_subparsers(dest="verb", required=True)
    _verb(verbs, "prepare", "install the tools and build the hosts' image", lambda given: image.main())
    _verb(verbs, "up", 'start it and print what to export: eval "$(scripts/lab up)"', _up)
    _verb(verbs, "down", "stop it and leave nothing", lambda given: down(given.name))
    for verb, words in {"status": "hosts, what costs, faults to come", "left": "what is left over", "reset": "as new"}.items():
        _verb(verbs, verb, words, lambda given: _show(ask(given.name, given.verb)))
    _verb(verbs, "bill", "every billed second", _bill).add_argument("--calls", action="store_true", help="every call too")
    for verb, words in {"preempt": "take a spot machine back, with notice", "crash": "cut a host's power"}.items():
        _verb(verbs, verb, words, lambda given: _show(ask(given.name, given.verb, id=given.id))).add_argument("id")
    _verb(verbs, "console", "what a host printed since it booted", _console).add_argument("id")
    shell = _verb(verbs, "shell", "a shell, or a command, inside a host as root", _shell)
    shell.add_argument("id")
    shell.add_argument("command", nargs=argparse.REMAINDER)
    wire = _verb(verbs, "wire", "a host's link; nothing given: as it was", _wire)
    wire.add_argument("id")
    for flag in ("--delay-ms", "--loss", "--mbit"):
        wire.add_argument(flag, type=float, default=0.0)
    wire.add_argument("--cut", action="store_true")
    words = "what goes wrong: aws RunInstances code=InsufficientInstanceCapacity when=before n=2"
    fault = _verb(verbs, "fault", words, lambda given: _tell(given, "fault", action=given.action))
    _cloud(fault).add_argument("action")
    fault.add_argument("settings", nargs="*", metavar="name=value")
    tell = _verb(verbs, "tell", "any verb of a cloud: gcp set stockout=…", lambda given: _tell(given, given.what))
    _cloud(tell).add_argument("what")
    tell.add_argument("settings", nargs="*", metavar="name=value")
    return whole


def _verb(verbs: Any, name: str, words: str, act: Any) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = verbs.add_parser(name, help=words, description=words)
    made.set_defaults(act=act)
    return made


def _cloud(made: argparse.ArgumentParser) -> argparse.ArgumentParser:
    made.add_argument("cloud", choices=("aws", "gcp"))
    return made


def _up(given: argparse.Namespace) -> None:
    for key, value in sorted(up(given.name).items()):
        print(f"export {key}={shlex.quote(value)}")


def _tell(given: argparse.Namespace, verb: str, **more: str) -> None:
    _show(ask(given.name, verb, given.cloud, **more, **settings(given.settings)))


def settings(words: list[str]) -> dict[str, Any]:
    """name=value, where a value is JSON if it can be."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise LabError(f"name=value is wanted, not {word!r}")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _show(answer: Any) -> None:
    if answer is not None:
        print(json.dumps(answer, indent=2))


def _bill(given: argparse.Namespace) -> None:
    bill = ask(given.name, "bill")
    _show(bill if given.calls else {"usd": bill["usd"], "lines": bill["lines"]})


def _console(given: argparse.Namespace) -> None:
    sys.stdout.write(ask(given.name, "console", id=given.id))


def _shell(given: argparse.Namespace) -> None:
    entry = ask(given.name, "entry", id=given.id)
    os.execvp(entry[0], [*entry, *(given.command or ["/bin/bash", "--login"])])


def _wire(given: argparse.Namespace) -> None:
    link = {"delay_ms": given.delay_ms, "loss": given.loss, "mbit": given.mbit, "cut": given.cut}
    ask(given.name, "wire", id=given.id, **link)


if __name__ == "__main__":
    main(sys.argv[1:])
