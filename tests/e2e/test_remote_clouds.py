"""A job on a rented machine, as it is typed: in the lab, on either cloud, where every billed second is known."""

from __future__ import annotations

import shutil
import signal

import pytest

from tests.e2e.clouds import COUNTS, Rented, both, on, rented, rest

__all__ = ["rented"]


@both
def test_a_job_runs_its_outputs_come_home_and_nothing_is_left(rented: Rented) -> None:
    shell = rented.shell
    shell.write("print('from python')\nopen('made.txt', 'w').write('abc')\n", "train.py")
    asked = rented.mlrun(rented.job("    run: echo x\n"))
    assert (2, [True, True]) == (asked.code, [words in asked.err for words in (f"Rent {rented.name}", "Add --yes.")]), (
        asked.said
    )
    assert rented.cloud().control("instances", {"all": True}) == []
    done = rented.run("    run: python train.py; echo to stderr >&2; pwd\n    outputs: [made.txt]\n")
    assert done.code == 0, done.said
    assert done.stdout.startswith(b"from python\nto stderr\n/var/lib/mlrun/runs/mlrun-")
    assert (shell.folder / "made.txt").read_text() == "abc"
    for words in ("at worst $", "creating the machine", "sending files", "bringing outputs home", "that is confirmed"):
        assert words in done.err, done.err
    told = rented.mlrun("report", "last", "--json").json()
    assert ("finished", "succeeded", 0) == (told["state"], told["outcome"], told["exit_code"])
    assert told["teardown"]["confirmed"] is True
    assert all(kind in told["teardown"]["proof"][0] for kind in rented.proof)
    assert 0 < told["cost_usd"]["so_far"] <= told["cost_usd"]["worst_case"]
    assert rented.machines() == []
    assert float(rented.lab.ledger.usd()) <= told["cost_usd"]["worst_case"]


@both
def test_a_detached_job_goes_on_alone_is_followed_from_the_very_byte_and_by_another_computer(rented: Rented) -> None:
    shell = rented.shell
    begun = rented.run(COUNTS, "-d")
    assert (0, True, True) == (begun.code, "per hour" in begun.err, "ends by itself at" in begun.err), begun.said
    run = rented.last()
    assert ("counts", "running", rented.name) == (run["name"], run["state"], run["where"])
    assert f"({run['id'][:4]}) is running on {rented.name}" in rented.mlrun("costs").err
    shell.until(lambda: b"line 3\n" in rented.mlrun("logs", run["id"]).stdout, "three lines are in the log")
    following = shell.start("attach", "counts")
    assert following.stdout is not None
    assert following.stdout.readline() == b"line 1\n"
    following.send_signal(signal.SIGINT)
    first, _ = rest(following)
    assert following.returncode == 0
    assert rented.mlrun("logs", run["id"]).stdout.startswith(b"line 1\n" + first)
    here = dict(shell.env)
    shell.env["DISPATCHER_HOME"] = str(shell.folder / "another-home")
    (seen,) = shell.runs()
    assert ("counts", "running", rented.name) == (seen["name"], seen["state"], seen["where"])
    check = rented.mlrun("sweep", "--check")
    assert (0, True) == (check.code, "another computer's" in check.out), check.said
    rented.enough(seen)
    followed = rented.mlrun("attach", "counts")
    if (
        "cannot be asked" in followed.err
    ):  # a first link may fail where much goes on at once: nothing changed, and one comes back
        followed = rented.mlrun("attach", "counts")
    lines = followed.stdout.splitlines()
    assert lines == [b"line %d" % number for number in range(1, len(lines) + 1)]
    assert "which fetches its outputs" in followed.err
    fetched = rented.mlrun("fetch", "counts")
    assert fetched.code == 0, fetched.said
    assert (shell.folder / f"counts-{seen['id'][:4]}" / "out.txt").read_text() == "made\n"
    assert len(rented.machines()) == 1
    shell.env = here
    done = rented.mlrun("attach", run["id"])
    assert (7, True) == (done.code, "failed with exit code 7" in done.err), done.said
    assert done.stdout == followed.stdout
    assert rented.mlrun("logs", run["id"]).stdout == done.stdout
    assert ("made\n", []) == ((shell.folder / "out.txt").read_text(), rented.machines())


