"""A job that runs on Google Cloud, as it is typed: in the lab, where every billed second is known."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.shell import Ended, Shell

DESCRIBED = """
    model: {family: tabular, library: sklearn, algorithm: random-forest, trees: 10}
    dataset: {rows: 1000, columns: 10, dtype: float64}
    budget: {max_time: 20m}
    where: gcp/us-central1
"""
COUNTS = """
    name: counts
    run: |
      i=0; while [ $i -lt 600 ] && [ ! -e enough ]; do i=$((i+1)); echo "line $i"; sleep 0.05; done; echo made > out.txt; exit 7
    outputs: [out.txt]
"""
LONGEST = 120.0


@pytest.fixture
def gcp(lab: Any, lab_environment: dict[str, str], shell: Shell) -> Shell:
    """A shell whose mlrun finds an account: the lab's."""
    shell.env |= lab_environment
    return shell


def start(shell: Shell, text: str, *flags: str, described: str = DESCRIBED) -> Ended:
    return shell.mlrun(shell.write(text + described), "--yes", *flags, timeout=LONGEST)


def instances(lab: Any) -> list[dict[str, Any]]:
    return [one for one in lab.gce.control("instances", {}) if one["status"] != "STOPPING"]


def billed(lab: Any) -> float:
    """USD, by the lab's own prices."""
    return float(lab.ledger.usd())


def test_gcp_runs_a_job_brings_its_outputs_home_and_ends_with_nothing(gcp: Shell, lab: Any) -> None:
    gcp.write("print('from python')\nopen('made.txt', 'w').write('abc')\n", "train.py")
    done = start(gcp, "    run: python train.py; echo to stderr >&2; pwd\n    outputs: [made.txt]\n")
    assert done.code == 0, done.said
    assert done.stdout.startswith(b"from python\nto stderr\n/var/lib/mlrun/runs/mlrun-")
    assert (gcp.folder / "made.txt").read_text() == "abc"
    for words in ("at worst $", "creating the machine", "sending files", "bringing outputs home", "that is confirmed"):
        assert words in done.err, done.err
    told = gcp.mlrun("report", "last", "--json").json()
    assert ("finished", "succeeded", 0) == (told["state"], told["outcome"], told["exit_code"])
    assert told["teardown"]["confirmed"] is True
    assert all(kind in told["teardown"]["proof"][0] for kind in ("instance us-central1-", "disk us-central1-", "rule mlrun-"))
    assert 0 < told["cost_usd"]["so_far"] <= told["cost_usd"]["worst_case"]
    assert instances(lab) == []
    assert billed(lab) <= told["cost_usd"]["worst_case"]


def test_gcp_killed_while_the_machine_boots_is_put_in_order_by_coming_back(gcp: Shell, lab: Any) -> None:
    running = gcp.start(gcp.write(COUNTS + DESCRIBED), "--yes")
    gcp.until(lambda: instances(lab), "a machine is made")
    running.kill()
    running.communicate()
    done = gcp.mlrun("stop", "counts", timeout=LONGEST)
    assert done.code == 0, done.said
    assert ("finished", "cancelled") == tuple(gcp.last()[key] for key in ("state", "outcome"))
    assert instances(lab) == []


def test_gcp_a_lost_answer_makes_one_machine_and_not_two(gcp: Shell, lab: Any) -> None:
    lab.faults.add("instances.insert", when="drop_after")
    done = start(gcp, "    run: echo done\n")
    assert (0, b"done\n") == (done.code, done.stdout), done.said
    assert 1 == len(lab.gce.control("instances", {"all": True}))


def test_gcp_refusals_walk_the_ladder_of_zones_and_end_as_no_capacity(gcp: Shell, lab: Any) -> None:
    lab.faults.add("instances.insert", code="ZONE_RESOURCE_POOL_EXHAUSTED", n=2)
    done = start(gcp, "    run: echo done\n", "--machine", "gcp:n2-standard-2")
    assert (0, b"done\n") == (done.code, done.stdout), done.said
    assert [1, 2, 3] == [int(one["label"].rpartition("-")[2]) for one in gcp.last()["attempts"]]
    assert "attempt 3:" in done.err
    assert 2 == done.err.count("ZONE_RESOURCE_POOL_EXHAUSTED") or "no " in done.err
    lab.faults.add("instances.insert", code="ZONE_RESOURCE_POOL_EXHAUSTED", n=-1)
    refused = start(gcp, "    run: echo done\n", "--machine", "gcp:n2-standard-2")
    assert (103, "finished") == (refused.code, gcp.last()["state"]), refused.said
    lab.faults.clear()


def test_gcp_a_gpu_is_attached_where_one_is_asked_for(gcp: Shell, lab: Any) -> None:
    described = """
    resources: {gpu: T4}
    model: {family: vision, name: resnet50, image_size: 224}
    training: {batch_size: 8, epochs: 1}
    dataset: {samples: 1000}
    budget: {max_time: 20m}
    where: gcp/us-central1
"""
    done = start(gcp, "    run: nvidia-smi -L\n", described=described)
    assert (0, True) == (done.code, b"T4" in done.stdout), done.said
    assert instances(lab) == []
