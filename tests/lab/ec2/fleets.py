"""Launch templates, fleets of type instant, and the trail that names them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.lab.ec2 import iam
from tests.lab.ec2.errors import AwsError
from tests.lab.ec2.filters import page
from tests.lab.ec2.launch import run_instances
from tests.lab.ec2.permissions import needs
from tests.lab.ec2.registry import answers
from tests.lab.ec2.state import ACCOUNT, Context, tag_dict, tag_list, when

TRAIL_DELAY = 0.0
"""Seconds until CloudTrail tells of a call; the real one takes minutes."""


@answers("ec2", "CreateLaunchTemplate")
def create_launch_template(context: Context) -> dict[str, Any]:
    asked = context.parameters
    known = {one["name"]: one for one in context.region.templates.values()}
    if asked["LaunchTemplateName"] in known:
        raise AwsError("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")
    for one in asked.get("TagSpecifications", []):
        if one.get("ResourceType") != "launch-template":
            raise AwsError("InvalidParameterValue", f"'{one.get('ResourceType')}' is not valid for this operation.")
    tags = tag_dict([tag for one in asked.get("TagSpecifications", []) for tag in one.get("Tags", [])])
    name = context.world.new_id("lt")
    made = {"id": name, "name": asked["LaunchTemplateName"], "data": asked["LaunchTemplateData"], "tags": tags}
    context.region.templates[name] = made | {"made": context.now(), "by": context.principal.arn}
    context.world.bill.begin("aws", "launch-template", name, 0.0, tags)
    return {"LaunchTemplate": _shown(context.region.templates[name])}


@answers("ec2", "DescribeLaunchTemplates")
def describe_launch_templates(context: Context) -> dict[str, Any]:
    asked, found = context.parameters, list(context.region.templates.values())
    for name in asked.get("LaunchTemplateIds", []):
        if name not in context.region.templates:
            raise AwsError("InvalidLaunchTemplateId.NotFound", f"The launch template {name} does not exist.")
    if ids := asked.get("LaunchTemplateIds"):
        found = [one for one in found if one["id"] in ids]
    for one in asked.get("Filters", []):
        found = [made for made in found if _meets(made, one["Name"], one["Values"])]
    shown, rest = page([_shown(one) for one in found], asked, 200)
    return {"LaunchTemplates": shown, **rest}


@answers("ec2", "DeleteLaunchTemplate")
def delete_launch_template(context: Context) -> dict[str, Any]:
    wanted = context.parameters.get("LaunchTemplateName", "")
    named = (one["id"] for one in context.region.templates.values() if one["name"] == wanted)
    name = context.parameters.get("LaunchTemplateId") or next(named, "")
    if not name:
        raise AwsError("InvalidLaunchTemplateName.NotFoundException", f"The launch template {wanted} does not exist.")
    if name not in context.region.templates:
        raise AwsError("InvalidLaunchTemplateId.NotFound", f"The launch template {name} does not exist.")
    context.world.bill.end("aws", "launch-template", name)
    return {"LaunchTemplate": _shown(context.region.templates.pop(name))}


@answers("ec2", "CreateFleet", own_dry_run=True)
def create_fleet(context: Context) -> dict[str, Any]:
    """Tries its overrides until its capacity of one is there; what refused is told."""
    asked = context.parameters
    if asked.get("Type") != "instant":
        raise AwsError("InvalidParameterValue", "The lab knows fleets of type instant.")
    if asked["TargetCapacitySpecification"]["TotalTargetCapacity"] != 1:
        raise AwsError("InvalidParameterValue", "The lab knows fleets of one machine.")
    token = asked.get("ClientToken", "")
    again = next((one for one in context.region.fleets.values() if token and one["token"] == token), None)
    if again is not None:
        if again["asked"] != _words(asked):
            raise AwsError("IdempotentParameterMismatch")
        return dict(again["reply"])
    tries = list(_tries(context))
    if asked.get("DryRun"):
        raise AwsError("DryRunOperation")
    errors: list[dict[str, Any]] = []
    instances: list[dict[str, Any]] = []
    for parameters, about in tries:
        try:
            made = _launched(context, parameters)
        except AwsError as error:
            errors.append({**about, "ErrorCode": error.code, "ErrorMessage": str(error)})
            continue
        kind = parameters["InstanceType"]
        instances.append({**about, "InstanceIds": [one["InstanceId"] for one in made["Instances"]], "InstanceType": kind})
        break
    name = f"fleet-{context.world.new_id('f')[2:]}"
    reply = {"FleetId": name, "Errors": errors, "Instances": instances}
    born = [one for one in asked.get("TagSpecifications", []) if one["ResourceType"] == "fleet"]
    tags = tag_dict([tag for one in born for tag in one["Tags"]])
    kept = {"token": token, "asked": _words(asked), "reply": reply, "made": context.now(), "tags": tags}
    context.region.fleets[name] = kept
    return reply


@answers("ec2", "DescribeFleets")
def describe_fleets(context: Context) -> dict[str, Any]:
    """Those of type instant are only shown to who names them."""
    wanted = context.parameters.get("FleetIds", [])
    if unknown := [name for name in wanted if name not in context.region.fleets]:
        raise AwsError("InvalidFleetId.NotFound", f"The fleet ID '{unknown[0]}' does not exist")
    shown = [(name, context.region.fleets[name]) for name in wanted]
    return {
        "Fleets": [
            {
                "FleetId": name,
                "FleetState": "active",
                "ClientToken": one["token"],
                "CreateTime": when(one["made"]),
                "Type": "instant",
                "Tags": tag_list(one["tags"]),
                "Errors": one["reply"]["Errors"],
                "Instances": one["reply"]["Instances"],
            }
            for name, one in shown
        ]
    }


@answers("cloudtrail", "LookupEvents")
def lookup_events(context: Context) -> dict[str, Any]:
    """Fleets that were asked for, the newest first."""
    asked, now = context.parameters, context.now()
    wanted = {one["AttributeKey"]: one["AttributeValue"] for one in asked.get("LookupAttributes", [])}
    if wanted.get("EventName", "CreateFleet") != "CreateFleet":
        return {"Events": []}
    begin = _seconds(asked.get("StartTime"), 0.0)
    found = [one for one in context.region.fleets.items() if begin <= one[1]["made"] <= now - TRAIL_DELAY]
    rows = [_event(name, one) for name, one in sorted(found, key=lambda pair: -pair[1]["made"])]
    shown, rest = page(rows, asked, 50)
    return {"Events": shown, **rest}


def _seconds(value: Any, default: float) -> float:
    return default if value is None else float(value) if isinstance(value, int | float) else float(value.timestamp())


def _event(name: str, fleet: Mapping[str, Any]) -> dict[str, Any]:
    told = {
        "eventName": "CreateFleet",
        "recipientAccountId": ACCOUNT,
        "requestParameters": {"CreateFleetRequest": {"ClientToken": fleet["token"], "Type": "instant"}},
        "responseElements": {"CreateFleetResponse": {"fleetId": name}},
    }
    return {"EventId": name, "EventName": "CreateFleet", "EventTime": when(fleet["made"]), "CloudTrailEvent": json.dumps(told)}


def _tries(context: Context) -> Any:
    """RunInstances for each override, those that the strategy prefers first."""
    asked = context.parameters
    market = asked["TargetCapacitySpecification"].get("DefaultTargetCapacityType", "on-demand")
    options = asked.get("SpotOptions" if market == "spot" else "OnDemandOptions", {})
    rows = []
    for config in asked["LaunchTemplateConfigs"]:
        spec = config["LaunchTemplateSpecification"]
        template = context.region.templates.get(spec.get("LaunchTemplateId", ""))
        if template is None:
            raise AwsError("InvalidLaunchTemplateId.NotFound", "The specified launch template does not exist.")
        if "InstanceMarketOptions" in template["data"]:
            raise AwsError("InvalidParameterCombination", "A fleet's launch template names no market.")
        for override in config.get("Overrides") or [{}]:
            kind = override.get("InstanceType") or template["data"].get("InstanceType", "m1.small")
            price = context.world.price(kind, context.region.name, market)
            order = price if market == "spot" else override.get("Priority", 1e9)
            rows.append((order, _merged(template["data"], override, kind, market, options, price), spec, override))
    for _, parameters, spec, override in sorted(rows, key=lambda row: row[0]):
        seen = {key: value for key, value in spec.items() if key != "LaunchTemplateName"}
        about = {"LaunchTemplateSpecification": seen, "Overrides": dict(override)}
        yield parameters, {"LaunchTemplateAndOverrides": about, "Lifecycle": market}


def _merged(
    data: Mapping[str, Any], override: Mapping[str, Any], kind: str, market: str, options: Mapping[str, Any], price: float
) -> dict[str, Any]:
    parameters = {**data, "InstanceType": kind, "MinCount": 1, "MaxCount": 1}
    if subnet := override.get("SubnetId"):
        first, *others = data.get("NetworkInterfaces") or [{"DeviceIndex": 0}]
        parameters["NetworkInterfaces"] = [{**first, "SubnetId": subnet}, *others]
    if image := override.get("ImageId"):
        parameters["ImageId"] = image
    most = override.get("MaxPrice") or options.get("MaxTotalPrice")
    if market == "spot":
        spot = {"SpotInstanceType": "one-time", **({"MaxPrice": most} if most else {})}
        parameters["InstanceMarketOptions"] = {"MarketType": "spot", "SpotOptions": spot}
    elif most and price > float(most):
        parameters["too_dear"] = most
    return parameters


def _launched(context: Context, parameters: dict[str, Any]) -> dict[str, Any]:
    if most := parameters.pop("too_dear", None):
        raise AwsError("UnfulfillableCapacity", f"Unable to fulfill capacity at or below the maximum total price {most}.")
    inner = Context(context.world, context.region, context.principal, parameters, context.after)
    policies = context.principal.policies
    for need in needs("ec2", "RunInstances", inner) if policies is not None else ():
        if not iam.judge(policies or [], need).allowed:
            person = context.principal
            raise AwsError("UnauthorizedOperation", arn=person.arn, action=need.action, resource=need.resource, cipher="")
    return run_instances(inner)


def _words(asked: Mapping[str, Any]) -> str:
    return json.dumps({key: value for key, value in asked.items() if key != "DryRun"}, sort_keys=True, default=str)


def _shown(made: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "LaunchTemplateId": made["id"],
        "LaunchTemplateName": made["name"],
        "CreateTime": when(made["made"]),
        "CreatedBy": made["by"],
        "DefaultVersionNumber": 1,
        "LatestVersionNumber": 1,
        "Tags": tag_list(made["tags"]),
    }


def _meets(made: Mapping[str, Any], name: str, values: list[str]) -> bool:
    if name.startswith("tag:"):
        return made["tags"].get(name[4:]) in values
    if name == "tag-key":
        return any(value in made["tags"] for value in values)
    if name == "launch-template-name":
        return made["name"] in values
    raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")
