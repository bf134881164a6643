"""AWS's own prices for the catalog, region by region."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from dispatcher.backends.aws.client import Account
from dispatcher.backends.aws.prices import on_demand, spot_by_zone
from dispatcher.catalog.instances import instances
from dispatcher.catalog.prices import Quote, regions
from dispatcher.errors import CloudRefused, MlrunError

AT_ONCE = 8


def live_quotes(account: Account, wanted: Sequence[str] = ()) -> tuple[list[Quote], dict[str, str]]:
    """Prices of every type that the catalog knows, and why regions did not answer. Raises where none did."""
    enabled = account.regions()
    asked = [name for name in (wanted or regions("aws")) if name in enabled]
    silent = {name: "not enabled for this account" for name in wanted if name not in enabled}
    found: list[Quote] = []
    last: MlrunError | None = None

    def careful(region: str) -> list[Quote] | MlrunError:
        try:
            return list(region_quotes(account, region))
        except MlrunError as error:
            return error

    with ThreadPoolExecutor(AT_ONCE) as pool:
        for region, told in zip(asked, pool.map(careful, asked), strict=True):
            if isinstance(told, MlrunError):
                silent[region], last = told.message, told
            else:
                found += told
    if not found:
        raise last or CloudRefused("None of these regions is enabled for this account", fix="mlrun config show   # aws.regions")
    return found, silent


def region_quotes(account: Account, region: str) -> Iterator[Quote]:
    """On demand and spot prices of a region: spot as the median over its zones. Only types that the region sells."""
    known = {kind.name for kind in instances() if kind.provider == "aws"}
    sold = known & types_sold(account, region)
    listed = on_demand(account, region)
    for kind in sorted(sold & listed.keys()):
        yield Quote("aws", kind, region, "on-demand", listed[kind], "new")
    for kind, zones in spot_by_zone(account, region, sorted(sold)).items():
        yield Quote("aws", kind, region, "spot", round(median(zones.values()), 6), "new")


def types_sold(account: Account, region: str) -> set[str]:
    """Machine types that a region sells."""
    found = account.pages(
        "ec2", region, "describe_instance_type_offerings", "the types that a region sells", LocationType="region"
    )
    return {one["InstanceType"] for page in found for one in page["InstanceTypeOfferings"]}


def unknown_types(account: Account, region: str) -> dict[str, str]:
    """GPU types that a region sells and the catalog does not describe, with what AWS says of them."""
    known = {kind.name for kind in instances() if kind.provider == "aws"}
    found = {}
    for page in account.pages("ec2", region, "describe_instance_types", "the machine types"):
        for kind in page["InstanceTypes"]:
            if kind["InstanceType"] not in known and (gpus := kind.get("GpuInfo", {}).get("Gpus")):
                gib = gpus[0].get("MemoryInfo", {}).get("SizeInMiB", 0) / 1024
                found[kind["InstanceType"]] = f"{gpus[0].get('Count', 0)} × {gpus[0].get('Name', '?')} {gib:.0f} GiB"
    return found
