"""One launch from its intent to its answer."""

from __future__ import annotations

from dispatcher.backends.aws.client import Account
from dispatcher.backends.aws.codes import AwsFailure, Kind
from dispatcher.backends.aws.machines import ENDING, Instance, by_token, ended_because, state
from dispatcher.backends.cloud.keyring import Keyring
from dispatcher.backends.cloud.launch import PATIENCE_SECONDS, Launch, Sender
from dispatcher.errors import CloudRefused, HostUnreachable, MlrunError
from dispatcher.retries import Policy

SETTLING_SECONDS = 300.0
START = Policy(first=1.0, longest=5.0, patience=300.0)
"""From the answer to a running machine with an address."""


class Launcher(Sender[Account]):
    """Carries out a launch by its client token, which stands in it beside the group."""

    def made(self, keyring: Keyring, launch: Launch) -> Instance:
        """The launch's instance: found where it was made before, else made. Raises why it cannot be."""
        if launch.get("over"):
            raise CloudRefused(f"The label {keyring.label} was used for a machine that is gone")
        found = self._looked_up(launch) or self._sent(keyring, launch)
        launch["id"] = found["InstanceId"]
        keyring.note(launch)
        return found

    def running(self, launch: Launch) -> Instance:
        """The instance once it runs and has an address. Raises what its end is where it ends instead."""

        def look() -> Instance | None:
            found = self._looked_up(launch, ended=True)
            if found is None or state(found) == "pending" or (state(found) == "running" and not found.get("PublicIpAddress")):
                return None
            return found

        found = self._started(look, START)
        if found is None:
            text = f"The machine {launch.get('id')} did not start within {START.patience:.0f} s"
            raise HostUnreachable(text, fix=f"Look at it: aws ec2 describe-instances --region {launch['region']}")
        if state(found) != "running":
            raise ended_because(found)
        return found

    def _looked_up(self, launch: Launch, *, ended: bool = False) -> Instance | None:
        found = by_token(self._account, launch["region"], launch["token"])
        living = [one for one in found if state(one) not in ENDING]
        if living:
            return living[0]
        if found and not ended:
            raise ended_because(found[0])
        return found[0] if found else None

    def _sent(self, keyring: Keyring, launch: Launch) -> Instance:
        """Send it until there is an answer; after one that was lost, look before sending again."""
        pauses = self._pauses()
        while True:
            try:
                return self._send_once(keyring, launch)
            except AwsFailure as failure:
                self._judge(keyring, launch, failure, pauses.spent)
            pauses.rest()
            if launch.get("doubt") and (found := self._looked_up(launch)):
                return found

    def _send_once(self, keyring: Keyring, launch: Launch) -> Instance:
        with self._sending(keyring, launch):
            reply = self._account.ask("ec2", launch["region"], "run_instances", "a machine", once=True, **launch["request"])
        return dict(reply["Instances"][0])

    def _judge(self, keyring: Keyring, launch: Launch, failure: AwsFailure, spent: float) -> None:
        """Return where the request is worth repeating; else note how it ended, and raise why."""
        again = {Kind.AGAIN: PATIENCE_SECONDS, Kind.SETTLING: SETTLING_SECONDS}.get(failure.kind, 0.0)
        if failure.kind is Kind.CLOCK and not launch.get("signed_again"):
            launch["signed_again"] = True
            return
        if spent < again:
            return
        if failure.kind is Kind.DEAD:
            launch["over"], launch["doubt"] = "gone", False
        elif not launch["doubt"] and failure.kind not in (Kind.MISMATCH, Kind.AGAIN):
            launch["over"] = "refused"
        keyring.note(launch)
        if failure.kind is Kind.MISMATCH:
            raise self._mismatch(launch, failure)
        raise self._account.told(failure) from failure

    def _mismatch(self, launch: Launch, failure: AwsFailure) -> MlrunError:
        """A bug of ours: never answered by another token, which would make another machine."""
        found = by_token(self._account, launch["region"], launch["token"])
        names = ", ".join(str(one["InstanceId"]) for one in found) or "no machine"
        text = f"AWS says that this launch was asked for before, with other words ({names} answers to its token)"
        return CloudRefused(text, fix="mlrun sweep --check, and please report this")
