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
    return [one for one in lab.ec2.control("instances", {}) if one["state"] != "terminated"]


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


@pytest.mark.long
def test_results_aws_are_all_in_a_bucket_of_ones_own_before_the_machine_is_given_back(aws: Shell, lab: Any) -> None:
    service(lab, "s3").create_bucket(Bucket="my-bucket")
    job = aws.write(TRAINS + "    results: s3://my-bucket/pets\n" + DESCRIBED)
    refused = aws.mlrun(job, "--yes")
    assert (103, True) == (refused.code, "mlrun setup aws --results s3://my-bucket/pets" in refused.err), refused.said
    assert 0 == aws.mlrun("setup", "aws", "--results", "s3://my-bucket/pets", "--yes").code
    done = aws.mlrun(job, "--yes", timeout=LONGEST)
    assert (5, b"begun\nended\n") == (done.code, done.stdout), done.said
    assert "kept in s3://my-bucket/pets, by its machine as mlrun-results-" in " ".join(done.err.split())
    assert "Not everything" not in done.err
    assert "weights\n" == (aws.folder / "made" / "model.bin").read_text()
    names = {one.rpartition("/")[2] for one in keys(lab, "my-bucket")}
    assert {"outcome.json", "checkpoint.json", "00000000"} <= names
    assert all(one.startswith(f"pets/{aws.last()['label']}/") for one in keys(lab, "my-bucket"))
    gone = aws.mlrun("setup", "aws", "--results", "s3://my-bucket/pets", "--remove", "--yes", "--json").json()
    assert 1 == len(gone["removed"])


@pytest.mark.long
def test_results_aws_have_the_checkpoint_of_a_spot_machine_that_was_taken_back_while_nobody_looked(
    aws: Shell, lab: Any
) -> None:
    goes_on = TRAINS.replace("sleep 1; echo ended", "while [ ! -e enough ]; do sleep 0.1; done")
    lab.ec2.control("set", {"notice": 0.0})
    done = aws.mlrun(aws.write(goes_on + "    results: auto\n    spot: true\n" + DESCRIBED), "--yes", "-d", timeout=LONGEST)
    assert done.code == 0, done.said
    bucket = "mlrun-123456789012-us-east-1"
    aws.until(lambda: any(one.endswith("checkpoint.json") for one in keys(lab, bucket)), "its checkpoint is copied")
    (machine,) = alive(lab)
    lab.ec2.control("preempt", {"id": machine["id"]})
    aws.until(lambda: not alive(lab), "its machine is gone")
    back = aws.mlrun("attach", "trains", timeout=LONGEST)
    assert (108, b"begun\n") == (back.code, back.stdout), back.said
    assert ("finished", "preempted") == (aws.last()["state"], aws.last()["outcome"])
    job = aws.write("    run: cat ckpt/step; echo resume=$DISPATCHER_RESUME\n    checkpoint: {dir: ckpt}\n" + DESCRIBED)
    again = aws.mlrun(job, "--resume", "trains", "--yes", timeout=LONGEST)
    assert (0, b"7\nresume=1\n") == (again.code, again.stdout), again.said
