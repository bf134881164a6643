"""One launch, from its intent to its machine."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from dispatcher.backends.cloud.keyring import Keyring
from dispatcher.backends.cloud.since import seconds_since, stamp
from dispatcher.backends.cloud.tags import LABEL, OWNER
from dispatcher.backends.gcp import machines
from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.codes import GcpFailure, Kind
from dispatcher.backends.gcp.machines import GONE, STOPPED, Instance
from dispatcher.backends.gcp.payload import request_id
from dispatcher.domain.run import Label
from dispatcher.errors import CloudRefused, HostError, HostUnreachable, MlrunError
from dispatcher.retries import Clock, Policy, wait_until

REPLAY_SECONDS = 3600.0
"""Google does not say how long it remembers a request's id: a request is repeated within an hour only."""
QUIET_SECONDS = 900.0
"""What Google has not shown so long after the last request was sent, it never made."""
PATIENCE_SECONDS, LONGEST_PAUSE = 600.0, 60.0
START = Policy(first=0.5, longest=5.0, patience=300.0)
"""From the operation's end to a running machine with an address."""
DOING = "a machine"
Launch = dict[str, Any]
"""region, zone, request; tries; sent and first (Unix seconds); doubt; operation; id; over ("", refused, foreign or gone)."""


class Launcher:
    """Carries out a launch that is written down."""

    def __init__(self, account: Account, clock: Clock, jitter: Callable[[], float] = random.random) -> None:
        self._account, self._clock, self._jitter = account, clock, jitter

    def made(self, keyring: Keyring, launch: Launch) -> Instance:
        """The launch's machine, running: found where it was made before, else made. Raises why it cannot be."""
        if launch.get("over"):
            raise CloudRefused(f"The label {keyring.label} was used for a machine that is gone")
        if not self._look(keyring, launch):
            self._brought_about(keyring, launch)
        found = self._running(keyring, launch)
        launch["id"], launch["doubt"] = str(found.id), False
        keyring.note(launch)
        return found

    def settle(self, keyring: Keyring, launch: Launch) -> None:
        """Learn what became of a request whose answer was lost, by the id it was sent with."""
        if not launch.get("doubt"):
            return
        identity, zone = request_id(keyring.label, _round(launch)), launch["zone"]
        asked = {"zone": zone, "filter": f'clientOperationId="{identity}"'}
        known = [one for page in self._account.pages("ZoneOperations", "list", "the operations", **asked) for one in page.items]
        if known:
            self._account.finished(str(known[0].name), zone, DOING)
            launch["doubt"] = False
            keyring.note(launch)

    def _look(self, keyring: Keyring, launch: Launch) -> Instance | None:
        found = machines.at(self._account, launch["zone"], str(keyring.label))
        if found is not None and not ours(found, keyring.label, launch["owner"]):
            launch["over"], launch["doubt"] = "foreign", False
            keyring.note(launch)
            text = f"There is a machine {keyring.label} in {launch['zone']} that is not ours. It was left alone"
            raise CloudRefused(text, fix="mlrun JOB, again   # takes another name")
        return found if found is not None and str(found.status) not in GONE else None

    def _brought_about(self, keyring: Keyring, launch: Launch) -> None:
        """Send it until there is an operation, and wait for that. One that failed has made nothing."""
        begun, pause = self._clock.monotonic(), 1.0
        while True:
            failure = self._tried(keyring, launch)
            if failure is None or (failure.kind is Kind.TAKEN and self._look(keyring, launch)):
                return
            self._judge(keyring, launch, failure, self._clock.monotonic() - begun)
            self._clock.sleep(pause * (0.5 + self._jitter() / 2))
            pause = min(pause * 2, LONGEST_PAUSE)

    def _tried(self, keyring: Keyring, launch: Launch) -> GcpFailure | None:
        """One try; why it came to nothing. After an operation that failed the next takes another id."""
        if not launch.get("operation"):
            try:
                self._send(keyring, launch)
            except GcpFailure as refused:
                return refused
        failure = self._account.finished(launch["operation"], launch["zone"], DOING)
        if failure:
            launch["tries"], launch["operation"] = launch.get("tries", 0) + 1, ""
            keyring.note(launch)
        return failure

    def _send(self, keyring: Keyring, launch: Launch) -> None:
        now = self._clock.now()
        if launch.get("first") and now - launch["first"] > REPLAY_SECONDS:
            raise HostUnreachable("An earlier request is too old to be repeated safely", fix="mlrun sweep --check")
        launch.setdefault("first", now)
        stamp(launch, self._clock)
        before = bool(launch.get("doubt"))
        keyring.note(launch | {"doubt": True})  # until there is an answer nobody knows
        identity, zone = request_id(keyring.label, _round(launch)), launch["zone"]
        asked = {"zone": zone, "instance_resource": launch["request"], "request_id": identity}
        try:
            reply = self._account.ask("Instances", "insert_unary", DOING, place=zone, once=True, **asked)
        except GcpFailure as failure:
            launch["doubt"] = before or failure.ambiguous
            raise
        launch["doubt"], launch["operation"] = False, str(reply.name)
        keyring.note(launch)

    def _judge(self, keyring: Keyring, launch: Launch, failure: GcpFailure, spent: float) -> None:
        """Return where the request is worth repeating; else note how it ended, and raise why."""
        if failure.kind is Kind.AGAIN and spent < PATIENCE_SECONDS:
            return
        if not launch.get("doubt") and failure.kind is not Kind.AGAIN:
            launch["over"] = "refused"
        keyring.note(launch)
        raise Refused(failure)

    def _running(self, keyring: Keyring, launch: Launch) -> Instance:
        def look() -> Instance | None:
            found = self._look(keyring, launch)
            if found is None or str(found.status) in STOPPED:
                raise ended_because(found, keyring.label)
            return found if str(found.status) == "RUNNING" and machines.address(found) else None

        found = wait_until(look, START, self._clock)
        if found is None:
            fix = f"gcloud compute instances describe {keyring.label} --zone {launch['zone']}"
            raise HostUnreachable(f"The machine {keyring.label} did not start within {START.patience:.0f} s", fix=fix)
        return found


class Refused(Exception):
    """A launch that came to nothing; `failure` tells why, and where there would be room."""

    def __init__(self, failure: GcpFailure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def ours(instance: Instance, label: Label, owner: str) -> bool:
    """Whether it was this launch that made it: its name alone proves nothing."""
    tags = machines.tags_of(instance)
    return (tags.get(LABEL), tags.get(OWNER)) == (str(label), owner)


def ended_because(instance: Instance | None, label: Label) -> MlrunError:
    """The error that a machine is which went away, or was stopped, while it started."""
    if instance is None:
        return HostError(f"The machine {label} is gone: its limit was reached, somebody deleted it, or Google took it back")
    return HostError(f"The machine {label} was stopped; only its disk is left, and costs", fix="mlrun stop RUN")


def unresolved(launch: Launch | None, clock: Clock) -> bool:
    """Whether a machine may yet come to light that the launch made."""
    if launch is None or launch.get("over") or not launch.get("sent"):
        return False
    return bool(launch.get("doubt")) and seconds_since(launch, clock) < QUIET_SECONDS


def _round(launch: Launch) -> str:
    """What the request's id is made of beside the label."""
    return str(launch["zone"]) + (f"/{launch['tries']}" if launch.get("tries") else "")
