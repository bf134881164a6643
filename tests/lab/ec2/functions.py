"""Lambda, just enough: a schedule's function runs in a process of its own, against the lab, in its role's name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from io import BytesIO
from typing import Any

from tests.lab.ec2 import iam
from tests.lab.ec2.answering import Answering
from tests.lab.ec2.errors import AwsError
from tests.lab.ec2.people import policies_of
from tests.lab.ec2.scheduler import TARGETS
from tests.lab.ec2.state import ACCOUNT, Principal

INVOKE = "InvokeFunction"
RUNNER = """
import importlib, json, sys, time
asked = json.load(sys.stdin)
begun = time.monotonic()
time.time = lambda: asked["now"] + time.monotonic() - begun
sys.path.insert(0, asked["folder"])
module, _, name = asked["handler"].rpartition(".")
print(json.dumps(getattr(importlib.import_module(module), name)(asked["event"], None)))
"""


def invoke(lab: Answering, role: Principal, region: str, target: Mapping[str, Any]) -> None:
    """What a schedule's target does. The scheduler is told that it was called, not what came of it: as AWS does."""
    name = target["Arn"].rpartition(":")[2]
    if not iam.judge(role.policies or [], iam.Need("lambda:InvokeFunction", target["Arn"], {})).allowed:
        raise AwsError("AccessDeniedException", f"{role.arn} may not invoke {name}")
    function = _function(region, name)
    said = _run(lab, function, region, json.loads(target.get("Input") or "{}"))
    lab.world.bill.called("aws", INVOKE, {"region": region, "FunctionName": name, "said": said[1][-2000:]}, said[0])


def _function(region: str, name: str) -> Any:
    from moto.awslambda.models import lambda_backends

    found = next((one for one in lambda_backends[ACCOUNT][region].list_functions() if one.function_name == name), None)
    if found is None:
        raise AwsError("ResourceNotFoundException", f"Function not found: {name}")
    return found


def _run(lab: Answering, function: Any, region: str, event: Any) -> tuple[str, str]:
    """("ok" or "failed", what it returned or printed)."""
    with tempfile.TemporaryDirectory(prefix="lab-function-") as folder:
        with zipfile.ZipFile(BytesIO(function.code_bytes)) as packed:
            packed.extractall(folder)
        asked = {"now": lab.world.now(), "folder": folder, "handler": function.handler, "event": event}
        done = subprocess.run(
            [sys.executable, "-c", RUNNER],
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            timeout=function.timeout,
            env=_environment(lab, function.role, region),
            cwd=folder,
            check=False,
        )
    return ("ok", done.stdout) if done.returncode == 0 else ("failed", done.stderr)


def _environment(lab: Answering, arn: str, region: str) -> dict[str, str]:
    from moto.iam.models import iam_backends

    role = next((one for one in iam_backends[ACCOUNT]["aws"].roles.values() if one.arn == arn), None)
    if role is None or "lambda.amazonaws.com" not in role.assume_role_policy_document:
        raise AwsError("AccessDeniedException", f"Lambda cannot assume {arn}")
    keys = lab.people.add(f"function-{role.name}", policies_of(role), lab.world.now() + 900)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    marked = {name: value for name, value in os.environ.items() if name == "DISPATCHER_TEST"}
    nothing = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull, "AWS_EC2_METADATA_DISABLED": "true"}
    place = {"AWS_ENDPOINT_URL": lab.world.url, "AWS_DEFAULT_REGION": region, "PYTHONDONTWRITEBYTECODE": "1"}
    return {**kept, **marked, **nothing, **place, **keys}


TARGETS["arn:aws:lambda:"] = invoke
