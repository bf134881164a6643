"""AWS as a place to run: machines that end themselves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from dispatcher.backends.aws import ends, inventory, network, places
from dispatcher.backends.aws.client import Account
from dispatcher.backends.aws.images import image_for
from dispatcher.backends.aws.launch import Launcher
from dispatcher.backends.aws.listing import live_quotes
from dispatcher.backends.aws.machines import ENDING, Instance, by_label, by_token, machine_of, reason, state
from dispatcher.backends.aws.payload import request
from dispatcher.backends.aws.prices import quote
from dispatcher.backends.base import Leftover, ProvisionedMachine, Terms
from dispatcher.backends.cloud import bootstrap
from dispatcher.backends.cloud import launch as launches
from dispatcher.backends.cloud.backend import CloudBackend
from dispatcher.backends.cloud.keyring import Keyring
from dispatcher.backends.cloud.launch import QUIET, QUIET_SECONDS
from dispatcher.backends.cloud.since import seconds_since
from dispatcher.backends.cloud.tags import HOST_KEY, tags_of
from dispatcher.catalog.prices import Quote
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Label
from dispatcher.errors import HostUnreachable
from dispatcher.hosts.base import Host
from dispatcher.jobfile.settings import Aws
from dispatcher.retries import Clock, wait_until

if TYPE_CHECKING:
    from dispatcher.backends.aws.nights import AwsNights
    from dispatcher.backends.aws.results import AwsResults


class AwsBackend(CloudBackend[Aws]):
    """Backend of Amazon Web Services. Every machine is told its own end in the call that makes it."""

    name = "aws"

    @cached_property
    def account(self) -> Account:
        """The account that pays."""
        return Account(self.settings.profile)

    @property
    def owner(self) -> str:
        """Who asks, as AWS names them: the same on each of their computers."""
        return self.account.identity()["UserId"]

    @property
    def nights(self) -> AwsNights:
        """Runs that AWS starts by itself."""
        from dispatcher.backends.aws.nights import AwsNights

        return AwsNights(self.account, self.settings, self.owner, self._clock)

    @property
    def results(self) -> AwsResults:
        """Where machines keep results of runs that nobody may be back for."""
        from dispatcher.backends.aws.results import AwsResults

        return AwsResults(self.account, self.settings.role)

    def watched(self) -> str:
        """What outside a machine ends it at its limit, where its system hangs: "reaper", "schedule" or ""."""
        from dispatcher.backends.aws import reaper

        return "reaper" if reaper.armed(self.account) else "schedule" if self._schedules else ""

    def guard(self, machine: ProvisionedMachine) -> str:
        """Have a schedule end it at its limit, where the account has a role for that. Why it could not be; else ""."""
        return ends.guard(self.account, self._keyring(machine.label), machine) if self._schedules else ""

    def placements(self, offer: Offer) -> Iterable[Offer]:
        """The offer in each zone of its region that sells the type and has a network; spot in the cheapest zone first."""
        return places.placements(self.account, offer, self.settings.subnet)

    def price_now(self, offer: Offer) -> float | None:
        """What AWS asks for the machine at this moment, USD per hour; None where it states no price."""
        return quote(self.account, str(offer.region), str(offer.machine), offer.market, offer.zone)

    def live_quotes(self, regions: Sequence[str] = ()) -> tuple[list[Quote], dict[str, str]]:
        """Prices as AWS states them now, and why regions did not answer; of the user's regions unless others are named."""
        return live_quotes(self.account, regions or self.settings.regions)

    def provision(self, offer: Offer, label: Label, terms: Terms) -> ProvisionedMachine:
        """Make the machine, or find the one this label has made already."""
        keyring, launch = self._noted(label, terms)
        if launch is None:
            if found := [one for one in by_label(self.account, str(offer.region), label) if state(one) not in ENDING]:
                return machine_of(found[0], str(offer.region))
            launch = self._intended(offer, label, terms, keyring)
        launcher = Launcher(self.account, self._clock, cancel=terms.cancel)
        launcher.made(keyring, launch)
        self._admit(label, launch["region"], launch["group"])
        return machine_of(launcher.running(launch), launch["region"])

    def find(self, label: Label) -> ProvisionedMachine | None:
        """The machine with this label. Raises where a region does not answer, and where AWS may not show it yet."""
        launch = self._keyring(label).launch()
        for instance in self._instances(label, launch):
            if state(instance) != "terminated":
                return machine_of(instance, instance["region"])
            launch = None  # it was seen gone
        if unresolved(launch, self._clock):
            text = f"AWS does not show what {label} launched, and may do so until 15 minutes have passed"
            raise HostUnreachable(text, fix="mlrun ps, then")
        return None

    def connect(self, machine: ProvisionedMachine) -> Host:
        """Talk to the machine: let in, its key pinned, its identity checked, its first key replaced."""
        from dispatcher.backends.aws.contact import Contact

        region = str(machine.region)
        self._admit(machine.label, region, machine.details.get("group", ""))
        return Contact(self.account, machine, self._keyring(machine.label), self._clock).made()

    def terminate(self, label: Label) -> None:
        """Destroy everything with this label, and see it gone. Where AWS may not show it yet, wait until it would."""
        keyring = self._keyring(label)
        launch = keyring.launch()
        regions = [launch["region"]] if launch else self._regions()
        guarded = "guard" in launch if launch else self._schedules
        end = partial(inventory.end, self.account, label=label, clock=self._clock, guarded=guarded)
        seen = any(inventory.everywhere(regions, lambda region: [end(region)]))
        if launch and not seen and unresolved(launch, self._clock):
            self._wait_for(label, launch)
        if launch and launch.get("over") != "refused":
            keyring.note(launch | {"over": "gone"})
        keyring.forget()

    def leftovers(self) -> Iterable[Leftover]:
        """Everything of ours in every region. Raises at the end where a region did not answer."""
        now = self._clock.now()
        return inventory.everywhere(
            self._regions(), lambda region: inventory.leftovers(self.account, region, now, schedules=self._schedules)
        )

    def fate(self, label: Label) -> str:
        """Why a label's machine is gone, as AWS's code (Server.SpotInstanceTermination …); "" where AWS does not say."""
        found = self._instances(label, self._keyring(label).launch())
        return next((code for one in found if state(one) in ENDING and (code := reason(one))), "")

    def unshown_until(self, label: Label) -> float | None:
        """Until when a machine may yet come to light that was asked for and is not shown, in Unix seconds; None for others."""
        launch = self._keyring(label).launch()
        if launch is None or not unresolved(launch, self._clock) or self._instances(label, launch):
            return None
        return self._clock.now() + QUIET_SECONDS - seconds_since(launch, self._clock)

    def _intended(self, offer: Offer, label: Label, terms: Terms, keyring: Keyring) -> dict[str, Any]:
        """The launch in every detail, written down before it is sent."""
        self._networks()  # a caller whose address is unknown could not come in: said before anything costs
        region = str(offer.region)
        site = network.site_for(self.account, region, offer.zone, self.settings.subnet)
        image = image_for(self.account, offer)
        site = network.grouped(self.account, site, self.owner)
        limits = terms.max_seconds, terms.grace_seconds, bootstrap.CONTACT_SECONDS
        birth = bootstrap.Birth(label, keyring.public_key(), *limits)
        private, public = keyring.host_key()
        tags = tags_of(label, self.owner, terms) | {HOST_KEY: public}
        user_data = bootstrap.cloud_config(birth, private, public)
        asked = request(offer, label, terms, site, image, user_data, tags, self.settings.role or terms.role)
        launch = {"region": region, "zone": site.zone, "group": site.group, "token": asked["ClientToken"], "request": asked}
        keyring.note(launch)
        return launch

    def _admit(self, label: Label, region: str, group: str) -> None:
        """Have a rule that lets this computer in from where it is now."""

        def let_in(networks: tuple[str, ...]) -> None:
            mark = network.mark_of(label, self.owner, self._clock.now())
            network.let_in(self.account, region, group, mark, networks)

        self._admitted((label, group), let_in)

    def _signed_in(self) -> bool:
        return self.account.signed_in()

    def _in_lab(self) -> bool:
        self.account.client("ec2", "us-east-1")  # tells whether this is a lab
        return self.account.lab

    def _wait_for(self, label: Label, launch: dict[str, Any]) -> None:
        """A launch whose answer was lost may show late: look until it would have shown, and end it."""
        region = str(launch["region"])

        def look() -> bool | None:
            if by_token(self.account, region, launch["token"]):
                return inventory.end(self.account, region, label, self._clock, guarded="guard" in launch) or None
            return None if unresolved(launch, self._clock) else True

        wait_until(look, QUIET, self._clock)

    def _instances(self, label: Label, launch: dict[str, Any] | None) -> list[Instance]:
        regions = [launch["region"]] if launch else self._regions()

        def look(region: str) -> Iterable[Instance]:
            return [one | {"region": region} for one in by_label(self.account, region, label)]

        return list(inventory.everywhere(regions, look))

    @cached_property
    def _schedules(self) -> bool:
        return ends.there(self.account)

    def _regions(self) -> tuple[str, ...]:
        return tuple(self.settings.regions) or self.account.regions()


def unresolved(launch: launches.Launch | None, clock: Clock) -> bool:
    """Whether a machine may yet come to light: AWS's lists may lack even one that it has told of."""
    return launches.unresolved(launch, clock, late=True)
