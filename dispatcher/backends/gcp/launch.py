"""One launch, from its intent to its machine."""

from __future__ import annotations

from dispatcher.backends.cloud.keyring import Keyring
from dispatcher.backends.cloud.launch import PATIENCE_SECONDS, Launch, Sender
from dispatcher.backends.gcp import machines
from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.codes import GcpFailure, Kind
from dispatcher.backends.gcp.machines import GONE, STOPPED, Instance, ended_because, ours
from dispatcher.backends.gcp.payload import request_id
from dispatcher.errors import CloudRefused, HostUnreachable
from dispatcher.retries import Policy

START = Policy(first=0.5, longest=5.0, patience=300.0)
"""From the operation's end to a running machine with an address."""
DOING = "a machine"


class Launcher(Sender[Account]):
    """Carries out a launch by its request's id; in it stand beside `tries` and the `operation` that is under way."""

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
        pauses = self._pauses()
        while True:
            failure = self._tried(keyring, launch)
            if failure is None or (failure.kind is Kind.TAKEN and self._look(keyring, launch)):
                return
            self._judge(keyring, launch, failure, pauses.spent)
            pauses.rest()

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
        identity, zone = request_id(keyring.label, _round(launch)), launch["zone"]
        asked = {"zone": zone, "instance_resource": launch["request"], "request_id": identity}
        with self._sending(keyring, launch):
            reply = self._account.ask("Instances", "insert_unary", DOING, place=zone, once=True, **asked)
        launch["operation"] = str(reply.name)
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

        found = self._started(look, START)
        if found is None:
            fix = f"gcloud compute instances describe {keyring.label} --zone {launch['zone']}"
            raise HostUnreachable(f"The machine {keyring.label} did not start within {START.patience:.0f} s", fix=fix)
        return found


class Refused(Exception):
    """A launch that came to nothing; `failure` tells why, and where there would be room."""

    def __init__(self, failure: GcpFailure) -> None:
        super().__init__(str(failure))
        self.failure = failure


def _round(launch: Launch) -> str:
    """What the request's id is made of beside the label."""
    return str(launch["zone"]) + (f"/{launch['tries']}" if launch.get("tries") else "")
