"""Whether AWS would let a run happen: login, permissions, quotas, network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dispatcher.backends.aws import ends, reaper
from dispatcher.backends.aws.client import HOME, Account
from dispatcher.backends.aws.codes import AwsFailure
from dispatcher.backends.aws.images import image_for
from dispatcher.backends.aws.network import GROUP, KIND, NO_NETWORK, find_group, site_for, zones_with_subnets
from dispatcher.backends.aws.payload import request, tag_list
from dispatcher.backends.base import Terms
from dispatcher.backends.cloud.caller import behind_carrier, caller
from dispatcher.backends.cloud.tags import OWNER, tags_of
from dispatcher.doctor.check import Check
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Label
from dispatcher.errors import MlrunError
from dispatcher.jobfile.settings import Aws

QUOTAS = {
    "L-1216C47A": ("standard machines", "on demand"),
    "L-34B43A08": ("standard machines", "spot"),
    "L-DB2E81BA": ("GPU machines (G, VT)", "on demand"),
    "L-3819A6DF": ("GPU machines (G, VT)", "spot"),
    "L-417A185B": ("GPU machines (P)", "on demand"),
    "L-7212CCBC": ("GPU machines (P2, P3, P4)", "spot"),
}
"""Codes of Service Quotas, as ListServiceQuotas names them; values are vCPUs."""
ENOUGH = 8
"""vCPUs worth asking for: one g4dn.2xlarge."""
POLICY_FIX = "mlrun setup aws   # prints the policy that this user needs"
READS = (
    "describe_instances",
    "describe_volumes",
    "describe_addresses",
    "describe_security_groups",
    "describe_security_group_rules",
    "describe_subnets",
    "describe_images",
    "describe_instance_type_offerings",
    "describe_spot_price_history",
)
TRIAL = Offer("aws", "t3.micro", "cpu", market="on-demand")


def aws_checks(settings: Aws, account: Account | None = None) -> Iterator[Check]:
    """Ask AWS itself; each finding with a fix. Creates nothing."""
    account = account or Account(settings.profile, hasty=True)
    try:
        who = account.identity()
    except MlrunError as error:
        yield Check("aws login", "error", error.message, error.fix or "aws sso login, or aws configure")
        return
    yield Check("aws login", "ok", f"AWS knows you as {who['Arn']}.")
    region = region_of(settings, account)
    yield from _guarded("aws permissions", permissions(account, region, settings.subnet))
    yield from _guarded("aws network", network(account, region, settings.subnet))
    yield from _guarded("aws quotas", quotas(account, region))
    yield from _guarded("aws address", address(account))
    yield death(reaps=reaper.armed(account), schedules=ends.there(account))


def region_of(settings: Aws, account: Account) -> str:
    """The region that is looked into: the first of the settings, else the user's default."""
    return settings.regions[0] if settings.regions else str(account.session.region_name or HOME)


def permissions(account: Account, region: str, subnet: str | None = None) -> Iterator[Check]:
    """Calls that AWS only judges and does not carry out."""
    refused = []
    for action, parameters in (*trials(account.identity()["UserId"]), *launches(account, region, subnet)):
        try:
            account.ask("ec2", region, action, "a trial", DryRun=True, **parameters)
        except AwsFailure as failure:
            if failure.code in ("UnauthorizedOperation", "AccessDenied"):
                refused.append((action, account.told(failure).message))
            elif failure.code != "DryRunOperation":
                text = f"Whether {action} is allowed in {region} cannot be learned: {failure.said} ({failure.code})."
                yield Check("aws permissions", "warning", text, failure.told().fix)
                return
    if not refused:
        yield Check("aws permissions", "ok", f"Machines may be looked for and groups made in {region} (asked by dry runs).")
    for action, said in refused:
        yield Check("aws permissions", "error", f"{action} is not allowed in {region}: {said}", POLICY_FIX)


