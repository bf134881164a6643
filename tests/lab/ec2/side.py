"""The services beside EC2: identity, limits, parameters, price list, Instance Connect."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from tests.lab.ec2 import tables
from tests.lab.ec2.errors import AwsError
from tests.lab.ec2.filters import page
from tests.lab.ec2.images import images, parameter
from tests.lab.ec2.instances import find
from tests.lab.ec2.registry import answers
from tests.lab.ec2.state import ACCOUNT, Context, when

KEY_SECONDS = 60


@answers("sts", "GetCallerIdentity")
def get_caller_identity(context: Context) -> dict[str, Any]:
    return {"UserId": context.principal.id, "Account": ACCOUNT, "Arn": context.principal.arn}


@answers("sts", "DecodeAuthorizationMessage")
def decode_authorization_message(context: Context) -> dict[str, Any]:
    try:
        return {"DecodedMessage": base64.b64decode(context.parameters["EncodedMessage"], validate=True).decode()}
    except ValueError:
        raise AwsError("InvalidAuthorizationMessageException", "The message is not one of an authorization.") from None


@answers("servicequotas", "ListServiceQuotas")
def list_service_quotas(context: Context) -> dict[str, Any]:
    _only_ec2(context)
    shown, rest = page([_quota(context, code) for code in tables.QUOTAS], context.parameters, 100)
    return {"Quotas": shown, **rest}


@answers("servicequotas", "GetServiceQuota")
def get_service_quota(context: Context) -> dict[str, Any]:
    _only_ec2(context)
    if context.parameters["QuotaCode"] not in tables.QUOTAS:
        raise AwsError("NoSuchResourceException", "The request failed because the specified quota does not exist.")
    return {"Quota": _quota(context, context.parameters["QuotaCode"])}


@answers("servicequotas", "RequestServiceQuotaIncrease")
def request_service_quota_increase(context: Context) -> dict[str, Any]:
    asked = context.parameters
    row = {"Id": context.world.new_id("quota"), "ServiceCode": asked["ServiceCode"], "QuotaCode": asked["QuotaCode"]}
    return {
        "RequestedQuota": row | {"DesiredValue": asked["DesiredValue"], "Status": "PENDING", "Created": when(context.now())}
    }


def _only_ec2(context: Context) -> None:
    if context.parameters["ServiceCode"] != "ec2":
        raise AwsError("NoSuchResourceException", "The request failed because the specified service does not exist.")


def _quota(context: Context, code: str) -> dict[str, Any]:
    region = context.region.name
    return {
        "ServiceCode": "ec2",
        "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
        "QuotaArn": f"arn:aws:servicequotas:{region}:{ACCOUNT}:ec2/{code}",
        "QuotaCode": code,
        "QuotaName": tables.QUOTAS[code][0],
        "Value": context.world.quota(code, region),
        "Unit": "None",
        "Adjustable": True,
        "GlobalQuota": False,
    }


@answers("ssm", "GetParameter")
def get_parameter(context: Context) -> dict[str, Any]:
    found = _parameter(context, context.parameters["Name"])
    if found is None:
        raise AwsError("ParameterNotFound", f"Parameter {context.parameters['Name']} not found.")
    return {"Parameter": found}


@answers("ssm", "GetParameters")
def get_parameters(context: Context) -> dict[str, Any]:
    found = {name: _parameter(context, name) for name in context.parameters["Names"]}
    return {
        "Parameters": [row for row in found.values() if row is not None],
        "InvalidParameters": [name for name, row in found.items() if row is None],
    }


@answers("ssm", "GetParametersByPath")
def get_parameters_by_path(context: Context) -> dict[str, Any]:
    path = context.parameters["Path"].rstrip("/") + "/"
    names = [name for one in images(context.region.name).values() for name in one.parameters if name.startswith(path)]
    if not context.parameters.get("Recursive"):
        names = [name for name in names if "/" not in name.removeprefix(path)]
    shown, rest = page([row for name in names if (row := _parameter(context, name))], context.parameters, 10)
    return {"Parameters": shown, **rest}


def _parameter(context: Context, name: str) -> dict[str, Any] | None:
    value = parameter(context.world, context.region.name, name)
    if value is None:
        return _own_parameter(context, name)
    arn = f"arn:aws:ssm:{context.region.name}::parameter{name}"
    facts = {"Name": name, "Type": "String", "Value": value, "Version": 7, "ARN": arn, "DataType": "aws:ec2:image"}
    return facts | {"LastModifiedDate": when(context.now() - 86400)}


def _own_parameter(context: Context, name: str) -> dict[str, Any] | None:
    """One of the account's, always a SecureString."""
    value = context.world.parameters.get((context.region.name, name))
    if value is None:
        return None
    shown = value if context.parameters.get("WithDecryption") else "AQICAHh" + "x" * 24
    arn = f"arn:aws:ssm:{context.region.name}:{ACCOUNT}:parameter{name}"
    facts = {"Name": name, "Type": "SecureString", "Value": shown, "Version": 1, "ARN": arn, "DataType": "text"}
    return facts | {"LastModifiedDate": when(context.now() - 86400)}


