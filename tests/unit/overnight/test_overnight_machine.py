"""What a night's machine runs, here: the real agent, a bucket in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from functools import partial

import pytest

from dispatcher.hosts.job import AGENT, JobSpec, agent_folder, document
from dispatcher.overnight import keeping
from tests.unit.overnight.conftest import FOLDER, LABEL, Memory, part, run


def test_overnight_a_job_runs_and_everything_is_in_the_bucket(programs, machine):
    cloud = machine("cat seed.txt; mkdir out; printf abc > out/a.bin; ln -s /etc/passwd out/link; echo; exit 3")
    assert 0 == run(programs, cloud)
    said = cloud.said()
    assert (3, "exited") == (said["status"]["exit_code"], said["status"]["reason"])
    assert b"seed\n" == cloud.log()
    [row] = said["outputs"]
    assert ("out/a.bin", 3) == (row["path"], row["size"])
    assert b"abc" == cloud.kept[f"files/{row['sha256']}"]
    assert [("out/link", "it is no regular file")] == [(one["path"], one["why"]) for one in said["missed"]]
    assert {"id": "i-1", "type": "t3.micro", "zone": "us-east-1a"} == said["machine"]


def test_overnight_a_secret_reaches_the_job_and_neither_bundle_nor_state(programs, machine):
    cloud = machine('test "$TOKEN" = s3cret && echo same', secrets={"TOKEN": "/mlrun/TOKEN"})
    cloud.parameters["/mlrun/TOKEN"] = "s3cret"
    run(programs, cloud)
    assert b"same\n" == cloud.log()
    assert not [name for name, body in cloud.kept.items() if b"s3cret" in body]


def test_overnight_a_missing_secret_starts_nothing(programs, machine):
    cloud = machine("echo never", secrets={"TOKEN": "/mlrun/TOKEN"})
    assert 1 == run(programs, cloud)
    assert "secret-missing" == cloud.said()["refused"]
    assert b"" == cloud.log()


def test_overnight_what_can_no_longer_be_done_in_time_is_not_begun(programs, machine):
    cloud = machine("echo never", latest=time.time() - 5)
    assert 1 == run(programs, cloud)
    assert "too-late" == cloud.said()["refused"]


def test_overnight_the_deadline_counts_from_the_machines_creation(programs, machine):
    cloud = machine("sleep 60", deadline=33.0)
    begun = time.monotonic()
    run(programs, cloud)
    assert "deadline" == cloud.said()["status"]["reason"]
    assert time.monotonic() - begun < 20


def test_overnight_a_bucket_that_is_away_for_a_while_stops_no_job(programs, machine):
    cloud = machine("for i in 1 2 3 4 5 6; do echo $i; sleep 0.2; done")
    cloud.refusing = 3
    run(programs, cloud)
    assert b"1\n2\n3\n4\n5\n6\n" == cloud.log()
    assert 0 == cloud.said()["status"]["exit_code"]


def test_overnight_a_queue_runs_its_jobs_in_turn_each_in_a_folder_of_its_own(programs, queue):
    both = ("cp seed.txt out/2; cat out/1", 300.0, ["TOKEN"])
    cloud = queue(("mkdir out; echo one > out/1; exit 3", 300.0, []), ("true", 300.0, ["GONE"]), both, secrets={"TOKEN": "/t"})
    cloud.told["secrets"]["GONE"] = "/gone"
    cloud.parameters["/t"] = "s3cret"
    assert 0 == run(programs, cloud)
    assert [3, 0] == [part(cloud, number)["status"]["exit_code"] for number in (1, 3)]
    assert "secret-missing" == part(cloud, 2)["refused"]
    assert b"one\n" == cloud.kept["3/log/00000000"]
    assert ["out/1", "out/2"] == sorted(one["path"] for one in part(cloud, 3)["outputs"])
    assert 3 == cloud.said()["queue"]


def test_overnight_a_queue_ends_with_the_time_that_its_budget_buys(programs, queue, monkeypatch):
    cloud = queue(("sleep 60", 1.5, []), ("sleep 60", 300.0, []), ("echo never", 300.0, []))
    over = lambda: sum(name.endswith("/outcome.json") for name in cloud.kept)  # noqa: E731
    monkeypatch.setattr(programs[1], "uptime", lambda: 30.0 + over() * 568.5)
    run(programs, cloud)
    assert ["deadline", "deadline"] == [part(cloud, number)["status"]["reason"] for number in (1, 2)]
    assert "too-late" == part(cloud, 3)["refused"]
    assert "3/log/00000000" not in cloud.kept


@pytest.fixture
def visited(programs, tmp_path):
    """A machine to which somebody came: the keeper's files are there, the job is started by whoever came."""
    root = programs[2]

    def make(command, checkpoint="", outputs=("out/",), hold=0):
        work = root / f"{LABEL}.work"
        work.mkdir()
        spec = JobSpec(LABEL, command, str(work), sample_seconds=0.2)
        tell = keeping.job(agent_folder(), str(work), outputs, checkpoint, 0.1)
        (root / "night").mkdir()
        (root / "night" / "job.json").write_text(json.dumps(tell))
        (root / agent_folder()).symlink_to(AGENT)
        (root / "hold").write_text(f"{hold}\n")
        argv = [sys.executable, "-ES", str(AGENT / "agent.py"), "start", str(root / LABEL), "--plain"]
        env = os.environ | {"DISPATCHER_LABEL": LABEL}
        start = partial(subprocess.run, argv, input=json.dumps(document(spec)).encode(), env=env, check=True)
        return Memory({"label": LABEL, "visited": True, "every": 0.05}), start

    return make


