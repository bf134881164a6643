"""Whether Google Cloud would let a run happen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dispatcher import paths
from dispatcher.backends.cloud.caller import behind_carrier, caller
from dispatcher.backends.gcp.account import email, ending_account
from dispatcher.backends.gcp.client import Account
from dispatcher.backends.gcp.codes import QUOTA_PAGE, GcpFailure
from dispatcher.backends.gcp.network import site_for
from dispatcher.doctor.check import Check
from dispatcher.errors import MlrunError
from dispatcher.jobfile.settings import Gcp

HOME = "us-central1"
"""The region that is looked into where the settings name none."""
TEST = "https://cloudresourcemanager.googleapis.com/v1/projects/{project}:testIamPermissions"
BILLING = "https://cloudbilling.googleapis.com/v1/projects/{project}/billingInfo"
ROLE_FIX = "mlrun setup gcp   # prints the role that this user needs"
GLOBAL = "GPUS_ALL_REGIONS"


def gcp_checks(settings: Gcp, account: Account | None = None) -> Iterator[Check]:
    """Ask Google itself; each finding with a fix. Creates nothing."""
    account = account or Account(settings.project)
    try:
        project = account.call("Projects", "get", "the project")
    except MlrunError as error:
        yield Check("gcp login", "error", error.message, error.fix or "gcloud auth application-default login")
        return
    yield Check("gcp login", "ok", f"Google Cloud knows you as {account.owner}; the project is {account.project}.")
    region = settings.regions[0] if settings.regions else HOME
    yield from _guarded("gcp billing", billing(account))
    yield from _guarded("gcp permissions", permissions(account))
    yield from _guarded("gcp network", network(account, region, settings.subnet))
    yield from _guarded("gcp quotas", quotas(account, region, project))
    yield from _guarded("gcp address", address(account))
    yield from _guarded("gcp deadline", death(account))


def billing(account: Account) -> Iterator[Check]:
    """Whether somebody pays for the project."""
    try:
        found = account.rest(BILLING.format(project=account.project), "the project's billing")
    except GcpFailure as failure:
        yield Check("gcp billing", "note", f"Whether {account.project} has billing cannot be learned: {failure.said}", "")
        return
    if found.get("billingEnabled"):
        yield Check("gcp billing", "ok", f"Billing is on for {account.project}.")
        return
    fix = f"https://console.cloud.google.com/billing/linkedaccount?project={account.project}"
    yield Check("gcp billing", "error", f"Billing is off for {account.project}: it can rent nothing.", fix)


def permissions(account: Account) -> Iterator[Check]:
    """Those of the shipped role that this user lacks."""
    wanted = role()
    try:
        asked = {"permissions": wanted}
        found = account.rest(TEST.format(project=account.project), "the permissions", body=asked).get("permissions", [])
    except GcpFailure as failure:
        text = f"Which permissions there are cannot be learned: {failure.said} ({failure.code})."
        yield Check("gcp permissions", "warning", text, failure.told().fix)
        return
    lacking = [one for one in wanted if one not in found]
    if lacking:
        text = f"{len(lacking)} of {len(wanted)} permissions are missing in {account.project}: {', '.join(lacking)}."
        yield Check("gcp permissions", "error", text, ROLE_FIX)
        return
    yield Check("gcp permissions", "ok", f"Machines may be made, reached and deleted in {account.project}.")


def role() -> list[str]:
    """The permissions of the shipped role."""
    lines = (paths.templates_dir() / "gcp" / "role.yaml").read_text(encoding="utf-8").splitlines()
    return [line.removeprefix("- ").strip() for line in lines if line.startswith("- ")]


def network(account: Account, region: str, subnet: str | None) -> Iterator[Check]:
    """Whether there is a network in which machines could stand."""
    name = site_for(account, region, f"{region}-a", subnet).network.rpartition("/")[2]
    try:
        account.ask("Networks", "get", "the network", network=name)
    except GcpFailure as failure:
        fix = f"gcloud compute networks create {name}   # or name gcp.subnet in config.yaml"
        text = f"The project has no network {name!r}, and the settings name no subnet: {failure.said}"
        yield Check("gcp network", "error", text, fix)
        return
    yield Check("gcp network", "ok", f"Machines can stand in the network {name!r}.")


def quotas(account: Account, region: str, project: Any) -> Iterator[Check]:
    """Limits that are zero: new projects, and all trial accounts, have none for GPUs."""
    overall = {str(one.metric): float(one.limit) for one in project.quotas}
    if overall.get(GLOBAL, 1.0) <= 0:
        text = f"{GLOBAL} is 0: this project may have no GPU in any region. A trial account has to be upgraded first."
        yield Check("gcp quota", "warning", text, f"Ask for at least 1: {QUOTA_PAGE}?project={account.project}")
    found = account.call("Regions", "get", "the quotas", place=region, region=region)
    limits = {str(one.metric): float(one.limit) for one in found.quotas}
    cards = {name: limit for name, limit in limits.items() if name.endswith("_GPUS") and "COMMITTED" not in name}
    if none := sorted(name for name, limit in cards.items() if limit <= 0):
        fix = f"{QUOTA_PAGE}?project={account.project}"
        yield Check("gcp quota", "note", f"None of these is allowed in {region}: {', '.join(none)}.", fix)
    allowed = [f"{name} {limit:.0f}" for name, limit in {"CPUS": limits.get("CPUS", 0.0), **cards}.items() if limit > 0]
    yield Check("gcp quota", "ok" if allowed else "warning", f"Allowed in {region}: {', '.join(allowed) or 'nothing'}.")


def address(account: Account) -> Iterator[Check]:
    """From where machines would let us in."""
    networks = caller(lab=account.lab)
    shown = ", ".join(one.removesuffix("/32") for one in networks)
    if not account.lab and behind_carrier():
        text = f"Machines would let {shown} in: an address that your carrier shares among customers. Only your key logs in."
        yield Check("gcp address", "note", text, "A network with an address of its own lets nobody else knock")
    else:
        yield Check("gcp address", "ok", f"Machines would let {shown} in, and nobody else.")


def death(account: Account) -> Iterator[Check]:
    """What ends a machine when nobody is left to do it."""
    always = "Google deletes every machine at its limit, whatever happens on it."
    if ending_account(account):
        text = f"{always} By {email(account.project)} a machine also deletes itself when its job and its grace are over."
        yield Check("gcp deadline", "ok", text)
        return
    text = f"{always} Without a service account of its own it waits for you until then when its job is over, and costs."
    yield Check("gcp deadline", "note", text, "mlrun setup gcp   # makes the account that lets machines delete themselves")


def _guarded(name: str, found: Iterator[Check]) -> Iterator[Check]:
    try:
        yield from found
    except MlrunError as error:
        yield Check(name, "error", error.message, error.fix or ROLE_FIX)