@answers("ssm", "DescribeParameters")
def describe_parameters(context: Context) -> dict[str, Any]:
    filters = [one for one in context.parameters.get("ParameterFilters", []) if one["Key"] == "Name"]
    wanted = [value for one in filters for value in one["Values"]]
    known = [name for region, name in context.world.parameters if region == context.region.name]
    return {"Parameters": [{"Name": name, "Type": "SecureString"} for name in known if not wanted or name in wanted]}


@answers("pricing", "GetProducts")
def get_products(context: Context) -> dict[str, Any]:
    asked = context.parameters
    if asked["ServiceCode"] != "AmazonEC2":
        raise AwsError("InvalidParameterException", f"Unknown service code {asked['ServiceCode']}")
    wanted = {one["Field"]: one["Value"] for one in asked.get("Filters", []) if one["Type"] == "TERM_MATCH"}
    rows = [row for row in _products(context, wanted) if _meets(row["product"], wanted)]
    shown, rest = page(rows, asked, 100)
    return {"FormatVersion": "aws_v1", "PriceList": [json.dumps(row) for row in shown], **rest}


def _meets(product: Mapping[str, Any], wanted: Mapping[str, str]) -> bool:
    known = {
        **product["attributes"],
        "sku": product["sku"],
        "productFamily": product["productFamily"],
        "ServiceCode": "AmazonEC2",
    }
    return all(known.get(field) == value for field, value in wanted.items())


def _products(context: Context, wanted: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for region, (place, _) in tables.PLACES.items():
        if wanted.get("regionCode", region) != region or wanted.get("location", place) != place:
            continue
        for kind in tables.offerings(region):
            if wanted.get("instanceType", kind) == kind:
                yield _product(context, kind, region, place)


def _product(context: Context, kind: str, region: str, place: str) -> dict[str, Any]:
    facts = tables.types()[kind]
    sku = f"LAB{kind.replace('.', '').replace('-', '').upper()}{tables.REGIONS.index(region):02d}"
    term, rate = f"{sku}.JRTCKXETXF", f"{sku}.JRTCKXETXF.6YS6EN2CT7"
    attributes = {
        "instanceType": kind,
        "location": place,
        "locationType": "AWS Region",
        "regionCode": region,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "licenseModel": "No License required",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
        "operation": "RunInstances",
        "currentGeneration": "Yes" if facts.get("CurrentGeneration", True) else "No",
        "vcpu": str(tables.vcpus(kind)),
        "memory": f"{facts['MemoryInfo']['SizeInMiB'] / 1024:g} GiB",
        "servicecode": "AmazonEC2",
        "servicename": "Amazon Elastic Compute Cloud",
        "usagetype": f"BoxUsage:{kind}",
    }
    if gpus := tables.gpus(kind):
        attributes["gpu"] = str(len(gpus))
    price = f"{context.world.price(kind, region, 'on-demand'):.10f}"
    line = {
        "unit": "Hrs",
        "description": f"${price} per On Demand Linux {kind} Instance Hour",
        "appliesTo": [],
        "rateCode": rate,
    }
    line |= {"beginRange": "0", "endRange": "Inf", "pricePerUnit": {"USD": price}}
    offer = {"sku": sku, "offerTermCode": "JRTCKXETXF", "termAttributes": {}, "effectiveDate": "2026-11-01T00:00:00Z"}
    return {
        "product": {"sku": sku, "productFamily": "Compute Instance", "attributes": attributes},
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {term: offer | {"priceDimensions": {rate: line}}}},
        "version": "20261101000000",
        "publicationDate": "2026-11-01T00:00:00Z",
    }


@answers("ec2-instance-connect", "SendSSHPublicKey")
def send_ssh_public_key(context: Context) -> dict[str, Any]:
    """The key lives a minute. The host's sshd asks the metadata server for it, as it does on EC2."""
    asked = context.parameters
    try:
        one = find(context, [asked["InstanceId"]])[0]
    except AwsError as error:
        raise AwsError("EC2InstanceNotFoundException", str(error)) from None
    if one.state != "running":
        raise AwsError("EC2InstanceStateInvalidException", f"The instance {one.id} is not running.")
    if not asked["SSHPublicKey"].startswith(("ssh-ed25519 ", "ssh-rsa ", "ecdsa-")):
        raise AwsError("InvalidArgsException", "The public key is not valid.")
    kept = one.visitors.setdefault(asked["InstanceOSUser"], [])
    kept.append((context.now() + KEY_SECONDS, asked["SSHPublicKey"].strip()))
    return {"RequestId": context.world.new_id("eic"), "Success": True}