@on("aws")
def test_what_no_record_knows_is_found_by_sweep_ended_by_stop_and_told_where_it_was_begun(rented: Rented) -> None:
    shell = rented.shell
    assert rented.run(COUNTS, "-d").code == 0
    data, aside = shell.home / "dispatcher" / "data", shell.home / "aside"
    data.rename(aside)
    checked = rented.mlrun("sweep", "--check", "--json")
    assert {"young"} == {one["action"] for one in checked.json()["leftovers"]}, checked.said
    stopped = rented.mlrun("stop", "counts")
    assert (0, []) == (stopped.code, rented.machines()), stopped.said
    shutil.rmtree(data)
    aside.rename(data)
    told = rented.mlrun("attach", "counts")
    assert rented.last()["outcome"] == "lost"
    assert "ended through the account: by another computer of yours" in told.said, told.said


@pytest.mark.parametrize(("rented", "number"), [("aws", signal.SIGINT), ("gcp", signal.SIGTERM)], indirect=["rented"])
def test_ctrl_c_before_the_start_cancels_and_gives_all_back(rented: Rented, number: signal.Signals) -> None:
    running = rented.begin(COUNTS)
    rented.shell.until(rented.machines, "a machine is made")
    running.send_signal(number)
    _, err = rest(running)
    assert running.returncode == 130, err.decode()
    assert ("finished", "cancelled", True) == (*rented.last("state", "outcome"), rented.last()["teardown"]["confirmed"])
    assert rented.machines() == []


@on("gcp")
def test_killed_while_it_runs_and_left_by_ctrl_c_it_goes_on_and_stop_ends_it(rented: Rented) -> None:
    killed = rented.follow(COUNTS.replace("exit 7", "exit 0"))
    killed.kill()
    killed.communicate()
    running = rented.shell.start("attach", "counts")
    assert running.stdout is not None
    assert [b"line 1\n", b"line 2\n"] == [running.stdout.readline(), running.stdout.readline()]
    running.send_signal(signal.SIGINT)
    _, err = rest(running)
    assert running.returncode == 0, err.decode()
    assert (True, True) == (b"mlrun attach" in err, b"ends by itself at" in err)
    assert len(rented.machines()) == 1
    stopped = rented.mlrun("stop", "counts", "--grace", "1s")
    assert stopped.code == 0, stopped.said
    assert ("finished", "cancelled", 130) == rented.last("state", "outcome", "exit_code")
    lines = rented.mlrun("logs", "counts").stdout.splitlines()
    assert lines == [b"line %d" % number for number in range(1, len(lines) + 1)]
    assert rented.machines() == []


@both
def test_refusals_walk_the_ladder_of_zones_and_end_as_no_capacity(rented: Rented) -> None:
    rented.lab.faults.add(rented.launch, code=rented.no_capacity, n=-1)
    refused = rented.run("    run: echo done\n", "--machine", rented.machine)
    assert (103, "finished") == (refused.code, rented.last()["state"]), refused.said
    rented.lab.faults.clear()
    rented.lab.faults.add(rented.launch, code=rented.no_capacity, n=2)
    rented.lab.faults.add(rented.launch, when="drop_after")
    done = rented.run("    run: echo done\n", "--machine", rented.machine)
    assert (0, b"done\n") == (done.code, done.stdout), done.said
    assert [1, 2, 3] == [int(one["label"].rpartition("-")[2]) for one in rented.last()["attempts"]]
    assert ("attempt 3:" in done.err, 2) == (True, done.err.count(f"({rented.no_capacity})"))
    assert 1 == len(rented.cloud().control("instances", {"all": True})), "the answer that was lost made one machine"


@on("gcp")
def test_what_was_killed_while_the_machine_boots_is_put_in_order_by_coming_back(rented: Rented) -> None:
    running = rented.begin(COUNTS)
    rented.shell.until(rented.machines, "a machine is made")
    running.kill()
    running.communicate()
    done = rented.mlrun("stop", "counts")
    assert done.code == 0, done.said
    assert ("finished", "cancelled", []) == (*rented.last("state", "outcome"), rented.machines())


@on("gcp")
def test_a_link_that_is_cut_for_a_while_loses_no_byte(rented: Rented) -> None:
    running = rented.follow(COUNTS.replace("12000", "400"))
    rented.wire(cut=True)
    assert running.stderr is not None
    said = iter(running.stderr.readline, b"")
    assert any(b"Lost contact" in line for line in said)
    rented.wire()
    out, err = rest(running)
    assert (7, b"in contact again" in err) == (running.returncode, True), err.decode()
    assert out == b"".join(b"line %d\n" % number for number in range(2, 401))
    assert rented.machines() == []


