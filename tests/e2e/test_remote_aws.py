"""A job that runs on AWS, as it is typed: in the lab, where every billed second is known."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from tests.e2e.shell import Ended, Shell

DESCRIBED = """
    model: {family: tabular, library: sklearn, algorithm: random-forest, trees: 10}
    dataset: {rows: 1000, columns: 10, dtype: float64}
    budget: {max_time: 20m}
    where: aws/us-east-1
"""
COUNTS = """
    name: counts
    run: |
      i=0; while [ $i -lt 600 ] && [ ! -e enough ]; do i=$((i+1)); echo "line $i"; sleep 0.05; done; echo made > out.txt; exit 7
    outputs: [out.txt]
"""
LONGEST = 120.0


@pytest.fixture
def aws(lab: Any, lab_environment: dict[str, str], shell: Shell) -> Shell:
    """A shell whose mlrun finds an account: the lab's."""
    shell.env |= lab_environment
    return shell


def start(shell: Shell, text: str, *flags: str, described: str = DESCRIBED) -> Ended:
    return shell.mlrun(shell.write(text + described), "--yes", *flags, timeout=LONGEST)


def instances(lab: Any) -> list[dict[str, Any]]:
    return [one for one in lab.ec2.control("instances", {}) if one["state"] not in ("shutting-down", "terminated")]


def billed(lab: Any) -> float:
    """USD, by the lab's own prices."""
    return float(lab.ledger.usd())


def test_aws_runs_a_job_brings_its_outputs_home_and_ends_with_nothing(aws: Shell, lab: Any) -> None:
    aws.write("print('from python')\nopen('made.txt', 'w').write('abc')\n", "train.py")
    done = start(aws, "    run: python train.py; echo to stderr >&2; pwd\n    outputs: [made.txt]\n")
    assert done.code == 0, done.said
    assert done.stdout.startswith(b"from python\nto stderr\n/var/lib/mlrun/runs/mlrun-")
    assert (aws.folder / "made.txt").read_text() == "abc"
    for words in ("at worst $", "creating the machine", "sending files", "bringing outputs home", "that is confirmed"):
        assert words in done.err, done.err
    told = aws.mlrun("report", "last", "--json").json()
    assert ("finished", "succeeded", 0) == (told["state"], told["outcome"], told["exit_code"])
    assert told["teardown"]["confirmed"] is True
    assert all(kind in told["teardown"]["proof"][0] for kind in ("instance i-", "volume vol-", "rule sgr-"))
    assert 0 < told["cost_usd"]["so_far"] <= told["cost_usd"]["worst_case"]
    assert instances(lab) == []
    assert billed(lab) <= told["cost_usd"]["worst_case"]


def test_aws_gives_the_jobs_own_exit_code_and_outputs_of_a_failure_too(aws: Shell) -> None:
    done = start(aws, "    run: echo made > out.txt; exit 7\n    outputs: [out.txt]\n")
    assert (7, "made\n") == (done.code, (aws.folder / "out.txt").read_text()), done.said
    assert "failed with exit code 7" in done.err


def test_aws_asks_and_names_the_flag_where_nobody_can_answer(aws: Shell, lab: Any) -> None:
    done = aws.mlrun(aws.write("    run: echo x\n" + DESCRIBED), timeout=LONGEST)
    assert done.code == 2
    assert "Rent aws" in done.err
    assert "Add --yes." in done.err
    assert lab.ec2.control("instances", {"all": True}) == []


