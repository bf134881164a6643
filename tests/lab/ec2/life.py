"""An instance's life: booting, running, stopping, ending, and what each costs."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from tests.lab.ec2 import tables
from tests.lab.ec2.images import image
from tests.lab.ec2.metadata import InstanceMetadata
from tests.lab.ec2.state import LIVE, Instance, Volume, World, when
from tests.lab.seams import HostSpec, Rule

CLOUD = "aws"
BY_USER = ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown")
BY_ITSELF = ("Client.InstanceInitiatedShutdown", "Client.InstanceInitiatedShutdown: Instance initiated shutdown")
BY_MARKET = ("Server.SpotInstanceTermination", "Server.SpotInstanceTermination: Spot instance termination")


def boot(world: World, one: Instance) -> None:
    """The host begins to boot; soon the instance runs. Unlocked."""
    if world.settings.stillborn:
        code = world.settings.stillborn
        world.clock.later(world.settings.pending, lambda: end(world, one, (code, f"{code}: the launch failed"), ""))
        return
    gpus = tables.gpus(one.kind) if image(one.region, one.image).driver else ()
    given: dict[str, Any] = {}
    for pattern, settings in world.settings.host.items():
        given |= settings if fnmatchcase(one.kind, pattern) else {}
    spec = HostSpec(one.id, "ec2", InstanceMetadata(world, one), hostname=hostname(one), gpus=gpus, **given)
    one.address = world.hosts.boot(spec, lambda host, why: went_down(world, one, why))
    guard(world, one)
    if one.state not in LIVE:  # it was ended while it was being built
        world.hosts.destroy(one.id)
        return
    world.clock.later(world.settings.pending, lambda: run(world, one))


def hostname(one: Instance) -> str:
    return "ip-" + one.private.replace(".", "-")


def run(world: World, one: Instance) -> None:
    with world.lock:
        if one.state != "pending":
            return
        one.state, one.running_since = "running", world.now()
        world.bill.begin(CLOUD, "instance", one.id, one.usd_per_hour, one.tags)
    if one.public:
        world.clock.later(world.settings.address, lambda: show_address(world, one))


def show_address(world: World, one: Instance) -> None:
    with world.lock:
        if one.state == "running" and not one.shown:
            one.shown = True
            world.bill.begin(CLOUD, "address", one.id, tables.USD_PER_ADDRESS_HOUR, one.tags)


def went_down(world: World, one: Instance, why: str) -> None:
    """The host went down by itself: what that means is what the instance was launched with."""
    with world.lock:
        if one.state not in {"pending", "running"}:
            return
    if one.on_shutdown == "terminate":
        end(world, one, BY_ITSELF, "")
    else:
        _rest(world, one, BY_ITSELF, "")


def end(world: World, one: Instance, reason: tuple[str, str], transition: str) -> None:
    """Shutting down from now on, terminated when the host is gone."""
    with world.lock:
        if one.state not in LIVE:
            return
        one.state, one.reason, one.transition = "shutting-down", reason, transition
        _cost_no_more(world, one)
    world.clock.later(world.settings.ending, lambda: _finish(world, one))


def _finish(world: World, one: Instance) -> None:
    printed = world.hosts.console(one.id)
    world.hosts.destroy(one.id)
    with world.lock:
        region = world.region(one.region)
        one.printed, one.state, one.ended = printed or one.printed, "terminated", world.now()
        one.shown = False
        for volume in [region.volumes[name] for name in one.volumes if name in region.volumes]:
            if volume.with_instance:
                delete_volume(world, region.volumes, volume)
            else:
                volume.instance = None
        if one.spot_request in region.spot_requests:
            region.spot_requests[one.spot_request].update(
                State="closed", Status=_status("instance-terminated-by-user", one.reason[0])
            )


def _status(code: str, reason: str) -> dict[str, str]:
    code = "instance-terminated-by-price" if reason == BY_MARKET[0] else code
    return {"Code": code, "Message": code}


def stop(world: World, one: Instance) -> None:
    """By the API. Unlocked."""
    world.hosts.power_off(one.id)
    _rest(world, one, BY_USER, f"User initiated ({when(world.now()):%Y-%m-%d %H:%M:%S} GMT)")


def _rest(world: World, one: Instance, reason: tuple[str, str], transition: str) -> None:
    with world.lock:
        one.state, one.reason, one.transition, one.shown = "stopped", reason, transition, False
        _cost_no_more(world, one)


def start(world: World, one: Instance) -> None:
    """Boot again with the same disk. Unlocked."""
    world.hosts.power_on(one.id)
    world.clock.later(world.settings.pending, lambda: run(world, one))


def reboot(world: World, one: Instance) -> None:
    world.hosts.power_off(one.id)
    world.hosts.power_on(one.id)


def console(world: World, one: Instance, *, latest: bool) -> bytes:
    if one.ended is not None:
        return one.printed
    if not latest and world.now() < one.running_since + world.settings.console:
        return b""
    return world.hosts.console(one.id)


def guard(world: World, one: Instance) -> None:
    """Make the host's firewall what the instance's groups say."""
    with world.lock:
        groups = world.region(one.region).groups
        rules = [rule for name in one.groups if name in groups for rule in groups[name].rules if not rule.egress]
        open_to = [
            _range(rule.protocol, rule.first, rule.last, rule.cidr) for rule in rules if rule.protocol in {"tcp", "6", "-1"}
        ]
    world.hosts.allow(one.id, open_to)


def _range(protocol: str, first: int, last: int, cidr: str) -> Rule:
    return Rule(0, 65535, cidr) if protocol == "-1" or first == -1 else Rule(first, last, cidr)


def keep_volume(world: World, volumes: dict[str, Volume], volume: Volume) -> None:
    volumes[volume.id] = volume
    monthly = tables.USD_PER_GB_MONTH[volume.kind] * volume.gib
    world.bill.begin(CLOUD, "volume", volume.id, monthly / tables.HOURS_PER_MONTH, volume.tags)


def delete_volume(world: World, volumes: dict[str, Volume], volume: Volume) -> None:
    volumes.pop(volume.id, None)
    world.bill.end(CLOUD, "volume", volume.id)


def _cost_no_more(world: World, one: Instance) -> None:
    world.bill.end(CLOUD, "instance", one.id)
    world.bill.end(CLOUD, "address", one.id)


def preempt(world: World, one: Instance, rebalance: float = 0.0) -> float:
    """Tell the instance, then take it back; the Unix second at which that happens."""
    if one.market != "spot":
        raise ValueError(f"{one.id} is no spot machine")
    notice = world.settings.notice
    one.rebalance = f"{when(world.now()):%Y-%m-%dT%H:%M:%SZ}"
    world.clock.later(rebalance, lambda: setattr(one, "notice", f"{when(world.now() + notice):%Y-%m-%dT%H:%M:%SZ}"))
    world.clock.later(rebalance + notice, lambda: end(world, one, BY_MARKET, "Server.SpotInstanceTermination"))
    return world.now() + rebalance + notice
