"""R20: no shipped permission is idle: without any one of them something that mlrun does is refused."""

import json
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

from tests.guarantees.row import Row, Size

ROOT = Path(__file__).resolve().parents[3]
TARGET = "policy minimality: each shipped IAM permission removed in turn makes a test fail"
NIGHTS = "tests/unit/backends/aws/test_overnight_nights.py"
TESTS = (
    "tests/unit/backends/aws/test_aws_policy.py::test_the_policy_lets_a_run_happen_and_none_of_its_permissions_is_idle",
    "tests/contract/test_gcp_role.py",
    "tests/unit/backends/gcp/test_overnight_gcp.py::test_overnight_gcp_submitting_takes_the_two_roles_and_nothing_else",
    f"{NIGHTS}::test_overnight_the_users_policies_are_enough_and_none_of_the_new_permissions_is_idle",
    "tests/unit/backends/aws/test_aws_ends.py::test_the_policies_are_enough_and_none_of_the_new_permissions_is_idle",
    "tests/contract/test_aws_reaper.py",
)
"""A whole life of runs against the lab; its evaluators judge every recorded call with each permission taken away."""


def measure(size: Size = Size.WHOLE) -> Row:
    tests = TESTS if size.whole else TESTS[:5]
    words = ["-q", "-p", "no:cacheprovider", *tests]
    done = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    measured = f"AWS {aws()} permissions, Google Cloud {gcp()}, the reaper 4: {lines[-1] if lines else 'nothing ran'}"
    if not size.whole:
        measured = measured.replace(", the reaper 4", "")
    return Row("R20", TARGET, measured, done.returncode == 0 and "skipped" not in measured)


def aws() -> int:
    files = (ROOT / "templates" / "aws" / name for name in ("policy.json", "overnight.json", "schedules.json"))
    statements = [one for file in files for one in json.loads(file.read_text())["Statement"]]
    return sum(len(one["Action"]) if isinstance(one["Action"], list) else 1 for one in statements)


def gcp() -> int:
    files = (ROOT / "templates" / "gcp" / name for name in ("role.yaml", "overnight-role.yaml", "machine-role.yaml"))
    return sum(len(YAML(typ="safe").load(file.read_text())["includedPermissions"]) for file in files)
