"""The RunInstances request, field by field; pure."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

from dispatcher.backends.base import Terms
from dispatcher.backends.cloud.disk import disk_gib
from dispatcher.domain.plan import Offer
from dispatcher.domain.run import Label


@dataclass(frozen=True, slots=True)
class Image:
    """A machine image: its id, its root device, and the least disk it takes, in GiB."""

    id: str
    root_device: str
    min_gib: int


@dataclass(frozen=True, slots=True)
class Site:
    """Where in a region: zone, subnet, network, and the group that decides who may enter."""

    region: str
    zone: str
    subnet: str
    vpc: str
    group: str = ""


def token(label: Label, zone: str) -> str:
    """The client token: one machine per attempt and zone. It is zonal, because the request names a subnet."""
    digest = hashlib.sha256(f"{label}\0{zone}".encode()).digest()
    return base64.b32encode(digest).decode()[:52]


def request(
    offer: Offer,
    label: Label,
    terms: Terms,
    site: Site,
    image: Image,
    user_data: str,
    tags: dict[str, str],
    role: str | None = None,
) -> dict[str, Any]:
    """Everything that RunInstances is sent."""
    found: dict[str, Any] = {
        "ClientToken": token(label, site.zone),
        "ImageId": image.id,
        "InstanceType": offer.machine,
        "MinCount": 1,
        "MaxCount": 1,
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "InstanceMetadataTags": "disabled"},
        "NetworkInterfaces": [
            {
                "DeviceIndex": 0,
                "SubnetId": site.subnet,
                "Groups": [site.group],
                "AssociatePublicIpAddress": True,
                "DeleteOnTermination": True,
            }
        ],
        "BlockDeviceMappings": [
            {
                "DeviceName": image.root_device,
                "Ebs": {
                    "VolumeSize": disk_gib(terms, image.min_gib),
                    "VolumeType": "gp3",
                    "DeleteOnTermination": True,
                    "Encrypted": True,
                },
            }
        ],
        "UserData": user_data,
        "TagSpecifications": _tagged(tags | {"Name": str(label)}, spot=offer.market == "spot"),
    }
    if offer.market == "spot":
        found["InstanceMarketOptions"] = _spot(terms)
    if role:
        found["IamInstanceProfile"] = {"Name": role}
    return found


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Tags as AWS takes them."""
    return [{"Key": name, "Value": value} for name, value in tags.items()]


def tag_dict(tags: list[dict[str, str]] | None) -> dict[str, str]:
    """Tags as AWS tells them."""
    return {one["Key"]: one.get("Value", "") for one in tags or ()}


def _tagged(tags: dict[str, str], *, spot: bool) -> list[dict[str, Any]]:
    """Tags at birth for everything the call makes. AWS refuses tags for a spot request where none is made."""
    kinds = ("instance", "volume", "network-interface", *(("spot-instances-request",) if spot else ()))
    return [{"ResourceType": kind, "Tags": tag_list(tags)} for kind in kinds]


def _spot(terms: Terms) -> dict[str, Any]:
    """Once, and never stopped: a stopped machine's disk costs. A price limit only where there is one to keep."""
    options: dict[str, Any] = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    if terms.max_hourly:
        options["MaxPrice"] = f"{terms.max_hourly:.6f}".rstrip("0").rstrip(".")
    return {"MarketType": "spot", "SpotOptions": options}
