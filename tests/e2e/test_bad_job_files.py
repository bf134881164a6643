"""Bad job files get a place, a reason, a fix and exit code 100, and nothing is started."""

from __future__ import annotations

import pytest

from tests.e2e.shell import Ended, Shell

REFUSED = {
    "an empty file": "",
    "a list": "- run: touch started\n",
    "a word": "train\n",
    "no run": "name: x\n",
    "an unknown key": "run: touch started\nmemroy: 16GB\n",
    "an unknown key below": "run: touch started\nresources: {memroy: 16GB}\n",
    "a duplicate key": "run: touch started\nrun: echo\n",
    "a broken list": "run: touch started\noutputs: [a, b\n",
    "a tab": "run: touch started\nresources:\n\tcpus: 4\n",
    "an anchor": "run: &a touch started\nname: *a\n",
    "a tag": "run: !!python/object/apply:os.system ['touch started']\n",
    "nan": "run: touch started\ntraining: {epochs: .nan}\n",
    "infinity": "run: touch started\nbudget: {max_cost: .inf}\n",
    "zero": "run: touch started\ntraining: {batch_size: 0}\n",
    "negative": "run: touch started\ntraining: {batch_size: -8}\n",
    "absurd": "run: touch started\ntraining: {batch_size: 1" + "0" * 400 + "}\n",
    "a size without sense": "run: touch started\nresources: {memory: 16 elephants}\n",
    "a time without sense": "run: touch started\nbudget: {max_time: 2 hrs and a bit}\n",
    "epochs and steps": "run: touch started\ntraining: {epochs: 3, steps: 100}\n",
    "heads that do not divide": "run: touch started\nmodel: {family: transformer, layers: 2, hidden: 100, heads: 7}\n",
    "against the command": "run: python train.py --batch-size 16\ntraining: {batch_size: 32}\n",
    "a name with a quote": "run: touch started\nname: it's\n",
    "a name that is a command": "run: touch started\nname: 'x; touch started'\n",
    "a name of two lines": 'run: touch started\nname: "a\\nb"\n',
    "a variable with no name": "run: touch started\nenv: {'A B': c}\n",
    "a NUL": "run: touch started\nenv: {A: \"a\\0b\"}\n",
    "two nodes": "run: touch started\nnodes: 2\n",
    "an image": "run: touch started\nimage: ubuntu:22.04\n",
    "a folder that is not there": "run: touch started\nworkdir: nowhere\n",
    "deep": "run: touch started\nimport: " + "[" * 40 + "]" * 40 + "\n",
    "two documents": "run: touch started\n---\nrun: touch started\n",
    "a setting that is not there": "run: touch started ${training.speed}\n",
}  # fmt: skip


def refused(shell: Shell, done: Ended) -> None:
    assert done.code == 100, done.said
    assert "problem" in done.err
    assert "Traceback" not in done.said
    assert not (shell.folder / "started").exists()
    assert shell.runs() == []


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_job_file_is_refused_with_its_reason(shell: Shell, text: str) -> None:
    refused(shell, shell.mlrun(shell.write(text)))


@pytest.mark.parametrize("content", [b"\xff\xfe\x00r", b"run: \x00\n", b"run: \x1b[2J\n", bytes(range(256))], ids=repr)
def test_what_is_not_text_is_refused(shell: Shell, content: bytes) -> None:
    (shell.folder / "job.yaml").write_bytes(content)
    done = shell.mlrun("job.yaml")
    refused(shell, done)
    assert b"\x1b[2J" not in done.stdout + done.stderr


def test_a_file_over_the_limit_is_refused_at_once(shell: Shell) -> None:
    refused(shell, shell.mlrun(shell.write("run: touch started\n" + "# padding\n" * 60_000), timeout=5))


def test_all_problems_are_told_in_one_pass_with_line_caret_and_suggestion(shell: Shell) -> None:
    done = shell.mlrun(shell.write("run: python train.py\nresources:\n  memroy: 16GB\nbudget:\n  max_time: 2 hrs and a bit\n"))
    assert done.code == 100
    assert "job.yaml has 2 problems" in done.err
    assert "3 │   memroy: 16GB" in done.err
    assert "│   ^^^^^^" in done.err
    assert "Did you mean 'memory'?" in done.err
    assert "5 │   max_time: 2 hrs and a bit" in done.err
    assert "Write 2h, 90m or 1h30m" in done.err


def test_problems_as_json_carry_their_places(shell: Shell) -> None:
    done = shell.mlrun(shell.write("run: echo\nmemroy: 1\n"), "--json")
    assert done.code == 100
    assert done.json()["error"]["problems"][0]["line"] == 2


def test_a_file_that_is_not_there_is_said(shell: Shell) -> None:
    done = shell.mlrun("nowhere.yaml")
    assert done.code in (2, 100)
    assert "nowhere.yaml" in done.err
    assert "Traceback" not in done.err


def test_a_folder_is_not_a_job(shell: Shell) -> None:
    (shell.folder / "jobs.yaml").mkdir()
    done = shell.mlrun("jobs.yaml")
    assert done.code in (2, 100)
    assert "Traceback" not in done.err


def test_yaml_means_what_its_version_1_2_says(shell: Shell) -> None:
    job = shell.write("run: 'echo \"$ANSWER|$TIME|$DAY|$MODE\"'\nenv: {ANSWER: no, TIME: 22:30, DAY: 2026-01-02, MODE: 0o17}\n")
    assert shell.mlrun(job).out.startswith("no|22:30|2026-01-02|")


@pytest.mark.parametrize(
    "text", ["where: aws\n", "where: 'ssh:desk'\n", "schedule: {at: '01:00'}\n", "results: s3://bucket/x\n"]
)
def test_what_nothing_executes_yet_is_refused_or_said_in_a_sentence(shell: Shell, text: str) -> None:
    done = shell.mlrun(shell.write("run: echo ran\n" + text), "--yes")
    assert done.code in (0, 2, 101, 102, 104)
    assert done.err.strip()
    assert "Traceback" not in done.err