def trials(owner: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Harmless forms of what a run needs."""
    for action in READS:
        yield action, {}
    tags = tag_list({OWNER: owner, KIND: "ingress"})
    specified = [{"ResourceType": "security-group", "Tags": tags}]
    yield "create_security_group", {"GroupName": GROUP, "Description": "a trial", "TagSpecifications": specified}


def launches(account: Account, region: str, subnet: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """A launch as a run would send it, where the network has our group already: the policy names the group."""
    offer = replace(TRIAL, region=region)
    try:
        site = site_for(account, region, None, subnet)
        group = find_group(account, region, site.vpc)
        image = image_for(account, offer)
    except MlrunError:
        return  # the other checks say why
    if group:
        label, terms = Label("0000000000"), Terms()
        tags = tags_of(label, account.identity()["UserId"], terms)
        asked = request(offer, label, terms, replace(site, group=group), image, "#cloud-config\n", tags)
        yield "run_instances", asked


def network(account: Account, region: str, subnet: str | None) -> Iterator[Check]:
    """Whether there is a network in which machines could stand."""
    zones = zones_with_subnets(account, region, subnet)
    if zones:
        yield Check("aws network", "ok", f"Machines can stand in {', '.join(zones)}.")
        return
    text = f"The account has no default network in {region}, and the settings name no subnet."
    yield Check("aws network", "error", text, NO_NETWORK.format(region=region))


def quotas(account: Account, region: str) -> Iterator[Check]:
    """Limits that are zero: new accounts have none for GPUs."""
    values = {}
    for code in QUOTAS:
        try:
            found = account.ask("service-quotas", region, "get_service_quota", "a quota", ServiceCode="ec2", QuotaCode=code)
        except AwsFailure as failure:
            if failure.code != "NoSuchResourceException":  # the region sells none of these, or keeps AWS's default
                raise account.told(failure) from failure
            continue
        values[code] = float(found["Quota"]["Value"])
    for code, value in values.items():
        kind, market = QUOTAS[code]
        if value <= 0:
            fix = (
                "aws service-quotas request-service-quota-increase --service-code ec2 "
                f"--quota-code {code} --desired-value {ENOUGH} --region {region}"
            )
            yield Check("aws quota", "warning", f"{kind}, {market}: {value:.0f} vCPUs allowed in {region} ({code}).", fix)
    allowed = [f"{QUOTAS[code][0]} {QUOTAS[code][1]} {value:.0f}" for code, value in values.items() if value > 0]
    if allowed:
        yield Check("aws quota", "ok", f"vCPUs allowed in {region}: {', '.join(allowed)}.")


def address(account: Account) -> Iterator[Check]:
    """From where machines would let us in."""
    account.client("ec2", HOME)
    networks = caller(lab=account.lab)
    shown = ", ".join(one.removesuffix("/32") for one in networks)
    if not account.lab and behind_carrier():
        text = f"Machines would let {shown} in: an address that your carrier shares among customers. Only your key logs in."
        yield Check("aws address", "note", text, "A network with an address of its own lets nobody else knock")
    elif len(networks) > 1:
        yield Check("aws address", "note", f"This computer is seen under several addresses: {shown}; all are let in.")
    else:
        yield Check("aws address", "ok", f"Machines would let {shown} in, and nobody else.")


def death(*, reaps: bool, schedules: bool) -> Check:
    """What ends a machine when nobody is left to do it."""
    own = "Every machine ends itself by two timers of its own, armed at its birth."
    layers = []
    if schedules:
        layers.append("Each that you start yourself gets a schedule that ends it minutes after its limit, if you may set it.")
    if reaps:
        layers.append("The reaper in this account ends those that hang, within a quarter of an hour after their limit.")
    if layers:
        return Check("aws deadline", "ok", " ".join([own, *layers]))
    text = f"{own} Nothing outside it does: if its system hangs, it runs until you end it."
    return Check("aws deadline", "note", text, "mlrun setup aws --reaper   # ends machines that hang; else mlrun sweep")


def _guarded(name: str, found: Iterator[Check]) -> Iterator[Check]:
    try:
        yield from found
    except MlrunError as error:
        yield Check(name, "error", error.message, error.fix or POLICY_FIX)
