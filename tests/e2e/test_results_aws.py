"""Runs on AWS whose results are kept in a bucket, too: nobody need be back in time. Real hosts of the lab."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.shell import Shell

DESCRIBED = """
    model: {family: tabular, library: sklearn, algorithm: random-forest, trees: 10}
    dataset: {rows: 1000, columns: 10, dtype: float64}
    budget: {max_time: 20m}
    where: aws/us-east-1
"""
TRAINS = """
    name: trains
    run: |
      echo begun; mkdir -p ckpt made; echo 7 > ckpt/step; echo weights > made/model.bin; sleep 1; echo ended; exit 5
    outputs: [made/]
    checkpoint: {dir: ckpt, every: 1s}
"""
LONGEST = 120.0


@pytest.fixture
def aws(lab: Any, lab_environment: dict[str, str], shell: Shell) -> Shell:
    """A shell whose account is set up for results."""
    shell.env |= lab_environment
    made = shell.mlrun("setup", "aws", "--overnight", "--region", "us-east-1", "--yes")
    assert made.code == 0, made.said
    return shell


def service(lab: Any, name: str) -> Any:
    """A service in the hands of somebody who may do everything."""
    import boto3

    given = lab.ec2.exports()
    return boto3.resource(
        name,
        endpoint_url=given["AWS_ENDPOINT_URL"],
        aws_access_key_id=given["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=given["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )


def keys(lab: Any, bucket: str) -> list[str]:
    return [one.key for one in service(lab, "s3").Bucket(bucket).objects.all()]


def alive(lab: Any) -> list[dict[str, Any]]:
    return [one for one in lab.ec2.control("instances", {}) if one["state"] not in ("shutting-down", "terminated")]


def left_alone(aws: Shell, lab: Any, text: str, bucket: str, word: str = "outcome.json") -> None:
    """A run that nobody follows, until its machine has put that into the bucket; then its power fails."""
    done = aws.mlrun(aws.write(text + DESCRIBED), "--yes", "-d", timeout=LONGEST)
    assert done.code == 0, done.said
    assert "come home" not in done.err
    aws.until(lambda: any(one.endswith(word) for one in keys(lab, bucket)), f"its machine writes {word}")
    for one in alive(lab):
        service(lab, "ec2").Instance(one["id"]).terminate()
    aws.until(lambda: not alive(lab), "its machine is gone")


def test_results_aws_of_a_machine_that_is_gone_come_home_from_the_bucket(aws: Shell, lab: Any) -> None:
    left_alone(aws, lab, TRAINS + "    results: auto\n", "mlrun-123456789012-us-east-1")
    assert not (aws.folder / "made").exists()
    fetched = aws.mlrun("fetch", "trains", timeout=LONGEST)
    assert fetched.code == 0, fetched.said
    assert "1 output came from s3://mlrun-123456789012-us-east-1/out" in " ".join(fetched.err.split())
    assert "weights\n" == (aws.folder / "made" / "model.bin").read_text()
    assert b"begun\nended\n" == aws.mlrun("logs", "trains").stdout
    told = aws.last()
    assert ("finished", "failed", 5, True) == (
        told["state"], told["outcome"], told["exit_code"], told["teardown"]["confirmed"],
    )  # fmt: skip
    here = DESCRIBED.replace("aws/us-east-1", "local")
    goes_on = TRAINS.replace("echo begun; mkdir -p ckpt made", "cat ckpt/step; echo resume=$DISPATCHER_RESUME; mkdir -p made")
    again = aws.mlrun(aws.write(goes_on + here), "--resume", "trains", "--yes")
    assert again.stdout.startswith(b"7\nresume=1\n"), again.said
