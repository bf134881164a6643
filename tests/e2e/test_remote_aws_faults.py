"""What may happen around a rented machine that is starting, or that is taken from under its job."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.e2e.shell import Shell

pytestmark = pytest.mark.long
DESCRIBED = """
    model: {family: tabular, library: sklearn, algorithm: random-forest, trees: 10}
    dataset: {rows: 1000, columns: 10, dtype: float64}
    budget: {max_time: 20m}
    where: aws/us-east-1
"""
LONGEST = 120.0


@pytest.fixture
def aws(lab: Any, lab_environment: dict[str, str], shell: Shell) -> Shell:
    """A shell whose mlrun finds an account: the lab's."""
    shell.env |= lab_environment
    return shell


def instances(lab: Any) -> list[dict[str, Any]]:
    return [one for one in lab.ec2.control("instances", {}) if one["state"] not in ("shutting-down", "terminated")]


def test_aws_ctrl_c_does_not_wait_for_a_machine_that_is_starting_and_ends_it(aws: Shell, lab: Any) -> None:
    lab.ec2.control("set", {"pending": 280.0})
    running = aws.start(aws.write("    run: echo never\n" + DESCRIBED), "--yes")
    aws.until(lambda: instances(lab), "a machine is asked for")
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=LONGEST)
    assert (130, b"") == (running.returncode, out), err.decode()
    assert ("finished", "cancelled") == (aws.last()["state"], aws.last()["outcome"])
    assert [] == instances(lab)
    assert lab.ledger.seconds("instance") < LONGEST


def test_aws_a_machine_that_restarts_under_its_job_is_told_and_given_back(aws: Shell, lab: Any) -> None:
    running = aws.start(aws.write("    run: echo begun; sleep 300\n" + DESCRIBED), "--yes")
    assert running.stdout is not None
    assert running.stdout.readline() == b"begun\n"
    (machine,) = instances(lab)
    lab.hosts.run(lab.find(machine["id"]), "systemctl", "reboot", check=False)
    _, err = running.communicate(timeout=LONGEST)
    assert 106 == running.returncode, err.decode()
    assert ("finished", "lost", True) == (
        aws.last()["state"], aws.last()["outcome"], aws.last()["teardown"]["confirmed"],
    )  # fmt: skip
    assert [] == instances(lab)


def test_aws_a_price_that_rose_since_the_plan_is_said_and_nothing_is_started(aws: Shell, lab: Any) -> None:
    lab.ec2.control("set", {"price": {"c5.large": 9.0}})
    job = aws.write("    run: echo never\n    spot: false\n" + DESCRIBED)
    done = aws.mlrun(job, "--yes", "--machine", "aws:c5.large", timeout=LONGEST)
    assert (101, b"") == (done.code, done.stdout), done.said
    assert "c5.large in us-east-1 costs $9.0000 per hour now, more than the $0.0850 that was shown" in " ".join(
        done.err.split()
    )
    assert 0 == lab.ledger.count("RunInstances", "ok")