@on("gcp")
def test_a_spot_machine_that_is_taken_back_tells_its_job_and_is_108(rented: Rented) -> None:
    rented.cloud().control("set", {"notice_seconds": 15.0})
    running = rented.follow("    run: trap 'echo saved; exit 0' TERM; echo line 1; while true; do sleep 0.1; done\n", "--spot")
    rented.preempt()
    out, err = rest(running)
    assert running.returncode == 108, err.decode()
    assert out.endswith(b"saved\n")
    assert ("finished", "preempted", []) == (*rented.last("state", "outcome"), rented.machines())


@on("aws")
def test_a_job_with_a_checkpoint_goes_on_from_it_on_another_machine(rented: Rented) -> None:
    rented.cloud().control("set", {"notice": 15.0})
    text = """
    run: |
      mkdir -p ckpt; i=$(cat ckpt/step 2>/dev/null || echo 0); echo "line 1"; echo "from $i resume=${DISPATCHER_RESUME:-no}"
      trap 'exit 0' TERM
      while [ $i -lt 60 ]; do i=$((i+1)); echo $i > ckpt/part; mv ckpt/part ckpt/step; echo "step $i"; sleep 0.1; done
    checkpoint: {dir: ckpt, every: 1s}
"""
    running = rented.follow(text, "--spot")
    assert running.stdout is not None
    assert running.stdout.readline() == b"from 0 resume=no\n"
    rented.preempt()
    out, err = rest(running)
    assert running.returncode == 0, err.decode()
    steps = [int(line.split()[1]) for line in out.splitlines() if line.startswith(b"step")]
    assert list(range(steps[0], 61)) == steps
    assert (True, True) == (b"resume=1" in out, b"its checkpoint goes along" in err)
    told = rented.last()
    assert "succeeded" == told["outcome"]
    assert "took the machine back" in told["attempts"][0]["reason"]
    assert told["attempts"][0]["label"] != told["label"]
    assert rented.machines() == []
    assert float(rented.lab.ledger.usd()) <= told["cost_usd"]["worst_case"]


@on("gcp")
def test_a_detached_job_that_has_ended_waits_is_said_and_fetched(rented: Rented) -> None:
    begun = rented.run("    name: soon\n    run: echo said; echo made > out.txt; exit 4\n    outputs: [out.txt]\n", "-d")
    assert begun.code == 0, begun.said
    rented.shell.until(lambda: rented.last()["state"] == "collecting", "its end is noticed")
    shown = rented.mlrun("ps")
    assert (True, True) == ("waiting to be fetched: $" in " ".join(shown.out.split()), "ended" in shown.out)
    fetched = rented.mlrun("fetch", "soon")
    assert fetched.code == 0, fetched.said
    assert (b"", "made\n") == (fetched.stdout, (rented.shell.folder / "out.txt").read_text())
    assert ("finished", 4, []) == (*rented.last("state", "exit_code"), rented.machines())


@on("gcp")
def test_setup_that_fails_shows_its_words_and_costs_no_more(rented: Rented) -> None:
    done = rented.run("    setup: echo no such wheel; exit 9\n    run: echo never\n")
    assert done.code == 104, done.said
    assert (False, True) == (b"never" in done.stdout, "no such wheel" in done.err)
    assert rented.machines() == []


@on("aws")
def test_a_machine_with_another_host_key_is_refused_said_and_ended(rented: Rented) -> None:
    rented.cloud().control("set", {"host": {"*": {"fault": "other-host-key"}}})
    done = rented.run("    run: echo never\n")
    assert done.code == 104, done.said
    assert (False, True) == (b"never" in done.stdout, "key" in done.err)
    assert ("finished", True) == (rented.last()["state"], rented.last()["teardown"]["confirmed"])
    assert rented.machines() == []


@on("aws")
def test_a_failed_job_can_be_kept_looked_at_run_again_and_given_back(rented: Rented) -> None:
    kept = rented.run("    name: fails\n    run: touch was-here; exit 5\n", "--keep", "30m")
    assert (5, True) == (kept.code, "holds aws" in kept.err), kept.said
    first = rented.last()
    assert ("held", "failed") == (first["state"], first["outcome"])
    assert "was-here" in rented.mlrun("ssh", "fails", "ls", f"/var/lib/mlrun/runs/{first['label']}.work").out
    held = rented.mlrun("hold", "fails", "45m")
    assert held.code == 0, held.said
    again = rented.run("    name: again\n    run: echo second; exit 0\n", "--on", "fails")
    assert (0, b"second\n") == (again.code, again.stdout), again.said
    for words in ("on the machine that fails (", "holds and pays: $", "the machine stays as it is", "fails (failed) holds aws"):
        assert words in again.err, again.err
    assert "it is gone" not in again.err
    assert 1 == len(rented.machines())
    assert rented.mlrun("stop", "fails").code == 0
    assert rented.machines() == []