def test_aws_detached_goes_on_alone_and_attach_continues_at_the_very_byte(aws: Shell, lab: Any) -> None:
    begun = start(aws, COUNTS, "-d")
    assert begun.code == 0, begun.said
    assert "per hour" in begun.err
    assert "ends by itself at" in begun.err
    run = aws.last()
    assert ("counts", "running", "aws") == (run["name"], run["state"], run["where"])
    assert f"({run['id'][:4]}) is running on aws" in aws.mlrun("costs").err
    aws.until(lambda: b"line 3\n" in aws.mlrun("logs", run["id"]).stdout, "three lines are in the log")
    following = aws.start("attach", "counts")
    assert following.stdout is not None
    assert following.stdout.readline() == b"line 1\n"
    following.send_signal(signal.SIGINT)
    first, _ = following.communicate(timeout=30)
    assert following.returncode == 0
    stopping = aws.mlrun("ssh", run["id"], "touch", f"/var/lib/mlrun/runs/{run['label']}.work/enough")
    assert stopping.code == 0, stopping.said
    done = aws.mlrun("attach", run["id"], timeout=LONGEST)
    assert done.code == 7, done.said
    lines = done.stdout.splitlines()
    assert lines == [b"line %d" % number for number in range(1, len(lines) + 1)]
    assert aws.mlrun("logs", run["id"]).stdout == done.stdout
    assert done.stdout.startswith(b"line 1\n" + first)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_aws_ctrl_c_before_the_start_cancels_and_gives_all_back(aws: Shell, lab: Any, number: signal.Signals) -> None:
    running = aws.start(aws.write(COUNTS + DESCRIBED), "--yes")
    aws.until(lambda: instances(lab), "a machine is made")
    running.send_signal(number)
    _, err = running.communicate(timeout=LONGEST)
    assert running.returncode == 130, err.decode()
    ended = aws.last()
    assert ("finished", "cancelled", True) == (ended["state"], ended["outcome"], ended["teardown"]["confirmed"])
    assert instances(lab) == []


def test_aws_ctrl_c_while_it_runs_leaves_it_and_stop_ends_it_with_its_outputs(aws: Shell, lab: Any) -> None:
    running = aws.start(aws.write(COUNTS.replace("exit 7", "exit 0") + DESCRIBED), "--yes")
    assert running.stdout is not None
    assert running.stdout.readline() == b"line 1\n"
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=LONGEST)
    assert running.returncode == 0, err.decode()
    assert b"mlrun attach" in err
    assert b"ends by itself at" in err
    assert len(instances(lab)) == 1
    stopped = aws.mlrun("stop", "counts", "--grace", "1s", timeout=LONGEST)
    assert stopped.code == 0, stopped.said
    assert ("finished", "cancelled", 130) == tuple(aws.last()[key] for key in ("state", "outcome", "exit_code"))
    assert instances(lab) == []


def test_aws_refusals_walk_the_ladder_of_zones_and_end_as_no_capacity(aws: Shell, lab: Any) -> None:
    lab.faults.add("RunInstances", code="InsufficientInstanceCapacity", n=2)
    done = start(aws, "    run: echo done\n", "--machine", "aws:c5.large")
    assert (0, b"done\n") == (done.code, done.stdout), done.said
    assert [1, 2, 3] == [int(one["label"].rpartition("-")[2]) for one in aws.last()["attempts"]]
    assert "attempt 3:" in done.err
    assert 2 == done.err.count("InsufficientInstanceCapacity") or "no " in done.err
    lab.faults.add("RunInstances", code="InsufficientInstanceCapacity", n=-1)
    refused = start(aws, "    run: echo done\n", "--machine", "aws:c5.large")
    assert (103, "finished") == (refused.code, aws.last()["state"]), refused.said
    lab.faults.clear()


def test_aws_killed_while_the_machine_boots_is_put_in_order_by_coming_back(aws: Shell, lab: Any) -> None:
    running = aws.start(aws.write(COUNTS + DESCRIBED), "--yes")
    aws.until(lambda: instances(lab), "a machine is made")
    running.kill()
    running.communicate()
    done = aws.mlrun("stop", "counts", timeout=LONGEST)
    assert done.code == 0, done.said
    assert ("finished", "cancelled") == tuple(aws.last()[key] for key in ("state", "outcome"))
    assert instances(lab) == []


def test_aws_killed_while_the_job_runs_loses_neither_log_nor_code(aws: Shell, lab: Any) -> None:
    running = aws.start(aws.write(COUNTS.replace("600", "60") + DESCRIBED), "--yes")
    assert running.stdout is not None
    assert running.stdout.readline() == b"line 1\n"
    running.kill()
    running.communicate()
    done = aws.mlrun("attach", "last", timeout=LONGEST)
    assert done.code == 7, done.said
    assert done.stdout == b"".join(b"line %d\n" % number for number in range(1, 61))
    assert instances(lab) == []


