"""Cloud Billing's list of prices, with the entries that mislead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.lab.gce.places import ACCELERATORS, LOCAL_SSD_GB_MONTH, SPOT, TYPES
from tests.lab.gce.refusals import Refused
from tests.lab.gce.resource import Call, Handler

COMPUTE = "6F81-5844-456A"
GPU_TITLES = {
    "nvidia-tesla-t4": "Nvidia Tesla T4 GPU",
    "nvidia-tesla-v100": "Nvidia Tesla V100 GPU",
    "nvidia-l4": "Nvidia L4 GPU",
    "nvidia-tesla-a100": "Nvidia Tesla A100 GPU",
    "nvidia-a100-80gb": "Nvidia Tesla A100 80GB GPU",
    "nvidia-h100-80gb": "Nvidia H100 80GB GPU",
}
TITLES = {"n1": "N1 Predefined", "e2": "E2", "n2": "N2", "g2": "G2", "a2": "A2", "a3": "A3", "c4a": "C4A Arm"}
MISLEADING = ("Commitment v1: {} in", "DWS Calendar Mode {} running in", "{} Sole Tenancy running in", "Reserved {} running in")


class Billing:
    """Prices per core, GiB, accelerator and local SSD, on demand and spot, in every region."""

    def handlers(self) -> dict[str, Handler]:
        return {"billing.services.skus.list": self.list}

    def list(self, call: Call) -> dict[str, Any]:
        if call.path["servicesId"] != COMPUTE:
            raise Refused(404, "notFound", f"Service {call.path['servicesId']} not found.")
        skus = list(_skus())
        first, many = int(call.query.get("pageToken") or 0), min(int(call.query.get("pageSize") or 5000), 5000)
        following = str(first + many) if first + many < len(skus) else ""
        return {"skus": skus[first : first + many], "nextPageToken": following}


def _skus() -> Iterator[dict[str, Any]]:
    families = {one.family: one for one in TYPES.values() if one.name != "e2-small"}
    for family, one in families.items():
        for region in one.regions:
            yield from _both(f"{TITLES[family]} Instance Core running in", "CPU", one.core_usd, region)
            yield from _both(f"{TITLES[family]} Instance Ram running in", "RAM", one.gib_usd, region)
    for name, title in GPU_TITLES.items():
        for region in ACCELERATORS[name].regions:
            yield from _both(f"{title} running in", "GPU", ACCELERATORS[name].usd, region)
            for text in MISLEADING:
                yield _sku(text.format(title), "GPU", ACCELERATORS[name].usd / 2, region, "OnDemand")
    for region in families["n1"].regions:
        yield _sku("SSD backed Local Storage in", "SSD", LOCAL_SSD_GB_MONTH, region, "OnDemand", unit="GiBy.mo")


def _both(title: str, group: str, usd: float, region: str) -> Iterator[dict[str, Any]]:
    yield _sku(title, group, usd, region, "OnDemand")
    yield _sku(f"Spot Preemptible {title}", group, usd * SPOT, region, "Preemptible")


def _sku(title: str, group: str, usd: float, region: str, usage: str, *, unit: str = "h") -> dict[str, Any]:
    identity = f"{abs(hash((title, region, usage))):016X}"[:16]
    kind = "Storage" if group == "SSD" else "Compute"
    money = {"currencyCode": "USD", "units": str(int(usd)), "nanos": round((usd - int(usd)) * 1e9)}
    return {
        "name": f"services/{COMPUTE}/skus/{identity}",
        "skuId": identity,
        "description": f"{title} {region}",
        "category": {
            "serviceDisplayName": "Compute Engine",
            "resourceFamily": kind,
            "resourceGroup": group,
            "usageType": usage,
        },
        "serviceRegions": [region],
        "serviceProviderName": "Google",
        "pricingInfo": [
            {
                "effectiveTime": "2026-11-01T00:00:00Z",
                "summary": "",
                "currencyConversionRate": 1.0,
                "pricingExpression": {
                    "usageUnit": unit,
                    "displayQuantity": 1.0,
                    "tieredRates": [{"startUsageAmount": 0.0, "unitPrice": money}],
                },
            }
        ],
    }