def test_overnight_a_job_that_somebody_else_starts_is_looked_after_the_same_way(programs, visited):
    cloud, start = visited("echo said; mkdir out; printf abc > out/a; exit 4", hold=17)
    keeper = threading.Thread(target=programs[1].main, args=(cloud,))
    keeper.start()
    start()
    keeper.join()
    said = cloud.said()
    assert (4, b"said\n", ["out/a"]) == (said["status"]["exit_code"], cloud.log(), [one["path"] for one in said["outputs"]])
    assert "17\n" == (programs[2] / "hold").read_text()
    assert {"missed": []} == json.loads((programs[2] / "night" / "done.json").read_text())


def test_overnight_a_checkpoint_is_copied_whole_every_so_often_and_at_a_bad_end(programs, visited):
    go = programs[2] / "go"
    text = f"mkdir ckpt; echo 1 > ckpt/step; while [ ! -e {go} ]; do sleep 0.02; done; echo 2 > ckpt/step; exit 3"
    cloud, start = visited(text, checkpoint="ckpt")
    start()
    seen = []

    def put(name, *more):
        Memory.put(cloud, name, *more)
        if name == "checkpoint.json":
            [row] = json.loads(cloud.kept[name])["files"]
            seen.append((row["path"], cloud.kept["files/" + row["sha256"]]))
            go.touch()

    cloud.put = put
    assert 0 == programs[1].main(cloud)
    assert [("ckpt/step", b"1\n"), ("ckpt/step", b"2\n")] == seen


def test_overnight_a_job_that_ends_politely_as_its_machine_is_taken_back_leaves_its_last_checkpoint(
    programs, visited, monkeypatch
):
    cloud, start = visited("mkdir ckpt; echo 9 > ckpt/step", checkpoint="ckpt")
    start()
    night = programs[1].Night
    look = night.look
    monkeypatch.setattr(night, "look", lambda self: look(self) | {"reason": "preempted"})
    monkeypatch.setattr(night, "ship", lambda *_: None)
    assert 0 == programs[1].main(cloud)
    assert 0 == cloud.said()["status"]["exit_code"]
    [row] = json.loads(cloud.kept["checkpoint.json"])["files"]
    assert b"9\n" == cloud.kept["files/" + row["sha256"]]


def test_overnight_what_is_whole_is_there_before_the_end(programs, machine, monkeypatch):
    monkeypatch.setattr(programs[1], "SETTLED_SECONDS", 0)
    cloud = machine("mkdir out; echo one > out/one; sleep 0.5; echo two > out/two; sleep 0.5; rm out/one", keep=0.1, tell=0.1)
    run(programs, cloud)
    partial = json.loads(cloud.kept["partial.json"])
    assert {"out/one", "out/two"} >= {one["path"] for one in partial["outputs"]} != set()
    assert ["out/two"] == [one["path"] for one in cloud.said()["outputs"]]
    assert b"one\n" in cloud.kept.values()
    assert (programs[2] / LABEL / "samples.jsonl").read_bytes() == cloud.kept["samples.jsonl"] != b""


def test_overnight_an_output_that_is_too_large_is_named(programs, machine, monkeypatch):
    monkeypatch.setattr(programs[1], "LARGEST", 10)
    cloud = machine("mkdir out; echo small > out/a; seq 100 > out/b")
    run(programs, cloud)
    assert ["out/a"] == [one["path"] for one in cloud.said()["outputs"]]
    assert [("out/b", "it is larger than 5 GB")] == [(one["path"], one["why"]) for one in cloud.said()["missed"]]


def test_overnight_a_changed_or_absent_bundle_is_refused(programs, machine):
    fetch = programs[0]
    cloud = machine("echo never")
    cloud.kept[cloud.told["bundle"]] += b"x"
    with pytest.raises(fetch.Refused, match="not the one") as why:
        fetch.unpack(cloud)
    assert "bundle-corrupted" == why.value.reason
    cloud.kept.clear()
    with pytest.raises(fetch.Refused, match="NoSuchKey"):
        fetch.unpack(cloud)


def test_overnight_signatures_are_as_botocore_makes_them(programs, monkeypatch):
    import datetime as dt

    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    fetch = programs[0]
    cloud = fetch.Cloud.__new__(fetch.Cloud)
    cloud.told = {"region": "eu-west-1", "bucket": "b", "endpoint": "", "account": "123456789012"}
    cloud.region, cloud._until = "eu-west-1", time.time() + 600
    cloud._keys = {"AccessKeyId": "AKIAX", "SecretAccessKey": "secret", "Token": "token"}
    ours = cloud._signed("s3", "PUT", "out/mlrun-a-1/AROAX:i-1/log/0 1", b"body", None, "")
    theirs = AWSRequest("PUT", ours.full_url, data=b"body", headers={"x-amz-expected-bucket-owner": "123456789012"})
    theirs.headers["content-type"] = "application/octet-stream"
    theirs.context["payload_signing_enabled"] = True
    moment = dt.datetime.strptime(ours.headers["X-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: moment)
    S3SigV4Auth(Credentials("AKIAX", "secret", "token"), "s3", "eu-west-1").add_auth(theirs)
    assert theirs.headers["Authorization"] == ours.headers["Authorization"]


def test_overnight_the_machines_programs_are_of_python_3_8():
    import ast

    for file in FOLDER.glob("*.py"):
        ast.parse(file.read_text(), feature_version=(3, 8))
