"""Google Cloud as a place to run: machines that end by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dispatcher.backends.base import Leftover, ProvisionedMachine, Terms
from dispatcher.backends.cloud import bootstrap
from dispatcher.backends.cloud.backend import CloudBackend
from dispatcher.backends.cloud.keyring import Keyring
from dispatcher.backends.cloud.launch import QUIET, unresolved
from dispatcher.backends.cloud.tags import LABEL, tags_of
from dispatcher.backends.gcp import inventory, machines, network, places
from dispatcher.backends.gcp.account import ending_account
from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.codes import Kind
from dispatcher.backends.gcp.images import image_for
from dispatcher.backends.gcp.launch import Launcher, Refused
from dispatcher.backends.gcp.listing import live_quotes
from dispatcher.backends.gcp.machines import GONE, ended_because, machine_of, ours
from dispatcher.backends.gcp.payload import Site, labels_of, machine_type, request
from dispatcher.catalog.prices import Quote
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Label
from dispatcher.errors import HostUnreachable, MlrunError, NothingFits
from dispatcher.hosts.base import Host
from dispatcher.jobfile.settings import Gcp
from dispatcher.retries import Clock, wait_until

if TYPE_CHECKING:
    from dispatcher.backends.gcp.nights import GcpNights


class GcpBackend(CloudBackend[Gcp]):
    """Backend of Google Cloud. Every machine is told its own end in the call that makes it, and Google enforces it."""

    name = "gcp"

    def __init__(self, settings: Gcp | None = None, *, runs: Path | None = None, clock: Clock | None = None) -> None:
        super().__init__(settings, runs=runs, clock=clock)
        self._room: dict[tuple[str, str | None], tuple[str, ...]] = {}
        self._refused: dict[bool, MlrunError] = {}

    @cached_property
    def account(self) -> Account:
        """The project that pays."""
        return Account(self.settings.project, clock=self._clock)

    @property
    def owner(self) -> str:
        """Who asks, as Google names them: the same on each of their computers."""
        return self.account.owner

    @cached_property
    def nights(self) -> GcpNights:
        """Runs that Google starts by itself."""
        from dispatcher.backends.gcp.nights import GcpNights

        return GcpNights(self.account, self.settings, self._clock)

    def watched(self) -> str:
        """Whether machines can delete themselves when their job is over, in a word; "" where they wait for a client."""
        return "account" if ending_account(self.account) else ""

    def placements(self, offer: Offer) -> Iterable[Offer]:
        """The offer in each zone of its region that sells the type; where Google said that there is room first."""
        return places.placements(self.account, offer, lambda: self._room.get(_wanted(offer), ()))

    def live_quotes(self, regions: Sequence[str] = ()) -> tuple[list[Quote], dict[str, str]]:
        """Prices as Google states them now, and why regions did not answer; of the user's regions unless others are named."""
        return live_quotes(self.account, regions or self.settings.regions)

    def provision(self, offer: Offer, label: Label, terms: Terms) -> ProvisionedMachine:
        """Make the machine, or find the one this label has made already."""
        keyring, launch = self._noted(label, terms)
        if launch is None:
            if found := self.find(label):
                return found
            launch = self._intended(offer, label, terms, keyring)
        self._admit(label, launch)
        try:
            made = Launcher(self.account, self._clock, cancel=terms.cancel).made(keyring, launch)
        except Refused as refused:
            raise self._learnt(offer, refused) from refused.failure
        return machine_of(made, launch["zone"])

    def find(self, label: Label) -> ProvisionedMachine | None:
        """The machine with this label. Raises where a zone does not answer, and where Google may not show it yet."""
        launch = self._keyring(label).launch()
        for zone, one in self._instances(label, launch):
            if str(one.status) not in GONE and ours(one, label, self.owner):
                return machine_of(one, zone)
        if unresolved(launch, self._clock):
            text = f"Google Cloud does not show what {label} launched, and may do so until 15 minutes have passed"
            raise HostUnreachable(text, fix="mlrun ps, then")
        return None

    def connect(self, machine: ProvisionedMachine) -> Host:
        """Talk to the machine: let in, its key pinned, its identity checked."""
        from dispatcher.backends.gcp.contact import Contact

        self._admit(machine.label, self._keyring(machine.label).launch() or self._standing(machine))
        return Contact(self.account, machine, self._keyring(machine.label), self._clock).made()

    def terminate(self, label: Label) -> None:
        """Destroy everything with this label, and see it gone. Where Google may not show it yet, wait until it would."""
        keyring = self._keyring(label)
        launch = keyring.launch()
        if launch:
            Launcher(self.account, self._clock).settle(keyring, launch)
        seen = inventory.end(self.account, label, self.owner, launch["zone"] if launch else None)
        if launch and not seen and unresolved(launch, self._clock):
            self._wait_for(label, keyring, launch)
        if launch and launch.get("over") not in ("refused", "foreign"):
            keyring.note(launch | {"over": "gone", "doubt": False})
        keyring.forget()

    def leftovers(self) -> Iterable[Leftover]:
        """Everything of ours in every zone. Raises at the end where a zone did not answer."""
        return inventory.leftovers(self.account, self._clock.now())

    def fate(self, label: Label) -> str:
        """Why a label's machine is gone: compute.instances.preempted …; "" where Google does not say."""
        launch = self._keyring(label).launch()
        if launch is None:
            return ""
        pages = self.account.pages("ZoneOperations", "list", "the operations", zone=launch["zone"])
        ended = [
            str(one.operation_type)
            for page in pages
            for one in page.items
            if str(one.target_link).endswith(f"/instances/{label}") and str(one.operation_type) != "insert"
        ]
        return next((kind for kind in ended if kind.startswith("compute.instances.")), ended[0] if ended else "")

    def _intended(self, offer: Offer, label: Label, terms: Terms, keyring: Keyring) -> dict[str, Any]:
        """The launch in every detail, written down before it is sent."""
        if known := self._refused.get(bool(offer.count)):
            raise known
        self._networks()  # a caller whose address is unknown could not come in: said before anything costs
        region, zone = str(offer.region), offer.zone
        if zone is None:
            zone = next((one.zone for one in self.placements(offer)), None)
        if zone is None:
            raise NothingFits(f"No zone of {region} has {offer.machine}", fix="mlrun catalog show")
        site = network.site_for(self.account, region, zone, self.settings.subnet)
        image = image_for(self.account, offer)
        birth = bootstrap.Birth(label, keyring.public_key(), terms.max_seconds, terms.grace_seconds)
        end = bootstrap.filled(bootstrap.template("delete-self.sh"), {"COMPUTE": self.account.host_endpoint})
        account = ending_account(self.account)
        labels = labels_of(tags_of(label, self.owner, terms))
        script = bootstrap.script(birth, end) + bootstrap.template("more-keys.sh")
        asked = request(offer, label, terms, site, image, script, labels, account)
        where = {name: getattr(site, name) for name in Site.__slots__}
        launch = {"region": region, "zone": zone, "site": where, "owner": self.owner, "request": asked}
        keyring.note(launch)
        keyring.write("waits", "")  # its key is needed, although it has shown none yet
        return launch

    def _learnt(self, offer: Offer, refused: Refused) -> MlrunError:
        """The refusal for people; what it says of other zones, or of all of them, is kept for the next try."""
        failure = refused.failure
        told = failure.told()
        if failure.others:
            self._room[_wanted(offer)] = failure.others
        if failure.kind is Kind.NOWHERE:
            self._refused[bool(offer.count)] = told
        return told

    def _admit(self, label: Label, launch: dict[str, Any]) -> None:
        """Have a rule that lets this computer in from where it is now."""

        def let_in(networks: tuple[str, ...]) -> None:
            network.let_in(self.account, Site(**launch["site"]), label, launch["request"]["labels"], networks)

        self._admitted(label, let_in)

    def _standing(self, machine: ProvisionedMachine) -> dict[str, Any]:
        """Of a machine that another computer, or nobody's, launched: what a launch tells of its place."""
        zone = str(machine.details["zone"])
        found = machines.at(self.account, zone, str(machine.label))
        if found is None:
            raise ended_because(None, machine.label)
        link = str(found.network_interfaces[0].network)
        site = {"region": str(machine.region), "zone": zone, "network": f"global/networks/{link.rpartition('/')[2]}"}
        return {"site": site, "request": {"labels": machines.tags_of(found)}}

    def _signed_in(self) -> bool:
        return self.account.has_credentials()

    def _in_lab(self) -> bool:
        return self.account.lab

    def _wait_for(self, label: Label, keyring: Keyring, launch: dict[str, Any]) -> None:
        """A launch whose answer was lost may show late: look until it would have shown, and end it."""

        def look() -> bool | None:
            Launcher(self.account, self._clock).settle(keyring, launch)
            if inventory.end(self.account, label, self.owner, launch["zone"]):
                return True
            return None if unresolved(launch, self._clock) else True

        wait_until(look, QUIET, self._clock)

    def _instances(self, label: Label, launch: dict[str, Any] | None) -> list[tuple[str, machines.Instance]]:
        if launch:
            found = machines.at(self.account, launch["zone"], str(label))
            return [(launch["zone"], found)] if found is not None else []
        return list(machines.everywhere(self.account, "Instances", "instances", f"labels.{LABEL}={label}"))


def _wanted(offer: Offer) -> tuple[str, str | None]:
    """What a zone has room for, or not."""
    return f"{machine_type(offer)[0]}+{offer.count}/{offer.market}", offer.region
