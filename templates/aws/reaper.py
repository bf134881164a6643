"""Ends machines of mlrun whose time is over, in every region. A schedule of the account calls it every ten minutes."""

import time

import boto3

TAG = "mlrun-max-seconds"
SLACK_SECONDS = 120
"""The machine's own timers come first."""


def handler(_event, _context):
    """End what is overdue; what could not be is told, and tried again the next time."""
    ended, failed = [], {}
    for region in boto3.client("ec2", region_name="us-east-1").describe_regions()["Regions"]:
        name = region["RegionName"]
        try:
            ec2 = boto3.client("ec2", region_name=name)
            for machine in overdue(ec2, time.time()):
                try:
                    ec2.terminate_instances(InstanceIds=[machine])  # alone: one that is protected must not save others
                    ended.append(machine)
                except Exception as error:  # noqa: BLE001
                    failed[machine] = str(error)
        except Exception as error:  # noqa: BLE001
            failed[name] = str(error)
    if failed:
        raise RuntimeError(f"ended {ended}, failed {failed}")
    return {"ended": ended}


def overdue(ec2, now):
    """Machines older than they were to become."""
    states = ["pending", "running", "stopping", "stopped"]
    asked = [{"Name": "tag-key", "Values": [TAG]}, {"Name": "instance-state-name", "Values": states}]
    for page in ec2.get_paginator("describe_instances").paginate(Filters=asked):
        for reservation in page["Reservations"]:
            for one in reservation["Instances"]:
                told = {tag["Key"]: tag["Value"] for tag in one["Tags"]}[TAG]
                if told.isdigit() and now > one["LaunchTime"].timestamp() + int(told) + SLACK_SECONDS:
                    yield one["InstanceId"]