def test_aws_a_link_that_is_cut_for_a_while_loses_no_byte(aws: Shell, lab: Any) -> None:
    running = aws.start(aws.write(COUNTS.replace("600", "400") + DESCRIBED), "--yes")
    assert running.stdout is not None
    assert running.stdout.readline() == b"line 1\n"
    (machine,) = instances(lab)
    lab.hosts.set_wire(lab.find(machine["id"]), cut=True)
    assert running.stderr is not None
    said = iter(running.stderr.readline, b"")
    assert any(b"Lost contact" in line for line in said)
    lab.hosts.set_wire(lab.find(machine["id"]))
    out, err = running.communicate(timeout=LONGEST)
    assert (7, b"in contact again" in err) == (running.returncode, True), err.decode()
    assert out == b"".join(b"line %d\n" % number for number in range(2, 401))
    assert instances(lab) == []


def test_aws_a_spot_machine_that_is_taken_back_tells_its_job_and_is_108(aws: Shell, lab: Any) -> None:
    lab.ec2.control("set", {"notice": 15.0})
    text = "    run: trap 'echo saved; exit 0' TERM; echo up; while true; do sleep 0.1; done\n"
    running = aws.start(aws.write(text + DESCRIBED), "--yes", "--spot")
    assert running.stdout is not None
    assert running.stdout.readline() == b"up\n"
    (machine,) = instances(lab)
    assert machine["market"] == "spot"
    lab.ec2.control("preempt", {"id": machine["id"]})
    out, err = running.communicate(timeout=LONGEST)
    assert running.returncode == 108, err.decode()
    assert out.endswith(b"saved\n")
    assert ("finished", "preempted") == tuple(aws.last()[key] for key in ("state", "outcome"))
    assert instances(lab) == []


def test_aws_a_job_with_a_checkpoint_goes_on_from_it_on_another_machine(aws: Shell, lab: Any) -> None:
    lab.ec2.control("set", {"notice": 15.0})
    text = """
    run: |
      mkdir -p ckpt; i=$(cat ckpt/step 2>/dev/null || echo 0); echo "from $i resume=${DISPATCHER_RESUME:-no}"
      trap 'exit 0' TERM
      while [ $i -lt 60 ]; do i=$((i+1)); echo $i > ckpt/part; mv ckpt/part ckpt/step; echo "step $i"; sleep 0.1; done
    checkpoint: {dir: ckpt, every: 1s}
"""
    running = aws.start(aws.write(text + DESCRIBED), "--yes", "--spot")
    assert running.stdout is not None
    assert running.stdout.readline() == b"from 0 resume=no\n"
    (machine,) = instances(lab)
    lab.ec2.control("preempt", {"id": machine["id"]})
    out, err = running.communicate(timeout=2 * LONGEST)
    assert running.returncode == 0, err.decode()
    steps = [int(line.split()[1]) for line in out.splitlines() if line.startswith(b"step")]
    assert list(range(steps[0], 61)) == steps
    assert b"resume=1" in out
    assert b"its checkpoint goes along" in err
    told = aws.last()
    assert "succeeded" == told["outcome"]
    assert "took the machine back" in told["attempts"][0]["reason"]
    assert told["attempts"][0]["label"] != told["label"]
    assert instances(lab) == []
    assert billed(lab) <= told["cost_usd"]["worst_case"]


def test_aws_a_detached_job_that_has_ended_waits_is_said_and_fetched(aws: Shell, lab: Any) -> None:
    assert (
        start(aws, "    name: soon\n    run: echo said; echo made > out.txt; exit 4\n    outputs: [out.txt]\n", "-d").code == 0
    )
    aws.until(lambda: aws.last()["state"] == "collecting", "its end is noticed")
    shown = aws.mlrun("ps")
    assert "waiting to be fetched: $" in " ".join(shown.out.split())
    assert "ended" in shown.out
    fetched = aws.mlrun("fetch", "soon", timeout=LONGEST)
    assert fetched.code == 0, fetched.said
    assert (b"", "made\n") == (fetched.stdout, (aws.folder / "out.txt").read_text())
    assert ("finished", 4) == (aws.last()["state"], aws.last()["exit_code"])
    assert instances(lab) == []


def test_aws_setup_that_fails_shows_its_words_and_costs_no_more(aws: Shell, lab: Any) -> None:
    done = start(aws, "    setup: echo no such wheel; exit 9\n    run: echo never\n")
    assert done.code == 104, done.said
    assert b"never" not in done.stdout
    assert "no such wheel" in done.err
    assert instances(lab) == []


