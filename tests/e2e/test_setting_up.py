"""What a newcomer types first: help, init, doctor, schema, settings, purge, completion."""

from __future__ import annotations

import json
import subprocess
import sys

import jsonschema
import pytest

from tests.e2e.shell import Shell

VERBS = ["plan", "init", "ps", "logs", "attach", "stop", "report", "costs", "doctor", "schema", "config", "purge", "completion"]


def test_help_names_every_verb_and_fits_80_columns(shell: Shell) -> None:
    done = shell.mlrun("--help")
    assert done.code == 0
    assert [] == [verb for verb in VERBS if verb not in done.out]
    assert max(map(len, done.out.splitlines())) <= 80


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_helps(shell: Shell, verb: str) -> None:
    done = shell.mlrun(verb, "--help")
    assert done.code == 0
    assert "Usage" in done.out


def test_the_module_is_the_same_program(shell: Shell) -> None:
    module = subprocess.run([sys.executable, "-m", "dispatcher", "--version"], env=shell.env, capture_output=True, check=True)
    assert shell.mlrun("--version").stdout == module.stdout


@pytest.mark.parametrize("words", [["frobnicate"], ["--frobnicate"], ["logs"], ["stop", "a", "b"]])
def test_a_wrong_command_line_is_2_and_says_what_is_right(shell: Shell, words: list[str]) -> None:
    done = shell.mlrun(*words)
    assert done.code == 2
    assert done.err.strip()


def test_init_writes_a_job_that_plans_and_never_writes_over_one(shell: Shell) -> None:
    shell.write("import pandas as pd\nfrom sklearn.ensemble import RandomForestClassifier\n"
                "table = pd.read_csv('data.csv')\nRandomForestClassifier(n_estimators=10)\n", "train.py")  # fmt: skip
    (shell.folder / "data.csv").write_text("a,b,c\n" + "1,2,3\n" * 1000)
    done = shell.mlrun("init")
    assert done.code == 0, done.said
    written = (shell.folder / "train.yaml").read_text()
    assert "RandomForest" in written
    assert shell.mlrun("plan", "train.yaml").code == 0
    again = shell.mlrun("init")
    assert again.code == 2
    assert written == (shell.folder / "train.yaml").read_text()


def test_a_file_of_another_tool_leads_to_the_job_file_that_reads_it(shell: Shell) -> None:
    shell.write("base_model: meta-llama/Llama-3.1-8B\nadapter: lora\nmicro_batch_size: 2\nlora_r: 8\n", "ax.yml")
    for words in (["plan", "ax.yml"], ["init", "ax.yml", "-o", "job.yaml"]):
        done = shell.mlrun(*words)
        assert done.code == 100
        assert "import: {from: axolotl, file: ax.yml}" in done.err
    assert not (shell.folder / "job.yaml").exists()


def test_a_second_job_file_is_too_much_and_nothing_starts(shell: Shell) -> None:
    shell.write("run: touch started\n", "a.yaml")
    done = shell.mlrun("a.yaml", "b.yaml")
    assert done.code == 2
    assert "'b.yaml' is too much here" in done.err
    assert not (shell.folder / "started").exists()


def test_a_sweep_that_asked_no_cloud_does_not_say_that_all_is_well(shell: Shell) -> None:
    done = shell.mlrun("sweep")
    assert (done.code, done.out) == (0, "Nothing was looked at: there is no cloud to ask.\n")
    assert {"aws", "gcp"} == set(shell.mlrun("sweep", "--json").json()["not_looked_at"])


def test_the_schema_is_draft_07_and_accepts_aliases(shell: Shell) -> None:
    schema = shell.mlrun("schema").json()
    jsonschema.Draft7Validator.check_schema(schema)
    assert "draft-07" in schema["$schema"]
    check = jsonschema.Draft7Validator(schema)
    assert check.is_valid({"run": "x", "envs": {"A": "b"}, "dataset": {"rows": 3}, "resources": {"accelerators": "T4:1"}})
    assert not check.is_valid({"run": "x", "memroy": 1})
    assert not check.is_valid({})


def test_doctor_has_a_fix_beside_every_finding(shell: Shell) -> None:
    done = shell.mlrun("doctor", "--json")
    assert done.code in (0, 1)
    checks = done.json()["checks"]
    assert checks
    assert [] == [check for check in checks if check["level"] in ("warning", "error") and not check["fix"]]


def test_doctor_sees_another_program_named_mlrun(shell: Shell) -> None:
    impostor = shell.write("#!/bin/sh\necho somebody else\n", "bin/mlrun")
    impostor.chmod(0o755)
    done = shell.mlrun("doctor", PATH=f"{impostor.parent}:{shell.env['PATH']}")
    assert str(impostor) in done.said


def test_settings_are_shown_with_where_they_come_from(shell: Shell) -> None:
    file = shell.home / "dispatcher" / "config" / "config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("limits: {per_run: 12}\n")
    done = shell.mlrun("config", "show")
    assert done.code == 0, done.said
    assert "12" in done.out
    assert "config.yaml" in done.out


def test_a_broken_settings_file_is_told_like_a_job_file(shell: Shell) -> None:
    file = shell.home / "dispatcher" / "config" / "config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("limits: {per_rnu: 12}\n")
    done = shell.mlrun("config", "show")
    assert done.code == 100
    assert "per_run" in done.err


def test_purge_removes_records_and_never_outputs(shell: Shell) -> None:
    assert shell.mlrun(shell.write("run: echo x > o.txt\noutputs: [o.txt]\n")).code == 0
    done = shell.mlrun("purge", "--all", "--yes")
    assert done.code == 0, done.said
    assert shell.runs() == []
    assert (shell.folder / "o.txt").read_text() == "x\n"


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: Shell, shell_name: str) -> None:
    done = shell.mlrun("completion", shell_name)
    assert done.code == 0
    assert "mlrun" in done.out


@pytest.mark.parametrize("words", [["ps"], ["costs"], ["doctor"], ["config", "show"], ["catalog", "show", "T4"], ["purge"]])
def test_every_verb_has_one_json_document(shell: Shell, words: list[str]) -> None:
    done = shell.mlrun(*words, "--json")
    assert json.loads(done.stdout)["schema"].startswith("1.")


def test_screens_without_a_terminal_have_no_colour_and_fit(shell: Shell) -> None:
    assert shell.mlrun(shell.write("run: echo it\n")).code == 0
    colourful = {name: value for name, value in shell.env.items() if name != "NO_COLOR"}
    for words in (["plan", "job.yaml"], ["ps"], ["report", "last"], ["doctor"]):
        done = Shell(shell.folder, shell.home, colourful).mlrun(*words)
        assert "\x1b" not in done.said
        assert [line for line in done.said.splitlines() if len(line) > 80 and str(shell.home) not in line] == [], words
