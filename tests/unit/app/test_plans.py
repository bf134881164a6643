"""Planning as a whole: what the user is told where something is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dispatcher.app.plans import plan, plan_loaded, same_plan
from dispatcher.errors import JobFileError, NothingFits, UnknownError, UsageError
from dispatcher.jobfile.load import load

TABLE = """run: python train.py
model: {library: sklearn, algorithm: random-forest}
dataset: {path: %s}
"""
LLM = """run: python train.py
model: {name: llama-3.1-8b, sequence_length: 512}
training: {method: lora, batch_size: 1, steps: 10, precision: bf16}
task: finetune
"""


@pytest.mark.parametrize(
    ("name", "content", "trouble"),
    [
        ("nowhere.csv", None, "'nowhere.csv' does not exist"),
        ("noise.csv", bytes(range(256)) * 99, "is not text"),
        ("heading.csv", b"a,b,c\n", "no rows"),
    ],
)
def test_trouble_with_the_data_is_told_where_rows_are_missing(
    tmp_path: Path, name: str, content: bytes | None, trouble: str
) -> None:
    (tmp_path / "job.yaml").write_text(TABLE % name)
    if content:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UnknownError, match="rows and columns are not stated") as caught:
        plan(tmp_path / "job.yaml")
    assert trouble in caught.value.message


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A plan that was kept, without an account: its choice is open."""
    (tmp_path / "job.yaml").write_text(LLM)
    made = plan_loaded(load(tmp_path / "job.yaml"))
    assert made.choice is None
    (tmp_path / "plan.json").write_text(json.dumps(made.as_dict()))
    return tmp_path


def test_a_kept_plan_without_a_choice_says_how_to_choose(kept: Path) -> None:
    fresh = plan_loaded(load(kept / "job.yaml"))
    with pytest.raises(NothingFits, match="leaves the choice open") as caught:
        same_plan(fresh, kept / "plan.json")
    assert "--pick N" in caught.value.fix
    assert "1 " in caught.value.fix


def test_an_option_of_a_kept_plan_can_be_picked(kept: Path) -> None:
    fresh = plan_loaded(load(kept / "job.yaml"))
    old = json.loads((kept / "plan.json").read_text())["candidates"]
    picked = same_plan(fresh, kept / "plan.json", pick=2)
    assert picked.chosen is not None
    assert old[1]["machine"] == picked.chosen.offer.machine
    with pytest.raises(UsageError, match=r"has [0-9]+ options"):
        same_plan(fresh, kept / "plan.json", pick=999)


def test_data_behind_a_loop_of_links_are_told_of_and_the_plan_is_made(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to("b.csv")
    (tmp_path / "b.csv").symlink_to("a.csv")
    (tmp_path / "job.yaml").write_text(TABLE.replace("%s", "a.csv, rows: 1000, columns: 5"))
    made = plan(tmp_path / "job.yaml")
    assert any("a loop of links" in one for one in made.warnings)
    assert made.candidates


def test_an_empty_device_is_a_wrong_question_not_none(kept: Path) -> None:
    with pytest.raises(UsageError, match="write a name"):
        plan(kept / "job.yaml", device="")


def test_a_machine_without_its_cloud_is_told_with_it(kept: Path) -> None:
    with pytest.raises(UsageError) as caught:
        plan(kept / "job.yaml", machine="g5.xlarge")
    assert caught.value.fix == "--machine aws:g5.xlarge"


def test_the_device_cpu_is_this_computers(kept: Path) -> None:
    made = plan(kept / "job.yaml", device="cpu")
    assert made.candidates[0].offer.device == "cpu"
    assert any("this computer's" in one for one in made.warnings)


def test_a_gpu_that_nobody_knows_is_told_with_what_is_near(kept: Path) -> None:
    made = plan({"run": "python t.py", "resources": {"gpu": "H1000"}})
    assert any("Near: H100" in one for one in made.warnings)


@pytest.mark.parametrize(
    ("where", "near"), [("aws/mars-1", "aws/"), ("aws/us-east-1a", "aws/us-east-1"), ("gcp/us-central", "gcp/us-central1")]
)
def test_a_region_that_its_cloud_does_not_have_is_refused_with_what_is_near(where: str, near: str) -> None:
    with pytest.raises(JobFileError) as refused:
        plan({"run": "python t.py", "where": where})
    (problem,) = refused.value.problems
    assert "has no region" in problem.message
    assert near in problem.fix


@pytest.mark.parametrize(
    ("keys", "machine", "market", "region"),
    [
        ({"spot": True}, "gcp:n1-standard-4+t4x1", "spot", None),
        ({"where": "aws/eu-west-1"}, "aws:g4dn.xlarge", "on-demand", "eu-west-1"),
        ({"where": "aws/eu-west-1", "spot": True}, "aws:g4dn.xlarge", "spot", "eu-west-1"),
        ({"where": "cloud"}, "aws:g4dn.xlarge", "on-demand", None),
    ],
)
def test_a_machine_is_asked_about_where_and_on_the_market_that_the_job_says(keys, machine, market, region) -> None:
    (one,) = plan(
        {"run": "true", "model": "resnet50", "training": {"batch_size": 8, "steps": 9}, **keys}, machine=machine
    ).candidates
    assert market == one.offer.market
    assert region in (None, one.offer.region)


@pytest.mark.parametrize("where", ["gcp", "local", "ssh:desk", "gcp/us-central1"])
def test_a_machine_that_is_not_where_the_job_is_to_run_is_a_contradiction(where: str) -> None:
    with pytest.raises(UsageError, match="is not at where"):
        plan({"run": "true", "where": where}, machine="aws:g4dn.xlarge")


@pytest.mark.parametrize("machine", ["aws:g5g.xlarge", "aws:c7g.xlarge"])
def test_an_arm_machine_is_said_not_to_run_what_was_built_for_others(machine: str) -> None:
    made = plan({"run": "true", "model": "resnet50", "training": {"batch_size": 8, "steps": 9}}, machine=machine)
    assert not made.candidates[0].fits
    assert any("x86_64 wheels" in one for one in made.warnings)


@pytest.mark.parametrize(
    ("keys", "all_of"),
    [
        ("model: llama-3.1-8b", ["The batch size", "The sequence length"]),
        ("model: {family: transformer, layers: 2}", ["hidden, heads, vocab", "The batch size", "The sequence length"]),
        ("model: {library: sklearn}", ["The algorithm", "rows and columns"]),
    ],
)
def test_all_that_lacks_is_asked_for_at_once_with_the_file(tmp_path: Path, keys: str, all_of: list[str]) -> None:
    (tmp_path / "q1.yaml").write_text(f"run: x\n{keys}\n")
    with pytest.raises(UnknownError, match=r"^q1.yaml: ") as caught:
        plan(tmp_path / "q1.yaml")
    assert [] == [one for one in all_of if one not in caught.value.message]
    assert caught.value.fix.count("Add ") == len(all_of)


def test_a_time_that_is_past_is_told_with_its_file_and_a_fix(tmp_path: Path) -> None:
    (tmp_path / "q1.yaml").write_text("run: x\nbudget: {finish_by: 2020-01-01 10:00}\n")
    with pytest.raises(JobFileError, match=r"^q1.yaml has 1 problem") as caught:
        plan(tmp_path / "q1.yaml")
    assert caught.value.problems[0].fix