def test_aws_a_lost_answer_makes_one_machine_and_not_two(aws: Shell, lab: Any) -> None:
    lab.faults.add("RunInstances", when="drop_after")
    done = start(aws, "    run: echo done\n")
    assert (0, b"done\n") == (done.code, done.stdout), done.said
    assert 1 == len(lab.ec2.control("instances", {"all": True}))


def test_aws_a_machine_with_another_host_key_is_refused_said_and_ended(aws: Shell, lab: Any) -> None:
    lab.ec2.control("set", {"host": {"*": {"fault": "other-host-key"}}})
    done = start(aws, "    run: echo never\n")
    assert done.code == 104, done.said
    assert b"never" not in done.stdout
    assert "key" in done.err
    assert ("finished", True) == (aws.last()["state"], aws.last()["teardown"]["confirmed"])
    assert instances(lab) == []


def test_aws_a_failed_job_can_be_kept_looked_at_run_again_and_given_back(aws: Shell, lab: Any) -> None:
    kept = start(aws, "    name: fails\n    run: touch was-here; exit 5\n", "--keep", "30m")
    assert kept.code == 5, kept.said
    assert "holds aws" in kept.err
    first = aws.last()
    assert ("held", "failed") == (first["state"], first["outcome"])
    assert "was-here" in aws.mlrun("ssh", "fails", "ls", f"/var/lib/mlrun/runs/{first['label']}.work").out
    held = aws.mlrun("hold", "fails", "45m")
    assert held.code == 0, held.said
    again = aws.mlrun(
        aws.write("    name: again\n    run: echo second; exit 0\n" + DESCRIBED), "--on", "fails", timeout=LONGEST
    )
    assert (0, b"second\n") == (again.code, again.stdout), again.said
    for words in ("on the machine that fails (", "holds and pays: $", "the machine stays as it is", "fails (failed) holds aws"):
        assert words in again.err, again.err
    assert "it is gone" not in again.err
    assert 1 == len(instances(lab))
    assert aws.mlrun("stop", "fails", timeout=LONGEST).code == 0
    assert instances(lab) == []


def test_aws_runs_are_seen_and_stopped_from_another_computer_of_the_same_owner(aws: Shell, lab: Any) -> None:
    assert start(aws, COUNTS, "-d").code == 0
    here = dict(aws.env)
    aws.env["DISPATCHER_HOME"] = str(aws.folder / "another-home")
    (seen,) = aws.runs()
    assert ("counts", "running", "aws") == (seen["name"], seen["state"], seen["where"])
    check = aws.mlrun("sweep", "--check")
    assert check.code == 0, check.said
    assert "another computer's" in check.out
    assert b"line 1\n" in aws.mlrun("logs", "counts").stdout
    aws.mlrun("ssh", "counts", "touch", f"/var/lib/mlrun/runs/{seen['label']}.work/enough")
    followed = aws.mlrun("attach", "counts", timeout=LONGEST)
    assert followed.stdout.startswith(b"line 1\nline 2\n")
    assert "which fetches its outputs" in followed.err
    fetched = aws.mlrun("fetch", "counts")
    assert fetched.code == 0, fetched.said
    assert (aws.folder / f"counts-{seen['id'][:4]}" / "out.txt").read_text() == "made\n"
    assert len(instances(lab)) == 1
    stopped = aws.mlrun("stop", "counts", timeout=LONGEST)
    assert stopped.code == 0, stopped.said
    assert instances(lab) == []
    aws.env = here
    told = aws.mlrun("attach", "counts")
    assert aws.last()["outcome"] == "lost"
    assert "ended through the account: by another computer of yours" in told.said, told.said


def test_aws_sweep_removes_what_no_record_knows_and_says_so_before(aws: Shell, lab: Any) -> None:
    assert start(aws, COUNTS, "-d").code == 0
    for file in (aws.home / "dispatcher" / "data").rglob("*"):
        if file.is_file():
            file.unlink()
    checked = aws.mlrun("sweep", "--check", "--json")
    assert {"young"} == {one["action"] for one in checked.json()["leftovers"]}, checked.said
    assert aws.mlrun("stop", "counts", timeout=LONGEST).code == 0
    assert instances(lab) == []
